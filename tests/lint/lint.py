#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""lint.py [--tree DIR] [CHECK ...]: hold the tree to docs and style; all checks by default.

Each finding is one line: file:line: what is wrong: what would be right.
Exit code 0 clean, 1 findings, 77 a tool is missing.
"""
import argparse
import os
import shutil
import sys

import include_checks
import text_checks
import tool_checks

CHECKS = {
    "format": tool_checks.format,
    "spelling": tool_checks.spelling,
    "shell": tool_checks.shell,
    "floors": include_checks.floors,
    "doors": include_checks.doors,
    "size": text_checks.size,
    "words": text_checks.words,
    "paths": text_checks.paths,
    "licence": text_checks.licence,
}
NEEDS = {"format": "clang-format", "spelling": "codespell", "shell": "shellcheck"}


def files(tree):
    """All files of the tree, relative: what git would see, without needing git."""
    found = []
    for folder, folders, names in os.walk(tree):
        top = folder == tree
        folders[:] = [f for f in folders if f == ".ci" or not f.startswith(".")
                      and f != "__pycache__" and not (top and f.startswith("build"))]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), tree)
            if name != ".git" and not name.endswith((".pyc", "~")):
                found.append(path)
    return sorted(found)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", default=os.path.join(here, "..", ".."))
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    args = parser.parse_args()
    tree = os.path.abspath(args.tree)
    n_findings = 0
    for name in args.checks or CHECKS:
        if name not in CHECKS:
            parser.error(f"unknown check '{name}': one of {', '.join(CHECKS)} is needed")
        if name in NEEDS and not shutil.which(NEEDS[name]):
            print(f"lint: {NEEDS[name]} is missing: make install")
            return 77
        for path, line, wrong, right in CHECKS[name](tree, files(tree)):
            print(f"{path}:{line}: {wrong}: {right}")
            n_findings += 1
    return 1 if n_findings else 0


if __name__ == "__main__":
    sys.exit(main())
