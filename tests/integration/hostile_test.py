#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest that breaks its rings, its memory or its descriptors, beside one that does not.

Each case is a session of its own on the same socket: it ends with its reason, in the log
once and in telemetry, and the next one works.
"""
import contextlib
import itertools
import os
import struct
import threading
import time

from harness import Failure, Testpmd, Weir, main, need, wait_for
from harness.front_end import (AVAIL, CSUM, HIGH, INDIRECT, IS_INDIRECT, LOW, NEXT, REGION, RX, TX, USED,
                               WRITE, FrontEnd)
from harness.testpmd import virtio_user

SOCKET = "/run/weir/bad.sock"
HOLE = LOW + REGION         # no memory from here to HIGH
BUFFER = LOW + 0x100000     # of a frame that is right
TABLE = LOW + 0x180000      # of indirect descriptors
FRAME = 12 + 60             # with its header
TOP = 1 << 64

JUMP = "more chains are available than the ring has descriptors"
HEAD = "names a descriptor outside the table"
HELD = "available again before it was used"
GOES_ON = "goes on outside its table"
LONG = "loops or is longer than the ring"
NOWHERE = "where the guest has no memory"
WRAPS = "address and length wrap around"
NO_INDIRECT = "an indirect descriptor without VIRTIO_F_INDIRECT_DESC"
BOTH = "both indirect and part of a list"
NESTED = "an indirect table holds an indirect descriptor"
TABLE_SIZE = "an indirect table is not one of 1 to 32768 descriptors"
WRITABLE = "a frame to send lies in device-writable memory"
READABLE = "a receive buffer is not device-writable"
SHORT = "shorter than the virtio-net header"


def _entry(addr, length, flags=0, following=0, packed=False):
    """An indirect table's."""
    return struct.pack("<QIHH", addr % TOP, length,
                       *((0, flags) if packed else (flags, following)))


def _chain(*descs, ring=TX, heads=(0,)):
    """Write descriptors from the first on, each (address, length, flags, next), and show them."""
    def do(bad):
        for i, desc in reversed(list(enumerate(descs))):
            bad.rings[ring].write(i, *desc)
        if not bad.rings[ring].packed:
            bad.rings[ring].avail(*heads)
    return do


def _indirect(*entries, length=None, table=TABLE, flags=0, ring=TX):
    """One descriptor that points at a table of @entries."""
    def do(bad):
        packed = bad.rings[ring].packed
        for i, entry in enumerate(entries):
            bad.put(table + 16 * i, _entry(*entry, packed=packed))
        size = 16 * len(entries) if length is None else length
        _chain((table, size, IS_INDIRECT | flags), ring=ring)(bad)
    return do


def _avail(*heads, skip=0, ring=TX):
    """A frame that is right in the first descriptor, and this in the available ring."""
    def do(bad):
        bad.rings[ring].write(0, BUFFER, FRAME, WRITE if ring == RX else 0)
        bad.rings[ring].avail(*heads, skip=skip)
    return do


def _receive(bad):
    """Room for a frame, so that one that is sent comes back and is done."""
    _chain((BUFFER + 8192, 2048, WRITE), ring=RX)(bad)


def _back(bad):
    """The available index goes back behind what was taken."""
    _receive(bad)
    _chain((BUFFER, FRAME))(bad)
    wait_for("a frame to be taken", lambda: bad.rings[TX].used() == 1)
    bad.rings[TX].avail(skip=-1)


