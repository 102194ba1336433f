/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_H
#define BENCH_H

/*
 * weir-bench: each part beside the peers that can run in the same process.
 *
 * A mode is one file: a run function and its BENCH_MODE_REGISTER(). It measures its
 * contenders in turn, round after round, because figures of different minutes of a
 * shared machine cannot be compared, and gives rows to a table; the table knows how to
 * print itself for people and for machines.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>

#define BENCH_CONTENDERS_MAX 8

struct bench_options {
	bool json;
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

/** Print the head, unless JSON: then every row stands for itself. */
void bench_table_head(const struct bench_options *options, const struct bench_table *table);

/**
 * Print a row.
 *
 * @param figures
 *   One a contender, NAN for who could not run. Behind them stands the ratio of ours
 *   to the best peer's; above 1, ours is better.
 */
void bench_table_row(const struct bench_options *options, const struct bench_table *table,
		     const char *what, const double *figures);

/**
 * The figure of several rounds.
 *
 * Of a single lcore the best one: the others were disturbed by what else runs on the
 * machine, and nothing makes one better than it is. Where lcores meet the median: in
 * the best one they may have missed each other. NAN when any is.
 */
double bench_best(const struct bench_table *table, const double *figures, unsigned int n);
double bench_median(double *figures, unsigned int n);

#endif
