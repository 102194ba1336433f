#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest talks to the host, and to another guest."""
import contextlib
import subprocess

from harness import Guest, Nic, Skip, Weir, main, need, tcp
from harness.weir import eal_options

TAP = ("--endpoint", "name=up,type=tap,iface=weir0")
GUEST = "name=g0,socket=/run/weir/g0.sock,endpoint=up"


def _address_of_host():
    subprocess.run(["ip", "addr", "add", "10.0.0.1/24", "dev", "weir0"], check=True)
    subprocess.run(["ip", "link", "set", "weir0", "up"], check=True)


def _offloads_are_on(guest):
    text = guest.must("ethtool -k eth0")
    for feature in ("rx-checksumming", "tx-checksumming", "tcp-segmentation-offload"):
        need(f"{feature}: on" in text, f"{guest.name}: {feature} is off:\n{text}")


@contextlib.contextmanager
def _long_frames(weir, name, way):
    """More bytes a frame than the MTU has: what moves meanwhile is not cut to it."""
    before = weir.guest(name)
    yield
    after = weir.guest(name)
    n_bytes, n_packets = (after[f"{way}_{of}"] - before[f"{way}_{of}"]
                          for of in ("bytes", "packets"))
    need(n_bytes > 1514 * n_packets,
         f"{name} {way}: {n_bytes / n_packets:.0f} bytes a frame: TSO is not used")


def ping_and_tcp_reach_the_host_tap_and_back():
    weir = Weir(*TAP, "--guest", GUEST)
    _address_of_host()
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24"))
    guest.ping("10.0.0.1")
    _offloads_are_on(guest)
    with _long_frames(weir, "g0", "rx"):
        tcp.host_to_guest(guest, "10.0.0.1")
    with _long_frames(weir, "g0", "tx"):
        tcp.guest_to_host(guest, "10.0.0.2")
    subprocess.run(["ping", "-c", "3", "-W", "5", "10.0.0.2"], check=True, capture_output=True)


def _transfers_by_tap(io, queues=1):
    weir = Weir(*TAP[:-1], TAP[-1] + f",io={io}", "--guest", GUEST + f",queues={queues}")
    _address_of_host()
    used = weir.endpoint("up")["io"]
    if used != io and "io_uring is refused" in weir.log():
        raise Skip(f"io={io}: io_uring is refused here")
    need(used == io, f"io={io} is asked for, io={used} serves")
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24", queues=queues))
    if queues > 1:
        guest.must(f"ethtool -L eth0 combined {queues}")
    guest.ping("10.0.0.1")
    with _long_frames(weir, "g0", "rx"):
        tcp.host_to_guest(guest, "10.0.0.1")
    with _long_frames(weir, "g0", "tx"):
        tcp.guest_to_host(guest, "10.0.0.2")
    stats = weir.endpoint("up")
    need(stats["tx_dropped_host"] == 0, f"{stats['tx_dropped_host']} frames were dropped")


def tcp_by_a_tap_with_a_host_thread():
    _transfers_by_tap("thread")


def tcp_by_a_tap_with_a_kernel_thread():
    _transfers_by_tap("sqpoll")


def tcp_by_a_tap_with_a_host_thread_and_four_pairs():
    _transfers_by_tap("thread", 4)


def tcp_by_a_tap_with_a_kernel_thread_and_four_pairs():
    _transfers_by_tap("sqpoll", 4)


def tcp_by_a_tap_in_another_namespace():
    subprocess.run(["ip", "netns", "add", "far"], check=True)
    Weir("--endpoint", "name=up,type=tap,iface=weir%d,netns=far,io=auto", "--guest", GUEST)
    far = ["ip", "-n", "far"]
    subprocess.run([*far, "addr", "add", "10.0.0.1/24", "dev", "weir0"], check=True)
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24"))
    guest.ping("10.0.0.1")


def _ping_and_tcp_by_patch(queues, lcores=2):
    words = [word for i in range(2) for word in
             ("--guest", f"name=g{i},socket=/run/weir/g{i}.sock,endpoint=wire,queues={queues[i]}")]
    weir = Weir("--endpoint", "name=wire,type=patch", *words, eal=eal_options(lcores))
    guests = [Guest(f"g{i}", Nic(f"/run/weir/g{i}.sock", f"10.0.0.{2 + i}/24", queues=queues[i]),
                    wait=False) for i in range(2)]
    for guest, n in zip(guests, queues):
        guest.wait_up()
        _offloads_are_on(guest)
        if n > 1:
            guest.must(f"ethtool -L eth0 combined {n}")
    guests[0].ping("10.0.0.3")
    guests[1].ping("10.0.0.2")
    with _long_frames(weir, "g0", "tx"):
        tcp.guest_to_guest(guests[0], guests[1], "10.0.0.2")
    with _long_frames(weir, "g1", "tx"):
        tcp.guest_to_guest(guests[1], guests[0], "10.0.0.3")
    for i in range(2):
        dropped = {key: n for key, n in weir.guest(f"g{i}").items() if "dropped" in key and n > 0}
        need(not dropped, f"g{i} dropped: {dropped}")
    return guests


