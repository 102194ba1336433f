#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Frames of guests, captured to files that tshark reads."""
import os
import shutil
import subprocess
import threading
import time

from harness import (Console, Guest, Nic, Skip, Testpmd, Weir, main, need, telemetry,
                     wait_for)
from harness.front_end import FrontEnd
from harness.testpmd import virtio_user
from harness.weir import BUILD, WEIR, eal_options

SOCKET = "/run/weir/g0.sock"
LOOP = ("--endpoint", "name=loop,type=loopback",
        "--guest", f"name=g0,socket={SOCKET},endpoint=loop")
ROUNDS = 20


def _run(*command):
    if not shutil.which(command[0]):
        raise Skip(f"no {command[0]}: make install")
    run = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)
    # It ends with an error when a record is cut.
    need(run.returncode == 0, f"{' '.join(command)}: {run.stderr}")
    return run.stdout


def _tshark(path, *fields):
    """The frames of a file: a list of these fields' values each."""
    words = [word for field in fields for word in ("-e", field)]
    text = _run("tshark", "-n", "-r", path, "-T", "fields", *words)
    return [line.split("\t") for line in text.splitlines()]


def _counts(paths):
    """Frames in each file, as capinfos of the same project counts them."""
    rows = _run("capinfos", "-TmrcM", *paths).splitlines()
    return [int(row.split(",")[1]) for row in rows]


def _start(keys):
    answer = telemetry(f"/weir/capture/start,{keys}")
    need(answer == {"capture": "started"}, f"{keys}: {answer}")


def _stop(name):
    """The counters just before the end, and the end."""
    stats = telemetry(f"/weir/capture/stats,{name}")
    answer = telemetry(f"/weir/capture/stop,{name}")
    need(answer == {"stopped": name}, f"{name}: {answer}")
    return stats


def _flow(pmd):
    pmd.do("set fwd flowgen")
    pmd.do("start")


def _drain(pmd, n_ports):
    """Stop sending, take what is on its way; the ports' counters."""
    pmd.do("stop")
    pmd.do("set fwd rxonly")
    pmd.do("start")
    seen = [None]

    def quiet():
        seen.append([pmd.counters(port) for port in range(n_ports)])
        time.sleep(0.2)
        return seen[-2] == seen[-1]

    wait_for("the last frames", quiet, 20)
    pmd.do("stop")
    return seen[-1]


def ping_of_a_linux_guest_is_read_by_tshark():
    Weir("--endpoint", "name=up,type=tap,iface=weir0",
         "--guest", f"name=g0,socket={SOCKET},endpoint=up",
         "--capture", "name=ping,guest=g0,file=/run/ping.pcapng,filter='icmp and host 10.0.0.1'",
         "--capture", "name=tx,endpoint=up,file=/run/tx.pcapng,direction=tx,snaplen=34")
    subprocess.run(["ip", "addr", "add", "10.0.0.1/24", "dev", "weir0"], check=True)
    subprocess.run(["ip", "link", "set", "weir0", "up"], check=True)
    guest = Guest("g0", Nic(SOCKET, "10.0.0.2/24"))
    before = time.time()
    guest.ping("10.0.0.1", 5)
    after = time.time()
    ping, sent = _stop("ping"), _stop("tx")
    frames = _tshark("/run/ping.pcapng", "frame.packet_flags_direction", "icmp.type", "icmp.seq",
                     "frame.len", "frame.time_epoch", "frame.interface_name", "icmp.checksum.status")
    need(len(frames) == 10 == ping["captured_packets"], f"{frames}, {ping}")
    for i, (way, kind, _, length, stamp, interface, status) in enumerate(frames):
        # A request leaves the guest (outbound), its answer enters it.
        need((int(way, 0), kind) == ((2, "8") if i % 2 == 0 else (1, "0")), f"frame {i}: {frames}")
        need(length == "98" and interface == "g0.0" and status == "1", f"frame {i}: {frames}")
        need(before - 0.01 <= float(stamp) <= after + 0.01, f"frame {i} at {stamp}: {before}, {after}")
    need([f[2] for f in frames[::2]] == [f[2] for f in frames[1::2]], f"{frames}")
    need(ping["rejected_by_filter"] > 0 and ping["missed_no_staging"] == 0, f"{ping}")
    lengths = _tshark("/run/tx.pcapng", "frame.packet_flags_direction", "frame.cap_len")
    # The guest may send something of its own between the counters and the end.
    need(len(lengths) >= sent["captured_packets"] >= 5, f"{lengths}, {sent}")
    need(all(int(way, 0) == 2 and int(kept) <= 34 for way, kept in lengths), f"{lengths}")


