# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user front-end with a guest of its own making: memory, rings, and no manners.

It says what a front-end says (vhost-user, "Message types") and writes into its memory
whatever a claim wants there.
"""
import array
import fcntl
import mmap
import os
import socket
import struct

from .claim import wait_for

# vhost-user, "Front-end message types".
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 8, 9, 10
SET_VRING_KICK, SET_VRING_CALL = 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, SET_VRING_ENABLE = 15, 16, 18

# virtio 1.1, 5.1.3, 6 and 2.6.5.
CSUM, MRG_RXBUF, INDIRECT, PROTOCOL_FEATURES = 1 << 0, 1 << 15, 1 << 28, 1 << 30
VERSION_1, PACKED = 1 << 32, 1 << 34
NEXT, WRITE, IS_INDIRECT = 1, 2, 4
AVAIL, USED = 1 << 7, 1 << 15

RX, TX = 0, 1
# Two regions of guest physical memory with nothing between them.
REGION = 2 << 20
LOW, HIGH = 0, 64 << 20
USER = 0x7f0000000000


class Ring:
    """One of its virtqueues, in its memory: descriptors, and who is told of them."""

    def __init__(self, front_end, index, size, packed):
        self.memory = front_end
        self.index, self.size, self.packed = index, size, packed
        self.desc = 0x10000 * (index + 1)
        self.driver = self.desc + 16 * size
        self.device = (self.driver + 6 + 2 * size + 4095) & ~4095
        self.next = 0
        self.kick = os.eventfd(0, os.EFD_NONBLOCK)
        self.call = os.eventfd(0, os.EFD_NONBLOCK)

    def write(self, i, addr, length, flags=0, more=0):
        """A descriptor; of a packed ring, @more is its id and it is available at once."""
        if self.packed:
            flags |= AVAIL if not (self.next + i) // self.size % 2 else USED
        else:
            i %= self.size
        self.memory.put(self.desc + 16 * (i % self.size),
                        struct.pack("<QIHH", addr & (1 << 64) - 1, length,
                                    *((more, flags) if self.packed else (flags, more))))

    def avail(self, *heads, skip=0):
        """Split: make heads available. @skip: and say so many more."""
        for head in heads:
            self.memory.put(self.driver + 4 + 2 * (self.next % self.size), struct.pack("<H", head))
            self.next += 1
        self.memory.put(self.driver + 2, struct.pack("<H", (self.next + skip) & 0xffff))

    def used(self):
        """Split: the used ring's index."""
        return struct.unpack("<H", self.memory.get(self.device + 2, 2))[0]


class FrontEnd:
    """Connected, its rings of one queue pair up: the constructor returns when weir polls them."""

    def __init__(self, path, packed=False, size=256, features=0, up=None, call=None):
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, 2 * REGION)
        self.map = mmap.mmap(self.fd, 2 * REGION)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(path)
        self.rings = [Ring(self, index, size, packed) for index in (RX, TX)]
        if call is not None:
            for ring in self.rings:
                os.close(ring.call)
                ring.call = os.dup(call)
        self._handshake(VERSION_1 | features | (PACKED if packed else 0))
        if up:
            wait_for("its rings to be polled", up)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Go away, as a front-end that crashes."""
        self.sock.close()
        self.map.close()
        for fd in (self.fd, *(fd for ring in self.rings for fd in (ring.kick, ring.call))):
            os.close(fd)

    def offset(self, addr):
        """Where guest physical memory lies in the file."""
        return addr if addr < REGION else REGION + addr - HIGH

    def put(self, addr, data):
        """Write guest physical memory."""
        at = self.offset(addr)
        self.map[at:at + len(data)] = data

    def get(self, addr, length):
        at = self.offset(addr)
        return self.map[at:at + length]

    def say(self, request, payload=b"", fds=(), answer=False):
        """A message; with @answer, the payload of what comes back."""
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([struct.pack("<III", request, 1, len(payload)) + payload], control)
        if not answer:
            return b""
        header = self.sock.recv(12, socket.MSG_WAITALL)
        size = struct.unpack("<III", header)[2]
        return self.sock.recv(size, socket.MSG_WAITALL)

    def _handshake(self, features):
        offered, = struct.unpack("<Q", self.say(GET_FEATURES, answer=True))
        assert features & ~offered == 0, f"features {features & ~offered:#x} are not offered"
        self.say(SET_OWNER)
        self.say(SET_FEATURES, struct.pack("<Q", features))
        self.memory_table()
        for ring in self.rings:
            index = ring.index
            base = 0x80008000 if ring.packed else 0
            self.say(SET_VRING_NUM, struct.pack("<II", index, ring.size))
            self.say(SET_VRING_BASE, struct.pack("<II", index, base))
            self.say(SET_VRING_ADDR, struct.pack("<IIQQQQ", index, 0, USER + ring.desc,
                                                 USER + ring.device, USER + ring.driver, 0))
            self.say(SET_VRING_CALL, struct.pack("<Q", index), (ring.call,))
            self.say(SET_VRING_KICK, struct.pack("<Q", index), (ring.kick,))

    def memory_table(self):
        """Two regions of one file."""
        regions = ((LOW, 0), (HIGH, REGION))
        self.say(SET_MEM_TABLE, struct.pack("<II", len(regions), 0) + b"".join(
            struct.pack("<QQQQ", guest, REGION, USER + guest, offset)
            for guest, offset in regions), [self.fd] * len(regions))

    def block_calls(self):
        """Whoever calls us waits: the counters are full and are waited for."""
        for ring in self.rings:
            os.set_blocking(ring.call, False)
            try:
                os.eventfd_write(ring.call, (1 << 64) - 2 - self._counter(ring.call))
            except BlockingIOError:
                pass
            flags = fcntl.fcntl(ring.call, fcntl.F_GETFL)
            fcntl.fcntl(ring.call, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)

    @staticmethod
    def _counter(fd):
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            pass
        return 0
