#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The ring engine under all that a Linux guest's driver and QEMU do with rings."""
import hashlib
import json
import os
import re
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


def _weir_and_guest(options="", queues=1, path="engine"):
    """A guest behind a tap that has the host's address."""
    weir = Weir("--endpoint", "name=up,type=tap,iface=weir0",
                "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=up,"
                           f"queues={queues},datapath={path}")
    _ip("addr", "add", f"{HOST}/24", "dev", "weir0")
    _ip("link", "set", "weir0", "up")
    guest = Guest("g0", Nic("/run/weir/g0.sock", f"{GUEST}/24", options=options, queues=queues))
    need(weir.guest("g0")["datapath"] == path, f"datapath={path} is shown")
    return weir, guest


# What a NIC can do without: how QEMU is told, and what is not negotiated then.
WITHOUT = {
    "mrg_rxbuf": (("mrg_rxbuf",), ("mrg_rxbuf",)),
    "indirect_desc": (("indirect_desc",), ("indirect_desc",)),
    "event_idx": (("event_idx",), ("event_idx",)),
    "offloads": (("csum", "guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "host_tso4",
                  "host_tso6", "host_ecn"),
                 ("csum", "guest_csum", "guest_tso4", "host_tso4")),
}


class _Account:
    """Every frame that one side of weir has sent the other has received, once."""

    def __init__(self, weir, guest):
        self.weir, self.guest = weir, guest
        self.before = self._now()
        wait_for("the guest to be quiet", self._is_quiet)

    def _is_quiet(self):
        """They are not asked all at once: no frame came in between."""
        before, self.before = self.before, self._now()
        return before == self.before

    def _now(self):
        """Received and sent by the guest, as host, weir and guest count, and what they dropped."""
        stats = self.weir.guest("g0")
        rx, tx, *drops = map(int, self.guest.must(
            "cd /sys/class/net/eth0/statistics; cat rx_packets tx_packets rx_dropped tx_dropped").split())
        run = subprocess.run(["ip", "-j", "-s", "link", "show", "weir0"], capture_output=True,
                             check=True)
        host = json.loads(run.stdout)[0]["stats64"]
        return ((host["tx"]["packets"], host["rx"]["packets"]),
                (stats["rx_packets"], stats["tx_packets"]), (rx, tx),
                (host["tx"]["dropped"], host["rx"]["dropped"],
                 *(n for key, n in stats.items() if "dropped" in key), *drops))

    def balance(self):
        """All have counted the same since, but for what is on its way, and dropped nothing."""
        def same():
            seen.append([tuple(n - m for n, m in zip(now, before))
                         for now, before in zip(self._now(), self.before)])
            return seen[-1][0] == seen[-1][1] == seen[-1][2]

        seen = []
        try:
            wait_for("all to count the same", same, 5)
        finally:
            print(f"to and from the guest, counted by host, weir, guest: {seen[-1][:3]}")
        need(not any(seen[-1][3]), f"dropped by host, weir, guest: {seen[-1][3]}")


def _rings(*without, packed=False, queues=1, path="engine"):
    """A ping and files both ways, over rings and offloads of one form: no frame more or less."""
    off = [name for word in without for name in WITHOUT[word][0]]
    weir, guest = _weir_and_guest((",packed=on" if packed else "")
                                  + "".join(f",{name}=off" for name in off), queues, path)
    if queues > 1:
        _all_queue_pairs(guest)
    features = weir.guest("g0")["features"]
    need(("ring_packed" in features) == packed, f"features: {features}")
    for word, (_, names) in WITHOUT.items():
        for name in names:
            need((name in features) == (word not in without), f"{name}: features: {features}")
    account = _Account(weir, guest)
    answer = guest.must(f"ping -c 10 -i 0.1 {HOST}", 30)
    need("10 packets received" in answer and "DUP" not in answer, answer)
    tcp.host_to_guest(guest, HOST)
    tcp.guest_to_host(guest, GUEST)
    account.balance()
    kind = "packed" if packed else "split"
    need(f"up, {kind} rings" in weir.log(), f"the rings are {kind}")


def packed_rings_of_a_linux_guest():
    _rings(packed=True)


