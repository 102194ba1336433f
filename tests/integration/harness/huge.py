# SPDX-License-Identifier: BSD-3-Clause
"""Huge pages, for the time of a claim."""
import fcntl
import re

from .claim import Skip


class HugePages:
    """Enough free huge pages of 2 MB inside, as many as before outside; one claim at a time."""
    PATH = "/proc/sys/vm/nr_hugepages"

    def __init__(self, pages):
        self.pages = pages
        self.before = None
        self.lock = None

    def __enter__(self):
        # A file that all claims see, whatever is mounted in their namespaces.
        self.lock = open(__file__, "rb")  # pylint: disable=consider-using-with
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        with open("/proc/meminfo", encoding="ascii") as file:
            free = int(re.search(r"HugePages_Free: *(\d+)", file.read())[1])
        self.before = self._read()
        if free < self.pages:
            wanted = self.before + self.pages - free
            self._write(wanted)
            if self._read() < wanted:
                self._write(self.before)
                raise Skip(f"no {self.pages} free huge pages of 2 MB can be had")
        return self

    def __exit__(self, *_):
        self._write(self.before)
        self.lock.close()

    def _read(self):
        with open(self.PATH, encoding="ascii") as file:
            return int(file.read())

    def _write(self, n):
        with open(self.PATH, "w", encoding="ascii") as file:
            file.write(str(n))
