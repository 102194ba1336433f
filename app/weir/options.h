/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef OPTIONS_H
#define OPTIONS_H

/*
 * weir's own words, those behind the "--". EAL reads the ones before it.
 */

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_ENDPOINTS_MAX 1024
#define OPTIONS_GUESTS_MAX 1024
#define OPTIONS_CAPTURES_MAX 64

struct options {
	const char *endpoints[OPTIONS_ENDPOINTS_MAX]; /* keys, in the order given */
	unsigned int n_endpoints;
	const char *guests[OPTIONS_GUESTS_MAX];
	unsigned int n_guests;
	const char *captures[OPTIONS_CAPTURES_MAX];
	unsigned int n_captures;
	uint64_t budget_bytes;
	uint64_t idle_us;
	bool spread; /* by load */
	bool interactive;
	const char *cmdline_file; /* or NULL */
};

/** Whether --help or --version was among the words; answered on stdout, without EAL. */
bool options_answer(int argc, char **argv);

/**
 * Read the words behind "--"; argv[0] is that of the program.
 *
 * @return 0, or -EINVAL with weir_error_text().
 */
int options_parse(int argc, char **argv, struct options *options);

#endif