def rings_without_event_index_and_indirect_descriptors():
    _rings("event_idx", "indirect_desc")


def rings_without_mergeable_buffers():
    _rings("mrg_rxbuf")


# With split rings that have all: any two of packed, without a thing, and four pairs, on and off.

def packed_rings_with_event_index_alone():
    _rings("mrg_rxbuf", "indirect_desc", "offloads", packed=True)


def four_packed_pairs_without_mergeable_buffers_and_event_index():
    _rings("mrg_rxbuf", "event_idx", packed=True, queues=4)


def packed_rings_without_event_index_and_indirect_descriptors():
    _rings("event_idx", "indirect_desc", packed=True)


def four_pairs_with_indirect_descriptors_alone():
    _rings("mrg_rxbuf", "event_idx", "offloads", queues=4)


def four_pairs_without_indirect_descriptors_and_offloads():
    _rings("indirect_desc", "offloads", queues=4)


def packed_rings_by_the_library():
    _rings(packed=True, path="library")


def rings_without_event_index_and_indirect_descriptors_by_the_library():
    _rings("event_idx", "indirect_desc", path="library")


def rings_without_mergeable_buffers_by_the_library():
    _rings("mrg_rxbuf", path="library")


def _migrating_pair(options="", queues=1):
    """weir, a guest and where it will go: two ports of a bridge that has the host's address."""
    weir = Weir("--endpoint", "name=up0,type=tap,iface=weir0",
                "--endpoint", "name=up1,type=tap,iface=weir1",
                "--guest", f"name=g0,socket=/run/weir/g0.sock,endpoint=up0,queues={queues}",
                "--guest", f"name=g1,socket=/run/weir/g1.sock,endpoint=up1,queues={queues}")
    _ip("link", "add", "br0", "type", "bridge")
    for port in ("weir0", "weir1"):
        _ip("link", "set", port, "master", "br0", "up")
    _ip("addr", "add", f"{HOST}/24", "dev", "br0")
    _ip("link", "set", "br0", "up")
    source = Guest("g0", Nic("/run/weir/g0.sock", f"{GUEST}/24", options=options, queues=queues))
    if queues > 1:
        _all_queue_pairs(source)
    source.ping(HOST, 1)
    need(_port_of_guest() == "weir0", "the guest is behind weir0 first")
    destination = Guest("g1", Nic("/run/weir/g1.sock", f"{GUEST}/24", options=options,
                                  queues=queues), incoming="/run/test/migration")
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


def _receives_while_it_migrates(options="", queues=1):
    weir, source, destination = _migrating_pair(options, queues)
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


def live_migration_while_the_guest_receives():
    _receives_while_it_migrates()


def live_migration_of_packed_rings_while_the_guest_receives():
    _receives_while_it_migrates(",packed=on")


def live_migration_of_four_queue_pairs_while_the_guest_receives():
    _receives_while_it_migrates(queues=4)


def _sends_while_it_migrates(options="", queues=1):
    weir, source, destination = _migrating_pair(options, queues)
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

    tcp.serve(source)
    sent = source.must("dd if=/dev/urandom of=/tmp/data bs=1M count=96 2>/dev/null; "
                       "sha256sum </tmp/data").split()[0]
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


def live_migration_while_the_guest_sends():
    _sends_while_it_migrates()


def live_migration_of_packed_rings_while_the_guest_sends():
    _sends_while_it_migrates(",packed=on")


def live_migration_of_four_queue_pairs_while_the_guest_sends():
    _sends_while_it_migrates(queues=4)


def live_migration_of_a_guest_that_cannot_announce_itself():
    weir, source, destination = _migrating_pair(",guest_announce=off")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(RARP)) as sock:
        sock.bind(("br0", RARP))
        sock.settimeout(20)
        _migrate(weir, source, destination)
        frame = sock.recv(2048)
    need(frame[6:12].hex(":") == MAC and frame[12:14] == b"\x80\x35", f"it is a {frame.hex()}")
    destination.ping(HOST)


def _all_queue_pairs(guest):
    """A guest begins with as many as it has processors."""
    guest.must("ethtool -L eth0 combined 4")


