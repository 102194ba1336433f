/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir-bench judges with: the checker of frames, the histogram, the sweep. */
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "checker.h"
#include "harness.h"
#include "histogram.h"
#include "sweep.h"
#include "test_frame.h"
#include "vhost_options.h"

struct check {
	struct checker_flow flow;
	struct checker_stats stats;
};

static void
see(struct check *check, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		checker_see(&check->flow, &check->stats, from);
}

static void
need_counts(const struct check *check, uint64_t lost, uint64_t duplicated, uint64_t reordered)
{
	assert_int_equal(check->stats.lost, lost);
	assert_int_equal(check->stats.duplicated, duplicated);
	assert_int_equal(check->stats.reordered, reordered);
}

static void
frames_in_order_are_no_fault(void **state)
{
	struct check check = {0};

	see(&check, 0, 3 * CHECKER_WINDOW);
	checker_finish(&check.flow, &check.stats, 3 * CHECKER_WINDOW);
	need_counts(&check, 0, 0, 0);
}

static void
skipped_frames_are_lost_and_the_last_ones_too(void **state)
{
	struct check check = {0};

	see(&check, 0, 10);
	see(&check, 13, 20);
	need_counts(&check, 3, 0, 0);
	checker_finish(&check.flow, &check.stats, 25);
	need_counts(&check, 8, 0, 0);
}

static void
frame_that_comes_late_was_reordered_not_lost(void **state)
{
	struct check check = {0};

	see(&check, 0, 10);
	see(&check, 11, 20);
	see(&check, 10, 11);
	need_counts(&check, 0, 0, 1);
	assert_int_equal(check.flow.n_missing, 0);
}

static void
frame_that_comes_twice_is_a_duplicate(void **state)
{
	struct check check = {0};

	see(&check, 0, 10);
	see(&check, 9, 10);
	see(&check, 3, 4);
	need_counts(&check, 0, 2, 0);
	/* Late, and then once more. */
	see(&check, 11, 12);
	see(&check, 10, 11);
	see(&check, 10, 11);
	need_counts(&check, 0, 3, 1);
}

static void
frame_later_than_the_window_stays_lost(void **state)
{
	struct check check = {0};

	see(&check, 1, 2 + CHECKER_WINDOW);
	see(&check, 0, 1);
	need_counts(&check, 1, 1, 0);
	/* Its bit is not taken for that of a number with the same place. */
	see(&check, CHECKER_WINDOW, CHECKER_WINDOW + 1);
	need_counts(&check, 1, 2, 0);
}

static void
gap_longer_than_the_window_is_lost_and_its_end_can_come_late(void **state)
{
	struct check check = {0};
	const uint64_t far = 5 * CHECKER_WINDOW;

	see(&check, far, far + 1);
	need_counts(&check, far, 0, 0);
	see(&check, far - 1, far);
	need_counts(&check, far - 1, 0, 1);
}

/** A random order of numbers, some lost and some twice, against a plain account. */
static void
random_faults_are_counted_as_they_were_made(void **state)
{
	struct check check = {0};
	uint64_t number, lost = 0, duplicated = 0, reordered = 0, held = UINT64_MAX;

	srand(9);
	for (number = 0; number < 200000; number++) {
		int dice = rand() % 100;

		/* What is held back comes after the next one that comes. */
		if (dice == 0) {
			lost++;
			continue;
		}
		if (dice == 1 && held == UINT64_MAX) {
			held = number;
			continue;
		}
		see(&check, number, number + 1);
		if (dice == 2) {
			see(&check, number, number + 1);
			duplicated++;
		}
		if (held != UINT64_MAX) {
			see(&check, held, held + 1);
			reordered++;
			held = UINT64_MAX;
		}
	}
	lost += held != UINT64_MAX;
	checker_finish(&check.flow, &check.stats, number);
	need_counts(&check, lost, duplicated, reordered);
}

static void
histogram_values_are_within_a_thirtysecond(void **state)
{
	struct histogram *histogram = calloc(1, sizeof(*histogram));
	uint64_t i;

	assert_non_null(histogram);
	for (i = 1; i <= 100000; i++)
		histogram_add(histogram, i * 7);
	for (i = 1; i <= 100; i++) {
		uint64_t right = i * 7000, seen = histogram_value(histogram, i / 100.0);

		assert_true(seen >= right && seen <= right + right / 32 + 1);
	}
	assert_int_equal(histogram_value(histogram, 1), 700000);
	free(histogram);
}

static void
histogram_takes_any_value_and_none(void **state)
{
	struct histogram *histogram = calloc(1, sizeof(*histogram));
	unsigned int power;

	assert_non_null(histogram);
	assert_int_equal(histogram_value(histogram, 0.5), 0);
	for (power = 0; power < 64; power++) {
		assert_true(histogram_bucket(1ULL << power) < HISTOGRAM_BUCKETS);
		assert_true(power == 0 || histogram_bucket(1ULL << power) >
						  histogram_bucket((1ULL << power) - 1));
	}
	histogram_add(histogram, UINT64_MAX);
	assert_int_equal(histogram_value(histogram, 0.5), UINT64_MAX);
	histogram_add(histogram, 0);
	assert_int_equal(histogram_value(histogram, 0.5), 0);
	free(histogram);
}

