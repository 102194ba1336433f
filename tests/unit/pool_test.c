/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
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

static void
contiguous_blocks_are_single_objects(void **state)
{
	struct rte_mempool *mp =
		rte_pktmbuf_pool_create_by_ops("blocks", N_OBJS, 0, 0, 256, SOCKET_ID_ANY, "weir");
	struct rte_mempool_info info;
	void *objs[8];

	assert_int_equal(rte_mempool_ops_get_info(mp, &info), 0);
	assert_int_equal(info.contig_block_size, 1);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, objs, 8), 0);
	assert_int_equal(rte_mempool_in_use_count(mp), 8);
	rte_mempool_put_bulk(mp, objs, 8);
	rte_mempool_free(mp);
}

#define BLOCK 7

static struct rte_mempool *
block_pool_create(bool check)
{
	struct weir_mempool_conf conf = {.block = BLOCK, .check = check};
	struct rte_mempool *mp =
		rte_mempool_create_empty("blocks", N_OBJS, 100, 0, 0, SOCKET_ID_ANY, 0);
	struct rte_mempool_info info;

	assert_int_equal(rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, &conf), 0);
	assert_int_equal(rte_mempool_populate_default(mp), N_OBJS);
	assert_int_equal(rte_mempool_ops_get_info(mp, &info), 0);
	assert_int_equal(info.contig_block_size, BLOCK);
	return mp;
}

static void
blocks_are_neighbours_and_come_home_one_by_one(void **state)
{
	static void *blocks[N_OBJS / BLOCK], *objs[N_OBJS];
	struct rte_mempool *mp = block_pool_create(*(bool *)*state);
	const uint32_t bytes = mp->header_size + mp->elt_size + mp->trailer_size;
	uint32_t round, i, j, n = N_OBJS / BLOCK;

	for (round = 0; round < 3; round++) {
		assert_int_equal(rte_mempool_get_contig_blocks(mp, blocks, n), 0);
		assert_int_equal(rte_mempool_in_use_count(mp), n * BLOCK);
		assert_int_equal(rte_mempool_get_contig_blocks(mp, objs, 1), -ENOBUFS);
		for (i = 0; i < n; i++) {
			for (j = 0; j < BLOCK; j++) {
				objs[i + j * n] = (char *)blocks[i] + j * bytes;
				assert_ptr_equal(rte_mempool_from_obj(objs[i + j * n]), mp);
				memset(objs[i + j * n], i, mp->elt_size);
			}
		}
		for (i = 0; i < n; i++)
			for (j = 0; j < BLOCK; j++)
				assert_int_equal(*(uint8_t *)objs[i + j * n], (uint8_t)i);
		/* Those that lie far apart together, by way of this lcore's stack. */
		for (i = 0; i < n * BLOCK; i += j) {
			j = RTE_MIN(n * BLOCK - i, 33u);
			rte_mempool_put_bulk(mp, &objs[i], j);
		}
		assert_true(rte_mempool_full(mp));
	}
	assert_int_equal(rte_mempool_get_bulk(mp, objs, N_OBJS), 0);
	rte_mempool_put_bulk(mp, objs, N_OBJS);
	rte_mempool_free(mp);
}

static void
block_is_not_had_while_one_of_it_is_out(void **state)
{
	static void *blocks[N_OBJS / BLOCK], *objs[N_OBJS];
	struct rte_mempool *mp = block_pool_create(false);
	const uint32_t bytes = mp->header_size + mp->elt_size + mp->trailer_size;
	uint32_t i, n = N_OBJS / BLOCK;
	void *obj;

	assert_int_equal(rte_mempool_get_contig_blocks(mp, blocks, n), 0);
	for (i = 1; i < BLOCK; i++) {
		obj = (char *)blocks[3] + i * bytes;
		rte_mempool_put_bulk(mp, &obj, 1);
	}
	assert_int_equal(rte_mempool_get_contig_blocks(mp, objs, 1), -ENOBUFS);
	assert_int_equal(rte_mempool_in_use_count(mp), n * BLOCK - BLOCK + 1);
	rte_mempool_put_bulk(mp, &blocks[3], 1);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, objs, 1), 0);
	assert_ptr_equal(objs[0], blocks[3]);
	for (i = 0; i < n * BLOCK; i++) {
		obj = (char *)blocks[i / BLOCK] + i % BLOCK * bytes;
		rte_mempool_put_bulk(mp, &obj, 1);
	}
	assert_true(rte_mempool_full(mp));
	rte_mempool_free(mp);
}

