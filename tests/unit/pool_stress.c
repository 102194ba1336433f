/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything at once: lcores and a thread without an lcore get, pass on and put objects
 * of two elastic pools under one host budget, while the limits change; at the end every
 * object and every byte is accounted for. For 2 seconds; for 60 with WEIR_SLOW set.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "harness.h"
#include "weir_budget.h"
#include "weir_lock.h"
#include "weir_mempool.h"

#define N_POOLS 2
#define N_OBJS 4000
#define OBJ_BYTES 256
#define HELD_MAX 1500
#define BULK_MAX 100
#define PASSED_MAX 1000
#define N_LCORES 3 /* that register themselves, and are given their stacks late */

/** Objects on their way from one thread to another. */
struct passed {
	struct weir_lock lock;
	uint32_t n;
	void *objs[PASSED_MAX];
};

struct storm {
	struct rte_mempool *pools[N_POOLS];
	struct passed passed[N_POOLS];
	uint64_t end;
	uint64_t gets, refusals;
	uint32_t stolen_twice; /* objects that two had at once */
};

/** An object's first word: 0 at home, else who has it. */
static void
objs_own(struct storm *storm, void **objs, uint32_t n, uint32_t from, uint32_t to)
{
	uint32_t i, was;

	for (i = 0; i < n; i++) {
		was = __atomic_exchange_n((uint32_t *)objs[i], to, __ATOMIC_RELAXED);
		if (was != from)
			__atomic_fetch_add(&storm->stolen_twice, 1, __ATOMIC_RELAXED);
	}
}

static bool
passed_push(struct passed *passed, void **objs, uint32_t n)
{
	bool room;

	weir_lock_take(&passed->lock);
	room = passed->n + n <= PASSED_MAX;
	if (room) {
		memcpy(&passed->objs[passed->n], objs, n * sizeof(*objs));
		passed->n += n;
	}
	weir_lock_give(&passed->lock);
	return room;
}

static uint32_t
passed_pop(struct passed *passed, void **objs, uint32_t n)
{
	weir_lock_take(&passed->lock);
	n = RTE_MIN(n, passed->n);
	passed->n -= n;
	memcpy(objs, &passed->objs[passed->n], n * sizeof(*objs));
	weir_lock_give(&passed->lock);
	return n;
}

static void
storm_run(struct storm *storm)
{
	static uint32_t n_started;
	uint32_t self = __atomic_add_fetch(&n_started, 1, __ATOMIC_RELAXED);
	unsigned int seed = self;
	void *held[N_POOLS][HELD_MAX];
	uint32_t n_held[N_POOLS] = {0}, n, p;
	uint64_t gets = 0, refusals = 0;

	while (rte_rdtsc() < storm->end) {
		p = rand_r(&seed) % N_POOLS;
		n = 1 + rand_r(&seed) % BULK_MAX;
		switch (rand_r(&seed) % 8) {
		case 0 ... 2: /* take */
			n = RTE_MIN(n, HELD_MAX - n_held[p]);
			if (n == 0)
				break;
			gets++;
			if (rte_mempool_get_bulk(storm->pools[p], &held[p][n_held[p]], n) != 0) {
				refusals++;
				break;
			}
			objs_own(storm, &held[p][n_held[p]], n, 0, self);
			n_held[p] += n;
			break;
		case 3 ... 4: /* give back */
			n = RTE_MIN(n, n_held[p]);
			n_held[p] -= n;
			objs_own(storm, &held[p][n_held[p]], n, self, 0);
			rte_mempool_put_bulk(storm->pools[p], &held[p][n_held[p]], n);
			break;
		case 5: /* pass on */
			n = RTE_MIN(n, n_held[p]);
			n_held[p] -= n;
			objs_own(storm, &held[p][n_held[p]], n, self, UINT32_MAX);
			if (passed_push(&storm->passed[p], &held[p][n_held[p]], n))
				break;
			objs_own(storm, &held[p][n_held[p]], n, UINT32_MAX, self);
			n_held[p] += n;
			break;
		case 6: /* give back what another took */
			n = passed_pop(&storm->passed[p], &held[p][n_held[p]],
				       RTE_MIN(n, HELD_MAX - n_held[p]));
			objs_own(storm, &held[p][n_held[p]], n, UINT32_MAX, 0);
			rte_mempool_put_bulk(storm->pools[p], &held[p][n_held[p]], n);
			break;
		default: /* all, now and then: slabs fall idle */
			if (rand_r(&seed) % 64 != 0)
				break;
			objs_own(storm, held[p], n_held[p], self, 0);
			rte_mempool_put_bulk(storm->pools[p], held[p], n_held[p]);
			n_held[p] = 0;
			rte_delay_us_sleep(2000);
		}
	}
	for (p = 0; p < N_POOLS; p++) {
		objs_own(storm, held[p], n_held[p], self, 0);
		rte_mempool_put_bulk(storm->pools[p], held[p], n_held[p]);
	}
	__atomic_fetch_add(&storm->gets, gets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&storm->refusals, refusals, __ATOMIC_RELAXED);
}

