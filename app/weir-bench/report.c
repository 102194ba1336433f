/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands around the tables: on which machine, by which command, how far it is, and
 * what the figures were in an earlier run.
 *
 * The output for machines is a JSON object a line, so that it is whole wherever an
 * interrupt cuts it. Such a file is what --compare reads: a row is found by the bytes
 * that its line begins with, which are all but its figures.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_version.h>

#include "bench.h"
#include "weir_error.h"

#define WORST_MAX 80

static char *old;		/* the earlier run, whole */
static unsigned int n_compared; /* rows that it has too */
static unsigned int n_worse;
static char worst[WORST_MAX]; /* the row */
static double worst_part;     /* and how much worse */
static bool is_shown;	      /* a line of progress */
static volatile sig_atomic_t stopped;

bool
bench_stopped(void)
{
	return stopped;
}

void
bench_stop(void)
{
	stopped = 1;
}

void
bench_progress(const struct bench_options *options, const char *format, ...)
{
	va_list args;

	/* Not between the lines of a log. */
	if (!isatty(STDERR_FILENO) || (format == NULL && !is_shown))
		return;
	fprintf(stderr, "\r\033[K");
	is_shown = format != NULL;
	if (is_shown) {
		va_start(args, format);
		vfprintf(stderr, format, args);
		va_end(args);
	}
	fflush(stderr);
}

bool
bench_round(const struct bench_options *options, const char *what, uint32_t round)
{
	if (round == options->rounds || bench_stopped())
		return false;
	bench_progress(options, "%s: round %u of %u", what, round + 1, options->rounds);
	return true;
}

/** A text in quotes, whatever is in it. */
static void
json_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		if ((unsigned char)*text >= ' ')
			putchar(*text);
	}
	putchar('"');
}

static void
cpu_model(char *model, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(model, size, "unknown");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) != 0 || value == NULL)
			continue;
		value[strcspn(value, "\n")] = '\0';
		snprintf(model, size, "%s", value + 2);
		break;
	}
	if (file != NULL)
		fclose(file);
}

static void
about(int argc, char **argv)
{
	char model[128], when[32];
	double load = NAN;
	time_t now = time(NULL);
	struct utsname system;
	int i;

	uname(&system);
	cpu_model(model, sizeof(model));
	if (getloadavg(&load, 1) != 1)
		load = 0;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	printf("{\"program\":\"weir-bench\",\"version\":\"%s\",\"dpdk\":\"%s\",\"kernel\":\"%s\","
	       "\"time\":\"%s\",\"cpu\":",
	       WEIR_VERSION, rte_version(), system.release, when);
	json_text(model);
	printf(",\"cores\":%ld,\"tsc_hz\":%lu,\"load\":%.2f,\"huge_pages\":%s,\"command\":[",
	       sysconf(_SC_NPROCESSORS_ONLN), rte_get_tsc_hz(), load,
	       rte_eal_has_hugepages() ? "true" : "false");
	for (i = 0; i < argc; i++) {
		if (i > 0)
			putchar(',');
		json_text(argv[i]);
	}
	printf("]}\n");
	fflush(stdout);
}

static int
old_read(const char *path)
{
	FILE *file = fopen(path, "r");
	long size = -1;

	if (file != NULL && fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	if (size >= 0) {
		rewind(file);
		old = calloc(1, size + 1);
	}
	if (old == NULL || fread(old, 1, size, file) != (size_t)size) {
		size = errno;
		if (file != NULL)
			fclose(file);
		return weir_error(size, "--compare %s: cannot be read: %s", path, strerror(size));
	}
	fclose(file);
	if (strstr(old, "{\"mode\":") == NULL)
		return weir_error(EINVAL, "--compare %s: not what weir-bench --json writes", path);
	return 0;
}

static void
on_signal(int number)
{
	bench_stop();
}

int
bench_report_open(const struct bench_options *options, int argc, char **argv)
{
	/* The second one ends a mode that does not look. */
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
	int rc = options->compare != NULL ? old_read(options->compare) : 0;

	if (rc < 0)
		return rc;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (options->json)
		about(argc, argv);
	return 0;
}

/** The figure of @p contender in the line of @p old that begins with @p key. */
static double
old_figure(const char *key, const char *contender)
{
	const char *line = old, *at, *end;
	char word[64];

	snprintf(word, sizeof(word), "\"%s\":", contender);
	while (line != NULL && strncmp(line, key, strlen(key)) != 0) {
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	if (line == NULL)
		return NAN;
	end = strchr(line, '\n');
	at = strstr(line + strlen(key), word);
	if (at == NULL || (end != NULL && at > end) || strncmp(at + strlen(word), "null", 4) == 0)
		return NAN;
	return strtod(at + strlen(word), NULL);
}

double
bench_report_compare(const struct bench_options *options, const struct bench_table *table,
		     const char *key, const char *what, double figure)
{
	double was, part;

	if (old == NULL)
		return NAN;
	was = old_figure(key, table->contenders[0]);
	if (isnan(was) || isnan(figure))
		return was;
	n_compared++;
	part = table->more_is_better ? was - figure : figure - was;
	if (part <= options->tolerance * fabs(was))
		return was;
	part = was != 0 ? part / fabs(was) : INFINITY;
	n_worse++;
	if (part >= worst_part) {
		worst_part = part;
		snprintf(worst, sizeof(worst), "%s", what);
	}
	return was;
}

int
bench_report_close(const struct bench_options *options)
{
	bench_progress(options, NULL);
	if (bench_stopped() && !options->json)
		printf("interrupted: what was measured by then stands above\n");
	if (old == NULL)
		return 0;
	free(old);
	old = NULL;
	if (n_compared == 0)
		return weir_error(EINVAL, "--compare %s: it has none of these figures",
				  options->compare);
	if (n_worse == 0)
		return 0;
	return weir_error(ERANGE,
			  "%u of %u figures are more than %g %% worse than in %s, most '%s' "
			  "by %.0f %%",
			  n_worse, n_compared, 100 * options->tolerance, options->compare, worst,
			  100 * worst_part);
}
