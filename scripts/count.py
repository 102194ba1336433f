#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""count.py --result FILE LOG.json|broken:WHAT ...: the result of a test run.

Reads meson's test logs, names what failed and why something was skipped, and ends
with `N passed, N failed, N skipped`, also in FILE. `broken:WHAT` stands for a build or a run
without a log: one failure. Exit code 1 when anything failed or nothing passed.
"""
import json
import os
import sys

PASSED = ("OK", "EXPECTEDFAIL")
SKIPPED = ("SKIP", "IGNORED")


def results(log):
    """Yield (name, result, last line of output) of each test of one meson log."""
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            test = json.loads(line)
            output = (test.get("stdout", "") + test.get("stderr", "")).strip()
            last = output.splitlines()[-1] if output else ""
            yield test["name"], test["result"], last


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    if len(sys.argv) < 3 or sys.argv[1] != "--result":
        sys.exit("count: usage: count.py --result FILE LOG ...")
    for arg in sys.argv[3:]:
        if arg.startswith("broken:"):
            counts["failed"] += 1
            print(f"FAILED  {arg.removeprefix('broken:')}: did not build or run")
            continue
        if not os.path.exists(arg):
            continue  # said as broken
        build = arg.split("/", 1)[0]
        for name, result, last in results(arg):
            if result in PASSED:
                counts["passed"] += 1
            elif result in SKIPPED:
                counts["skipped"] += 1
                print(f"skipped {build} {name}: {last}")
            else:
                counts["failed"] += 1
                print(f"FAILED  {build} {name}: {result.lower()}: {last}")
    result = ", ".join(f"{n} {word}" for word, n in counts.items())
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(result + "\n")
    print(result)
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
