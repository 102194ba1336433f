/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode budget: a reserve and its release, beside the mutex and counter that a budget
 * is in the textbook.
 */
#include <errno.h>
#include <pthread.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "bench.h"
#include "weir_budget.h"
#include "weir_error.h"

#define LEVELS_MAX 3
#define LIMIT_BYTES (1ULL << 40)
#define RESERVE_BYTES 2048

/** Each level on cache lines of its own, as weir's budgets are. */
struct plain {
	pthread_mutex_t mutex;
	uint64_t used;
} __rte_cache_aligned;

static struct weir_budget *budgets[LEVELS_MAX];
static struct plain plains[LEVELS_MAX];

static void
cycle_weir(unsigned int n_levels)
{
	if (weir_budget_try_reserve(budgets[n_levels - 1], RESERVE_BYTES) == 0)
		weir_budget_release(budgets[n_levels - 1], RESERVE_BYTES);
}

static void
mutexes_add(unsigned int n_levels, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < n_levels; i++) {
		pthread_mutex_lock(&plains[i].mutex);
		plains[i].used += bytes;
		pthread_mutex_unlock(&plains[i].mutex);
	}
}

static void
cycle_mutex(unsigned int n_levels)
{
	mutexes_add(n_levels, RESERVE_BYTES);
	mutexes_add(n_levels, -(uint64_t)RESERVE_BYTES);
}

static const char *const names[] = {"weir", "mutex"};
static void (*const cycles[])(unsigned int n_levels) = {cycle_weir, cycle_mutex};
#define N_KINDS RTE_DIM(names)

struct work {
	void (*cycle)(unsigned int n_levels);
	unsigned int n_levels;
	uint64_t duration;
	uint32_t *ready, n_lcores;
	double figure;
};

static int
work_run(void *arg)
{
	struct work *work = arg;
	uint64_t start, now, n = 0;
	int i;

	__atomic_fetch_add(work->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(work->ready, __ATOMIC_ACQUIRE) < work->n_lcores)
		rte_pause();
	start = rte_rdtsc();
	do {
		for (i = 0; i < 64; i++)
			work->cycle(work->n_levels);
		n += 64;
		now = rte_rdtsc();
	} while (now < start + work->duration);
	work->figure = (double)(now - start) / n;
	return 0;
}

static double
kind_measure(const struct bench_options *options, unsigned int kind, unsigned int n_levels,
	     bool both)
{
	uint32_t ready = 0;
	struct work mine = {
		.cycle = cycles[kind],
		.n_levels = n_levels,
		.duration = rte_get_tsc_hz() / 1000000 * options->slice_us,
		.ready = &ready,
		.n_lcores = both ? 2 : 1,
	};
	struct work other = mine;

	if (both)
		rte_eal_remote_launch(work_run, &other, options->worker);
	work_run(&mine);
	if (!both)
		return mine.figure;
	rte_eal_wait_lcore(options->worker);
	return (mine.figure + other.figure) / 2;
}

static void
budgets_measure(const struct bench_options *options)
{
	static const char *const what[2][LEVELS_MAX] = {
		{"1 lcore, 1 level", "1 lcore, 2 levels", "1 lcore, 3 levels"},
		{"2 lcores, 1 level", "2 lcores, 2 levels", "2 lcores, 3 levels"}};
	const struct bench_table table = {
		.mode = "budget",
		.title = "reserve and release",
		.unit = "cycles",
		.contenders = names,
		.n_contenders = N_KINDS,
	};
	double figures[N_KINDS][100], row[N_KINDS];
	unsigned int both, n_levels, kind;
	uint32_t round;

	bench_table_head(options, &table);
	for (both = 0; both < (options->worker < RTE_MAX_LCORE ? 2u : 1u); both++) {
		for (n_levels = 1; n_levels <= LEVELS_MAX; n_levels++) {
			for (round = 0; bench_round(options, what[both][n_levels - 1], round);
			     round++)
				for (kind = 0; kind < N_KINDS; kind++)
					figures[kind][round] =
						kind_measure(options, kind, n_levels, both);
			for (kind = 0; kind < N_KINDS; kind++)
				row[kind] = both ? bench_median(figures[kind], round)
						 : bench_best(&table, figures[kind], round);
			bench_table_row(options, &table, what[both][n_levels - 1], row);
		}
	}
}

static int
budget_run(const struct bench_options *options)
{
	static const char *const level_names[LEVELS_MAX] = {"host", "guest", "pool"};
	int i, rc = 0;

	for (i = 0; i < LEVELS_MAX && rc == 0; i++) {
		pthread_mutex_init(&plains[i].mutex, NULL);
		budgets[i] = weir_budget_create(level_names[i], i == 0 ? NULL : budgets[i - 1],
						LIMIT_BYTES);
		if (budgets[i] == NULL)
			rc = -rte_errno;
	}
	if (rc == 0)
		budgets_measure(options);
	while (i-- > 0)
		weir_budget_free(budgets[i]);
	return rc;
}

static const struct bench_mode budget_mode = {
	.name = "budget",
	.usage = "budget          a budget's reserve and release beside a mutex",
	.run = budget_run,
};

BENCH_MODE_REGISTER(budget_mode);
