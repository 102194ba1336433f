/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bufpool, by the sentences of its seed. The first three are the seed's own examples.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "harness.h"
#include "weir_bufpool.h"
#include "weir_error.h"

#define BUF_SIZE 16u

static struct weir_bufpool *
pool_create(uint64_t limit_bytes)
{
	struct weir_bufpool *pool = weir_bufpool_create(
		"bufs", &(struct weir_bufpool_conf){.buffer_bytes = BUF_SIZE,
						    .limit_bytes = limit_bytes,
						    .numa_node = SOCKET_ID_ANY});

	assert_non_null(pool);
	return pool;
}

static void
example_allocates_48_of_64_and_walks_over_them(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 0x40);
	struct weir_bufs *alloc = weir_bufpool_alloc(pool, 0x30);
	uint32_t n = 0;
	char *ptr;

	assert_int_equal(weir_bufs_length(alloc), 0x30);
	assert_non_null(weir_bufs_first(alloc));
	assert_int_equal(weir_bufs_bytes(alloc), BUF_SIZE * 0x30);
	WEIR_BUFS_FOREACH(alloc, ptr)
	{
		assert_ptr_equal(ptr, (char *)weir_bufs_first(alloc) + n * BUF_SIZE);
		assert_ptr_equal(ptr, weir_bufs_at(alloc, n));
		memset(ptr, 1, BUF_SIZE);
		n++;
	}
	assert_int_equal(n, 0x30);
	weir_bufs_free(alloc);
	assert_int_equal(weir_bufpool_free(pool, WEIR_BUFPOOL_FOREVER), 0);
}

static void
example_allocates_1_of_10(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 0x0a);
	struct weir_bufs *alloc = weir_bufpool_alloc(pool, 1);

	assert_int_equal(weir_bufs_length(alloc), 1);
	assert_int_equal(weir_bufs_bytes(alloc), BUF_SIZE);
	weir_bufs_free(alloc);
	assert_int_equal(weir_bufpool_free(pool, WEIR_BUFPOOL_FOREVER), 0);
}

static void
example_allocates_10_of_20(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 0x14);
	struct weir_bufs *alloc = weir_bufpool_alloc(pool, 0x0a);
	uint32_t n = 0;
	char *ptr;

	assert_int_equal(weir_bufs_length(alloc), 0x0a);
	assert_non_null(weir_bufs_first(alloc));
	assert_int_equal(weir_bufs_bytes(alloc), BUF_SIZE * 0x0a);
	WEIR_BUFS_FOREACH(alloc, ptr)
	n++;
	assert_int_equal(n, 0x0a);
	weir_bufs_free(alloc);
	assert_int_equal(weir_bufpool_free(pool, WEIR_BUFPOOL_FOREVER), 0);
}

static void
limit_is_exact_to_the_buffer(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 20);
	struct weir_bufs *allocs[20], *two;
	struct weir_bufpool_stats stats;
	int i;

	for (i = 0; i < 20; i++)
		assert_non_null(allocs[i] = weir_bufpool_try_alloc(pool, 1));
	assert_null(weir_bufpool_try_alloc(pool, 1));
	assert_int_equal(rte_errno, EAGAIN);
	/* No two that are free are neighbours: the limit has room for two all the same. */
	for (i = 0; i < 20; i += 2)
		weir_bufs_free(allocs[i]);
	assert_non_null(two = weir_bufpool_try_alloc(pool, 10));
	weir_bufpool_stats(pool, &stats);
	assert_int_equal(stats.out_bytes, BUF_SIZE * 20);
	assert_int_equal(stats.peak_bytes, BUF_SIZE * 20);
	assert_null(weir_bufpool_try_alloc(pool, 1));
	weir_bufs_free(two);
	for (i = 1; i < 20; i += 2)
		weir_bufs_free(allocs[i]);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
what_can_never_be_is_refused_at_once(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 100000);

	assert_null(weir_bufpool_alloc(pool, 0));
	assert_int_equal(rte_errno, EINVAL);
	assert_null(weir_bufpool_alloc(pool, WEIR_BUFPOOL_N_MAX + 1));
	assert_int_equal(rte_errno, EINVAL);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
	pool = pool_create(BUF_SIZE * 20);
	assert_null(weir_bufpool_alloc(pool, 21));
	assert_int_equal(rte_errno, EMSGSIZE);
	assert_null(weir_bufpool_alloc_timed(pool, 21, 1000000));
	assert_int_equal(rte_errno, EMSGSIZE);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
