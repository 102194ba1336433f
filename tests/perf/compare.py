#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir beside testpmd and Open vSwitch: the same work, in turns, by one command.

The guests are `weir-bench vhost` on virtio-user, on the first core; the back-end polls on
the second. Each round starts every back-end once for each shape of work, measures how far
the two cores are, and runs all cases of the shape; figures are medians over the rounds.
A back-end that does not start, or a case that it fails, is said and shows as a gap.
"""
import argparse
import json
import os
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
# pylint: disable=wrong-import-position
import peers
import report
from harness import HugePages, Process, Skip, claim, process
from harness.weir import BUILD, TREE

BENCH = os.path.join(BUILD, "app", "weir-bench", "weir-bench")
ALL = (peers.WeirPeer, peers.TestpmdPeer, peers.OvsPeer)
SLEEPERS = ALL + (peers.WeirAwake, peers.OvsSleepy)
PAGES = 1900  # of 2 MB: Open vSwitch takes 1300 of them for an MTU of 9000
IDLE_GUESTS = 16
WINDOW = 128  # frames on their way, as testpmd's `start tx_first 4`


class Run:
    """What the command line asks for, and the samples so far."""

    def __init__(self, options):
        self.options = options
        self.samples = []
        self.round = 0
        self.distance = None

    def say(self, text):
        print(f"{time.monotonic() - self.options.start:6.0f} s  {text}", file=sys.stderr,
              flush=True)

    def add(self, line, case, peer, unit, value, **more):
        if value is None:
            self.say(f"{peer}: {line}, {case}: no figure")
            return
        self.samples.append({"line": line, "case": case, "peer": peer, "unit": unit,
                             "value": value, "round": self.round, "distance_ns": self.distance,
                             **more})


def guest_command(ports, keys, *words, lcores=None, megabytes=192):
    command = [BENCH, *peers.eal(megabytes, lcores or f"0@{peers.CORES[0]}"), "--no-telemetry",
               "--", "--json", "vhost"]
    for i in range(ports):
        command += ["--port", f"path={peers.socket_path(i)},{keys}"]
    return command + list(words)


def guests(ports, packed, *words):
    """Run weir-bench vhost to its end: {row: figure}."""
    keys = f"queue_size=256,packed_vq={int(packed)}"
    for tries_left in (1, 0):
        run = subprocess.run(guest_command(ports, keys, *words), text=True, capture_output=True,
                             timeout=120, check=False)
        # A back-end that is still busy with the guest before this one.
        if "does the back-end send" not in run.stderr or tries_left == 0:
            break
        print(f"once more: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    if run.returncode != 0:
        said = [text for text in run.stderr.splitlines() if text.startswith("weir-bench: ")]
        raise AssertionError(f"{said[-1] if said else run.stderr[-200:]} (exit {run.returncode})")
    rows = [json.loads(text) for text in run.stdout.splitlines() if text.startswith('{"mode')]
    return {row["case"]: row["back-end"] for row in rows}


def rate(run, peer, line, case, ports, packed, *words):
    """One case of throughput, with the back-end's own cycles."""
    peer.mark()
    rows = guests(ports, packed, "--seconds", str(run.options.seconds), *words)
    if rows["received, Mpps"] == 0:
        raise AssertionError("not a frame came through")
    wrong = sum(rows.get(f"{what}, frames", 0) for what in ("duplicated", "reordered", "corrupted"))
    if wrong:
        raise AssertionError(f"frames duplicated, reordered or corrupted: {rows}")
    run.add(line, case, peer.name, "Mpps", rows["received, Mpps"],
            best=rows["received, best 2 ms, Mpps"], lost_percent=rows["lost, percent"])
    if "least to most of a queue, percent" in rows:
        run.add(line + ", fairness", case, peer.name, "least to most, %",
                rows["least to most of a queue, percent"])
    run.add(line + ", back-end", case, peer.name, "cycles a frame", peer.cycles_per_frame())


def _rings(packed):
    return "packed" if packed else "split"


def cable(run, peer):
    for packed in (False, True):
        for size in (64, 1518):
            yield (f"{size} B {_rings(packed)}",
                   lambda case, s=size, p=packed: rate(
                       run, peer, "guest to guest", case, 2, p, "--path=one-way",
                       f"--txpkts={s}", f"--window={WINDOW}"))


