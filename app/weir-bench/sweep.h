/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SWEEP_H
#define SWEEP_H

/*
 * The search of RFC 2544, 26.1: the highest rate at which no more is lost than may be,
 * by halving the interval between a rate that passed and one that did not.
 */

#include <stdbool.h>
#include <stdint.h>

struct sweep {
	double passed;	   /* the highest rate that did; 0: none yet */
	double failed;	   /* the lowest that did not, or above which none is tried */
	double resolution; /* the part of the highest rate to end within */
	uint32_t n_trials;
	bool max_tried;
};

/** Search from 0 to @p max, to within @p resolution (0.01: 1 % of @p max). */
void sweep_init(struct sweep *sweep, double max, double resolution);
/** The rate to try next, or 0 when the search is over: sweep->passed is the result. */
double sweep_next(const struct sweep *sweep);
/** What became of sweep_next(). */
void sweep_result(struct sweep *sweep, bool passed);

#endif
