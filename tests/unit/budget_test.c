/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>

#include "harness.h"
#include "weir_budget.h"
#include "weir_error.h"

#define LIMIT 1000

static int
budget_setup(void **state)
{
	*state = weir_budget_create("host", NULL, LIMIT);
	return *state == NULL ? -1 : 0;
}

static int
budget_teardown(void **state)
{
	return weir_budget_free(*state);
}

static void
refused_reserve_takes_nothing(void **state)
{
	struct weir_budget *budget = *state;

	assert_int_equal(weir_budget_try_reserve(budget, LIMIT), 0);
	assert_int_equal(weir_budget_try_reserve(budget, 1), -EAGAIN);
	assert_int_equal(weir_budget_used_bytes(budget), LIMIT);
	weir_budget_release(budget, LIMIT);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
}

static void
child_counts_in_every_ancestor_or_nowhere(void **state)
{
	struct weir_budget *host = *state;
	struct weir_budget *guest = weir_budget_create("g0", host, WEIR_BUDGET_UNLIMITED);
	struct weir_budget *pool = weir_budget_create("g0.rx", guest, 600);

	assert_int_equal(weir_budget_try_reserve(pool, 600), 0);
	assert_int_equal(weir_budget_used_bytes(guest), 600);
	assert_int_equal(weir_budget_used_bytes(host), 600);
	assert_int_equal(weir_budget_try_reserve(guest, 401), -EAGAIN);
	assert_int_equal(weir_budget_used_bytes(guest), 600);
	assert_int_equal(weir_budget_used_bytes(host), 600);
	weir_budget_release(pool, 600);
	assert_int_equal(weir_budget_used_bytes(host), 0);
	assert_int_equal(weir_budget_free(pool), 0);
	assert_int_equal(weir_budget_free(guest), 0);
}

static void
what_can_never_fit_has_its_own_error(void **state)
{
	struct weir_budget *guest = weir_budget_create("g0", *state, 2 * LIMIT);

	assert_int_equal(weir_budget_try_reserve(guest, LIMIT + 1), -EMSGSIZE);
	assert_int_equal(weir_budget_try_reserve(guest, UINT64_MAX), -EMSGSIZE);
	assert_int_equal(weir_budget_used_bytes(guest), 0);
	assert_int_equal(weir_budget_free(guest), 0);
}

static void
lowered_limit_refuses_until_enough_came_home(void **state)
{
	struct weir_budget *budget = *state;

	assert_int_equal(weir_budget_try_reserve(budget, 800), 0);
	weir_budget_set_limit(budget, 500);
	assert_int_equal(weir_budget_try_reserve(budget, 1), -EAGAIN);
	weir_budget_release(budget, 400);
	assert_int_equal(weir_budget_try_reserve(budget, 100), 0);
	assert_int_equal(weir_budget_try_reserve(budget, 1), -EAGAIN);
	weir_budget_set_limit(budget, LIMIT);
	assert_int_equal(weir_budget_try_reserve(budget, 500), 0);
	weir_budget_release(budget, LIMIT);
}

static void
budget_in_use_is_not_freed(void **state)
{
	struct weir_budget *host = *state;
	struct weir_budget *guest = weir_budget_create("g0", host, LIMIT);

	assert_int_equal(weir_budget_free(host), -EBUSY);
	assert_non_null(strstr(weir_error_text(), "1 children"));
	assert_int_equal(weir_budget_try_reserve(guest, 7), 0);
	assert_int_equal(weir_budget_free(guest), -EBUSY);
	assert_non_null(strstr(weir_error_text(), "7 bytes"));
	weir_budget_release(guest, 7);
	assert_int_equal(weir_budget_free(guest), 0);
	assert_int_equal(weir_budget_free(NULL), 0);
}

