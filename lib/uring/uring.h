/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef URING_H
#define URING_H

/*
 * What the files of the room share:
 *
 *   ring.c        set-up, registration of memory, what is refused
 *   completion.c  to the kernel and back: flush, reap, wait, cancel
 *   request.c     reads and writes, by the kernel or by plain system calls
 *   pool.c        buffers and their states
 *   frames.c      the frames of a frame pool as buffers
 *
 * User data says which request it is: pool number + 1, 0 for none; buffer; a number
 * of its own. It is never negative, so that it can share a return value with errno.
 *
 *   63 - 48   47 - 32   31 - 0
 *   pool + 1  index     sequence
 */

#include <liburing.h>

#include <rte_mbuf.h>

#include "weir_log.h"
#include "weir_uring.h"

WEIR_LOG_DECLARE(uring);

/** Of one ring. */
#define POOLS_MAX 32
/** Pieces of memory registered with one ring: a pool of frames may take several. */
#define REGIONS_MAX 256
/** Submissions that are copied to the kernel's queue together. */
#define STAGED_MAX 64
/** The region of a buffer that is not registered. */
#define REGION_NONE UINT16_MAX
/** What the kernel registers in one piece, io_buffer_validate(). */
#define REGION_BYTES_MAX (1u << 30)

enum slot_state { SLOT_FREE, SLOT_ACQUIRED, SLOT_MARKED, SLOT_SUBMITTED };

/** One buffer, and the request that it was last in. */
struct slot {
	uint64_t offset;
	uint32_t sequence;
	int32_t fd;
	uint32_t len;
	uint32_t done; /* of len */
	uint16_t region;
	uint8_t state;
	bool is_write;
};

struct weir_uring_pool {
	struct weir_uring *ring;
	struct slot *slots;
	uint8_t *memory;  /* NULL of a pool of frames */
	bool borrowed;	  /* the memory is the caller's */
	size_t stride;	  /* from buffer to buffer */
	uint16_t *unused; /* free buffers, last in, first out; of a pool of frames none */
	uint32_t n_unused;
	uint32_t n_buffers;
	uint32_t n_acquired;
	uint32_t n_in_flight;
	uint32_t buffer_bytes;
	uint16_t number; /* in its ring */
	uint64_t bytes;
	uint64_t acquires, exhaustions, reads, writes;
	struct weir_budget *budget;

	/* A pool of frames; in order of address, as the slots are. */
	struct weir_frame_pool *frame_pool;
	struct rte_mbuf **frames;
};

/** A completion of a plain ring. */
struct plain_done {
	uint64_t user_data;
	int32_t result;
};

struct weir_uring {
	struct io_uring io;
	const char *owner;
	bool plain, plain_allowed;
	bool unheard;	/* the kernel thread sleeps, and could not be woken */
	int rw_flags;	/* of each read and write, preadv2(2) */
	uint32_t taken; /* submissions that the kernel had taken when this was last looked up */
	uint32_t n_staged;
	uint32_t sequence;
	uint32_t n_in_flight;
	uint32_t n_pools;
	struct weir_uring_pool *pools[POOLS_MAX];
	bool region_used[REGIONS_MAX];
	struct weir_uring_stats stats;

	/* A plain ring's. */
	struct plain_done *done;
	uint32_t done_size, done_first, done_n;

	struct io_uring_sqe staged[STAGED_MAX];
};

/* One thread writes, any reads. */

static inline void
tally(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void
number_set(uint32_t *number, uint32_t value)
{
	__atomic_store_n(number, value, __ATOMIC_RELAXED);
}

static inline uint32_t
number_get(const uint32_t *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static inline int64_t
user_data_of(uint16_t pool_plus_1, uint16_t index, uint32_t sequence)
{
	return (int64_t)pool_plus_1 << 48 | (int64_t)index << 32 | sequence;
}

/** From free, by its first owner: nothing is left of a request. */
static inline void
slot_acquire(struct slot *slot)
{
	slot->state = SLOT_ACQUIRED;
	slot->len = slot->done = 0;
}

/** Where a buffer lies. */
static inline void *
buffer_data(const struct weir_uring_pool *pool, uint16_t index)
{
	if (pool->frames != NULL)
		return rte_pktmbuf_mtod(pool->frames[index], void *);
	return pool->memory + index * pool->stride;
}

static inline uint32_t
buffer_room(const struct weir_uring_pool *pool, uint16_t index)
{
	if (pool->frames != NULL)
		return pool->frames[index]->buf_len - pool->frames[index]->data_off;
	return pool->buffer_bytes;
}

/*
 * What the kernel thread of a ring has read lies in its core's cache, and each line that is
 * written there again waits for it. Such waits overlap when the stores follow each other
 * closely, and not when the rest of a submit is between them (a core holds some 64 stores).
 * So submissions are made in lines of our own, and copied to the queue back to back.
 *
 * The heads and tails of both queues, and the flags, are words of one line that the thread
 * looks at all the time: the kernel is asked for room only when none is known of, and told of
 * what was submitted, and of what was reaped, once a burst.
 */

static inline uint32_t
ring_tail(const struct weir_uring *ring)
{
	return ring->io.sq.sqe_tail + ring->n_staged;
}

/** Whether there is room for a submission. */
static inline bool
ring_has_room(struct weir_uring *ring)
{
	const struct io_uring_sq *sq = &ring->io.sq;

	if (likely(ring_tail(ring) - ring->taken < sq->ring_entries))
		return true;
	ring->taken = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
	return ring_tail(ring) - ring->taken < sq->ring_entries;
}

/** Copy what is staged to the queue. */
static inline void
ring_unstage(struct weir_uring *ring)
{
	struct io_uring_sq *sq = &ring->io.sq;
	uint32_t i;

	for (i = 0; i < ring->n_staged; i++)
		sq->sqes[sq->sqe_tail++ & sq->ring_mask] = ring->staged[i];
	ring->n_staged = 0;
}

/** A submission, where there is room; all of it is to be set. */
static inline struct io_uring_sqe *
ring_submission(struct weir_uring *ring)
{
	if (unlikely(ring->n_staged == STAGED_MAX))
		ring_unstage(ring);
	return &ring->staged[ring->n_staged++];
}

/** Register memory. @return Its number, or negative errno with a sentence. */
int ring_region_add(struct weir_uring *ring, void *base, size_t bytes);
void ring_region_remove(struct weir_uring *ring, uint16_t region);

/** Whether registering @p rc failed, and requests become plain system calls instead. */
bool ring_turn_plain(struct weir_uring *ring, int rc);

/** A pool's place in its ring. @return 0, or -ENOSPC with a sentence. */
int ring_pool_add(struct weir_uring *ring, struct weir_uring_pool *pool);
void ring_pool_remove(struct weir_uring *ring, struct weir_uring_pool *pool);

/** The request of @p slot is over. @return Bytes left. */
uint32_t request_over(struct weir_uring_pool *pool, struct slot *slot, int32_t result);

/** For frames.c: a pool with slots, all free, and without memory. */
struct weir_uring_pool *pool_new(struct weir_uring *ring, uint32_t n_buffers,
				 uint32_t buffer_bytes);
void pool_delete(struct weir_uring_pool *pool);

/** Parts of acquire, release and free of a pool of frames. */
bool frames_take(struct weir_uring_pool *pool, uint16_t *index);
void frames_give(struct weir_uring_pool *pool, uint16_t index);
void frames_unregister(struct weir_uring_pool *pool);

#endif
