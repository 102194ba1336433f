# SPDX-License-Identifier: BSD-3-Clause
"""Who may include what: the floors of the rooms and the doors to outside libraries.

meson.build gives a room include paths of lower floors only, so that looking upward
does not compile; here it is said with file and line, along with what a compiler does
not see: a header that should have stayed home, an outside library past its door.
A check takes the tree and its files, and yields (file, line, wrong, right).
"""
import ast
import fnmatch
import os
import re

from text_checks import lines

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')

# Outside headers, and the rooms that are their only doors. Tests go through any.
DOORS = [
    ("rte_vhost*.h", ["lib/guest", "app/weir-bench"]),
    ("rte_kvargs.h", ["lib/base"]),
    ("liburing.h", ["lib/uring"]),
    ("linux/if_tun.h", ["drivers/net/tap"]),
    ("rte_ethdev.h", ["drivers/net/port", "app/weir-bench"]),
    ("rte_ip.h", ["lib/offload", "app"]),
    ("rte_gso.h", ["lib/offload"]),
    ("rte_ring*.h", ["lib/frame_queues", "lib/capture", "drivers/net/patch", "app/weir-bench"]),
    ("pcap*.h", ["lib/capture"]),
    ("pcap/*", ["lib/capture"]),
    ("rte_bpf.h", ["lib/capture"]),
    ("sys/eventfd.h", ["lib/wake", "lib/budget", "app/weir-bench"]),
    ("linux/futex.h", ["lib/wake", "lib/budget", "lib/bufpool", "drivers/mempool/weir"]),
    ("sys/epoll.h", ["lib/poller"]),
    ("rte_eal.h", ["app", "drivers/mempool/weir", "lib/frame_queues"]),  # which process this is
    ("cmdline*.h", ["app"]),
]


def includes(tree, files):
    """(file, line, quote, header) of each include in our C files."""
    for path in files:
        if path.endswith((".c", ".h")):
            for number, text in lines(tree, path):
                match = INCLUDE.match(text)
                if match:
                    yield path, number, match[1], match[2]


def in_room(path, room):
    return path.startswith(room + "/")


def doors(tree, files):
    """An outside library has one door."""
    for path, line, _, header in includes(tree, files):
        if in_room(path, "tests"):
            continue
        for pattern, rooms in DOORS:
            if fnmatch.fnmatch(header, pattern) and not any(in_room(path, r) for r in rooms):
                yield (path, line, f"<{header}> is not for this room",
                       f"only {', '.join(rooms)} may include it: use what that room offers")


def read_floors(tree):
    """{room: floor} from the list in meson.build."""
    with open(os.path.join(tree, "meson.build"), encoding="utf-8") as file:
        text = file.read()
    match = re.search(r"^floors = (\[.*?^\])", text, re.M | re.S)
    if match is None:
        raise SystemExit("lint: meson.build has no list `floors = [...]`")
    floors_of_rooms = {}
    for floor, rooms in enumerate(ast.literal_eval(match[1])):
        for room in rooms:
            floors_of_rooms[room] = floor
    return floors_of_rooms


def room_of(path, floors_of_rooms):
    for room in floors_of_rooms:
        if in_room(path, room):
            return room
    return None


def floors(tree, files):
    """A room includes weir_*.h of lower floors, and the rest of its own only."""
    floors_of_rooms = read_floors(tree)
    owners = {os.path.basename(f): room_of(f, floors_of_rooms) for f in files
              if os.path.basename(f).startswith("weir_") and f.endswith(".h")
              and not in_room(f, "tests")}
    strangers = set()
    for path in files:
        if path.endswith(".c") and path.startswith(("lib/", "drivers/")) \
                and room_of(path, floors_of_rooms) is None:
            folder = os.path.dirname(path)
            if folder not in strangers:
                strangers.add(folder)
                yield (path, 1, f"{folder} is on no floor",
                       "list the room in `floors` of meson.build")
    for path, line, quote, header in includes(tree, files):
        name = os.path.basename(header)
        if quote == "<":
            if name in owners:
                yield path, line, f"<{header}> is ours", f'"{name}"'
            continue
        if in_room(path, "tests"):
            continue
        room = room_of(path, floors_of_rooms)
        home = room or os.path.dirname(path)
        if name not in owners:
            if os.path.join(home, header) not in files:
                yield (path, line, f'"{header}" is not in {home}',
                       "a header without weir_ is for its own room; "
                       "a public one is weir_<noun>.h of a lower room")
        elif header != name:
            yield path, line, f'"{header}" has a path', f'"{name}": the floors give the path'
        elif room is not None and owners[name] != room and owners[name] in floors_of_rooms \
                and floors_of_rooms[owners[name]] >= floors_of_rooms[room]:
            yield (path, line, f'"{name}" is of {owners[name]}, which is not below {room}',
                   "look downward only: move the noun, or the line")
