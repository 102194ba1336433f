/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_KEYS_H
#define WEIR_KEYS_H

/**
 * `key=value,key=value` words, checked once. A value with commas is quoted:
 * `key="a,b"`.
 *
 * Every set of keys a user types (--guest, --endpoint, a vdev's arguments) is
 * read through these calls, so that each mistake gets the same kind of sentence
 * in weir_error_text(): which word, what is wrong, what would be right.
 *
 * Control threads.
 */

#include <stdbool.h>
#include <stdint.h>

struct weir_keys;

/**
 * Split and check the words.
 *
 * @param what
 *   What they describe, as the user wrote it: "--guest", "mempool_weir".
 * @param text
 *   The words; may be empty.
 * @param known
 *   Keys that are allowed, NULL-ended; @p more likewise, or NULL.
 * @return
 *   NULL with -EINVAL's sentence: an unknown, doubled or empty key, a key
 *   without value; or ENOMEM. rte_errno is set.
 */
struct weir_keys *weir_keys_parse(const char *what, const char *text, const char *const *known,
				  const char *const *more);

/** Accepts NULL. */
void weir_keys_free(struct weir_keys *keys);

/** The value of a key, valid as long as @p keys, or NULL when it was not given. */
const char *weir_keys_get(const struct weir_keys *keys, const char *key);

/** Likewise, but missing is -EINVAL with a sentence; @p value is set on 0. */
int weir_keys_need(const struct weir_keys *keys, const char *key, const char **value);

/**
 * A whole number.
 *
 * @param value
 *   Left as it is, the default, when the key was not given.
 * @return 0, or -EINVAL with a sentence that names the range.
 */
int weir_keys_number(const struct weir_keys *keys, const char *key, uint64_t min, uint64_t max,
		     uint64_t *value);

/** Bytes with an optional suffix K, M, G (powers of 1024); else as weir_keys_number(). */
int weir_keys_bytes(const struct weir_keys *keys, const char *key, uint64_t min, uint64_t max,
		    uint64_t *value);

/**
 * Read a whole number of bytes, with an optional suffix K, M, G: the value of an
 * option that has no keys.
 *
 * @return 0, or -EINVAL without a sentence: the caller knows what it read.
 */
int weir_keys_parse_bytes(const char *text, uint64_t *value);

/** Likewise, without a suffix: a number of something else than bytes. */
int weir_keys_parse_number(const char *text, uint64_t *value);

/** on or off. */
int weir_keys_switch(const struct weir_keys *keys, const char *key, bool *value);

/**
 * One of the words @p choices, NULL-ended.
 *
 * @param index
 *   Which; left as it is when the key was not given.
 */
int weir_keys_choice(const struct weir_keys *keys, const char *key, const char *const *choices,
		     unsigned int *index);

#endif
