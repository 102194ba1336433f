#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A network stack in a process of its own is a guest's far end, and may die."""
import atexit
import os
import signal
import subprocess
import time

from harness import (Guest, HugePages, Nic, Process, Testpmd, Weir, main, need,
                     wait_for)
from harness.testpmd import virtio_user
from harness.weir import BUILD, cores

ECHO = os.path.join(BUILD, "app", "weir-echo", "weir-echo")
HUGE = "/run/huge"
PAGES = 96  # of 2 MB
SOCKET = "/run/weir/g0.sock"
WORDS = ("--endpoint", "name=stack,type=frames",
         "--guest", f"name=g0,socket={SOCKET},endpoint=stack")
PAIRS_WORDS = ("--endpoint", "name=stack,type=frames,queues=4",
               "--guest", f"name=g0,socket={SOCKET},endpoint=stack,queues=4")


def _weir(*more, words=WORDS):
    """A weir whose memory another process can map: that takes huge pages."""
    pages = HugePages(PAGES)
    pages.__enter__()  # given back when this program ends, after weir
    atexit.register(pages.__exit__)
    os.makedirs(HUGE)
    subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", HUGE], check=True)
    return Weir(*words, *more, eal=["--lcores", f"0@{cores()},1@{cores()}", "--no-pci",
                             "--huge-dir", HUGE, "-m", str(PAGES)])


def _stack(name="echo", endpoint="stack", ready=True):
    stack = Process(name, [ECHO, "--proc-type=secondary", "--no-pci", "--huge-dir", HUGE,
                           "--lcores", f"0@{cores()}", "--", "--endpoint", endpoint,
                           "--ip", "10.0.0.1", "--ip6", "fd00::1"])
    if ready:
        already = stack.log().count("weir-echo: ready")
        wait_for("'weir-echo: ready'",
                 lambda: stack.log().count("weir-echo: ready") > already)
    return stack


def _is_home(weir):
    stack = weir.endpoint("stack")
    return stack["attached"] == "no" and stack["frames_home"] == stack["frames"]


def _udp(guest, address, counters):
    """Have a datagram echoed: a question to a name server that knows no answer."""
    before = guest.must(counters).split()
    guest.run(f"nslookup -port=7 name {address}")
    after = guest.must(counters).split()
    need(int(after[0]) > int(before[0]), f"no echo from {address}: {before}, {after}")
    need(after[1] == before[1], f"a bad echo from {address}: {before}, {after}")


def a_stack_in_another_process_answers_arp_ping_and_udp():
    weir = _weir()
    stack = _stack()
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
    guest.ping("10.0.0.1")
    guest.must("ping -c 3 -s 1400 -W 5 10.0.0.1")
    guest.must("echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip -6 addr add fd00::2/64 dev eth0")
    guest.must("ping6 -c 3 -W 5 fd00::1")
    _udp(guest, "10.0.0.1", "awk '/^Udp: [0-9]/ {print $2, $4}' /proc/net/snmp")
    _udp(guest, "fd00::1", "awk '/^Udp6(InDatagrams|InErrors)/ {print $2}' /proc/net/snmp6")
    need(weir.endpoint("stack")["attached"] == "yes", "the stack is not seen")
    need(stack.end() == 0, "weir-echo does not end cleanly")
    for kind in ("arp", "neighbour", "ping", "ping6", "udp", "udp6"):
        need(f"weir-echo: {kind}: 0\n" not in stack.log(), f"no {kind} was answered")
    wait_for("all frames to be home", lambda: _is_home(weir))
    need(weir.end() == 0, "weir does not end cleanly")


def a_stack_is_killed_under_traffic_ten_times():
    weir = _weir()
    stack = _stack()
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
    guest.ping("10.0.0.1")
    guest.start("while :; do ping -c 1000 -A -s 1000 -W 1 10.0.0.1 >/dev/null; done")
    descriptors = None
    for _ in range(10):
        before = weir.guest("g0")["rx_packets"]
        wait_for("answers", lambda: weir.guest("g0")["rx_packets"] > before + 50)
        stack.kill()
        # At once, while the frames of the one before are still being collected.
        stack = _stack()
        count = len(os.listdir(f"/proc/{weir.popen.pid}/fd"))
        descriptors = descriptors or count
        need(count <= descriptors, f"descriptors grew from {descriptors} to {count}")
    before = weir.guest("g0")["rx_packets"]
    wait_for("answers", lambda: weir.guest("g0")["rx_packets"] > before + 50)
    stack.kill()
    wait_for("all frames to be home", lambda: _is_home(weir))
    need(weir.guest("g0")["state"] == "up", "the guest has noticed")
    need(weir.end() == 0, "weir does not end cleanly")


