/* SPDX-License-Identifier: BSD-3-Clause */
/* Spreading pairs over lcores, on machines that are only described. */
#include <rte_common.h>
#include <rte_memory.h>

#include "harness.h"
#include "balance.h"

#define LCORE(node, n) ((struct balance_lcore){.numa_node = (node), .n_pairs = (n)})
#define FULL(node, n) ((struct balance_lcore){.numa_node = (node), .n_pairs = (n), .is_full = true})
#define PAIR(at, load_, node)                                                                      \
	((struct balance_pair){.lcore = (at), .load = (load_), .numa_node = (node)})
#define RESTING(at, load_, node)                                                                   \
	((struct balance_pair){.lcore = (at), .load = (load_), .numa_node = (node), .rests = true})

static const struct balance_lcore one_node[] = {LCORE(0, 0), LCORE(0, 0), LCORE(0, 0), LCORE(0, 0)};
static const struct balance_lcore two_nodes[] = {LCORE(0, 0), LCORE(0, 0), LCORE(1, 0),
						 LCORE(1, 0)};

static bool
pick(const struct balance_lcore *lcores, unsigned int n_lcores, const struct balance_pair *pairs,
     unsigned int n_pairs, struct balance_move *move)
{
	*move = (struct balance_move){99, 99};
	return balance_pick(lcores, n_lcores, pairs, n_pairs, move);
}

static void
new_pair_goes_where_the_fewest_are(void **state)
{
	struct balance_lcore lcores[] = {LCORE(0, 2), LCORE(0, 1), LCORE(0, 1)};

	assert_int_equal(balance_place(lcores, 3, SOCKET_ID_ANY), 1);
	lcores[1].is_full = true;
	assert_int_equal(balance_place(lcores, 3, SOCKET_ID_ANY), 2);
	lcores[0].is_full = lcores[2].is_full = true;
	assert_int_equal(balance_place(lcores, 3, SOCKET_ID_ANY), 3);
}

static void
new_pair_goes_to_its_memory_however_many_are_there(void **state)
{
	struct balance_lcore lcores[] = {LCORE(0, 0), LCORE(0, 0), LCORE(1, 7), LCORE(1, 6)};

	assert_int_equal(balance_place(lcores, 4, 1), 3);
	assert_int_equal(balance_place(lcores, 4, 0), 0);
	/* A node without lcores is far from all of them. */
	assert_int_equal(balance_place(lcores, 4, 2), 0);
	/* Far is better than nowhere. */
	lcores[2].is_full = lcores[3].is_full = true;
	assert_int_equal(balance_place(lcores, 4, 1), 0);
}

static void
busy_lcore_gives_the_pair_that_evens_most(void **state)
{
	const struct balance_pair pairs[] = {PAIR(0, 500, 0), PAIR(0, 300, 0), PAIR(0, 200, 0),
					     PAIR(1, 100, 0)};
	struct balance_move move;

	assert_true(pick(one_node, 2, pairs, 4, &move));
	/* 1000 and 100: 500 away leaves 600 at most, 300 away 700. */
	assert_int_equal(move.pair, 0);
	assert_int_equal(move.lcore, 1);
	assert_true(pick(one_node, 3, pairs, 4, &move));
	assert_int_equal(move.lcore, 2);
}

static void
little_gain_is_not_worth_a_move(void **state)
{
	/* 600 and 400: any move leaves at least 500, and 100 away 500: that is 83 %. */
	const struct balance_pair close[] = {PAIR(0, 500, 0), PAIR(0, 100, 0), PAIR(1, 400, 0)};
	/* Exactly a fifth. */
	const struct balance_pair fifth[] = {PAIR(0, 800, 0), PAIR(0, 200, 0), PAIR(1, 600, 0)};
	struct balance_move move;

	assert_false(pick(one_node, 2, close, 3, &move));
	assert_true(pick(one_node, 2, fifth, 3, &move));
	assert_int_equal(move.pair, 1);
}

static void
many_small_pairs_go_one_by_one(void **state)
{
	struct balance_pair pairs[16];
	struct balance_move move;
	unsigned int p;

	for (p = 0; p < 16; p++)
		pairs[p] = PAIR(0, 60, 0);
	for (p = 0; pick(one_node, 2, pairs, 16, &move); p++)
		pairs[move.pair].lcore = move.lcore;
	/* 960 and nothing, 900 and 60, ... up to 540 and 420: half of that is no fifth. */
	assert_int_equal(p, 7);
}

static void
lcore_with_time_left_is_left_alone(void **state)
{
	const struct balance_pair pairs[] = {PAIR(0, 240, 0), PAIR(0, 240, 0)};
	struct balance_move move;

	assert_false(pick(one_node, 2, pairs, 2, &move));
}

static void
one_pair_that_fills_an_lcore_stays(void **state)
{
	const struct balance_pair pairs[] = {PAIR(0, 1000, 0)};
	struct balance_move move;

	assert_false(pick(one_node, 4, pairs, 1, &move));
}

