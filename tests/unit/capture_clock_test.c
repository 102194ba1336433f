/* SPDX-License-Identifier: BSD-3-Clause */
#include <unistd.h>

#include "harness.h"
#include "capture.h"

static void
time_stamps_follow_the_time_of_day(void **state)
{
	uint64_t before, stamp, after, worst = 0;
	unsigned int i;

	for (i = 0; i < 300; i++) {
		if (i % 10 == 0)
			capture_clock_sync();
		before = harness_now_ns();
		stamp = weir_capture_now();
		after = harness_now_ns();
		if (stamp + worst < before)
			worst = before - stamp;
		if (stamp > after + worst)
			worst = stamp - after;
		usleep(1000);
	}
	/* A thread may be stopped between two looks, but not between all of them. */
	assert_true(worst < 1000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_stamps_follow_the_time_of_day),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
