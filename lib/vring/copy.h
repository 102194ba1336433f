/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef COPY_H
#define COPY_H

/*
 * Copying a frame. Half of all frames are small: those are done in place with a
 * few overlapping loads, all before the first store, without a loop or a call.
 */

#include <stdint.h>
#include <string.h>

#include <rte_common.h>

typedef uint8_t copy_16 __attribute__((vector_size(16)));

static __rte_always_inline copy_16
copy_load(const uint8_t *src)
{
	copy_16 v;

	memcpy(&v, src, sizeof(v));
	return v;
}

static __rte_always_inline void
copy_store(uint8_t *dst, copy_16 v)
{
	memcpy(dst, &v, sizeof(v));
}

/** Copy @p len bytes between buffers that do not overlap. */
static __rte_always_inline void
copy_bytes(uint8_t *dst, const uint8_t *src, uint32_t len)
{
	if (len - 33 <= 64 - 33) {
		copy_16 a = copy_load(src), b = copy_load(src + 16);
		copy_16 c = copy_load(src + len - 32), d = copy_load(src + len - 16);

		copy_store(dst, a);
		copy_store(dst + 16, b);
		copy_store(dst + len - 32, c);
		copy_store(dst + len - 16, d);
	} else if (len - 65 <= 128 - 65) {
		copy_16 a = copy_load(src), b = copy_load(src + 16);
		copy_16 c = copy_load(src + 32), d = copy_load(src + 48);
		copy_16 e = copy_load(src + len - 64), f = copy_load(src + len - 48);
		copy_16 g = copy_load(src + len - 32), h = copy_load(src + len - 16);

		copy_store(dst, a);
		copy_store(dst + 16, b);
		copy_store(dst + 32, c);
		copy_store(dst + 48, d);
		copy_store(dst + len - 64, e);
		copy_store(dst + len - 48, f);
		copy_store(dst + len - 32, g);
		copy_store(dst + len - 16, h);
	} else {
		/* The C library picks what this processor does best. */
		memcpy(dst, src, len);
	}
}

#endif
