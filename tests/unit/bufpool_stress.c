/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bufpool under load: many who wait for little, and a soak of all lengths. The soak
 * takes 60 seconds, 10 under a sanitizer, and 10 minutes with WEIR_SLOW set; most of it
 * asleep, so that what runs beside it gets on. WEIR_SOAK_S says otherwise.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "harness.h"
#include "weir_bufpool.h"
#include "weir_budget.h"
#include "weir_lock.h"
#include "weir_sanitize.h"

#define N_CALLERS 8

#ifdef WEIR_SANITIZE
#define N_ALLOCS 100000u
#define SOAK_S 10
#else
#define N_ALLOCS 1000000u
#define SOAK_S 60
#endif

struct callers {
	struct weir_bufpool *pool;
	struct weir_bufs *has; /* who has the one there is */
	uint32_t n_allocs;
	uint32_t overlaps;
};

static void *
caller_main(void *arg)
{
	struct callers *callers = arg;
	struct weir_bufs *bufs;

	while (__atomic_fetch_add(&callers->n_allocs, 1, __ATOMIC_RELAXED) < N_ALLOCS) {
		bufs = weir_bufpool_alloc(callers->pool, 3);
		assert_non_null(bufs);
		if (__atomic_exchange_n(&callers->has, bufs, __ATOMIC_ACQUIRE) != NULL)
			callers->overlaps++;
		__atomic_store_n(&callers->has, NULL, __ATOMIC_RELEASE);
		weir_bufs_free(bufs);
	}
	return NULL;
}

