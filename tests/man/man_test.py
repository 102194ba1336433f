#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""man_test.py PAGE ...: each page is what groff reads, and has all that its program takes."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "man"))
import manpage  # noqa: E402  pylint: disable=wrong-import-position

BUILD = os.environ["WEIR_BUILD"]


def rendered(page):
    """The page as a reader sees it; it must be read without a warning."""
    run = subprocess.run(["man", "--warnings", "-l", page], text=True, capture_output=True,
                         timeout=30, check=False,
                         env={"PATH": os.environ["PATH"], "MANWIDTH": "200", "LC_ALL": "C"})
    if run.returncode != 0 or run.stderr:
        raise SystemExit(f"{page}: exit code {run.returncode}: {run.stderr}")
    return re.sub(".\b", "", run.stdout)  # without overstrikes


def terms(lines):
    """What stands first on each line that is an item."""
    return [re.split(r"  +", line.strip())[0] for line in lines if manpage.is_term(line.strip())]


def check(page):
    name = os.path.basename(page).split(".")[0]
    program = os.path.join(BUILD, "app", name, name)
    text, seen = manpage.ask(program), rendered(page)
    wanted = terms(manpage.section(text, "Options:"))
    wanted += terms(manpage.section(text, "Commands" if name == "weir" else "Modes:"))
    if len(wanted) < 8:
        raise SystemExit(f"{name} --help has {len(wanted)} items only: {wanted}")
    missing = [term for term in wanted if " ".join(term.split()) not in " ".join(seen.split())]
    if missing:
        raise SystemExit(f"{page}: missing: {missing}")
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
        if not re.search(f"^{title}$", seen, re.M):
            raise SystemExit(f"{page}: no section {title}")
    print(f"{page}: {len(wanted)} items, {seen.count(chr(10))} lines")


def main():
    if not shutil.which("man"):
        print("no man: make install")
        sys.exit(77)
    for page in sys.argv[1:]:
        check(page)


main()
