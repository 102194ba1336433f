# SPDX-License-Identifier: BSD-3-Clause
"""Run one claim in namespaces of its own.

A claim is a function named as a sentence; it returns when the sentence is true. It runs
as the first process of new pid, network and mount namespaces with an empty /run: it
types what a user types, and whatever it started ends with it.
"""
import inspect
import os
import shutil
import subprocess
import sys
import time
import traceback

from . import process

SKIP = 77
INSIDE = "WEIR_TEST_INSIDE"


class Skip(Exception):
    """The claim cannot be tried here; the text says why."""


class Failure(AssertionError):
    """The claim is false; the text says what was seen."""


def need(true, text):
    """Fail with @text unless @true."""
    if not true:
        raise Failure(text)


def wait_for(what, question, seconds=10.0):
    """Ask until the answer is true, and return it; fail when the time is over."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"waited {seconds:g} s for {what}")
        process.check_alive()
        time.sleep(0.05)


def enter_namespaces():
    """Go on as the first process of namespaces of our own, which end with us."""
    if os.environ.get(INSIDE):
        return
    command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    try_it = subprocess.run(command + ["true"], text=True, capture_output=True, check=False)
    if try_it.returncode != 0:
        raise Skip(f"no namespaces, root with CAP_SYS_ADMIN is needed: {try_it.stderr.strip()}")
    os.environ[INSIDE] = "1"
    sys.stdout.flush()
    os.execvp(command[0], command + [sys.executable] + sys.argv)


def furnish():
    """An empty /run, a loopback interface that is up."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.makedirs("/run/weir")
    os.makedirs(process.LOGS)
    os.environ.pop("XDG_RUNTIME_DIR", None)


def main(claims):
    """Run the claim that the command line names, of a module's functions; all without one."""
    claims = {name: f for name, f in claims.items() if inspect.isfunction(f)
              and f.__module__ == "__main__" and not name.startswith("_")}
    wanted = sys.argv[1:] or list(claims)
    if len(wanted) > 1:
        codes = [subprocess.run([sys.executable, sys.argv[0], name], check=False).returncode
                 for name in wanted]
        sys.exit(max((c for c in codes if c != SKIP), default=SKIP))
    if wanted[0] not in claims:
        sys.exit(f"no claim '{wanted[0]}': one of {', '.join(claims)} is needed")
    code = 1
    try:
        for tool in ("unshare", "ip", "mount"):
            if not shutil.which(tool):
                raise Skip(f"no {tool}: make install")
        enter_namespaces()
        furnish()
        start = time.monotonic()
        claims[wanted[0]]()
        process.check_alive()
        print(f"{wanted[0]}: true, {time.monotonic() - start:.1f} s")
        code = 0
    except Skip as reason:
        print(f"{wanted[0]}: skipped: {reason}")
        code = SKIP
    except Exception as error:  # pylint: disable=broad-except
        traceback.print_exc(file=sys.stdout)
        process.print_logs()
        print(f"{wanted[0]}: FALSE: {error}")
    finally:
        if os.environ.get(INSIDE):
            process.end_all()
    sys.stdout.flush()
    sys.exit(code)
