# SPDX-License-Identifier: BSD-3-Clause
"""Checks of plain text. A check takes the tree and its files, and yields
(file, line, wrong, right).
"""
import os
import re

LINES_MAX = 800
# In pieces, so that this file passes its own check.
WORDS = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "XX" "X"]) + r")\b")
PATHS = re.compile(r"(?<![\w.$}/])/(?:home|root|work|Users|tmp/src)/[\w.]")
SOURCES = (".c", ".h", ".py", ".sh", "Makefile")


def lines(tree, path):
    """(number, text) of each line; nothing for a file that is not text."""
    try:
        with open(os.path.join(tree, path), encoding="utf-8") as file:
            return list(enumerate(file.read().splitlines(), 1))
    except UnicodeDecodeError:
        return []


def size(tree, files):
    """A file fits in the head."""
    for path in files:
        count = len(lines(tree, path))
        if count > LINES_MAX:
            yield (path, count, f"{count} lines",
                   f"at most {LINES_MAX}: split it where its nouns part")


def words(tree, files):
    """What is left to do is an issue, not a comment."""
    for path in files:
        for number, text in lines(tree, path):
            for word in WORDS.findall(text):
                yield path, number, f"'{word}' in the tree", "do it, or open an issue"


def paths(tree, files):
    """Nothing depends on the machine it was written on."""
    for path in files:
        for number, text in lines(tree, path):
            for match in PATHS.findall(text):
                yield (path, number, f"'{match}...' is a path of one machine",
                       "a path relative to the tree, or of every Debian system")


def licence(tree, files):
    """Each source file says its licence in its first lines."""
    for path in files:
        if path.endswith(SOURCES) or path.startswith(".ci/"):
            head = [text for _, text in lines(tree, path)[:3]]
            if not any("SPDX-License-Identifier: BSD-3-Clause" in text for text in head):
                yield (path, 1, "no licence",
                       "SPDX-License-Identifier: BSD-3-Clause in one of the first three lines")
