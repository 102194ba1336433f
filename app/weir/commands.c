/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands. Each ends in one call of the room that does the work; what goes wrong
 * has its sentence from there.
 */
#include <errno.h>
#include <string.h>

#include <rte_common.h>

#include "control.h"
#include "weir_capture.h"
#include "weir_error.h"
#include "weir_keys.h"

/* Between two looks at guests while a command waits for a disk. */
#define STOP_LOOK_MS 100

static int
add_endpoint(struct control *control, const struct control_command *command, char *const *args,
	     struct control_result *result)
{
	struct weir_endpoint *endpoint;
	int rc = backend_add_endpoint(control->backend, args[0], &endpoint);

	if (rc != 0)
		return rc;
	control_result_text(result, "endpoint", weir_endpoint_name(endpoint));
	control_result_text(result, "type", weir_endpoint_ops(endpoint)->type);
	return 0;
}

static int
add_guest(struct control *control, const struct control_command *command, char *const *args,
	  struct control_result *result)
{
	struct weir_guest *guest;
	int rc = backend_add_guest(control->backend, args[0], &guest);

	if (rc != 0)
		return rc;
	control_result_text(result, "guest", weir_guest_name(guest));
	control_result_text(result, "endpoint", weir_endpoint_name(weir_guest_endpoint(guest)));
	return 0;
}

static int
remove_endpoint(struct control *control, const struct control_command *command, char *const *args,
		struct control_result *result)
{
	int rc = backend_remove_endpoint(control->backend, args[0]);

	if (rc == 0)
		control_result_text(result, "removed", args[0]);
	return rc;
}

static int
remove_guest(struct control *control, const struct control_command *command, char *const *args,
	     struct control_result *result)
{
	int rc = backend_remove_guest(control->backend, args[0]);

	if (rc == 0)
		control_result_text(result, "removed", args[0]);
	return rc;
}

static int
swap_guest(struct control *control, const struct control_command *command, char *const *args,
	   struct control_result *result)
{
	struct weir_endpoint *endpoint;
	struct weir_guest *guest;
	int rc = backend_find_guest(control->backend, args[0], &guest);

	if (rc == 0)
		rc = backend_find_endpoint(control->backend, args[1], &endpoint);
	if (rc == 0)
		rc = weir_guest_swap(guest, endpoint);
	if (rc != 0)
		return rc;
	control_result_text(result, "guest", args[0]);
	control_result_text(result, "endpoint", args[1]);
	return 0;
}

static int
number_read(const char *what, const char *text, uint64_t max, uint64_t *number)
{
	if (weir_keys_parse_number(text, number) == 0 && *number <= max)
		return 0;
	return weir_error(EINVAL, "'%s' is no %s: a whole number from 0 to %lu is needed", text,
			  what, (unsigned long)max);
}

static int
move_guest(struct control *control, const struct control_command *command, char *const *args,
	   struct control_result *result)
{
	struct weir_guest *guest;
	uint64_t pair, lcore;
	int rc = backend_find_guest(control->backend, args[0], &guest);

	if (rc == 0)
		rc = number_read("queue pair", args[1], WEIR_QUEUES_MAX - 1, &pair);
	if (rc == 0)
		rc = number_read("lcore", args[2], RTE_MAX_LCORE - 1, &lcore);
	if (rc == 0)
		rc = weir_guest_move(guest, pair, lcore);
	if (rc != 0)
		return rc;
	control_result_text(result, "guest", args[0]);
	control_result_number(result, "pair", pair);
	control_result_number(result, "lcore", lcore);
	return 0;
}

static int
set_limit(struct weir_budget *budget, const char *text, struct control_result *result)
{
	struct weir_budget_stats stats;
	uint64_t bytes = WEIR_BUDGET_UNLIMITED;

	if (strcmp(text, "none") != 0 && (weir_keys_parse_bytes(text, &bytes) != 0 || bytes == 0))
		return weir_error(EINVAL,
				  "'%s' is no limit: bytes are needed, with K, M or G if you "
				  "like, or none",
				  text);
	weir_budget_set_limit(budget, bytes);
	weir_budget_stats(budget, &stats);
	control_result_text(result, "budget", weir_budget_name(budget));
	if (stats.limit_bytes == WEIR_BUDGET_UNLIMITED)
		control_result_text(result, "limit_bytes", "none");
	else
		control_result_number(result, "limit_bytes", stats.limit_bytes);
	control_result_number(result, "used_bytes", stats.used_bytes);
	return 0;
}

static int
limit_guest(struct control *control, const struct control_command *command, char *const *args,
	    struct control_result *result)
{
	struct weir_guest *guest;
	int rc = backend_find_guest(control->backend, args[0], &guest);

	/* A guest's budget has the guest's name. */
	return rc != 0 ? rc : set_limit(weir_budget_find(args[0]), args[1], result);
}

