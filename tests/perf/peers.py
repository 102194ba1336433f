# SPDX-License-Identifier: BSD-3-Clause
"""The back-ends that compare.py compares: each started for the same work, on the second
core, with a directory and sockets of its own, and asked in its own way what it spent.

A shape of work is `cable` (guest 0 to guest 1 and back), `loop` (each guest gets its own
frames back) or `sink` (frames are taken, and that is all).

All are started, and frozen but for the one that is measured: so short slices of each can
follow each other on one core.
"""
import json
import os
import re
import signal
import subprocess

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


class Peer:
    """What all have: a directory, and a process that can be frozen."""
    name = ""
    guests_max = 1024
    round_trips = 100000  # one after the other: a second at most
    pid = None

    def __init__(self):
        self.dir = f"{RUN}/{re.sub('[^a-z0-9]+', '-', self.name.lower())}"
        os.makedirs(self.dir, exist_ok=True)

    def socket(self, n):
        return f"{self.dir}/g{n}.sock"

    def freeze(self):
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)

    def remove_sockets(self):
        for name in os.listdir(self.dir):
            if name.endswith(".sock"):
                os.unlink(f"{self.dir}/{name}")


class WeirPeer(Peer):
    """weir itself."""
    name = "weir"
    prefix = "weir"  # of EAL's run-time directory: two can run at once
    words = ()

    def __init__(self, shape, guests, mtu=1500):
        super().__init__()
        endpoints = {"cable": ["--endpoint", "name=e,type=patch"],
                     "loop": ["--endpoint", "name=e,type=loopback"],
                     "sink": ["--endpoint", "name=e,type=null"]}[shape]
        for i in range(guests):
            endpoints += ["--guest", f"name=g{i},socket={self.socket(i)},endpoint=e,mtu={mtu}"]
        self.process = Weir(*endpoints, *self.words, name=self.prefix, prefix=self.prefix,
                            eal=[*eal(), f"--file-prefix={self.prefix}"])
        self.pid = self.process.popen.pid
        self.before = None

    def _all(self, room):
        return [telemetry(f"/weir/{room}/stats,{name}", self.prefix)
                for name in telemetry(f"/weir/{room}/list", self.prefix)]

    def _counters(self):
        return (sum(poller["busy_cycles"] for poller in self._all("poller")),
                sum(guest["tx_packets"] for guest in self._all("guest")))

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
    prefix = "weir-awake"
    words = ("--idle-us", "0")


class TestpmdPeer(Peer):
    """testpmd over net_vhost, as its documentation has it."""
    name = "testpmd"
    guests_max = 32  # RTE_MAX_ETHPORTS

    def __init__(self, shape, guests, mtu=1500):
        super().__init__()
        vdevs = [f"net_vhost{i},iface={self.socket(i)},queues=1" for i in range(guests)]
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


class OvsPeer(Peer):
    """Open vSwitch with DPDK: one PMD thread, flows that leave no choice."""
    name = "Open vSwitch"
    maxsleep = 0

    def __init__(self, shape, guests, mtu=1500):
        for program in ("ovs-vsctl", "ovsdb-server", "ovsdb-tool", "ovs-ofctl", VSWITCHD):
            if subprocess.run(["sh", "-c", f"command -v {program}"], check=False,
                              stdout=subprocess.DEVNULL).returncode != 0:
                raise Skip(f"no {program}: make install")
        super().__init__()
        # Its database is of the last start; its sockets must not be there before it.
        for name in os.listdir(self.dir):
            os.unlink(f"{self.dir}/{name}")
        self.env = {**os.environ, "OVS_RUNDIR": self.dir, "OVS_LOGDIR": self.dir,
                    "OVS_DBDIR": self.dir}
        self._run("ovsdb-tool", "create", f"{self.dir}/conf.db",
                  "/usr/share/openvswitch/vswitch.ovsschema")
        self.db = Process("ovsdb-server", ["ovsdb-server", f"{self.dir}/conf.db",
                                           f"--remote=punix:{self.dir}/db.sock"], env=self.env)
        wait_for("ovsdb-server", lambda: os.path.exists(f"{self.dir}/db.sock"))
        self._vsctl("--no-wait", "init")
        self._vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                    f"other_config:dpdk-lcore-mask={1 << CORES[0]:#x}",
                    f"other_config:pmd-cpu-mask={1 << CORES[1]:#x}",
                    # 3.1's name; pmd-sleep-max since 3.2
                    f"other_config:pmd-maxsleep={self.maxsleep}",
                    f"other_config:pmd-sleep-max={self.maxsleep}",
                    "other_config:dpdk-extra=--no-pci --in-memory --single-file-segments "
                    "--no-telemetry")
        # Its taps have names that only one can have: two run in networks of their own.
        self.process = Process("ovs-vswitchd", ["unshare", "--net", VSWITCHD,
                                                f"unix:{self.dir}/db.sock"], env=self.env)
        self.pid = self.process.popen.pid
        self._vsctl("add-br", "br0", "--", "set", "bridge", "br0",
                    "datapath_type=netdev")
        ports = []
        for i in range(guests):
            ports += ["--", "add-port", "br0", f"g{i}.sock", "--", "set", "Interface",
                      f"g{i}.sock", "type=dpdkvhostuser", f"mtu_request={mtu}",
                      f"ofport_request={i + 1}"]
        self._vsctl(*ports[1:])
        flows = []
        for i in range(guests):
            action = {"cable": f"output:{(i ^ 1) + 1}", "loop": "in_port", "sink": "drop"}[shape]
            flows.append(f"in_port={i + 1},actions={action}\n")
        self._run("ovs-ofctl", "del-flows", "br0")
        self._run("ovs-ofctl", "add-flows", "br0", "-", text="".join(flows))
        for i in range(guests):
            wait_for(f"Open vSwitch's port {i}", lambda n=i: os.path.exists(self.socket(n)), 30)

    def _run(self, *command, text=""):
        run = subprocess.run(command, text=True, input=text, capture_output=True, timeout=60,
                             env=self.env, check=False)
        if run.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {run.stderr.strip()}")
        return run.stdout

    def _vsctl(self, *words):
        return self._run("ovs-vsctl", f"--db=unix:{self.dir}/db.sock", "--timeout=50", *words)

    def _appctl(self, *words):
        return self._run("ovs-appctl", "-t", f"{self.dir}/ovs-vswitchd-dpdk.{self.pid}.ctl", *words)

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
    round_trips = 1500


def distance(build):
    """Nanoseconds of a cache line from the first core to the second and back."""
    run = subprocess.run([f"{build}/app/weir-bench/weir-bench", "--lcores",
                          f"0@{CORES[0]},1@{CORES[1]}", "--no-pci", "--no-huge", "--no-shconf",
                          "-m", "32", "--", "--json", "--rounds", "5", "--slice-us", "2000",
                          "distance"], text=True, capture_output=True, timeout=30, check=True)
    return json.loads(run.stdout.splitlines()[-1])["lcores"]


def cpu_seconds(pid):
    """CPU time of all threads of a process, to the nanosecond: stat counts in hundredths."""
    nanoseconds = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            nanoseconds += int(file.read().split()[0])
    return nanoseconds / 1e9


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
