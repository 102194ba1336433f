# SPDX-License-Identifier: BSD-3-Clause
"""The back-ends that compare.py compares: each started for the same work, on the second
core, with its sockets at /run/weir/gN.sock, and asked in its own way what it spent.

A shape of work is `cable` (guest 0 to guest 1 and back), `loop` (each guest gets its own
frames back) or `sink` (frames are taken, and that is all).
"""
import json
import os
import re
import subprocess
import time

from harness import Process, Skip, Testpmd, Weir, wait_for
from harness.telemetry import telemetry

RUN = "/run/weir"
CORES = sorted(os.sched_getaffinity(0))
VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"


def eal(megabytes=0, lcores=None):
    """EAL's words: huge pages as they are needed, nothing on disk, the second core polls."""
    words = ["--lcores", lcores or f"0@{CORES[0]},1@{CORES[1]}", "--no-pci", "--in-memory",
             "--single-file-segments"]
    return words + ["-m", str(megabytes)] if megabytes else words


def socket_path(n):
    return f"{RUN}/g{n}.sock"


class WeirPeer:
    """weir itself."""
    name = "weir"
    words = ()

    def __init__(self, shape, guests, mtu=1500):
        endpoints = {"cable": ["--endpoint", "name=e,type=patch"],
                     "loop": ["--endpoint", "name=e,type=loopback"],
                     "sink": ["--endpoint", "name=e,type=null"]}[shape]
        for i in range(guests):
            endpoints += ["--guest", f"name=g{i},socket={socket_path(i)},endpoint=e,mtu={mtu}"]
        self.process = Weir(*endpoints, *self.words, eal=eal())
        self.pid = self.process.popen.pid
        self.before = None

    @staticmethod
    def _counters():
        stats = [telemetry(f"/weir/poller/stats,{name}") for name in telemetry("/weir/poller/list")]
        guests = [telemetry(f"/weir/guest/stats,{name}") for name in telemetry("/weir/guest/list")]
        return sum(s["busy_cycles"] for s in stats), sum(g["tx_packets"] for g in guests)

    def mark(self):
        """What is spent from now on counts."""
        self.before = self._counters()

    def cycles_per_frame(self):
        cycles, frames = (a - b for a, b in zip(self._counters(), self.before))
        return cycles / frames if frames else None

    def end(self):
        self.process.end()


class WeirAwake(WeirPeer):
    """weir that never sleeps."""
    name = "weir, never asleep"
    words = ("--idle-us", "0")


class TestpmdPeer:
    """testpmd over net_vhost, as its documentation has it."""
    name = "testpmd"

    def __init__(self, shape, guests, mtu=1500):
        vdevs = [f"net_vhost{i},iface={socket_path(i)},queues=1" for i in range(guests)]
        words = ["--auto-start", "--record-core-cycles",
                 "--forward-mode=" + ("rxonly" if shape == "sink" else "io")]
        if shape == "loop" and guests > 1:
            words += ["--port-topology=loop"]
        if mtu > 1500:
            words += ["--mbuf-size=10240", "--total-num-mbufs=8192"]
        if guests > 2:
            words += [f"--total-num-mbufs={max(16384, 2048 * guests)}"]
        self.process = Testpmd("testpmd", *vdevs, words=words, eal=eal())
        self.pid = self.process.popen.pid

    def mark(self):
        self.process.do("clear fwd stats all")

    def cycles_per_frame(self):
        match = re.search(r"CPU cycles/packet=([\d.]+)", self.process.do("show fwd stats all"))
        return float(match[1]) if match else None

    def end(self):
        self.process.quit()


