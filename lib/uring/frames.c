/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames of a frame pool as registered buffers. The pool makes its frames on need,
 * in slabs of the DPDK heap; once made, those within its capacity stay. So all of them
 * are acquired for a moment here, which makes them, and the memory from the first to
 * the last of each slab is registered in one piece. A buffer's number is its frame's
 * place in the order of addresses.
 */
#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "uring.h"
#include "weir_error.h"
#include "weir_frame.h"

static int
frame_compare(const void *a, const void *b)
{
	const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/** @return 0 with its place, or -EINVAL. */
static int
frame_find(const struct weir_uring_pool *pool, const struct rte_mbuf *frame, uint16_t *index)
{
	struct rte_mbuf **place = bsearch(&frame, pool->frames, pool->n_buffers,
					  sizeof(*pool->frames), frame_compare);

	if (place == NULL)
		return -EINVAL;
	*index = place - pool->frames;
	return 0;
}

bool
frames_take(struct weir_uring_pool *pool, uint16_t *index)
{
	struct rte_mbuf *frame = weir_frame_acquire(pool->frame_pool);

	return frame != NULL && frame_find(pool, frame, index) == 0;
}

void
frames_give(struct weir_uring_pool *pool, uint16_t index)
{
	weir_frame_release(pool->frames[index]);
}

/** Register from frame @p first to before @p end. */
static int
extent_register(struct weir_uring_pool *pool, uint32_t first, uint32_t end)
{
	struct rte_mbuf *last = pool->frames[end - 1];
	void *base = pool->frames[first]->buf_addr;
	size_t bytes = RTE_PTR_DIFF(last->buf_addr, base) + last->buf_len;
	int region = ring_region_add(pool->ring, base, bytes);

	if (region < 0)
		return region;
	pool->bytes += bytes;
	for (; first < end; first++)
		pool->slots[first].region = region;
	return 0;
}

/** The frames from @p first to before @p end, which is where another extent begins. */
static uint32_t
extent_end(const struct weir_uring_pool *pool, uint32_t first)
{
	const struct rte_mempool *mp = weir_frame_pool_mempool(pool->frame_pool);
	size_t stride = mp->header_size + mp->elt_size + mp->trailer_size;
	uint32_t end = first + 1;

	while (end < pool->n_buffers &&
	       RTE_PTR_DIFF(pool->frames[end], pool->frames[end - 1]) == stride &&
	       (end + 1 - first) * stride <= REGION_BYTES_MAX)
		end++;
	return end;
}

static void
extents_unregister(struct weir_uring_pool *pool, uint32_t n_frames)
{
	uint32_t i;

	for (i = 0; i < n_frames; i++)
		if (i == 0 || pool->slots[i].region != pool->slots[i - 1].region)
			ring_region_remove(pool->ring, pool->slots[i].region);
}

static int
extents_register(struct weir_uring_pool *pool)
{
	uint32_t first, end;
	int rc;

	if (pool->ring->plain)
		return 0;
	for (first = 0; first < pool->n_buffers; first = end) {
		end = extent_end(pool, first);
		rc = extent_register(pool, first, end);
		if (rc == 0)
			continue;
		if (ring_turn_plain(pool->ring, rc))
			return 0;
		extents_unregister(pool, first);
		return rc;
	}
	return 0;
}

void
frames_unregister(struct weir_uring_pool *pool)
{
	uint32_t i;

	extents_unregister(pool, pool->n_buffers);
	for (i = 0; i < pool->n_buffers; i++)
		if (pool->slots[i].state != SLOT_FREE)
			weir_frame_release(pool->frames[i]);
}

static int
frame_pool_check(const struct weir_uring *ring, struct weir_frame_pool *frames)
{
	const struct rte_mempool *mp = weir_frame_pool_mempool(frames);
	uint32_t n = weir_frame_pool_capacity(frames);

	if (n < mp->size)
		return weir_error(ENOTSUP,
				  "%s: the frame pool '%s' has a burst of %u frames, whose memory "
				  "comes and goes: only a pool without can be registered",
				  ring->owner, mp->name, mp->size - n);
	if (n > WEIR_URING_BUFFERS_MAX)
		return weir_error(EINVAL,
				  "%s: the frame pool '%s' has %u frames: %u can be "
				  "registered",
				  ring->owner, mp->name, n, WEIR_URING_BUFFERS_MAX);
	return 0;
}

/** Learn all frames there are, in order. */
static int
frames_learn(struct weir_uring_pool *pool)
{
	pool->frames = calloc(pool->n_buffers, sizeof(*pool->frames));
	if (pool->frames == NULL)
		return weir_error(ENOMEM, "%s: no memory to keep book of %u frames",
				  pool->ring->owner, pool->n_buffers);
	if (weir_frame_acquire_bulk(pool->frame_pool, pool->frames, pool->n_buffers) != 0)
		return weir_error(EBUSY, "%s: %u of %u frames to be registered are out",
				  pool->ring->owner,
				  pool->n_buffers - weir_frame_pool_free_count(pool->frame_pool),
				  pool->n_buffers);
	weir_frame_release_bulk(pool->frames, pool->n_buffers);
	qsort(pool->frames, pool->n_buffers, sizeof(*pool->frames), frame_compare);
	return 0;
}

struct weir_uring_pool *
weir_uring_pool_of_frames(struct weir_uring *ring, struct weir_frame_pool *frames)
{
	struct weir_uring_pool *pool;
	int rc = frame_pool_check(ring, frames);

	if (rc != 0) {
		rte_errno = -rc;
		return NULL;
	}
	pool = pool_new(ring, weir_frame_pool_capacity(frames),
			weir_frame_pool_room(frames) - RTE_PKTMBUF_HEADROOM);
	if (pool == NULL)
		return NULL;
	pool->frame_pool = frames;
	rc = frames_learn(pool);
	if (rc == 0)
		rc = ring_pool_add(ring, pool);
	if (rc == 0) {
		rc = extents_register(pool);
		if (rc == 0)
			return pool;
		ring_pool_remove(ring, pool);
	}
	pool_delete(pool);
	rte_errno = -rc;
	return NULL;
}

int
weir_uring_adopt(struct weir_uring_pool *pool, struct rte_mbuf *frame, uint16_t *index)
{
	if (pool->frames == NULL || frame_find(pool, frame, index) != 0)
		return -EINVAL;
	if (pool->slots[*index].state != SLOT_FREE)
		return -EBUSY;
	slot_acquire(&pool->slots[*index]);
	number_set(&pool->n_acquired, pool->n_acquired + 1);
	return 0;
}

struct rte_mbuf *
weir_uring_disown(struct weir_uring_pool *pool, uint16_t index)
{
	struct rte_mbuf *frame = weir_uring_frame(pool, index);

	if (frame == NULL)
		return NULL;
	pool->slots[index].state = SLOT_FREE;
	number_set(&pool->n_acquired, pool->n_acquired - 1);
	return frame;
}

struct rte_mbuf *
weir_uring_frame(const struct weir_uring_pool *pool, uint16_t index)
{
	if (pool->frames == NULL || weir_uring_get(pool, index) == NULL)
		return NULL;
	return pool->frames[index];
}
