/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TAB and ? say, from the table of commands: its words, then by the kind of the
 * argument the names of objects, or the keys of --guest, --endpoint and --capture.
 */
#include <ctype.h>
#include <string.h>

#include "console.h"
#include "weir_capture.h"
#include "weir_object.h"

#define CHOICES_MAX 256

struct choices {
	const char *typed; /* of the word that is not finished */
	size_t typed_len;
	unsigned int n;
	struct {
		char text[64];
		bool open; /* goes on without a blank: a key, which wants its value */
		const char *help;
	} list[CHOICES_MAX];
};

static void
choice_add(struct choices *choices, const char *text, size_t len, bool open, const char *help)
{
	unsigned int i;

	if (choices->n == CHOICES_MAX || len >= sizeof(choices->list[0].text) ||
	    len < choices->typed_len || strncmp(text, choices->typed, choices->typed_len) != 0)
		return;
	for (i = 0; i < choices->n; i++)
		if (strlen(choices->list[i].text) == len &&
		    strncmp(choices->list[i].text, text, len) == 0)
			return;
	snprintf(choices->list[i].text, sizeof(choices->list[i].text), "%.*s", (int)len, text);
	choices->list[i].open = open;
	choices->list[i].help = help;
	choices->n++;
}

static void
choices_of_objects(struct choices *choices, const char *room, const char *help)
{
	static char names[CHOICES_MAX][WEIR_OBJECT_NAMESIZE];
	unsigned int i, n = weir_object_names(room, names, CHOICES_MAX);

	for (i = 0; i < n; i++)
		choice_add(choices, names[i], strlen(names[i]), false, help);
}

/** Keys of a usage text: "key=VALUE  what" lines. */
static void
choices_of_usage(struct choices *choices, const char *usage)
{
	size_t len;

	for (; *usage != '\0'; usage += len + (usage[len] == '\n')) {
		len = strcspn(usage, "\n");
		if (strcspn(usage, "= ") < len && usage[strcspn(usage, "= ")] == '=')
			choice_add(choices, usage, strcspn(usage, "=") + 1, true, usage);
	}
}

/** The driver that type=TYPE, typed already, means; or NULL. */
static const struct weir_endpoint_ops *
driver_typed(const char *keys)
{
	const struct weir_endpoint_ops *ops;
	const char *type = strstr(keys, "type=");
	unsigned int i;

	for (i = 0; type != NULL && (ops = weir_endpoint_driver(i)) != NULL; i++)
		if (strlen(ops->type) == strcspn(type + 5, ", ") &&
		    strncmp(ops->type, type + 5, strlen(ops->type)) == 0)
			return ops;
	return NULL;
}

/** Of the keys that a line is about: 'G'uest, 'E'ndpoint or 'C'apture. */
static void
choices_of_keys(struct choices *choices, char of)
{
	const struct weir_endpoint_ops *ops;
	const char *keys = choices->typed, *last = strrchr(keys, ','), *value;
	unsigned int i;

	choices->typed = last != NULL ? last + 1 : keys;
	value = strchr(choices->typed, '=');
	if (value != NULL) {
		choices->typed_len = strlen(value + 1);
		if (of != 'E' && strncmp(choices->typed, "endpoint=", 9) == 0) {
			choices->typed = value + 1;
			choices_of_objects(choices, "endpoint", "an endpoint");
		} else if (of == 'C' && strncmp(choices->typed, "guest=", 6) == 0) {
			choices->typed = value + 1;
			choices_of_objects(choices, "guest", "a guest");
		} else if (of == 'E' && strncmp(choices->typed, "type=", 5) == 0) {
			choices->typed = value + 1;
			for (i = 0; (ops = weir_endpoint_driver(i)) != NULL; i++)
				choice_add(choices, ops->type, strlen(ops->type), true, "a type");
		}
		return;
	}
	choices->typed_len = strlen(choices->typed);
	if (of != 'E') {
		choices_of_usage(choices, of == 'G' ? weir_guest_usage() : weir_capture_usage());
		return;
	}
	choices_of_usage(choices, "name=NAME  of the endpoint, unique\ntype=TYPE  what it is\n");
	ops = driver_typed(keys);
	if (ops != NULL)
		choices_of_usage(choices, ops->usage);
}

