/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "harness.h"
#include "weir_error.h"
#include "weir_frame.h"

static const struct weir_frame_pool_conf small = {
	.mtu = 1500,
	.capacity = WEIR_FRAME_CAPACITY_DEFAULT,
	.numa_node = SOCKET_ID_ANY,
};

static void
acquired_frame_is_empty_with_room_for_the_mtu(void **state)
{
	static const uint16_t mtus[] = {68, 1500, 2000, 9000, WEIR_FRAME_MTU_MAX};
	struct weir_frame_pool_conf conf = small;
	struct weir_frame_pool *pool;
	struct rte_mbuf *frame;
	size_t i;

	for (i = 0; i < RTE_DIM(mtus); i++) {
		conf.mtu = mtus[i];
		pool = weir_frame_pool_create("rooms", &conf);
		assert_non_null(pool);
		frame = weir_frame_acquire(pool);
		assert_int_equal(rte_pktmbuf_data_len(frame), 0);
		assert_int_equal(rte_pktmbuf_headroom(frame), RTE_PKTMBUF_HEADROOM);
		assert_true(rte_pktmbuf_tailroom(frame) >= mtus[i] + WEIR_FRAME_L2_BYTES);
		assert_int_equal(frame->buf_len, weir_frame_pool_room(pool));
		/* No more than rounding is wasted. */
		assert_in_range(weir_frame_pool_room(pool) - mtus[i],
				RTE_PKTMBUF_HEADROOM + WEIR_FRAME_L2_BYTES,
				RTE_PKTMBUF_HEADROOM + WEIR_FRAME_L2_BYTES + RTE_CACHE_LINE_SIZE -
					1);
		assert_int_equal(weir_frame_pool_mtu(pool), mtus[i]);
		weir_frame_release(frame);
		assert_int_equal(weir_frame_pool_free(pool), 0);
	}
}

static void
bulk_takes_all_or_none(void **state)
{
	struct weir_frame_pool *pool = weir_frame_pool_create("bulk", &small);
	struct rte_mbuf *frames[WEIR_FRAME_CAPACITY_DEFAULT];
	struct rte_mbuf *more[2];

	assert_int_equal(weir_frame_pool_free_count(pool), WEIR_FRAME_CAPACITY_DEFAULT);
	assert_int_equal(weir_frame_acquire_bulk(pool, frames, 255), 0);
	assert_int_equal(weir_frame_pool_free_count(pool), 1);
	assert_int_equal(weir_frame_acquire_bulk(pool, more, 2), -ENOBUFS);
	assert_int_equal(weir_frame_pool_free_count(pool), 1);
	frames[255] = weir_frame_acquire(pool);
	assert_non_null(frames[255]);
	assert_null(weir_frame_acquire(pool));
	weir_frame_release_bulk(frames, RTE_DIM(frames));
	assert_int_equal(weir_frame_pool_free_count(pool), weir_frame_pool_capacity(pool));
	assert_int_equal(weir_frame_pool_free(pool), 0);
}

static void
pool_with_frames_out_is_not_freed(void **state)
{
	struct weir_frame_pool *pool = weir_frame_pool_create("busy", &small);
	struct rte_mbuf *frame = weir_frame_acquire(pool);

	assert_int_equal(weir_frame_pool_free(pool), -EBUSY);
	assert_string_equal(weir_error_text(), "frame pool 'busy': 1 frames are still out");
	weir_frame_release(frame);
	assert_int_equal(weir_frame_pool_free(pool), 0);
	assert_int_equal(weir_frame_pool_free(NULL), 0);
}