longest_allocation_is_65535_buffers_in_one_piece(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * (WEIR_BUFPOOL_N_MAX + 1));
	struct weir_bufs *alloc = weir_bufpool_try_alloc(pool, WEIR_BUFPOOL_N_MAX);

	assert_int_equal(weir_bufs_length(alloc), WEIR_BUFPOOL_N_MAX);
	memset(weir_bufs_first(alloc), 0x5a, weir_bufs_bytes(alloc));
	weir_bufs_free(alloc);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
wrong_configuration_is_refused_with_a_sentence(void **state)
{
	struct weir_bufpool_conf conf = {.buffer_bytes = 0, .limit_bytes = 1000};

	assert_null(weir_bufpool_create("bufs", &conf));
	assert_int_equal(rte_errno, EINVAL);
	assert_non_null(strstr(weir_error_text(), "0 bytes"));
	conf = (struct weir_bufpool_conf){.buffer_bytes = 16};
	assert_null(weir_bufpool_create("bufs", &conf));
	assert_non_null(strstr(weir_error_text(), "a limit or a budget"));
	conf.limit_bytes = 15;
	assert_null(weir_bufpool_create("bufs", &conf));
	assert_non_null(strstr(weir_error_text(), "holds no buffer"));
	conf.limit_bytes = 16;
	assert_null(weir_bufpool_create("no name", &conf));
	assert_int_equal(weir_bufpool_free(NULL, 0), 0);
	weir_bufs_free(NULL);
}

static void
buffers_are_aligned_as_their_size(void **state)
{
	static const uint32_t sizes[] = {1, 24, 64, 512, 1536, 2048, 4096, 65536};
	struct weir_bufs *bufs[4];
	struct weir_bufpool *pool;
	uint32_t align;
	size_t i, j, k;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		pool = weir_bufpool_create("bufs",
					   &(struct weir_bufpool_conf){.buffer_bytes = sizes[i],
								       .limit_bytes = 20 * sizes[i],
								       .numa_node = SOCKET_ID_ANY});
		align = RTE_MIN(1u << rte_bsf32(sizes[i]), 4096u);
		for (j = 0; j < 4; j++) {
			bufs[j] = weir_bufpool_try_alloc(pool, j + 1);
			for (k = 0; k <= j; k++)
				assert_int_equal((uintptr_t)weir_bufs_at(bufs[j], k) % align, 0);
		}
		for (j = 0; j < 4; j++)
			weir_bufs_free(bufs[j]);
		assert_int_equal(weir_bufpool_free(pool, 0), 0);
	}
}