def captures_come_and_go_under_traffic_and_the_guest_loses_nothing():
    weir = Weir(*LOOP)
    pmd = Testpmd("pmd", virtio_user(0, SOCKET))
    _flow(pmd)
    wait_for("frames", lambda: weir.guest("g0")["tx_packets"] > 10000)
    paths, all_stats = [], []
    for i in range(ROUNDS):
        paths.append(f"/run/{i}.pcapng")
        way = ("both", "tx", "rx")[i % 3]
        _start(f"name=c,guest=g0,file={paths[-1]},snaplen={64 + i},staging=1M,direction={way}")
        if i == 0:
            time.sleep(0.3)
        all_stats.append(_stop("c"))
    port = _drain(pmd, 1)[0]
    guest = weir.guest("g0")
    need(port["TX-packets"] == port["RX-packets"] == guest["tx_packets"] == guest["rx_packets"],
         f"the guest lost frames: {port}, {guest}")
    counts = _counts(paths)
    need(max(counts) > 1000, f"nothing was captured: {counts}")
    for stats, count in zip(all_stats, counts):
        need(count >= stats["captured_packets"], f"{stats}: the file has {count} frames")
    smallest = min((count, path) for count, path in zip(counts, paths) if count > 0)
    need(len(_tshark(smallest[1], "frame.len")) == smallest[0], f"{smallest}")


def stopping_a_capture_on_a_slow_disk_holds_no_command_up():
    preload = os.path.join(BUILD, "tests", "integration", "libslow_disk.so")
    without_uring = os.path.join(BUILD, "tests", "unit", "without_uring")
    weir = Console(*LOOP, program="env", eal=[f"LD_PRELOAD={preload}", without_uring, WEIR,
                                              *eal_options()])

    def is_stopping(name):
        return telemetry(f"/weir/capture/info,{name}")["state"] == "stopping"

    with FrontEnd(SOCKET, up=lambda: weir.guest("g0")["state"] == "up"):
        for name in ("c0", "c1"):
            _start(f"name={name},guest=g0,file=/run/{name}.pcapng")
        with open("/run/slow_disk", "wb"):
            pass
        # One who asks from outside, and the console, whose thread looks after the guests.
        answers = []
        asks = threading.Thread(target=lambda: answers.append(_stop("c0")))
        asks.start()
        try:
            wait_for("the first to be under way", lambda: is_stopping("c0"))
            weir.type("capture stop c1\n")
            wait_for("the second as well", lambda: is_stopping("c1"))
            for _ in range(20):
                need(telemetry("/weir/clear/guest,g0") == {"cleared": "g0"}, "others go on")
            need(is_stopping("c0") and is_stopping("c1"), "their disk is slow")
            need("is being stopped" in telemetry("/weir/capture/stop,c0"), "by one")
        finally:
            os.unlink("/run/slow_disk")
            asks.join()
        need(len(answers) == 1, "the first is answered")
        wait_for("the console's answer", lambda: "stopped c1" in weir.log())
        need(telemetry("/weir/capture/list") == [], "both are gone")
    need(_counts([f"/run/{name}.pcapng" for name in ("c0", "c1")]) == [0, 0], "files are whole")
    need(weir.end() == 0, "weir does not end cleanly")


