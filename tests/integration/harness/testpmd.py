# SPDX-License-Identifier: BSD-3-Clause
"""testpmd, driven through its prompt: the guests that need no kernel."""
import re
import shutil
import subprocess
import time

from . import process
from .claim import Skip, need, wait_for
from .weir import eal_options


class Testpmd(process.Process):
    """An interactive testpmd: the constructor returns at its first prompt."""

    PROMPT = "testpmd> "

    def __init__(self, name, *vdevs, words=(), lcores=2, megabytes=256, eal=None):
        eal = [*(eal or eal_options(lcores, megabytes)), "--no-telemetry"]
        eal += [f"--vdev={vdev}" for vdev in vdevs]
        if not shutil.which("dpdk-testpmd"):
            raise Skip("no dpdk-testpmd: make install")
        # By lines: its prompt must not overtake what it prints.
        super().__init__(name, ["stdbuf", "-oL", "dpdk-testpmd", *eal, "--", "-i",
                                "--total-num-mbufs=16384", *words], stdin=subprocess.PIPE)
        wait_for(f"{name}'s prompt", lambda: self.log().endswith(self.PROMPT), 30)

    def do(self, command, seconds=20):
        """Type a line; what it printed up to the next prompt."""
        start = len(self.log())
        self.popen.stdin.write(command.encode() + b"\n")
        self.popen.stdin.flush()
        # Not at the end: an event may be told behind the prompt.
        wait_for(f"{self.name} to do '{command}'",
                 lambda: self.PROMPT in self.log()[start:], seconds)
        return self.log()[start:].partition(self.PROMPT)[0]

    def counters(self, port):
        """{"RX-packets": n, ...} of a port."""
        text = self.do(f"show port stats {port}")
        return {key: int(n) for key, n in re.findall(r"([RT]X-[a-z]+): *(\d+)", text)}

    def wait_link(self, port, seconds=20):
        """Wait until a port's peer is there."""
        wait_for(f"{self.name}'s port {port} to be up",
                 lambda: "Link status: up" in self.do(f"show port info {port}"), seconds)

    def exchange(self, n_ports, seconds):
        """Send and receive on all ports for a while, take what is on its way, and count."""
        self.do("set fwd flowgen")
        self.do("start")
        time.sleep(seconds)
        self.do("stop")
        self.do("set fwd rxonly")
        self.do("start")
        seen = [None]

        def quiet():
            now = [self.counters(port) for port in range(n_ports)]
            seen.append(now)
            time.sleep(0.2)
            return seen[-2] == now

        wait_for("the last frames", quiet, 20)
        self.do("stop")
        return seen[-1]

    def quit(self):
        """Leave as a user does."""
        self.expected = True
        self.popen.stdin.write(b"stop\nquit\n")
        self.popen.stdin.close()
        code = self.popen.wait(20)
        need(code == 0, f"{self.name} left with {code}")


def virtio_user(n, path, packed=False, mergeable=True, server=False, queues=1, mac=None):
    """--vdev words for a virtio-user port."""
    mac = mac or f"52:54:00:00:00:{n + 1:02x}"
    return (f"net_virtio_user{n},path={path},mac={mac},queues={queues},queue_size=256,"
            f"packed_vq={int(packed)},mrg_rxbuf={int(mergeable)},server={int(server)}")
