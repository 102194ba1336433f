#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest goes on while its queue pairs change lcores and its endpoint is swapped."""
import subprocess
import time

from harness import Guest, Nic, Testpmd, Weir, main, need, tcp, telemetry, wait_for
from harness.testpmd import virtio_user
from harness.weir import eal_options

# With an address of its own, a tap that lost its carrier is the same to a guest's ARP cache.
TAP = ("--endpoint", "name=up,type=tap,iface=weir0,mac=52:54:00:00:00:01")
SOCKET = "/run/weir/g0.sock"
GUEST = ("--guest", f"name=g0,socket={SOCKET},endpoint=up")
MOVES = 100
SWAPS = 20


def _address_of_host():
    subprocess.run(["ip", "addr", "add", "10.0.0.1/24", "dev", "weir0"], check=True)
    subprocess.run(["ip", "link", "set", "weir0", "up"], check=True)


def _done(command):
    """Have a command done, which answers when it has taken effect."""
    answer = telemetry(command)
    need(isinstance(answer, dict), f"{command}: {answer}")


def _retransmitted():
    """TCP segments that this host has sent again."""
    with open("/proc/net/snmp", encoding="ascii") as file:
        names, values = [line.split() for line in file if line.startswith("Tcp:")]
    return int(values[names.index("RetransSegs")])


def tcp_goes_on_while_its_queue_moves_between_lcores_100_times():
    weir = Weir(*TAP, *GUEST, eal=eal_options(lcores=3))
    _address_of_host()
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
    with tcp.stream_to(guest, "10.0.0.1") as sent:
        wait_for("bytes to flow", lambda: sent() > 1 << 20)
        for n in range(MOVES):
            _done(f"/weir/move/guest,g0,0,{1 + n % 2}")
            lcore = weir.guest("g0")["pairs"]["pair_0"]["lcore"]
            need(lcore == 1 + n % 2, f"move {n}: lcore {lcore} polls the pair")
            before = sent()
            wait_for("bytes to flow on", lambda: sent() > before + (1 << 18))
    seen = weir.guest("g0")
    for name, value in seen.items():
        need("dropped" not in name or value == 0, f"{name} is {value}")
    need(seen["ups"] == 1, "the guest stays up")
    print(f"{MOVES} moves, {_retransmitted()} segments sent again")


def tcp_goes_on_while_its_endpoint_is_swapped_20_times():
    weir = Weir(*TAP, "--endpoint", "name=nowhere,type=patch", *GUEST)
    _address_of_host()
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
    with tcp.stream_to(guest, "10.0.0.1") as sent:
        wait_for("bytes to flow", lambda: sent() > 1 << 20)
        for n in range(SWAPS):
            _done("/weir/swap/guest,g0,nowhere")
            need(weir.guest("g0")["link"] == "down", "a patch without a peer has no link")
            need(telemetry("/weir/endpoint/info,up")["guests"] == [], "the tap is free")
            time.sleep(0.02)
            _done("/weir/swap/guest,g0,up")
            before = sent()
            wait_for(f"bytes to flow after swap {n}", lambda: sent() > before + (1 << 18), 30)
    seen = weir.guest("g0")
    need(seen["ups"] == 1 and seen["state"] == "up", "the guest stays up")
    need(seen["endpoint"] == "up" and seen["link"] == "up", "the guest is on the tap again")
    # What it says into the void is counted there.
    print(f"{2 * SWAPS} swaps, {_retransmitted()} segments sent again, "
          f"{weir.endpoint('nowhere')['tx_dropped_host']} frames said to nobody")
    before = seen["tx_packets"]
    guest.ping("10.0.0.1")
    need(weir.guest("g0")["tx_packets"] > before, "its counters go on")


def swap_that_breaks_a_promise_is_refused():
    weir = Weir(*TAP, "--endpoint", "name=stack,type=frames",
                "--guest", f"name=g0,socket={SOCKET},endpoint=up,mtu=4000")
    _address_of_host()
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
    answer = telemetry("/weir/swap/guest,g0,stack")
    need("an mtu of 1500, guest 'g0' of 4000" in answer, answer)
    need(weir.guest("g0")["endpoint"] == "up", "it stays where it is")
    guest.ping("10.0.0.1")
    answer = telemetry("/weir/move/guest,g0,0,7")
    need("lcore 7 polls nothing: these do: 1" in answer, answer)


def busy_guests_are_spread_over_lcores_and_stay():
    sockets = [SOCKET, "/run/weir/g1.sock"]
    weir = Weir("--spread", "load", "--endpoint", "name=loop,type=loopback",
                *(word for n in range(2) for word in
                  ("--guest", f"name=g{n},socket={sockets[n]},endpoint=loop")),
                eal=eal_options(lcores=3))

    def lcores():
        return [weir.guest(f"g{n}")["pairs"]["pair_0"]["lcore"] for n in range(2)]

    for n in range(2):
        _done(f"/weir/move/guest,g{n},0,1")
    pmd = Testpmd("pmd", *(virtio_user(n, path) for n, path in enumerate(sockets)))
    pmd.do("start tx_first 8")
    need(lcores() == [1, 1], "a pair moved by hand rests there")
    wait_for("one to be moved", lambda: lcores() != [1, 1], 40)
    then = lcores()
    time.sleep(25)
    need(lcores() == then, f"the lcores were {then}, and are {lcores()}")
    moved = [telemetry(f"/weir/poller/stats,lcore{n}")["pairs_moved_here"] for n in (1, 2)]
    need(sum(moved) == 1, f"pairs were moved {moved} times")
    pmd.quit()


main(globals())
