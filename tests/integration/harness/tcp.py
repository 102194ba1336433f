# SPDX-License-Identifier: BSD-3-Clause
"""Transfers over TCP: all bytes arrive, or the claim is false. Rates are by the way."""
import hashlib
import os
import socket
import time

from .claim import need, wait_for

PORT = 5001
MEGABYTES = 64
# A nc that meets the end of its input says so to the other, which then leaves: give it
# an input that never ends.
RECEIVE = f"nc -l -p {PORT} </dev/ttyS0 >/tmp/data"


def _report(way, size, seconds):
    print(f"{way}: {size >> 20} MB in {seconds:.2f} s, {size * 8 / seconds / 1e9:.2f} Gbit/s")


def host_to_guest(guest, address, megabytes=MEGABYTES):
    """Send random bytes into /tmp/data of the guest; their sha256 there is ours."""
    data = os.urandom(1 << 20) * megabytes
    guest.start(RECEIVE)

    def connect():
        try:
            return socket.create_connection((address, PORT), 5)
        except ConnectionRefusedError:
            return None

    with wait_for(f"{guest.name} to listen", connect, 20) as sock:
        sock.settimeout(60)
        start = time.monotonic()
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        need(sock.recv(1) == b"", f"{guest.name} answers what it should keep")
        _report(f"host to {guest.name}", len(data), time.monotonic() - start)
    guest.finish()
    _same(f"{hashlib.sha256(data).hexdigest()} {len(data)}", digest(guest, "/tmp/data"), guest)


def guest_to_host(guest, address):
    """Send /tmp/data of the guest to the host; its sha256 is the same here."""
    sha256 = hashlib.sha256()
    size = 0
    with socket.create_server((address, PORT)) as server:
        server.settimeout(20)
        guest.start(f"nc {address} {PORT} </tmp/data")
        sock, _ = server.accept()
        with sock:
            sock.settimeout(60)
            start = time.monotonic()
            while piece := sock.recv(1 << 20):
                sha256.update(piece)
                size += len(piece)
            _report(f"{guest.name} to host", size, time.monotonic() - start)
    guest.finish()
    _same(digest(guest, "/tmp/data"), f"{sha256.hexdigest()} {size}", guest)


def guest_to_guest(sender, receiver, address, megabytes=MEGABYTES):
    """Send random bytes from one guest into /tmp/data of the other."""
    sender.must(f"[ -s /tmp/data ] || dd if=/dev/urandom of=/tmp/data bs=1M count={megabytes}")
    receiver.start(RECEIVE)
    start = time.monotonic()
    # A refused connection is one the other did not listen for yet.
    sender.must(f"for i in 1 2 3 4 5 6 7 8 9 10; do nc {address} {PORT} </tmp/data 2>/dev/null "
                "&& exit 0; sleep 0.2; done; exit 1", 90)
    receiver.finish()
    _report(f"{sender.name} to {receiver.name}", megabytes << 20, time.monotonic() - start)
    _same(digest(sender, "/tmp/data"), digest(receiver, "/tmp/data"), receiver)


def digest(guest, path):
    """The sha256 of a file in the guest, and its size."""
    return " ".join(guest.must(f"sha256sum <{path}; stat -c %s {path}").replace("-", "").split())


def _same(sent, received, guest):
    need(sent == received, f"{guest.name}: sha256 and size {sent} was sent, {received} received")
