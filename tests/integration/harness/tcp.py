# SPDX-License-Identifier: BSD-3-Clause
"""Transfers over TCP: all bytes arrive, or the claim is false. Rates are by the way.

A guest receives by busybox's nc and sends by its httpd, which sends a file in pieces as
long as the stack can make them.
"""
import contextlib
import hashlib
import os
import socket
import threading
import time
import urllib.request

from .claim import need

PORT = 5001
MEGABYTES = 64
PATH = "/tmp/data"


def _report(way, size, seconds):
    print(f"{way}: {size >> 20} MB in {seconds:.2f} s, {size * 8 / seconds / 1e9:.2f} Gbit/s")


def serve(guest):
    """Have a guest offer its /tmp; harmless when it does."""
    guest.must(f"pidof httpd >/dev/null || httpd -p {PORT} -h /tmp")


def _digest(guest, path=PATH, skip=""):
    """sha256 of the guest's file."""
    return guest.must(f"{{ {skip} sha256sum; }} <{path}", 90).split()[0]


def _same(sent, received, guest):
    need(sent == received, f"{guest.name}: sha256 {sent} was sent, {received} received")


def host_to_guest(guest, host_address, megabytes=MEGABYTES):
    """The guest gets random bytes from the host; their sha256 there is ours."""
    data = os.urandom(1 << 20) * megabytes

    def send():
        sock, _ = server.accept()
        with sock:
            sock.settimeout(60)
            sock.sendall(data)

    with socket.create_server((host_address, PORT)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        start = time.monotonic()
        # The console never ends: at an end of its input nc would say that it has finished.
        guest.must(f"nc {host_address} {PORT} </dev/ttyS0 >{PATH}", 90)
        _report(f"host to {guest.name}", len(data), time.monotonic() - start)
        thread.join(20)
    _same(hashlib.sha256(data).hexdigest(), _digest(guest), guest)


@contextlib.contextmanager
def stream_to(guest, host_address):
    """One connection on which the guest gets random bytes for as long as the block runs.

    Yields a function that tells how many it was sent; at the end both sha256 are the same.
    """
    block = os.urandom(1 << 20)
    sha256 = hashlib.sha256()
    ends = threading.Event()
    sent = 0

    def send():
        nonlocal sent
        sock, _ = server.accept()
        with sock:
            sock.settimeout(60)
            # What waits in our own buffer is bytes that have not crossed.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
            while not ends.is_set():
                at = sent % (len(block) - 65536)
                sock.sendall(block[at:at + 65536])
                sha256.update(block[at:at + 65536])
                sent += 65536

    with socket.create_server((host_address, PORT)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        guest.start(f"nc {host_address} {PORT} </dev/ttyS0 | sha256sum")
        start = time.monotonic()
        try:
            yield lambda: sent
        finally:
            ends.set()
        received = guest.finish(90).split()[0]
        _report(f"host to {guest.name}", sent, time.monotonic() - start)
        thread.join(20)
    _same(sha256.hexdigest(), received, guest)


def guest_to_host(guest, guest_address):
    """The host gets the guest's file, of random bytes; its sha256 is the same here."""
    sha256 = hashlib.sha256()
    size = 0
    serve(guest)
    start = time.monotonic()
    with urllib.request.urlopen(f"http://{guest_address}:{PORT}/data", timeout=20) as answer:
        while piece := answer.read(1 << 20):
            sha256.update(piece)
            size += len(piece)
    _report(f"{guest.name} to host", size, time.monotonic() - start)
    _same(_digest(guest), sha256.hexdigest(), guest)


def guest_to_guest(sender, receiver, sender_address, megabytes=MEGABYTES):
    """One guest gets random bytes from the other; the sha256 is the same on both."""
    sender.must(f"dd if=/dev/urandom of={PATH} bs=1M count={megabytes}")
    serve(sender)
    start = time.monotonic()
    receiver.must("printf 'GET /data HTTP/1.0\\r\\n\\r\\n' | "
                  f"nc {sender_address} {PORT} >/tmp/answer", 90)
    _report(f"{sender.name} to {receiver.name}", megabytes << 20, time.monotonic() - start)
    _same(_digest(sender), _digest(receiver, "/tmp/answer",
                                   "while read -r line && [ ${#line} -gt 1 ]; do :; done;"),
          receiver)
    sender.must(f"rm {PATH}")
    receiver.must("rm /tmp/answer")
