/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of more than 128 bytes, by the widest registers that pay. Which ones those are is
 * asked of the processor once.
 */
#include <rte_cpuflags.h>

#include "copy.h"

#define LINE 64
#define LINES 8

void
copy_lines_plain(uint8_t *dst, const uint8_t *src, uint32_t len)
{
	const uint32_t skip = 16 - ((uintptr_t)dst & 15);
	const uint8_t *src_last = src + len - 64;
	uint8_t *last = dst + len - 64;
	copy_16 e = copy_load(src_last), f = copy_load(src_last + 16);
	copy_16 g = copy_load(src_last + 32), h = copy_load(src_last + 48);

	copy_store(dst, copy_load(src));
	for (dst += skip, src += skip; dst < last; dst += 64, src += 64) {
		copy_16 a = copy_load(src), b = copy_load(src + 16);
		copy_16 c = copy_load(src + 32), d = copy_load(src + 48);

		copy_store(dst, a);
		copy_store(dst + 16, b);
		copy_store(dst + 32, c);
		copy_store(dst + 48, d);
	}
	copy_store(last, e);
	copy_store(last + 16, f);
	copy_store(last + 32, g);
	copy_store(last + 48, h);
}

copy_lines_fn *copy_lines = copy_lines_plain;

#ifdef RTE_ARCH_X86_64

typedef uint8_t copy_line __attribute__((vector_size(LINE), aligned(1), may_alias));

__attribute__((target("avx512f"))) static void
copy_lines_avx512(uint8_t *dst, const uint8_t *src, uint32_t len)
{
	const uint32_t skip = LINE - ((uintptr_t)dst & (LINE - 1));
	uint8_t *last = dst + len - LINE;
	const copy_line end = *(const copy_line *)(src + len - LINE);
	unsigned int i;

	*(copy_line *)dst = *(const copy_line *)src;
	for (dst += skip, src += skip; dst + LINES * LINE < last;
	     dst += LINES * LINE, src += LINES * LINE) {
		copy_line lines[LINES];

		/* In registers: all loads go before the first store. */
#pragma GCC unroll 8
		for (i = 0; i < LINES; i++)
			lines[i] = *(const copy_line *)(src + i * LINE);
#pragma GCC unroll 8
		for (i = 0; i < LINES; i++)
			*(copy_line *)(dst + i * LINE) = lines[i];
	}
	for (; dst < last; dst += LINE, src += LINE)
		*(copy_line *)dst = *(const copy_line *)src;
	*(copy_line *)last = end;
}

copy_lines_fn *
copy_lines_wide(void)
{
	/*
	 * Not the first processors with AVX-512, which slow down as a whole for using it:
	 * VBMI2 came with those that do not (Ice Lake, Zen 4).
	 */
	return rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512F) == 1 &&
			       rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512VBMI2) == 1
		       ? copy_lines_avx512
		       : NULL;
}

#else

copy_lines_fn *
copy_lines_wide(void)
{
	return NULL;
}

#endif

RTE_INIT(copy_choose)
{
	copy_lines_fn *wide = copy_lines_wide();

	if (wide != NULL)
		copy_lines = wide;
}
