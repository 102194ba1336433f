/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "capture.h"
#include "weir_error.h"
#include "weir_keys.h"

#define STAGING_DEFAULT (32ULL << 20)
#define STAGING_MIN (4ULL * CAPTURE_BLOCK_BYTES)
#define STAGING_MAX (16ULL << 30)
/* A file has room for its interfaces and for a block. */
#define ROTATE_MIN (1ULL << 20)
#define FILES_MAX 99999

static const char *const capture_keys[] = {"name",	"guest",  "endpoint", "file",	 "snaplen",
					   "direction", "rotate", "files",    "staging", NULL};
static const char *const direction_words[] = {"both", "tx", "rx", NULL};

const char *
weir_capture_usage(void)
{
	return "name=NAME           of the capture, unique\n"
	       "guest=NAME          whose frames, or\n"
	       "endpoint=NAME       those of every guest that is attached to it\n"
	       "file=PATH           pcapng; overwritten\n"
	       "snaplen=1..262144   bytes of each frame (262144: all)\n"
	       "filter=TEXT         in the language of tcpdump; in quotes where it has a comma\n"
	       "direction=tx|rx|both  frames that leave the guest, enter it (both)\n"
	       "rotate=BYTES        begin a new file there, PATH with _00001 and so on; K, M or G\n"
	       "files=1..99999      of them kept, the newest (all)\n"
	       "staging=BYTES       memory for what the disk has not taken yet (32M)\n";
}

/**
 * Take `filter=TEXT` out of the words: it may have what separates them. The value is in
 * quotes, or ends at the next comma.
 */
static int
filter_extract(char *text, char **filter)
{
	char *at = text, *value, *end;

	while (at != NULL && strncmp(at, "filter=", 7) != 0) {
		at = strchr(at, ',');
		at = at != NULL ? at + 1 : NULL;
	}
	if (at == NULL)
		return 0;
	value = at + 7;
	if (*value == '\'' || *value == '"') {
		end = strchr(value + 1, *value);
		if (end == NULL || (end[1] != '\0' && end[1] != ','))
			return weir_error(EINVAL,
					  "--capture: filter=%s: the quote has no end: write "
					  "filter='TEXT'",
					  value);
		value++;
	} else {
		end = value + strcspn(value, ",");
	}
	if (end == value)
		return weir_error(EINVAL, "--capture: 'filter' has no value: write filter=TEXT, or "
					  "leave it away");
	*filter = strndup(value, end - value);
	if (*filter == NULL)
		return weir_error(ENOMEM, "--capture: no memory");
	end += strcspn(end, ",");
	if (*end == ',')
		end++;
	else if (at > text)
		at--; /* the last one: its comma goes as well */
	memmove(at, end, strlen(end) + 1);
	return 0;
}

static int
keys_read_place(struct capture_keys *keys, const struct weir_keys *words)
{
	const char *guest = weir_keys_get(words, "guest");
	const char *endpoint = weir_keys_get(words, "endpoint");
	int rc;

	if ((guest == NULL) == (endpoint == NULL))
		return weir_error(EINVAL,
				  "--capture: either guest=NAME or endpoint=NAME is needed, %s",
				  guest == NULL ? "and neither is given" : "not both");
	keys->of_endpoint = endpoint != NULL;
	rc = weir_object_check_name(endpoint != NULL ? endpoint : guest);
	if (rc != 0)
		return weir_error(-rc, "--capture: %s", weir_error_text());
	strcpy(keys->of, endpoint != NULL ? endpoint : guest);
	return 0;
}

static int
keys_read_file(struct capture_keys *keys, const struct weir_keys *words)
{
	const char *path;
	int rc = weir_keys_need(words, "file", &path);

	if (rc != 0)
		return rc;
	if (strlen(path) >= sizeof(keys->path))
		return weir_error(ENAMETOOLONG, "--capture: file=: its path is too long");
	strcpy(keys->path, path);
	rc = weir_keys_bytes(words, "rotate", ROTATE_MIN, UINT64_MAX, &keys->rotate_bytes);
	if (rc == 0)
		rc = weir_keys_number(words, "files", 1, FILES_MAX, &keys->n_files);
	if (rc == 0 && keys->n_files != 0 && keys->rotate_bytes == 0)
		rc = weir_error(EINVAL,
				"--capture: files=%u without rotate=: say at which size a "
				"new file begins",
				(unsigned int)keys->n_files);
	return rc;
}

static int
keys_read(struct capture_keys *keys, const struct weir_keys *words)
{
	uint64_t snaplen = CAPTURE_SNAPLEN_MAX;
	unsigned int direction = 0;
	const char *name;
	int rc;

	keys->staging_bytes = STAGING_DEFAULT;
	rc = weir_keys_need(words, "name", &name);
	if (rc != 0)
		return rc;
	rc = weir_object_check_name(name);
	if (rc != 0)
		return weir_error(-rc, "--capture: %s", weir_error_text());
	strcpy(keys->name, name);
	rc = keys_read_place(keys, words);
	if (rc == 0)
		rc = keys_read_file(keys, words);
	if (rc == 0)
		rc = weir_keys_number(words, "snaplen", 1, CAPTURE_SNAPLEN_MAX, &snaplen);
	if (rc == 0)
		rc = weir_keys_choice(words, "direction", direction_words, &direction);
	if (rc == 0)
		rc = weir_keys_bytes(words, "staging", STAGING_MIN, STAGING_MAX,
				     &keys->staging_bytes);
	keys->snaplen = snaplen;
	keys->sides = direction == 0   ? WEIR_CAPTURE_TX | WEIR_CAPTURE_RX
		      : direction == 1 ? WEIR_CAPTURE_TX
				       : WEIR_CAPTURE_RX;
	return rc;
}

/** 0, or negative errno with the reason and nothing to free. */
int
capture_keys_read(struct capture_keys *keys, const char *text)
{
	struct weir_keys *words = NULL;
	char *rest = strdup(text);
	int rc;

	if (rest == NULL)
		return weir_error(ENOMEM, "--capture: no memory");
	memset(keys, 0, sizeof(*keys));
	rc = filter_extract(rest, &keys->filter);
	if (rc == 0) {
		words = weir_keys_parse("--capture", rest, capture_keys, NULL);
		rc = words != NULL ? keys_read(keys, words) : -rte_errno;
	}
	weir_keys_free(words);
	free(rest);
	if (rc != 0)
		capture_keys_free(keys);
	return rc;
}

void
capture_keys_free(struct capture_keys *keys)
{
	free(keys->filter);
	keys->filter = NULL;
}