class _Traffic:
    """Eight flows of checked files from a guest, for as long as the claim runs."""

    def __init__(self, guest):
        tcp.serve(guest)
        self.sha256 = guest.must("dd if=/dev/urandom of=/tmp/piece bs=1M count=1 2>/dev/null; "
                                 "sha256sum </tmp/piece").split()[0]
        self.pieces = 0
        self.wrong = None
        for _ in range(8):
            threading.Thread(target=self._fetch, daemon=True).start()

    def _fetch(self):
        while not self.wrong:
            try:
                with urllib.request.urlopen(f"http://{GUEST}:{tcp.PORT}/piece",
                                            timeout=30) as answer:
                    sha256 = hashlib.sha256(answer.read()).hexdigest()
            except OSError:
                continue  # a guest in the middle of a reset
            if sha256 != self.sha256:
                self.wrong = f"sha256 {self.sha256} was sent, {sha256} came"
            self.pieces += 1

    def goes_on(self, pieces=16, seconds=40):
        """Wait for pieces that begin and end from now on."""
        first = self.pieces + 8
        wait_for("traffic", lambda: self.wrong or self.pieces >= first + pieces, seconds)
        need(not self.wrong, self.wrong)


def _packets_by_queue(guest, way):
    text = guest.must("ethtool -S eth0")
    return [int(n) for n in re.findall(rf"{way}_queue_\d+_packets: (\d+)", text)]


def four_queue_pairs_carry_a_transfer():
    _, guest = _weir_and_guest(queues=4)
    _all_queue_pairs(guest)
    tcp.host_to_guest(guest, HOST)
    tcp.guest_to_host(guest, GUEST)
    traffic = _Traffic(guest)
    traffic.goes_on(64)
    for way in ("rx", "tx"):
        packets = _packets_by_queue(guest, way)
        need(len(packets) == 4 and all(packets), f"{way} packets by queue: {packets}")


def _queue_pairs_come_and_go(options=""):
    weir, guest = _weir_and_guest(options, queues=4)
    traffic = _Traffic(guest)
    for n in (4, 1, 3, 2, 4, 1, 4):
        guest.must(f"ethtool -L eth0 combined {n}")
        traffic.goes_on()
        pairs = weir.guest("g0")["pairs"].values()
        need([pair["rx"] for pair in pairs] == ["enabled"] * n + ["disabled"] * (4 - n),
             f"of four pairs {n} are enabled: {pairs}")
    guest.ping(HOST)


def queue_pairs_come_and_go_under_traffic():
    _queue_pairs_come_and_go()


def packed_queue_pairs_come_and_go_under_traffic():
    _queue_pairs_come_and_go(",packed=on")


def _stops_and_continues(options="", queues=1, rounds=6):
    weir, guest = _weir_and_guest(options, queues)
    if queues > 1:
        _all_queue_pairs(guest)
    traffic = _Traffic(guest)
    for _ in range(rounds):
        traffic.goes_on()
        guest.monitor("stop")
        wait_for("the rings to stop", lambda: weir.guest("g0")["state"] == "connected")
        guest.monitor("cont")
        wait_for("the rings to go on", lambda: weir.guest("g0")["state"] == "up")
    traffic.goes_on()
    guest.ping(HOST)


def guest_stops_and_continues_under_traffic():
    _stops_and_continues()


def packed_guest_stops_and_continues_under_traffic():
    _stops_and_continues(",packed=on", 4, 20)


def _resets(options="", queues=1, rounds=5):
    weir, guest = _weir_and_guest(options, queues)
    traffic = _Traffic(guest)
    for _ in range(rounds):
        if queues > 1:
            _all_queue_pairs(guest)
        traffic.goes_on()
        guest.must("rmmod virtio_net")
        need(weir.guest("g0")["state"] == "connected", "the rings have stopped")
        guest.must("insmod /lib/modules/virtio_net.ko; ip link set eth0 up; "
                   f"ip addr add {GUEST}/24 dev eth0")
    traffic.goes_on()
    guest.ping(HOST)
    need(weir.guest("g0")["ups"] == rounds + 1, "the guest came up each time")


def guest_resets_its_device_under_traffic():
    _resets()


def packed_guest_resets_its_device_under_traffic():
    _resets(",packed=on", 4, 15)


main(globals())
