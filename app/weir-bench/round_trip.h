/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ROUND_TRIP_H
#define ROUND_TRIP_H

/*
 * How long frames are on their way, of the first stream: the clock runs from the call
 * that sends a frame to the call that receives it.
 */

#include "histogram.h"
#include "traffic.h"

struct round_trips {
	struct histogram all;	/* cycles of each frame */
	struct histogram first; /* with a gap: of the first frame of each burst */
	struct histogram last;	/* and until all of it was back */
	double seconds;
};

/**
 * Measure options->count frames, or as many as an interrupt allows.
 *
 * @return
 *   0, or -ENOMEM with its sentence in weir_error_text().
 */
int round_trips_measure(struct traffic *traffic, struct round_trips *trips);

#endif
