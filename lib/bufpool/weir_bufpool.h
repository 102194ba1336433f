/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_BUFPOOL_H
#define WEIR_BUFPOOL_H

/**
 * Bufpool: `n` contiguous buffers of one fixed size as one allocation, within a limit,
 * with back-pressure.
 *
 *     allocation = [buffer 0][buffer 1]...[buffer n-1]
 *
 * What is out never exceeds the pool's limit; who asks for more is told so, or waits.
 * Memory comes in slabs from the DPDK heap, each paid for from a budget first, and goes
 * back there. It is the mempool driver's allocator with a second face.
 *
 * Waiting is first come, first served: while someone waits, nobody overtakes.
 *
 * Any thread of the process that created the pool, EAL's or not; create and free: control
 * threads. A thread keeps some allocations that it has freed at hand for itself; they
 * are taken from it as soon as anybody finds too little room.
 *
 * @see seeds: BufPool
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>

#include "weir_budget.h"

/** Buffers in one allocation, at most. */
#define WEIR_BUFPOOL_N_MAX 65535u
/** Bytes of a buffer, at most. */
#define WEIR_BUFPOOL_BUFFER_BYTES_MAX (1u << 20)

#define WEIR_BUFPOOL_FOREVER UINT64_MAX

struct weir_bufpool;

struct weir_bufpool_conf {
	/** 1 to WEIR_BUFPOOL_BUFFER_BYTES_MAX. A power of two up to 4096 is the alignment, too. */
	uint32_t buffer_bytes;
	/** What may be out at once; 0: as much as the budget has room for. */
	uint64_t limit_bytes;
	/**
	 * Every byte of slabs, used or not, is reserved here first; NULL: not limited beside
	 * limit_bytes. It outlives the pool.
	 */
	struct weir_budget *budget;
	/** Where the memory is, or SOCKET_ID_ANY. */
	int numa_node;
	/** An allocation's bus addresses follow each other. */
	bool iova_contig;
	/** Of a slab that short allocations share; 0: by the limit, 2 MB to 16 MB. */
	uint64_t slab_bytes;
};

struct weir_bufpool_stats {
	uint64_t limit_bytes;  /* UINT64_MAX: the budget's */
	uint64_t out_bytes;    /* with the program */
	uint64_t cached_bytes; /* freed, and at hand for a thread */
	uint64_t held_bytes;   /* of slabs: reserved from the budget */
	uint64_t peak_bytes;   /* the most ever out or at hand */
	uint32_t slabs;
	uint64_t grown, returned; /* slabs made, and given back to the heap */
	uint64_t waits;		  /* allocations that had to wait */
	uint64_t refusals;	  /* that failed for want of room */
	uint64_t gathers;	  /* times that the threads' own were taken from them */
};

/** An allocation. Its members are read, never written, by who holds it. */
struct weir_bufs {
	char *mem;
	struct weir_bufpool *pool;
	uint32_t length; /* buffers */
	uint32_t buffer_bytes;

	/* The room's own. */
	uint32_t refs;
	uint32_t index;
	void *slab;
	struct weir_bufs *next;
} __rte_cache_aligned;

/**
 * Create a pool.
 *
 * @param name
 *   Unique; shown as /weir/bufpool/info,NAME.
 * @return
 *   NULL with rte_errno and weir_error_text(): EINVAL a word out of range, or neither limit
 *   nor budget; EEXIST the name is taken; ENOMEM.
 */
struct weir_bufpool *weir_bufpool_create(const char *name, const struct weir_bufpool_conf *conf);

/**
 * Free a pool; accepts NULL.
 *
 * Waits until all that is out has come home. Meanwhile who waits for an allocation, or
 * asks for one, gets ESHUTDOWN.
 *
 * @param timeout_us
 *   WEIR_BUFPOOL_FOREVER: as the seed does.
 * @return
 *   - 0: gone
 *   - -ETIMEDOUT: weir_error_text() names what is missing, and the pool is usable again
 */
int weir_bufpool_free(struct weir_bufpool *pool, uint64_t timeout_us);

/**
 * Allocate @p n contiguous buffers, or nothing. Never waits.
 *
 * @return
 *   The caller's, with one reference; what is in it is not defined. NULL with rte_errno:
 *   - EAGAIN: no room now
 *   - EMSGSIZE: more than the limit, or than a budget's: can never fit
 *   - EINVAL: n is 0 or above WEIR_BUFPOOL_N_MAX
 *   - ENOMEM: there is room, but the heap has no memory
 *   - ESHUTDOWN: the pool is being freed, or its budget is shut down
 */
struct weir_bufs *weir_bufpool_try_alloc(struct weir_bufpool *pool, uint32_t n);

/**
 * Likewise, but wait for room.
 *
 * Threads that may block. Of what others release in a shared budget it is aware within a
 * millisecond.
 *
 * @return
 *   As weir_bufpool_try_alloc(), and never EAGAIN.
 */
struct weir_bufs *weir_bufpool_alloc(struct weir_bufpool *pool, uint32_t n);

/** Likewise, for at most @p timeout_us; then ETIMEDOUT. */
struct weir_bufs *weir_bufpool_alloc_timed(struct weir_bufpool *pool, uint32_t n,
					   uint64_t timeout_us);

/** One more holder. @return @p bufs */
static inline struct weir_bufs *
weir_bufs_ref(struct weir_bufs *bufs)
{
	__atomic_fetch_add(&bufs->refs, 1, __ATOMIC_RELAXED);
	return bufs;
}

/** One holder less; the last one gives the buffers back. Any thread; accepts NULL. */
void weir_bufs_free(struct weir_bufs *bufs);

static inline uint32_t
weir_bufs_length(const struct weir_bufs *bufs)
{
	return bufs->length;
}

static inline uint64_t
weir_bufs_bytes(const struct weir_bufs *bufs)
{
	return (uint64_t)bufs->length * bufs->buffer_bytes;
}

/** The first buffer, which is the address of all of them. */
static inline void *
weir_bufs_first(const struct weir_bufs *bufs)
{
	return bufs->mem;
}

/** Buffer @p i of its length. */
static inline void *
weir_bufs_at(const struct weir_bufs *bufs, uint32_t i)
{
	return bufs->mem + (uint64_t)i * bufs->buffer_bytes;
}

/**
 * The bus address of buffer @p i, or RTE_BAD_IOVA. Costs a search where bus addresses are
 * not the virtual ones.
 */
uint64_t weir_bufs_iova(const struct weir_bufs *bufs, uint32_t i);

/** For each buffer, as @p ptr. */
#define WEIR_BUFS_FOREACH(bufs, ptr)                                                               \
	for ((ptr) = (void *)(bufs)->mem; (char *)(ptr) < (bufs)->mem + weir_bufs_bytes(bufs);     \
	     (ptr) = (void *)((char *)(ptr) + (bufs)->buffer_bytes))

/** Take what threads keep at hand, and give what is idle back to the heap. Any thread. */
void weir_bufpool_trim(struct weir_bufpool *pool);

/** Counters; a moment's picture only when nothing moves. */
void weir_bufpool_stats(struct weir_bufpool *pool, struct weir_bufpool_stats *stats);

const char *weir_bufpool_name(const struct weir_bufpool *pool);

#endif