static void
elastic_pool_of_blocks_is_refused(void **state)
{
	struct weir_mempool_conf conf = {.block = BLOCK, .populate = 10};
	struct rte_mempool *mp =
		rte_mempool_create_empty("blocks", N_OBJS, 100, 0, 0, SOCKET_ID_ANY, 0);

	assert_int_equal(rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, &conf), 0);
	assert_int_equal(rte_mempool_populate_default(mp), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "blocks of 7 objects"));
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

/** An elastic pool of mbufs with a private area, marked by the program. */
#define PRIV_BYTES 64

static void
mark_private_area(struct rte_mempool *mp, void *arg, void *obj, unsigned int index)
{
	/* A string, and a pointer of the object to itself, as programs have them. */
	strcpy(rte_mbuf_to_priv(obj), arg);
	*(void **)((char *)rte_mbuf_to_priv(obj) + 32) = obj;
}

static struct rte_mempool *
elastic_create(const char *name, uint32_t size, uint32_t cache, struct weir_mempool_conf conf)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = 512,
						   .mbuf_priv_size = PRIV_BYTES};
	struct rte_mempool *mp;

	mp = rte_mempool_create_empty(name, size, sizeof(struct rte_mbuf) + PRIV_BYTES + 512, cache,
				      sizeof(private), SOCKET_ID_ANY, 0);
	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, &conf), 0);
	rte_pktmbuf_pool_init(mp, &private);
	assert_int_equal(rte_mempool_populate_default(mp), size);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	rte_mempool_obj_iter(mp, mark_private_area, (void *)(uintptr_t) "marked by the program");
	return mp;
}

static void
burst_objects_are_as_the_programs_callbacks_left_the_others(void **state)
{
	struct rte_mempool *mp =
		elastic_create("marks", N_OBJS, 0,
			       (struct weir_mempool_conf){.populate = 50, .slab_bytes = 16 << 10});
	struct rte_mbuf *mbufs[N_OBJS];
	int i;

	assert_true(rte_mempool_full(mp));
	for (i = 0; i < N_OBJS; i++) {
		mbufs[i] = rte_pktmbuf_alloc(mp);
		assert_non_null(mbufs[i]);
		assert_string_equal(rte_mbuf_to_priv(mbufs[i]), "marked by the program");
		assert_ptr_equal(*(void **)((char *)rte_mbuf_to_priv(mbufs[i]) + 32), mbufs[i]);
		assert_ptr_equal(rte_mempool_from_obj(mbufs[i]), mp);
		assert_ptr_equal(rte_mbuf_buf_addr(mbufs[i], mp), mbufs[i]->buf_addr);
		assert_int_equal(rte_mempool_virt2iova(mbufs[i]), rte_mem_virt2iova(mbufs[i]));
		rte_mbuf_sanity_check(mbufs[i], 1);
		assert_int_equal(rte_mempool_in_use_count(mp), i + 1);
		memset(rte_pktmbuf_append(mbufs[i], 300), 0xff, 300);
	}
	assert_true(rte_mempool_empty(mp));
	assert_null(rte_pktmbuf_alloc(mp));
	rte_pktmbuf_free_bulk(mbufs, N_OBJS);
	assert_true(rte_mempool_full(mp));
	rte_mempool_free(mp);
}

