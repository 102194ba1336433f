# SPDX-License-Identifier: BSD-3-Clause
"""weir, started as a user starts it."""
import os
import subprocess

from . import process
from .claim import Skip, wait_for
from .telemetry import telemetry

TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(TREE, "build"))
WEIR = os.path.join(BUILD, "app", "weir", "weir")


def cores():
    """The cores that we may use, as EAL writes a set."""
    return "(" + ",".join(map(str, sorted(os.sched_getaffinity(0)))) + ")"


def eal_options(lcores=2, megabytes=512):
    """No huge pages, no devices, nothing on disk, lcores that float over the machine."""
    return ["--lcores", ",".join(f"{n}@{cores()}" for n in range(lcores)),
            "--no-pci", "--no-huge", "--no-shconf", "-m", str(megabytes)]


class Weir(process.Process):
    """A weir that serves: the constructor returns when it has said `weir: ready`."""

    def __init__(self, *words, eal=None, name="weir", stdin=None, program=WEIR, prefix="rte"):
        if not os.access(WEIR, os.X_OK):
            raise Skip(f"no {WEIR}: make build")
        super().__init__(name, [program, *(eal or eal_options()), "--", *words], stdin=stdin)
        already = self.log().count("\nweir: ready")
        wait_for("'weir: ready'", lambda: self.log().count("\nweir: ready") > already)
        wait_for("the telemetry socket", lambda: os.path.exists(
            f"/run/dpdk/{prefix}/dpdk_telemetry.v2"))

    def guest(self, name):
        """What telemetry tells of a guest: info and counters in one."""
        return {**telemetry(f"/weir/guest/info,{name}"), **telemetry(f"/weir/guest/stats,{name}")}

    def endpoint(self, name):
        return {**telemetry(f"/weir/endpoint/info,{name}"),
                **telemetry(f"/weir/endpoint/stats,{name}")}


def refused(*words, eal=None, wrapper=(), program=WEIR, seconds=20):
    """Start a weir that must end by itself: (exit code, standard output, standard error)."""
    if not os.access(WEIR, os.X_OK):
        raise Skip(f"no {WEIR}: make build")
    command = [*wrapper, program, *(eal_options() if eal is None else eal), "--", *words]
    run = subprocess.run(command, text=True, capture_output=True, timeout=seconds, check=False)
    return run.returncode, run.stdout, run.stderr
