#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest reaches a network through a DPDK port that does nothing for it: checksums
and segmentation are weir's."""
import subprocess

from harness import Guest, Nic, Skip, Weir, main, need, tcp
from harness.weir import eal_options

GUEST = "name=g0,socket=/run/weir/g0.sock,endpoint=up"


def _network():
    """A pair of interfaces: the port is one, the host the other."""
    for command in ("ip link add weir0 type veth peer name host0",
                    "ip link set weir0 up", "ip link set host0 up",
                    "ip addr add 10.0.0.1/24 dev host0",
                    # A packet socket is not told what is left undone: nothing may be.
                    "ethtool -K host0 tx off"):
        run = subprocess.run(command.split(), text=True, capture_output=True, check=False)
        if run.returncode != 0:
            raise Skip(f"'{command}': {run.stderr.strip()}")


def _transfers(weir, guest):
    guest.ping("10.0.0.1")
    tcp.host_to_guest(guest, "10.0.0.1", 32)
    before = weir.guest("g0")
    tcp.guest_to_host(guest, "10.0.0.2")
    after = weir.guest("g0")
    n_bytes, n_packets = (after[f"tx_{of}"] - before[f"tx_{of}"] for of in ("bytes", "packets"))
    need(n_bytes > 1514 * n_packets,
         f"{n_bytes / n_packets:.0f} bytes a frame: the guest segments itself")


def tso_of_a_guest_is_cut_for_af_packet():
    _network()
    weir = Weir("--endpoint", 'name=up,type=port,devargs="net_af_packet0,iface=weir0"',
                "--guest", GUEST)
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24"))
    _transfers(weir, guest)
    info = weir.endpoint("up")
    need(info["port"] == "net_af_packet0" and info["segmentation"] == "software", f"{info}")
    need(info["link"] == "up" and info["link_speed_mbps"] == 10000, f"{info}")
    need(info["tx_dropped_host"] == 0, f"{info}")
    need(weir.end() == 0, "it ends cleanly")


def a_port_of_eal_with_four_queues_serves_a_guest_by_the_library():
    _network()
    weir = Weir("--endpoint", "name=up,type=port,dev=net_af_packet0",
                "--guest", GUEST + ",queues=4,datapath=library",
                eal=[*eal_options(), "--vdev=net_af_packet0,iface=weir0,qpairs=4"])
    guest = Guest("g0", Nic("/run/weir/g0.sock", "10.0.0.2/24", queues=4))
    _transfers(weir, guest)
    guest.must("ethtool -L eth0 combined 4")
    _transfers(weir, guest)


main(globals())
