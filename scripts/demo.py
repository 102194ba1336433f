#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest talks to the host through weir; shown step by step, in two minutes.

Everything runs in namespaces of its own: the machine's network, its /run and its
processes are not touched, and nothing is left behind.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time

TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(TREE, "tests", "integration"))
sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from harness import Guest, Nic, Skip, Weir, claim, guest as guests, process, tcp, telemetry

SECONDS_MAX = 150
HOST, GUEST = "10.0.0.1", "10.0.0.2"
PICTURE = f"""
   Linux guest                       weir                        host kernel
  ┌───────────────┐   vhost-user   ┌──────┐   tap, vnet header  ┌───────────────┐
  │ eth0 {GUEST} │◀══════════════▶│  g0  │◀═══════════════════▶│ weir0 {HOST}│
  └───────────────┘ shared memory  └──────┘                     └───────────────┘
"""
NEXT = """\
  mkdir -p /run/weir; build/app/weir/weir -l 0-1 --no-pci --no-huge -m 512 -- \\
       --endpoint name=up,type=tap,iface=weir0 \\
       --guest name=g0,socket=/run/weir/g0.sock,endpoint=up
                          the same, to stay: then connect a guest of yours (README.md)
  dpdk-telemetry.py       what goes on: /weir/guest/list, /weir/guest/stats,g0, ...
  build/app/weir/weir --help
                          every key of every endpoint
  make test               every claim, among them: guests that crash, a weir that crashes
  make bench              weir beside testpmd, on huge pages\
"""
BOLD, DIM, OFF = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def step(text):
    print(f"\n{BOLD}▶ {text}{OFF}", flush=True)


def typed(command):
    """Show what a user would type."""
    print(f"{DIM}  $ {command}{OFF}", flush=True)


def say(text):
    print("\n".join("  " + line for line in text.splitlines()), flush=True)


def sh(command):
    typed(command)
    subprocess.run(command, shell=True, check=True)


def start_weir():
    step("weir, with a tap on the host's side and one guest's socket")
    weir = Weir("--endpoint", "name=up,type=tap,iface=weir0",
                "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=up")
    words = " ".join(weir.popen.args).replace(TREE + "/", "")
    typed(re.sub(r" --(endpoint|guest)", r" \\\n      --\1", words))
    say("\n".join(line for line in weir.log().splitlines() if line.startswith("weir:")))
    sh(f"ip addr add {HOST}/24 dev weir0; ip link set weir0 up")
    return weir


def boot_guest():
    step("a Debian kernel in QEMU, its NIC on that socket (no KVM: the CPU is emulated)")
    typed("qemu-system-x86_64 -object memory-backend-memfd,id=mem,share=on ... \\\n"
          "      -chardev socket,id=c0,path=/run/weir/g0.sock \\\n"
          "      -netdev vhost-user,id=n0,chardev=c0 -device virtio-net-pci,netdev=n0")
    start = time.monotonic()
    guest = Guest("g0", Nic("/run/weir/g0.sock", f"{GUEST}/24"))
    say(f"Linux {guest.must('uname -r').strip()} is up after {time.monotonic() - start:.1f} s")
    for line in guest.must("ethtool -k eth0").splitlines():
        if re.match(r"(tx-checksumming|rx-checksumming|tcp-segmentation-offload):", line):
            say(line)
    return guest


def ping(guest):
    step("ping, from the guest and from the host")
    typed(f"guest# ping -c 5 {HOST}")
    say("\n".join(guest.must(f"ping -c 5 -i 0.2 {HOST}").splitlines()[-2:]))
    typed(f"ping -c 5 {GUEST}")
    run = subprocess.run(["ping", "-c", "5", "-i", "0.2", GUEST], text=True, timeout=20,
                         capture_output=True, check=True)
    say("\n".join(run.stdout.splitlines()[-2:]))


def transfer(weir, guest):
    step(f"TCP, {tcp.MEGABYTES} MB each way; both ends compute the sha256")
    poller = telemetry("/weir/poller/list")[0]
    for way, send in (("rx", lambda: tcp.host_to_guest(guest, HOST)),
                      ("tx", lambda: tcp.guest_to_host(guest, GUEST))):
        before, busy = weir.guest("g0"), telemetry(f"/weir/poller/stats,{poller}")
        print("  ", end="")
        send()
        after, busy_after = weir.guest("g0"), telemetry(f"/weir/poller/stats,{poller}")
        n_bytes, n_packets = (after[f"{way}_{of}"] - before[f"{way}_{of}"]
                              for of in ("bytes", "packets"))
        busy, idle = (busy_after[f"{what}_cycles"] - busy[f"{what}_cycles"]
                      for what in ("busy", "idle"))
        say(f"  sha256 equal; {n_bytes / n_packets:.0f} bytes a frame {'(not cut to the MTU: TSO)' if n_bytes > 1514 * n_packets else ''}; "
            f"weir's lcore busy {100 * busy / max(1, busy + idle):.0f} %")
    say(f"{DIM}(the guest's emulated CPU sets these rates; make bench measures weir){OFF}")


def show_telemetry():
    step("what weir tells, on DPDK's telemetry socket")
    for command in ("/weir/guest/info,g0", "/weir/guest/stats,g0", "/weir/endpoint/stats,up"):
        typed(f"echo {command} | dpdk-telemetry.py")
        answer = telemetry(command)
        width = max(map(len, answer))
        for key, value in answer.items():
            text = value if isinstance(value, str) else json.dumps(value)
            say(f"{key:<{width}}  {text if len(text) < 78 else text[:75] + '...'}")


def end(weir, guest):
    step("the end: the guest first, then weir by SIGTERM")
    guest.kill()
    code = weir.end()
    left = os.listdir("/run/weir") + [n for n in os.listdir("/sys/class/net") if n == "weir0"]
    say(f"weir's exit code is {code}; left behind: {', '.join(left) or 'nothing'}")
    if code or left:
        raise AssertionError("weir did not end cleanly")


def demo():
    print(f"{BOLD}weir: a virtual machine's frames to and from the host, by vhost-user{OFF}")
    print(PICTURE)
    say("In namespaces of their own: the machine's network is not touched.")
    weir = start_weir()
    guest = boot_guest()
    ping(guest)
    transfer(weir, guest)
    show_telemetry()
    end(weir, guest)
    step("what to try next")
    print(NEXT)


def late(*_):
    raise AssertionError(f"not done after {SECONDS_MAX} s")


def main():
    code = 1
    try:
        guests.make_image()
        claim.enter_namespaces()
        claim.furnish()
        signal.signal(signal.SIGALRM, late)
        signal.alarm(SECONDS_MAX)
        demo()
        code = 0
    except (Skip, KeyboardInterrupt) as reason:
        print(f"demo: {reason or 'interrupted'}")
    except Exception as error:  # pylint: disable=broad-except
        process.print_logs()
        print(f"demo: {error}")
    finally:
        if os.environ.get(claim.INSIDE):
            process.end_all()
    sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
