/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "bench.h"
#include "weir_error.h"

#define MODES_MAX 16
#define COMMAND_MAX 256 /* words that --json tells */

static const struct bench_mode *modes[MODES_MAX];
static unsigned int n_modes;

static const struct bench_mode *
mode_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < n_modes; i++)
		if (strcmp(modes[i]->name, name) == 0)
			return modes[i];
	return NULL;
}

void
bench_mode_register(const struct bench_mode *mode)
{
	if (mode->name == NULL || mode->usage == NULL || mode->run == NULL ||
	    n_modes == MODES_MAX || mode_find(mode->name) != NULL) {
		fprintf(stderr, "weir-bench: the mode %s is incomplete or taken, or there are %d\n",
			mode->name ? mode->name : "?", MODES_MAX);
		abort();
	}
	modes[n_modes++] = mode;
}

static void
usage(FILE *out)
{
	unsigned int i;

	fprintf(out, "Usage: weir-bench [EAL options] -- [OPTIONS] MODE [WORDS]\n\n"
		     "Measures a part of weir beside its peers, in one process, in turns.\n\n"
		     "Options:\n"
		     "  --json          one JSON object a line, for machines\n"
		     "  --compare FILE  beside what --json wrote earlier; exit code 1 when worse\n"
		     "  --tolerance P   by more than P percent (default 10)\n"
		     "  --rounds N      rounds of one figure (default 7)\n"
		     "  --slice-us N    length of one measurement (default 20000)\n"
		     "  --help, --version; after a mode --help tells its words\n\n"
		     "An interrupt ends the measurement and prints what there is by then.\n\n"
		     "Modes:\n");
	for (i = 0; i < n_modes; i++)
		fprintf(out, "  %s\n", modes[i]->usage);
	fprintf(out, "\nExample: weir-bench -l 0,1 --no-pci --in-memory -- pool\n");
}

/** The help of the mode that the words before --help name, or of all. */
static void
help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		const struct bench_mode *mode = mode_find(argv[i]);

		if (mode == NULL)
			continue;
		printf("Usage: weir-bench [EAL options] -- [OPTIONS] %s\n", mode->usage);
		if (mode->help != NULL)
			mode->help(stdout);
		return;
	}
	usage(stdout);
}

static int
run_mode(struct bench_options *options, int argc, char **command)
{
	const struct bench_mode *mode = mode_find(options->argv[0]);
	int rc, worse;

	if (mode == NULL)
		return weir_error(EINVAL, "no mode '%s': see weir-bench --help", options->argv[0]);
	options->argc--;
	options->argv++;
	rc = bench_report_open(options, argc, command);
	if (rc < 0)
		return rc;
	rc = mode->run(options);
	worse = rc == 0 ? bench_report_close(options) : 0;
	return rc != 0 ? rc : worse;
}

static int
option_number(const char *option, const char *text, uint32_t max, uint32_t *value)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || number == 0 || number > max)
		return weir_error(EINVAL, "--%s %s: a whole number from 1 to %u is needed", option,
				  text, max);
	*value = number;
	return 0;
}

static int
options_parse(int argc, char **argv, struct bench_options *options)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"rounds", required_argument, NULL, 'r'},
		{"slice-us", required_argument, NULL, 's'},
		{"compare", required_argument, NULL, 'c'},
		{"tolerance", required_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	uint32_t percent = 10;
	int option, rc = 0;

	options->rounds = 7;
	options->slice_us = 20000;
	optind = 0; /* glibc: from the start, with the order these words ask for */
	while (rc == 0 && (option = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		if (option == 'j')
			options->json = true;
		else if (option == 'r')
			rc = option_number("rounds", optarg, 99, &options->rounds);
		else if (option == 's')
			rc = option_number("slice-us", optarg, 10000000, &options->slice_us);
		else if (option == 'c')
			options->compare = optarg;
		else if (option == 't')
			rc = option_number("tolerance", optarg, 1000, &percent);
		else
			rc = weir_error(EINVAL, "see weir-bench --help");
	}
	options->tolerance = percent / 100.0;
	if (rc == 0 && optind == argc)
		rc = weir_error(EINVAL, "no mode is given: see weir-bench --help");
	options->argc = argc - optind;
	options->argv = &argv[optind];
	return rc;
}

int
main(int argc, char **argv)
{
	struct bench_options options = {0};
	char *command[COMMAND_MAX];
	int i, used, rc;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			help(i, argv);
			return 0;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("weir-bench %s\n", WEIR_VERSION);
			return 0;
		}
	}
	/* EAL moves its words around. */
	memcpy(command, argv, RTE_MIN(argc, COMMAND_MAX) * sizeof(*argv));
	used = rte_eal_init(argc, argv);
	if (used < 0) {
		fprintf(stderr, "weir-bench: EAL does not start: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	rc = options_parse(argc - used, argv + used, &options);
	if (rc == 0) {
		options.worker = rte_get_next_lcore(-1, 1, 0);
		rc = run_mode(&options, RTE_MIN(argc, COMMAND_MAX), command);
	}
	if (rc != 0)
		fprintf(stderr, "weir-bench: %s\n", weir_error_text());
	rte_eal_cleanup();
	if (rc == 0 && bench_stopped())
		return 130; /* as a shell says of an interrupt */
	return rc == 0 ? 0 : 1;
}
