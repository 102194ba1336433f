# SPDX-License-Identifier: BSD-3-Clause
"""Checks that other tools make: their findings in our words.

A check takes the tree and its files, and yields (file, line, wrong, right).
"""
import os
import re
import subprocess


def output(tree, command, paths):
    """Standard output and error of a tool run over files of the tree."""
    run = subprocess.run(command + paths, cwd=tree, text=True, timeout=60,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.stdout


def format(tree, files):
    """C files are as clang-format writes them."""
    paths = [f for f in files if f.endswith((".c", ".h"))]
    if not paths:
        return
    text = output(tree, ["clang-format", "--dry-run"], paths)
    seen = set()
    for path, line in re.findall(r"^(.+?):(\d+):\d+: warning:", text, re.M):
        if (path, line) not in seen:
            seen.add((path, line))
            yield path, line, "not in the format", "run make format"


def spelling(tree, files):
    """Words are spelt as in a dictionary; .codespellrc lists the exceptions."""
    text = output(tree, ["codespell"], files)
    for path, line, word, right in re.findall(r"^(.+?):(\d+): (\S+) ==> (.+)$", text, re.M):
        yield os.path.normpath(path), line, f"'{word}' is misspelt", right


def is_shell(tree, path):
    if path.endswith(".sh"):
        return True
    with open(os.path.join(tree, path), "rb") as file:
        return re.match(rb"#!.*\b(ba|da)?sh\b", file.readline(80)) is not None


def shell(tree, files):
    """Shell scripts please shellcheck, at its strictest default."""
    paths = [f for f in files if is_shell(tree, f)]
    if not paths:
        return
    text = output(tree, ["shellcheck", "-x", "-f", "gcc"], paths)
    for path, line, what in re.findall(r"^(.+?):(\d+):\d+: \w+: (.+)$", text, re.M):
        message, _, code = what.rpartition(" [")
        yield path, line, message, f"see shellcheck's {code.rstrip(']')}"
