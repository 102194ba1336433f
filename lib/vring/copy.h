/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef COPY_H
#define COPY_H

/*
 * Copying a frame. Half of all frames are small: those are done in place with a
 * few overlapping loads, all before the first store, without a loop or a call.
 *
 * The rest goes in whole lines to an aligned destination: a frame begins 12 bytes
 * into its buffer, and what costs is stores that lie across lines. Where the
 * processor has AVX-512 (see copy.c) eight lines are loaded before the first is
 * stored: so many misses of the second cache are waited for at once. Frames of 1518
 * bytes from guest to guest, cycles each, medians of 4 slices on a Zen 4: 203 with
 * eight lines, 211 with four or one, 223 by the C library's memcpy, 242 with the 16-byte
 * pieces that any x86 has, 250 to 261 with 32-byte ones (AVX2), 287 by `rep movsb`.
 * Frames that lie in the first cache (weir-bench vring) do not show it.
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

/** Longer ones the C library copies by lines as well, and pages best. */
#define COPY_LINES_MAX 4096

typedef void copy_lines_fn(uint8_t *dst, const uint8_t *src, uint32_t len);

/** More than 128 bytes, in 16-byte pieces. */
copy_lines_fn copy_lines_plain;

/** The same by whole lines; NULL where the processor has none of AVX-512. */
copy_lines_fn *copy_lines_wide(void);

/** The better of them; set before main(). */
extern copy_lines_fn *copy_lines;

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
	} else if (len - 129 <= COPY_LINES_MAX - 129) {
		copy_lines(dst, src, len);
	} else {
		memcpy(dst, src, len);
	}
}

#endif
