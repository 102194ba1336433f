/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of buffers in slabs.
 *
 * Short runs share slabs: first fit by address within a slab, and the oldest slab that
 * has room first, so that young slabs fall idle. A long run, of more than a quarter of
 * such a slab, gets a slab of just its length when no shared one has room; nothing
 * short is put there as long as there is other memory, so that one late buffer does not
 * hold a long slab. Idle slabs are kept for who comes next, up to what a thread may keep
 * and at least one.
 */
#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>

#include "bufpool.h"

static bool
is_short(const struct weir_bufpool *pool, uint32_t n)
{
	return n <= RTE_MAX(pool->slab_units / 4, 1u);
}

static bool
slab_is_idle(const struct slab *slab)
{
	return slab->runs.n_free == slab->runs.n_units;
}

/** Whether such runs should be in it. */
static bool
slab_suits(const struct weir_bufpool *pool, const struct slab *slab, uint32_t n)
{
	if (slab->shared)
		return true;
	return !is_short(pool, n) && n >= slab->runs.n_units - slab->runs.n_units / 4;
}

/** An unused description, or NULL. */
static struct weir_bufs *
spare_take(struct weir_bufpool *pool)
{
	struct weir_bufs *bufs;
	struct chunk *chunk;
	uint32_t i;

	if (pool->spare == NULL) {
		chunk = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*chunk));
		if (chunk == NULL)
			return NULL;
		chunk->next = pool->chunks;
		pool->chunks = chunk;
		for (i = 0; i < CHUNK_SIZE; i++) {
			chunk->bufs[i] = (struct weir_bufs){.pool = pool,
							    .buffer_bytes = pool->buffer_bytes,
							    .next = pool->spare};
			pool->spare = &chunk->bufs[i];
		}
	}
	bufs = pool->spare;
	pool->spare = bufs->next;
	return bufs;
}

static struct weir_bufs *
slab_take(struct weir_bufpool *pool, struct slab *slab, uint32_t n)
{
	struct weir_bufs *bufs = spare_take(pool);

	if (bufs == NULL)
		return NULL;
	if (slab_is_idle(slab))
		pool->idle_bytes -= pool_bytes(pool, slab->runs.n_units);
	bufs->index = weir_runs_take(&slab->runs, n);
	if (bufs->index == UINT32_MAX) {
		if (slab_is_idle(slab))
			pool->idle_bytes += pool_bytes(pool, slab->runs.n_units);
		bufs->next = pool->spare;
		pool->spare = bufs;
		return NULL;
	}
	bufs->slab = slab;
	bufs->mem = slab->mem + pool_bytes(pool, bufs->index);
	bufs->length = n;
	bufs->refs = 1;
	pool->carved_bytes += pool_bytes(pool, n);
	pool->stats.peak_bytes = RTE_MAX(pool->stats.peak_bytes, pool->carved_bytes);
	return bufs;
}

struct weir_bufs *
store_take(struct weir_bufpool *pool, uint32_t n, bool anywhere)
{
	struct weir_bufs *bufs;
	struct slab *slab;

	TAILQ_FOREACH(slab, &pool->slabs, next) {
		if (slab->runs.longest < n || !(anywhere || slab_suits(pool, slab, n)))
			continue;
		bufs = slab_take(pool, slab, n);
		if (bufs != NULL)
			return bufs;
	}
	return NULL;
}

void
store_give(struct weir_bufpool *pool, struct weir_bufs *bufs)
{
	struct slab *slab = bufs->slab;

	weir_runs_give(&slab->runs, bufs->index, bufs->length);
	pool->carved_bytes -= pool_bytes(pool, bufs->length);
	if (slab_is_idle(slab))
		pool->idle_bytes += pool_bytes(pool, slab->runs.n_units);
	bufs->slab = NULL;
	bufs->next = pool->spare;
	pool->spare = bufs;
	if (pool->dying)
		wake_home(pool);
}