static void
million_blocked_allocations_none_stuck_none_lost(void **state)
{
	struct weir_bufpool *pool = weir_bufpool_create(
		"bufs", &(struct weir_bufpool_conf){.buffer_bytes = 2048,
						    .limit_bytes = 5 * 2048,
						    .numa_node = SOCKET_ID_ANY});
	struct callers callers = {.pool = pool};
	struct weir_bufs *all = weir_bufpool_alloc(pool, 3);
	struct weir_bufpool_stats stats;
	pthread_t threads[N_CALLERS];
	int i;

	for (i = 0; i < N_CALLERS; i++)
		pthread_create(&threads[i], NULL, caller_main, &callers);
	/* Each waits at least once. */
	do {
		usleep(1000);
		weir_bufpool_stats(pool, &stats);
	} while (stats.waits < N_CALLERS);
	weir_bufs_free(all);
	for (i = 0; i < N_CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(callers.overlaps, 0);
	weir_bufpool_stats(pool, &stats);
	assert_int_equal(stats.out_bytes, 0);
	assert_int_equal(stats.peak_bytes, 3 * 2048);
	printf("%u allocations, %u waits\n", N_ALLOCS, (uint32_t)stats.waits);
	assert_int_equal(weir_bufpool_free(pool, 0), 0);
}

#define N_SOAKERS 4
#define HELD_MAX 64
#define BUFFER_BYTES 64
#define LIMIT_BYTES (16u << 20)
#define BUDGET_BYTES (24u << 20)
#define PASSED_MAX 256

struct soak {
	struct weir_bufpool *pools[2]; /* one has a limit, both have the budget */
	uint64_t end;
	struct weir_lock lock;
	uint32_t n_passed;
	struct weir_bufs *passed[PASSED_MAX];
	uint64_t allocs, refusals;
	uint32_t broken; /* allocations that someone else wrote to */
};

/** All lengths: half of them short, so that there are many. */
static uint32_t
length_draw(unsigned int *seed)
{
	const uint32_t bits = 1 + rand_r(seed) % 16;

	return 1 + (uint32_t)rand_r(seed) % RTE_MIN(1u << bits, WEIR_BUFPOOL_N_MAX);
}

/** Mark both ends and some between, as this allocation's own. */
static void
bufs_mark(struct weir_bufs *bufs)
{
	uint32_t i, step = bufs->length / 8 + 1;

	for (i = 0; i < bufs->length; i += step)
		*(uint64_t *)weir_bufs_at(bufs, i) = (uintptr_t)bufs;
	*(uint64_t *)weir_bufs_at(bufs, bufs->length - 1) = (uintptr_t)bufs;
}

static void
bufs_check_and_free(struct soak *soak, struct weir_bufs *bufs)
{
	uint32_t i, step = bufs->length / 8 + 1;
	bool right = true;

	for (i = 0; i < bufs->length; i += step)
		right &= *(uint64_t *)weir_bufs_at(bufs, i) == (uintptr_t)bufs;
	right &= *(uint64_t *)weir_bufs_at(bufs, bufs->length - 1) == (uintptr_t)bufs;
	if (!right)
		__atomic_fetch_add(&soak->broken, 1, __ATOMIC_RELAXED);
	weir_bufs_free(bufs);
}

/** Leave it to whoever comes next, and take what lies there. */
static struct weir_bufs *
bufs_pass(struct soak *soak, struct weir_bufs *bufs, uint32_t place)
{
	struct weir_bufs *other;

	weir_lock_take(&soak->lock);
	other = soak->passed[place];
	soak->passed[place] = bufs;
	weir_lock_give(&soak->lock);
	return other;
}

static void *
soaker_main(void *arg)
{
	static uint32_t n_started;
	struct soak *soak = arg;
	unsigned int seed = __atomic_add_fetch(&n_started, 1, __ATOMIC_RELAXED);
	struct weir_bufs *held[HELD_MAX] = {NULL}, *bufs;
	uint64_t allocs = 0, refusals = 0;
	uint32_t i, n;

	while (rte_rdtsc() < soak->end) {
		if (rand_r(&seed) % 64 == 0)
			usleep(100);
		i = rand_r(&seed) % HELD_MAX;
		if (held[i] != NULL) {
			bufs = held[i];
			if (rand_r(&seed) % 4 == 0)
				bufs = bufs_pass(soak, bufs, rand_r(&seed) % PASSED_MAX);
			if (bufs != NULL)
				bufs_check_and_free(soak, bufs);
			held[i] = NULL;
			continue;
		}
		n = length_draw(&seed);
		/* Who waits forever holds nothing: else they would wait for each other. */
		held[i] = rand_r(&seed) % 64 == 0
				  ? weir_bufpool_alloc_timed(soak->pools[i % 2], n, 500)
				  : weir_bufpool_try_alloc(soak->pools[i % 2], n);
		allocs++;
		if (held[i] == NULL)
			refusals++;
		else
			bufs_mark(held[i]);
	}
	for (i = 0; i < HELD_MAX; i++)
		if (held[i] != NULL)
			bufs_check_and_free(soak, held[i]);
	__atomic_fetch_add(&soak->allocs, allocs, __ATOMIC_RELAXED);
	__atomic_fetch_add(&soak->refusals, refusals, __ATOMIC_RELAXED);
	return NULL;
}

static size_t
heap_used(void)
{
	struct rte_malloc_socket_stats stats;

	rte_malloc_get_socket_stats(rte_socket_id(), &stats);
	return stats.heap_allocsz_bytes;
}

static uint64_t
soak_seconds(void)
{
	const char *seconds = getenv("WEIR_SOAK_S");

	if (seconds != NULL)
		return strtoul(seconds, NULL, 10);
	return getenv("WEIR_SLOW") != NULL ? 600 : SOAK_S;
}

static void
soak_of_all_lengths_returns_every_byte(void **state)
{
	struct weir_budget *budget = weir_budget_create("host", NULL, BUDGET_BYTES);
	struct soak soak = {.end = rte_rdtsc() + rte_get_tsc_hz() * soak_seconds()};
	struct weir_bufpool_conf conf = {.buffer_bytes = BUFFER_BYTES,
					 .limit_bytes = LIMIT_BYTES,
					 .budget = budget,
					 .numa_node = SOCKET_ID_ANY};
	const size_t heap = heap_used();
	pthread_t threads[N_SOAKERS];
	int i;

	soak.pools[0] = weir_bufpool_create("limited", &conf);
	conf.limit_bytes = 0;
	soak.pools[1] = weir_bufpool_create("budgeted", &conf);
	for (i = 0; i < N_SOAKERS; i++)
		pthread_create(&threads[i], NULL, soaker_main, &soak);
	for (i = 0; i < N_SOAKERS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < PASSED_MAX; i++)
		if (soak.passed[i] != NULL)
			bufs_check_and_free(&soak, soak.passed[i]);
	printf("%" PRIu64 " allocations, %" PRIu64 " of them refused\n", soak.allocs,
	       soak.refusals);
	assert_int_equal(soak.broken, 0);
	assert_true(soak.refusals < soak.allocs);
	weir_bufpool_trim(soak.pools[0]);
	weir_bufpool_trim(soak.pools[1]);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
	assert_int_equal(weir_bufpool_free(soak.pools[0], 0), 0);
	assert_int_equal(weir_bufpool_free(soak.pools[1], 0), 0);
	assert_int_equal(heap_used(), heap);
	assert_int_equal(weir_budget_free(budget), 0);
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
		cmocka_unit_test(million_blocked_allocations_none_stuck_none_lost),
		cmocka_unit_test(soak_of_all_lengths_returns_every_byte),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