static void
capacity_is_reserved_from_the_budget(void **state)
{
	struct weir_budget *budget = weir_budget_create("g0", NULL, 800 << 10);
	struct weir_frame_pool_conf conf = small;
	struct weir_frame_pool *pool, *second;

	conf.budget = budget;
	pool = weir_frame_pool_create("first", &conf);
	assert_non_null(pool);
	assert_true(weir_budget_used_bytes(budget) >= 256 * 1500);
	second = weir_frame_pool_create("second", &conf);
	assert_null(second);
	assert_int_equal(rte_errno, EAGAIN);
	assert_non_null(strstr(weir_error_text(), "budget 'g0'"));
	assert_int_equal(weir_frame_pool_free(pool), 0);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

/** The memory thread needs a moment. */
static bool
used_becomes(const struct weir_budget *budget, uint64_t bytes)
{
	int i;

	for (i = 0; i < 2000 && weir_budget_used_bytes(budget) != bytes; i++)
		rte_delay_us_sleep(1000);
	return weir_budget_used_bytes(budget) == bytes;
}

static void
burst_is_made_within_the_budget_and_freed_when_home(void **state)
{
	struct weir_budget *budget = weir_budget_create("g0", NULL, 4 << 20);
	struct weir_frame_pool_conf conf = small;
	struct weir_frame_pool *pool;
	struct rte_mbuf *frames[1024];
	uint64_t kept;
	uint32_t i, j;

	conf.budget = budget;
	conf.burst = 768;
	pool = weir_frame_pool_create("bursts", &conf);
	assert_non_null(pool);
	kept = weir_budget_used_bytes(budget);
	for (j = 0; j < 3; j++) {
		for (i = 0; i < 1024; i++) {
			frames[i] = weir_frame_acquire(pool);
			assert_non_null(frames[i]);
			assert_ptr_equal(frames[i]->pool, weir_frame_pool_mempool(pool));
			assert_int_equal(frames[i]->buf_len, weir_frame_pool_room(pool));
			assert_ptr_equal(frames[i]->buf_addr, &frames[i][1]);
			assert_int_equal(rte_pktmbuf_iova(frames[i]),
					 rte_mempool_virt2iova(frames[i]) + sizeof(*frames[i]) +
						 RTE_PKTMBUF_HEADROOM);
			memset(rte_pktmbuf_mtod(frames[i], void *), i,
			       rte_pktmbuf_tailroom(frames[i]));
		}
		assert_null(weir_frame_acquire(pool));
		assert_int_equal(weir_frame_pool_free_count(pool), 0);
		assert_in_range(weir_budget_used_bytes(budget), 1024 * 1664, 1024 * 2100);
		weir_frame_release_bulk(frames, 1024);
		assert_int_equal(weir_frame_pool_free_count(pool), 1024);
		assert_true(used_becomes(budget, kept));
	}
	assert_int_equal(weir_frame_pool_free(pool), 0);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

static void
hoarding_guest_costs_no_other_guest_a_frame(void **state)
{
	struct weir_budget *host = weir_budget_create("host", NULL, 3 << 20);
	struct weir_budget *budgets[3];
	struct weir_frame_pool *pools[3];
	struct weir_frame_pool_conf conf = small;
	static struct rte_mbuf *frames[3][10000];
	char name[8];
	uint32_t i, n[3], round;

	conf.burst = 9000;
	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		budgets[i] = weir_budget_create(name, host, WEIR_BUDGET_UNLIMITED);
		conf.budget = budgets[i];
		pools[i] = weir_frame_pool_create(name, &conf);
		assert_non_null(pools[i]);
	}
	/* The first takes what it can get, and never gives back. */
	for (n[0] = 0; n[0] < 10000; n[0]++) {
		frames[0][n[0]] = weir_frame_acquire(pools[0]);
		if (frames[0][n[0]] == NULL)
			break;
	}
	assert_in_range(n[0], conf.capacity, 2000);
	/* The others still have all they were promised, again and again. */
	for (round = 0; round < 100; round++) {
		for (i = 1; i < 3; i++)
			assert_int_equal(
				weir_frame_acquire_bulk(pools[i], frames[i], conf.capacity), 0);
		for (i = 1; i < 3; i++)
			weir_frame_release_bulk(frames[i], conf.capacity);
	}
	weir_frame_release_bulk(frames[0], n[0]);
	for (i = 0; i < 3; i++) {
		assert_int_equal(weir_frame_pool_free(pools[i]), 0);
		assert_int_equal(weir_budget_free(budgets[i]), 0);
	}
	assert_int_equal(weir_budget_free(host), 0);
}

static void
wrong_words_are_named(void **state)
{
	struct weir_frame_pool_conf conf = small;

	conf.mtu = 67;
	assert_null(weir_frame_pool_create("wrong", &conf));
	assert_non_null(strstr(weir_error_text(), "mtu 67: 68 to "));
	conf.mtu = UINT16_MAX;
	assert_null(weir_frame_pool_create("wrong", &conf));
	conf = small;
	conf.capacity = 0;
	assert_null(weir_frame_pool_create("wrong", &conf));
	assert_non_null(strstr(weir_error_text(), "capacity 0"));
	assert_null(weir_frame_pool_create("no good", &small));
	assert_int_equal(rte_errno, EINVAL);
}

static void
names_of_31_characters_are_told_apart(void **state)
{
	struct weir_frame_pool *a, *b;

	a = weir_frame_pool_create("guest-with-a-very-long-name.tx", &small);
	b = weir_frame_pool_create("guest-with-a-very-long-name.rx", &small);
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(weir_frame_pool_free(a), 0);
	assert_int_equal(weir_frame_pool_free(b), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acquired_frame_is_empty_with_room_for_the_mtu),
		cmocka_unit_test(bulk_takes_all_or_none),
		cmocka_unit_test(pool_with_frames_out_is_not_freed),
		cmocka_unit_test(capacity_is_reserved_from_the_budget),
		cmocka_unit_test(burst_is_made_within_the_budget_and_freed_when_home),
		cmocka_unit_test(hoarding_guest_costs_no_other_guest_a_frame),
		cmocka_unit_test(wrong_words_are_named),
		cmocka_unit_test(names_of_31_characters_are_told_apart),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
