#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Asleep when idle: what it costs in CPU, and what the first frame pays.

    tests/perf/idle.py cpu       16 connected guests, nothing to do: CPU time over 30 s
    tests/perf/idle.py latency   round trips of single frames, awake and after 5 ms of
                                 nothing, weir beside testpmd, which never sleeps

The guest (weir-bench vhost on virtio-user) has the first core, the back-end the second;
back-ends take turns, medians of 5. Wants huge pages, as loopback.py does.
"""
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
# pylint: disable=wrong-import-position
from harness import HugePages, Skip, Testpmd, Weir, main
from harness.testpmd import virtio_user
from harness.weir import BUILD

SOCKET = "/run/weir/g0.sock"
ROUNDS = 5
SECONDS = 30
GUESTS = 16
PAGES = 320  # of 2 MB


def _eal(lcores, megabytes=256):
    return ["--lcores", lcores, "--no-pci", "--in-memory", "--single-file-segments",
            "-m", str(megabytes)]


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu():
    words = []
    for i in range(GUESTS):
        words += ["--endpoint", f"name=l{i},type=loopback",
                  "--guest", f"name=g{i},socket=/run/weir/g{i}.sock,endpoint=l{i}"]
    weir = Weir(*words)
    pmd = Testpmd("guests", *(virtio_user(i, f"/run/weir/g{i}.sock") for i in range(GUESTS)),
                  words=("--total-num-mbufs=20480",), megabytes=384)
    time.sleep(2)
    before = _cpu_seconds(weir.popen.pid)
    time.sleep(SECONDS)
    used = _cpu_seconds(weir.popen.pid) - before
    pmd.quit()
    print(f"{GUESTS} guests, {SECONDS} s idle: {used:.2f} s of CPU, {100 * used / SECONDS:.2f} %")
    if used > 0.01 * SECONDS:
        raise AssertionError("more than 1 % of a core")


def _weir(cores, *words):
    return Weir("--endpoint", "name=loop,type=loopback",
                "--guest", f"name=g0,socket={SOCKET},endpoint=loop", *words,
                eal=_eal(f"0@{cores[0]},1@{cores[1]}"))


def _weir_awake(cores):
    return _weir(cores, "--idle-us", "0")


def _testpmd(cores):
    return Testpmd("back-end", f"net_vhost0,iface={SOCKET},queues=1",
                   eal=_eal(f"0@{cores[0]},1@{cores[1]}"),
                   words=("--auto-start", "--forward-mode=io", "--total-num-mbufs=16384"))


def _round_trips(cores, gap_us, count):
    run = subprocess.run(
        [os.path.join(BUILD, "app", "weir-bench", "weir-bench"), *_eal(f"0@{cores[0]}"),
         f"--vdev={virtio_user(0, SOCKET)}", "--", "--json", "vhost", "--measure=round-trip",
         f"--count={count}", f"--gap-us={gap_us}"],
        text=True, capture_output=True, timeout=60, check=False)
    if run.returncode != 0:
        raise AssertionError(f"weir-bench vhost: {run.stderr}")
    rows = (json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"mode'))
    return {row["case"]: row["back-end"] for row in rows}


def latency():
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Skip("two cores are needed")
    back_ends = {"weir": _weir, "weir, never asleep": _weir_awake, "testpmd": _testpmd}
    print(f"{'round trip, us':28} {'p50':>8} {'p99':>8}   (medians of {ROUNDS})")
    for what, gap_us, count in (("frame after frame", 0, 20000), ("after 5 ms", 5000, 300)):
        seen = {name: [] for name in back_ends}
        for _ in range(ROUNDS):
            for name, start in back_ends.items():
                with HugePages(PAGES):
                    peer = start(cores)
                    seen[name].append(_round_trips(cores, gap_us, count))
                    peer.kill()
                if os.path.exists(SOCKET):
                    os.unlink(SOCKET)
        for name, rounds in seen.items():
            p50, p99 = (statistics.median(r[key] for r in rounds) / 1000 for key in ("p50, ns", "p99, ns"))
            print(f"{what + ', ' + name:28} {p50:8.2f} {p99:8.2f}", flush=True)


main(globals())
