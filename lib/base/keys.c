/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_kvargs.h>

#include "weir_error.h"
#include "weir_keys.h"

struct weir_keys {
	struct rte_kvargs *args;
	char what[64];
};

/** Append the words of a NULL-ended list, separated by commas. */
static void
words_append(char *text, size_t size, const char *const *words)
{
	size_t used = strlen(text);

	for (; words != NULL && *words != NULL && used < size; words++)
		used += snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", *words);
}

static bool
words_have(const char *const *words, const char *word)
{
	for (; words != NULL && *words != NULL; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static int
keys_check(const struct weir_keys *keys, const char *const *known, const char *const *more)
{
	char list[256] = "";
	unsigned int i;

	for (i = 0; i < keys->args->count; i++) {
		const char *key = keys->args->pairs[i].key, *value = keys->args->pairs[i].value;

		if (!words_have(known, key) && !words_have(more, key)) {
			words_append(list, sizeof(list), more);
			words_append(list, sizeof(list), known);
			return weir_error(EINVAL, "%s: unknown key '%s': the keys are %s",
					  keys->what, key, list);
		}
		if (rte_kvargs_count(keys->args, key) > 1)
			return weir_error(EINVAL, "%s: '%s' is given more than once", keys->what,
					  key);
		if (value == NULL || *value == '\0')
			return weir_error(EINVAL, "%s: '%s' has no value: write %s=VALUE",
					  keys->what, key, key);
	}
	return 0;
}

/* What rte_kvargs looks for. Within quotes they are their place here, from 1, meanwhile. */
static const char marks[] = ",=[]";

/** Take quotes out and hide the marks in them; NULL with rte_errno and a sentence. */
static char *
quotes_read(const char *what, const char *text)
{
	char *copy = malloc(strlen(text) + 1), *to = copy;
	bool quoted = false;
	const char *at;

	if (copy == NULL) {
		rte_errno = -weir_error(ENOMEM, "%s: no memory for '%s'", what, text);
		return NULL;
	}
	for (at = text; *at != '\0'; at++) {
		if (*at == '"')
			quoted = !quoted;
		else
			*to++ = quoted && strchr(marks, *at) ? strchr(marks, *at) - marks + 1 : *at;
	}
	*to = '\0';
	if (!quoted)
		return copy;
	rte_errno =
		-weir_error(EINVAL, "%s: a quote is open at the end of '%s': close it", what, text);
	free(copy);
	return NULL;
}

/** The values are in the words' own copy of the text. */
static void
quotes_restore(struct rte_kvargs *args)
{
	unsigned int i;
	char *at;

	for (i = 0; i < args->count; i++)
		for (at = args->pairs[i].value; at != NULL && *at != '\0'; at++)
			if (*at > 0 && *at < (char)sizeof(marks))
				*at = marks[*at - 1];
}

struct weir_keys *
weir_keys_parse(const char *what, const char *text, const char *const *known,
		const char *const *more)
{
	char *unquoted = quotes_read(what, text);
	struct weir_keys *keys;
	int rc;

	if (unquoted == NULL)
		return NULL;
	keys = calloc(1, sizeof(*keys));
	if (keys == NULL) {
		rte_errno = -weir_error(ENOMEM, "%s: no memory for '%s'", what, text);
		free(unquoted);
		return NULL;
	}
	snprintf(keys->what, sizeof(keys->what), "%s", what);
	keys->args = rte_kvargs_parse(unquoted, NULL);
	free(unquoted);
	if (keys->args == NULL) {
		rc = weir_error(EINVAL,
				"%s: cannot read '%s': write key=VALUE,key=VALUE (at most %d)",
				what, text, RTE_KVARGS_MAX);
	} else {
		quotes_restore(keys->args);
		rc = keys_check(keys, known, more);
	}
	if (rc != 0) {
		weir_keys_free(keys);
		rte_errno = -rc;
		return NULL;
	}
	return keys;
}

void
weir_keys_free(struct weir_keys *keys)
{
	if (keys == NULL)
		return;
	rte_kvargs_free(keys->args);
	free(keys);
}

const char *
weir_keys_get(const struct weir_keys *keys, const char *key)
{
	return rte_kvargs_get(keys->args, key);
}

int
weir_keys_need(const struct weir_keys *keys, const char *key, const char **value)
{
	*value = weir_keys_get(keys, key);
	if (*value == NULL)
		return weir_error(EINVAL, "%s: the key '%s' is missing: add %s=VALUE", keys->what,
				  key, key);
	return 0;
}

/** Digits with, where allowed, a suffix; refuses signs, spaces and overflow. */
static int
number_parse(const char *text, bool suffix, uint64_t *value)
{
	unsigned int shift = 0;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno != 0)
		return -ERANGE;
	if (suffix && *end != '\0' && end[1] == '\0') {
		switch (*end) {
		case 'k':
		case 'K':
			shift = 10;
			break;
		case 'm':
		case 'M':
			shift = 20;
			break;
		case 'g':
		case 'G':
			shift = 30;
			break;
		default:
			return -EINVAL;
		}
		end++;
		if (*value > UINT64_MAX >> shift)
			return -ERANGE;
		*value <<= shift;
	}
	return *end == '\0' ? 0 : -EINVAL;
}

static int
parse_whole(const char *text, bool suffix, uint64_t *value)
{
	uint64_t number;

	if (number_parse(text, suffix, &number) != 0)
		return -EINVAL;
	*value = number;
	return 0;
}

int
weir_keys_parse_bytes(const char *text, uint64_t *value)
{
	return parse_whole(text, true, value);
}

int
weir_keys_parse_number(const char *text, uint64_t *value)
{
	return parse_whole(text, false, value);
}

static int
keys_ranged(const struct weir_keys *keys, const char *key, bool suffix, uint64_t min, uint64_t max,
	    uint64_t *value)
{
	const char *text = weir_keys_get(keys, key);
	uint64_t number;

	if (text == NULL)
		return 0;
	if (number_parse(text, suffix, &number) != 0 || number < min || number > max)
		return weir_error(
			EINVAL,
			"%s: %s=%s: a whole number from %" PRIu64 " to %" PRIu64 "%s is needed",
			keys->what, key, text, min, max, suffix ? ", K, M or G allowed," : "");
	*value = number;
	return 0;
}

int
weir_keys_number(const struct weir_keys *keys, const char *key, uint64_t min, uint64_t max,
		 uint64_t *value)
{
	return keys_ranged(keys, key, false, min, max, value);
}

int
weir_keys_bytes(const struct weir_keys *keys, const char *key, uint64_t min, uint64_t max,
		uint64_t *value)
{
	return keys_ranged(keys, key, true, min, max, value);
}

int
weir_keys_choice(const struct weir_keys *keys, const char *key, const char *const *choices,
		 unsigned int *index)
{
	const char *text = weir_keys_get(keys, key);
	char list[256] = "";
	unsigned int i;

	if (text == NULL)
		return 0;
	for (i = 0; choices[i] != NULL; i++) {
		if (strcmp(choices[i], text) == 0) {
			*index = i;
			return 0;
		}
	}
	words_append(list, sizeof(list), choices);
	return weir_error(EINVAL, "%s: %s=%s: one of %s is needed", keys->what, key, text, list);
}

int
weir_keys_switch(const struct weir_keys *keys, const char *key, bool *value)
{
	static const char *const words[] = {"off", "on", NULL};
	unsigned int index = *value;
	int rc = weir_keys_choice(keys, key, words, &index);

	if (rc == 0)
		*value = index;
	return rc;
}
