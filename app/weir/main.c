/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir, the back-end: start what the command line names, serve until a signal asks
 * to end, undo all of it in reverse.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_malloc.h>

#include "options.h"
#include "weir_budget.h"
#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_frame.h"
#include "weir_guest.h"
#include "weir_poller.h"

/* How often guests that broke their rings are looked for. */
#define TEND_MS 100
/* Memory is asked for in pieces of this size, to see whether it is there. */
#define PROBE_BYTES (256 << 10)

struct weir {
	struct weir_budget *budget;
	struct weir_pollers *pollers;
	struct weir_endpoint *endpoints[OPTIONS_ENDPOINTS_MAX];
	unsigned int n_endpoints;
	struct weir_guest *guests[OPTIONS_GUESTS_MAX];
	unsigned int n_guests;
};

static int
fail(void)
{
	fprintf(stderr, "weir: %s\n", weir_error_text());
	return EXIT_FAILURE;
}

/** The arithmetic of memory, in one line. */
static void
say_memory(const struct weir *weir)
{
	uint64_t limit = weir_budget_limit_bytes(weir->budget);
	char of[64] = "no limit";

	if (limit != WEIR_BUDGET_UNLIMITED)
		snprintf(of, sizeof(of), "a limit of %.1f MB", limit / 1048576.0);
	printf("weir: %u guest%s x 2 directions x %u frames of their MTU = %.1f MB reserved, %s\n",
	       weir->n_guests, weir->n_guests == 1 ? "" : "s", WEIR_FRAME_CAPACITY_DEFAULT,
	       weir_budget_used_bytes(weir->budget) / 1048576.0, of);
}

/**
 * Whether EAL has, or can get, the memory that the guests were promised. Their frames
 * are made on need, so that nothing else would tell before a guest is short of them.
 */
static int
check_memory(const struct weir *weir)
{
	uint64_t promised = weir_budget_used_bytes(weir->budget);
	size_t n = promised / PROBE_BYTES + 1, had = 0;
	void **probes = calloc(n, sizeof(*probes));
	bool enough;

	if (probes == NULL)
		return weir_error(ENOMEM, "no memory");
	while (had < n && (probes[had] = rte_malloc(NULL, PROBE_BYTES, 0)) != NULL)
		had++;
	enough = had == n;
	while (had > 0)
		rte_free(probes[--had]);
	free(probes);
	if (enough)
		return 0;
	return weir_error(ENOMEM,
			  "too little memory: %u guest%s promised %.1f MB of frames, which EAL "
			  "cannot give: use -m MEGABYTES, or more huge pages",
			  weir->n_guests, weir->n_guests == 1 ? " was" : "s were",
			  promised / 1048576.0);
}

static int
weir_open(struct weir *weir, const struct options *options)
{
	unsigned int i;
	int rc;

	weir->pollers = weir_pollers_start(options->idle_us);
	if (weir->pollers == NULL)
		return -rte_errno;
	weir->budget = weir_budget_create("host", NULL, options->budget_bytes);
	if (weir->budget == NULL)
		return -rte_errno;
	for (i = 0; i < options->n_endpoints; i++) {
		weir->endpoints[i] = weir_endpoint_create(options->endpoints[i]);
		if (weir->endpoints[i] == NULL)
			return -rte_errno;
		weir->n_endpoints++;
	}
	for (i = 0; i < options->n_guests; i++) {
		weir->guests[i] = weir_guest_create(
			options->guests[i], weir_pollers_scheduler(weir->pollers), weir->budget);
		if (weir->guests[i] == NULL)
			return -rte_errno;
		weir->n_guests++;
	}
	rc = check_memory(weir);
	if (rc != 0)
		return rc;
	/* All words are right: only now does anything appear outside. */
	for (i = 0; i < weir->n_guests; i++) {
		rc = weir_guest_start(weir->guests[i]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static void
weir_close(struct weir *weir)
{
	unsigned int i;

	/* Patched guests hold each other's frames until both have stopped. */
	for (i = 0; i < weir->n_guests; i++)
		weir_guest_stop(weir->guests[i]);
	while (weir->n_guests > 0)
		weir_guest_free(weir->guests[--weir->n_guests]);
	while (weir->n_endpoints > 0)
		weir_endpoint_free(weir->endpoints[--weir->n_endpoints]);
	weir_budget_free(weir->budget);
	weir_pollers_stop(weir->pollers);
}

/** Look after the guests until a signal asks to end; which. */
static int
weir_wait(struct weir *weir, const sigset_t *signals)
{
	const struct timespec period = {.tv_nsec = TEND_MS * 1000000L};
	unsigned int i;
	int caught;

	while ((caught = sigtimedwait(signals, NULL, &period)) < 0)
		for (i = 0; i < weir->n_guests; i++)
			weir_guest_tend(weir->guests[i]);
	return caught;
}

static int
weir_serve(const struct options *options, const sigset_t *signals)
{
	static struct weir weir;
	int rc, caught;

	rc = weir_open(&weir, options);
	if (rc != 0) {
		/* Said last, so that what is undone meanwhile does not hide it. */
		char text[WEIR_ERROR_TEXTSIZE];

		snprintf(text, sizeof(text), "%s", weir_error_text());
		weir_close(&weir);
		weir_error(-rc, "%s", text);
		return rc;
	}
	say_memory(&weir);
	printf("weir: %u poll lcore%s, %u endpoint%s\n", weir_pollers_count(weir.pollers),
	       weir_pollers_count(weir.pollers) == 1 ? "" : "s", weir.n_endpoints,
	       weir.n_endpoints == 1 ? "" : "s");
	printf("weir: ready\n");
	fflush(stdout);
	caught = weir_wait(&weir, signals);
	printf("weir: %s: ending\n", strsignal(caught));
	fflush(stdout);
	weir_close(&weir);
	return 0;
}

int
main(int argc, char **argv)
{
	struct options options;
	int separator, rc;
	sigset_t signals;

	if (options_answer(argc, argv))
		return EXIT_SUCCESS;
	for (separator = 1; separator < argc && strcmp(argv[separator], "--") != 0; separator++)
		;
	if (separator == argc) {
		weir_error(EINVAL, "weir's own options go behind a --: weir [EAL options] -- "
				   "--endpoint KEYS --guest KEYS (see weir --help)");
		return fail();
	}
	/* getopt takes argv[0] for the program's name: here, the separator. */
	if (options_parse(argc - separator, argv + separator, &options) != 0)
		return fail();

	/* Blocked before EAL makes its threads: only sigwait() gets them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	/* The library tells each message it reads; --log-level=lib.vhost:info brings that back. */
	rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_WARNING);
	argv[separator] = NULL;
	if (rte_eal_init(separator, argv) < 0) {
		if (rte_errno == EINVAL)
			weir_error(EINVAL, "EAL refuses its options, those before the --: its own "
					   "line above names the one");
		else
			weir_error(rte_errno,
				   "EAL does not start: %s: without huge pages or root, give it "
				   "--no-huge "
				   "-m 256 (its own lines above say more)",
				   rte_strerror(rte_errno));
		return fail();
	}
	rc = weir_serve(&options, &signals);
	rte_eal_cleanup();
	return rc == 0 ? EXIT_SUCCESS : fail();
}
