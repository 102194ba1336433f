# SPDX-License-Identifier: BSD-3-Clause
"""Processes of a claim: each with a log, none that dies unnoticed, none that stays."""
import os
import signal
import subprocess

LOGS = "/run/test"
running = []


class Process:
    """A program that runs beside the test, its output in a log."""

    def __init__(self, name, command, stdin=None, **options):
        self.name = name
        self.log_path = f"{LOGS}/{name}.log"
        self.expected = False
        with open(self.log_path, "ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            # pylint: disable-next=consider-using-with
            self.popen = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT, **options)
        running.append(self)

    def log(self):
        """All it printed so far."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def is_alive(self):
        return self.popen.poll() is None

    def end(self, number=signal.SIGTERM, seconds=10):
        """Send a signal, wait for the end, and return the exit code (negative: a signal)."""
        self.expected = True
        if self.is_alive():
            self.popen.send_signal(number)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end {seconds} s after "
                                 f"{signal.Signals(number).name}") from None

    def kill(self):
        """kill -9."""
        return self.end(signal.SIGKILL)


def check_alive():
    """Fail when a process ended that nobody asked to end."""
    for process in running:
        if not process.expected and not process.is_alive():
            process.expected = True
            code = process.popen.returncode
            raise AssertionError(f"{process.name} ended by itself, exit code {code}")


def end_all():
    for process in reversed(running):
        if process.is_alive():
            process.popen.kill()
            process.popen.wait()


def print_logs(lines=40):
    """The end of each log, for the reader of a failure."""
    for name in sorted(os.listdir(LOGS) if os.path.isdir(LOGS) else []):
        if name.endswith(".log"):
            with open(f"{LOGS}/{name}", encoding="utf-8", errors="replace") as log:
                text = log.read().splitlines()
            print(f"--- {name}, its last {min(lines, len(text))} lines of {len(text)}")
            print("\n".join(text[-lines:]))
