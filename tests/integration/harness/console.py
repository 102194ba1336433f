# SPDX-License-Identifier: BSD-3-Clause
"""weir's console, typed at through a terminal."""
import os
import pty
import re

from .claim import need, wait_for
from .weir import Weir


class Console(Weir):
    """A `weir -i` at a pseudo-terminal: the constructor returns at its first prompt."""

    PROMPT = "weir> "

    def __init__(self, *words, name="weir", **options):
        self.terminal, self.slave = pty.openpty()
        super().__init__(*words, "-i", name=name, stdin=self.slave, **options)
        wait_for("the prompt", lambda: self.log().endswith(self.PROMPT))

    def type(self, keys):
        """Press keys."""
        os.write(self.terminal, keys.encode())

    def said(self, keys, pattern, seconds=10):
        """Press keys, and wait until what is printed from then on has the pattern."""
        start = len(self.log())
        self.type(keys)
        return wait_for(f"{keys!r} to be answered with {pattern!r}",
                        lambda: re.search(pattern, self.log()[start:], re.S), seconds)

    def do(self, command, seconds=20):
        """Type a line; what it printed up to the next prompt."""
        match = self.said(command + "\n", rf"\n(.*?){self.PROMPT}", seconds)
        return match[1]

    def must(self, command, seconds=20):
        """Type a line that must succeed; what it printed."""
        text = self.do(command, seconds)
        need("error: " not in text, f"'{command}': {text}")
        return text
