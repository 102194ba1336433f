/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdbool.h>

#include <rte_common.h>

#include "checker.h"

static inline uint64_t *
word_of(struct checker_flow *flow, uint64_t number)
{
	return &flow->missing[number % CHECKER_WINDOW / 64];
}

static bool
is_missing(struct checker_flow *flow, uint64_t number)
{
	return *word_of(flow, number) >> number % 64 & 1;
}

static void
set_missing(struct checker_flow *flow, uint64_t number, bool missing)
{
	if (is_missing(flow, number) == missing)
		return;
	*word_of(flow, number) ^= 1ULL << number % 64;
	flow->n_missing += missing ? 1 : -1;
}

/** Skip to @p number: all before it are missing, those that leave the window forgotten. */
static void
skip_to(struct checker_flow *flow, struct checker_stats *stats, uint64_t number)
{
	uint64_t i = flow->next;

	stats->lost += number - flow->next;
	if (number - i > CHECKER_WINDOW)
		i = number - CHECKER_WINDOW;
	for (; i < number; i++)
		set_missing(flow, i, true);
	flow->next = number;
}

void
checker_surprise(struct checker_flow *flow, struct checker_stats *stats, uint64_t number)
{
	if (number >= flow->next) {
		skip_to(flow, stats, number);
		set_missing(flow, number, false);
		flow->next++;
		return;
	}
	if (flow->next - number <= CHECKER_WINDOW && is_missing(flow, number)) {
		set_missing(flow, number, false);
		stats->lost--;
		stats->reordered++;
		return;
	}
	stats->duplicated++;
}

void
checker_finish(struct checker_flow *flow, struct checker_stats *stats, uint64_t n_sent)
{
	if (n_sent > flow->next)
		skip_to(flow, stats, n_sent);
}
