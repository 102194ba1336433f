#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""testpmd on virtio-user: every frame that a guest sends is accounted for."""
import itertools
import re

from harness import Testpmd, Weir, main, need, telemetry, wait_for
from harness.testpmd import virtio_user
from harness.weir import eal_options

SECONDS = 1
FRAMES_MIN = 2000


def _guests(n, endpoint):
    """Words for n guests on one endpoint, or each on its own when it has a %d."""
    words = []
    for i in range(n):
        words += ["--guest", f"name=g{i},socket=/run/weir/g{i}.sock,"
                             f"endpoint={endpoint.replace('%d', str(i))}"]
    return words


def _drops(counters):
    return {key: n for key, n in counters.items() if "dropped" in key and n != 0}


def _account(weir, i, sent, received):
    """weir counts what the guest counts, and dropped nothing."""
    guest = weir.guest(f"g{i}")
    need(guest["state"] == "up", f"g{i} is {guest['state']}: {guest['reason']}")
    need(not _drops(guest), f"g{i} dropped: {_drops(guest)}")
    for ours, theirs in ((guest["tx_packets"], sent["TX-packets"]),
                         (guest["tx_bytes"], sent["TX-bytes"]),
                         (guest["rx_packets"], received["RX-packets"]),
                         (guest["rx_bytes"], received["RX-bytes"])):
        need(ours == theirs, f"g{i}: weir counts {guest}, the guest {sent}, {received}")
    need(sent["TX-packets"] >= FRAMES_MIN, f"g{i} sent only {sent['TX-packets']} frames")


def _loopback(packed, mergeable):
    weir = Weir("--endpoint", "name=loop,type=loopback", *_guests(1, "loop"))
    pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock", packed, mergeable))
    for size in (64, 1400):
        pmd.do(f"set txpkts {size}")
        port = pmd.exchange(1, SECONDS)[0]
        need(port["TX-packets"] == port["RX-packets"], f"sent and received differ: {port}")
        _account(weir, 0, port, port)
    features = weir.guest("g0")["features"]
    need(("ring_packed" in features) == packed, f"features: {features}")
    need(("mrg_rxbuf" in features) == mergeable, f"features: {features}")
    pmd.quit()


def loopback_in_every_path_of_virtio_user():
    """Sixteen combinations; which code of the driver each takes is the driver's choice."""
    # Without it, no vectors for packed rings.
    eal = [*eal_options(2, 256), "--force-max-simd-bitwidth=512"]
    for packed, mergeable, in_order, vectorized in itertools.product((False, True), repeat=4):
        what = (f"packed={packed:d}, mrg_rxbuf={mergeable:d}, in_order={in_order:d}, "
                f"vectorized={vectorized:d}")
        weir = Weir("--endpoint", "name=loop,type=loopback", *_guests(1, "loop"))
        pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock", packed, mergeable)
                      + f",in_order={in_order:d},vectorized={vectorized:d}", eal=eal)
        port = pmd.exchange(1, SECONDS)[0]
        print(f"{what}: {port['RX-packets']} frames")
        need(port["TX-packets"] == port["RX-packets"], f"{what}: {port}")
        _account(weir, 0, port, port)
        features = weir.guest("g0")["features"]
        for name, wanted in (("ring_packed", packed), ("mrg_rxbuf", mergeable),
                             ("in_order", in_order)):
            need((name in features) == wanted, f"{what}: features: {features}")
        pmd.quit()
        weir.end()


def _patch(packed, mergeable):
    weir = Weir("--endpoint", "name=wire,type=patch", *_guests(2, "wire"))
    pmd = Testpmd("pmd", *(virtio_user(i, f"/run/weir/g{i}.sock", packed, mergeable)
                           for i in range(2)))
    for size in (64, 1400):
        pmd.do(f"set txpkts {size}")
        ports = pmd.exchange(2, SECONDS)
        for i in range(2):
            sent, received = ports[i], ports[1 - i]
            need(sent["TX-packets"] == received["RX-packets"],
                 f"g{i} sent {sent['TX-packets']}, the other received {received['RX-packets']}")
            _account(weir, i, sent, sent)
    pmd.quit()


def loopback_split_mergeable():
    _loopback(packed=False, mergeable=True)


def loopback_split_not_mergeable():
    _loopback(packed=False, mergeable=False)


def loopback_packed_mergeable():
    _loopback(packed=True, mergeable=True)


def loopback_packed_not_mergeable():
    _loopback(packed=True, mergeable=False)


def patch_split_mergeable():
    _patch(packed=False, mergeable=True)


def patch_split_not_mergeable():
    _patch(packed=False, mergeable=False)


def patch_packed_mergeable():
    _patch(packed=True, mergeable=True)


def patch_packed_not_mergeable():
    _patch(packed=True, mergeable=False)


def flows_of_a_guest_of_one_pair_reach_four_pairs():
    """The two guests are polled by lcores of their own."""
    weir = Weir("--endpoint", "name=wire,type=patch",
                *_guests(1, "wire"),
                "--guest", "name=g1,socket=/run/weir/g1.sock,endpoint=wire,queues=4",
                eal=eal_options(lcores=3))
    to = Testpmd("to", virtio_user(1, "/run/weir/g1.sock", queues=4),
                 words=("--rxq=4", "--txq=4"))
    to.do("set fwd rxonly")
    to.do("start")
    sender = Testpmd("sender", virtio_user(0, "/run/weir/g0.sock"),
                     words=("--txonly-multi-flow",))
    sender.do("set fwd txonly")
    sender.do("start")

    def received():
        text = to.do("show port xstats 0")
        return [int(re.search(rf"rx_q{i}_good_packets: (\d+)", text)[1]) for i in range(4)]

    wait_for("frames on each pair", lambda: min(received()) > FRAMES_MIN)
    sender.do("stop")
    sent = sender.counters(0)["TX-packets"]
    wait_for("the last frames", lambda: sum(received()) == sent)
    counts = received()
    need(max(counts) < 2 * min(counts), f"flows are not spread evenly: {counts}")
    for i in range(2):
        need(not _drops(weir.guest(f"g{i}")), f"g{i} dropped: {weir.guest(f'g{i}')}")
    sender.quit()
    to.quit()


def thirty_two_guests_on_one_lcore_are_all_served():
    n = 32
    endpoints = [word for i in range(n) for word in ("--endpoint", f"name=l{i},type=loopback")]
    weir = Weir(*endpoints, *_guests(n, "l%d"))
    need(len(telemetry("/weir/poller/list")) == 1, "one lcore polls")
    pmd = Testpmd("pmd", *(virtio_user(i, f"/run/weir/g{i}.sock") for i in range(n)),
                  words=("--port-topology=loop", "--total-num-mbufs=40960"), megabytes=384)
    ports = pmd.exchange(n, 5)
    for i, port in enumerate(ports):
        need(port["TX-packets"] == port["RX-packets"], f"g{i}: sent and received differ: {port}")
        _account(weir, i, port, port)
    counts = [port["RX-packets"] for port in ports]
    need(max(counts) < 3 * min(counts), f"one guest starves another: {sorted(counts)}")
    pmd.quit()


main(globals())
