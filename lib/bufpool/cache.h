/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CACHE_H
#define CACHE_H

/* The quick way in and out: see cache.c. */

#include "bufpool.h"

static inline uint32_t
bin_index(uint32_t length)
{
	return length <= BINS_OWN ? length - 1
				  : BINS_OWN + (length * 0x9e3779b1u >> 24) % BINS_SHARED;
}

/** The calling thread's, or NULL. */
static inline struct cache *
cache_mine(const struct weir_bufpool *pool)
{
	uint32_t self = thread_self - 1; /* nobody's, above THREADS_MAX, while not asked for */

	return likely(self < THREADS_MAX) ? __atomic_load_n(&pool->caches[self], __ATOMIC_RELAXED)
					  : NULL;
}

static inline void
cache_add_bytes(struct cache *cache, uint64_t bytes)
{
	/* Others look at it from outside. */
	__atomic_store_n(&cache->bytes, cache->bytes + bytes, __ATOMIC_RELAXED);
}

/** From the thread's own; or NULL. */
static inline struct weir_bufs *
cache_get(const struct weir_bufpool *pool, uint32_t n)
{
	struct cache *cache = cache_mine(pool);
	struct weir_bufs *bufs = NULL;
	struct bin *bin;

	if (unlikely(cache == NULL || n == 0))
		return NULL;
	bin = &cache->bins[bin_index(n)];
	weir_turn_enter(&cache->turn, pool->asymmetric);
	if (likely(bin->length == n && bin->n > 0)) {
		bufs = bin->bufs[--bin->n];
		cache_add_bytes(cache, -pool_bytes(pool, n));
	}
	weir_turn_leave(&cache->turn);
	return bufs;
}

/** To the thread's own. @return whether there was room */
static inline bool
cache_put(const struct weir_bufpool *pool, struct weir_bufs *bufs)
{
	struct cache *cache = cache_mine(pool);
	const uint64_t bytes = weir_bufs_bytes(bufs);
	struct bin *bin;
	bool room;

	if (unlikely(cache == NULL))
		return false;
	bin = &cache->bins[bin_index(bufs->length)];
	weir_turn_enter(&cache->turn, pool->asymmetric);
	/* In this order: who closes the caches asks for the turn afterwards. */
	room = bin->length == bufs->length && bin->n < bin->max &&
	       cache->bytes + bytes <= pool->cache_bytes && !pool_is_closed(pool);
	if (likely(room)) {
		bin->bufs[bin->n++] = bufs;
		cache_add_bytes(cache, bytes);
	}
	weir_turn_leave(&cache->turn);
	return room;
}

#endif
