/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "weir_error.h"

#define LINE_WORDS_MAX 16

/* Words. */

bool
control_word(const char *text, unsigned int n, const char **word, size_t *len)
{
	for (;;) {
		text += strspn(text, " \t");
		*len = strcspn(text, " \t");
		if (*len == 0)
			return false;
		if (n-- == 0)
			break;
		text += *len;
	}
	*word = text;
	return true;
}

unsigned int
control_words(const char *text)
{
	unsigned int n = 0;
	const char *word;
	size_t len;

	while (control_word(text, n, &word, &len))
		n++;
	return n;
}

/** Cut the next word off; blanks inside of quotes, as a filter has them, belong to it. */
static char *
word_take(char **rest)
{
	char *word = *rest, *at = word, quote = '\0';

	if (word == NULL)
		return NULL;
	for (; *at != '\0' && (quote != '\0' || strchr(" \t\r\n", *at) == NULL); at++) {
		if (*at == quote)
			quote = '\0';
		else if (quote == '\0' && (*at == '\'' || *at == '"'))
			quote = *at;
	}
	*rest = *at != '\0' ? at + 1 : NULL;
	*at = '\0';
	return word;
}

/** How many words of a line are the command's own first words. */
static unsigned int
words_matched(const struct control_command *command, char *const *words, unsigned int n_words)
{
	unsigned int n = 0;
	const char *word;
	size_t len;

	while (n < n_words && control_word(command->words, n, &word, &len) &&
	       strlen(words[n]) == len && strncmp(words[n], word, len) == 0)
		n++;
	return n;
}

/** What could have stood in the place of a word that no command has: each once. */
static void
words_expected(char *const *words, unsigned int at, char *list, size_t size)
{
	const struct control_command *command;
	const char *word, *last = "";
	size_t len, last_len = 0, used = 0;
	unsigned int i;

	list[0] = '\0';
	for (i = 0; (command = control_command(i)) != NULL; i++) {
		if (words_matched(command, words, at) < at ||
		    !control_word(command->words, at, &word, &len) ||
		    (len == last_len && strncmp(word, last, len) == 0))
			continue;
		if (used < size)
			used += snprintf(list + used, size - used, "%s%.*s", used > 0 ? ", " : "",
					 (int)len, word);
		last = word;
		last_len = len;
	}
}

/** The command that a line begins with, and how many words it takes. */
static int
command_find(char *const *words, unsigned int n_words, const struct control_command **command,
	     unsigned int *n_own)
{
	unsigned int i, n, longest = 0;
	char list[256], before[64] = "";

	for (i = 0; (*command = control_command(i)) != NULL; i++) {
		n = words_matched(*command, words, n_words);
		if (n == control_words((*command)->words)) {
			*n_own = n;
			return 0;
		}
		if (n > longest)
			longest = n;
	}
	words_expected(words, longest, list, sizeof(list));
	if (longest > 0)
		snprintf(before, sizeof(before), "%s ", words[0]);
	if (longest == n_words)
		return weir_error(EINVAL, "%sneeds one of %s", before, list);
	return weir_error(EINVAL, "unknown command '%s%.32s': one of %s is needed%s", before,
			  words[longest], list, longest > 0 ? "" : " (help tells more)");
}

/* Results. */

void
control_result_text(struct control_result *result, const char *key, const char *text)
{
	result->entries[result->n].key = key;
	result->entries[result->n].is_number = false;
	snprintf(result->entries[result->n].text, sizeof(result->entries[0].text), "%s", text);
	result->n++;
}

void
control_result_number(struct control_result *result, const char *key, uint64_t number)
{
	result->entries[result->n].key = key;
	result->entries[result->n].is_number = true;
	result->entries[result->n].number = number;
	result->n++;
}

static void
result_print(const struct control_result *result, FILE *out)
{
	unsigned int i;

	for (i = 0; i < result->n; i++) {
		fprintf(out, "%s%s ", i > 0 ? ", " : "", result->entries[i].key);
		if (result->entries[i].is_number)
			fprintf(out, "%lu", (unsigned long)result->entries[i].number);
		else
			fprintf(out, "%s", result->entries[i].text);
	}
	if (result->n > 0)
		fprintf(out, "\n");
}

