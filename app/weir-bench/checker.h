/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CHECKER_H
#define CHECKER_H

/*
 * What became of the frames of a flow, by their sequence numbers.
 *
 * In order costs a comparison. A number that is skipped is missing, and counted as lost
 * until it comes after all: then it was reordered. One that comes again is a duplicate.
 * Which of the last CHECKER_WINDOW numbers are missing is remembered; a frame that is
 * later than that cannot be told from a duplicate, and is called one.
 */

#include <stdint.h>

#include <rte_branch_prediction.h>

#define CHECKER_WINDOW 4096

struct checker_stats {
	uint64_t received; /* frames of ours, however they look */
	uint64_t bytes;
	uint64_t lost;
	uint64_t duplicated;
	uint64_t reordered;
	uint64_t corrupted;
	uint64_t foreign; /* not ours, or not for this port */
};

struct checker_flow {
	uint64_t next;	    /* the number that is due */
	uint64_t n_missing; /* bits set below */
	uint64_t missing[CHECKER_WINDOW / 64];
};

/** The rare case of checker_see(): another number than the one that is due. */
void checker_surprise(struct checker_flow *flow, struct checker_stats *stats, uint64_t number);

/** Frame @p number of the flow has come. */
static inline void
checker_see(struct checker_flow *flow, struct checker_stats *stats, uint64_t number)
{
	if (likely(number == flow->next && flow->n_missing == 0))
		flow->next++;
	else
		checker_surprise(flow, stats, number);
}

/** No more will come: those from the one that is due to @p n_sent are lost. */
void checker_finish(struct checker_flow *flow, struct checker_stats *stats, uint64_t n_sent);

#endif