# name: (what is done, why the session ends); before the others, to rings as they are.
SPLIT_TX = {
    "index jumps over the ring": (_avail(0, skip=256), JUMP),
    "index jumps half the numbers": (_avail(0, skip=0x7fff), JUMP),
    "index goes back": (_back, JUMP),
    "head is the one behind the table": (_avail(256), HEAD),
    "head is the last number": (_avail(0xffff), HEAD),
    "head is given twice": (_avail(0, 0), HELD),
    "next is the one behind the table": (_chain((BUFFER, 30, NEXT, 256)), GOES_ON),
    "next is the last number": (_chain((BUFFER, 30, NEXT, 0xffff)), GOES_ON),
    "descriptor goes on with itself": (_chain((BUFFER, 1, NEXT, 0)), LONG),
    "two descriptors go on with each other":
        (_chain((BUFFER, 1, NEXT, 1), (BUFFER, 1, NEXT, 0)), LONG),
    "whole table goes round":
        (_chain(*((BUFFER, 1, NEXT, (i + 1) % 256) for i in range(256))), LONG),
    "address in the hole": (_chain((HOLE, FRAME)), NOWHERE),
    "address above all memory": (_chain((HIGH + REGION, FRAME)), NOWHERE),
    "address is the last number": (_chain((TOP - 1, 1)), WRAPS),
    "address wraps around": (_chain((TOP - 16, FRAME)), WRAPS),
    "frame runs into the hole": (_chain((HOLE - 20, FRAME)), NOWHERE),
    "last byte is in the hole": (_chain((HOLE - FRAME + 1, FRAME)), NOWHERE),
    "second part in the hole": (_chain((BUFFER, 12, NEXT, 1), (HOLE, 60)), NOWHERE),
    "length of 4 GB": (_chain((BUFFER, 0xffffffff)), NOWHERE),
    "frame in writable memory": (_chain((BUFFER, FRAME, WRITE)), WRITABLE),
    "second part in writable memory":
        (_chain((BUFFER, 12, NEXT, 1), (BUFFER, 60, WRITE)), WRITABLE),
    "eleven bytes": (_chain((BUFFER, 11)), SHORT),
    "no bytes": (_chain((BUFFER, 0)), SHORT),
    "two parts of no bytes": (_chain((BUFFER, 0, NEXT, 1), (BUFFER, 0)), SHORT),
}
SPLIT_INDIRECT = {
    "indirect and chained": (_indirect((BUFFER, FRAME), flags=NEXT), BOTH),
    "table in a table": (_indirect((TABLE, 16, IS_INDIRECT)), NESTED),
    "table in a table's second entry":
        (_indirect((BUFFER, 12, NEXT, 1), (TABLE, 16, IS_INDIRECT)), NESTED),
    "table of no bytes": (_indirect((BUFFER, FRAME), length=0), TABLE_SIZE),
    "table of 15 bytes": (_indirect((BUFFER, FRAME), length=15), TABLE_SIZE),
    "table of 17 bytes": (_indirect((BUFFER, FRAME), length=17), TABLE_SIZE),
    "table of 32769 entries": (_indirect((BUFFER, FRAME), length=32769 * 16), TABLE_SIZE),
    "table in the hole": (_chain((HOLE, 32, IS_INDIRECT)), NOWHERE),
    "table that wraps around": (_chain((TOP - 16, 32, IS_INDIRECT)), WRAPS),
    "table that runs into the hole":
        (_indirect((BUFFER, 12, NEXT, 1), table=HOLE - 16, length=32), NOWHERE),
    "table's next behind its end":
        (_indirect((BUFFER, 12, NEXT, 2), (BUFFER, 60)), GOES_ON),
    "table goes round": (_indirect((BUFFER, 1, NEXT, 1), (BUFFER, 1, NEXT, 0)), LONG),
    "table's frame in the hole": (_indirect((HOLE, FRAME)), NOWHERE),
    "table's frame in writable memory": (_indirect((BUFFER, FRAME, WRITE)), WRITABLE),
    "table of empty parts": (_indirect((BUFFER, 0, NEXT, 1), (BUFFER, 0)), SHORT),
}
# Looked at when a frame comes.
SPLIT_RX = {
    "buffer that is not writable": (_chain((BUFFER, 2048, 0), ring=RX), READABLE),
    "second part that is not writable":
        (_chain((BUFFER, 12, WRITE | NEXT, 1), (BUFFER, 2048, 0), ring=RX), READABLE),
    "buffer in the hole": (_chain((HOLE, 2048, WRITE), ring=RX), NOWHERE),
    "buffer that wraps around": (_chain((TOP - 16, 2048, WRITE), ring=RX), WRAPS),
    "buffer of eleven bytes": (_chain((BUFFER, 11, WRITE), ring=RX), SHORT),
    "buffers go round": (_chain((BUFFER, 1, WRITE | NEXT, 0), ring=RX), LONG),
    "rx head behind the table": (_avail(256, ring=RX), HEAD),
    "rx index jumps": (_avail(0, skip=256, ring=RX), JUMP),
    "rx indirect, not negotiated": (_chain((TABLE, 16, WRITE | IS_INDIRECT), ring=RX), NO_INDIRECT),
}
PACKED_TX = {
    "packed: every descriptor goes on": (_chain(*[(BUFFER, 1, NEXT)] * 256), LONG),
    "packed: address in the hole": (_chain((HOLE, FRAME)), NOWHERE),
    "packed: address wraps around": (_chain((TOP - 16, FRAME)), WRAPS),
    "packed: frame runs into the hole": (_chain((HOLE - 20, FRAME)), NOWHERE),
    "packed: frame in writable memory": (_chain((BUFFER, FRAME, WRITE)), WRITABLE),
    "packed: eleven bytes": (_chain((BUFFER, 11)), SHORT),
    "packed: indirect, not negotiated": (_chain((TABLE, 16, IS_INDIRECT)), NO_INDIRECT),
}
PACKED_INDIRECT = {
    "packed: indirect and chained": (_indirect((BUFFER, FRAME), flags=NEXT), BOTH),
    "packed: indirect at a chain's end":
        (_chain((BUFFER, 12, NEXT), (TABLE, 16, IS_INDIRECT)), BOTH),
    "packed: table in a table": (_indirect((TABLE, 16, IS_INDIRECT)), NESTED),
    "packed: table of 15 bytes": (_indirect((BUFFER, FRAME), length=15), TABLE_SIZE),
    "packed: table in the hole": (_chain((HOLE, 32, IS_INDIRECT)), NOWHERE),
}
PACKED_RX = {
    "packed: buffer that is not writable": (_chain((BUFFER, 2048), ring=RX), READABLE),
    "packed: buffer in the hole": (_chain((HOLE, 2048, WRITE), ring=RX), NOWHERE),
}


