#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Guests and weir come, go, crash and come back."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time

from harness import Guest, Nic, Testpmd, Weir, main, need, telemetry, wait_for
from harness.testpmd import virtio_user

# With an address of its own, a new tap is the old one to a guest's ARP cache.
TAP = ("--endpoint", "name=up,type=tap,iface=weir0,mac=52:54:00:00:00:01")
LOOP = ("--endpoint", "name=loop,type=loopback")
SOCKET = "/run/weir/g0.sock"
PIDFD_GETFD = 438  # a system call that Python has no word for


def _address_of_host():
    subprocess.run(["ip", "addr", "add", "10.0.0.1/24", "dev", "weir0"], check=True)
    subprocess.run(["ip", "link", "set", "weir0", "up"], check=True)
    # A guest that is gone does not stop the flood with unanswered ARP requests.
    subprocess.run(["ip", "neigh", "replace", "10.0.0.2", "lladdr", "52:54:0a:00:00:02",
                    "dev", "weir0"], check=True)


def _flood():
    """Send datagrams to the guest for as long as the test runs, up or not."""
    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while True:
                try:
                    sock.sendto(b"x" * 1000, ("10.0.0.2", 9))
                except OSError:
                    time.sleep(0.01)
                time.sleep(0.0002)

    threading.Thread(target=send, daemon=True).start()


def _moves(weir, way="tx"):
    """Frames move just now."""
    before = weir.guest("g0")[f"{way}_packets"]
    wait_for(f"{way} frames to move", lambda: weir.guest("g0")[f"{way}_packets"] > before + 100)


def _descriptors(weir):
    return len(os.listdir(f"/proc/{weir.popen.pid}/fd"))


def _down(weir):
    wait_for("g0 to be gone", lambda: weir.guest("g0")["state"] == "waiting")


def linux_guest_is_killed_under_traffic_ten_times():
    weir = Weir(*TAP, "--guest", f"name=g0,socket={SOCKET},endpoint=up")
    _address_of_host()
    _flood()
    kept = _descriptors(weir)
    for _ in range(11):
        guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
        # The flood fills the tap's queue while the guest is slow: a lone answer may be lost there.
        guest.must("(for try in 1 2 3 4 5; do ping -c 1 -W 2 10.0.0.1 && exit 0; done; exit 1)", 20)
        guest.start("ping -A -w 60 10.0.0.1 >/dev/null")
        _moves(weir, "tx")
        _moves(weir, "rx")
        guest.kill()
        _down(weir)
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
    guest.ping("10.0.0.1")
    guest.kill()
    _down(weir)
    wait_for("no descriptor to be left", lambda: _descriptors(weir) == kept)


def virtio_user_is_killed_under_traffic_ten_times():
    weir = Weir(*LOOP, "--guest", f"name=g0,socket={SOCKET},endpoint=loop")
    kept = _descriptors(weir)
    for n in range(11):
        pmd = Testpmd("pmd", virtio_user(0, SOCKET, packed=n % 2 == 1))
        pmd.do("start tx_first 4")
        _moves(weir)
        pmd.kill()
        _down(weir)
    wait_for("no descriptor to be left", lambda: _descriptors(weir) == kept)


def one_patched_guest_is_killed_and_the_other_stays():
    weir = Weir("--endpoint", "name=wire,type=patch",
                "--guest", f"name=g0,socket={SOCKET},endpoint=wire",
                "--guest", "name=g1,socket=/run/weir/g1.sock,endpoint=wire")
    stays = Testpmd("stays", virtio_user(1, "/run/weir/g1.sock"))
    stays.do("start tx_first 4")
    for _ in range(10):
        pmd = Testpmd("pmd", virtio_user(0, SOCKET))
        pmd.do("start tx_first 4")
        _moves(weir, "rx")
        _moves(weir, "tx")
        pmd.kill()
        _down(weir)
        need(weir.guest("g1")["state"] == "up", "g1 stays up")
    stays.quit()


