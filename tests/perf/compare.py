#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir beside testpmd and Open vSwitch: the same work, in slices, by one command.

The guests are `weir-bench vhost` on the first core; the back-end polls on the second. Each
visit to a line of work starts every back-end and freezes it; then each case is measured in
slices of about a second, one back-end after the other, which alone runs meanwhile. How far
the two cores are is measured before and after every slice: figures are medians of slices on
near cores, or on far ones; those during which the cores moved are put aside, and counted.
A back-end that does not start, or a case that it fails, is said and shows as a gap.
"""
import argparse
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
# pylint: disable=wrong-import-position
import peers
import report
from cases import LINES
from harness import HugePages, Skip, claim, process
from harness.weir import BUILD, TREE

PAGES = 1900  # of 2 MB: Open vSwitch takes 1300 of them for an MTU of 9000
FRESH_SECONDS = 0.3  # so long a distance is taken for that of now


class Run:
    """What the command line asks for, and the samples so far."""

    def __init__(self, options):
        self.options = options
        self.samples = []
        self.visit = 0
        self.distance = None
        self.distance_at = 0

    def say(self, text):
        print(f"{time.monotonic() - self.options.start:6.0f} s  {text}", file=sys.stderr,
              flush=True)

    def add(self, line, case, peer, unit, value, **more):
        if value is None:
            self.say(f"{peer}: {line}, {case}: no figure")
            return
        self.samples.append({"line": line, "case": case, "peer": peer, "unit": unit,
                             "value": value, "visit": self.visit, "distance_ns": self.distance,
                             **more})

    def measure_distance(self):
        """Of the two cores, now; nothing else may run on them."""
        if time.monotonic() - self.distance_at > FRESH_SECONDS:
            self.distance = peers.distance(BUILD)
            self.distance_at = time.monotonic()
        return self.distance


def try_it(run, what, function, *args, **more):
    """Whatever fails is said and the rest goes on."""
    try:
        return function(*args, **more)
    except Exception as error:  # pylint: disable=broad-except
        run.say(f"FAILED: {what}: {error}")
        run.options.failures.append(f"{what}: {error}")
        if run.options.verbose:
            traceback.print_exc()
            process.print_logs(15)
        return None


def start_all(run, line):
    """Every back-end that takes part, each frozen."""
    shape, _, takers, _, _ = LINES[line]
    started = []
    for taker in takers:
        if run.options.peers and taker.name not in run.options.peers:
            continue
        if shape[1] > taker.guests_max:
            run.say(f"{line}: {taker.name} has at most {taker.guests_max} guests")
            continue
        peer = try_it(run, f"{line}, {taker.name}: does not start", taker, *shape)
        if peer is not None:
            peer.freeze()
            started.append(peer)
    return started


def awake(peer, function, *args, stays=True):
    """Do something while this back-end runs."""
    peer.thaw()
    try:
        function(*args)
    finally:
        if stays:
            peer.freeze()


def end_all(run, line, started):
    for peer in started:
        try_it(run, f"{line}, {peer.name}: does not end", awake, peer, peer.end, stays=False)
        peer.remove_sockets()
    for left in process.running:
        left.expected = True
    process.end_all()
    process.running.clear()


def take_slice(run, line, peer, case, measure):
    """One back-end awake for one case, between two looks at the distance."""
    run.measure_distance()
    first = len(run.samples)
    try_it(run, f"{line}, {peer.name}: {case}", awake, peer, measure, case)
    # A virtual machine's cores move: what was measured meanwhile is neither near nor far.
    after = run.measure_distance()
    for sample in run.samples[first:]:
        sample["distance_after_ns"] = after


def visit(run, line):
    """Every case of a line by every back-end, in turns."""
    _, cases_of, _, _, rounds = LINES[line]
    run.say(f"visit {run.visit + 1} of {run.options.visits}: {line}")
    started = start_all(run, line)
    cases = {peer: dict(cases_of(run, peer)) for peer in started}
    names = list(dict.fromkeys(name for of in cases.values() for name in of))
    for number in range(rounds):
        for name in names:
            # Who goes first changes, so that a drift of the machine hits all.
            for i in range(len(started)):
                peer = started[(i + number + run.visit) % len(started)]
                if name in cases[peer]:
                    take_slice(run, line, peer, name, cases[peer][name])
    end_all(run, line, started)
    report.write_json(run, f"{run.options.out}.json")


def measure_all(run):
    """Visit after visit, each begun only if it can end in time."""
    options = run.options
    took = {}
    for run.visit in range(options.visits):
        for line in options.lines:
            start = time.monotonic()
            if run.visit >= LINES[line][3]:
                continue
            if start + took.get(line, 0) - options.start > 60 * options.minutes:
                if run.visit == 0:
                    options.failures.append(f"{line}: {options.minutes:g} minutes are over")
                continue
            visit(run, line)
            took[line] = time.monotonic() - start


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", default=",".join(LINES),
                        help=f"of {','.join(LINES)} (default all)")
    parser.add_argument("--peers", default="", help="names, separated by ';' (default all)")
    parser.add_argument("--quick", action="store_true", help="one visit to each, short slices")
    parser.add_argument("--visits", type=int, help="to a line, each with new processes (3)")
    parser.add_argument("--seconds", type=float, help="of one throughput figure")
    parser.add_argument("--minutes", type=float, default=19, help="end by then, with fewer visits if need be")
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
    options.visits = options.visits or (1 if options.quick else 3)
    options.seconds = options.seconds or (0.4 if options.quick else 0.8)
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
