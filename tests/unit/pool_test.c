/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "harness.h"
#include "weir_budget.h"
#include "weir_error.h"
#include "weir_mempool.h"

#define N_OBJS 1000

static void
any_program_gets_an_ordinary_pool_by_the_name(void **state)
{
	struct rte_mempool *mp =
		rte_pktmbuf_pool_create_by_ops("plain", N_OBJS, 0, 0, 2176, SOCKET_ID_ANY, "weir");
	struct rte_mbuf *mbufs[N_OBJS];

	assert_non_null(mp);
	assert_true(rte_mempool_full(mp));
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, mbufs, N_OBJS), 0);
	assert_true(rte_mempool_empty(mp));
	assert_null(rte_pktmbuf_alloc(mp));
	assert_int_equal(rte_mempool_in_use_count(mp), N_OBJS);
	rte_pktmbuf_free_bulk(mbufs, N_OBJS);
	assert_true(rte_mempool_full(mp));
	rte_mempool_free(mp);
}

static void
bulk_is_all_or_nothing(void **state)
{
	struct rte_mempool *mp =
		rte_pktmbuf_pool_create_by_ops("bulk", N_OBJS, 0, 0, 256, SOCKET_ID_ANY, "weir");
	struct rte_mbuf *mbufs[N_OBJS];

	assert_int_equal(rte_mempool_get_bulk(mp, (void **)mbufs, 1), 0);
	assert_int_equal(rte_mempool_get_bulk(mp, (void **)&mbufs[1], N_OBJS), -ENOBUFS);
	assert_int_equal(rte_mempool_avail_count(mp), N_OBJS - 1);
	assert_int_equal(rte_mempool_get_bulk(mp, (void **)&mbufs[1], N_OBJS - 1), 0);
	rte_mempool_put_bulk(mp, (void **)mbufs, N_OBJS);
	rte_mempool_free(mp);
}

static void
last_in_is_first_out(void **state)
{
	struct rte_mempool *mp =
		rte_pktmbuf_pool_create_by_ops("lifo", N_OBJS, 0, 0, 256, SOCKET_ID_ANY, "weir");
	struct rte_mbuf *mbufs[8], *again[8];

	assert_int_equal(rte_mempool_get_bulk(mp, (void **)mbufs, 8), 0);
	rte_mempool_put_bulk(mp, (void **)mbufs, 8);
	assert_int_equal(rte_mempool_get_bulk(mp, (void **)again, 8), 0);
	assert_memory_equal(mbufs, again, sizeof(mbufs));
	rte_mempool_put_bulk(mp, (void **)again, 8);
	rte_mempool_free(mp);
}

static int
budgeted_pool_create(struct weir_budget *budget, struct rte_mempool **mp)
{
	struct weir_mempool_conf conf = {.budget = budget};
	int rc;

	*mp = rte_mempool_create_empty("budgeted", N_OBJS, 64, 0, 0, SOCKET_ID_ANY, 0);
	assert_non_null(*mp);
	assert_int_equal(rte_mempool_set_ops_byname(*mp, WEIR_MEMPOOL_OPS_NAME, &conf), 0);
	rc = rte_mempool_populate_default(*mp);
	return rc;
}

static void
pool_is_paid_from_its_budget(void **state)
{
	struct weir_budget *budget = weir_budget_create("pays", NULL, WEIR_BUDGET_UNLIMITED);
	struct rte_mempool *mp;

	assert_int_equal(budgeted_pool_create(budget, &mp), N_OBJS);
	assert_true(weir_budget_used_bytes(budget) >= N_OBJS * 64);
	rte_mempool_free(mp);
	assert_int_equal(weir_budget_used_bytes(budget), 0);

	weir_budget_set_limit(budget, N_OBJS * 64);
	assert_int_equal(budgeted_pool_create(budget, &mp), -EMSGSIZE);
	assert_non_null(strstr(weir_error_text(), "budget 'pays'"));
	rte_mempool_free(mp);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_program_gets_an_ordinary_pool_by_the_name),
		cmocka_unit_test(bulk_is_all_or_nothing),
		cmocka_unit_test(last_in_is_first_out),
		cmocka_unit_test(pool_is_paid_from_its_budget),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
