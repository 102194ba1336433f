/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

double
bench_best(const struct bench_table *table, const double *figures, unsigned int n)
{
	double best = figures[0];
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (isnan(figures[i]))
			return NAN;
		if ((figures[i] > best) == table->more_is_better)
			best = figures[i];
	}
	return best;
}

static int
figure_compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
bench_median(double *figures, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (isnan(figures[i]))
			return NAN;
	qsort(figures, n, sizeof(*figures), figure_compare);
	return n % 2 ? figures[n / 2] : (figures[n / 2 - 1] + figures[n / 2]) / 2;
}

/** Ours to the best peer's, so that more is better; NAN without a peer. */
static double
table_ratio(const struct bench_table *table, const double *figures)
{
	double best = NAN;
	unsigned int i;

	for (i = 1; i < table->n_contenders; i++)
		if (!isnan(figures[i]) &&
		    (isnan(best) || (figures[i] > best) == table->more_is_better))
			best = figures[i];
	return table->more_is_better ? figures[0] / best : best / figures[0];
}

void
bench_table_head(const struct bench_options *options, const struct bench_table *table)
{
	unsigned int i;

	if (options->json)
		return;
	printf("\n%s (%s)\n%-34s", table->title, table->unit, "");
	for (i = 0; i < table->n_contenders; i++)
		printf(" %12s", table->contenders[i]);
	if (table->n_contenders > 1)
		printf(" %9s", "ratio");
	printf("\n");
}

static void
row_json(const struct bench_table *table, const char *what, const double *figures, double ratio)
{
	unsigned int i;

	printf("{\"mode\":\"%s\",\"title\":\"%s\",\"case\":\"%s\",\"unit\":\"%s\"", table->mode,
	       table->title, what, table->unit);
	for (i = 0; i < table->n_contenders; i++)
		if (isnan(figures[i]))
			printf(",\"%s\":null", table->contenders[i]);
		else
			printf(",\"%s\":%.4g", table->contenders[i], figures[i]);
	if (!isnan(ratio))
		printf(",\"ratio\":%.4g", ratio);
	printf("}\n");
}

void
bench_table_row(const struct bench_options *options, const struct bench_table *table,
		const char *what, const double *figures)
{
	double ratio = table_ratio(table, figures);
	unsigned int i;

	if (options->json) {
		row_json(table, what, figures, ratio);
	} else {
		printf("%-34s", what);
		for (i = 0; i < table->n_contenders; i++)
			if (isnan(figures[i]))
				printf(" %12s", "-");
			else
				printf(figures[i] < 100 ? " %12.2f" : " %12.0f", figures[i]);
		if (!isnan(ratio))
			printf(" %9.2f", ratio);
		printf("\n");
	}
	fflush(stdout);
}
