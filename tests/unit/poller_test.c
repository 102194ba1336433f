/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "harness.h"
#include "poller.h"
#include "weir_error.h"

static struct weir_pollers *pollers;

struct asked {
	unsigned int lcore;
	unsigned int times;
};

static void
note_lcore(void *arg)
{
	struct asked *asked = arg;

	asked->lcore = rte_lcore_id();
	asked->times++;
}

static void
request_runs_on_the_lcore_before_run_returns(void **state)
{
	struct weir_scheduler *scheduler = weir_pollers_scheduler(pollers);
	struct weir_target *target = scheduler->place(scheduler, "g", 0, SOCKET_ID_ANY);
	struct asked asked = {.lcore = LCORE_ID_ANY};

	target->run(target, note_lcore, &asked);
	assert_int_equal(asked.lcore, target->lcore);
	assert_int_equal(asked.times, 1);
	scheduler->leave(scheduler, target);
}

struct asker {
	struct weir_target *target;
	struct asked *asked;
};

static void *
ask_often(void *arg)
{
	struct asker *asker = arg;
	unsigned int i;

	for (i = 0; i < 200; i++)
		asker->target->run(asker->target, note_lcore, asker->asked);
	return NULL;
}

static void
requests_of_many_threads_are_each_answered(void **state)
{
	struct weir_scheduler *scheduler = weir_pollers_scheduler(pollers);
	struct weir_target *target = scheduler->place(scheduler, "g", 0, SOCKET_ID_ANY);
	struct asked asked = {0}; /* the lcore alone writes it: no atomics are needed */
	struct asker asker = {target, &asked};
	pthread_t threads[4];
	size_t i;

	for (i = 0; i < RTE_DIM(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &asker), 0);
	for (i = 0; i < RTE_DIM(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(asked.times, 200 * RTE_DIM(threads));
	scheduler->leave(scheduler, target);
}

static void
pairs_are_spread_evenly(void **state)
{
	struct weir_scheduler *scheduler = weir_pollers_scheduler(pollers);
	unsigned int n = weir_pollers_count(pollers), i;
	unsigned int placed[RTE_MAX_LCORE] = {0};
	struct weir_target *targets[64];

	for (i = 0; i < 4 * n; i++) {
		targets[i] = scheduler->place(scheduler, "g", i, SOCKET_ID_ANY);
		placed[targets[i]->lcore]++;
	}
	for (i = 0; i < RTE_MAX_LCORE; i++)
		assert_true(placed[i] == 0 || placed[i] == 4);
	/* A place that was left is the next one taken. */
	scheduler->leave(scheduler, targets[1]);
	assert_ptr_equal(scheduler->place(scheduler, "g", 0, SOCKET_ID_ANY), targets[1]);
	for (i = 0; i < 4 * n; i++)
		scheduler->leave(scheduler, targets[i]);
}

static void
full_lcores_are_an_error_that_says_so(void **state)
{
	struct weir_scheduler *scheduler = weir_pollers_scheduler(pollers);
	unsigned int n = weir_pollers_count(pollers) * POLLER_PAIRS_MAX, i;
	struct weir_target **targets = calloc(n, sizeof(*targets));

	for (i = 0; i < n; i++) {
		targets[i] = scheduler->place(scheduler, "g", 0, SOCKET_ID_ANY);
		assert_non_null(targets[i]);
	}
	assert_null(scheduler->place(scheduler, "g", 0, SOCKET_ID_ANY));
	assert_non_null(strstr(weir_error_text(), "add lcores"));
	for (i = 0; i < n; i++)
		scheduler->leave(scheduler, targets[i]);
	free(targets);
}

static void
quiet_pairs_among_many_are_looked_at_by_turns(void **state)
{
	unsigned int i, loop, looks;

	for (i = 0; i < 256; i++) {
		for (loop = 7, looks = 0; loop < 7 + POLLER_QUIET_LOOPS; loop++) {
			looks += poller_looks_at(256, i, loop, POLLER_QUIET_LOOKS);
			/* Not one that had frames of late, nor where there are few. */
			assert_true(poller_looks_at(256, i, loop, POLLER_QUIET_LOOKS - 1));
			assert_true(poller_looks_at(POLLER_MANY - 1, i, loop, POLLER_QUIET_LOOKS));
		}
		assert_int_equal(looks, 1);
	}
	/* And never all of them in one loop. */
	for (loop = 0; loop < POLLER_QUIET_LOOPS; loop++) {
		for (i = 0, looks = 0; i < 256; i++)
			looks += poller_looks_at(256, i, loop, POLLER_QUIET_LOOKS);
		assert_int_equal(looks, 256 / POLLER_QUIET_LOOPS);
	}
}

static int
setup(void **state)
{
	harness_eal();
	pollers = weir_pollers_start(WEIR_POLLER_IDLE_US_DEFAULT);
	return pollers == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	weir_pollers_stop(pollers);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quiet_pairs_among_many_are_looked_at_by_turns),
		cmocka_unit_test(request_runs_on_the_lcore_before_run_returns),
		cmocka_unit_test(requests_of_many_threads_are_each_answered),
		cmocka_unit_test(pairs_are_spread_evenly),
		cmocka_unit_test(full_lcores_are_an_error_that_says_so),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
