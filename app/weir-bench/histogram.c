/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

#define BAR 50

/** The largest value that falls into it. */
static uint64_t
bucket_end(unsigned int bucket)
{
	unsigned int power;

	if (bucket < HISTOGRAM_PARTS)
		return bucket;
	power = bucket / HISTOGRAM_PARTS - 1;
	return ((uint64_t)(bucket % HISTOGRAM_PARTS + HISTOGRAM_PARTS + 1) << power) - 1;
}

uint64_t
histogram_value(const struct histogram *histogram, double part)
{
	/* The place, counted from 1, of the value in all of them by size. */
	uint64_t place = part * histogram->n, seen = 0;
	unsigned int i;

	if (place < part * histogram->n || place == 0)
		place++;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen >= place)
			return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
	}
	return histogram->max;
}

void
histogram_print(const struct histogram *histogram, double scale, FILE *out)
{
	uint64_t sums[HISTOGRAM_BUCKETS / HISTOGRAM_PARTS] = {0}, most = 1;
	unsigned int i, n_rows = HISTOGRAM_BUCKETS / HISTOGRAM_PARTS;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		sums[i / HISTOGRAM_PARTS] += histogram->counts[i];
	for (i = 0; i < n_rows; i++)
		most = sums[i] > most ? sums[i] : most;
	for (i = 0; i < n_rows; i++) {
		uint64_t end = bucket_end((i + 1) * HISTOGRAM_PARTS - 1);
		int bar = (sums[i] * BAR + most - 1) / most;

		if (sums[i] > 0)
			fprintf(out, "  up to %12.0f %12lu %.*s\n", end * scale, sums[i], bar,
				"##################################################");
	}
}