static void
resting_pair_stays_and_another_goes(void **state)
{
	struct balance_pair pairs[] = {RESTING(0, 500, 0), PAIR(0, 500, 0)};
	struct balance_move move;

	assert_true(pick(one_node, 2, pairs, 2, &move));
	assert_int_equal(move.pair, 1);
	pairs[1].rests = true;
	assert_false(pick(one_node, 2, pairs, 2, &move));
}

static void
full_lcore_takes_none(void **state)
{
	const struct balance_lcore lcores[] = {LCORE(0, 0), FULL(0, 0)};
	const struct balance_pair pairs[] = {PAIR(0, 500, 0), PAIR(0, 500, 0)};
	struct balance_move move;

	assert_false(pick(lcores, 2, pairs, 2, &move));
}

static void
load_does_not_take_a_pair_from_its_memory(void **state)
{
	const struct balance_pair pairs[] = {PAIR(0, 500, 0), PAIR(0, 500, 0), PAIR(1, 1000, 0)};
	struct balance_move move;

	/* Node 1 is idle, and far. */
	assert_false(pick(two_nodes, 4, pairs, 3, &move));
}

static void
memory_on_a_node_without_lcores_is_at_home_everywhere(void **state)
{
	const struct balance_pair pairs[] = {PAIR(0, 500, 5), PAIR(0, 500, 5)};
	struct balance_move move;

	assert_true(pick(two_nodes, 4, pairs, 2, &move));
}

static void
pair_comes_home_when_there_is_time_for_it(void **state)
{
	struct balance_pair pairs[] = {PAIR(0, 10, 1), PAIR(2, 900, 1), PAIR(3, 995, 1)};
	struct balance_move move;

	/* However little it does; to the home lcore that has the time. */
	assert_true(pick(two_nodes, 4, pairs, 3, &move));
	assert_int_equal(move.pair, 0);
	assert_int_equal(move.lcore, 2);
	/* Not into a crowd: that would cost the others more than it gains. */
	pairs[1].load = 995;
	assert_false(pick(two_nodes, 4, pairs, 3, &move));
}

static void
homecoming_goes_before_evenness(void **state)
{
	const struct balance_pair pairs[] = {PAIR(0, 500, 0), PAIR(0, 500, 0), PAIR(0, 10, 1)};
	struct balance_move move;

	assert_true(pick(two_nodes, 4, pairs, 3, &move));
	assert_int_equal(move.pair, 2);
}

/** Let it go on, with loads that waver by a tenth: moves made. */
static unsigned int
settle(const struct balance_lcore *lcores, unsigned int n_lcores, struct balance_pair *pairs,
       unsigned int n_pairs, unsigned int looks)
{
	unsigned int base[64], moves = 0, look, p, last = 0;
	uint32_t seed = 1;
	struct balance_move move;

	for (p = 0; p < n_pairs; p++)
		base[p] = pairs[p].load;
	for (look = 0; look < looks; look++) {
		for (p = 0; p < n_pairs; p++) {
			seed = seed * 1664525 + 1013904223;
			pairs[p].load = base[p] * (90 + (seed >> 16) % 21) / 100;
		}
		if (!balance_pick(lcores, n_lcores, pairs, n_pairs, &move))
			continue;
		pairs[move.pair].lcore = move.lcore;
		moves++;
		last = look;
	}
	assert_true(last < looks / 2);
	return moves;
}

static void
wavering_loads_come_to_rest(void **state)
{
	struct balance_pair pairs[16];
	unsigned int p, loads[4] = {0}, n;

	for (n = 2; n <= 16; n++) {
		for (p = 0; p < n; p++)
			pairs[p] = (struct balance_pair){.load = 1000 / n};
		/* No rest and no limit: the gain alone has to end it. */
		assert_true(settle(one_node, 4, pairs, n, 1000) < n);
	}
	for (p = 0; p < 16; p++)
		loads[pairs[p].lcore] += pairs[p].load;
	for (p = 0; p < 4; p++)
		assert_true(loads[p] < BALANCE_BUSY + 110);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_pair_goes_where_the_fewest_are),
		cmocka_unit_test(new_pair_goes_to_its_memory_however_many_are_there),
		cmocka_unit_test(busy_lcore_gives_the_pair_that_evens_most),
		cmocka_unit_test(little_gain_is_not_worth_a_move),
		cmocka_unit_test(many_small_pairs_go_one_by_one),
		cmocka_unit_test(lcore_with_time_left_is_left_alone),
		cmocka_unit_test(one_pair_that_fills_an_lcore_stays),
		cmocka_unit_test(resting_pair_stays_and_another_goes),
		cmocka_unit_test(full_lcore_takes_none),
		cmocka_unit_test(load_does_not_take_a_pair_from_its_memory),
		cmocka_unit_test(memory_on_a_node_without_lcores_is_at_home_everywhere),
		cmocka_unit_test(pair_comes_home_when_there_is_time_for_it),
		cmocka_unit_test(homecoming_goes_before_evenness),
		cmocka_unit_test(wavering_loads_come_to_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
