#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir-bench vhost: against a back-end with known faults it counts just those; and what
ports it can be."""
import json
import os
import re
import signal
import subprocess
import time

from harness import Process, Skip, Weir, main, need, wait_for
from harness.telemetry import telemetry
from harness.weir import BUILD, eal_options

BENCH = os.path.join(BUILD, "app", "weir-bench", "weir-bench")
FAULTY = os.path.join(BUILD, "tests", "integration", "weir-faulty")
SOCKET = "/run/weir/g0.sock"
FAULTS = ("lost", "duplicated", "reordered", "corrupted", "foreign")
EVERY = 50


def _faulty(faults):
    if not os.access(FAULTY, os.X_OK):
        raise Skip(f"no {FAULTY}: make build")
    return Weir("--endpoint", f"name=f,type=faulty{faults}",
                "--guest", f"name=g0,socket={SOCKET},endpoint=f", program=FAULTY)


def _command(*words, options=(), keys="", lcores=1, port="--port", path=SOCKET):
    return [BENCH, *eal_options(lcores, 192), "--no-telemetry", "--", *options, "vhost", port,
            f"path={path}{keys}", *words]


def _rows(text):
    rows = [json.loads(line) for line in text.splitlines() if line.startswith('{"mode')]
    return {row["case"]: row["back-end"] for row in rows}


def _run(*words, **how):
    run = subprocess.run(_command(*words, options=("--json",), **how), text=True,
                         capture_output=True, timeout=50, check=False)
    need(run.returncode == 0, f"weir-bench ended with {run.returncode}: {run.stderr}")
    return _rows(run.stdout)


def _no_fault(rows, frames=1000):
    need(rows["sent, frames"] > frames, f"hardly a frame: {rows}")
    need(not any(rows[f"{name}, frames"] for name in FAULTS), f"faults: {rows}")


def _counted(faults, fault, *words, packed=False):
    """The fault that every 50th frame has is counted so often, and no other is."""
    _faulty(faults)
    rows = _run("--window=32", "--seconds=0.7", "--txpkts=60,200", "--flows=3", *words,
                keys=f",packed_vq={int(packed)}")
    seen = {name: rows[f"{name}, frames"] for name in FAULTS}
    sent = rows["sent, frames"]
    need(sent > 20 * EVERY, f"only {sent} frames were sent")
    right = sent / EVERY
    need(abs(seen[fault] - right) <= 2, f"{right:.0f} frames {fault}, not {seen[fault]:.0f}")
    # The last frame of all may be the one that waits for another to overtake it.
    others = {name: n for name, n in seen.items()
              if name != fault and n > (1 if fault == "reordered" else 0)}
    need(not others, f"frames {others} that were not made so")


def lost_frames_are_counted():
    _counted(f",lose={EVERY}", "lost", packed=True)


def duplicated_frames_are_counted():
    _counted(f",double={EVERY}", "duplicated")


def reordered_frames_are_counted():
    # Of one flow: what another flow's frame overtakes has kept its place.
    _counted(f",swap={EVERY}", "reordered", "--flows=1")


def corrupted_frames_are_counted():
    _counted(f",corrupt={EVERY}", "corrupted", "--check=1", packed=True)


def frames_cut_short_are_corrupted():
    _faulty(f",cut={EVERY}")
    rows = _run("--window=32", "--seconds=0.7", "--check=0")
    right = rows["sent, frames"] / EVERY
    need(right > 20 and abs(rows["corrupted, frames"] - right) <= 2, f"{right} were cut: {rows}")


def sound_backend_has_no_fault():
    _faulty("")
    rows = _run("--seconds=0.7", "--check=1", "--txpkts=imix", "--flows=64", keys=",queues=1")
    _no_fault(rows)


def sweep_finds_no_rate_without_loss_and_any_with_it_allowed():
    _faulty(",lose=10")
    words = ("--measure=sweep", "--rate=1000", "--seconds=0.3", "--resolution=40")
    rows = _run(*words)
    need(rows["highest rate carried, Mpps"] == 0, f"a rate without loss: {rows}")
    rows = _run(*words, "--loss=20")
    need(rows["highest rate carried, Mpps"] > 0, f"no rate: {rows}")


def interrupt_prints_what_was_measured():
    _faulty("")
    bench = Process("bench", _command("--seconds=60", "--stats-period=0.2"))
    wait_for("the first rates", lambda: bench.log().count(" s: sent") >= 2)
    code = bench.end(signal.SIGINT)
    need(code == 130, f"exit code {code}")
    for text in ("received, Mpps", "lost, frames", "interrupted"):
        need(text in bench.log(), f"'{text}' is missing: {bench.log()}")


def regression_is_an_error_and_names_the_row():
    _faulty("")
    words = ("--rate=1000", "--seconds=0.3")
    run = subprocess.run(_command(*words, options=("--json",)), text=True, capture_output=True,
                         timeout=50, check=True)
    about, *rows = run.stdout.splitlines()
    need(json.loads(about)["program"] == "weir-bench", f"no machine: {about}")
    need("--rate=1000" in json.loads(about)["command"], f"no command: {about}")
    for factor, code in ((1, 0), (1000, 1)):
        with open("/run/old.json", "w", encoding="ascii") as file:
            print(about, file=file)
            row = next(row for row in map(json.loads, rows) if row["case"] == "sent, Mpps")
            row["back-end"] *= factor
            print(json.dumps(row, separators=(",", ":")), file=file)
        run = subprocess.run(_command(*words, options=("--compare", "/run/old.json",
                                                       "--tolerance", "90")),
                             text=True, capture_output=True, timeout=50, check=False)
        need(run.returncode == code, f"{run.returncode}: {run.stdout} {run.stderr}")
        need((code == 1) == ("worse" in run.stderr and "'sent, Mpps'" in run.stderr), run.stderr)


def prompt_starts_and_stops():
    _faulty("")
    with subprocess.Popen(_command("-i", "--window=8", lcores=2), text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as bench:
        for line, seconds in (("start", 1), ("show stats", 0.5), ("stop", 1), ("set burst 4", 0),
                              ("show config", 0), ("set burst none", 0), ("quit", 0)):
            bench.stdin.write(line + "\n")
            bench.stdin.flush()
            time.sleep(seconds)
        said = bench.communicate(timeout=20)[0]
    need(bench.returncode == 0, f"exit code {bench.returncode}: {said}")
    need("burst 4" in said and "'none' is no number" in said, said)
    last = [line for line in said.splitlines() if "sent " in line and "lost" in line][-1]
    words = last.replace(",", "").split()
    seen = dict(zip(words[-14::2], words[-13::2]))
    need(int(seen["sent"]) > 0 and seen["sent"] == seen["received"] and seen["lost"] == "0", last)


def bench_that_listens_is_connected_to():
    weir = Weir("--endpoint", "name=e,type=loopback",
                "--guest", f"name=g0,socket={SOCKET},mode=client,endpoint=e")
    for _ in range(2):  # it comes again
        rows = _run("--seconds=0.5", keys=",server=1")
        _no_fault(rows)
    need(weir.guest("g0")["tx_packets"] > rows["sent, frames"], "weir has carried them")


def first_frames_that_are_lost_hold_no_round_trip_up():
    _faulty(",first=3")
    rows = _run("--measure=round-trip", "--count=100")
    need(rows["p50, ns"] > 0, f"no time: {rows}")


def _queue_pairs(n):
    weir = Weir("--endpoint", "name=e,type=loopback",
                "--guest", f"name=g0,socket={SOCKET},queues={n},endpoint=e")
    bench = Process("bench", _command("-i", "--check=1", keys=f",queues={n}", lcores=2),
                    stdin=subprocess.PIPE)
    wait_for("the prompt", lambda: "weir-bench> " in bench.log())
    pairs = weir.guest("g0")["pairs"]
    need(len(pairs) == n, f"{n} pairs are polled: {pairs}")
    bench.expected = True
    bench.popen.communicate(b"quit\n", timeout=20)
    rows = _run("--seconds=0.7", "--check=1", "--flows=3", keys=f",queues={n}")
    _no_fault(rows)
    # A queue that nothing passes through would make it 0.
    need(rows["least to most of a queue, percent"] > 20, f"a queue is left out: {rows}")


def two_queue_pairs_of_a_port_are_all_used():
    _queue_pairs(2)


def four_queue_pairs_of_a_port_are_all_used():
    _queue_pairs(4)


def two_hundred_and_fifty_six_guests_of_one_lcore_are_up_and_served():
    n = 256
    weir = Weir("--endpoint", "name=e,type=loopback",
                *(word for i in range(n) for word in
                  ("--guest", f"name=g{i},socket=/run/weir/g{i}.sock,endpoint=e")))
    need(len(telemetry("/weir/poller/list")) == 1, "one lcore polls")
    light = {"port": "--light", "path": "/run/weir/g%u.sock"}
    bench = Process("bench", _command("-i", "--busy=1", keys=f",guests={n},queue_size=32",
                                      lcores=2, **light), stdin=subprocess.PIPE)
    wait_for("the prompt", lambda: "weir-bench> " in bench.log(), 30)
    states = [telemetry(f"/weir/guest/info,g{i}")["state"] for i in range(n)]
    need(states.count("up") == n, f"not all are up: {states}")
    bench.popen.stdin.write(b"start\n")
    bench.popen.stdin.flush()
    wait_for("frames of the busy one", lambda: weir.guest("g0")["rx_packets"] > 1000)
    bench.expected = True
    bench.popen.communicate(b"stop\nquit\n", timeout=30)
    sent, received, lost = re.findall(r"sent (\d+), received (\d+), lost (\d+)", bench.log())[-1]
    need(sent == received and lost == "0", f"{sent} sent, {received} received, {lost} lost")
    rows = _run("--seconds=0.5", keys=f",guests={n},queue_size=32", **light)
    _no_fault(rows, 10 * n)
    need(rows["least to most of a queue, percent"] > 5, f"a guest is not served: {rows}")
    broken = [line for line in weir.log().splitlines() if "stopped:" in line]
    need(not broken, f"rings that were broken: {broken}")


main(globals())
