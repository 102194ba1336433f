/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode growth: how long a get takes while a pool grows.
 *
 * One lcore takes objects one by one, at a pace at which the memory thread keeps up or
 * without any, holds them, gives them all back, and begins again; the time of every get
 * is kept. A pool that cannot grow does the same beside it: what it shows is the
 * machine's own noise.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mempool.h>

#include "bench.h"
#include "weir_error.h"
#include "weir_mempool.h"

#define N_GETS 1000000
#define N_OBJS 16384
#define HELD 8192
#define OBJ_BYTES 2048
#define KEPT 1024
#define SLAB_BYTES (512 << 10)
#define PACE_NS 2000
#define LONG_US 20
#define LOOK_EVERY 64

static const char *const pools[] = {"weir", "ring_mp_mc"};
#define N_POOLS RTE_DIM(pools)

struct growth {
	struct rte_mempool *mp;
	bool elastic;
	uint64_t pace_cycles;
	uint32_t *cycles; /* of each get */
	uint32_t n_failed;
	uint32_t n_long;     /* gets that were long though the memory thread kept up */
	uint64_t grown_seen; /* by the data path, at the last look */
};

static uint64_t
grown_in_datapath(struct rte_mempool *mp)
{
	struct weir_mempool_stats stats = {0};

	weir_mempool_stats(mp, &stats);
	return stats.grown_in_datapath;
}

/** Long gets in which the data path itself grew the pool are another row. */
static void
growth_tell(struct growth *growth, uint32_t i)
{
	const bool is_long = growth->cycles[i] > rte_get_tsc_hz() / 1000000 * LONG_US;
	uint64_t grown;

	if (!is_long && (!growth->elastic || i % LOOK_EVERY != 0))
		return;
	grown = growth->elastic ? grown_in_datapath(growth->mp) : 0;
	growth->n_long += is_long && grown == growth->grown_seen;
	growth->grown_seen = grown;
}

static int
growth_work(void *arg)
{
	struct growth *growth = arg;
	static void *held[HELD];
	uint64_t next = rte_rdtsc(), start;
	uint32_t i, n_held = 0;

	for (i = 0; i < N_GETS; i++) {
		while (rte_rdtsc() < next)
			rte_pause();
		start = rte_rdtsc();
		if (rte_mempool_get(growth->mp, &held[n_held]) == 0)
			n_held++;
		else
			growth->n_failed++;
		growth->cycles[i] = RTE_MIN(rte_rdtsc() - start, UINT32_MAX);
		growth_tell(growth, i);
		next = start + growth->pace_cycles;
		if (n_held == HELD) {
			rte_mempool_put_bulk(growth->mp, held, n_held);
			n_held = 0;
			/* A pause in which slabs fall idle and are returned. */
			rte_delay_us_block(growth->pace_cycles > 0 ? 0 : 20000);
			next = rte_rdtsc();
		}
	}
	rte_mempool_put_bulk(growth->mp, held, n_held);
	return 0;
}

static int
cycles_compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double
share_above(const uint32_t *cycles, double limit)
{
	uint32_t i, n = 0;

	for (i = 0; i < N_GETS; i++)
		n += cycles[i] > limit;
	return n * 1e6 / N_GETS;
}

static struct rte_mempool *
growth_pool_create(const char *ops)
{
	struct weir_mempool_conf conf = {.populate = KEPT, .slab_bytes = SLAB_BYTES};
	struct rte_mempool *mp;

	mp = rte_mempool_create_empty(ops, N_OBJS, OBJ_BYTES, 0, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL)
		return NULL;
	if (rte_mempool_set_ops_byname(mp, ops, ops == pools[0] ? &conf : NULL) != 0 ||
	    rte_mempool_populate_default(mp) < 0) {
		rte_mempool_free(mp);
		return NULL;
	}
	return mp;
}

static int
growth_measure(const struct bench_options *options, const char *title, uint64_t pace_ns,
	       uint32_t *cycles)
{
	const double us = rte_get_tsc_hz() / 1e6;
	const struct bench_table table = {
		.mode = "growth",
		.title = title,
		.unit = "us",
		.contenders = pools,
		.n_contenders = N_POOLS,
	};
	double median[N_POOLS], high[N_POOLS], most[N_POOLS], above[N_POOLS], kept_up[N_POOLS];
	struct weir_mempool_stats stats = {0};
	struct growth growth;
	unsigned int i;

	for (i = 0; i < N_POOLS; i++) {
		growth = (struct growth){.mp = growth_pool_create(pools[i]),
					 .elastic = i == 0,
					 .pace_cycles = pace_ns * us / 1000,
					 .cycles = cycles};
		if (growth.mp == NULL)
			return weir_error(ENOMEM, "no memory for %u objects of %u bytes", N_OBJS,
					  OBJ_BYTES);
		if (options->worker < RTE_MAX_LCORE) {
			rte_eal_remote_launch(growth_work, &growth, options->worker);
			rte_eal_wait_lcore(options->worker);
		} else {
			growth_work(&growth);
		}
		if (i == 0)
			weir_mempool_stats(growth.mp, &stats);
		rte_mempool_free(growth.mp);
		if (growth.n_failed > 0)
			return weir_error(ENOMEM, "%s: %u gets failed", pools[i], growth.n_failed);
		above[i] = share_above(cycles, LONG_US * us);
		kept_up[i] = growth.n_long * 1e6 / N_GETS;
		qsort(cycles, N_GETS, sizeof(*cycles), cycles_compare);
		median[i] = cycles[N_GETS / 2] / us;
		high[i] = cycles[N_GETS - N_GETS / 10000] / us;
		most[i] = cycles[N_GETS - 1] / us;
	}
	bench_table_head(options, &table);
	bench_table_row(options, &table, "a get, median", median);
	bench_table_row(options, &table, "99.99 % of the gets within", high);
	bench_table_row(options, &table, "the longest of a million", most);
	bench_table_row(options, &table, "gets of a million above 20 us", above);
	bench_table_row(options, &table, "the same, no slab grown in the data path", kept_up);
	if (!options->json)
		printf("%lu slabs were grown, %lu of them in the data path\n", stats.grown,
		       stats.grown_in_datapath);
	return 0;
}

static int
growth_run(const struct bench_options *options)
{
	uint32_t *cycles = calloc(N_GETS, sizeof(*cycles));
	int rc;

	if (cycles == NULL)
		return weir_error(ENOMEM, "no memory for %u figures", N_GETS);
	rc = growth_measure(options, "a pool that grows, a get every 2 us", PACE_NS, cycles);
	if (rc == 0 && !bench_stopped())
		rc = growth_measure(options, "a pool that grows, gets without a pause", 0, cycles);
	free(cycles);
	return rc;
}

static const struct bench_mode growth_mode = {
	.name = "growth",
	.usage = "growth          how long a get takes while a pool grows",
	.run = growth_run,
};

BENCH_MODE_REGISTER(growth_mode);
