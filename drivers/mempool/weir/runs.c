/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of free units in a bitmap: first fit by address, the policy under which long
 * mixed use splits memory least. `longest` is an upper bound, which a search in vain makes
 * exact, so that a slab that has no such run is searched once.
 */
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "weir_slab.h"

#define WORD 64u

size_t
weir_runs_bytes(uint32_t n_units)
{
	return (size_t)RTE_ALIGN_CEIL(n_units, WORD) / 8;
}

/** Make bits [from, to) what @p value says. */
static void
bits_fill(uint64_t *bits, uint32_t from, uint32_t to, bool value)
{
	uint32_t n;
	uint64_t mask;

	for (; from < to; from += n) {
		n = RTE_MIN(WORD - from % WORD, to - from);
		mask = (n == WORD ? UINT64_MAX : RTE_BIT64(n) - 1) << from % WORD;
		if (value)
			bits[from / WORD] |= mask;
		else
			bits[from / WORD] &= ~mask;
	}
}

/** The first bit from @p at on that is @p value, or @p end. */
static uint32_t
bits_next(const uint64_t *bits, uint32_t at, uint32_t end, bool value)
{
	const uint64_t flip = value ? 0 : UINT64_MAX;
	uint64_t word;

	if (at >= end)
		return end;
	word = (bits[at / WORD] ^ flip) >> at % WORD << at % WORD;
	at -= at % WORD;
	while (word == 0) {
		at += WORD;
		if (at >= end)
			return end;
		word = bits[at / WORD] ^ flip;
	}
	return RTE_MIN(at + (uint32_t)rte_bsf64(word), end);
}

/** How many bits right before @p at are set. */
static uint32_t
bits_set_before(const uint64_t *bits, uint32_t at)
{
	uint32_t n = 0, part;
	uint64_t word;

	while (at > 0) {
		part = (at - 1) % WORD + 1;
		word = ~(bits[(at - 1) / WORD] << (WORD - part));
		/* Shifted in were zeros, which end the run here when it fills the part. */
		n += word == 0 ? WORD : RTE_MIN((uint32_t)__builtin_clzll(word), part);
		if (word == 0 || (uint32_t)__builtin_clzll(word) >= part)
			at -= part;
		else
			break;
	}
	return n;
}

void
weir_runs_init(struct weir_runs *runs, uint64_t *bits, uint32_t n_units, bool are_free)
{
	memset(bits, 0, weir_runs_bytes(n_units));
	*runs = (struct weir_runs){.n_units = n_units, .first = n_units, .bits = bits};
	if (are_free)
		weir_runs_give(runs, 0, n_units);
}

uint32_t
weir_runs_take(struct weir_runs *runs, uint32_t n)
{
	uint32_t start, end, longest = 0;

	if (n == 0 || n > runs->n_free || n > runs->longest)
		return UINT32_MAX;
	end = runs->first;
	for (;;) {
		start = bits_next(runs->bits, end, runs->n_units, true);
		if (start == runs->n_units)
			break;
		if (longest == 0)
			runs->first = start;
		/* No further than it takes: what lies behind is not of interest. */
		end = bits_next(runs->bits, start, RTE_MIN(start + n, runs->n_units), false);
		if (end - start == n) {
			bits_fill(runs->bits, start, end, false);
			runs->n_free -= n;
			if (start == runs->first)
				runs->first = end;
			return start;
		}
		longest = RTE_MAX(longest, end - start);
	}
	runs->longest = longest;
	return UINT32_MAX;
}

void
weir_runs_give(struct weir_runs *runs, uint32_t index, uint32_t n)
{
	uint32_t start, end;

	bits_fill(runs->bits, index, index + n, true);
	runs->n_free += n;
	runs->first = RTE_MIN(runs->first, index);
	if (runs->longest == runs->n_units)
		return;
	start = index - bits_set_before(runs->bits, index);
	end = bits_next(runs->bits, index + n, runs->n_units, false);
	runs->longest = RTE_MAX(runs->longest, end - start);
}
