/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FRAME_RING_H
#define WEIR_FRAME_RING_H

/**
 * A ring of frames from one thread to one other, which may be of another process.
 *
 * rte_ring tells by indices what is in it: each push waits for the line with the popping
 * side's index, each pop for that with the pushing side's and then for the frames. Here a
 * slot tells for itself: without a frame it is NULL. The popping side looks at the slot
 * that is due, empties it, and no other line goes between the cores; the indices are for
 * who counts. The pushing side goes by the popping side's index as it last read it, and
 * reads it again when by that there is no room. So many pushes wait for a line together.
 *
 * Who counts may see a slot emptied before the index that has it filled.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

struct rte_mbuf;

/*
 * Processors fetch lines in pairs: at this alignment no line that one side polls is in
 * a pair with one that the other side writes.
 */
#define WEIR_FRAME_RING_ALIGN (2 * RTE_CACHE_LINE_SIZE)

/** Slots of a line. */
#define WEIR_FRAME_RING_LINE (RTE_CACHE_LINE_SIZE / sizeof(struct rte_mbuf *))

/** Where the caller puts it, in memory that all who use it share. */
struct weir_frame_ring {
	/* Set once. */
	uint32_t capacity;
	uint32_t mask; /* slots - 1 */
	/* The pushing side's. Indices count frames, and go round. */
	uint32_t pushed __rte_aligned(WEIR_FRAME_RING_ALIGN);
	uint32_t popped_seen; /* `popped` when it was last read, or before */
	/* The popping side's, and a copy for the pushing side, who takes that line away. */
	uint32_t next __rte_aligned(WEIR_FRAME_RING_ALIGN);
	uint32_t popped __rte_aligned(WEIR_FRAME_RING_ALIGN);
	struct rte_mbuf *slots[] __rte_aligned(WEIR_FRAME_RING_ALIGN);
};

/** Bytes of a ring that holds @p capacity frames, at WEIR_FRAME_RING_ALIGN. */
static inline size_t
weir_frame_ring_bytes(uint32_t capacity)
{
	const size_t bytes = sizeof(struct weir_frame_ring) +
			     rte_align32pow2(capacity) * sizeof(struct rte_mbuf *);

	return RTE_ALIGN_CEIL(bytes, WEIR_FRAME_RING_ALIGN);
}

/** Forget what is in it. Nobody uses it meanwhile. */
static inline void
weir_frame_ring_reset(struct weir_frame_ring *ring)
{
	ring->pushed = ring->popped_seen = ring->next = ring->popped = 0;
	memset(ring->slots, 0, (ring->mask + (size_t)1) * sizeof(ring->slots[0]));
}

/** Make a ring for @p capacity frames, 1 to 2^31, of weir_frame_ring_bytes(). */
static inline void
weir_frame_ring_init(struct weir_frame_ring *ring, uint32_t capacity)
{
	ring->capacity = capacity;
	ring->mask = rte_align32pow2(capacity) - 1;
	weir_frame_ring_reset(ring);
}

/** Of @p n frames those that a push takes now. The pushing side. */
static __rte_always_inline uint32_t
weir_frame_ring_admits(struct weir_frame_ring *ring, uint32_t n)
{
	uint32_t room = ring->capacity - (ring->pushed - ring->popped_seen);

	if (likely(room >= n))
		return n;
	/* Acquire: the slots are empty. Partner: the release in weir_frame_ring_pop(). */
	ring->popped_seen = __atomic_load_n(&ring->popped, __ATOMIC_ACQUIRE);
	room = ring->capacity - (ring->pushed - ring->popped_seen);
	return RTE_MIN(room, n);
}

/**
 * Put frames in. The pushing side.
 *
 * @param frames
 *   None of them NULL.
 * @return How many, a prefix.
 */
static __rte_always_inline uint32_t
weir_frame_ring_push(struct weir_frame_ring *ring, struct rte_mbuf *const *frames, uint32_t n)
{
	const uint32_t n_slots = ring->mask + 1, pushed = ring->pushed, at = pushed & ring->mask;
	uint32_t before_end, i;

	n = weir_frame_ring_admits(ring, n);
	if (unlikely(n == 0))
		return 0;
	before_end = RTE_MIN(n, n_slots - at);
	/* Release: the frame is in order. Partner: the acquire in weir_frame_ring_pop_line(). */
	for (i = 0; i < before_end; i++)
		__atomic_store_n(&ring->slots[at + i], frames[i], __ATOMIC_RELEASE);
	for (; i < n; i++)
		__atomic_store_n(&ring->slots[at + i - n_slots], frames[i], __ATOMIC_RELEASE);
	__atomic_store_n(&ring->pushed, pushed + n, __ATOMIC_RELEASE);
	return n;
}

/** Take up to @p n frames from slots of one line; how many there are. */
static __rte_always_inline uint32_t
weir_frame_ring_pop_line(struct rte_mbuf **slots, struct rte_mbuf **frames, uint32_t n)
{
	uint32_t i;

	/* They are filled in order: with the last, all are there. */
	if (likely(__atomic_load_n(&slots[n - 1], __ATOMIC_ACQUIRE) != NULL)) {
		if (likely(n == WEIR_FRAME_RING_LINE)) {
			memcpy(frames, slots, RTE_CACHE_LINE_SIZE);
			memset(slots, 0, RTE_CACHE_LINE_SIZE);
			return n;
		}
		for (i = 0; i < n; i++) {
			frames[i] = slots[i];
			slots[i] = NULL;
		}
		return n;
	}
	for (i = 0; i < n - 1; i++) {
		frames[i] = __atomic_load_n(&slots[i], __ATOMIC_ACQUIRE);
		if (frames[i] == NULL)
			break;
		slots[i] = NULL;
	}
	return i;
}

/** Take frames out. The popping side. @return How many. */
static __rte_always_inline uint32_t
weir_frame_ring_pop(struct weir_frame_ring *ring, struct rte_mbuf **frames, uint32_t n)
{
	const uint32_t next = ring->next, mask = ring->mask;
	uint32_t popped = 0, at, of_line, here;

	while (popped < n) {
		at = (next + popped) & mask;
		of_line = WEIR_FRAME_RING_LINE - at % WEIR_FRAME_RING_LINE;
		of_line = RTE_MIN(of_line, mask + 1 - at);
		of_line = RTE_MIN(of_line, n - popped);
		here = weir_frame_ring_pop_line(&ring->slots[at], &frames[popped], of_line);
		popped += here;
		if (here < of_line)
			break;
	}
	if (popped > 0) {
		ring->next = next + popped;
		/* Release: the slots are empty. Partner: weir_frame_ring_admits(). */
		__atomic_store_n(&ring->popped, next + popped, __ATOMIC_RELEASE);
	}
	return popped;
}

/** Frames inside. Any thread; exact for a side while the other is still. */
static inline uint32_t
weir_frame_ring_count(const struct weir_frame_ring *ring)
{
	uint32_t popped = __atomic_load_n(&ring->popped, __ATOMIC_ACQUIRE);
	uint32_t pushed = __atomic_load_n(&ring->pushed, __ATOMIC_ACQUIRE);
	int32_t count = pushed - popped;

	/* Both go on meanwhile, and a slot is seen before its index. */
	return count < 0 ? 0 : RTE_MIN((uint32_t)count, ring->capacity);
}

#endif
