/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode pool: the mempool driver beside DPDK's own.
 *
 * Cycles of the time stamp counter for one object's get and put, of one lcore: with two
 * lcores at work, what one of them needs.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <rte_ring.h>

#include "bench.h"
#include "weir_error.h"
#include "weir_mempool.h"

#define N_OBJS 8191
#define OBJ_BYTES 2048
#define TOUCH_BYTES 1536
#define CACHE_SIZE 256
#define BULK_MAX 512
#define RING_SIZE 1024

static const char *const drivers[] = {"weir", "ring_mp_mc", "stack", "lf_stack", "bucket"};
#define N_DRIVERS RTE_DIM(drivers)

static struct rte_mempool *plain[N_DRIVERS], *cached[N_DRIVERS];

/** What one lcore does, and finds. */
struct work {
	struct rte_mempool *mp;
	struct rte_ring *ring;
	uint32_t bulk;
	uint32_t touch_bytes;
	uint64_t cycles; /* how long */
	uint32_t *ready; /* lcores that stand at the start */
	uint32_t n_lcores;
	double figure; /* cycles an object; NAN: a get failed */
	bool *done;
};

static void
work_line_up(struct work *work)
{
	__atomic_fetch_add(work->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(work->ready, __ATOMIC_ACQUIRE) < work->n_lcores)
		rte_pause();
}

static void
objs_touch(void **objs, uint32_t n, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		memset(objs[i], (int)i, bytes);
}

static int
work_get_put(void *arg)
{
	struct work *work = arg;
	void *objs[BULK_MAX];
	uint64_t start, end, now, n = 0;
	uint32_t i;

	work_line_up(work);
	start = rte_rdtsc();
	end = start + work->cycles;
	do {
		for (i = 0; i < 64; i++) {
			if (rte_mempool_get_bulk(work->mp, objs, work->bulk) != 0) {
				work->figure = NAN;
				return 0;
			}
			if (work->touch_bytes > 0)
				objs_touch(objs, work->bulk, work->touch_bytes);
			rte_mempool_put_bulk(work->mp, objs, work->bulk);
		}
		n += (uint64_t)64 * work->bulk;
		now = rte_rdtsc();
	} while (now < end);
	work->figure = (double)(now - start) / n;
	return 0;
}

static int
work_produce(void *arg)
{
	struct work *work = arg;
	void *objs[BULK_MAX];
	uint64_t start, now, n = 0;

	work_line_up(work);
	start = rte_rdtsc();
	do {
		if (rte_mempool_get_bulk(work->mp, objs, work->bulk) == 0) {
			while (rte_ring_sp_enqueue_bulk(work->ring, objs, work->bulk, NULL) == 0)
				rte_pause();
			n += work->bulk;
		}
		now = rte_rdtsc();
	} while (now < start + work->cycles);
	__atomic_store_n(work->done, true, __ATOMIC_RELEASE);
	work->figure = n > 0 ? (double)(now - start) / n : NAN;
	return 0;
}

static int
work_consume(void *arg)
{
	struct work *work = arg;
	void *objs[BULK_MAX];
	bool done;

	work_line_up(work);
	do {
		done = __atomic_load_n(work->done, __ATOMIC_ACQUIRE);
		while (rte_ring_sc_dequeue_bulk(work->ring, objs, work->bulk, NULL) != 0)
			rte_mempool_put_bulk(work->mp, objs, work->bulk);
	} while (!done);
	return 0;
}

/** A case: what runs on the main lcore and, unless NULL, on the worker. */
struct shape {
	int (*main)(void *arg);
	int (*worker)(void *arg);
	bool cache;
	uint32_t bulk;
	uint32_t touch_bytes;
};

static double
shape_run(const struct bench_options *options, const struct shape *shape, struct rte_mempool *mp,
	  struct rte_ring *ring)
{
	uint32_t ready = 0;
	bool done = false;
	struct work mine = {
		.mp = mp,
		.ring = ring,
		.bulk = shape->bulk,
		.touch_bytes = shape->touch_bytes,
		.cycles = rte_get_tsc_hz() / 1000000 * options->slice_us,
		.ready = &ready,
		.n_lcores = shape->worker != NULL ? 2 : 1,
		.done = &done,
	};
	struct work other = mine;

	if (mp == NULL)
		return NAN;
	if (shape->worker != NULL)
		rte_eal_remote_launch(shape->worker, &other, options->worker);
	shape->main(&mine);
	if (shape->worker != NULL)
		rte_eal_wait_lcore(options->worker);
	if (shape->worker == work_get_put)
		return (mine.figure + other.figure) / 2;
	return mine.figure;
}

