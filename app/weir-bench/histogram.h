/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

/*
 * How often each value was seen, of all 64 bits, within 1/32 of itself: 32 buckets for
 * each power of two. Adding is a handful of instructions, whatever the range.
 */

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_PARTS 32
#define HISTOGRAM_PARTS_LOG2 5
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_PARTS_LOG2 + 1) * HISTOGRAM_PARTS)

struct histogram {
	uint64_t n;
	uint64_t max;
	uint64_t counts[HISTOGRAM_BUCKETS];
};

/** Values below 32 have a bucket of their own, then each power of two has 32. */
static inline unsigned int
histogram_bucket(uint64_t value)
{
	unsigned int power;

	if (value < HISTOGRAM_PARTS)
		return value;
	power = 63 - __builtin_clzll(value) - HISTOGRAM_PARTS_LOG2;
	return power * HISTOGRAM_PARTS + (value >> power);
}

static inline void
histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->n++;
	histogram->counts[histogram_bucket(value)]++;
	if (value > histogram->max)
		histogram->max = value;
}

/**
 * The value that a @p part of all values, 0 to 1, do not exceed.
 *
 * Rounded up to the end of its bucket, but never above the largest value seen: at
 * most 1/32 too large, never too small. 0 of an empty one.
 */
uint64_t histogram_value(const struct histogram *histogram, double part);

/** Bars for people: a line for each power of two that was seen; values times @p scale. */
void histogram_print(const struct histogram *histogram, double scale, FILE *out);

#endif