static bool
made_becomes(const struct rte_mempool *mp, uint32_t low, uint32_t high)
{
	struct weir_mempool_stats stats;
	int i;

	for (i = 0; i < 20000; i++) {
		assert_int_equal(weir_mempool_stats(mp, &stats), 0);
		if (stats.made >= low && stats.made <= high)
			return true;
		rte_delay_us_sleep(1000);
	}
	return false;
}

static void
idle_slabs_are_kept_for_a_while_and_then_returned(void **state)
{
	struct rte_mempool *mp =
		elastic_create("idle", N_OBJS, 0,
			       (struct weir_mempool_conf){
				       .populate = 100, .slab_bytes = 64 << 10, .keep_ms = 1000});
	struct weir_mempool_stats stats;
	void *objs[N_OBJS];

	assert_int_equal(rte_mempool_get_bulk(mp, objs, N_OBJS), 0);
	rte_mempool_put_bulk(mp, objs, N_OBJS);
	rte_delay_us_sleep(20000);
	assert_int_equal(weir_mempool_stats(mp, &stats), 0);
	assert_int_equal(stats.made, N_OBJS);
	assert_true(made_becomes(mp, 100, 100));
	assert_int_equal(weir_mempool_stats(mp, &stats), 0);
	assert_int_equal(stats.returned, stats.grown);
	assert_true(rte_mempool_full(mp));
	rte_mempool_free(mp);
}

static void
memory_thread_grows_a_pool_before_it_is_empty(void **state)
{
	struct rte_mempool *mp =
		elastic_create("ahead", N_OBJS, 0,
			       (struct weir_mempool_conf){.populate = 200, .slab_bytes = 64 << 10});
	struct weir_mempool_stats stats;
	void *objs[N_OBJS];
	int i;

	for (i = 0; i < 180; i++)
		assert_int_equal(rte_mempool_get(mp, &objs[i]), 0);
	assert_true(made_becomes(mp, 201, N_OBJS));
	assert_int_equal(weir_mempool_stats(mp, &stats), 0);
	assert_int_equal(stats.grown_in_datapath, 0);
	assert_int_equal(stats.out, 180);
	rte_mempool_put_bulk(mp, objs, 180);
	rte_mempool_free(mp);
}

static void
budget_limits_the_burst_and_not_the_base(void **state)
{
	struct weir_budget *budget = weir_budget_create("tight", NULL, 300 << 10);
	struct rte_mempool *mp =
		elastic_create("tight", N_OBJS, 0,
			       (struct weir_mempool_conf){
				       .budget = budget, .populate = 100, .slab_bytes = 16 << 10});
	void *objs[N_OBJS];
	int i, n;

	for (n = 0; n < N_OBJS && rte_mempool_get(mp, &objs[n]) == 0; n++)
		assert_true(weir_budget_used_bytes(budget) <= 300 << 10);
	assert_in_range(n, 100, (300 << 10) / 768);
	/* Nothing is taken in part. */
	rte_mempool_put_bulk(mp, objs, 10);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 40), -ENOBUFS);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 10), 0);
	/* More is to be had as soon as the limit allows it. */
	weir_budget_set_limit(budget, 600 << 10);
	for (i = n; i < n + 100; i++)
		assert_int_equal(rte_mempool_get(mp, &objs[i]), 0);
	rte_mempool_put_bulk(mp, objs, i);
	rte_mempool_free(mp);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

/** A thread with an lcore of its own, whose stack then has objects. */
static void *
lcore_gets_and_puts(void *arg)
{
	struct rte_mempool *mp = arg;
	void *objs[64];
	int i;

	assert_int_equal(rte_thread_register(), 0);
	for (i = 0; i < 100; i++) {
		if (rte_mempool_get_bulk(mp, objs, 1 + i % 64) == 0)
			rte_mempool_put_bulk(mp, objs, 1 + i % 64);
	}
	rte_thread_unregister();
	return NULL;
}

