#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An elastic pool is one to all processes of a primary."""
import atexit
import os
import shutil
import signal
import subprocess

from harness import HugePages, Process, Weir, main, need, wait_for
from harness.weir import BUILD, cores

PEER = os.path.join(BUILD, "tests", "integration", "pool-peer")
PLUGIN = os.path.join(BUILD, "drivers", "mempool", "weir", "librte_mempool_weir.so")
HUGE = "/run/huge"
PAGES = 64  # of 2 MB


class Peer(Process):
    """A process at the pool, which is told what to do and answers."""

    def __init__(self, name, kind="secondary"):
        read, self.write = os.pipe()
        super().__init__(name, [PEER, f"--proc-type={kind}", "--no-pci", "--huge-dir", HUGE,
                                "--lcores", f"0@{cores()}"], stdin=read)
        os.close(read)
        self.n_lines = 0
        self.answer("ready")

    def answer(self, has=""):
        """Its next line that has @has."""
        def line():
            lines = [text for text in self.log().splitlines(keepends=True)[self.n_lines:]
                     if text.endswith("\n")]
            for text in lines:
                self.n_lines += 1
                if has in text and not text.startswith(("EAL:", "TELEMETRY:", "$ ")):
                    return text.strip()
            return None
        return wait_for(f"an answer of {self.name}", line, 20)

    def ask(self, words):
        os.write(self.write, f"{words}\n".encode())
        return self.answer()

    def count(self):
        return {key: int(value) for key, value in
                (word.split("=") for word in self.ask("count").split())}

    def leave(self):
        self.expected = True
        answer = self.ask("end")
        need(self.popen.wait(10) == 0, f"{self.name} ends with {self.popen.returncode}")
        return answer


def _primary():
    pages = HugePages(PAGES)
    pages.__enter__()
    atexit.register(pages.__exit__)
    os.makedirs(HUGE)
    subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", HUGE], check=True)
    return Peer("primary", "primary")


def a_secondary_process_gets_grows_and_puts():
    primary = _primary()
    first = primary.count()
    need(first["out"] == 0 and first["available"] == 16384, f"at first {first}")
    peer = Peer("peer")
    need(primary.ask("get 900") == "900", "the primary gets fewer than were populated")
    need(peer.ask("get 5000") == "5000", "the secondary's pool does not grow")
    seen = primary.count()
    need(seen["out"] == 5900 and seen["available"] == 16384 - 5900, f"with 5900 out {seen}")
    need(seen["made"] >= 5900 and seen["bytes"] > first["bytes"], f"nothing was made: {seen}")
    theirs = peer.count()  # the memory thread may have made more since
    need(all(theirs[key] == seen[key] for key in ("out", "available")),
         f"the processes count differently: {seen}, {theirs}")
    # What one has given back the other gets.
    need(peer.ask("put 5000") == "5000" and primary.ask("get 4000") == "4000", "lost objects")
    need(primary.ask("put 4900") == "4900", "lost objects")
    wait_for("the slabs' return", lambda: primary.count()["made"] <= 1024 + 2 * 256)
    need(primary.count()["out"] == 0, f"at the end {primary.count()}")
    peer.leave()
    need(primary.leave() == "used=0", "the budget keeps something")


def what_a_killed_process_held_stays_counted_and_the_rest_goes_on():
    primary = _primary()
    peer = Peer("peer")
    need(peer.ask("get 3000") == "3000", "the secondary gets nothing")
    peer.kill()
    seen = primary.count()
    need(seen["out"] == 3000 and seen["available"] == 16384 - 3000, f"after the kill {seen}")
    need(primary.ask("get 13384") == "13384", "what nobody holds cannot be had")
    need(primary.ask("put 13384") == "13384", "lost objects")
    second = Peer("second")
    need(second.ask("get 2000") == "2000" and second.ask("put 2000") == "2000",
         "a process that comes after cannot use the pool")
    second.leave()
    primary.end(signal.SIGKILL)


def the_plug_in_loaded_into_weir_is_harmless_and_said():
    # EAL takes no plug-in from below a directory that everyone may write to.
    os.chmod("/run", 0o755)
    copy = shutil.copy(PLUGIN, "/run")
    weir = Weir("--endpoint", "name=up,type=null",
                "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=up",
                eal=["--lcores", f"0@{cores()},1@{cores()}", "--no-pci", "--no-huge",
                     "--no-shconf", "-m", "64", "-d", copy])
    need("mempool driver" in weir.log(), "nothing was said of the second driver")
    need(weir.end() == 0, "weir does not end cleanly")


if __name__ == "__main__":
    main(globals())
