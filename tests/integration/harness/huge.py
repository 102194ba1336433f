# SPDX-License-Identifier: BSD-3-Clause
"""Huge pages, for the time of a claim."""
import fcntl

from .claim import Skip


class HugePages:
    """So many more free huge pages of 2 MB inside; none more outside than before."""
    PATH = "/proc/sys/vm/nr_hugepages"

    def __init__(self, pages):
        self.pages = pages

    def __enter__(self):
        if not self._grow(self.pages):
            raise Skip(f"no {self.pages} free huge pages of 2 MB can be had")
        return self

    def __exit__(self, *_):
        self._grow(-self.pages)

    def _grow(self, pages):
        """Whether there are so many more now; else there are as many as before."""
        # A file that all claims see, whatever is mounted in their namespaces.
        with open(__file__, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self._read()
            self._write(before + pages)
            if self._read() < before + pages:
                self._write(before)
                return False
            return True

    def _read(self):
        with open(self.PATH, encoding="ascii") as file:
            return int(file.read())

    def _write(self, n):
        with open(self.PATH, "w", encoding="ascii") as file:
            file.write(str(n))