static double
sweep_until_found(double max, double resolution, double real, unsigned int *n_trials)
{
	struct sweep sweep;
	double rate;

	sweep_init(&sweep, max, resolution);
	while ((rate = sweep_next(&sweep)) > 0)
		sweep_result(&sweep, rate <= real);
	*n_trials = sweep.n_trials;
	return sweep.passed;
}

static void
sweep_finds_the_rate_within_its_resolution(void **state)
{
	unsigned int n_trials, i;

	for (i = 0; i <= 100; i++) {
		double real = i / 100.0 * 1e7, found;

		found = sweep_until_found(1e7, 0.01, real, &n_trials);
		assert_true(found <= real && found >= real - 1e5);
		assert_true(n_trials <= 8); /* 1, and log2(100) */
	}
}

static void
sweep_of_a_backend_that_carries_all_is_one_trial(void **state)
{
	unsigned int n_trials;

	assert_true(sweep_until_found(1e7, 0.01, 2e7, &n_trials) == 1e7);
	assert_int_equal(n_trials, 1);
}

static void
frame_is_whole_until_any_byte_behind_the_addresses_changes(void **state)
{
	const struct rte_ether_addr from = {{0x52, 0x54, 0, 0, 0, 1}},
				    to = {{0x52, 0x54, 0, 0, 0, 2}};
	struct rte_mbuf frame = {.nb_segs = 1};
	struct test_flow flow, other;
	uint8_t data[200];
	uint32_t i;

	test_flow_init(&flow, 77, 3, &from, &to);
	test_flow_init(&other, 77, 4, &from, &to);
	test_frame_fill(&flow, data, 1234567, sizeof(data));
	frame.buf_addr = data;
	frame.data_len = frame.pkt_len = sizeof(data);
	assert_int_equal(test_frame_read(&frame).number, 1234567);
	assert_int_equal(test_frame_read(&frame).flow, 3);
	assert_int_equal(test_frame_read(&frame).len, sizeof(data));
	assert_true(test_frame_is_whole(&flow, &frame, 1234567));
	assert_false(test_frame_is_whole(&flow, &frame, 1234568));
	assert_false(test_frame_is_whole(&other, &frame, 1234567));
	for (i = 0; i < sizeof(data); i++) {
		data[i] ^= 0x10;
		assert_false(test_frame_is_whole(&flow, &frame, 1234567));
		data[i] ^= 0x10;
	}
}

static int
parse(struct vhost_options *options, const char *first, const char *second)
{
	char *argv[] = {(char *)"vhost", (char *)first, (char *)second, NULL};

	return vhost_options_parse(second != NULL ? 3 : 2, argv, options);
}

static void
lengths_are_taken_in_turn_and_wrong_ones_refused(void **state)
{
	static const char *const wrong[] = {"",	   "59",    "9715",	   "64,", "64*0",
					    "64*", "64*65", "64*60,100*5", "abc", "64;100"};
	struct vhost_options options;
	size_t i;

	assert_int_equal(parse(&options, "--txpkts=64*2,1518", NULL), 0);
	assert_int_equal(options.n_lens, 3);
	assert_int_equal(options.lens[1], 64);
	assert_int_equal(options.lens[2], 1518);
	assert_int_equal(options.len_max, 1518);
	assert_int_equal(parse(&options, "--txpkts", "imix"), 0);
	assert_int_equal(options.n_lens, 12);
	for (i = 0; i < RTE_DIM(wrong); i++)
		assert_int_equal(parse(&options, "--txpkts", wrong[i]), -EINVAL);
}

static void
words_that_make_no_sense_are_refused(void **state)
{
	static const char *const wrong[] = {"--port=server=1", "--path=up",   "--measure=all",
					    "--burst=0",       "--window=-1", "--seconds=soon",
					    "--rate=0",	       "word"};
	struct vhost_options options;
	size_t i;

	for (i = 0; i < RTE_DIM(wrong); i++)
		assert_int_equal(parse(&options, wrong[i], NULL), -EINVAL);
	assert_int_equal(parse(&options, "--path=sink", "--measure=round-trip"), -EINVAL);
	assert_int_equal(parse(&options, "--window=0", "--measure=round-trip"), -EINVAL);
	assert_int_equal(parse(&options, "--measure=round-trip", NULL), 0);
	assert_int_equal(options.window, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_in_order_are_no_fault),
		cmocka_unit_test(skipped_frames_are_lost_and_the_last_ones_too),
		cmocka_unit_test(frame_that_comes_late_was_reordered_not_lost),
		cmocka_unit_test(frame_that_comes_twice_is_a_duplicate),
		cmocka_unit_test(frame_later_than_the_window_stays_lost),
		cmocka_unit_test(gap_longer_than_the_window_is_lost_and_its_end_can_come_late),
		cmocka_unit_test(random_faults_are_counted_as_they_were_made),
		cmocka_unit_test(histogram_values_are_within_a_thirtysecond),
		cmocka_unit_test(histogram_takes_any_value_and_none),
		cmocka_unit_test(sweep_finds_the_rate_within_its_resolution),
		cmocka_unit_test(sweep_of_a_backend_that_carries_all_is_one_trial),
		cmocka_unit_test(frame_is_whole_until_any_byte_behind_the_addresses_changes),
		cmocka_unit_test(lengths_are_taken_in_turn_and_wrong_ones_refused),
		cmocka_unit_test(words_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
