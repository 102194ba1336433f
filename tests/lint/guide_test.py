#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The C blocks of the endpoint guide, one after the other, are its example: what is read is
what is compiled and tested. `guide_test.py --write` makes the file from the page."""
import difflib
import os
import re
import sys

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PAGE = os.path.join(TREE, "docs", "endpoint-guide.md")
FILE = os.path.join(TREE, "examples", "dgram", "dgram.c")

with open(PAGE, encoding="utf-8") as page:
    blocks = re.findall(r"^```c\n(.*?)^```$", page.read(), re.M | re.S)
told = "\n".join(blocks)
if sys.argv[1:] == ["--write"]:
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(told)
with open(FILE, encoding="utf-8") as file:
    compiled = file.read()
sys.stdout.writelines(difflib.unified_diff(told.splitlines(True), compiled.splitlines(True),
                                           "docs/endpoint-guide.md", "examples/dgram/dgram.c"))
sys.exit(0 if len(blocks) > 5 and told == compiled else 1)
