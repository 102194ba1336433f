/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "weir_slab.h"

#define N_MAX 1000

static uint64_t bits[N_MAX / 64 + 1];

static void
lowest_run_that_fits_is_taken(void **state)
{
	struct weir_runs runs;

	weir_runs_init(&runs, bits, 200, true);
	assert_int_equal(weir_runs_take(&runs, 10), 0);
	assert_int_equal(weir_runs_take(&runs, 64), 10);
	assert_int_equal(weir_runs_take(&runs, 1), 74);
	weir_runs_give(&runs, 0, 10);
	assert_int_equal(weir_runs_take(&runs, 11), 75);
	assert_int_equal(weir_runs_take(&runs, 10), 0);
	assert_int_equal(runs.n_free, 200 - 86);
}

static void
neighbours_given_back_in_any_order_are_one_run(void **state)
{
	static const uint32_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}};
	struct weir_runs runs;
	size_t i, j;

	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		weir_runs_init(&runs, bits, 192, true);
		assert_int_equal(weir_runs_take(&runs, 192), 0);
		assert_int_equal(weir_runs_take(&runs, 1), UINT32_MAX);
		for (j = 0; j < 3; j++)
			weir_runs_give(&runs, orders[i][j] * 64, 64);
		assert_int_equal(weir_runs_take(&runs, 192), 0);
	}
}

static void
no_more_is_taken_than_there_is(void **state)
{
	struct weir_runs runs;

	weir_runs_init(&runs, bits, 65, true);
	assert_int_equal(weir_runs_take(&runs, 66), UINT32_MAX);
	assert_int_equal(weir_runs_take(&runs, 0), UINT32_MAX);
	assert_int_equal(weir_runs_take(&runs, 65), 0);
	weir_runs_init(&runs, bits, 65, false);
	assert_int_equal(weir_runs_take(&runs, 1), UINT32_MAX);
	weir_runs_give(&runs, 3, 2);
	assert_int_equal(weir_runs_take(&runs, 2), 3);
}

/** The same by a byte a unit. */
struct plain {
	uint32_t n_units;
	bool taken[N_MAX];
};

static uint32_t
plain_take(struct plain *plain, uint32_t n)
{
	uint32_t i, len = 0;

	for (i = 0; i < plain->n_units; i++) {
		len = plain->taken[i] ? 0 : len + 1;
		if (len == n) {
			memset(&plain->taken[i + 1 - n], true, n);
			return i + 1 - n;
		}
	}
	return UINT32_MAX;
}

static void
bitmap_does_what_a_plain_table_does(void **state)
{
	static uint32_t starts[N_MAX], lens[N_MAX];
	struct plain plain = {0};
	struct weir_runs runs;
	unsigned int seed;
	uint32_t i, n, k, n_held;

	for (seed = 1; seed <= 40; seed++) {
		memset(&plain, 0, sizeof(plain));
		plain.n_units = 1 + rand_r(&seed) % N_MAX;
		weir_runs_init(&runs, bits, plain.n_units, true);
		n_held = 0;
		for (i = 0; i < 5000; i++) {
			if (rand_r(&seed) % 2 && n_held > 0) {
				k = rand_r(&seed) % n_held;
				weir_runs_give(&runs, starts[k], lens[k]);
				memset(&plain.taken[starts[k]], false, lens[k]);
				starts[k] = starts[--n_held];
				lens[k] = lens[n_held];
				continue;
			}
			n = 1 + rand_r(&seed) % (rand_r(&seed) % 8 == 0 ? 300 : 20);
			starts[n_held] = weir_runs_take(&runs, n);
			assert_int_equal(starts[n_held], plain_take(&plain, n));
			lens[n_held] = n;
			if (starts[n_held] != UINT32_MAX)
				n_held++;
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowest_run_that_fits_is_taken),
		cmocka_unit_test(neighbours_given_back_in_any_order_are_one_run),
		cmocka_unit_test(no_more_is_taken_than_there_is),
		cmocka_unit_test(bitmap_does_what_a_plain_table_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
