/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What threads keep at hand, so that the common allocation and free touch nothing that
 * another thread writes.
 *
 * Each thread has a cache: bins of allocations of one length each, last in, first out. A
 * free in a cache stays carved out of its slab and within the limit, and its description
 * is not even written. When a bin is full its older half goes to the depot, from where
 * whoever finds a bin empty fills it: so what one thread allocates and another frees goes
 * round in bulks.
 *
 * What is at hand of one thread must not be what another waits for. Who finds too little
 * room closes the caches: says so, and then takes everything from everyone (weir_turn.h).
 * An owner looks whether they are closed in its turn, so that either it sees it, or the
 * thief, whose turn comes later, sees what it kept. While they are closed all goes
 * through the pool's lock; nobody waits while they are open. They open again when there
 * has been room for CALM allocations and frees in a row.
 */
#include <stdlib.h>
#include <string.h>

#include "cache.h"

#define CALM 512
/** Of what a thread, or the depot, may keep: what allocations of one length may be. */
#define THREAD_BIN_SHARE 4
#define BIN_SHARE 2

/** Make an empty bin one of this length, for a @p share of what may be kept. */
static void
bin_dedicate(const struct weir_bufpool *pool, struct bin *bin, uint32_t length, uint32_t share,
	     uint32_t size)
{
	const uint64_t bytes = pool_bytes(pool, length);

	bin->length = length;
	bin->max = RTE_MIN(pool->cache_bytes / share / bytes, size);
	if (bin->max < 2)
		bin->max = bytes <= pool->cache_bytes / 2 ? 2 : 0;
}

/** The calling thread's cache, which is made on first use; or NULL. */
static struct cache *
cache_mine_late(struct weir_bufpool *pool)
{
	uint32_t self = thread_number();
	struct cache *cache;

	if (self == THREADS_MAX)
		return NULL;
	cache = pool->caches[self];
	if (cache == NULL) {
		cache = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*cache));
		if (cache == NULL)
			return NULL;
		memset(cache, 0, sizeof(*cache));
		/* Thieves walk over all of them. */
		__atomic_store_n(&pool->caches[self], cache, __ATOMIC_SEQ_CST);
	}
	return cache;
}

/** Move the @p n first allocations of a bin, which are the coldest. */
static void
bin_move(struct bin *to, struct bin *from, uint32_t n)
{
	memcpy(&to->bufs[to->n], from->bufs, n * sizeof(from->bufs[0]));
	to->n += n;
	from->n -= n;
	memmove(from->bufs, &from->bufs[n], from->n * sizeof(from->bufs[0]));
}

/** Give a bin's @p n coldest to the store. The lock is held. */
static void
bin_drop(struct weir_bufpool *pool, struct bin *bin, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		store_give(pool, bin->bufs[i]);
	bin->n -= n;
	memmove(bin->bufs, &bin->bufs[n], bin->n * sizeof(bin->bufs[0]));
}

/** Fill an empty bin from the depot. In the turn; the lock is held. */
static void
depot_fill(struct weir_bufpool *pool, struct cache *cache, struct bin *bin, uint32_t n)
{
	struct bin *depot = &pool->depot[bin_index(n)];
	uint64_t bytes;
	uint32_t k;

	if (depot->length != n || depot->n == 0)
		return;
	bin_dedicate(pool, bin, n, THREAD_BIN_SHARE, THREAD_BIN_SIZE);
	k = RTE_MIN(depot->n, (bin->max + 1) / 2);
	bytes = pool_bytes(pool, n) * k;
	if (cache->bytes + bytes > pool->cache_bytes)
		return;
	memcpy(bin->bufs, &depot->bufs[depot->n - k], k * sizeof(depot->bufs[0]));
	depot->n -= k;
	bin->n = k;
	pool->depot_bytes -= bytes;
	cache_add_bytes(cache, bytes);
}

/** Half a bin to the depot, what has no room there to the store. Likewise. */
static void
depot_take(struct weir_bufpool *pool, struct cache *cache, struct bin *bin)
{
	struct bin *depot = &pool->depot[bin_index(bin->length)];
	const uint64_t bytes = pool_bytes(pool, bin->length);
	uint32_t k = (bin->n + 1) / 2, room;

	cache_add_bytes(cache, -bytes * k);
	if (depot->n > 0 && depot->length != bin->length) {
		pool->depot_bytes -= pool_bytes(pool, depot->length) * depot->n;
		bin_drop(pool, depot, depot->n);
	}
	if (depot->n == 0)
		bin_dedicate(pool, depot, bin->length, BIN_SHARE, BIN_SIZE);
	room = RTE_MIN(depot->max - depot->n, (pool->cache_bytes - pool->depot_bytes) / bytes);
	room = RTE_MIN(room, k);
	pool->depot_bytes += bytes * room;
	bin_move(depot, bin, room);
	bin_drop(pool, bin, k - room);
}

struct weir_bufs *
cache_get_slow(struct weir_bufpool *pool, uint32_t n)
{
	struct weir_bufs *bufs = NULL;
	struct cache *cache;
	struct bin *bin;

	if (pool_bytes(pool, n) > pool->cache_bytes / 2 || pool_is_closed(pool))
		return NULL;
	cache = cache_mine_late(pool);
	if (cache == NULL)
		return NULL;
	bin = &cache->bins[bin_index(n)];
	weir_turn_enter(&cache->turn, pool->asymmetric);
	if (bin->n == 0) {
		weir_lock_take(&pool->lock);
		depot_fill(pool, cache, bin, n);
		weir_lock_give(&pool->lock);
	}
	if (bin->length == n && bin->n > 0) {
		bufs = bin->bufs[--bin->n];
		cache_add_bytes(cache, -pool_bytes(pool, n));
	}
	weir_turn_leave(&cache->turn);
	return bufs;
}