class _Beside:
    """weir with one lcore, a guest that sends all the time, and room for a bad one."""

    def __init__(self, bad="type=loopback", path="engine"):
        self.weir = Weir("--endpoint", "name=sink,type=null", "--endpoint", f"name=bad,{bad}",
                         "--guest", "name=good,socket=/run/weir/good.sock,endpoint=sink",
                         "--guest", f"name=bad,socket={SOCKET},endpoint=bad,datapath={path}")
        self.pmd = Testpmd("pmd", virtio_user(0, "/run/weir/good.sock"),
                           words=("--forward-mode=txonly",))
        self.pmd.do("start")
        wait_for("frames", lambda: self._packets() > 1000)
        self.seen = {"polite": [0, 0.0], "hostile": [0, 0.0]}
        self.ends = 0

    def _packets(self):
        return self.weir.guest("good")["tx_packets"]

    @contextlib.contextmanager
    def session(self, manners="hostile", **how):
        """A guest that is up, then gone, and what the other one did meanwhile."""
        packets, then = self._packets(), time.monotonic()
        with FrontEnd(SOCKET, up=lambda: self.state() == "up", **how) as front_end:
            yield front_end
        wait_for("it to be gone", lambda: self.state() == "waiting")
        self.seen[manners][0] += self._packets() - packets
        self.seen[manners][1] += time.monotonic() - then

    def state(self):
        return self.weir.guest("bad")["state"]

    def ended(self, what, why):
        """The session ended for that reason, which was said once."""
        self.ends += 1
        wait_for(f"'{what}' to end the session", lambda: self.state() == "failed")
        reason = self.weir.guest("bad")["reason"]
        need(why in reason, f"'{what}': {why}: but it is: {reason}")
        said = self.weir.log().count("guest bad: stopped: ")
        need(said == self.ends, f"'{what}': {said - self.ends + 1} lines in the log")

    def one_frame(self, **how):
        """A guest that does as it should on the same socket."""
        with self.session("polite", **how) as good:
            _receive(good)
            _chain((BUFFER, FRAME))(good)
            wait_for("its frame to be taken",
                     lambda: self.weir.guest("bad")["pairs"]["pair_0"]["broken"] == "no"
                     and good.rings[TX].used() == 1)
            time.sleep(0.1)  # as long as others take to be found out

    def stall(self, seconds):
        """The longest time in the next @seconds that the other guest moved nothing."""
        end = time.monotonic() + seconds
        longest, since, packets = 0.0, time.monotonic(), self._packets()
        while (now := time.monotonic()) < end:
            if self._packets() != packets:
                since, packets = now, self._packets()
            longest = max(longest, now - since)
        return longest

    def fair(self, session, share=0.5):
        """The other guest's rate beside bad ones is its fair share of that beside good ones.

        The machine has other things to do: what falls short is measured anew, a bad @session
        and a good one by turns. What bad guests cause comes again every time.
        """
        for again in range(4):
            if again > 0:
                self.seen = {manners: [0, 0.0] for manners in self.seen}
                for _ in range(8):
                    session()
                    self.one_frame()
            rate = {manners: packets / seconds
                    for manners, (packets, seconds) in self.seen.items()}
            print("the other guest: " + ", ".join(
                f"{n / 1000:.0f} k/s beside {manners} ones" for manners, n in rate.items()))
            if rate["hostile"] >= share * rate["polite"]:
                return
        raise Failure(f"its rate fell to {rate['hostile'] / rate['polite']:.2f}, each time")