def full_disk_ends_the_capture_and_not_the_guest():
    weir = Weir(*LOOP)
    os.mkdir("/run/small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", "/run/small"], check=True)
    pmd = Testpmd("pmd", virtio_user(0, SOCKET))
    _flow(pmd)
    wait_for("frames", lambda: weir.guest("g0")["tx_packets"] > 10000)
    _start("name=c,guest=g0,file=/run/small/c.pcapng")
    wait_for("the capture to end", lambda: telemetry("/weir/capture/info,c")["state"] == "ended")
    reason = telemetry("/weir/capture/info,c")["reason"]
    need("/run/small/c.pcapng" in reason and "No space left on device" in reason, reason)
    need(f"weir.capture: capture c: ended: {reason}" in weir.log(), weir.log())
    moved = weir.guest("g0")["tx_packets"]
    wait_for("traffic to go on", lambda: weir.guest("g0")["tx_packets"] > moved + 10000)
    stats = _stop("c")
    port = _drain(pmd, 1)[0]
    guest = weir.guest("g0")
    need(port["TX-packets"] == port["RX-packets"] == guest["tx_packets"],
         f"the guest lost frames: {port}, {guest}")
    need(os.path.getsize("/run/small/c.pcapng") > (2 << 20) - 10000, "the disk is full")
    frames = _tshark("/run/small/c.pcapng", "frame.len")
    need(len(frames) == stats["captured_packets"] and stats["missed_not_written"] > 0,
         f"{len(frames)} frames: {stats}")


def _endpoint_sees_all(path):
    weir = Weir("--endpoint", "name=wire,type=patch", *(
        word for i in range(2) for word in (
            "--guest", f"name=g{i},socket=/run/weir/g{i}.sock,endpoint=wire,datapath={path}")),
        name=f"weir.{path}")
    pmd = Testpmd(f"pmd.{path}", *(virtio_user(i, f"/run/weir/g{i}.sock") for i in range(2)))
    _start(f"name=c,endpoint=wire,file=/run/{path}.pcapng,snaplen=64,staging=64M")
    # Two bursts, one from each: what one guest sends the other gets.
    pmd.do("set fwd rxonly")
    pmd.do("start tx_first 4")
    wait_for("the frames", lambda: weir.guest("g0")["rx_packets"] > 0 == (
        weir.guest("g0")["rx_packets"] - weir.guest("g1")["tx_packets"]))
    ports = _drain(pmd, 2)
    stats = _stop("c")
    need(stats["missed_no_staging"] == 0, f"{stats}")
    counts = {}
    for interface, way in _tshark(f"/run/{path}.pcapng", "frame.interface_name",
                                  "frame.packet_flags_direction"):
        key = interface, int(way, 0)
        counts[key] = counts.get(key, 0) + 1
    for i in range(2):
        sent = ports[i]["TX-packets"]
        need(sent == counts[f"g{i}.0", 2] == counts[f"g{1 - i}.0", 1], f"{ports}: {counts}")
    pmd.kill()
    weir.end()


def capture_of_an_endpoint_sees_all_its_guests():
    _endpoint_sees_all("engine")
    _endpoint_sees_all("library")


def captures_follow_a_guest_that_is_moved_and_swapped():
    weir = Weir(*LOOP, "--endpoint", "name=other,type=loopback",
                "--capture", "name=guest,guest=g0,file=/run/guest.pcapng,snaplen=64",
                "--capture", "name=loop,endpoint=loop,file=/run/loop.pcapng,snaplen=64",
                eal=eal_options(3))
    pmd = Testpmd("pmd", virtio_user(0, SOCKET))
    _flow(pmd)

    def seen(name):
        return telemetry(f"/weir/capture/stats,{name}")["seen_packets"]

    def goes_on(name):
        before = seen(name)
        wait_for(f"{name} to see frames", lambda: seen(name) > before + 1000)

    for lcore in (2, 1, 2):
        answer = telemetry(f"/weir/move/guest,g0,0,{lcore}")
        need(isinstance(answer, dict), f"{answer}")
        goes_on("guest")
        goes_on("loop")
    for endpoint in ("other", "loop", "other"):
        answer = telemetry(f"/weir/swap/guest,g0,{endpoint}")
        need(isinstance(answer, dict), f"{answer}")
        goes_on("guest")
        if endpoint == "loop":
            goes_on("loop")
        else:
            before = seen("loop")
            goes_on("guest")
            need(seen("loop") == before, "what is on another endpoint is not seen")
    need(telemetry("/weir/capture/info,guest")["interfaces"] == 1, "the guest keeps its interface")
    pmd.do("stop")
    for name in ("guest", "loop"):
        _stop(name)
    counts = _counts(["/run/guest.pcapng", "/run/loop.pcapng"])
    need(counts[0] > counts[1] > 0, f"{counts}")
    pmd.kill()
    weir.end()


main(globals())
