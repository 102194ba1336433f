/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

double
bench_best(const struct bench_table *table, const double *figures, unsigned int n)
{
	double best = n > 0 ? figures[0] : NAN;
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

	if (n == 0)
		return NAN;
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

/* An interrupt may leave a table without rows: its head waits for the first. */
static bool head_is_due;

void
bench_table_head(const struct bench_options *options, const struct bench_table *table)
{
	head_is_due = !options->json;
}

static void
head_print(const struct bench_options *options, const struct bench_table *table)
{
	unsigned int i;

	printf("\n%s", table->title);
	if (table->unit[0] != '\0')
		printf(" (%s)", table->unit);
	printf("\n%-34s", "");
	for (i = 0; i < table->n_contenders; i++)
		printf(" %12s", table->contenders[i]);
	if (table->n_contenders > 1)
		printf(" %9s", "ratio");
	if (options->compare != NULL)
		printf(" %12s %8s", "was", "now/was");
	printf("\n");
	head_is_due = false;
}

/** What tells a row from all others, and its line in JSON begins with. */
static void
row_key(const struct bench_table *table, const char *what, char *key, size_t size)
{
	snprintf(key, size, "{\"mode\":\"%s\",\"title\":\"%s\",\"case\":\"%s\",\"unit\":\"%s\"",
		 table->mode, table->title, what, table->unit);
}

static void
row_json(const struct bench_table *table, const char *key, const double *figures, double ratio)
{
	unsigned int i;

	printf("%s", key);
	for (i = 0; i < table->n_contenders; i++)
		if (isnan(figures[i]))
			printf(",\"%s\":null", table->contenders[i]);
		else
			printf(",\"%s\":%.10g", table->contenders[i], figures[i]);
	if (!isnan(ratio))
		printf(",\"ratio\":%.4g", ratio);
	printf("}\n");
}

static void
row_figure(double figure)
{
	if (isnan(figure))
		printf(" %12s", "-");
	else
		printf(figure < 100 ? " %12.2f" : " %12.0f", figure);
}

void
bench_table_row(const struct bench_options *options, const struct bench_table *table,
		const char *what, const double *figures)
{
	double ratio = table_ratio(table, figures), was;
	char key[512];
	unsigned int i, n_there = 0;

	for (i = 0; i < table->n_contenders; i++)
		n_there += !isnan(figures[i]);
	if (n_there == 0 && bench_stopped())
		return;
	bench_progress(options, NULL);
	if (head_is_due)
		head_print(options, table);
	row_key(table, what, key, sizeof(key));
	was = bench_report_compare(options, table, key, what, figures[0]);
	if (options->json) {
		row_json(table, key, figures, ratio);
	} else {
		printf("%-34s", what);
		for (i = 0; i < table->n_contenders; i++)
			row_figure(figures[i]);
		if (!isnan(ratio))
			printf(" %9.2f", ratio);
		else if (table->n_contenders > 1)
			printf(" %9s", "-");
		if (options->compare != NULL) {
			row_figure(was);
			if (!isnan(figures[0] / was))
				printf(" %8.2f", figures[0] / was);
		}
		printf("\n");
	}
	fflush(stdout);
}