def _cases(*groups):
    """Each case of (cases, how the front-end is made, whether a frame is to come)."""
    beside = _Beside()

    def session(what, do, why, how, frame):
        with beside.session(**how) as bad:
            do(bad)
            if frame:
                bad.put(BUFFER + 4096, bytes(FRAME))
                bad.rings[TX].write(0, BUFFER + 4096, FRAME)
                if not bad.rings[TX].packed:
                    bad.rings[TX].avail(0)
            beside.ended(what, why)

    every = [(what, do, why, how, frame) for cases, how, frame in groups
             for what, (do, why) in cases.items()]
    for case in every:
        session(*case)
        if beside.ends % 3 == 0:
            beside.one_frame()
    print(f"{beside.ends} cases")
    beside.one_frame()
    again = itertools.cycle(every)
    beside.fair(lambda: session(*next(again)))


def split_rings_that_are_broken_end_their_session_alone():
    _cases((SPLIT_TX, {}, False), (SPLIT_INDIRECT, {"features": INDIRECT}, False),
           (SPLIT_RX, {}, True))


def packed_rings_that_are_broken_end_their_session_alone():
    _cases((PACKED_TX, {"packed": True}, False),
           (PACKED_INDIRECT, {"packed": True, "features": INDIRECT}, False),
           (PACKED_RX, {"packed": True}, True))


def _flip(bad, addr, one, other, seconds=0.4):
    """Two values in turn, while frames are sent from all descriptors over and over."""
    end = time.monotonic() + seconds
    flipping = True

    def flip():
        at = bad.offset(addr)
        while flipping:
            bad.map[at:at + len(one)] = one
            bad.map[at:at + len(one)] = other

    thread = threading.Thread(target=flip)
    thread.start()
    ring = bad.rings[TX]
    while time.monotonic() < end:
        if ring.packed:
            flags = struct.unpack("<H", bad.get(ring.desc + 16 * (ring.next % ring.size) + 14, 2))[0]
            done = bool(flags & AVAIL) == bool(flags & USED)
        else:
            done = ring.used() == ring.next & 0xffff
        if done and ring.packed:
            ring.write(0, BUFFER, FRAME)
            ring.next += 1
        elif done:
            ring.avail(*range(64))
    flipping = False
    thread.join()