class OvsPeer:
    """Open vSwitch with DPDK: one PMD thread, flows that leave no choice."""
    name = "Open vSwitch"
    maxsleep = 0
    number = 0

    def __init__(self, shape, guests, mtu=1500):
        for program in ("ovs-vsctl", "ovsdb-server", "ovsdb-tool", "ovs-ofctl", VSWITCHD):
            if subprocess.run(["sh", "-c", f"command -v {program}"], check=False,
                              stdout=subprocess.DEVNULL).returncode != 0:
                raise Skip(f"no {program}: make install")
        OvsPeer.number += 1
        self.env = {**os.environ, "OVS_RUNDIR": RUN, "OVS_LOGDIR": RUN, "OVS_DBDIR": RUN}
        for name in os.listdir(RUN):
            if name.startswith(("conf.db", ".conf.db", "ovs")):
                os.unlink(f"{RUN}/{name}")
        self._run("ovsdb-tool", "create", f"{RUN}/conf.db",
                  "/usr/share/openvswitch/vswitch.ovsschema")
        self.db = Process("ovsdb-server", ["ovsdb-server", f"{RUN}/conf.db",
                                           f"--remote=punix:{RUN}/db.sock"], env=self.env)
        wait_for("ovsdb-server", lambda: os.path.exists(f"{RUN}/db.sock"))
        self._vsctl("--no-wait", "init")
        self._vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                    f"other_config:dpdk-lcore-mask={1 << CORES[0]:#x}",
                    f"other_config:pmd-cpu-mask={1 << CORES[1]:#x}",
                    # 3.1's name; pmd-sleep-max since 3.2
                    f"other_config:pmd-maxsleep={self.maxsleep}",
                    f"other_config:pmd-sleep-max={self.maxsleep}",
                    "other_config:dpdk-extra=--no-pci --in-memory --single-file-segments "
                    "--no-telemetry")
        self.process = Process("ovs-vswitchd", [VSWITCHD, f"unix:{RUN}/db.sock"], env=self.env)
        self.pid = self.process.popen.pid
        self._vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        for i in range(guests):
            self._vsctl("add-port", "br0", f"g{i}.sock", "--", "set", "Interface", f"g{i}.sock",
                        "type=dpdkvhostuser", f"mtu_request={mtu}", f"ofport_request={i + 1}")
        self._run("ovs-ofctl", "del-flows", "br0")
        for i in range(guests):
            action = {"cable": f"output:{(i ^ 1) + 1}", "loop": "in_port", "sink": "drop"}[shape]
            self._run("ovs-ofctl", "add-flow", "br0", f"in_port={i + 1},actions={action}")
            wait_for(f"Open vSwitch's port {i}", lambda n=i: os.path.exists(socket_path(n)))

    def _run(self, *command):
        run = subprocess.run(command, text=True, capture_output=True, timeout=60, env=self.env,
                             check=False)
        if run.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {run.stderr.strip()}")
        return run.stdout

    def _vsctl(self, *words):
        return self._run("ovs-vsctl", f"--db=unix:{RUN}/db.sock", "--timeout=50", *words)

    def _appctl(self, *words):
        return self._run("ovs-appctl", "-t", f"{RUN}/ovs-vswitchd-dpdk.{self.pid}.ctl", *words)

    def mark(self):
        self._appctl("dpif-netdev/pmd-stats-clear")

    def cycles_per_frame(self):
        match = re.search(r"avg processing cycles per packet: ([\d.]+)",
                          self._appctl("dpif-netdev/pmd-stats-show"))
        return float(match[1]) if match else None

    def end(self):
        self.process.end()
        self.db.end()


class OvsSleepy(OvsPeer):
    """The same, asleep for up to 500 us at low load (experimental in 3.1)."""
    name = "Open vSwitch, maxsleep 500"
    maxsleep = 500


def distance(build):
    """Nanoseconds of a cache line from the first core to the second and back."""
    run = subprocess.run([f"{build}/app/weir-bench/weir-bench", "--lcores",
                          f"0@{CORES[0]},1@{CORES[1]}", "--no-pci", "--no-huge", "--no-shconf",
                          "-m", "32", "--", "--json", "--rounds", "5", "--slice-us", "2000",
                          "distance"], text=True, capture_output=True, timeout=30, check=True)
    return json.loads(run.stdout.splitlines()[-1])["lcores"]


def cpu_seconds(pid):
    """CPU time of a process, all its threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _mappings(pid):
    """(inode, kilobytes resident or in huge pages) of each mapping."""
    inode, kilobytes = "0", 0
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if re.match(r"[0-9a-f]+-[0-9a-f]+$", words[0]):
                if kilobytes:
                    yield inode, kilobytes
                inode, kilobytes = words[4], 0
            elif words[0] in ("Rss:", "Shared_Hugetlb:", "Private_Hugetlb:"):
                kilobytes += int(words[1])
    if kilobytes:
        yield inode, kilobytes


def own_megabytes(pid, guest_pid):
    """Memory of a back-end, without what it maps of its guest."""
    guests = {inode for inode, _ in _mappings(guest_pid)} - {"0"}
    return sum(k for inode, k in _mappings(pid) if inode not in guests) / 1024


def stop(peer):
    """End it, and what it left at the guests' sockets."""
    peer.end()
    time.sleep(0.1)
    for name in os.listdir(RUN):
        if name.endswith(".sock"):
            os.unlink(f"{RUN}/{name}")
