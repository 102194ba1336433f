#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run-time control: by console, by telemetry, from a file, under the traffic of others."""
import os
import re
import subprocess
import termios
import time

from harness import Console, HugePages, Testpmd, Weir, main, need, telemetry, wait_for
from harness.testpmd import virtio_user
from harness.weir import TREE, WEIR, cores, eal_options, refused

HUGE = "/run/huge"
LOOP = ("--endpoint", "name=loop,type=loopback")
G0 = ("--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=loop")

# What is wrong, and what the sentence has to name.
WRONG = (
    ("shew", "shew", "show"),
    ("add", "add", "guest", "endpoint"),
    ("add gest x", "add gest", "guest"),
    ("add guest", "GUEST_KEYS"),
    ("add guest name=g1,sokcet=x", "sokcet", "socket"),
    ("add guest name=g1,socket=/run/weir/g1.sock,endpoint=lop", "lop"),
    ("add guest name=g0,socket=/run/weir/g1.sock,endpoint=loop", "g0", "already"),
    ("add guest name=g1,socket=/run/none/g1.sock,endpoint=loop", "/run/none"),
    ("add guest name=g1,socket=/run/weir/g1.sock,endpoint=loop,budget=1", "g1", "budget"),
    ("add endpoint name=x,type=tapp", "tapp", "tap"),
    ("add endpoint name=loop,type=null", "loop", "already"),
    ("remove guest g7", "g7", "show guest"),
    ("remove guest g0 now", "now", "too many"),
    ("remove endpoint up7", "up7", "show endpoint"),
    ("remove endpoint loop", "loop", "g0"),
    ("swap guest g0", "ENDPOINT"),
    ("swap guest g0 loop", "g0", "loop", "already"),
    ("swap guest g0 lop", "lop", "show endpoint"),
    ("swap guest g7 loop", "g7"),
    ("move guest g0 0", "LCORE"),
    ("move guest g0 x 1", "x", "queue pair"),
    ("move guest g0 0 9999", "9999", "lcore"),
    ("move guest g0 1 1", "g0", "1", "pair"),
    ("move guest g0 0 0", "g0", "lcore"),
    ("limit guest g0 much", "much", "bytes"),
    ("limit guest g7 1G", "g7"),
    ("limit host 0", "0", "bytes"),
    ("limit host", "BYTES"),
    ("clear endpoint x", "x"),
    ("capture start name=c,guest=g7,file=/run/c", "g7", "guest"),
    ("capture start name=c,guest=g0,file=/run/c,filter='tcp prot 80'", "prot", "syntax"),
    ("capture stop c7", "c7"),
    ("clear guest g7", "g7"),
    ("show guest g7", "g7", "show guest"),
    ("show colour", "colour", "guest", "poller"),
)


def _path(line):
    """The telemetry command for a line of the console."""
    words = line.split()
    n = 1 if words[0] == "quit" else 2
    return ",".join(["/weir/" + "/".join(words[:n]), *words[n:]])


def _commands(weir):
    """The commands that help lists, without their arguments."""
    return re.findall(r"^  ([a-z]+(?: [a-z]+)*) +[A-Z\[]", weir.must("help"), re.M)


def _descriptors(weir):
    return len(os.listdir(f"/proc/{weir.popen.pid}/fd"))


