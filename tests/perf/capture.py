#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a capture costs the traffic, and what it misses.

    tests/perf/capture.py paced          1 Mpps of 512-byte frames for 10 s, guest to guest
    tests/perf/capture.py most           as many as go: more than a disk takes, shown and not judged
    tests/perf/capture.py beside         beside dumpcap and tcpdump, 300 000 frames a second
    tests/perf/capture.py beside_most    likewise, as many as go

One process is both guests (tests/perf/paced.c), on the first core along with the capture's
writer; weir polls on the second. Without and with the capture in turn, medians of ROUNDS.
The file is in a tmpfs of its own, or in the directory WEIR_CAPTURE_DIR names: then its disk
is measured. Wants 384 huge pages, 6 GB of memory and a quiet machine. After a round the
file's frames are counted by capinfos.

Beside others, what is captured is what they can see, a kernel interface: one guest sends to a
tap endpoint (io=inline, so that whatever happens in the tap is the poll lcore's cost), and all
of its frames are captured by weir at the endpoint, or by dumpcap or tcpdump on the tap's
interface, or by nobody, in turn. Each has 256 MB for frames that wait, whole frames, no names,
one file, and the first core with the source. A peer is ended when its file has not grown for a
second; then the file is synced to its disk. The columns:

    sent      frames a second that the guest sent and the tap took, in millions
    in file, missed, MB/s    frames; bytes of the file a second of traffic
    CPU       seconds of the process that captures; of weir: its writer, and the kernel's helpers
    else      seconds of the machine but for these, the source, weir and us: interrupts, the
              kernel's writing to the disk, and whoever else makes it less than quiet
    lcore     cycles of the poll lcore a frame, the writing to the tap included
    left      of the rate without a capture
"""
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
# pylint: disable=wrong-import-position
from harness import HugePages, Skip, Weir, main, telemetry, wait_for
from harness.process import Process
from harness.weir import BUILD

RATE = 1000000
SECONDS = int(os.environ.get("WEIR_CAPTURE_SECONDS", "10"))
ROUNDS = int(os.environ.get("WEIR_CAPTURE_ROUNDS", "3"))
BYTES = 512
RATIO_MIN = 0.9
STAGING = "256M"
PAGES = 384  # of 2 MB
BESIDE_RATE = int(os.environ.get("WEIR_CAPTURE_RATE", "300000"))
TAP = "weir0"
# What each says when it captures, and its command but for the file.
PEERS = {
    "dumpcap": ("File:", ["dumpcap", "-q", "-i", TAP, "-s", "0", "-B", "256", "-w"]),
    "tcpdump": ("listening on", ["tcpdump", "-n", "-i", TAP, "-s", "0", "-B", "262144",
                                 "-Z", "root", "-w"]),
}


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


def _traffic(cores, rate, n_guests=2):
    vdevs = [f"--vdev=net_virtio_user{i},path=/run/weir/g{i}.sock,queue_size=1024,"
             f"mac=02:00:00:00:00:0{i + 1}" for i in range(n_guests)]
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


def _seconds_of(pid):
    """CPU time of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return sum(int(word) for word in words[11:13]) / os.sysconf("SC_CLK_TCK")


def _machine_seconds():
    """CPU time of everything on the machine: user, nice, system, interrupts of both kinds."""
    with open("/proc/stat", encoding="ascii") as file:
        words = file.readline().split()
    return sum(int(words[i]) for i in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")


def _ours_seconds():
    """CPU time of this script, and of what it has waited for: the source."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _settled(path):
    """Wait until a file has not grown for a second."""
    sizes = [-1]

    def still():
        sizes.append(os.path.getsize(path))
        time.sleep(1)
        return sizes[-1] == os.path.getsize(path)

    wait_for(f"the last frames of {path}", still, 30)


def _synced(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


class _Missing(Exception):
    """A peer that does not capture here; the text says why."""


def _peer_start(who, path, core):
    says, command = PEERS[who]
    if not shutil.which(who):
        raise _Missing("it is not installed (make install)")
    peer = Process(who, ["taskset", "-c", str(core), *command, path])
    try:
        wait_for(f"{who} to capture", lambda: says in peer.log())
    except AssertionError as error:
        if peer.is_alive():
            peer.kill()
        raise _Missing(f"{error}: {peer.log().splitlines()[-1]}") from None
    return peer


def _beside_round(cores, rate, who, path):
    """One contender's row, as numbers."""
    words = ["--endpoint", f"name=up,type=tap,iface={TAP},io=inline",
             "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=up"]
    if who == "weir":
        words += ["--capture", f"name=c,endpoint=up,file={path},staging={STAGING}"]
    weir = Weir(*words, eal=_eal(f"0@{cores[0]},1@{cores[1]}", 512))
    # Nothing of the host's own on it.
    with open(f"/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    subprocess.run(["ip", "link", "set", TAP, "up"], check=True)
    try:
        peer = _peer_start(who, path, cores[0]) if who in PEERS else None
    except _Missing:
        weir.end(seconds=60)
        raise
    before = _machine_seconds() - _ours_seconds() - _seconds_of(weir.popen.pid)
    begun = _seconds_of(peer.popen.pid) if peer else 0
    _traffic(cores, rate, 1)
    cycles = telemetry("/weir/poller/stats,lcore1")["busy_cycles"]
    if peer:
        _settled(path)
        cpu = _seconds_of(peer.popen.pid) - begun
        peer.end(signal.SIGINT)
        _synced(path)
    else:
        time.sleep(1)
        cpu = _writer_seconds(weir.popen.pid)
    sent = weir.endpoint("up")["tx_packets"]
    rest = _machine_seconds() - _ours_seconds() - _seconds_of(weir.popen.pid) - before
    weir.end(seconds=60)
    row = {"sent": sent / SECONDS / 1e6, "lcore": cycles / sent, "cpu": cpu,
           "rest": rest + begun}  # a peer that has ended is one of ours
    if who != "nobody":
        row["file"] = _in_file(path)
        row["missed"] = sent - row["file"]
        row["mb"] = os.path.getsize(path) / SECONDS / 1e6
        os.unlink(path)
    return row


def _beside_print(who, row, left=""):
    cells = [f"{who:>8} {row['sent']:6.3f}"]
    if "file" in row:
        cells.append(f"{row['file']:>9.0f} {row['missed']:>9.0f} {row['mb']:6.0f} "
                     f"{row['cpu']:6.2f}")
    else:
        cells.append(" " * 33)  # nothing was written
    print(*cells, f"{row['rest']:6.2f} {row['lcore']:6.0f} {left}", flush=True)


def _beside(rate):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Skip("two cores are needed")
    path = os.path.join(_directory(), "beside.pcapng")
    rows = {who: [] for who in ("nobody", "weir", *PEERS)}
    print(f"{'who':>8} {'sent':>6} {'in file':>9} {'missed':>9} {'MB/s':>6} {'CPU':>6} "
          f"{'else':>6} {'lcore':>6} left")
    with HugePages(PAGES):
        for _ in range(ROUNDS):
            for who, seen in list(rows.items()):
                try:
                    seen.append(_beside_round(cores, rate, who, path))
                    _beside_print(who, seen[-1])
                except _Missing as reason:
                    print(f"{who:>8} not measured: {reason}")
                    del rows[who]
    print(f"medians of {ROUNDS} rounds of {SECONDS} s:")
    medians = {who: {key: statistics.median(row[key] for row in seen) for key in seen[0]}
               for who, seen in rows.items()}
    for who, row in medians.items():
        _beside_print(who, row, f"{row['sent'] / medians['nobody']['sent']:.2f}")


def beside():
    _beside(BESIDE_RATE)


def beside_most():
    _beside(0)


def paced():
    ratio, missed = _compare(RATE)
    if ratio < RATIO_MIN or missed > 0:
        raise AssertionError(f"{ratio:.2f} of the rate without, {missed} frames missed")


def most():
    _compare(0)


main(globals())
