/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why it does not flap. A move is made only when it takes a fifth of its load from the
 * busier of the two lcores, or is the first of several small ones that will, none of which
 * makes the other the busier. The way back would raise what was lowered, so it never
 * follows from the same loads, nor from loads that waver by less than was gained. Loads
 * that change as fast as they are measured are outlasted by the rest of a moved pair.
 */
#include <stdlib.h>

#include <rte_common.h>
#include <rte_memory.h>

#include "balance.h"

/** An lcore's time, of 1000. */
#define ALL 1000

static bool
node_has_lcore(const struct balance_lcore *lcores, unsigned int n, int numa_node)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (lcores[i].numa_node == numa_node)
			return true;
	return false;
}

bool
balance_is_home(const struct balance_lcore *lcores, unsigned int n, unsigned int at, int numa_node)
{
	return numa_node == SOCKET_ID_ANY || lcores[at].numa_node == numa_node ||
	       !node_has_lcore(lcores, n, numa_node);
}

unsigned int
balance_place(const struct balance_lcore *lcores, unsigned int n, int numa_node)
{
	bool home, best_home = false;
	unsigned int i, best = n;

	for (i = 0; i < n; i++) {
		if (lcores[i].is_full)
			continue;
		home = balance_is_home(lcores, n, i, numa_node);
		if (best == n || (home && !best_home) ||
		    (home == best_home && lcores[i].n_pairs < lcores[best].n_pairs)) {
			best = i;
			best_home = home;
		}
	}
	return best;
}

/** How much a move gains, of 1000; 0 when it is not to be made. */
static unsigned int
gain_of(unsigned int from, unsigned int to, unsigned int load, bool comes_home)
{
	unsigned int after = RTE_MAX(from - load, to + load), worth = from * BALANCE_GAIN / 100;

	/* Near its memory a pair has less to do: worth more than evenness. */
	if (comes_home)
		return after <= ALL || after < from ? 2 * ALL - RTE_MIN(after, 2U * ALL - 1) : 0;
	if (from < BALANCE_BUSY || after >= from)
		return 0;
	/* Pairs as small as this one can take half of the difference with them. */
	if (from - after < worth && (2 * load > from - to || (from - to) / 2 < worth))
		return 0;
	return from - after;
}

bool
balance_pick(const struct balance_lcore *lcores, unsigned int n_lcores,
	     const struct balance_pair *pairs, unsigned int n_pairs, struct balance_move *move)
{
	unsigned int *loads = calloc(n_lcores, sizeof(*loads)), p, to, gain, best = 0;

	if (loads == NULL)
		return false;
	for (p = 0; p < n_pairs; p++)
		loads[pairs[p].lcore] += pairs[p].load;
	for (p = 0; p < n_pairs; p++) {
		const struct balance_pair *pair = &pairs[p];
		bool home = balance_is_home(lcores, n_lcores, pair->lcore, pair->numa_node);

		if (pair->rests)
			continue;
		for (to = 0; to < n_lcores; to++) {
			if (to == pair->lcore || lcores[to].is_full ||
			    !balance_is_home(lcores, n_lcores, to, pair->numa_node))
				continue;
			gain = gain_of(loads[pair->lcore], loads[to], pair->load, !home);
			if (gain > best) {
				best = gain;
				*move = (struct balance_move){p, to};
			}
		}
	}
	free(loads);
	return best > 0;
}
