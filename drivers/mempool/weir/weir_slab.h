/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SLAB_H
#define WEIR_SLAB_H

/**
 * What slabs are made of, for the mempool driver and for lib/bufpool alike: a piece of
 * the DPDK heap, and runs of neighbouring units in it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Of a slab, when nothing else is said: one huge page, with the heap's own header. */
#define WEIR_SLAB_BYTES ((2u << 20) - 256)

/** Where slabs come from. */
struct weir_slab_source {
	int numa_node; /* or SOCKET_ID_ANY */
	/** A piece is one to a device as well: its bus addresses follow each other. */
	bool iova_contig;
	/** TSC before which a heap that had nothing is said to be dry. */
	uint64_t retry_at;
};

/**
 * A piece of the heap.
 *
 * Any thread. May map memory: takes its time.
 *
 * @param align
 *   A power of two.
 * @return
 *   Not cleared; NULL: there is none.
 */
void *weir_slab_alloc(struct weir_slab_source *source, size_t bytes, size_t align);

/** Whether the heap had nothing a moment ago: who is in a hurry need not ask. */
bool weir_slab_is_dry(const struct weir_slab_source *source);

/** Accepts NULL. @p align is that of its alloc. */
void weir_slab_free(const struct weir_slab_source *source, void *mem, size_t align);

/** The bus address of what lies in a piece; RTE_BAD_IOVA where there is none. */
uint64_t weir_slab_iova(const void *mem);

/**
 * Which units of a slab are free, as a bitmap beside it: the units themselves are not
 * touched. Neighbours that are free are one run without more ado.
 *
 * One thread at a time.
 */
struct weir_runs {
	uint32_t n_units;
	uint32_t n_free;
	uint32_t first;	  /* no free unit lies before it */
	uint32_t longest; /* no free run is longer */
	uint64_t *bits;	  /* a set one is a free unit */
};

/** Bytes that weir_runs_init() wants for the bitmap. */
size_t weir_runs_bytes(uint32_t n_units);

/** All free, or none. */
void weir_runs_init(struct weir_runs *runs, uint64_t *bits, uint32_t n_units, bool are_free);

/**
 * Take @p n neighbouring units: those with the lowest index that do, so that the high
 * ones stay together.
 *
 * @return The index of the first, or UINT32_MAX.
 */
uint32_t weir_runs_take(struct weir_runs *runs, uint32_t n);

/** Give back @p n neighbouring units that are taken. */
void weir_runs_give(struct weir_runs *runs, uint32_t index, uint32_t n);

#endif
