/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir, the back-end: start what the command line names, serve until a signal or a
 * command asks to end, undo all of it in reverse.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "backend.h"
#include "console.h"
#include "control.h"
#include "options.h"
#include "weir_error.h"
#include "weir_frame.h"

/* How often guests that broke their rings are looked for. */
#define TEND_MS 100

static int
fail(void)
{
	fprintf(stderr, "weir: %s\n", weir_error_text());
	return EXIT_FAILURE;
}

/** The arithmetic of memory, in one line. */
static void
say_memory(const struct backend *backend)
{
	uint64_t limit = weir_budget_limit_bytes(backend->budget);
	char of[64] = "no limit";

	if (limit != WEIR_BUDGET_UNLIMITED)
		snprintf(of, sizeof(of), "a limit of %.1f MB", limit / 1048576.0);
	printf("weir: %u guest%s x 2 directions x %u frames of their MTU = %.1f MB reserved, %s\n",
	       backend->n_guests, backend->n_guests == 1 ? "" : "s", WEIR_FRAME_CAPACITY_DEFAULT,
	       backend->promised_bytes / 1048576.0, of);
}

static void
say_ready(const struct backend *backend)
{
	unsigned int n_pollers = weir_pollers_count(backend->pollers);

	say_memory(backend);
	printf("weir: %u poll lcore%s, %u endpoint%s\n", n_pollers, n_pollers == 1 ? "" : "s",
	       backend->n_endpoints, backend->n_endpoints == 1 ? "" : "s");
	printf("weir: ready\n");
	fflush(stdout);
}

/** Run what is typed, and look after the guests, until someone asks to end. */
static void
serve(struct control *control, struct console *console, int signal_fd)
{
	struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
			       {.fd = STDIN_FILENO, .events = POLLIN}};
	struct signalfd_siginfo caught;

	while (!control->quit) {
		poll(fds, console != NULL ? 2 : 1, TEND_MS);
		if (fds[0].revents != 0 &&
		    read(signal_fd, &caught, sizeof(caught)) == sizeof(caught)) {
			printf("weir: %s: ending\n", strsignal((int)caught.ssi_signo));
			break;
		}
		/* As in testpmd, the end of what is typed asks to end. */
		if (console != NULL && fds[1].revents != 0 && !console_read(console))
			break;
		control_tend(control);
	}
	fflush(stdout);
}

static int
run(struct control *control, const struct options *options, int signal_fd)
{
	struct console *console = NULL;
	int rc;

	rc = backend_open(control->backend, options);
	if (rc != 0)
		return rc;
	control_telemetry_register(control);
	if (options->cmdline_file != NULL)
		rc = control_file(control, options->cmdline_file);
	if (rc != 0)
		return rc;
	say_ready(control->backend);
	if (options->interactive) {
		console = console_open(control);
		if (console == NULL)
			return -rte_errno;
	}
	serve(control, console, signal_fd);
	console_close(console);
	return 0;
}

static int
open_and_close(const struct options *options, int signal_fd)
{
	static struct backend backend;
	static struct control control;
	char text[WEIR_ERROR_TEXTSIZE];
	int rc;

	control_init(&control, &backend);
	rc = run(&control, options, signal_fd);
	/* Said last, so that what is undone meanwhile does not hide it. */
	snprintf(text, sizeof(text), "%s", weir_error_text());
	control_close(&control);
	backend_close(&backend);
	if (rc != 0)
		weir_error(-rc, "%s", text);
	return rc;
}

int
main(int argc, char **argv)
{
	struct options options;
	int separator, signal_fd, rc;
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

	/* Blocked before EAL makes its threads: only the descriptor gets them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (signal_fd < 0) {
		weir_error(errno, "no descriptor for signals: %s", strerror(errno));
		return fail();
	}

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
	rc = open_and_close(&options, signal_fd);
	rte_eal_cleanup();
	return rc == 0 ? EXIT_SUCCESS : fail();
}
