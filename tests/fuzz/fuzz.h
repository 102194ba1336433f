/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_H
#define FUZZ_H

/* What the fuzz targets share: a way through the input, and a way to object. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* True whatever a guest does. */
#define FUZZ_CLAIM(claim)                                                                          \
	do {                                                                                       \
		if (!(claim)) {                                                                    \
			fprintf(stderr, "does not hold: %s\n", #claim);                            \
			__builtin_trap();                                                          \
		}                                                                                  \
	} while (0)

struct fuzz {
	const uint8_t *data;
	size_t left;
};

/* The next @p n bytes as a number; zeros past the end. */
static inline uint64_t
fuzz_number(struct fuzz *fuzz, size_t n)
{
	uint64_t value = 0;
	size_t have = RTE_MIN(n, fuzz->left);

	memcpy(&value, fuzz->data, have);
	fuzz->data += have;
	fuzz->left -= have;
	return value;
}

#endif
