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
SCALE = (1, 8, 32, 64, 256)
FRESH_SECONDS = 0.3  # so long a distance is taken for that of now
WINDOW = 128  # frames on their way, as testpmd's `start tx_first 4`


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


def ports_of(peer, n, packed):
    """Words for virtio-user ports."""
    words = []
    for i in range(n):
        words += ["--port", f"path={peer.socket(i)},queue_size=256,packed_vq={int(packed)}"]
    return words


def light_ports_of(peer, n):
    """Words for ports that there can be hundreds of, all of one kind whatever @n is."""
    return ["--light", f"path={peer.dir}/g%u.sock,guests={n},queue_size=256"]


def guest_command(ports, *words, lcores=None, megabytes=192):
    return [BENCH, *peers.eal(megabytes, lcores or f"0@{peers.CORES[0]}"), "--no-telemetry",
            "--", "--json", "vhost", *ports, *words]


def guests(ports, *words, megabytes=192):
    """Run weir-bench vhost to its end: {row: figure}."""
    for tries_left in (1, 0):
        run = subprocess.run(guest_command(ports, *words, megabytes=megabytes), text=True,
                             capture_output=True, timeout=120, check=False)
        # A back-end that is still busy with the guest before this one.
        if "does the back-end send" not in run.stderr or tries_left == 0:
            break
        print(f"once more: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    if run.returncode != 0:
        said = [text for text in run.stderr.splitlines() if text.startswith("weir-bench: ")]
        raise AssertionError(f"{said[-1] if said else run.stderr[-200:]} (exit {run.returncode})")
    rows = [json.loads(text) for text in run.stdout.splitlines() if text.startswith('{"mode')]
    return {row["case"]: row["back-end"] for row in rows}


def rate(run, peer, line, case, ports, *words, megabytes=192):
    """One case of throughput, with the back-end's own cycles."""
    peer.mark()
    rows = guests(ports, "--seconds", str(run.options.seconds), *words, megabytes=megabytes)
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
                       run, peer, "guest to guest", case, ports_of(peer, 2, p), "--path=one-way",
                       f"--txpkts={s}", f"--window={WINDOW}"))


def cable_9000(run, peer):
    for packed in (False, True):
        yield (f"9000 B {_rings(packed)}",
               lambda case, p=packed: rate(run, peer, "guest to guest", case,
                                           ports_of(peer, 2, p), "--path=one-way",
                                           "--txpkts=9000", f"--window={WINDOW}"))


def loop(run, peer):
    only = peer.name in (peers.WeirAwake.name, peers.OvsSleepy.name)
    for packed in (False, True):
        for size in (64, 1518):
            if only and (packed or size != 64):
                continue
            yield (f"{size} B {_rings(packed)}",
                   lambda case, s=size, p=packed: rate(
                       run, peer, "loopback", case, ports_of(peer, 1, p), f"--txpkts={s}",
                       f"--window={WINDOW}"))
    for case, words in (("frame after frame", (f"--count={peer.round_trips}",)),
                        ("after 5 ms of nothing", ("--count=300", "--gap-us=5000"))):
        yield case, lambda what, w=words: latency(run, peer, "round trip", what,
                                                  ports_of(peer, 1, False), *w)


def latency(run, peer, line, case, ports, *words, megabytes=192):
    rows = guests(ports, "--measure=round-trip", *words, megabytes=megabytes)
    for part in ("p50", "p99"):
        run.add(line, f"{case}, {part}", peer.name, "us", rows[f"{part}, ns"] / 1000)


def scale(n):
    """Cases of @n guests on one lcore: idle, one of them busy, all of them."""
    megabytes = 64 + 2 * n
    guests_text = f"{n} guests" if n > 1 else "1 guest"

    def still(run, peer, case):
        if any((s["peer"], s["case"]) == (peer.name, case) for s in run.samples):
            return  # once is enough
        port = IdleGuests(light_ports_of(peer, n), megabytes=megabytes)
        time.sleep(4)  # pools are made some time after a guest connects
        run.add("memory", case, peer.name, "MB",
                peers.own_megabytes(peer.pid, port.popen.pid) / n)
        before, start = peers.cpu_seconds(peer.pid), time.monotonic()
        time.sleep(5)
        used = peers.cpu_seconds(peer.pid) - before
        run.add("idle", guests_text, peer.name, "% of a core",
                100 * used / (time.monotonic() - start))
        port.quit()

    def cases(run, peer):
        yield (f"each of {guests_text}, before the first frame",
               lambda case: still(run, peer, case))
        # No window: each guest sends as fast as its own ring is emptied.
        for busy in sorted({1, n}):
            yield (f"{busy} of {guests_text} busy",
                   lambda case, b=busy: rate(run, peer, "scale", case, light_ports_of(peer, n),
                                             f"--busy={b}", megabytes=megabytes))
        yield (f"1 of {guests_text}",
               lambda case: latency(run, peer, "scale, round trip", case, light_ports_of(peer, n),
                                    "--busy=1", "--count=20000", megabytes=megabytes))

    return cases


def sink(run, peer):
    for size in (64, 1518):
        yield (f"{size} B split",
               lambda case, s=size: rate(run, peer, "guest to sink", case,
                                         ports_of(peer, 1, False), "--path=sink",
                                         f"--txpkts={s}"))


class IdleGuests(Process):
    """Guests that are connected and wait for a command: `start`, `stop`."""

    def __init__(self, ports, *words, megabytes=384):
        shared = f"0@{peers.CORES[0]},1@{peers.CORES[0]}"
        already = os.path.getsize(f"{process.LOGS}/guests.log") if os.path.exists(
            f"{process.LOGS}/guests.log") else 0
        super().__init__("guests", guest_command(ports, "-i", *words, lcores=shared,
                                                 megabytes=megabytes), stdin=subprocess.PIPE)
        claim.wait_for("the guests", lambda: "weir-bench> " in self.log()[already:], 60)

    def type(self, line):
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def quit(self):
        self.expected = True
        self.type("quit")
        self.popen.wait(30)


def idle(run, peer):
    def measure(case):
        port = IdleGuests(ports_of(peer, IDLE_GUESTS, False))
        time.sleep(2)
        before, start = peers.cpu_seconds(peer.pid), time.monotonic()
        time.sleep(run.options.idle_seconds)
        used = peers.cpu_seconds(peer.pid) - before
        run.add("idle", case, peer.name, "% of a core", 100 * used / (time.monotonic() - start))
        port.quit()

    yield f"{IDLE_GUESTS} guests", measure


def memory(run, peer):
    def measure(_):
        port = IdleGuests(ports_of(peer, 2, False), "--path=one-way")
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


# line: (what of a peer it needs, the cases, who takes part, visits at most, rounds in one)
LINES = {
    "cable": (("cable", 2, 1500), cable, ALL, 99, 2),
    "loop": (("loop", 1, 1500), loop, SLEEPERS, 99, 2),
    "sink": (("sink", 1, 1500), sink, ALL, 99, 2),
    "cable-9000": (("cable", 2, 9000), cable_9000, ALL, 99, 2),
    "idle": (("loop", IDLE_GUESTS, 1500), idle, SLEEPERS, 1, 1),
    "memory": (("cable", 2, 1500), memory, ALL, 1, 1),
    **{f"scale-{n}": (("loop", n, 1500), scale(n), ALL, 1, 3) for n in SCALE},
}


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