def every_command_does_what_its_help_says():
    weir = Console(*LOOP, *G0)
    commands = _commands(weir)
    done = set()

    def do(line, *said):
        done.update(c for c in commands if f"{line} ".startswith(c + " "))
        text = weir.must(line)
        for word in said:
            need(word in text, f"'{line}': '{word}' is missing in: {text}")

    do("help", "add guest GUEST_KEYS")
    do("add endpoint name=wire,type=patch", "endpoint wire", "patch")
    do("add guest name=g1,socket=/run/weir/g1.sock,endpoint=wire", "guest g1", "wire")
    need(os.path.exists("/run/weir/g1.sock"), "the socket is served when the answer is there")
    do("show guest", "name g0, state waiting", "name g1")
    do("show guest g1", "no front-end has connected", "endpoint wire", "tx_packets 0")
    do("show endpoint", "name loop, type loopback", "name wire")
    do("show endpoint wire", "type patch", "tx_dropped_host 0")
    do("show poller", "lcore 1")
    do("show poller lcore1", "idle_cycles")
    do("show budget g1", "parent host")
    do("show pool", "g1.tx")
    do("swap guest g1 loop", "guest g1, endpoint loop")
    need(telemetry("/weir/guest/info,g1")["endpoint"] == "loop", "it is swapped")
    do("swap guest g1 wire", "endpoint wire")
    do("move guest g1 0 1", "guest g1, pair 0, lcore 1")
    do("limit guest g1 5M", "limit_bytes 5242880")
    need(telemetry("/weir/budget/info,g1")["limit_bytes"] == 5 << 20, "the limit is set")
    do("limit host 1G", "limit_bytes 1073741824", "used_bytes")
    do("limit host none", "limit_bytes none")
    do("clear endpoint wire", "cleared wire")
    do("capture start name=c,guest=g1,file=/run/c.pcapng,filter='tcp port 80',files=2,rotate=1M",
       "capture started")
    do("show capture", "name c, state running")
    do("show capture c", "filter tcp port 80", "seen_packets 0")
    do("capture stop c", "stopped c")
    do("clear guest g1", "cleared g1")
    do("remove guest g1", "removed g1")
    need(not os.path.exists("/run/weir/g1.sock"), "the socket is gone when the answer is there")
    do("remove endpoint wire", "removed wire")
    need(telemetry("/weir/endpoint/list") == ["loop"], "the endpoint is gone")
    do("# nothing", "")
    weir.expected = True
    weir.type("quit\n")
    need(weir.popen.wait(10) == 0, "quit ends weir cleanly")
    done.add("quit")
    need(os.listdir("/run/weir") == [], "it leaves no socket")
    need(done == set(commands), f"commands without a test: {set(commands) - done}")


def wrong_input_gets_an_error_that_helps():
    weir = Console(*LOOP, *G0)
    for line, *words in WRONG:
        text = weir.do(line)
        print(f"{line}: {text.strip()}")
        need(text.startswith("error: ") and text.count("\n") == 1, f"one line is needed: {text}")
        for word in words:
            need(word in text, f"'{line}': '{word}' is missing in: {text}")
    need("one of" in weir.do("x" * 500), "a long word is refused as any other")
    need("511" in weir.do("x" * 600), "a line that is too long is refused, not cut")
    need(telemetry("/weir/guest/list") == ["g0"] and telemetry("/weir/endpoint/list") == ["loop"],
         "nothing has changed")


def tab_completes_and_shows_what_is_possible():
    weir = Console(*LOOP, *G0)
    for keys, pattern in (
            ("rem\t", "remove "),
            ("remove g\t\t", "remove guest .*g0 "),
            ("\t", r"add\b.*remove\b.*quit\b"),
            ("show \t", r"guest +Show a guest.*poller"),
            ("limit guest g0 \t", r"BYTES +Limit the memory"),
            ("add guest name=g1,so\t", "socket="),
            ("add guest name=g1,\t", r"endpoint= +endpoint=NAME.*mtu= +mtu=68"),
            ("add guest name=g1,endpoint=l\t", "endpoint=loop "),
            ("add endpoint name=up,type=t\t", "type=tap"),
            ("add endpoint type=tap,if\t", "iface="),
            ("help\t\t", "RETURN +Show this list"),
            ("remove endpoint ?", "loop +Remove an endpoint"),
    ):
        weir.said(keys, pattern)
        weir.said("\x03", weir.PROMPT)  # ^C: a new line
    weir.said("show guest\n", "g0, state")
    weir.said("\x1b[A", "show guest")  # arrow up: what was typed before
    weir.said("\n", "g0, state")


def telemetry_does_what_the_console_does():
    weir = Weir(*LOOP, *G0)
    said = telemetry("/weir/add/endpoint,name=wire,type=patch")
    need(said == {"endpoint": "wire", "type": "patch"}, f"{said}")
    said = telemetry("/weir/add/guest,name=g1,socket=/run/weir/g1.sock,endpoint=wire")
    need(said == {"guest": "g1", "endpoint": "wire"}, f"{said}")
    need(telemetry("/weir/guest/list") == ["g0", "g1"], "it is there when the answer is")
    said = telemetry("/weir/swap/guest,g1,loop")
    need(said == {"guest": "g1", "endpoint": "loop"}, f"{said}")
    said = telemetry("/weir/move/guest,g1,0,1")
    need(said == {"guest": "g1", "pair": 0, "lcore": 1}, f"{said}")
    said = telemetry("/weir/limit/guest,g1,5M")
    need(said["limit_bytes"] == 5 << 20 and said["used_bytes"] > 0, f"{said}")
    said = telemetry("/weir/limit/host,none")
    need(said["limit_bytes"] == "none", f"{said}")
    need(telemetry("/weir/clear/endpoint,wire") == {"cleared": "wire"}, "clear")
    need(telemetry("/weir/clear/guest,g1") == {"cleared": "g1"}, "clear")
    need(telemetry("/weir/remove/guest,g1") == {"removed": "g1"}, "remove")
    need(telemetry("/weir/guest/list") == ["g0"], "it is gone when the answer is there")
    need(telemetry("/weir/remove/endpoint,wire") == {"removed": "wire"}, "remove")
    for line, *words in WRONG:
        path = _path(line)
        if telemetry(f"/help,{path.split(',')[0]}") is None or line.startswith("show"):
            need(telemetry(path) is None, f"{path} is no command")
            continue
        text = telemetry(path)
        need(isinstance(text, str) and text.startswith("error: "), f"{path}: {text}")
        print(f"{path}: {text}")
        for word in words:
            if word not in ("too many", "now"):  # the last argument is taken as it is
                need(word in text, f"{path}: '{word}' is missing in: {text}")
    weir.expected = True
    need(telemetry("/weir/quit") == {"weir": "ending"}, "quit")
    need(weir.popen.wait(10) == 0, "quit ends weir cleanly")


