#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the report makes of slices: like is compared with like, and the rest is said."""
import os
import sys
import types
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report  # pylint: disable=wrong-import-position

NEAR, FAR, MOVED = (80, 90), (390, 400), (80, 400)


def slices(peer, value, *places, line="loopback", case="64 B", unit="Mpps"):
    """A sample a place, none with the distances of another."""
    return [{"line": line, "case": case, "peer": peer, "unit": unit, "value": value + i,
             "distance_ns": before + i / 10, "distance_after_ns": after + i / 10}
            for i, (before, after) in enumerate(places)]


def rows(*samples):
    return {(row.line, row.case, row.place): row for row in report.rows(_run(*samples))}


def _run(*samples):
    return types.SimpleNamespace(samples=[s for of in samples for s in of],
                                 options=types.SimpleNamespace(best=False))


class Report(unittest.TestCase):
    def test_near_and_far_slices_are_rows_of_their_own(self):
        found = rows(slices("weir", 10, NEAR, FAR, NEAR), slices("testpmd", 5, FAR, FAR, NEAR))
        self.assertEqual(set(found), {("loopback", "64 B", "near"), ("loopback", "64 B", "far")})
        near = found["loopback", "64 B", "near"]
        self.assertEqual(near.figures["weir"], (11, 10, 12))
        self.assertEqual(near.slices(["weir", "testpmd"]), "2 1")
        self.assertAlmostEqual(near.ratio("testpmd"), 11 / 7)

    def test_slice_during_which_the_cores_moved_is_left_out_and_counted(self):
        run = _run(slices("weir", 10, NEAR, MOVED), slices("testpmd", 5, NEAR))
        (row,) = report.rows(run)
        self.assertEqual(row.figures["weir"], (10, 10, 10))
        self.assertIn("1 of 3 slices put aside", report._distances(run))

    def test_no_ratio_where_the_two_never_were_at_one_distance(self):
        found = rows(slices("weir", 10, NEAR), slices("testpmd", 5, FAR))
        self.assertEqual([row.ratio("testpmd") for row in found.values()], [None, None])

    def test_memory_minds_no_distance(self):
        found = rows(slices("weir", 10, NEAR, FAR, MOVED, unit="MB"))
        self.assertEqual(found["loopback", "64 B", "any"].figures["weir"], (11, 10, 12))

    def test_less_is_better_of_all_but_rates(self):
        found = rows(slices("weir", 10, NEAR, unit="us"), slices("testpmd", 5, NEAR, unit="us"))
        self.assertEqual(found["loopback", "64 B", "near"].ratio("testpmd"), 0.5)

    def test_idle_guest_costs_what_the_round_trip_has_more(self):
        line = "scale, round trip"
        found = rows(*(slices("weir", us, NEAR, line=line, case=f"1 of {n}, p50", unit="us")
                       for n, us in (("1 guest", 1), ("51 guests", 3))))
        row = found["each idle guest adds to a round trip", "of 51 guests, p50", "near"]
        self.assertEqual(row.figures["weir"][0], 40)


if __name__ == "__main__":
    unittest.main()