static void
lcores_get_and_put(struct rte_mempool *mp)
{
	pthread_t threads[3];
	size_t i;

	for (i = 0; i < RTE_DIM(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, lcore_gets_and_puts, mp), 0);
	for (i = 0; i < RTE_DIM(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(rte_mempool_full(mp));
}

static void *
thread_gets_all(void *arg)
{
	struct rte_mempool *mp = arg;
	void **objs = calloc(N_OBJS, sizeof(*objs));
	intptr_t n;

	for (n = 0; n < N_OBJS && rte_mempool_get(mp, &objs[n]) == 0; n++)
		;
	rte_mempool_put_bulk(mp, objs, n);
	free(objs);
	return (void *)n;
}

static void
every_object_can_be_had_from_any_thread(void **state)
{
	struct rte_mempool *mp =
		rte_mempool_create_empty("steal", N_OBJS, 64, 0, 0, SOCKET_ID_ANY, 0);
	struct weir_mempool_stats stats;
	pthread_t thread;
	void *n;

	assert_int_equal(rte_mempool_set_ops_byname(mp, "weir", NULL), 0);
	assert_int_equal(rte_mempool_populate_default(mp), N_OBJS);
	lcores_get_and_put(mp);
	assert_ptr_equal(thread_gets_all(mp), (void *)N_OBJS);
	lcores_get_and_put(mp);
	/* A thread without an lcore. */
	assert_int_equal(pthread_create(&thread, NULL, thread_gets_all, mp), 0);
	assert_int_equal(pthread_join(thread, &n), 0);
	assert_ptr_equal(n, (void *)N_OBJS);
	assert_true(rte_mempool_full(mp));
	assert_int_equal(weir_mempool_stats(mp, &stats), 0);
	assert_true(stats.steals >= 2);
	rte_mempool_free(mp);
}

static void
double_frees_and_foreign_pointers_are_caught(void **state)
{
	struct weir_mempool_conf conf = {
		.populate = 64, .slab_bytes = 16 << 10, .keep_ms = 60000, .check = true};
	struct rte_mempool *mp = elastic_create("checked", 200, 0, conf);
	struct weir_mempool_stats stats;
	void *objs[200], *foreign = &stats;

	assert_int_equal(rte_mempool_get_bulk(mp, objs, 200), 0);
	rte_mempool_put_bulk(mp, objs, 200);
	rte_log_set_level_pattern("weir.pool", RTE_LOG_CRIT);
	rte_mempool_put(mp, objs[0]);
	rte_mempool_put(mp, objs[199]);
	rte_mempool_put(mp, foreign);
	foreign = (char *)objs[199] + 64;
	rte_mempool_put(mp, foreign);
	rte_log_set_level_pattern("weir.pool", RTE_LOG_INFO);
	assert_int_equal(weir_mempool_stats(mp, &stats), 0);
	assert_int_equal(stats.double_frees, 2);
	assert_int_equal(stats.foreign, 2);
	assert_true(rte_mempool_full(mp));
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 200), 0);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 1), -ENOBUFS);
	rte_mempool_put_bulk(mp, objs, 200);
	rte_mempool_free(mp);
}

static void
pool_freed_with_objects_out_keeps_their_memory(void **state)
{
	struct rte_mempool *mp =
		elastic_create("orphan", 200, 0, (struct weir_mempool_conf){.populate = 20});
	struct rte_mbuf *mbufs[100];

	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, mbufs, 100), 0);
	rte_log_set_level_pattern("weir.pool", RTE_LOG_ERR);
	rte_mempool_free(mp);
	rte_log_set_level_pattern("weir.pool", RTE_LOG_INFO);
	assert_null(rte_mempool_lookup("orphan"));
	/* They can be written to, and come home to nobody. */
	memset(rte_pktmbuf_append(mbufs[99], 300), 1, 300);
	rte_pktmbuf_free_bulk(mbufs, 100);
}