def a_stack_of_four_pairs_is_killed_under_traffic():
    weir = _weir(words=PAIRS_WORDS)
    stack = _stack()
    pmd = Testpmd("pmd", virtio_user(0, SOCKET, queues=4), words=("--rxq=4", "--txq=4"))
    pmd.do("set fwd txonly")
    pmd.do("start")

    for _ in range(3):
        before = weir.endpoint("stack")["tx_packets"]
        wait_for("frames to move",
                 lambda: weir.endpoint("stack")["tx_packets"] > before + 40000)
        stack.kill()
        stack = _stack()
    before = weir.endpoint("stack")["tx_packets"]
    wait_for("frames to move", lambda: weir.endpoint("stack")["tx_packets"] > before + 40000)
    pmd.quit()
    need(stack.end() == 0, "weir-echo does not end cleanly")
    for i in range(4):
        need(f"weir-echo: pair {i}: 0 frames" not in stack.log(), stack.log())
        need(f"weir-echo: pair {i}: " in stack.log(), stack.log())
    wait_for("all frames to be home", lambda: _is_home(weir))
    need(weir.end() == 0, "weir does not end cleanly")


def a_stopped_stack_holds_its_guest_back():
    weir = _weir()
    stack = _stack()
    pmd = Testpmd("pmd", virtio_user(0, SOCKET))
    pmd.do("set fwd txonly")
    pmd.do("start")

    def sent():
        return weir.endpoint("stack")["tx_packets"]

    wait_for("frames to move", lambda: sent() > 10000)
    stack.popen.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    held = sent()
    time.sleep(0.5)
    need(sent() == held, "frames move to a stack that is stopped")
    stack.popen.send_signal(signal.SIGCONT)
    wait_for("frames to move again", lambda: sent() > held + 10000)
    need(stack.end() == 0, "weir-echo does not end cleanly")
    counted = weir.endpoint("stack")
    need(counted["tx_busy_bursts"] > 0, "the guest was not held back")
    wait_for("all frames to be home", lambda: _is_home(weir))
    pmd.kill()
    need(weir.end() == 0, "weir does not end cleanly")


def a_guest_whose_stack_keeps_every_frame_costs_two_others_none():
    weir = _weir("--endpoint", "name=wire,type=patch",
                 "--guest", "name=g1,socket=/run/weir/g1.sock,endpoint=wire",
                 "--guest", "name=g2,socket=/run/weir/g2.sock,endpoint=wire")
    stack = _stack()
    stuck = Testpmd("stuck", virtio_user(0, SOCKET))
    stuck.do("set fwd txonly")
    stuck.do("start")
    wait_for("frames to move", lambda: weir.endpoint("stack")["tx_packets"] > 1000)
    stack.popen.send_signal(signal.SIGSTOP)
    others = Testpmd("others", *(virtio_user(i, f"/run/weir/g{i}.sock") for i in (1, 2)))
    ports = others.exchange(2, 2)
    need(not _is_home(weir), "the stack keeps no frame")
    for i, port in enumerate(ports):
        need(port["TX-packets"] > 10000, f"g{i + 1} sent only {port['TX-packets']} frames")
        need(port["TX-packets"] == ports[1 - i]["RX-packets"], f"frames are lost: {ports}")
    stack.popen.send_signal(signal.SIGCONT)
    stuck.kill()
    need(stack.end() == 0, "weir-echo does not end cleanly")
    wait_for("all frames to be home", lambda: _is_home(weir))
    others.quit()
    need(weir.end() == 0, "weir does not end cleanly")


def a_second_stack_and_a_wrong_name_are_refused():
    _weir()
    _stack()
    second = _stack("second", ready=False)
    wait_for("the second to end", lambda: not second.is_alive())
    second.expected = True
    need(second.popen.returncode == 1, f"exit code {second.popen.returncode}")
    need("a host side is attached already" in second.log(), second.log())
    wrong = _stack("wrong", endpoint="stock", ready=False)
    wait_for("the wrong one to end", lambda: not wrong.is_alive())
    wrong.expected = True
    need("no endpoint of type frames is named 'stock'" in wrong.log(), wrong.log())


def a_stack_is_told_when_weir_ends():
    weir = _weir()
    stack = _stack()
    stack.expected = True
    need(weir.end() == 0, "weir does not end cleanly")
    need("does not detach" not in weir.log(), "weir has not waited for the stack")
    wait_for("weir-echo to end", lambda: not stack.is_alive())
    need("weir has closed the endpoint" in stack.log(), stack.log())


def a_stack_ends_when_weir_is_killed():
    weir = _weir()
    stack = _stack()
    stack.expected = True
    weir.kill()
    wait_for("weir-echo to end", lambda: not stack.is_alive())


main(globals())