def cable_9000(run, peer):
    for packed in (False, True):
        yield (f"9000 B {_rings(packed)}",
               lambda case, p=packed: rate(run, peer, "guest to guest", case, 2, p,
                                           "--path=one-way", "--txpkts=9000",
                                           f"--window={WINDOW}"))


def loop(run, peer):
    only = peer.name in (peers.WeirAwake.name, peers.OvsSleepy.name)
    for packed in (False, True):
        for size in (64, 1518):
            if only and (packed or size != 64):
                continue
            yield (f"{size} B {_rings(packed)}",
                   lambda case, s=size, p=packed: rate(run, peer, "loopback", case, 1, p,
                                                       f"--txpkts={s}", f"--window={WINDOW}"))
    for case, words in (("frame after frame", ("--count=100000",)),
                        ("after 5 ms of nothing", ("--count=300", "--gap-us=5000"))):
        yield case, lambda what, w=words: latency(run, peer, what, w)


def latency(run, peer, case, words):
    rows = guests(1, False, "--measure=round-trip", *words)
    for part in ("p50", "p99"):
        run.add("round trip", f"{case}, {part}", peer.name, "us", rows[f"{part}, ns"] / 1000)


def scale(n):
    """Cases of @n guests on one lcore: one of them busy, all of them, none yet."""
    def memory_of_each(run, peer, case):
        port = IdleGuests(n)
        time.sleep(4)
        megabytes = peers.own_megabytes(peer.pid, port.popen.pid)
        port.quit()
        run.add("memory", case, peer.name, "MB", megabytes / n)

    def cases(run, peer):
        yield (f"{n} guests, each, before the first frame",
               lambda case: memory_of_each(run, peer, case))
        # No window: each guest sends as fast as its own ring is emptied.
        for busy in (1, n):
            yield (f"{busy} of {n} guests busy",
                   lambda case, b=busy: rate(run, peer, "scale", case, n, False, f"--busy={b}"))

    return cases


def sink(run, peer):
    for size in (64, 1518):
        yield (f"{size} B split",
               lambda case, s=size: rate(run, peer, "guest to sink", case, 1, False,
                                         "--path=sink", f"--txpkts={s}"))


class IdleGuests(Process):
    """Guests that are connected and wait for a command: `start`, `stop`."""

    def __init__(self, ports, *words):
        shared = f"0@{peers.CORES[0]},1@{peers.CORES[0]}"
        super().__init__("guests", guest_command(ports, "queue_size=256", "-i", *words,
                                                 lcores=shared, megabytes=384),
                         stdin=subprocess.PIPE)
        claim.wait_for("the guests", lambda: "weir-bench> " in self.log(), 60)

    def type(self, line):
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def quit(self):
        self.expected = True
        self.type("quit")
        self.popen.wait(30)


def idle(run, peer):
    def measure(case):
        port = IdleGuests(IDLE_GUESTS)
        time.sleep(2)
        before, start = peers.cpu_seconds(peer.pid), time.monotonic()
        time.sleep(run.options.idle_seconds)
        used = peers.cpu_seconds(peer.pid) - before
        port.quit()
        run.add("idle", case, peer.name, "% of a core", 100 * used / (time.monotonic() - start))

    yield f"{IDLE_GUESTS} guests", measure


def memory(run, peer):
    def measure(_):
        port = IdleGuests(2, "--path=one-way")
        time.sleep(4)  # pools are made some time after a guest connects
        seen = [("2 guests, before the first frame", peers.own_megabytes(peer.pid, port.popen.pid))]
        port.type("start")
        time.sleep(3)
        seen += [("2 guests, under load", peers.own_megabytes(peer.pid, port.popen.pid))]
        port.type("stop")
        time.sleep(4)
        seen += [("2 guests, after it", peers.own_megabytes(peer.pid, port.popen.pid))]
        port.quit()
        for case, megabytes in seen:
            run.add("memory", case, peer.name, "MB", megabytes)

    yield "2 guests", measure


# line: (what of a peer it needs, the cases, who takes part, in how many rounds at most)
LINES = {
    "cable": (("cable", 2, 1500), cable, ALL, 99),
    "cable-9000": (("cable", 2, 9000), cable_9000, ALL, 99),
    "loop": (("loop", 1, 1500), loop, SLEEPERS, 99),
    "sink": (("sink", 1, 1500), sink, ALL, 99),
    "idle": (("loop", IDLE_GUESTS, 1500), idle, SLEEPERS, 1),
    "memory": (("cable", 2, 1500), memory, ALL, 1),
    "scale-8": (("loop", 8, 1500), scale(8), ALL, 2),
    "scale-30": (("loop", 30, 1500), scale(30), ALL, 2),
}