def weir_is_killed_and_restarted_and_a_linux_guest_goes_on():
    words = (*TAP, "--guest", f"name=g0,socket={SOCKET},endpoint=up,mode=client")
    weir = Weir(*words)
    _address_of_host()
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24", server=True))
    guest.ping("10.0.0.1", 1)
    for n in range(3):
        guest.must("ping -A 10.0.0.1 >/dev/null &")
        _moves(weir)
        weir.kill()
        weir = Weir(*words, name=f"weir{n + 2}")
        _address_of_host()
        wait_for("g0 to be up again", lambda: weir.guest("g0")["state"] == "up", 20)
        _moves(weir)
        said = guest.must("killall ping; ping -c 50 -i 0.1 10.0.0.1", 120)
        received = int(re.search(r"(\d+) packets received", said)[1])
        need(received >= 45, f"of 50 pings {received} were answered")


def weir_is_killed_and_restarted_and_virtio_user_goes_on():
    words = (*LOOP, "--guest", f"name=g0,socket={SOCKET},endpoint=loop,mode=client")
    weir = Weir(*words)
    pmd = Testpmd("pmd", virtio_user(0, SOCKET, server=True))
    pmd.wait_link(0)
    pmd.do("set fwd flowgen")
    pmd.do("start")
    for n in range(3):
        _moves(weir)
        weir.kill()
        weir = Weir(*words, name=f"weir{n + 2}")
        wait_for("g0 to be up again", lambda: weir.guest("g0")["state"] == "up", 20)
        _moves(weir)
        _moves(weir, "rx")
    pmd.quit()


def memory_table_changes_under_traffic():
    weir = Weir(*TAP, "--guest", f"name=g0,socket={SOCKET},endpoint=up")
    _address_of_host()
    _flood()
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"), slots=4)
    guest.start("ping -A -w 5 10.0.0.1 >/dev/null; ping -c 20 -i 0.1 10.0.0.1")
    for n in range(4):
        _moves(weir, "tx")
        guest.monitor(f"object_add memory-backend-memfd,id=m{n},size=128M,share=on")
        guest.monitor(f"device_add pc-dimm,id=d{n},memdev=m{n}")
        _moves(weir, "tx")
        _moves(weir, "rx")
    said = guest.finish(120)
    need("20 packets received" in said, f"pings were lost: {said}")


def signal_ends_weir_cleanly_with_guests_connected():
    for number in (signal.SIGINT, signal.SIGTERM):
        weir = Weir(*TAP, *LOOP,
                    "--guest", f"name=g0,socket={SOCKET},endpoint=loop",
                    "--guest", "name=g1,socket=/run/weir/g1.sock,endpoint=up",
                    name=f"weir.{number.name}")
        pmd = Testpmd("pmd", virtio_user(0, SOCKET), virtio_user(1, "/run/weir/g1.sock"))
        pmd.do("set fwd flowgen")
        pmd.do("start")
        _moves(weir)
        code = weir.end(number)
        need(code == 0, f"{number.name}: exit code {code}")
        need(os.listdir("/run/weir") == [], f"{number.name} leaves {os.listdir('/run/weir')}")
        need("weir0" not in dict(socket.if_nameindex()).values(), f"{number.name} leaves the tap")
        need(pmd.is_alive(), "the guest lives on")
        pmd.kill()


def _eventfds(pid):
    """Copies of all eventfds that a process has: a guest's kicks among them."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    copies = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{name}") == "anon_inode:[eventfd]":
            copies.append(libc.syscall(PIDFD_GETFD, pidfd, int(name), 0))
    os.close(pidfd)
    return [fd for fd in copies if fd >= 0]


def kicks_for_nothing_are_not_heard_for_ever():
    weir = Weir("--idle-us", "50", "--endpoint", "name=loop,type=loopback",
                "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=loop")
    pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock"))
    kicks = _eventfds(pmd.popen.pid)
    need(kicks, "the guest has eventfds")

    def ignored():
        for _ in range(100):
            for fd in kicks:
                os.write(fd, (1).to_bytes(8, "little"))
            time.sleep(0.001)
        return "for nothing: not heard any more" in weir.log()

    wait_for("weir to ignore the kicks", ignored, 30)
    before = telemetry("/weir/poller/stats,lcore1")["woken_by_tx_kick"]
    ignored()
    after = telemetry("/weir/poller/stats,lcore1")["woken_by_tx_kick"]
    need(after == before, f"{after - before} more wakes by kicks")
    pmd.do("start tx_first")
    wait_for("frames all the same", lambda: weir.guest("g0")["tx_packets"] > 1000, 10)
    pmd.quit()


main(globals())
