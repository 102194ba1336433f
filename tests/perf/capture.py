#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a capture costs the traffic, and what it misses.

    tests/perf/capture.py paced    1 Mpps of 512-byte frames for 10 s, guest to guest
    tests/perf/capture.py most     as many as go: more than a disk takes, shown and not judged

One process is both guests (tests/perf/paced.c), on the first core along with the capture's
writer; weir polls on the second. Without and with the capture in turn, medians of ROUNDS.
The file is in a tmpfs of its own, or in the directory WEIR_CAPTURE_DIR names: then its disk
is measured. Wants 384 huge pages, 6 GB of memory and a quiet machine. After a round the
file's frames are counted by capinfos.
"""
import json
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
# pylint: disable=wrong-import-position
from harness import HugePages, Skip, Weir, main, telemetry
from harness.weir import BUILD

RATE = 1000000
SECONDS = int(os.environ.get("WEIR_CAPTURE_SECONDS", "10"))
ROUNDS = int(os.environ.get("WEIR_CAPTURE_ROUNDS", "3"))
BYTES = 512
RATIO_MIN = 0.9
STAGING = "256M"
PAGES = 384  # of 2 MB


def _eal(lcores, megabytes):
    return ["--lcores", lcores, "--no-pci", "--in-memory", "--single-file-segments",
            "-m", str(megabytes)]


def _directory():
    given = os.environ.get("WEIR_CAPTURE_DIR")
    if given:
        return given
    os.mkdir("/run/disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8G", "tmpfs", "/run/disk"], check=True)
    return "/run/disk"


def _traffic(cores, rate):
    vdevs = [f"--vdev=net_virtio_user{i},path=/run/weir/g{i}.sock,queue_size=1024,"
             f"mac=02:00:00:00:00:0{i + 1}" for i in range(2)]
    run = subprocess.run([os.path.join(BUILD, "tests", "perf", "paced"),
                          *_eal(f"0@{cores[0]}", 128), "--no-telemetry", *vdevs, "--", str(rate),
                          str(SECONDS), str(BYTES)], text=True, capture_output=True,
                         timeout=SECONDS + 60, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def _writer_seconds(pid):
    """CPU time of the capture's writer, and of the kernel's helpers that are there yet."""
    ticks = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue  # a helper that had nothing to do any more
        if name.startswith(("weir-capture", "iou-wrk")):
            ticks += sum(int(word) for word in rest.split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def _round(cores, rate, path):
    """Frames forwarded a second, in millions; what the capture counts, when there is one."""
    words = [word for i in range(2) for word in (
        "--guest", f"name=g{i},socket=/run/weir/g{i}.sock,endpoint=wire")]
    if path:
        words += ["--capture", f"name=c,guest=g0,file={path},staging={STAGING}"]
    weir = Weir("--endpoint", "name=wire,type=patch", *words,
                eal=_eal(f"0@{cores[0]},1@{cores[1]}", 512))
    seen = _traffic(cores, rate)
    stats = telemetry("/weir/capture/stats,c") if path else {}
    stats["writer_seconds"] = _writer_seconds(weir.popen.pid)
    weir.end(seconds=60)
    return seen["received"] / SECONDS / 1e6, stats


def _in_file(path):
    row = subprocess.run(["capinfos", "-TmrcM", path], text=True, capture_output=True, check=True)
    return int(row.stdout.split(",")[1])


def _compare(rate):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Skip("two cores are needed")
    path = os.path.join(_directory(), "c.pcapng")
    rates = {None: [], path: []}
    missed = []
    print(f"{'captured':>9} {'Mpps':>7} {'frames':>10} {'missed':>9} {'in file':>10} {'MB/s':>6} {'CPU ms/MB of writing':>20}")
    with HugePages(PAGES):
        for _ in range(ROUNDS):
            for capture, seen in rates.items():
                mpps, stats = _round(cores, rate, capture)
                seen.append(mpps)
                if not capture:
                    print(f"{'no':>9} {mpps:7.3f}", flush=True)
                    continue
                lost = stats["missed_no_staging"] + stats["missed_not_written"]
                missed.append(lost)
                rate_mb = os.path.getsize(path) / SECONDS / 1e6
                print(f"{'yes':>9} {mpps:7.3f} {stats['seen_packets']:>10} {lost:>9} "
                      f"{_in_file(path):>10} {rate_mb:6.0f} "
                      f"{1e9 * stats['writer_seconds'] / max(1, stats['written_bytes']):20.2f}",
                      flush=True)
                os.unlink(path)
    without, captured = (statistics.median(seen) for seen in rates.values())
    print(f"forwarded with the capture: {captured / without:.2f} of without; "
          f"missed: median {statistics.median(missed):.0f}")
    return captured / without, statistics.median(missed)


def paced():
    ratio, missed = _compare(RATE)
    if ratio < RATIO_MIN or missed > 0:
        raise AssertionError(f"{ratio:.2f} of the rate without, {missed} frames missed")


def most():
    _compare(0)


main(globals())