def try_it(run, what, function, *args):
    """Whatever fails is said and the rest goes on."""
    try:
        return function(*args)
    except Exception as error:  # pylint: disable=broad-except
        run.say(f"FAILED: {what}: {error}")
        run.options.failures.append(f"{what}: {error}")
        if run.options.verbose:
            traceback.print_exc()
            process.print_logs(15)
        return None


def turn(run, line, start):
    """One back-end's turn at a line."""
    shape, cases, _, _ = LINES[line]
    what = f"{line}, {start.name}"
    run.say(f"round {run.round + 1} of {run.options.rounds}: {what}")
    run.distance = peers.distance(BUILD)
    n_before = len(run.samples)
    peer = try_it(run, f"{what}: does not start", start, *shape)
    if peer is not None:
        for case, measure in cases(run, peer):
            try_it(run, f"{what}: {case}", measure, case)
        try_it(run, f"{what}: does not end", peers.stop, peer)
    for left in process.running:
        left.expected = True
    process.end_all()
    process.running.clear()
    for name in os.listdir(peers.RUN):
        if os.path.isfile(path := f"{peers.RUN}/{name}") or name.endswith(".sock"):
            os.unlink(path)
    # A virtual machine's cores move: what was measured meanwhile is neither near nor far.
    after = peers.distance(BUILD)
    for sample in run.samples[n_before:]:
        sample["distance_after_ns"] = after


def measure_all(run):
    options = run.options
    for run.round in range(options.rounds):
        for line in options.lines:
            if run.round >= LINES[line][3]:
                continue
            takers = LINES[line][2]
            # Who goes first changes, so that a drift of the machine hits all.
            for i in range(len(takers)):
                start = takers[(i + run.round) % len(takers)]
                if options.peers and start.name not in options.peers:
                    continue
                if time.monotonic() - options.start > 60 * options.minutes:
                    run.say(f"{options.minutes} minutes are over: the rest is not measured")
                    options.failures.append(f"after {options.minutes} minutes, in round "
                                            f"{run.round + 1} of {options.rounds}: the rest")
                    return
                turn(run, line, start)
                report.write_json(run, f"{options.out}.json")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", default=",".join(LINES),
                        help=f"of {','.join(LINES)} (default all)")
    parser.add_argument("--peers", default="", help="names, separated by ';' (default all)")
    parser.add_argument("--quick", action="store_true", help="one round, short: 3 minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of one throughput figure")
    parser.add_argument("--minutes", type=float, default=19, help="begin nothing after so many")
    parser.add_argument("--out", default=os.path.join(BUILD, "compare"),
                        help="OUT.json and OUT-*.svg (default build/compare)")
    parser.add_argument("--docs", action="store_true",
                        help="write the figures and charts into docs/performance.md as well")
    parser.add_argument("--report", metavar="JSON", help="measure nothing: show this file")
    parser.add_argument("--best", action="store_true",
                        help="throughput of the best 2 ms of a run: for a machine that is busy")
    parser.add_argument("--verbose", action="store_true", help="logs of what fails")
    options = parser.parse_args()
    options.lines = options.lines.split(",")
    options.peers = [name for name in options.peers.split(";") if name]
    for line in options.lines:
        if line not in LINES:
            parser.error(f"--lines: no line '{line}': of {', '.join(LINES)}")
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.4 if options.quick else 1.0)
    options.idle_seconds = 5 if options.quick else 15
    options.out = os.path.abspath(options.out)
    options.failures = []
    options.command = ["tests/perf/compare.py", *sys.argv[1:]]
    options.start = time.monotonic()
    return options


def main():
    options = parse()
    run = Run(options)
    if options.report:
        report.read_json(run, options.report)
    else:
        if len(peers.CORES) < 2:
            raise Skip("two cores are needed")
        claim.enter_namespaces()
        claim.furnish()
        try:
            with HugePages(PAGES):
                measure_all(run)
        except KeyboardInterrupt:
            run.say("interrupted: what was measured by then follows")
        finally:
            process.end_all()
        report.write_json(run, f"{options.out}.json")
    report.show(run)
    report.charts(run, options.out)
    if options.docs:
        report.write_docs(run, os.path.join(TREE, "docs"))
    return 1 if options.failures or not run.samples else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skip as reason:
        print(f"compare: skipped: {reason}")
        sys.exit(77)