def every_console_command_is_a_telemetry_word():
    weir = Console(*LOOP, *G0)
    words = {"/weir/" + command.replace(" ", "/") for command in _commands(weir)
             if not command.startswith(("show", "help"))}
    known = set(telemetry("/"))
    need(len(words) > 6 and words <= known, f"missing: {words - known}")
    with open(os.path.join(TREE, "docs", "operations.md"), encoding="utf-8") as file:
        manual = file.read()
    for word in words:
        need("Parameters: " in telemetry(f"/help,{word}")[word], f"{word} has no help")
        need(re.search(rf"`{word}[,`]", manual), f"{word} is not in docs/operations.md")


def start_up_file_is_run_before_it_is_ready():
    with open("/run/commands", "w", encoding="ascii") as file:
        file.write("# two guests\n\nadd endpoint name=wire,type=patch\n"
                   "add guest name=g0,socket=/run/weir/g0.sock,endpoint=wire # the first\n"
                   "add guest name=g1,socket=/run/weir/g1.sock,endpoint=wire\nshow guest\n")
    weir = Weir("--cmdline-file", "/run/commands")
    need(sorted(os.listdir("/run/weir")) == ["g0.sock", "g1.sock"], "both are served")
    need("name g1, state waiting" in weir.log(), "what it shows is printed")
    need(weir.end() == 0, "it ends cleanly")


def start_up_file_with_an_error_is_refused():
    for text, said in (("add endpoint name=l,type=loopback\nadd gest x\n", ("line 2", "add gest")),
                       (None, ("/run/commands", "No such file"))):
        if text is not None:
            with open("/run/commands", "w", encoding="ascii") as file:
                file.write(text)
        else:
            os.unlink("/run/commands")
        code, out, err = refused(*LOOP, *G0, "--cmdline-file", "/run/commands")
        ours = [line for line in err.splitlines() if line.startswith("weir: ")]
        need(code == 1 and len(ours) == 1 and "ready" not in out, f"{code}: {out} {err}")
        need(all(word in ours[0] for word in said), ours[0])
        need(os.listdir("/run/weir") == [], "it leaves no socket")


def end_of_input_ends_weir():
    run = subprocess.run([WEIR, *eal_options(), "--", *LOOP, *G0, "-i"], text=True, timeout=20,
                         input="show guest\n", capture_output=True, check=False)
    need(run.returncode == 0 and "name g0" in run.stdout, f"{run}")
    run = subprocess.run([WEIR, *eal_options(), "--", *LOOP, *G0, "-i"], text=True, timeout=20,
                         stdin=subprocess.DEVNULL, capture_output=True, check=False)
    need(run.returncode == 0 and "weir: ready" in run.stdout, f"{run}")
    weir = Console(*LOOP, *G0)
    weir.expected = True
    weir.type("\x04")  # ^D
    need(weir.popen.wait(10) == 0, "^D ends weir cleanly")


def terminal_is_given_back_as_it_was():
    for end in (lambda weir: weir.type("quit\n"), lambda weir: weir.popen.terminate(),
                lambda weir: weir.popen.send_signal(2)):
        weir = Console(*LOOP, *G0)
        weir.expected = True
        raw = termios.tcgetattr(weir.slave)
        need(not raw[3] & termios.ECHO, "it is the console's")
        end(weir)
        need(weir.popen.wait(10) == 0, "it ends cleanly")
        need(termios.tcgetattr(weir.slave)[3] & termios.ECHO, "it echoes again")