def what_changes_while_it_is_read_harms_nobody():
    beside = _Beside("type=null")
    frame = struct.pack("<QIHH", BUFFER, FRAME, 0, 0)
    desc = 0x20000  # of the tx ring's first descriptor
    flips = {
        "address": (desc, struct.pack("<Q", BUFFER), struct.pack("<Q", HOLE)),
        "length": (desc + 8, struct.pack("<I", FRAME), struct.pack("<I", 0xffffffff)),
        "flags": (desc + 12, struct.pack("<H", 0), struct.pack("<H", NEXT | IS_INDIRECT)),
        "next": (desc + 12, struct.pack("<HH", NEXT, 1), struct.pack("<HH", NEXT, 0x7fff)),
        "all of it": (desc, frame, struct.pack("<QIHH", TOP - 8, 0xffffffff, 7, 0xffff)),
        "header": (BUFFER, bytes(12), b"\xff" * 12),
        "available index": (desc + 4096 + 2, b"\x40\0", b"\x41\0"),
        "head": (desc + 4096 + 4, b"\0\0", b"\xff\xff"),
    }

    def session(packed, what):
        with beside.session(packed=packed, features=INDIRECT) as bad:
            for i in range(64 if not packed else 0):
                bad.rings[TX].write(i, BUFFER, FRAME)
            _flip(bad, *flips[what])
            state = beside.weir.guest("bad")
            need(state["state"] in ("up", "failed"), f"{what}: it is {state['state']}")
            print(f"packed={packed}, {what}: {state['state']}: {state['reason']}")

    every = list(itertools.product((False, True), flips))
    for case in every:
        session(*case)
        beside.one_frame()
    again = itertools.cycle(every)
    beside.fair(lambda: session(*next(again)))


def _truncates(endpoint="type=null", path="engine", packed=False):
    """The file behind a guest's memory is cut while its frames are on their way."""
    beside = _Beside(endpoint, path)
    for size in (0, 4096, REGION):
        # With 0 nothing is left, with 4096 a page that is not a ring's, then all but the frames.
        # With CSUM headers are read, and so what a null endpoint gets is touched at all.
        with beside.session(packed=packed, features=CSUM) as bad:
            ring = bad.rings[TX]
            for i in range(64):
                ring.write(i, HIGH + 4096 * i, FRAME)
            os.ftruncate(bad.fd, size)
            if size == REGION and not packed:
                ring.avail(*range(64))
            os.eventfd_write(ring.kick, 1)
            wait_for("its pair to be stopped", lambda: "its memory is gone" in str(
                beside.weir.guest("bad")))
            if path == "engine":
                wait_for("its session to end", lambda: beside.state() == "failed")
        need(beside.stall(0.3) < 0.2, "the other guest goes on")
        beside.one_frame()


def memory_that_is_truncated_stops_its_guest_alone():
    _truncates()


def memory_of_packed_rings_that_is_truncated_stops_its_guest_alone():
    _truncates(packed=True)


def memory_that_is_truncated_stops_its_guest_alone_by_the_library():
    _truncates(path="library")


def memory_that_is_truncated_below_a_tap_stops_its_guest_alone():
    _truncates("type=tap,iface=weir0")


def call_descriptor_that_blocks_holds_nobody_up():
    beside = _Beside()
    with beside.session() as bad:
        bad.block_calls()
        _receive(bad)
        _chain((BUFFER, FRAME))(bad)
        stall = beside.stall(1)
        beside.ended("its call descriptor", "its call descriptor blocks")
    print(f"the other guest stood still for {1000 * stall:.0f} ms")
    need(stall < 0.4, f"the other guest stood still for {stall:.1f} s")
    with FrontEnd(SOCKET):
        wait_for("it to be refused for a while",
                 lambda: "it is not served for the next" in beside.weir.guest("bad")["reason"])
    time.sleep(4)
    beside.one_frame()


main(globals())