static void
names_are_unique_and_found(void **state)
{
	assert_ptr_equal(weir_budget_find("host"), *state);
	assert_null(weir_budget_find("guest"));
	assert_null(weir_budget_create("host", NULL, 1));
	assert_int_equal(rte_errno, EEXIST);
}

static void
peak_and_refusals_are_counted(void **state)
{
	struct weir_budget *budget = *state;
	struct weir_budget_stats stats;

	assert_int_equal(weir_budget_try_reserve(budget, 700), 0);
	assert_int_equal(weir_budget_try_reserve(budget, 700), -EAGAIN);
	weir_budget_release(budget, 700);
	assert_int_equal(weir_budget_try_reserve(budget, 1), 0);
	weir_budget_stats(budget, &stats);
	assert_int_equal(stats.limit_bytes, LIMIT);
	assert_int_equal(stats.used_bytes, 1);
	assert_int_equal(stats.peak_bytes, 700);
	assert_int_equal(stats.refusals, 1);
	weir_budget_release(budget, 1);
}

/** A thread that waits for room. */
struct waiter {
	struct weir_budget *budget;
	uint64_t bytes, timeout_us;
	pthread_t thread;
	int rc;
	unsigned int order; /* in which it was served */
};

static unsigned int n_served;

static void *
waiter_main(void *arg)
{
	struct waiter *waiter = arg;

	waiter->rc = waiter->timeout_us == 0
			     ? weir_budget_reserve(waiter->budget, waiter->bytes)
			     : weir_budget_reserve_timed(waiter->budget, waiter->bytes,
							 waiter->timeout_us);
	waiter->order = __atomic_fetch_add(&n_served, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/** Start it, and be sure that it waits. */
static void
waiter_start(struct waiter *waiter)
{
	struct weir_budget_stats stats;
	uint64_t before;

	weir_budget_stats(waiter->budget, &stats);
	before = stats.waits;
	pthread_create(&waiter->thread, NULL, waiter_main, waiter);
	do {
		usleep(1000);
		weir_budget_stats(waiter->budget, &stats);
	} while (stats.waits == before);
	usleep(2000);
}

static void
release_anywhere_in_the_tree_wakes_who_waits(void **state)
{
	struct weir_budget *host = *state;
	struct weir_budget *a = weir_budget_create("a", host, LIMIT);
	struct weir_budget *b = weir_budget_create("b", host, LIMIT);
	struct waiter waiter = {.budget = b, .bytes = 300};

	assert_int_equal(weir_budget_try_reserve(a, LIMIT), 0);
	waiter_start(&waiter);
	weir_budget_release(a, 100);
	weir_budget_release(a, 200);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.rc, 0);
	assert_int_equal(weir_budget_used_bytes(b), 300);
	assert_int_equal(weir_budget_used_bytes(host), LIMIT);
	weir_budget_release(b, 300);
	weir_budget_release(a, 700);
	assert_int_equal(weir_budget_free(a), 0);
	assert_int_equal(weir_budget_free(b), 0);
}

static void
timed_reserve_ends_in_time_with_nothing(void **state)
{
	struct weir_budget *budget = *state;

	assert_int_equal(weir_budget_try_reserve(budget, LIMIT), 0);
	assert_int_equal(weir_budget_reserve_timed(budget, 1, 20000), -ETIMEDOUT);
	assert_int_equal(weir_budget_reserve_timed(budget, 1, 0), -ETIMEDOUT);
	assert_int_equal(weir_budget_used_bytes(budget), LIMIT);
	weir_budget_release(budget, LIMIT);
	assert_int_equal(weir_budget_reserve_timed(budget, 1, 0), 0);
	weir_budget_release(budget, 1);
}

static void
blocking_for_what_can_never_fit_is_an_error(void **state)
{
	assert_int_equal(weir_budget_reserve(*state, LIMIT + 1), -EMSGSIZE);
}

static void
raised_limit_wakes_who_waits(void **state)
{
	struct waiter waiter = {.budget = *state, .bytes = LIMIT};

	assert_int_equal(weir_budget_try_reserve(*state, 1), 0);
	waiter_start(&waiter);
	weir_budget_set_limit(*state, LIMIT + 1);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.rc, 0);
	weir_budget_release(*state, LIMIT + 1);
}