static void
bus_addresses_are_those_of_the_memory(void **state)
{
	struct weir_bufpool *pool =
		weir_bufpool_create("bufs", &(struct weir_bufpool_conf){.buffer_bytes = 2048,
									.limit_bytes = 64 * 2048,
									.numa_node = SOCKET_ID_ANY,
									.iova_contig = true});
	struct weir_bufs *bufs = weir_bufpool_try_alloc(pool, 40);
	uint32_t i;

	for (i = 0; i < 40; i++)
		assert_int_equal(weir_bufs_iova(bufs, i), weir_bufs_iova(bufs, 0) + i * 2048);
	assert_int_equal(weir_bufs_iova(bufs, 39), rte_mem_virt2iova(weir_bufs_at(bufs, 39)));
	weir_bufs_free(bufs);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void *
free_on_another_thread(void *arg)
{
	weir_bufs_free(arg);
	return NULL;
}

static void
last_of_several_holders_gives_it_back(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 20);
	struct weir_bufs *bufs = weir_bufpool_try_alloc(pool, 20);
	pthread_t thread;

	assert_ptr_equal(weir_bufs_ref(bufs), bufs);
	assert_ptr_equal(weir_bufs_ref(bufs), bufs);
	weir_bufs_free(bufs);
	assert_null(weir_bufpool_try_alloc(pool, 1));
	pthread_create(&thread, NULL, free_on_another_thread, bufs);
	pthread_join(thread, NULL);
	assert_null(weir_bufpool_try_alloc(pool, 1));
	weir_bufs_free(bufs);
	bufs = weir_bufpool_try_alloc(pool, 20);
	assert_non_null(bufs);
	weir_bufs_free(bufs);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
timed_allocation_ends_in_time_with_nothing(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 20);
	struct weir_bufs *bufs = weir_bufpool_try_alloc(pool, 20);
	struct weir_bufpool_stats stats;

	assert_null(weir_bufpool_alloc_timed(pool, 1, 20000));
	assert_int_equal(rte_errno, ETIMEDOUT);
	assert_null(weir_bufpool_alloc_timed(pool, 1, 0));
	assert_int_equal(rte_errno, ETIMEDOUT);
	weir_bufs_free(bufs);
	bufs = weir_bufpool_alloc_timed(pool, 20, 0);
	assert_non_null(bufs);
	weir_bufs_free(bufs);
	weir_bufpool_stats(pool, &stats);
	assert_int_equal(stats.waits, 1);
	assert_int_equal(stats.out_bytes, 0);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

/** A thread that waits for an allocation. */
struct waiter {
	struct weir_bufpool *pool;
	uint32_t n;
	uint64_t timeout_us;
	pthread_t thread;
	struct weir_bufs *bufs;
	int err;
	uint32_t order; /* in which it was served */
	uint32_t ended;
};

static uint32_t n_served;

static void *
waiter_main(void *arg)
{
	struct waiter *waiter = arg;

	waiter->bufs = waiter->timeout_us != 0 ? weir_bufpool_alloc_timed(waiter->pool, waiter->n,
									  waiter->timeout_us)
					       : weir_bufpool_alloc(waiter->pool, waiter->n);
	waiter->err = rte_errno;
	waiter->order = __atomic_fetch_add(&n_served, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&waiter->ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

/** Start it, and be sure that it stands in line, or did: on a busy machine it may be over. */
static void
waiter_start(struct waiter *waiter)
{
	struct weir_bufpool_stats stats;
	uint64_t before;

	weir_bufpool_stats(waiter->pool, &stats);
	before = stats.waits;
	pthread_create(&waiter->thread, NULL, waiter_main, waiter);
	do {
		usleep(1000);
		weir_bufpool_stats(waiter->pool, &stats);
	} while (stats.waits == before && !__atomic_load_n(&waiter->ended, __ATOMIC_ACQUIRE));
}

static void
free_wakes_who_waits(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 20);
	struct weir_bufs *bufs = weir_bufpool_try_alloc(pool, 15);
	struct waiter waiter = {.pool = pool, .n = 20};

	waiter_start(&waiter);
	weir_bufs_free(bufs);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(weir_bufs_length(waiter.bufs), 20);
	weir_bufs_free(waiter.bufs);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
who_waits_is_served_in_order_and_not_overtaken(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 20);
	struct weir_bufs *ten = weir_bufpool_try_alloc(pool, 10);
	struct weir_bufs *six = weir_bufpool_try_alloc(pool, 6);
	struct waiter waiters[4];
	int i;

	n_served = 0;
	for (i = 0; i < 4; i++) {
		/* The first asks for most: a small one must not slip past it. */
		waiters[i] = (struct waiter){.pool = pool, .n = i == 0 ? 12 : 2};
		if (i == 1)
			waiters[i].timeout_us = 10000;
		waiter_start(&waiters[i]);
	}
	pthread_join(waiters[1].thread, NULL);
	assert_int_equal(waiters[1].err, ETIMEDOUT);
	/* There is room for it, but it is the others' turn. */
	assert_null(weir_bufpool_try_alloc(pool, 1));
	assert_int_equal(rte_errno, EAGAIN);
	weir_bufs_free(six);
	usleep(5000);
	assert_int_equal(__atomic_load_n(&n_served, __ATOMIC_SEQ_CST), 1);
	weir_bufs_free(ten);
	pthread_join(waiters[0].thread, NULL);
	pthread_join(waiters[2].thread, NULL);
	pthread_join(waiters[3].thread, NULL);
	assert_int_equal(weir_bufs_length(waiters[0].bufs), 12);
	for (i = 0; i < 4; i++)
		weir_bufs_free(waiters[i].bufs);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
impatient_first_in_line_makes_way(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 20);
	struct weir_bufs *bufs = weir_bufpool_try_alloc(pool, 15);
	struct waiter first = {.pool = pool, .n = 20, .timeout_us = 100000};
	struct waiter second = {.pool = pool, .n = 5};

	waiter_start(&first);
	waiter_start(&second);
	pthread_join(first.thread, NULL);
	assert_int_equal(first.err, ETIMEDOUT);
	pthread_join(second.thread, NULL);
	assert_int_equal(weir_bufs_length(second.bufs), 5);
	weir_bufs_free(second.bufs);
	weir_bufs_free(bufs);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

/** A thread that keeps what it can at hand, and sleeps on it. */
struct hoarder {
	struct weir_bufpool *pool;
	uint32_t n, hoarded, go;
};

static void *
hoarder_main(void *arg)
{
	struct hoarder *hoarder = arg;
	struct weir_bufs *bufs[64];
	uint32_t i;

	for (i = 0; i < 64; i++)
		assert_non_null(bufs[i] = weir_bufpool_try_alloc(hoarder->pool, hoarder->n));
	for (i = 0; i < 64; i++)
		weir_bufs_free(bufs[i]);
	__atomic_store_n(&hoarder->hoarded, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&hoarder->go, __ATOMIC_ACQUIRE) == 0)
		usleep(1000);
	return NULL;
}

static void
what_another_thread_has_at_hand_can_be_had(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 64000);
	struct hoarder hoarder = {.pool = pool, .n = 10};
	struct weir_bufpool_stats stats;
	struct weir_bufs *all;
	pthread_t thread;

	pthread_create(&thread, NULL, hoarder_main, &hoarder);
	while (__atomic_load_n(&hoarder.hoarded, __ATOMIC_ACQUIRE) == 0)
		usleep(1000);
	weir_bufpool_stats(pool, &stats);
	assert_true(stats.cached_bytes > 0);
	assert_int_equal(stats.out_bytes, 0);
	assert_non_null(all = weir_bufpool_try_alloc(pool, 64000));
	weir_bufpool_stats(pool, &stats);
	assert_int_equal(stats.cached_bytes, 0);
	weir_bufs_free(all);
	__atomic_store_n(&hoarder.go, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
thread_that_ends_leaves_nothing_at_hand(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 64000);
	struct hoarder hoarder = {.pool = pool, .n = 10, .go = 1};
	struct weir_bufpool_stats stats;
	pthread_t thread;

	pthread_create(&thread, NULL, hoarder_main, &hoarder);
	pthread_join(thread, NULL);
	weir_bufpool_trim(pool);
	weir_bufpool_stats(pool, &stats);
	assert_int_equal(stats.cached_bytes, 0);
	assert_int_equal(stats.held_bytes, 0);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void
pool_with_things_out_names_them_and_stays_usable(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 64);
	struct weir_bufs *a = weir_bufpool_try_alloc(pool, 3);
	struct weir_bufs *b = weir_bufpool_try_alloc(pool, 48), *c;

	assert_int_equal(weir_bufpool_free(pool, 2000), -ETIMEDOUT);
	assert_non_null(strstr(weir_error_text(), "'bufs': 2 allocations, 816 bytes"));
	assert_non_null(strstr(weir_error_text(), "48 buffers at 0x"));
	weir_bufs_free(b);
	assert_non_null(c = weir_bufpool_alloc(pool, 61));
	weir_bufs_free(c);
	weir_bufs_free(a);
	assert_int_equal(weir_bufpool_free(pool, 2000), 0);
}

static void
freeing_the_pool_sends_home_who_waits(void **state)
{
	struct weir_bufpool *pool = pool_create(BUF_SIZE * 20);
	struct weir_bufs *bufs = weir_bufpool_try_alloc(pool, 20);
	struct waiter waiters[3];
	int i;

	for (i = 0; i < 3; i++) {
		waiters[i] = (struct waiter){.pool = pool, .n = 5};
		waiter_start(&waiters[i]);
	}
	assert_int_equal(weir_bufpool_free(pool, 1000), -ETIMEDOUT);
	for (i = 0; i < 3; i++) {
		pthread_join(waiters[i].thread, NULL);
		assert_null(waiters[i].bufs);
		assert_int_equal(waiters[i].err, ESHUTDOWN);
	}
	weir_bufs_free(bufs);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static void *
free_a_little_later(void *arg)
{
	usleep(20000);
	weir_bufs_free(arg);
	return NULL;
}

static void
freeing_the_pool_waits_for_what_is_out(void **state)
{
	struct weir_bufpool *pool;
	pthread_t thread;
	int i;

	for (i = 0; i < 20; i++) {
		pool = pool_create(BUF_SIZE * 20);
		pthread_create(&thread, NULL, i % 2 ? free_a_little_later : free_on_another_thread,
			       weir_bufpool_try_alloc(pool, 20));
		assert_int_equal(weir_bufpool_free(pool, WEIR_BUFPOOL_FOREVER), 0);
		pthread_join(thread, NULL);
	}
}

/* With a budget. */

#define BUDGET (1u << 20)

static struct weir_bufpool *
budgeted_create(const char *name, struct weir_budget *budget)
{
	struct weir_bufpool *pool =
		weir_bufpool_create(name, &(struct weir_bufpool_conf){.buffer_bytes = 1024,
								      .budget = budget,
								      .numa_node = SOCKET_ID_ANY,
								      .slab_bytes = 64 << 10});

	assert_non_null(pool);
	return pool;
}

static void
slabs_are_paid_from_the_budget_and_give_it_back(void **state)
{
	struct weir_budget *budget = weir_budget_create("host", NULL, BUDGET);
	struct weir_bufpool *pool = budgeted_create("bufs", budget);
	struct weir_bufs *bufs;
	struct weir_bufpool_stats stats;

	assert_int_equal(weir_budget_used_bytes(budget), 0);
	bufs = weir_bufpool_try_alloc(pool, 1);
	weir_bufpool_stats(pool, &stats);
	assert_int_equal(weir_budget_used_bytes(budget), 64 << 10);
	assert_int_equal(stats.held_bytes, 64 << 10);
	weir_bufs_free(bufs);
	bufs = weir_bufpool_try_alloc(pool, BUDGET / 1024);
	assert_non_null(bufs);
	assert_int_equal(weir_budget_used_bytes(budget), BUDGET);
	assert_null(weir_bufpool_try_alloc(pool, 1));
	assert_int_equal(rte_errno, EAGAIN);
	weir_bufs_free(bufs);
	assert_null(weir_bufpool_alloc(pool, BUDGET / 1024 + 1));
	assert_int_equal(rte_errno, EMSGSIZE);
	weir_bufpool_trim(pool);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

static void
room_in_the_budget_made_by_others_is_seen(void **state)
{
	struct weir_budget *budget = weir_budget_create("host", NULL, BUDGET);
	struct weir_bufpool *pool = budgeted_create("bufs", budget);
	struct waiter waiter = {.pool = pool, .n = 100};

	assert_int_equal(weir_budget_try_reserve(budget, BUDGET), 0);
	waiter_start(&waiter);
	usleep(5000);
	weir_budget_release(budget, BUDGET);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(weir_bufs_length(waiter.bufs), 100);
	weir_bufs_free(waiter.bufs);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

static void
budget_that_shuts_down_ends_a_wait(void **state)
{
	struct weir_budget *budget = weir_budget_create("host", NULL, BUDGET);
	struct weir_bufpool *pool = budgeted_create("bufs", budget);
	struct waiter waiter = {.pool = pool, .n = 100};

	assert_int_equal(weir_budget_try_reserve(budget, BUDGET), 0);
	waiter_start(&waiter);
	weir_budget_shutdown(budget);
	pthread_join(waiter.thread, NULL);
	assert_null(waiter.bufs);
	assert_int_equal(waiter.err, ESHUTDOWN);
	weir_budget_release(budget, BUDGET);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

static void
heap_without_memory_is_an_error_and_not_a_wait(void **state)
{
	struct weir_bufpool *pool = weir_bufpool_create(
		"bufs", &(struct weir_bufpool_conf){.buffer_bytes = 1 << 20,
						    .limit_bytes = 1ULL << 40,
						    .numa_node = SOCKET_ID_ANY});

	assert_null(weir_bufpool_alloc(pool, 60000));
	assert_int_equal(rte_errno, ENOMEM);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

static int
group_setup(void **state)
{
	harness_eal();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_allocates_48_of_64_and_walks_over_them),
		cmocka_unit_test(example_allocates_1_of_10),
		cmocka_unit_test(example_allocates_10_of_20),
		cmocka_unit_test(limit_is_exact_to_the_buffer),
		cmocka_unit_test(what_can_never_be_is_refused_at_once),
		cmocka_unit_test(longest_allocation_is_65535_buffers_in_one_piece),
		cmocka_unit_test(wrong_configuration_is_refused_with_a_sentence),
		cmocka_unit_test(buffers_are_aligned_as_their_size),
		cmocka_unit_test(bus_addresses_are_those_of_the_memory),
		cmocka_unit_test(last_of_several_holders_gives_it_back),
		cmocka_unit_test(timed_allocation_ends_in_time_with_nothing),
		cmocka_unit_test(free_wakes_who_waits),
		cmocka_unit_test(who_waits_is_served_in_order_and_not_overtaken),
		cmocka_unit_test(impatient_first_in_line_makes_way),
		cmocka_unit_test(what_another_thread_has_at_hand_can_be_had),
		cmocka_unit_test(thread_that_ends_leaves_nothing_at_hand),
		cmocka_unit_test(pool_with_things_out_names_them_and_stays_usable),
		cmocka_unit_test(freeing_the_pool_sends_home_who_waits),
		cmocka_unit_test(freeing_the_pool_waits_for_what_is_out),
		cmocka_unit_test(slabs_are_paid_from_the_budget_and_give_it_back),
		cmocka_unit_test(room_in_the_budget_made_by_others_is_seen),
		cmocka_unit_test(budget_that_shuts_down_ends_a_wait),
		cmocka_unit_test(heap_without_memory_is_an_error_and_not_a_wait),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