def commands_from_everywhere_wait_for_each_other():
    weir = Console(*LOOP, *G0)
    n = 100
    others = [subprocess.Popen(["python3", "-c", f"""
import sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from harness import telemetry
for i in range({n}):
    for answer in (telemetry("/weir/add/guest,name=t{k},socket=/run/weir/t{k}.sock,endpoint=loop"),
                   telemetry("/weir/remove/guest,t{k}")):
        assert isinstance(answer, dict), answer
"""]) for k in range(3)]
    while any(other.poll() is None for other in others):
        weir.must("add guest name=c,socket=/run/weir/c.sock,endpoint=loop")
        weir.must("remove guest c")
    need(all(other.returncode == 0 for other in others), "each answer is the right one")
    need(telemetry("/weir/guest/list") == ["g0"], "all are gone")


def removed_guest_is_disconnected_and_can_come_back():
    weir = Weir(*LOOP, *G0)
    pmd = None
    for n in range(3):
        need("guest" in telemetry(
            "/weir/add/guest,name=g1,socket=/run/weir/g1.sock,mode=client,endpoint=loop"), "added")
        pmd = pmd or Testpmd("pmd", virtio_user(0, "/run/weir/g1.sock", server=True))
        wait_for("g1 to be up", lambda: weir.guest("g1")["state"] == "up")
        if n == 0:
            pmd.do("set fwd flowgen")
            pmd.do("start")
        wait_for("frames", lambda: weir.guest("g1")["tx_packets"] > 1000)
        need(telemetry("/weir/remove/guest,g1") == {"removed": "g1"}, "removed")
        wait_for("the front-end to see it",
                 lambda: "Link status: down" in pmd.do("show port info 0"))
    pmd.quit()


def _held(weir):
    """What a leak would show in, exactly: descriptors, threads, DPDK's heap, huge pages."""
    with open(f"/proc/{weir.popen.pid}/smaps", encoding="ascii") as file:
        huge = sum(map(int, re.findall(r"_Hugetlb: +(\d+)", file.read())))
    heap = telemetry("/eal/heap_info,0")
    return {"descriptors": _descriptors(weir), "huge_kb": huge,
            "threads": len(os.listdir(f"/proc/{weir.popen.pid}/task")),
            "heap_count": heap["Alloc_count"], "heap_bytes": heap["Alloc_size"]}


def _memory_kb(weir):
    with open(f"/proc/{weir.popen.pid}/status", encoding="ascii") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read())[1])


def _cycle(weir, n):
    """A guest and its endpoint come, carry frames, and go."""
    def do(command):
        answer = telemetry(command)
        need(isinstance(answer, dict), f"{command}: {answer}")

    kind = ("loopback", "tap,iface=weir1", "null", "patch")[n % 4]
    do(f"/weir/add/endpoint,name=e,type={kind}")
    do("/weir/add/guest,name=c,socket=/run/weir/c.sock,mode=client,endpoint=e")
    wait_for("c to be up", lambda: weir.guest("c")["state"] == "up")
    do("/weir/remove/guest,c")
    do("/weir/remove/endpoint,e")


def _guests_come_and_go(cycles, eal=None):
    """@cycles guests come and go beside two that forward, which lose nothing."""
    weir = Weir("--endpoint", "name=wire,type=patch",
                "--guest", "name=g0,socket=/run/weir/g0.sock,endpoint=wire",
                "--guest", "name=g1,socket=/run/weir/g1.sock,endpoint=wire", eal=eal)
    others = Testpmd("others", *(virtio_user(i, f"/run/weir/g{i}.sock") for i in range(2)))
    # Its constructor returns when weir has connected for the first time.
    telemetry("/weir/add/endpoint,name=e,type=loopback")
    telemetry("/weir/add/guest,name=c,socket=/run/weir/c.sock,mode=client,endpoint=e")
    peer = Testpmd("peer", virtio_user(0, "/run/weir/c.sock", server=True))
    telemetry("/weir/remove/guest,c")
    telemetry("/weir/remove/endpoint,e")
    peer.do("set fwd flowgen")
    peer.do("start")
    others.do("set fwd flowgen")
    others.do("start")
    for n in range(20):  # what is made once is made
        _cycle(weir, n)
    held, memory, start = _held(weir), _memory_kb(weir), time.monotonic()
    for n in range(cycles):
        _cycle(weir, n)
    seconds = time.monotonic() - start
    wait_for(f"nothing to be left: {held}, {_held(weir)}", lambda: _held(weir) == held)
    grown = _memory_kb(weir) - memory
    print(f"{cycles} cycles in {seconds:.1f} s, {held}, memory grew by {grown} kB")
    need(grown < 1024, f"{grown} kB of memory are left")
    others.do("stop")
    others.do("set fwd rxonly")
    others.do("start")
    seen = [None]

    def quiet():
        seen.append([others.counters(port) for port in range(2)])
        time.sleep(0.2)
        return seen[-2] == seen[-1]

    wait_for("the last frames", quiet, 20)
    for port in range(2):
        sent, received = seen[-1][port]["TX-packets"], seen[-1][1 - port]["RX-packets"]
        need(sent == received and sent > 10000, f"g{port} sent {sent}, {received} arrived")
        drops = {key: n for key, n in weir.guest(f"g{port}").items() if "dropped" in key and n}
        need(not drops, f"g{port}: {drops}")
    print(f"the others moved {sum(port['TX-packets'] for port in seen[-1])} frames, and lost none")
    others.quit()
    peer.quit()