static void
limit_lowered_below_a_waiting_reserve_ends_it(void **state)
{
	struct waiter waiter = {.budget = *state, .bytes = 500};

	assert_int_equal(weir_budget_try_reserve(*state, LIMIT), 0);
	waiter_start(&waiter);
	weir_budget_set_limit(*state, 499);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.rc, -EMSGSIZE);
	weir_budget_release(*state, LIMIT);
}

static void
shutdown_wakes_every_waiter_below_it(void **state)
{
	struct weir_budget *guest = weir_budget_create("g0", *state, LIMIT);
	struct waiter waiters[3] = {{.budget = guest, .bytes = 1},
				    {.budget = guest, .bytes = LIMIT},
				    {.budget = *state, .bytes = 1, .timeout_us = 60000000}};
	size_t i;

	assert_int_equal(weir_budget_try_reserve(guest, LIMIT), 0);
	for (i = 0; i < 3; i++)
		waiter_start(&waiters[i]);
	weir_budget_shutdown(*state);
	for (i = 0; i < 3; i++) {
		pthread_join(waiters[i].thread, NULL);
		assert_int_equal(waiters[i].rc, -ESHUTDOWN);
	}
	assert_int_equal(weir_budget_try_reserve(guest, 1), -ESHUTDOWN);
	weir_budget_release(guest, LIMIT);
	assert_int_equal(weir_budget_try_reserve(guest, 1), -ESHUTDOWN);
	assert_int_equal(weir_budget_free(guest), 0);
}

static void
fair_budget_serves_in_order_and_lets_nobody_overtake(void **state)
{
	struct weir_budget *budget = *state;
	struct waiter waiters[4];
	size_t i;

	weir_budget_set_fair(budget, true);
	n_served = 0;
	assert_int_equal(weir_budget_try_reserve(budget, LIMIT), 0);
	for (i = 0; i < 4; i++) {
		/* The first asks for most: a small one must not slip past it. */
		waiters[i] = (struct waiter){.budget = budget, .bytes = i == 0 ? 600 : 100};
		if (i == 1)
			waiters[i].timeout_us = 10000;
		waiter_start(&waiters[i]);
	}
	pthread_join(waiters[1].thread, NULL);
	assert_int_equal(waiters[1].rc, -ETIMEDOUT);
	weir_budget_release(budget, 300);
	usleep(10000);
	assert_int_equal(__atomic_load_n(&n_served, __ATOMIC_SEQ_CST), 1);
	assert_int_equal(weir_budget_try_reserve(budget, 1), -EAGAIN);
	weir_budget_release(budget, 300);
	pthread_join(waiters[0].thread, NULL);
	weir_budget_release(budget, 100);
	pthread_join(waiters[2].thread, NULL);
	weir_budget_release(budget, 300);
	pthread_join(waiters[3].thread, NULL);
	assert_true(waiters[0].order < waiters[2].order);
	assert_true(waiters[2].order < waiters[3].order);
	weir_budget_release(budget, 800);
	assert_int_equal(weir_budget_try_reserve(budget, LIMIT), 0);
	weir_budget_release(budget, LIMIT);
}