def ping_and_tcp_reach_another_guest_by_patch():
    _ping_and_tcp_by_patch((1, 1))


def ping_and_tcp_by_patch_between_one_pair_and_four():
    """The pairs are polled by two lcores."""
    guests = _ping_and_tcp_by_patch((1, 4), lcores=3)
    for n in range(8):  # flows of their own; nobody answers
        guests[0].run(f"nslookup -port={9000 + n} name 10.0.0.3")
    counts = guests[1].must("ethtool -S eth0 | grep -E 'rx_queue_[0-9]+_packets'").split()[1::2]
    need(sum(int(n) > 0 for n in counts) > 1, f"frames came by one pair only: {counts}")


def _tso_reaches_a_guest_without(path):
    """A guest sends long frames to one that takes no offload: weir finishes them."""
    off = "".join(f",{name}=off" for name in ("csum", "guest_csum", "guest_tso4", "guest_tso6",
                                              "guest_ecn", "guest_ufo"))
    weir = Weir("--endpoint", "name=wire,type=patch",
                "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=wire",
                "--guest", f"name=g1,socket=/run/weir/g1.sock,endpoint=wire,datapath={path}")
    guests = [Guest(f"g{i}", Nic(f"/run/weir/g{i}.sock", f"10.0.0.{2 + i}/24",
                                 options=off if i == 1 else ""), wait=False) for i in range(2)]
    for guest in guests:
        guest.wait_up()
    _offloads_are_on(guests[0])
    features = weir.guest("g1")["features"]
    need(not any(name in features for name in ("csum", "guest_csum", "guest_tso4")), f"{features}")
    guests[1].ping("10.0.0.2")
    with _long_frames(weir, "g0", "tx"):
        tcp.guest_to_guest(guests[0], guests[1], "10.0.0.2")
    stats = weir.guest("g1")
    need(stats["rx_finished"] > 0, f"{stats}")
    need(stats["rx_bytes"] <= 1514 * stats["rx_packets"], f"long frames reach it: {stats}")
    dropped = {key: n for key, n in stats.items() if key.startswith("rx_dropped") and n > 0}
    need(not dropped, f"frames are lost: {dropped}")
    tcp.guest_to_guest(guests[1], guests[0], "10.0.0.3", 4)


def tso_of_a_guest_reaches_one_that_takes_no_offload():
    _tso_reaches_a_guest_without("engine")


def tso_of_a_guest_reaches_one_that_takes_no_offload_by_the_library():
    _tso_reaches_a_guest_without("library")


def tcp_without_offloads_and_mergeable_buffers():
    weir = Weir(*TAP, "--guest", GUEST + ",mrg_rxbuf=off,tso=off,csum=off")
    _address_of_host()
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24"))
    text = guest.must("ethtool -k eth0")
    need("tx-checksumming: off" in text, text)
    tcp.host_to_guest(guest, "10.0.0.1", 16)
    tcp.guest_to_host(guest, "10.0.0.2")
    need(weir.guest("g0")["tx_packets"] > (16 << 20) / 1514, "frames have the size of the MTU")


def weir_connects_to_a_listening_guest():
    weir = Weir(*TAP, "--guest", GUEST + ",mode=client")
    _address_of_host()
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24", server=True))
    need(weir.guest("g0")["mode"] == "client", "mode=client is shown")
    guest.ping("10.0.0.1")
    tcp.host_to_guest(guest, "10.0.0.1", 8)


def guest_with_a_long_mtu_uses_it():
    Weir(*TAP, "--guest", GUEST + ",mtu=9000")
    _address_of_host()
    subprocess.run(["ip", "link", "set", "weir0", "mtu", "9000"], check=True)
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24", options=",host_mtu=9000"))
    need("mtu 9000" in guest.must("ip link show eth0"), "the guest learns its MTU")
    guest.must("ping -c 3 -W 5 -s 8900 10.0.0.1", 30)


main(globals())
