# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest in QEMU whose NICs are vhost-user ports.

No KVM: TCG runs anywhere. The guest is scripts/guest-image.sh's; its second serial port
takes commands.
"""
import os
import re
import select
import socket
import subprocess
import time
from dataclasses import dataclass

from . import process
from .claim import Failure, Skip, need, wait_for
from .weir import BUILD, TREE

IMAGE = os.path.join(BUILD, "guest")


@dataclass
class Nic:
    """One NIC: its socket, its address in the guest, and who listens on the socket."""
    socket: str
    address: str
    server: bool = False  # QEMU listens, weir connects: mode=client
    options: str = ""     # more virtio-net-pci properties, ",mrg_rxbuf=off"
    queues: int = 1


def make_image():
    run = subprocess.run([os.path.join(TREE, "scripts", "guest-image.sh"), IMAGE], text=True,
                         capture_output=True, timeout=400, check=False)
    if run.returncode != 0:
        raise Skip(f"no guest image: {run.stderr.strip()}")


class Guest(process.Process):
    """A guest that is up: the constructor returns when it takes commands."""

    def __init__(self, name, *nics, megabytes=256, slots=0, incoming=None, wait=True):
        make_image()
        # QEMU before 9.0 loses stores of a TCG guest that migrates, in memory of a multiple
        # of 64 pages: what it clears there of its dirty log, the guest's TLB goes on to hold
        # as dirty. So a little more.
        memory = f"{megabytes * 1024 + 8}K"
        self.monitor_path = f"{process.LOGS}/{name}.monitor"
        self.socket_path = f"{process.LOGS}/{name}.agent"
        addresses = " ".join(f"weir.eth{i}={nic.address}" for i, nic in enumerate(nics))
        command = [
            "qemu-system-x86_64", "-machine", "pc,accel=tcg,memory-backend=mem",
            "-cpu", "max",
            "-m", memory + (f",slots={slots},maxmem=2G" if slots else ""),
            "-object", f"memory-backend-memfd,id=mem,size={memory},share=on",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", f"{IMAGE}/kernel", "-initrd", f"{IMAGE}/initramfs",
            "-append", f"console=ttyS0 quiet no_timer_check panic=-1 mitigations=off {addresses}",
            "-serial", f"file:{process.LOGS}/{name}.console.log",
            "-chardev", f"socket,id=agent,path={self.socket_path},server=on,wait=off",
            "-serial", "chardev:agent",
            "-monitor", f"unix:{self.monitor_path},server=on,wait=off",
        ]
        if incoming:  # and stopped: nothing changes before it is told to continue
            command += ["-S", "-incoming", f"unix:{incoming}"]
        for i, nic in enumerate(nics):
            mode = ",server=on" if nic.server else ",reconnect=1"
            several = ",mq=on" if nic.queues > 1 else ""
            # QEMU 7.2 asserts on vhost-user with MSI-X under TCG: vectors=0.
            command += [
                "-chardev", f"socket,id=c{i},path={nic.socket}{mode}",
                "-netdev", f"vhost-user,id=n{i},chardev=c{i},queues={nic.queues}",
                "-device", f"virtio-net-pci,netdev=n{i},vectors=0,romfile=,"
                           f"mac={_mac(nic.address)}{several}{nic.options}",
            ]
        self.number = 0
        self.command = "boot"
        super().__init__(name, command)
        wait_for(f"{name}'s serial port", lambda: os.path.exists(self.socket_path))
        # Before it boots: what nobody hears is lost.
        self.agent = socket.socket(socket.AF_UNIX)
        wait_for(f"{name}'s serial port", self._connected)
        if wait and not incoming:
            self.wait_up()

    def _connected(self):
        try:
            self.agent.connect(self.socket_path)
            return True
        except ConnectionRefusedError:
            return False

    def wait_up(self, seconds=60):
        """Wait until the guest has booted and takes commands."""
        self._answer(f"{self.name} to boot", seconds)

    def _answer(self, what, seconds):
        """What the guest says up to its `=== NUMBER EXIT-CODE`, and that code."""
        end = time.monotonic() + seconds
        mark = f"=== {self.number} ".encode()
        text = b""
        while True:
            head, found, tail = text.rpartition(mark)
            if found and tail.endswith(b"\n") and (not head or head.endswith(b"\n")):
                return head.decode(errors="replace"), int(tail)
            if not select.select([self.agent], [], [], max(0, end - time.monotonic()))[0]:
                said = text.decode(errors="replace")
                raise Failure(f"waited {seconds:g} s for {what}; it said: {said!r}")
            piece = self.agent.recv(65536)
            if not piece:
                raise Failure(f"{self.name} went away while waiting for {what}")
            text += piece

    def start(self, command):
        """Start a line of shell in the guest; finish() waits for its end."""
        self.number += 1
        self.command = command
        self.agent.sendall(command.encode() + b"\n")

    def finish(self, seconds=60):
        """The end of what start() started: its output."""
        output, code = self._answer(f"'{self.command}'", seconds)
        need(code == 0, f"{self.name}: '{self.command}' gave {code}: {output.strip()}")
        return output

    def run(self, command, seconds=60):
        """Run a line of shell in the guest: (output, exit code)."""
        self.start(command)
        return self._answer(f"'{command}'", seconds)

    def must(self, command, seconds=60):
        """Run a line that must succeed; its output."""
        self.start(command)
        return self.finish(seconds)

    def monitor(self, line):
        """Type a line at QEMU's monitor, which must not complain; what it says."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(self.monitor_path)
            said = b""
            for text in (b"", line.encode() + b"\n"):
                sock.sendall(text)
                said = b""
                while not said.endswith(b"(qemu) "):
                    said += sock.recv(4096)
        need(b"rror:" not in said, f"{self.name}: '{line}': {said.decode(errors='replace')}")
        return said.decode(errors="replace")

    def migrate(self, destination, path):
        """Begin to move to a guest that was started with incoming=path, slowly."""
        wait_for(f"{destination.name} to listen", lambda: os.path.exists(path))
        self.monitor("migrate_set_parameter max-bandwidth 64M")
        self.monitor("migrate_set_parameter downtime-limit 1")
        self.monitor(f"migrate -d unix:{path}")

    def migrated(self, destination, passes=6, seconds=60):
        """Wait until all of it has moved, in several passes, with what it was asked to run.

        Both are stopped then. Every byte of memory is compared: what neither the guest's
        processor nor weir has logged would be different. The destination goes on.
        """
        def progress():
            text = self.monitor("info migrate")
            done = re.search(r"dirty sync count: (\d+)", text)
            return int(done[1]) if done else 0, "status: completed" in text

        wait_for(f"{passes} passes", lambda: progress() >= (passes,) or progress()[1], seconds)
        self.monitor("migrate_set_parameter downtime-limit 10000")
        wait_for(f"{self.name} to be {destination.name}", lambda: progress()[1], seconds)
        print(f"{progress()[0]} passes")
        need(progress()[0] >= 3, f"{progress()[0]} passes over the memory")
        wait_for(f"{destination.name} to have it",
                 lambda: "VM status: paused\r" in destination.monitor("info status"), seconds)
        lost = self._pages_unlike(destination)
        need(not lost, f"{destination.name} has the memory of {self.name}, but for "
                       f"{len(lost)} pages: {[hex(page << 12) for page in lost[:16]]}")
        destination.number, destination.command = self.number, self.command
        destination.monitor("cont")

    def _memory(self):
        """All of it, as a file."""
        for fd in os.scandir(f"/proc/{self.popen.pid}/fd"):
            if "memory-backend-memfd" in os.readlink(fd.path):
                return open(fd.path, "rb")
        raise Failure(f"{self.name} has no memory")

    def _pages_unlike(self, other):
        """Numbers of the pages of 4 KB that two guests have not in common."""
        unlike = []
        with self._memory() as ours, other._memory() as theirs:
            while a := ours.read(1 << 20):
                b = theirs.read(1 << 20)
                first = (ours.tell() - len(a)) >> 12
                if a != b:
                    unlike += [first + i for i in range(len(a) >> 12)
                               if a[i << 12:(i + 1) << 12] != b[i << 12:(i + 1) << 12]]
        return unlike

    def ping(self, address, count=3):
        self.must(f"ping -c {count} -W 5 {address}", 10 + 6 * count)

    def kill(self):
        code = super().kill()
        self.agent.close()
        os.unlink(self.socket_path)
        os.unlink(self.monitor_path)
        return code


def _mac(address):
    """A MAC of our own that tells the address."""
    octets = [int(o) for o in address.split("/")[0].split(".")]
    return "52:54:" + ":".join(f"{o:02x}" for o in octets)