/* Running. */

void
control_init(struct control *control, struct backend *backend)
{
	control->backend = backend;
	pthread_mutex_init(&control->lock, NULL);
	pthread_cond_init(&control->back, NULL);
}

void
control_close(struct control *control)
{
	pthread_mutex_lock(&control->lock);
	control->closed = true;
	while (control->n_beside > 0)
		pthread_cond_wait(&control->back, &control->lock);
	pthread_mutex_unlock(&control->lock);
}

void
control_let_others(struct control *control)
{
	control->n_beside++;
	pthread_mutex_unlock(&control->lock);
}

void
control_go_on(struct control *control)
{
	pthread_mutex_lock(&control->lock);
	control->n_beside--;
	pthread_cond_signal(&control->back);
	/* It may be the console's thread, which does so at other times. */
	if (!control->closed)
		backend_tend(control->backend);
}

void
control_tend(struct control *control)
{
	pthread_mutex_lock(&control->lock);
	backend_tend(control->backend);
	pthread_mutex_unlock(&control->lock);
}

/** Whether so many arguments are as many as the command takes. */
static int
args_check(const struct control_command *command, char *const *args, unsigned int n_args)
{
	unsigned int n_kinds = control_words(command->args);
	const char *kind;
	size_t len;

	if (n_args > n_kinds)
		return weir_error(EINVAL, "'%.32s' is one word too many: %s%s%s", args[n_kinds],
				  command->words, n_kinds > 0 ? " " : "", command->args);
	if (n_args < n_kinds && control_word(command->args, n_args, &kind, &len) && *kind != '[')
		return weir_error(EINVAL, "%s needs %.*s: %s %s", command->words, (int)len, kind,
				  command->words, command->args);
	return 0;
}

int
control_run(struct control *control, const struct control_command *command, char *const *args,
	    unsigned int n_args, struct control_result *result)
{
	char *all[CONTROL_ARGS_MAX + 1] = {NULL};
	int rc = args_check(command, args, n_args);

	if (rc != 0)
		return rc;
	memcpy(all, args, n_args * sizeof(*args));
	pthread_mutex_lock(&control->lock);
	if (control->closed)
		rc = weir_error(ESHUTDOWN, "weir is ending");
	else
		rc = command->run(control, command, all, result);
	pthread_mutex_unlock(&control->lock);
	return rc;
}

int
control_line(struct control *control, const char *line, FILE *out)
{
	struct control_result result = {.out = out};
	const struct control_command *command;
	char copy[4096], *words[LINE_WORDS_MAX], *rest = copy;
	unsigned int n_words = 0, n_own = 0;
	int rc;

	if (snprintf(copy, sizeof(copy), "%s", line) >= (int)sizeof(copy))
		return weir_error(EINVAL, "a line has %zu characters at most", sizeof(copy) - 1);
	while ((words[n_words] = word_take(&rest)) != NULL) {
		if (*words[n_words] == '#')
			break;
		if (*words[n_words] == '\0')
			continue;
		if (++n_words == LINE_WORDS_MAX)
			return weir_error(EINVAL, "a line has %u words at most",
					  LINE_WORDS_MAX - 1);
	}
	if (n_words == 0)
		return 0;
	rc = command_find(words, n_words, &command, &n_own);
	if (rc == 0)
		rc = control_run(control, command, words + n_own, n_words - n_own, &result);
	if (rc == 0)
		result_print(&result, out);
	fflush(out);
	return rc;
}

int
control_file(struct control *control, const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned int number = 0;
	char *line = NULL;
	size_t size = 0;
	int rc = 0;

	if (file == NULL)
		return weir_error(errno, "--cmdline-file %s: %s", path, strerror(errno));
	while (rc == 0 && !control->quit && getline(&line, &size, file) >= 0) {
		number++;
		rc = control_line(control, line, stdout);
	}
	if (rc != 0)
		weir_error(-rc, "--cmdline-file %s, line %u: %s", path, number, weir_error_text());
	else if (ferror(file))
		rc = weir_error(EIO, "--cmdline-file %s cannot be read", path);
	free(line);
	fclose(file);
	return rc;
}
