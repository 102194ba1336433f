/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_MEMPOOL_H
#define WEIR_MEMPOOL_H

/**
 * The mempool driver `weir`: what our own code may tell it about a pool.
 *
 * A program that uses the driver by its name alone gets an ordinary pool, or what the
 * vdev `mempool_weir` on EAL's command line says (docs/pools.md).
 *
 * An elastic pool has `populate` objects from the start and makes more on need, up to
 * the size that the mempool was created with, in slabs from the DPDK heap. To the
 * mempool library, objects not yet made are free ones: a pool of which nothing is out
 * is full. A get that finds neither objects nor memory nor budget fails as that of an
 * empty pool does.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "weir_budget.h"
#include "weir_slab.h"

#define WEIR_MEMPOOL_OPS_NAME "weir"

/** Of a slab, when nothing else is said. */
#define WEIR_MEMPOOL_SLAB_BYTES WEIR_SLAB_BYTES

/** What a slab needs beside its objects and a pointer for each. */
#define WEIR_MEMPOOL_SLAB_HEAD_BYTES 128u

/**
 * The pool_config of rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, conf).
 *
 * Read when the pool is populated; need not live longer.
 */
struct weir_mempool_conf {
	/** Every byte of objects is reserved here first; NULL: not limited. */
	struct weir_budget *budget;
	/** Objects made at once; 0 or the pool's size: all of them, an ordinary pool. */
	uint32_t populate;
	/** Objects paid for at once, and not given back once made; at least populate. */
	uint32_t keep;
	/** Bytes of a slab; 0: WEIR_MEMPOOL_SLAB_BYTES. */
	uint32_t slab_bytes;
	/** How long an idle slab stays; 0: it goes as soon as it is seen. */
	uint32_t keep_ms;
	/**
	 * Objects in a block of rte_mempool_get_contig_blocks(); 0 or 1: blocks are single
	 * objects. Not of an elastic pool. A block lies in one chunk of memory, and where
	 * pages are not contiguous for devices in one page: what is left there over whole
	 * blocks can be had as single objects only.
	 */
	uint32_t block;
	/** Catch double frees and foreign pointers; slow. */
	bool check;
};

struct weir_mempool_stats {
	uint32_t size;			/* objects there may be */
	uint32_t made;			/* objects there are */
	uint32_t out;			/* of them with the program, or in the mempool's caches */
	uint32_t slabs;			/* there are now */
	uint64_t bytes;			/* reserved from the budget, or what would be */
	uint64_t grown;			/* slabs made */
	uint64_t grown_in_datapath;	/* of them by a get that could not wait */
	uint64_t returned;		/* slabs given back to the heap */
	uint64_t flushes;		/* times that an lcore's stack ran over into the depot */
	uint64_t refills;		/* times that one was filled from it */
	uint64_t steals;		/* times that a get had to empty other lcores' stacks */
	uint64_t refusals;		/* gets that failed */
	uint64_t double_frees, foreign; /* with check */
};

/** Any thread. @return 0, or -EINVAL: not a pool of this driver */
int weir_mempool_stats(const struct rte_mempool *mp, struct weir_mempool_stats *stats);

#endif
