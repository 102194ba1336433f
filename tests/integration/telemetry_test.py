#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What goes on is seen from outside."""
import json
import shutil
import subprocess

from harness import Skip, Testpmd, Weir, main, need, telemetry, wait_for
from harness.testpmd import virtio_user

WORDS = ("--endpoint", "name=loop,type=loopback",
         "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=loop",
         "--guest", "name=g1,socket=/run/weir/g1.sock,endpoint=loop,mode=client")


def _ask(*commands):
    """dpdk-telemetry.py's answers, as a user sees them."""
    script = shutil.which("dpdk-telemetry.py")
    if not script:
        raise Skip("no dpdk-telemetry.py: make install")
    run = subprocess.run(["python3", script], input="\n".join(commands) + "\n", text=True,
                         timeout=20, capture_output=True, check=True)
    decoder = json.JSONDecoder()
    answers, text = {}, run.stdout
    while (start := text.find("{")) >= 0:
        answer, size = decoder.raw_decode(text[start:])
        answers.update(answer)
        text = text[start + size:]
    return answers


def dpdk_telemetry_py_shows_guests_endpoints_and_pollers():
    Weir(*WORDS)
    pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock"))
    pmd.do("start tx_first")
    wait_for("frames", lambda: telemetry("/weir/guest/stats,g0")["tx_packets"] > 1000)
    pmd.do("stop")
    said = _ask("/weir/guest/list", "/weir/endpoint/list", "/weir/poller/list",
                "/weir/guest/info,g0", "/weir/guest/stats,g0", "/weir/endpoint/info,loop",
                "/weir/endpoint/stats,loop")
    need(sorted(said["/weir/guest/list"]) == ["g0", "g1"], f"{said}")
    need(said["/weir/endpoint/list"] == ["loop"], f"{said}")
    poller = said["/weir/poller/list"][0]
    said.update(_ask(f"/weir/poller/info,{poller}", f"/weir/poller/stats,{poller}"))
    info, stats = said["/weir/guest/info"], said["/weir/guest/stats"]
    need(info["state"] == "up" and "version_1" in info["features"], f"{info}")
    need("numa_node" in info, f"{info}")
    for way in ("tx", "rx"):
        need(stats[f"{way}_bytes"] >= 60 * stats[f"{way}_packets"] > 0, f"{stats}")
    need(any("dropped" in key for key in stats), f"drops have a reason each: {stats}")
    need(said["/weir/endpoint/info"]["type"] == "loopback", f"{said}")
    need(said["/weir/endpoint/stats"]["tx_packets"] == stats["tx_packets"], f"{said}")
    need(said["/weir/poller/info"]["pairs"] == 1, f"{said}")
    need(said["/weir/poller/stats"]["busy_cycles"] > 0, f"{said}")


def guest_that_is_not_up_says_why():
    weir = Weir(*WORDS)
    for name, state in (("g0", "waiting"), ("g1", "waiting")):
        info = weir.guest(name)
        need(info["state"] == state and info["reason"] not in ("", "up"), f"{info}")
        print(f"{name}: {info['reason']}")
    pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock"))
    wait_for("g0 to be up", lambda: weir.guest("g0")["state"] == "up")
    pmd.kill()
    wait_for("g0 to be gone", lambda: weir.guest("g0")["state"] == "waiting")
    print(f"g0: {weir.guest('g0')['reason']}")


def object_that_is_not_there_has_no_answer():
    Weir(*WORDS)
    for command in ("/weir/guest/info,g7", "/weir/guest/stats", "/weir/endpoint/info,"):
        need(telemetry(command) is None, f"{command} is answered")


def log_lines_name_the_guest():
    weir = Weir(*WORDS)
    pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock"))
    wait_for("g0 to be up", lambda: weir.guest("g0")["state"] == "up")
    pmd.kill()
    wait_for("g0 to be gone", lambda: weir.guest("g0")["state"] == "waiting")
    lines = [line for line in weir.log().splitlines() if line.startswith("weir.guest: ")]
    need(len(lines) >= 3, weir.log())
    need(all("g0" in line or "g1" in line for line in lines), "\n".join(lines))


main(globals())