static int
limit_host(struct control *control, const struct control_command *command, char *const *args,
	   struct control_result *result)
{
	return set_limit(control->backend->budget, args[0], result);
}

static int
clear_guest(struct control *control, const struct control_command *command, char *const *args,
	    struct control_result *result)
{
	struct weir_guest *guest;
	int rc = backend_find_guest(control->backend, args[0], &guest);

	if (rc != 0)
		return rc;
	weir_guest_clear_stats(guest);
	control_result_text(result, "cleared", args[0]);
	return 0;
}

static int
clear_endpoint(struct control *control, const struct control_command *command, char *const *args,
	       struct control_result *result)
{
	struct weir_endpoint *endpoint;
	int rc = backend_find_endpoint(control->backend, args[0], &endpoint);

	if (rc != 0)
		return rc;
	weir_endpoint_clear_stats(endpoint);
	control_result_text(result, "cleared", args[0]);
	return 0;
}

static int
capture_start(struct control *control, const struct control_command *command, char *const *args,
	      struct control_result *result)
{
	int rc = weir_capture_start(args[0]);

	if (rc == 0)
		control_result_text(result, "capture", "started");
	return rc;
}

static int
capture_stop(struct control *control, const struct control_command *command, char *const *args,
	     struct control_result *result)
{
	int rc = weir_capture_stop_begin(args[0]);

	if (rc != 0)
		return rc;
	/* The disk may be slow: nobody else is to wait for it. */
	do {
		control_let_others(control);
		rc = weir_capture_stop_end(args[0], STOP_LOOK_MS);
		control_go_on(control);
	} while (rc == -EAGAIN);
	control_result_text(result, "stopped", args[0]);
	return 0;
}

static int
help(struct control *control, const struct control_command *command, char *const *args,
     struct control_result *result)
{
	control_help(result->out);
	fprintf(result->out,
		"TAB completes; weir --help has the keys of --guest, --endpoint and --capture\n");
	return 0;
}

static int
quit(struct control *control, const struct control_command *command, char *const *args,
     struct control_result *result)
{
	control->quit = true;
	control_result_text(result, "weir", "ending");
	return 0;
}

static const struct control_command commands[] = {
	{"show guest", "[GUEST]", "Show a guest and its counters, or all in a line each", true,
	 show_run},
	{"show endpoint", "[ENDPOINT]", "Likewise an endpoint", true, show_run},
	{"show poller", "[POLLER]", "Likewise the loop of an lcore", true, show_run},
	{"show budget", "[BUDGET]", "Likewise a budget", true, show_run},
	{"show pool", "[POOL]", "Likewise a pool of frames", true, show_run},
	{"show capture", "[CAPTURE]", "Likewise a capture", true, show_run},
	{"add endpoint", "ENDPOINT_KEYS", "Add an endpoint, by the keys of --endpoint", false,
	 add_endpoint},
	{"add guest", "GUEST_KEYS", "Add a guest and serve its socket, by the keys of --guest",
	 false, add_guest},
	{"remove endpoint", "ENDPOINT", "Remove an endpoint that no guest uses", false,
	 remove_endpoint},
	{"remove guest", "GUEST", "Disconnect a guest, and serve its socket no more", false,
	 remove_guest},
	{"swap guest", "GUEST ENDPOINT", "Put another endpoint behind a guest, which goes on",
	 false, swap_guest},
	{"move guest", "GUEST PAIR LCORE", "Have another lcore poll a queue pair of a guest", false,
	 move_guest},
	{"limit guest", "GUEST BYTES", "Limit the memory of a guest's frames; none: no limit",
	 false, limit_guest},
	{"limit host", "BYTES", "Limit the memory of all guests' frames; none: no limit", false,
	 limit_host},
	{"clear guest", "GUEST", "Count a guest's frames from zero again", false, clear_guest},
	{"clear endpoint", "ENDPOINT", "Count an endpoint's frames from zero again", false,
	 clear_endpoint},
	{"capture start", "CAPTURE_KEYS", "Copy frames to a file, by the keys of --capture", false,
	 capture_start},
	{"capture stop", "CAPTURE", "End a capture: its file is finished", false, capture_stop},
	{"help", "", "Show this list", true, help},
	{"quit", "", "Disconnect all guests and end", false, quit},
};

const struct control_command *
control_command(unsigned int index)
{
	return index < RTE_DIM(commands) ? &commands[index] : NULL;
}

void
control_help(FILE *out)
{
	const struct control_command *command;
	unsigned int i;
	int len;

	for (i = 0; (command = control_command(i)) != NULL; i++) {
		len = fprintf(out, "  %s %s", command->words, command->args);
		fprintf(out, "%*s%s\n", RTE_MAX(33 - len, 2), "", command->help);
	}
}