/** Everything to the store. In the turn; the lock is held. */
static void
cache_empty(struct weir_bufpool *pool, struct cache *cache)
{
	uint32_t i;

	for (i = 0; i < BINS; i++)
		bin_drop(pool, &cache->bins[i], cache->bins[i].n);
	__atomic_store_n(&cache->bytes, 0, __ATOMIC_RELAXED);
}

/** Make room for @p bufs in its bin. In the turn; the lock is held. */
static void
cache_make_room(struct weir_bufpool *pool, struct cache *cache, struct bin *bin,
		const struct weir_bufs *bufs)
{
	if (cache->bytes + weir_bufs_bytes(bufs) > pool->cache_bytes)
		cache_empty(pool, cache);
	if (bin->length != bufs->length) {
		cache_add_bytes(cache, -pool_bytes(pool, bin->length) * bin->n);
		bin_drop(pool, bin, bin->n);
		bin_dedicate(pool, bin, bufs->length, THREAD_BIN_SHARE, THREAD_BIN_SIZE);
	}
	if (bin->n > 0 && bin->n == bin->max)
		depot_take(pool, cache, bin);
}

bool
cache_put_slow(struct weir_bufpool *pool, struct weir_bufs *bufs)
{
	const uint64_t bytes = weir_bufs_bytes(bufs);
	struct slab_list idle;
	struct cache *cache;
	struct bin *bin;
	bool room;

	if (bytes > pool->cache_bytes / 2 || pool_is_closed(pool))
		return false;
	cache = cache_mine_late(pool);
	if (cache == NULL)
		return false;
	bin = &cache->bins[bin_index(bufs->length)];
	TAILQ_INIT(&idle);
	weir_turn_enter(&cache->turn, pool->asymmetric);
	room = !pool_is_closed(pool);
	if (room) {
		weir_lock_take(&pool->lock);
		cache_make_room(pool, cache, bin, bufs);
		store_idle(pool, false, &idle);
		weir_lock_give(&pool->lock);
		bin->bufs[bin->n++] = bufs;
		cache_add_bytes(cache, bytes);
	}
	weir_turn_leave(&cache->turn);
	if (room)
		store_return(pool, &idle);
	return room;
}

/** From the one whose owner was asked to keep out. */
static void
cache_steal(struct weir_bufpool *pool, struct cache *cache)
{
	weir_turn_steal(&cache->turn);
	weir_lock_take(&pool->lock);
	cache_empty(pool, cache);
	weir_lock_give(&pool->lock);
	weir_turn_end(&cache->turn);
}

void
caches_close(struct weir_bufpool *pool)
{
	struct cache *caches[THREADS_MAX];
	uint32_t i, n = 0;

	weir_lock_take(&pool->steal_lock);
	__atomic_store_n(&pool->closed, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < THREADS_MAX; i++) {
		caches[n] = __atomic_load_n(&pool->caches[i], __ATOMIC_SEQ_CST);
		if (caches[n] != NULL)
			weir_turn_ask(&caches[n++]->turn);
	}
	weir_turn_fence(pool->asymmetric);
	for (i = 0; i < n; i++)
		cache_steal(pool, caches[i]);
	weir_lock_take(&pool->lock);
	for (i = 0; i < BINS; i++)
		bin_drop(pool, &pool->depot[i], pool->depot[i].n);
	pool->depot_bytes = 0;
	pool->calm = 0;
	pool->stats.gathers++;
	weir_lock_give(&pool->lock);
	weir_lock_give(&pool->steal_lock);
}

void
caches_calm(struct weir_bufpool *pool)
{
	if (!pool_is_closed(pool) || pool->dying || !TAILQ_EMPTY(&pool->waiters))
		return;
	if (++pool->calm >= CALM)
		__atomic_store_n(&pool->closed, 0, __ATOMIC_SEQ_CST);
}

void
cache_leave(struct weir_bufpool *pool, uint32_t thread)
{
	struct cache *cache = pool->caches[thread];
	struct slab_list idle;

	if (cache == NULL)
		return;
	weir_turn_enter(&cache->turn, pool->asymmetric);
	weir_lock_take(&pool->lock);
	cache_empty(pool, cache);
	store_idle(pool, false, &idle);
	weir_lock_give(&pool->lock);
	weir_turn_leave(&cache->turn);
	store_return(pool, &idle);
}

uint64_t
caches_bytes(const struct weir_bufpool *pool)
{
	const struct cache *cache;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < THREADS_MAX; i++) {
		cache = __atomic_load_n(&pool->caches[i], __ATOMIC_ACQUIRE);
		if (cache != NULL)
			bytes += __atomic_load_n(&cache->bytes, __ATOMIC_RELAXED);
	}
	return bytes;
}

void
caches_free(struct weir_bufpool *pool)
{
	uint32_t i;

	for (i = 0; i < THREADS_MAX; i++)
		free(pool->caches[i]);
}
