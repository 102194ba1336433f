# SPDX-License-Identifier: BSD-3-Clause
"""What compare.py measures: the lines of work, each a list of cases for one back-end, with
`weir-bench vhost` as its guests.
"""
import json
import os
import subprocess
import sys
import time

import peers
from harness import Process, claim, process
from harness.weir import BUILD

BENCH = os.path.join(BUILD, "app", "weir-bench", "weir-bench")
ALL = (peers.WeirPeer, peers.TestpmdPeer, peers.OvsPeer)
SLEEPERS = ALL + (peers.WeirAwake, peers.OvsSleepy)
IDLE_GUESTS = 16
SCALE = (1, 8, 32, 64, 256)
WINDOW = 128  # frames on their way, as testpmd's `start tx_first 4`


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
