#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each check can fail: a small tree that is clean, then broken in one place at a time."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SPDX = "SPDX-License-Identifier: BSD-3-Clause"
CLEAN = {
    "meson.build": f"# {SPDX}\nfloors = [\n\t['lib/low'],\n\t['lib/mid', 'lib/side'],\n]\n",
    ".clang-format": open(os.path.join(HERE, "..", "..", ".clang-format"), encoding="utf-8").read(),
    "lib/low/weir_low.h": f"/* {SPDX} */\nint weir_low(void);\n",
    "lib/low/low.h": f"/* {SPDX} */\nint low(void);\n",
    "lib/low/low.c": f'/* {SPDX} */\n#include "weir_low.h"\n#include "low.h"\n',
    "lib/mid/weir_mid.h": f"/* {SPDX} */\nint weir_mid(void);\n",
    "lib/mid/mid.c": f'/* {SPDX} */\n#include "weir_low.h"\n#include "weir_mid.h"\n',
    "lib/side/side.c": f'/* {SPDX} */\n#include "weir_low.h"\n',
    "scripts/do.sh": f"#!/bin/bash\n# {SPDX}\necho ready\n",
}


def lint(check, broken):
    """Findings of one check over the clean tree with the files of `broken` put over it."""
    with tempfile.TemporaryDirectory() as tree:
        for path, text in {**CLEAN, **broken}.items():
            path = os.path.join(tree, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        run = subprocess.run([os.path.join(HERE, "lint.py"), "--tree", tree, check], text=True,
                             capture_output=True, timeout=60, check=False)
    if run.stderr:
        raise AssertionError(run.stderr)
    return run.returncode, run.stdout


class Lint(unittest.TestCase):
    def finds(self, check, path, text, where, *said):
        code, output = lint(check, {path: text})
        self.assertEqual(code, 1, output)
        self.assertTrue(output.startswith(f"{where}: "), output)
        for words in said:
            self.assertIn(words, output)
        self.assertEqual(output.count("\n"), 1, output)

    def test_a_clean_tree_has_no_findings(self):
        for check in ("format", "spelling", "shell", "floors", "doors", "size", "words",
                      "paths", "licence"):
            self.assertEqual(lint(check, {}), (0, ""), check)

    def test_an_unformatted_line_is_found(self):
        self.finds("format", "lib/low/low.c", f"/* {SPDX} */\nint  a;\n", "lib/low/low.c:2",
                   "make format")

    def test_a_misspelt_word_is_found(self):
        self.finds("spelling", "README.md", "We rec" "ieve frames.\n", "README.md:1", "receive")

    def test_a_careless_shell_script_is_found(self):
        self.finds("shell", "scripts/do", "#!/bin/bash\ncd /run\n", "scripts/do:2", "SC2164")

    def test_looking_upward_is_found(self):
        self.finds("floors", "lib/low/low.c", '\n#include "weir_mid.h"\n', "lib/low/low.c:2",
                   "lib/mid", "not below lib/low")

    def test_looking_sideways_is_found(self):
        self.finds("floors", "lib/side/side.c", '#include "weir_mid.h"\n', "lib/side/side.c:1",
                   "not below lib/side")

    def test_a_private_header_of_another_room_is_found(self):
        self.finds("floors", "lib/mid/mid.c", '#include "low.h"\n', "lib/mid/mid.c:1",
                   "not in lib/mid")
        self.finds("floors", "lib/mid/mid.c", '#include "../low/low.h"\n', "lib/mid/mid.c:1")

    def test_a_public_header_by_its_path_is_found(self):
        self.finds("floors", "lib/mid/mid.c", '#include "../low/weir_low.h"\n',
                   "lib/mid/mid.c:1", '"weir_low.h"')

    def test_a_room_on_no_floor_is_found(self):
        self.finds("floors", "lib/new/new.c", "\n", "lib/new/new.c:1", "meson.build")

    def test_an_outside_library_past_its_door_is_found(self):
        for header, room in (("rte_vhost.h", "lib/guest"), ("liburing.h", "lib/uring"),
                             ("linux/if_tun.h", "drivers/net/tap"), ("sys/epoll.h", "lib/poller"),
                             ("rte_kvargs.h", "lib/base"), ("rte_eal.h", "app"),
                             ("rte_ethdev.h", "drivers/net/port"), ("cmdline_parse.h", "app"),
                             ("rte_ring_elem.h", "lib/frame_queues"),
                             ("sys/eventfd.h", "lib/wake")):
            self.finds("doors", "lib/low/low.c", f"#include <{header}>\n", "lib/low/low.c:1",
                       header, room)

    def test_a_long_file_is_found(self):
        self.finds("size", "lib/low/low.c", "\n" * 801, "lib/low/low.c:801", "800")

    def test_a_word_of_unfinished_work_is_found(self):
        self.finds("words", "lib/low/low.c", "\n/* TO" "DO */\n", "lib/low/low.c:2")

    def test_a_path_of_a_machine_is_found(self):
        self.finds("paths", "README.md", "see /ho" "me/me/weir\n", "README.md:1")

    def test_a_missing_licence_is_found(self):
        self.finds("licence", "lib/low/low.c", "int a;\n", "lib/low/low.c:1", "SPDX")

    def test_an_unknown_check_is_refused(self):
        run = subprocess.run([sys.executable, os.path.join(HERE, "lint.py"), "colour"],
                             text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("'colour'", run.stderr)


if __name__ == "__main__":
    unittest.main()
