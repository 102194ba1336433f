/* SPDX-License-Identifier: BSD-3-Clause */
#include "sweep.h"

void
sweep_init(struct sweep *sweep, double max, double resolution)
{
	*sweep = (struct sweep){.failed = max, .resolution = resolution * max};
}

double
sweep_next(const struct sweep *sweep)
{
	/* The highest first: a back-end that loses nothing needs one trial. */
	if (!sweep->max_tried)
		return sweep->failed;
	if (sweep->failed - sweep->passed <= sweep->resolution)
		return 0;
	return (sweep->passed + sweep->failed) / 2;
}

void
sweep_result(struct sweep *sweep, bool passed)
{
	double rate = sweep_next(sweep);

	sweep->n_trials++;
	sweep->max_tried = true;
	if (passed)
		sweep->passed = rate;
	else
		sweep->failed = rate;
}
