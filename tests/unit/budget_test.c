/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

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
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