static void
vdev_keys_configure_any_programs_pools(void **state)
{
	struct weir_mempool_stats stats;
	struct weir_budget *budget;
	struct rte_mempool *mp;

	assert_int_equal(rte_vdev_init("mempool_weir0", "budget=4M,base=10%,slab=64K,keep_ms=0"),
			 0);
	budget = weir_budget_find("mempool_weir0");
	assert_non_null(budget);
	mp = rte_pktmbuf_pool_create_by_ops("any", N_OBJS, 0, 0, 512, SOCKET_ID_ANY, "weir");
	assert_non_null(mp);
	assert_true(rte_mempool_full(mp));
	assert_int_equal(weir_mempool_stats(mp, &stats), 0);
	assert_int_equal(stats.made, N_OBJS / 10);
	assert_in_range(weir_budget_used_bytes(budget), 100 * 640, 101 * 900);
	assert_int_equal(rte_vdev_uninit("mempool_weir0"), -EBUSY);
	/* A program that wants too much hears what makes it ask for less. */
	assert_null(rte_pktmbuf_pool_create_by_ops("large", 100 * N_OBJS, 0, 0, 512, SOCKET_ID_ANY,
						   "weir"));
	assert_int_equal(rte_errno, ENOMEM);
	rte_mempool_free(mp);
	assert_int_equal(rte_vdev_uninit("mempool_weir0"), 0);
	assert_null(weir_budget_find("mempool_weir0"));
}

static void
wrong_vdev_keys_are_refused_by_name(void **state)
{
	static const char *const wrong[][2] = {
		{"bse=1", "unknown key 'bse'"}, {"base=0", "base=0: a number of objects"},
		{"base=101%", "base=101%"},	{"base=x", "base=x"},
		{"budget=1", "budget=1"},	{"keep_ms=-1", "keep_ms=-1"},
		{"numa=99", "numa=99"},		{"check=yes", "check=yes: one of off, on"},
	};
	size_t i;

	rte_log_set_level_pattern("weir.pool", RTE_LOG_CRIT);
	for (i = 0; i < RTE_DIM(wrong); i++) {
		assert_true(rte_vdev_init("mempool_weir1", wrong[i][0]) < 0);
		assert_non_null(strstr(weir_error_text(), wrong[i][1]));
	}
	rte_log_set_level_pattern("weir.pool", RTE_LOG_INFO);
}

int
main(void)
{
	static bool unchecked = false, checked = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_program_gets_an_ordinary_pool_by_the_name),
		cmocka_unit_test(bulk_is_all_or_nothing),
		cmocka_unit_test(last_in_is_first_out),
		cmocka_unit_test(contiguous_blocks_are_single_objects),
		cmocka_unit_test_prestate(blocks_are_neighbours_and_come_home_one_by_one,
					  &unchecked),
		cmocka_unit_test_prestate(blocks_are_neighbours_and_come_home_one_by_one, &checked),
		cmocka_unit_test(block_is_not_had_while_one_of_it_is_out),
		cmocka_unit_test(elastic_pool_of_blocks_is_refused),
		cmocka_unit_test(pool_is_paid_from_its_budget),
		cmocka_unit_test(burst_objects_are_as_the_programs_callbacks_left_the_others),
		cmocka_unit_test(idle_slabs_are_kept_for_a_while_and_then_returned),
		cmocka_unit_test(memory_thread_grows_a_pool_before_it_is_empty),
		cmocka_unit_test(budget_limits_the_burst_and_not_the_base),
		cmocka_unit_test(every_object_can_be_had_from_any_thread),
		cmocka_unit_test(double_frees_and_foreign_pointers_are_caught),
		cmocka_unit_test(pool_freed_with_objects_out_keeps_their_memory),
		cmocka_unit_test(vdev_keys_configure_any_programs_pools),
		cmocka_unit_test(wrong_vdev_keys_are_refused_by_name),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