static bool
is_readable(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void
watch_tells_once_when_there_is_room_again(void **state)
{
	struct weir_budget *guest = weir_budget_create("g0", *state, LIMIT);
	struct weir_budget_watch *watch = weir_budget_watch_create(guest);
	int fd = weir_budget_watch_fd(watch);

	assert_false(weir_budget_watch_arm(watch, 1));
	assert_int_equal(weir_budget_try_reserve(*state, LIMIT), 0);
	assert_true(weir_budget_watch_arm(watch, 1));
	assert_false(is_readable(fd));
	weir_budget_release(*state, 10);
	assert_true(is_readable(fd));
	weir_budget_release(*state, 10);
	assert_false(is_readable(fd));
	/* What can never be is not worth sleeping for. */
	assert_false(weir_budget_watch_arm(watch, 2 * LIMIT));
	assert_true(weir_budget_watch_arm(watch, LIMIT));
	weir_budget_shutdown(guest);
	assert_true(is_readable(fd));
	weir_budget_watch_free(watch);
	weir_budget_watch_free(NULL);
	weir_budget_release(*state, LIMIT - 20);
	assert_int_equal(weir_budget_free(guest), 0);
}

/** Threads that reserve, wait and release at random. */
struct storm {
	struct weir_budget *budget;
	pthread_t thread;
	unsigned int seed;
};

static void *
storm_main(void *arg)
{
	struct storm *storm = arg;
	uint64_t bytes;
	int i, rc;

	for (i = 0; i < 20000; i++) {
		bytes = 1 + rand_r(&storm->seed) % 700;
		if (i % 3 == 0)
			rc = weir_budget_reserve(storm->budget, bytes);
		else if (i % 3 == 1)
			rc = weir_budget_reserve_timed(storm->budget, bytes, i % 100);
		else
			rc = weir_budget_try_reserve(storm->budget, bytes);
		if (rc == 0) {
			if (i % 64 == 0)
				sched_yield();
			weir_budget_release(storm->budget, bytes);
		}
	}
	return NULL;
}

static void
storm_loses_no_byte_and_no_wake_up(void **state)
{
	struct weir_budget *a = weir_budget_create("a", *state, 800);
	struct weir_budget *b = weir_budget_create("b", *state, 800);
	struct storm storms[6];
	int i;

	weir_budget_set_fair(b, true);
	for (i = 0; i < 6; i++) {
		storms[i] = (struct storm){.budget = i % 2 ? a : b, .seed = i};
		pthread_create(&storms[i].thread, NULL, storm_main, &storms[i]);
	}
	for (i = 0; i < 200; i++) {
		weir_budget_set_limit(*state, i % 2 ? LIMIT : 701);
		usleep(100);
	}
	weir_budget_set_limit(*state, LIMIT);
	for (i = 0; i < 6; i++)
		pthread_join(storms[i].thread, NULL);
	assert_int_equal(weir_budget_used_bytes(*state), 0);
	assert_int_equal(weir_budget_free(a), 0);
	assert_int_equal(weir_budget_free(b), 0);
}

#define BUDGET_TEST(fn) cmocka_unit_test_setup_teardown(fn, budget_setup, budget_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BUDGET_TEST(refused_reserve_takes_nothing),
		BUDGET_TEST(child_counts_in_every_ancestor_or_nowhere),
		BUDGET_TEST(what_can_never_fit_has_its_own_error),
		BUDGET_TEST(lowered_limit_refuses_until_enough_came_home),
		BUDGET_TEST(budget_in_use_is_not_freed),
		BUDGET_TEST(names_are_unique_and_found),
		BUDGET_TEST(peak_and_refusals_are_counted),
		BUDGET_TEST(release_anywhere_in_the_tree_wakes_who_waits),
		BUDGET_TEST(timed_reserve_ends_in_time_with_nothing),
		BUDGET_TEST(blocking_for_what_can_never_fit_is_an_error),
		BUDGET_TEST(raised_limit_wakes_who_waits),
		BUDGET_TEST(limit_lowered_below_a_waiting_reserve_ends_it),
		BUDGET_TEST(shutdown_wakes_every_waiter_below_it),
		BUDGET_TEST(fair_budget_serves_in_order_and_lets_nobody_overtake),
		BUDGET_TEST(watch_tells_once_when_there_is_room_again),
		BUDGET_TEST(storm_loses_no_byte_and_no_wake_up),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