static void *
storm_thread(void *arg)
{
	storm_run(arg);
	return NULL;
}

static void *
storm_lcore(void *arg)
{
	assert_int_equal(rte_thread_register(), 0);
	storm_run(arg);
	rte_thread_unregister();
	return NULL;
}

static void
obj_zero(struct rte_mempool *mp, void *arg, void *obj, unsigned int index)
{
	memset(obj, 0, OBJ_BYTES);
}

static struct rte_mempool *
storm_pool_create(const char *name, struct weir_budget *budget, uint32_t keep_ms)
{
	struct weir_mempool_conf conf = {.budget = budget,
					 .populate = 100,
					 .keep = 300,
					 .slab_bytes = 16 << 10,
					 .keep_ms = keep_ms};
	struct rte_mempool *mp;

	mp = rte_mempool_create_empty(name, N_OBJS, OBJ_BYTES, 0, 0, SOCKET_ID_ANY, 0);
	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, &conf), 0);
	assert_int_equal(rte_mempool_populate_default(mp), N_OBJS);
	rte_mempool_obj_iter(mp, obj_zero, NULL);
	return mp;
}

static size_t
heap_used(void)
{
	struct rte_malloc_socket_stats stats;

	rte_malloc_get_socket_stats(rte_socket_id(), &stats);
	return stats.heap_allocsz_bytes;
}

static void
storm_leaves_every_byte_accounted_for(void **state)
{
	const uint64_t seconds = getenv("WEIR_SLOW") != NULL ? 60 : 2;
	size_t before = heap_used();
	struct weir_budget *host = weir_budget_create("host", NULL, 3 << 20);
	struct weir_budget *guest = weir_budget_create("guest", host, 2 << 20);
	static struct storm storm;
	struct weir_mempool_stats stats;
	pthread_t threads[N_LCORES + 1];
	unsigned int seed = 7;
	void *obj;
	int p;

	storm.pools[0] = storm_pool_create("storm0", host, 0);
	storm.pools[1] = storm_pool_create("storm1", guest, 20);
	storm.end = rte_rdtsc() + rte_get_tsc_hz() * seconds;
	for (p = 0; p <= N_LCORES; p++)
		pthread_create(&threads[p], NULL, p < N_LCORES ? storm_lcore : storm_thread,
			       &storm);
	while (rte_rdtsc() < storm.end) {
		weir_budget_set_limit(host, (1 << 20) + rand_r(&seed) % (2 << 20));
		weir_budget_set_limit(guest, (256 << 10) + rand_r(&seed) % (2 << 20));
		rte_delay_us_sleep(rand_r(&seed) % 5000);
	}
	for (p = 0; p <= N_LCORES; p++)
		pthread_join(threads[p], NULL);
	for (p = 0; p < N_POOLS; p++) {
		while (passed_pop(&storm.passed[p], &obj, 1) == 1) {
			*(uint32_t *)obj = 0;
			rte_mempool_put(storm.pools[p], obj);
		}
		assert_int_equal(weir_mempool_stats(storm.pools[p], &stats), 0);
		print_message("%s: %lu slabs grown (%lu in the data path), %lu returned, "
			      "%lu steals, %lu refusals\n",
			      storm.pools[p]->name, stats.grown, stats.grown_in_datapath,
			      stats.returned, stats.steals, stats.refusals);
		assert_int_equal(stats.out, 0);
		assert_true(rte_mempool_full(storm.pools[p]));
	}
	print_message("%lu gets, %lu of them refused\n", storm.gets, storm.refusals);
	assert_int_equal(storm.stolen_twice, 0);
	assert_true(storm.gets > storm.refusals);
	for (p = 0; p < N_POOLS; p++)
		rte_mempool_free(storm.pools[p]);
	assert_int_equal(weir_budget_used_bytes(host), 0);
	assert_int_equal(weir_budget_free(guest), 0);
	assert_int_equal(weir_budget_free(host), 0);
	assert_int_equal(heap_used(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm_leaves_every_byte_accounted_for),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