void
store_idle(struct weir_bufpool *pool, bool all, struct slab_list *idle)
{
	const uint64_t keep_bytes =
		all ? 0 : RTE_MAX(pool->cache_bytes, pool_bytes(pool, pool->slab_units));
	struct slab *slab, *before;

	TAILQ_INIT(idle);
	if (pool->idle_bytes <= keep_bytes)
		return;
	for (slab = TAILQ_LAST(&pool->slabs, slab_list);
	     slab != NULL && pool->idle_bytes > keep_bytes; slab = before) {
		before = TAILQ_PREV(slab, slab_list, next);
		if (!slab_is_idle(slab))
			continue;
		TAILQ_REMOVE(&pool->slabs, slab, next);
		TAILQ_INSERT_TAIL(idle, slab, next);
		pool->idle_bytes -= pool_bytes(pool, slab->runs.n_units);
		pool->stats.held_bytes -= pool_bytes(pool, slab->runs.n_units);
		pool->stats.slabs--;
		pool->stats.returned++;
	}
	pool->n_inside += !TAILQ_EMPTY(idle);
}

static void
slab_free(struct weir_bufpool *pool, struct slab *slab)
{
	const uint64_t bytes = pool_bytes(pool, slab->runs.n_units);

	weir_slab_free(&pool->source, slab->mem, pool->align);
	free(slab);
	if (pool->budget != NULL)
		weir_budget_release(pool->budget, bytes);
}

void
store_return(struct weir_bufpool *pool, struct slab_list *idle)
{
	struct slab *slab;

	if (TAILQ_EMPTY(idle))
		return;
	while ((slab = TAILQ_FIRST(idle)) != NULL) {
		TAILQ_REMOVE(idle, slab, next);
		slab_free(pool, slab);
	}
	weir_lock_take(&pool->lock);
	pool_leave(pool);
	weir_lock_give(&pool->lock);
}

/** @return 0 with *slab, or negative errno */
static int
slab_create(struct weir_bufpool *pool, uint32_t n_units, bool shared, struct slab **slab)
{
	const uint64_t bytes = pool_bytes(pool, n_units);
	struct slab *s;
	int rc = 0;

	if (pool->budget != NULL)
		rc = weir_budget_try_reserve(pool->budget, bytes);
	if (rc != 0)
		return rc;
	s = malloc(sizeof(*s) + weir_runs_bytes(n_units));
	if (s != NULL)
		s->mem = weir_slab_alloc(&pool->source, bytes, pool->align);
	if (s == NULL || s->mem == NULL) {
		free(s);
		if (pool->budget != NULL)
			weir_budget_release(pool->budget, bytes);
		return -ENOMEM;
	}
	s->shared = shared;
	weir_runs_init(&s->runs, s->bits, n_units, true);
	*slab = s;
	return 0;
}

int
store_grow(struct weir_bufpool *pool, uint32_t n, struct weir_bufs **bufs)
{
	bool shared = is_short(pool, n);
	struct slab *slab = NULL;
	int rc = -EAGAIN;

	if (shared)
		rc = slab_create(pool, pool->slab_units, true, &slab);
	/* Where memory is short, no more than is asked for. */
	if (rc != 0 && rc != -ESHUTDOWN)
		rc = slab_create(pool, n, shared, &slab);
	weir_lock_take(&pool->lock);
	pool->growing_bytes -= pool_bytes(pool, n);
	if (rc == 0) {
		TAILQ_INSERT_TAIL(&pool->slabs, slab, next);
		pool->idle_bytes += pool_bytes(pool, slab->runs.n_units);
		pool->stats.held_bytes += pool_bytes(pool, slab->runs.n_units);
		pool->stats.slabs++;
		pool->stats.grown++;
		*bufs = slab_take(pool, slab, n);
		if (*bufs == NULL)
			rc = -ENOMEM;
	}
	weir_lock_give(&pool->lock);
	return rc;
}

void
store_free(struct weir_bufpool *pool)
{
	struct chunk *chunk;
	struct slab *slab;

	while ((slab = TAILQ_FIRST(&pool->slabs)) != NULL) {
		TAILQ_REMOVE(&pool->slabs, slab, next);
		slab_free(pool, slab);
	}
	while ((chunk = pool->chunks) != NULL) {
		pool->chunks = chunk->next;
		free(chunk);
	}
}
