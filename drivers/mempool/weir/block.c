/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pools of blocks: the depot's free objects as runs of neighbours (weir_slab.h), so that
 * `block` of them can be had in one piece.
 *
 * A span is a stretch of populated memory in which objects follow each other; where pages
 * are not contiguous for devices there is one a page. Objects go out one by one from the
 * lowest span, by way of the stacks, and in any order; blocks are found again once
 * neighbours are back in the depot. For that a get of blocks that finds too few empties
 * the stacks, as any get does.
 */
#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#include "pool.h"

struct span {
	char *start;
	struct weir_runs runs;
	uint64_t bits[];
};

/** Where the span of an address is, or would be. */
static uint32_t
span_place(const struct pool *pool, const char *obj)
{
	uint32_t low = 0, high = pool->n_spans, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (pool->spans[middle]->start <= obj)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct span *
span_of(const struct pool *pool, const char *obj)
{
	return pool->spans[span_place(pool, obj) - 1];
}

static uint32_t
span_index(const struct pool *pool, const struct span *span, const char *obj)
{
	return (obj - span->start) / pool->obj_bytes;
}

/** From @p obj to the end of the chunk that is being populated. */
static struct span *
span_create(struct pool *pool, char *obj)
{
	uint32_t n_units = (pool->chunk_end - obj) / pool->obj_bytes + 1;
	uint32_t place = span_place(pool, obj);
	struct span **spans, *span;

	spans = rte_realloc(pool->spans, (pool->n_spans + 1) * sizeof(*spans), 0);
	if (spans == NULL)
		return NULL;
	pool->spans = spans;
	span = rte_malloc_socket("weir_span", sizeof(*span) + weir_runs_bytes(n_units), 0,
				 pool->mp->socket_id);
	if (span == NULL)
		return NULL;
	span->start = obj;
	weir_runs_init(&span->runs, span->bits, n_units, false);
	memmove(&spans[place + 1], &spans[place], (pool->n_spans - place) * sizeof(*spans));
	spans[place] = span;
	pool->n_spans++;
	return span;
}

uint32_t
block_new(struct pool *pool, void *const *objs, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (pool->last_span == NULL || (char *)objs[i] != pool->next_obj)
			pool->last_span = span_create(pool, objs[i]);
		if (pool->last_span == NULL)
			break;
		pool->next_obj = (char *)objs[i] + pool->obj_bytes;
	}
	return i;
}

void
block_put(struct pool *pool, void *const *objs, uint32_t n)
{
	struct span *span;
	uint32_t i;

	for (i = 0; i < n; i++) {
		span = span_of(pool, objs[i]);
		weir_runs_give(&span->runs, span_index(pool, span, objs[i]), 1);
	}
}

/** @p n neighbours, or NULL. */
static char *
spans_take(struct pool *pool, uint32_t n)
{
	struct span *span;
	uint32_t i, index;

	for (i = 0; i < pool->n_spans; i++) {
		span = pool->spans[i];
		index = weir_runs_take(&span->runs, n);
		if (index != UINT32_MAX)
			return span->start + (uint64_t)index * pool->obj_bytes;
	}
	return NULL;
}

uint32_t
block_take(struct pool *pool, void **objs, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		objs[i] = spans_take(pool, 1);
		if (objs[i] == NULL)
			break;
	}
	return i;
}

static void
block_return(struct pool *pool, char *obj)
{
	struct span *span = span_of(pool, obj);

	weir_runs_give(&span->runs, span_index(pool, span, obj), pool->block);
}

/** All, or none. */
static bool
blocks_take(struct pool *pool, void **first_objs, uint32_t n)
{
	struct depot *depot = &pool->depot;
	uint32_t i;
	bool done;

	weir_lock_take(&depot->lock);
	for (i = 0; i < n; i++) {
		first_objs[i] = spans_take(pool, pool->block);
		if (first_objs[i] == NULL)
			break;
	}
	done = i == n;
	if (done)
		depot_set_free(depot, depot->n_free - n * pool->block);
	while (!done && i-- > 0)
		block_return(pool, first_objs[i]);
	weir_lock_give(&depot->lock);
	return done;
}

/** For the debug option: all of the objects are out. */
static void
blocks_check(struct pool *pool, void **first_objs, uint32_t n)
{
	uint32_t i, j;
	void *obj;

	for (i = 0; i < n; i++) {
		for (j = 0; j < pool->block; j++) {
			obj = (char *)first_objs[i] + (uint64_t)j * pool->obj_bytes;
			check_get(pool, &obj, 1);
		}
	}
}

int
pool_get_blocks(struct rte_mempool *mp, void **first_objs, unsigned int n)
{
	struct pool *pool = mp->pool_data;

	if (pool->block == 1)
		return pool_get(mp, first_objs, n);
	if (!blocks_take(pool, first_objs, n)) {
		/* Neighbours may be in the stacks of lcores, this one's among them. */
		stacks_gather(pool, true);
		if (!blocks_take(pool, first_objs, n)) {
			weir_lock_take(&pool->depot.lock);
			pool->depot.refusals++;
			weir_lock_give(&pool->depot.lock);
			return -ENOBUFS;
		}
	}
	if (unlikely(pool->check))
		blocks_check(pool, first_objs, n);
	return 0;
}

void
spans_free(struct pool *pool)
{
	uint32_t i;

	for (i = 0; i < pool->n_spans; i++)
		rte_free(pool->spans[i]);
	rte_free(pool->spans);
}
