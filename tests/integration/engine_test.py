#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The ring engine under all that a Linux guest's driver and QEMU do with rings."""
import hashlib
import os
import socket
import subprocess
import threading
import time
import urllib.request

from harness import Guest, Nic, Weir, main, need, tcp, wait_for

HOST = "10.0.0.1"
GUEST = "10.0.0.2"
MAC = "52:54:0a:00:00:02"
RARP = 0x8035


def _ip(*words):
    subprocess.run(["ip", *words], check=True)


def _rings(options, megabytes=64, path="engine"):
    """A guest whose rings have @options: files move both ways, and the path says it served."""
    weir = Weir("--endpoint", "name=up,type=tap,iface=weir0",
                "--guest", f"name=g0,socket=/run/weir/g0.sock,endpoint=up,datapath={path}")
    _ip("addr", "add", f"{HOST}/24", "dev", "weir0")
    _ip("link", "set", "weir0", "up")
    guest = Guest("g0", Nic("/run/weir/g0.sock", f"{GUEST}/24", options=options))
    info = weir.guest("g0")
    need(info["datapath"] == path, f"the path is {info['datapath']}")
    tcp.host_to_guest(guest, HOST, megabytes)
    tcp.guest_to_host(guest, GUEST)
    return weir, guest


def packed_rings_of_a_linux_guest():
    weir, _ = _rings(",packed=on")
    need("packed rings" in weir.log(), "the rings are packed")


def rings_without_event_index_and_indirect_descriptors():
    _rings(",event_idx=off,indirect_desc=off")


def rings_without_mergeable_buffers():
    _rings(",mrg_rxbuf=off")


def _migrating_pair(options=""):
    """weir, a guest and where it will go: two ports of a bridge that has the host's address."""
    weir = Weir("--endpoint", "name=up0,type=tap,iface=weir0",
                "--endpoint", "name=up1,type=tap,iface=weir1",
                "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=up0",
                "--guest", "name=g1,socket=/run/weir/g1.sock,endpoint=up1")
    _ip("link", "add", "br0", "type", "bridge")
    for port in ("weir0", "weir1"):
        _ip("link", "set", port, "master", "br0", "up")
    _ip("addr", "add", f"{HOST}/24", "dev", "br0")
    _ip("link", "set", "br0", "up")
    source = Guest("g0", Nic("/run/weir/g0.sock", f"{GUEST}/24", options=options))
    source.ping(HOST, 1)
    need(_port_of_guest() == "weir0", "the guest is behind weir0 first")
    destination = Guest("g1", Nic("/run/weir/g1.sock", f"{GUEST}/24", options=options),
                        incoming="/run/test/migration")
    return weir, source, destination


def _port_of_guest():
    """The bridge's port behind which the guest's MAC was seen."""
    run = subprocess.run(["bridge", "fdb", "show", "br", "br0"], text=True, capture_output=True,
                         check=True)
    ports = [line.split()[2] for line in run.stdout.splitlines()
             if line.startswith(MAC) and "permanent" not in line]
    return ports[0] if ports else None


def _migrate(weir, source, destination):
    source.migrate(destination, "/run/test/migration")
    source.migrated(destination)
    wait_for("the destination to be up", lambda: weir.guest("g1")["state"] == "up")
    wait_for("the bridge to learn of it", lambda: _port_of_guest() == "weir1")
    need(weir.guest("g0")["state"] != "up", "the source's rings have stopped")


def live_migration_while_the_guest_receives():
    weir, source, destination = _migrating_pair()
    sha256 = hashlib.sha256()
    moved = threading.Event()
    megabytes = []

    def send():
        sock, _ = server.accept()
        with sock:
            sock.settimeout(60)
            while megabytes.count(True) < 16:
                data = os.urandom(1 << 20)
                sha256.update(data)
                sock.sendall(data)
                megabytes.append(moved.is_set())

    with socket.create_server((HOST, tcp.PORT)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        source.start(f"nc {HOST} {tcp.PORT} </dev/ttyS0 | sha256sum")
        wait_for("a transfer", lambda: len(megabytes) >= 8)
        _migrate(weir, source, destination)
        moved.set()
        received = destination.finish(90).split()[0]
        thread.join(20)
    print(f"{len(megabytes)} MB, {megabytes.count(True)} of them after the migration")
    need(received == sha256.hexdigest(), f"sha256 {sha256.hexdigest()} was sent, {received} came")
    need(weir.guest("g1")["rx_bytes"] > 14 << 20, "the destination's port carried the end of it")


def live_migration_while_the_guest_sends():
    weir, source, destination = _migrating_pair()
    sha256 = hashlib.sha256()
    moved = threading.Event()
    megabytes = []

    def receive():
        with urllib.request.urlopen(f"http://{GUEST}:{tcp.PORT}/data", timeout=30) as answer:
            while piece := answer.read(1 << 20):
                sha256.update(piece)
                megabytes.append(moved.is_set())
                # Slowly, so that the migration finds all of it in the middle.
                if not moved.is_set():
                    time.sleep(0.2)

    sent = source.must("dd if=/dev/urandom of=/tmp/data bs=1M count=96 2>/dev/null; "
                       f"httpd -p {tcp.PORT} -h /tmp; sha256sum </tmp/data").split()[0]
    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    wait_for("a transfer", lambda: len(megabytes) >= 4)
    _migrate(weir, source, destination)
    moved.set()
    thread.join(60)
    print(f"{len(megabytes)} MB, {megabytes.count(True)} of them after the migration")
    need(megabytes.count(True) >= 16, "the migration came in the middle of the transfer")
    need(sent == sha256.hexdigest(), f"sha256 {sent} was sent, {sha256.hexdigest()} came")
    need(weir.guest("g1")["tx_bytes"] > 14 << 20, "the destination's port carried the end of it")


def live_migration_of_a_guest_that_cannot_announce_itself():
    weir, source, destination = _migrating_pair(",guest_announce=off")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(RARP)) as sock:
        sock.bind(("br0", RARP))
        sock.settimeout(20)
        _migrate(weir, source, destination)
        frame = sock.recv(2048)
    need(frame[6:12].hex(":") == MAC and frame[12:14] == b"\x80\x35", f"it is a {frame.hex()}")
    destination.ping(HOST)


main(globals())
