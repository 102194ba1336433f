/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands on the telemetry socket: `add guest KEYS` is /weir/add/guest,KEYS. What
 * was done is answered with an object. What went wrong is answered with a string that
 * begins with "error: ": in 22.11 a string inside an object is cut at 127 characters,
 * and a sentence would lose its end, which says what would be right.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>

#include "control.h"
#include "weir_error.h"

/* Telemetry hands a callback no context but the command. */
static struct control *the_control;

static void
command_path(const struct control_command *command, char *path, size_t size)
{
	char *at;

	snprintf(path, size, "/weir/%s", command->words);
	while ((at = strchr(path, ' ')) != NULL)
		*at = '/';
}

static const struct control_command *
command_of_path(const char *path)
{
	const struct control_command *command;
	char own[64];
	unsigned int i;

	for (i = 0; (command = control_command(i)) != NULL; i++) {
		command_path(command, own, sizeof(own));
		if (strcmp(own, path) == 0)
			return command;
	}
	return NULL;
}

/** Split at commas; the last argument keeps its own: it may be keys. */
static unsigned int
args_split(const struct control_command *command, char *params, char **args)
{
	unsigned int n = 0, n_kinds = control_words(command->args);

	while (params != NULL && *params != '\0') {
		args[n++] = params;
		if (n >= n_kinds)
			break;
		strsep(&params, ",");
	}
	return n;
}

static int
telemetry_run(const char *path, const char *params, struct rte_tel_data *data)
{
	const struct control_command *command = command_of_path(path);
	struct control_result result = {.out = NULL};
	char *args[CONTROL_ARGS_MAX], *copy = params != NULL ? strdup(params) : NULL;
	char text[WEIR_ERROR_TEXTSIZE + 8];
	unsigned int i, n = args_split(command, copy, args);
	int rc = control_run(the_control, command, args, n, &result);

	free(copy);
	if (rc != 0) {
		snprintf(text, sizeof(text), "error: %s", weir_error_text());
		rte_tel_data_string(data, text);
		return 0;
	}
	rte_tel_data_start_dict(data);
	for (i = 0; i < result.n; i++)
		if (result.entries[i].is_number)
			rte_tel_data_add_dict_u64(data, result.entries[i].key,
						  result.entries[i].number);
		else
			rte_tel_data_add_dict_string(data, result.entries[i].key,
						     result.entries[i].text);
	return 0;
}

void
control_telemetry_register(struct control *control)
{
	const struct control_command *command;
	char path[64], help[128];
	unsigned int i;

	the_control = control;
	for (i = 0; (command = control_command(i)) != NULL; i++) {
		if (command->console_only)
			continue;
		command_path(command, path, sizeof(path));
		snprintf(help, sizeof(help), "%s. Parameters: %s", command->help,
			 *command->args != '\0' ? command->args : "none");
		if (rte_telemetry_register_cmd(path, telemetry_run, help) != 0) {
			fprintf(stderr, "weir: cannot register the telemetry command %s\n", path);
			abort();
		}
	}
}
