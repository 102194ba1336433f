/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The prompt of `vhost -i`, in the manner of testpmd.
 *
 * Traffic is either stopped, then all of it is the prompt's, or runs on the second
 * lcore: then the prompt only looks at its counters.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "console.h"
#include "weir_error.h"

#define FOREVER 1e6 /* seconds */

struct console {
	const struct bench_options *bench;
	struct traffic *traffic;
	struct vhost_options *options;
	bool running;
	volatile bool stop;
	uint64_t shown_at, shown_sent, shown_received;
};

static int
console_work(void *arg)
{
	struct console *console = arg;

	traffic_run(console->traffic, FOREVER, console->options->rate);
	return 0;
}

static void
show_stats(struct console *console)
{
	const struct traffic *traffic = console->traffic;
	const struct checker_stats *stats = &traffic->stats;
	uint64_t now = rte_rdtsc(), sent = traffic->n_sent, received = stats->received;
	double seconds = (double)(now - console->shown_at) / rte_get_tsc_hz();

	printf("sent %" PRIu64 ", received %" PRIu64 ", lost %" PRIu64 ", duplicated %" PRIu64
	       ", reordered %" PRIu64 ", corrupted %" PRIu64 ", foreign %" PRIu64 "\n",
	       sent, received, stats->lost, stats->duplicated, stats->reordered, stats->corrupted,
	       stats->foreign);
	printf("since last shown: sent %.3f, received %.3f Mpps\n",
	       (sent - console->shown_sent) / seconds / 1e6,
	       (received - console->shown_received) / seconds / 1e6);
	console->shown_at = now;
	console->shown_sent = sent;
	console->shown_received = received;
}

static void
do_start(struct console *console)
{
	if (console->running) {
		printf("it runs already: stop first\n");
		return;
	}
	traffic_reset(console->traffic);
	console->shown_at = rte_rdtsc();
	console->shown_sent = console->shown_received = 0;
	console->stop = false;
	console->running = true;
	rte_eal_remote_launch(console_work, console, console->bench->worker);
}

static void
do_stop(struct console *console)
{
	if (!console->running)
		return;
	console->stop = true;
	rte_eal_wait_lcore(console->bench->worker);
	console->running = false;
	traffic_drain(console->traffic);
	show_stats(console);
}

static void
show_config(const struct vhost_options *options)
{
	printf("txpkts %s, burst %u, window %u, rate %g, check %u\n", options->lens_text,
	       options->burst, options->window, options->rate, options->check_every);
}

static void
do_set(struct console *console, const char *word, const char *value)
{
	struct vhost_options *options = console->options;
	const uint16_t len_max = options->len_max;
	char *end;
	double n = strtod(value, &end);

	if (console->running) {
		printf("it runs: stop first\n");
		return;
	}
	if (strcmp(word, "txpkts") == 0) {
		static char text[128];

		snprintf(text, sizeof(text), "%s", value);
		if (vhost_options_lens(options, text) < 0)
			printf("%s\n", weir_error_text());
		/* Its buffers were made at the start. */
		if (options->len_max > RTE_MAX(len_max, 1514)) {
			printf("longer than the buffers: start with --txpkts %s\n", value);
			vhost_options_lens(options, "64");
		}
		options->len_max = len_max;
	} else if (*end != '\0' || n < 0) {
		printf("set %s: '%s' is no number\n", word, value);
	} else if (strcmp(word, "burst") == 0 && n >= 1 && n <= VHOST_BURST_MAX) {
		options->burst = n;
	} else if (strcmp(word, "window") == 0 && n <= VHOST_WINDOW_MAX) {
		options->window = n;
	} else if (strcmp(word, "rate") == 0 && n <= 1e9) {
		options->rate = n;
	} else if (strcmp(word, "check") == 0 && n <= 1e9) {
		options->check_every = n;
	} else {
		printf("set txpkts LENS, burst 1..%d, window 0..%d, rate 0..1e9 or check N\n",
		       VHOST_BURST_MAX, VHOST_WINDOW_MAX);
	}
}

/** Whether to go on. */
static bool
command(struct console *console, char *line)
{
	char verb[16] = "", word[16] = "", value[128] = "";

	sscanf(line, "%15s %15s %127s", verb, word, value);
	if (strcmp(verb, "quit") == 0)
		return false;
	if (strcmp(verb, "start") == 0)
		do_start(console);
	else if (strcmp(verb, "stop") == 0)
		do_stop(console);
	else if (strcmp(verb, "show") == 0 && strcmp(word, "stats") == 0)
		show_stats(console);
	else if (strcmp(verb, "show") == 0 && strcmp(word, "config") == 0)
		show_config(console->options);
	else if (strcmp(verb, "set") == 0 && value[0] != '\0')
		do_set(console, word, value);
	else if (verb[0] != '\0')
		printf("start, stop, show stats, show config, set WORD VALUE, quit\n");
	return true;
}

int
console_run(const struct bench_options *bench, struct traffic *traffic,
	    struct vhost_options *options)
{
	struct console console = {.bench = bench, .traffic = traffic, .options = options};
	char line[256];

	if (bench->worker >= RTE_MAX_LCORE)
		return weir_error(EINVAL, "vhost -i: a second lcore is needed: "
					  "--lcores '0@0,1@0' shares a core");
	traffic->stop = &console.stop;
	console.shown_at = rte_rdtsc();
	do {
		printf("weir-bench> ");
		fflush(stdout);
	} while (!bench_stopped() && fgets(line, sizeof(line), stdin) != NULL &&
		 command(&console, line));
	do_stop(&console);
	traffic->stop = NULL;
	return 0;
}
