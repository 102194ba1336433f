/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_H
#define BENCH_H

/*
 * weir-bench: each part beside the peers that can run in the same process.
 *
 * A mode is one file: a run function and its BENCH_MODE_REGISTER(). It measures its
 * contenders in turn, round after round, because figures of different minutes of a
 * shared machine cannot be compared, and gives rows to a table; the table knows how to
 * print itself for people and for machines, and beside an earlier run.
 *
 *	for (round = 0; bench_round(options, what, round); round++)
 *		figures[round] = measure(...);
 *	best = bench_best(&table, figures, round);
 *	bench_table_row(options, &table, what, &best);
 *
 * An interrupt ends the rounds: what was measured by then is printed, rows without a
 * figure are left out, and the mode runs to its end in no time.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_common.h>

#define BENCH_CONTENDERS_MAX 8

struct bench_options {
	bool json;
	const char *compare; /* a file that --json wrote, or NULL */
	double tolerance;    /* figures that are worse by a larger part are regressions */
	uint32_t rounds;     /* each contender is measured so often */
	uint32_t slice_us;   /* for so long each time */
	unsigned int worker; /* a second lcore, or RTE_MAX_LCORE when there is none */
	int argc;	     /* words behind the mode's name */
	char **argv;
};

struct bench_mode {
	const char *name;
	/* One line for --help, with the words the mode takes. */
	const char *usage;
	/* What its words are, for `weir-bench MODE --help`; NULL: the line says all. */
	void (*help)(FILE *out);
	/* 0, or a negative errno with its sentence in weir_error_text(). */
	int (*run)(const struct bench_options *options);
};

/** Ends the program when a member is missing or the name is taken. */
void bench_mode_register(const struct bench_mode *mode);

#define BENCH_MODE_REGISTER(mode)                                                                  \
	RTE_INIT(bench_mode_register_##mode)                                                       \
	{                                                                                          \
		bench_mode_register(&(mode));                                                      \
	}

struct bench_table {
	const char *mode;
	const char *title;
	const char *unit;
	bool more_is_better;
	/* Ours first, the peers after it. */
	const char *const *contenders;
	unsigned int n_contenders;
};

/** An interrupt, or an end that was asked for: measure no more, say what there is. */
bool bench_stopped(void);
/** Ask for the end, as an interrupt does. Any thread, and signal handlers. */
void bench_stop(void);

/** Whether to measure round @p round of @p what; shows a person how far it is. */
bool bench_round(const struct bench_options *options, const char *what, uint32_t round);
/** One line of what goes on, in place of the one before; NULL takes it away. */
void bench_progress(const struct bench_options *options, const char *format, ...)
	__rte_format_printf(2, 3);

/** Read options->compare, if any, and say with --json what machine and program this is. */
int bench_report_open(const struct bench_options *options, int argc, char **argv);
/** What became of the comparison: 0, or -ERANGE with its sentence when figures got worse. */
int bench_report_close(const struct bench_options *options);

/** For the table: what ours was in the row that begins with @p key, or NAN; kept count of. */
double bench_report_compare(const struct bench_options *options, const struct bench_table *table,
			    const char *key, const char *what, double figure);

/** The head, with the first row; not in JSON, where every row stands for itself. */
void bench_table_head(const struct bench_options *options, const struct bench_table *table);

/**
 * Print a row.
 *
 * @param figures
 *   One a contender, NAN for who could not run. Behind them stands the ratio of ours
 *   to the best peer's; above 1, ours is better. With --compare, then, what ours was.
 */
void bench_table_row(const struct bench_options *options, const struct bench_table *table,
		     const char *what, const double *figures);

/**
 * The figure of several rounds.
 *
 * Of a single lcore the best one: the others were disturbed by what else runs on the
 * machine, and nothing makes one better than it is. Where lcores meet the median: in
 * the best one they may have missed each other. NAN when any is, or there are none.
 */
double bench_best(const struct bench_table *table, const double *figures, unsigned int n);
double bench_median(double *figures, unsigned int n);

#endif
