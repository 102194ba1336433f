/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode distance: a cache line to another lcore and back. Who compares figures of two
 * lcores measures this beside each, for a virtual machine's cores move.
 */
#include <errno.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "bench.h"
#include "weir_error.h"

/* Lines of their own. */
static struct {
	uint32_t number __rte_cache_aligned;
} there, back;
static uint32_t end;

static int
answer(void *arg)
{
	uint32_t seen = 0, number;

	while (__atomic_load_n(&end, __ATOMIC_RELAXED) == 0) {
		number = __atomic_load_n(&there.number, __ATOMIC_ACQUIRE);
		if (number != seen)
			__atomic_store_n(&back.number, seen = number, __ATOMIC_RELEASE);
	}
	return 0;
}

/** The best of many, in nanoseconds: the others were disturbed. */
static double
ping(const struct bench_options *options)
{
	uint64_t begin = rte_rdtsc(), length = options->slice_us * rte_get_tsc_hz() / 1000000;
	uint64_t start, now = begin, best = UINT64_MAX;
	uint32_t number = there.number, i;

	while (now - begin < length) {
		start = now;
		for (i = 0; i < 16; i++) {
			__atomic_store_n(&there.number, ++number, __ATOMIC_RELEASE);
			while (__atomic_load_n(&back.number, __ATOMIC_ACQUIRE) != number)
				rte_pause();
		}
		now = rte_rdtsc();
		best = RTE_MIN(best, now - start);
	}
	return best * 1e9 / 16 / rte_get_tsc_hz();
}

static int
distance_run(const struct bench_options *options)
{
	static const char *const contenders[] = {"lcores"};
	const struct bench_table table = {
		.mode = "distance",
		.title = "distance of two lcores",
		.unit = "ns",
		.contenders = contenders,
		.n_contenders = 1,
	};
	double figures[100], median;
	uint32_t round;

	if (options->worker >= RTE_MAX_LCORE)
		return weir_error(EINVAL, "distance: a second lcore is needed: -l 0,1");
	bench_table_head(options, &table);
	rte_eal_remote_launch(answer, NULL, options->worker);
	for (round = 0; bench_round(options, "distance", round); round++)
		figures[round] = ping(options);
	__atomic_store_n(&end, 1, __ATOMIC_RELAXED);
	rte_eal_wait_lcore(options->worker);
	median = bench_median(figures, round);
	bench_table_row(options, &table, "a cache line there and back", &median);
	return 0;
}

static const struct bench_mode distance_mode = {
	.name = "distance",
	.usage = "distance        how far two lcores are: a cache line there and back",
	.run = distance_run,
};

BENCH_MODE_REGISTER(distance_mode);