static void
shape_measure(const struct bench_options *options, const struct bench_table *table,
	      const char *what, const struct shape *shape, struct rte_ring *ring)
{
	double figures[N_DRIVERS][100], best[N_DRIVERS];
	uint32_t round;
	unsigned int i;

	if (shape->worker != NULL && options->worker >= RTE_MAX_LCORE)
		return;
	for (round = 0; bench_round(options, what, round); round++)
		for (i = 0; i < N_DRIVERS; i++)
			figures[i][round] = shape_run(options, shape,
						      shape->cache ? cached[i] : plain[i], ring);
	for (i = 0; i < N_DRIVERS; i++)
		best[i] = shape->worker != NULL ? bench_median(figures[i], round)
						: bench_best(table, figures[i], round);
	bench_table_row(options, table, what, best);
}

static struct rte_mempool *
bench_pool_create(const char *driver, uint32_t cache_size)
{
	struct rte_mempool *mp;
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%u", driver, cache_size);
	mp = rte_mempool_create_empty(name, N_OBJS, OBJ_BYTES, cache_size, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL)
		return NULL;
	if (rte_mempool_set_ops_byname(mp, driver, NULL) != 0 ||
	    rte_mempool_populate_default(mp) < 0) {
		rte_mempool_free(mp);
		return NULL;
	}
	return mp;
}

static void
pools_measure(const struct bench_options *options, struct rte_ring *ring)
{
	static const uint32_t bulks[] = {1, 4, 8, 32, 64, 128, 256, 512};
	struct bench_table table = {
		.mode = "pool",
		.title = "get and put",
		.unit = "cycles an object",
		.contenders = drivers,
		.n_contenders = N_DRIVERS,
	};
	char what[64];
	size_t i;

	bench_table_head(options, &table);
	/* Before anything shuffles the pools: how objects share cache sets is luck afterwards. */
	shape_measure(options, &table, "1 lcore, bulk 32, 1536 B written",
		      &(struct shape){.main = work_get_put, .bulk = 32, .touch_bytes = TOUCH_BYTES},
		      ring);
	shape_measure(options, &table, "2 lcores, bulk 32, 1536 B written",
		      &(struct shape){.main = work_get_put,
				      .worker = work_get_put,
				      .bulk = 32,
				      .touch_bytes = TOUCH_BYTES},
		      ring);
	for (i = 0; i < RTE_DIM(bulks); i++) {
		snprintf(what, sizeof(what), "1 lcore, bulk %u", bulks[i]);
		shape_measure(options, &table, what,
			      &(struct shape){.main = work_get_put, .bulk = bulks[i]}, ring);
	}
	for (i = 0; i < RTE_DIM(bulks); i++) {
		snprintf(what, sizeof(what), "2 lcores, bulk %u", bulks[i]);
		shape_measure(options, &table, what,
			      &(struct shape){.main = work_get_put,
					      .worker = work_get_put,
					      .bulk = bulks[i]},
			      ring);
	}
	for (i = 0; i < RTE_DIM(bulks) && bulks[i] <= RING_SIZE / 4; i++) {
		snprintf(what, sizeof(what), "one gets, the other puts, bulk %u", bulks[i]);
		shape_measure(options, &table, what,
			      &(struct shape){.main = work_produce,
					      .worker = work_consume,
					      .bulk = bulks[i]},
			      ring);
	}
	shape_measure(options, &table, "1 lcore, cache, bulk 32",
		      &(struct shape){.main = work_get_put, .cache = true, .bulk = 32}, ring);
	shape_measure(
		options, &table, "2 lcores, cache, bulk 32",
		&(struct shape){
			.main = work_get_put, .worker = work_get_put, .cache = true, .bulk = 32},
		ring);
	shape_measure(
		options, &table, "one gets, the other puts, cache",
		&(struct shape){
			.main = work_produce, .worker = work_consume, .cache = true, .bulk = 32},
		ring);
}

static int
pool_run(const struct bench_options *options)
{
	struct rte_ring *ring;
	unsigned int i;
	int rc = 0;

	ring = rte_ring_create("bench", RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (ring == NULL)
		return weir_error(rte_errno, "no memory for a ring");
	for (i = 0; i < N_DRIVERS; i++) {
		plain[i] = bench_pool_create(drivers[i], 0);
		cached[i] = bench_pool_create(drivers[i], CACHE_SIZE);
	}
	if (plain[0] == NULL || cached[0] == NULL)
		rc = weir_error(ENOMEM, "no memory for %u objects of %u bytes", 2 * N_OBJS,
				OBJ_BYTES);
	else
		pools_measure(options, ring);
	for (i = 0; i < N_DRIVERS; i++) {
		rte_mempool_free(plain[i]);
		rte_mempool_free(cached[i]);
	}
	rte_ring_free(ring);
	return rc;
}

static const struct bench_mode pool_mode = {
	.name = "pool",
	.usage = "pool            the mempool driver weir beside DPDK's own",
	.run = pool_run,
};

BENCH_MODE_REGISTER(pool_mode);