def guests_come_and_go_while_others_forward():
    _guests_come_and_go(40)


def a_thousand_guests_come_and_go_on_huge_pages():
    with HugePages(64):
        os.makedirs(HUGE, exist_ok=True)
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", HUGE], check=True)
        _guests_come_and_go(1000, ["--lcores", f"0@{cores()},1@{cores()}", "--no-pci",
                                   "--no-shconf", "--huge-dir", HUGE, "--huge-unlink", "-m", "32"])


def guest_whose_frames_a_peer_holds_is_removed_after_the_peer():
    weir = Weir("--endpoint", "name=wire,type=patch",
                *(word for i in range(2) for word in
                  ("--guest", f"name=g{i},socket=/run/weir/g{i}.sock,endpoint=wire,datapath=library")))
    pmd = Testpmd("pmd", *(virtio_user(i, f"/run/weir/g{i}.sock") for i in range(2)))
    pmd.do("set fwd txonly")  # and nobody reads
    pmd.do("start")
    seen = [0]

    def stuck():
        seen.append(weir.guest("g0")["tx_packets"])
        return seen[-1] == seen[-2] > 0

    wait_for("frames to wait", stuck)
    said = telemetry("/weir/remove/guest,g0")
    need("peer" in said and "g0" in telemetry("/weir/guest/list"), f"{said}")
    need("peer" in weir.guest("g0")["reason"], f"{weir.guest('g0')}")
    for name in ("g1", "g0"):
        need(telemetry(f"/weir/remove/guest,{name}") == {"removed": name}, f"{name} is removed")
    need(telemetry("/weir/budget/list") == ["host"] and telemetry("/weir/pool/list") == [],
         "nothing is left")
    need("g0" in telemetry("/weir/add/guest,name=g0,socket=/run/weir/g0.sock,endpoint=wire")["guest"],
         "its name is free again")


def guest_is_swapped_and_moved_while_it_sends():
    weir = Weir(*LOOP, "--endpoint", "name=sink,type=null", *G0, eal=eal_options(lcores=3))
    pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock"))
    pmd.do("set fwd flowgen")
    pmd.do("start")
    for n in range(20):
        name, lcore = ("sink", "loop")[n % 2], n % 2 + 1
        before = weir.endpoint(name)["tx_packets"]
        need("guest" in telemetry(f"/weir/swap/guest,g0,{name}"), "swapped")
        need("guest" in telemetry(f"/weir/move/guest,g0,0,{lcore}"), "moved")
        info = weir.guest("g0")
        need(info["endpoint"] == name and info["pairs"]["pair_0"]["lcore"] == lcore, f"{info}")
        wait_for("frames there", lambda: weir.endpoint(name)["tx_packets"] > before + 1000)
    pmd.quit()


def cleared_counters_count_from_zero():
    weir = Weir(*LOOP, *G0)
    pmd = Testpmd("pmd", virtio_user(0, "/run/weir/g0.sock"))
    pmd.do("start tx_first")
    wait_for("frames", lambda: weir.guest("g0")["tx_packets"] > 1000)
    pmd.do("stop")
    for kind, name in (("guest", "g0"), ("endpoint", "loop")):
        need(telemetry(f"/weir/clear/{kind},{name}") == {"cleared": name}, "cleared")
        counters = telemetry(f"/weir/{kind}/stats,{name}")
        need(not any(counters.values()), f"{counters}")
    pmd.do("start tx_first")
    wait_for("frames", lambda: weir.guest("g0")["tx_packets"] > 1000)
    pmd.kill()
    wait_for("g0 to be gone", lambda: weir.guest("g0")["state"] == "waiting")
    need(1000 < weir.guest("g0")["tx_packets"] == weir.endpoint("loop")["tx_packets"],
         f"both count the same: {weir.guest('g0')}, {weir.endpoint('loop')}")


main(globals())
