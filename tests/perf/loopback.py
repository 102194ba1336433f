#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir's loopback endpoint beside testpmd's io forwarding over net_vhost.

One virtio-user guest (testpmd, io) on the first core keeps frames going round; the
back-end on the second core gives every frame back. The two take turns, so that whatever
the machine does meanwhile falls on both; medians of 5. Wants 2 cores and 1.5 GB of huge
pages, which it reserves for its own time when they are not there.
"""
import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import HugePages, Skip, Testpmd, Weir, main  # pylint: disable=wrong-import-position
from harness.testpmd import virtio_user  # pylint: disable=wrong-import-position

SIZES = (64, 1518)
ROUNDS = 5
SECONDS = 2.0
RATIO_MIN = 0.95
PAGES = 768  # of 2 MB
SOCKET = "/run/weir/g0.sock"


def _eal(lcores):
    return ["--lcores", lcores, "--no-pci", "--in-memory", "--single-file-segments", "-m", "512"]


def _weir(cores):
    return Weir("--endpoint", "name=loop,type=loopback",
                "--guest", f"name=g0,socket={SOCKET},endpoint=loop", eal=_eal(cores))


def _testpmd(cores):
    return Testpmd("back-end", f"net_vhost0,iface={SOCKET},queues=1", eal=_eal(cores),
                   words=("--auto-start", "--forward-mode=io", "--total-num-mbufs=65536"))


def _rate(back_end, first, second, size):
    """Frames a second, in millions, that go round."""
    peer = back_end(f"0@{first},1@{second}")
    guest = Testpmd("guest", virtio_user(0, SOCKET), eal=_eal(f"0@{first},1@{first}"))
    guest.do(f"set txpkts {size - 4}")  # the wire's check sum is not carried
    guest.do("start tx_first 4")
    time.sleep(0.5)
    guest.do("show port stats 0")
    time.sleep(SECONDS)
    rate = int(re.search(r"Rx-pps: *(\d+)", guest.do("show port stats 0"))[1]) / 1e6
    guest.kill()
    peer.kill()
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    return rate


def loopback():
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Skip("two cores are needed")
    slow = []
    with HugePages(PAGES):
        print(f"{'bytes':>6} {'testpmd':>9} {'weir':>9}  ratio   (Mpps, medians of {ROUNDS})")
        for size in SIZES:
            rates = {_testpmd: [], _weir: []}
            for _ in range(ROUNDS):
                for back_end, seen in rates.items():
                    seen.append(_rate(back_end, cores[0], cores[1], size))
            theirs, ours = (statistics.median(seen) for seen in rates.values())
            print(f"{size:>6} {theirs:9.2f} {ours:9.2f}  {ours / theirs:5.2f}", flush=True)
            if ours < RATIO_MIN * theirs:
                slow.append(size)
    if slow:
        raise AssertionError(f"less than {RATIO_MIN} of testpmd at {slow} bytes")


main(globals())