/** By the kind of the argument, as it stands in the table. */
static void
choices_of_kind(struct choices *choices, const char *kind, size_t len, const char *help)
{
	char room[32];
	size_t i;

	if (*kind == '[') {
		kind++;
		len -= 2;
	}
	if (len > 5 && strncmp(kind + len - 5, "_KEYS", 5) == 0) {
		choices_of_keys(choices, *kind);
		return;
	}
	/* GUEST is a name of the room guest. */
	for (i = 0; i < len && i < sizeof(room) - 1; i++)
		room[i] = (char)tolower(kind[i]);
	room[i] = '\0';
	choices_of_objects(choices, room, help);
}

/** Every choice for the word at the end of a line; the kind of argument when it has none. */
static void
choices_of_line(struct choices *choices, const char *line, char *kind, size_t size)
{
	unsigned int i, j, n_before, n_own;
	const struct control_command *command;
	const char *word, *typed;
	size_t len, typed_len;
	bool matches;

	memset(choices, 0, sizeof(*choices));
	*kind = '\0';
	n_before = control_words(line);
	choices->typed = line + strlen(line);
	if (n_before > 0 && strcspn(choices->typed - 1, " \t") > 0)
		control_word(line, --n_before, &choices->typed, &len);
	choices->typed_len = strlen(choices->typed);
	for (i = 0; (command = control_command(i)) != NULL; i++) {
		n_own = control_words(command->words);
		matches = true;
		for (j = 0; matches && j < n_before && j < n_own; j++)
			matches = control_word(line, j, &typed, &typed_len) &&
				  control_word(command->words, j, &word, &len) &&
				  typed_len == len && strncmp(typed, word, len) == 0;
		if (!matches)
			continue;
		if (n_before < n_own) {
			control_word(command->words, n_before, &word, &len);
			choice_add(choices, word, len, false,
				   n_before + 1 == n_own ? command->help : "");
		} else if (control_word(command->args, n_before - n_own, &word, &len)) {
			choices_of_kind(choices, word, len, command->help);
			snprintf(kind, size, "%.*s  %s", (int)len, word, command->help);
		} else {
			snprintf(kind, size, "RETURN  %s", command->help);
		}
	}
}

/** What all choices begin with, past what is typed. */
static size_t
common_append(const struct choices *choices, char *dst, unsigned int size)
{
	size_t len = strlen(choices->list[0].text), same;
	unsigned int i;

	for (i = 1; i < choices->n; i++) {
		for (same = 0;
		     same < len && choices->list[0].text[same] == choices->list[i].text[same];
		     same++)
			;
		len = same;
	}
	return snprintf(dst, size, "%.*s%s", (int)(len - choices->typed_len),
			choices->list[0].text + choices->typed_len,
			choices->n == 1 && !choices->list[0].open ? " " : "");
}

int
console_complete(const char *line, char *dst, unsigned int size, int *state)
{
	static struct choices choices;
	char kind[192];
	unsigned int i;

	choices_of_line(&choices, line, kind, sizeof(kind));
	if (*state == 0 && choices.n > 0 && common_append(&choices, dst, size) > 0)
		return 2;
	i = *state > 0 ? *state : 0;
	*state = (int)i + 1;
	if (choices.n == 0 && i == 0 && *kind != '\0') {
		snprintf(dst, size, "%s", kind);
		return 1;
	}
	if (i >= choices.n)
		return 0;
	snprintf(dst, size, "%-16s", choices.list[i].text);
	if (choices.list[i].help != NULL)
		snprintf(dst + strlen(dst), size - strlen(dst), " %.*s",
			 (int)strcspn(choices.list[i].help, "\n"), choices.list[i].help);
	return 1;
}
