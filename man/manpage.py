#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""manpage.py TEMPLATE PROGRAM OUTPUT: a manual page from what a program says of itself.

The template is roff. A line `@Title@` in it is replaced with the section of that title in
the program's --help, which is made from the tables that check what a user types; @version@
within a line with what it says. A `@MODES@` asks each mode for its own --help.
"""
import re
import subprocess
import sys


def ask(program, *words):
    """What a program says when asked for help."""
    return subprocess.run([program, *words, "--help"], text=True, check=True, timeout=20,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout


def section(text, title):
    """The lines below a title that stands at the margin, up to the next such line."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(title)), None)
    if start is None:
        raise SystemExit(f"manpage: --help has no section '{title}'")
    end = next((i for i in range(start + 1, len(lines)) if re.match(r"\S", lines[i])), len(lines))
    return lines[start + 1:end]


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def is_term(line):
    """Whether a line begins an item: an option, a key, a word with what it means."""
    return bool(re.match(r"-|\w+=|\S.*?  +\S", line))


def roff(lines):
    """Items and their texts, what is further in below what it belongs to."""
    out, levels = [], []
    for line in lines:
        if not line.strip():
            continue
        indent, text = len(line) - len(line.lstrip()), line.strip()
        while levels and indent < levels[-1]:
            levels.pop()
            out.append(".RE")
        if not levels:
            levels.append(indent)
            out.append(".RS 0")
        elif indent > levels[-1] and is_term(text):
            levels.append(indent)
            out.append(".RS")
        if is_term(text):
            term, *meaning = re.split(r"  +", text, maxsplit=1)
            out += [".TP", f"\\fB{escape(term)}\\fR"] + [escape(m) for m in meaning]
        else:
            out += [".PP"] * (out[-1] == ".RE") + [escape(text)]
    return out + [".RE"] * len(levels)


def modes(program, text):
    """The modes that have words of their own, each with its help."""
    out = []
    for line in section(text, "Modes:"):
        if not line.strip():
            continue
        name = line.split()[0]
        words = [w for w in ask(program, name).splitlines()[1:] if w.strip()]
        if words:
            out += [f".SS {name}", *roff(words)]
    return out


def main():
    template, program, output = sys.argv[1:]
    text = ask(program)
    version = subprocess.run([program, "--version"], text=True, check=True, timeout=20,
                             stdout=subprocess.PIPE).stdout.split()[1]
    page = []
    with open(template, encoding="utf-8") as file:
        for line in file.read().splitlines():
            title = re.fullmatch(r"@(\w+)@", line)
            if title and title[1] == "MODES":
                page += modes(program, text)
            elif title:
                page += roff(section(text, title[1]))
            else:
                page.append(line.replace("@version@", version))
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
