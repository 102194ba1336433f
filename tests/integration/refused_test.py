#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What weir refuses: one line that names it and what would be right, exit code 1, nothing
left behind."""
import os
import shutil
import socket
import subprocess

from harness import Weir, main, need
from harness.weir import WEIR, eal_options, refused

LOOP = ("--endpoint", "name=loop,type=loopback")
TAP = ("--endpoint", "name=up,type=tap,iface=weir0")
SOCKET = "/run/weir/g0.sock"
GUEST = f"name=g0,socket={SOCKET},endpoint="


def _refused(*words, said=(), left=(), **options):
    """weir ends with 1, one line of its own that has all of @said, and leaves no trace."""
    code, out, err = refused(*words, **options)
    ours = [line for line in err.splitlines() if line.startswith("weir: ")]
    need(code == 1, f"exit code {code}: {err}")
    need(len(ours) == 1, f"one line is needed, not {len(ours)}: {err}")
    need("ready" not in out, f"it served: {out}")
    print(ours[0])
    for word in said:
        need(word in ours[0], f"'{word}' is missing in: {ours[0]}")
    need(sorted(os.listdir("/run/weir")) == sorted(left),
         f"left behind: {os.listdir('/run/weir')}")
    need("weir0" not in dict(socket.if_nameindex()).values(), "the tap is left behind")


def _as_nobody():
    """A command prefix that runs a program we can all read as nobody."""
    shutil.copy(WEIR, "/run/weir-copy")
    os.chmod("/run/weir-copy", 0o755)
    os.makedirs("/run/nobody", exist_ok=True)
    os.chown("/run/nobody", 65534, 65534)
    return ["env", "XDG_RUNTIME_DIR=/run/nobody", "setpriv", "--reuid=65534", "--regid=65534",
            "--clear-groups", "--no-new-privs"]


def unknown_key():
    _refused(*TAP, "--guest", GUEST + "up,sokcet=/run/x", said=("sokcet", "socket"))
    _refused("--endpoint", "name=up,type=tap,ifcae=weir0", "--guest", GUEST + "up",
             said=("ifcae", "iface"))


def missing_key():
    _refused(*LOOP, "--guest", "name=g0,endpoint=loop", said=("socket", "missing"))
    _refused(*LOOP, "--guest", f"name=g0,socket={SOCKET}", said=("endpoint", "missing"))
    _refused(*LOOP, "--guest", f"socket={SOCKET},endpoint=loop", said=("name", "missing"))


def wrong_value():
    _refused(*LOOP, "--guest", GUEST + "loop,mode=sever", said=("sever", "server", "client"))
    _refused(*LOOP, "--guest", GUEST + "loop,queues=0", said=("queues", "1"))
    _refused(*LOOP, "--guest", GUEST + "loop,mtu=67", said=("mtu=67", "68"))
    _refused(*LOOP, "--guest", GUEST + "loop", "--idle-us", "1K", said=("1K", "microseconds"))


def unknown_type():
    _refused("--endpoint", "name=up,type=tapp", "--guest", GUEST + "up", said=("tapp", "tap"))


def unknown_endpoint():
    _refused(*LOOP, "--guest", GUEST + "lop", said=("lop",))


def unknown_option():
    _refused(*LOOP, "--gest", GUEST + "loop", said=("--gest", "--guest"))


def port_that_is_not_there():
    _refused("--endpoint", "name=up,type=port,dev=net_none0", "--guest", GUEST + "up",
             said=("net_none0", "--vdev", "devargs"))
    _refused("--endpoint", 'name=up,type=port,devargs="net_none0,iface=lo"', "--guest",
             GUEST + "up", said=("net_none0,iface=lo", "cannot plug in"))
    _refused("--endpoint", "name=up,type=port", "--guest", GUEST + "up", said=("dev=", "devargs="))
    _refused("--endpoint", 'name=up,type=port,devargs="net_null0', "--guest", GUEST + "up",
             said=("quote", "close it"))


def port_that_is_taken():
    eal = [*eal_options(), "--vdev=net_null0"]
    up = ("--endpoint", "name=up,type=port,dev=net_null0")
    _refused(*up, "--endpoint", "name=two,type=port,dev=net_null0", "--guest", GUEST + "up",
             eal=eal, said=("'two'", "net_null0", "weir endpoint up", "of its own"))
    _refused("--endpoint", "name=up,type=port,devargs=net_null0", "--guest", GUEST + "up",
             eal=eal, said=("net_null0", "dev=net_null0"))
    _refused(*up, "--guest", GUEST + "up", "--guest",
             "name=g1,socket=/run/weir/g1.sock,endpoint=up", eal=eal, said=("'g1'", "1 guest"))


def port_that_is_too_small_for_its_guest():
    up = ("--endpoint", 'name=up,type=port,devargs="net_af_packet0,iface=lo,qpairs=2"')
    _refused(*up, "--guest", GUEST + "up,queues=4", said=("has 2 queue pairs", "queues=2"))
    _refused(*up, "--guest", GUEST + "up,mtu=9000", said=("1500", "mtu=1500"))


def no_guest():
    _refused(*LOOP, said=("--guest",))


def wrong_capture():
    words = (*LOOP, "--guest", GUEST + "loop", "--capture")
    _refused(*words, "name=c,guest=g0,file=/run/c,filter=tcp prot 80", said=("tcp prot 80", "syntax"))
    _refused(*words, "name=c,guest=g1,file=/run/c", said=("guest=g1", "no such guest"))
    _refused(*words, "name=c,guest=g0,file=/run/none/c", said=("/run/none/c", "No such file"))


def two_guests_on_one_socket():
    _refused(*LOOP, "--guest", GUEST + "loop", "--guest", f"name=g1,socket={SOCKET},endpoint=loop",
             said=(SOCKET, "g0", "socket of its own"))


def two_guests_of_one_name():
    _refused(*LOOP, "--guest", GUEST + "loop",
             "--guest", "name=g0,socket=/run/weir/g1.sock,endpoint=loop", said=("g0",))


def socket_path_too_long():
    path = "/run/weir/" + "x" * 200
    _refused(*LOOP, "--guest", f"name=g0,socket={path},endpoint=loop", said=("socket=", "107"))


def socket_in_no_directory():
    _refused(*LOOP, "--guest", "name=g0,socket=/run/none/g0.sock,endpoint=loop",
             said=("/run/none",))


def socket_in_use_by_a_live_process():
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(SOCKET)
        live.listen()
        _refused(*LOOP, "--guest", GUEST + "loop", said=(SOCKET, "another"), left=("g0.sock",))
        live.settimeout(5)
        live.accept()[0].close()


def file_that_is_no_socket_is_not_taken_over():
    with open(SOCKET, "w", encoding="utf-8") as file:
        file.write("precious")
    _refused(*LOOP, "--guest", GUEST + "loop", said=(SOCKET,), left=("g0.sock",))
    with open(SOCKET, encoding="utf-8") as file:
        need(file.read() == "precious", "the file is as it was")


def stale_socket_is_taken_over():
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(SOCKET)
        stale.listen()
    weir = Weir(*LOOP, "--guest", GUEST + "loop")
    with socket.socket(socket.AF_UNIX) as front_end:
        front_end.connect(SOCKET)
    need(weir.end() == 0, "it ends cleanly")
    need(os.listdir("/run/weir") == [], "it leaves no socket")


def missing_privilege():
    _refused(*TAP, "--guest", "name=g0,socket=/run/nobody/g0.sock,endpoint=up",
             wrapper=_as_nobody(), program="/run/weir-copy", said=("weir0", "CAP_NET_ADMIN"))
    _refused(*LOOP, "--guest", GUEST + "loop", wrapper=_as_nobody(), program="/run/weir-copy",
             said=("/run/weir",))


def too_few_lcores():
    _refused(*LOOP, "--guest", GUEST + "loop", eal=eal_options(lcores=1), said=("lcore",))


def too_little_memory():
    _refused(*LOOP, "--guest", GUEST + "loop", eal=eal_options(megabytes=1), said=("memory", "-m "))


def earlier_parts_are_undone():
    _refused(*TAP, *LOOP, "--guest", GUEST + "up",
             "--guest", "name=g1,socket=/run/none/g1.sock,endpoint=loop", said=("/run/none",))


def help_and_version_need_no_eal():
    for option, word in (("--help", "--guest"), ("--version", "weir ")):
        run = subprocess.run([*_as_nobody(), "/run/weir-copy", option], text=True, timeout=10,
                             capture_output=True, check=False)
        need(run.returncode == 0, f"{option}: exit code {run.returncode}")
        need(word in run.stdout, f"{option} says: {run.stdout}")
        need(run.stderr == "", f"{option} also says: {run.stderr}")
        need(os.listdir("/run/nobody") == [] and not os.path.exists("/run/dpdk"),
             f"{option} starts EAL")


main(globals())
