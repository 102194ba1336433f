/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "uring.h"
#include "weir_budget.h"
#include "weir_error.h"
#include "weir_frame.h"
#include "weir_sanitize.h"

struct weir_uring_pool *
pool_new(struct weir_uring *ring, uint32_t n_buffers, uint32_t buffer_bytes)
{
	struct weir_uring_pool *pool = calloc(1, sizeof(*pool));

	if (pool != NULL)
		pool->slots = calloc(n_buffers, sizeof(*pool->slots));
	if (pool == NULL || pool->slots == NULL) {
		free(pool);
		rte_errno = -weir_error(ENOMEM, "%s: no memory to keep book of %u buffers",
					ring->owner, n_buffers);
		return NULL;
	}
	pool->ring = ring;
	pool->n_buffers = n_buffers;
	pool->buffer_bytes = buffer_bytes;
	return pool;
}

void
pool_delete(struct weir_uring_pool *pool)
{
	if (pool->memory != NULL && !pool->borrowed) {
		weir_sanitize_free();
		rte_free(pool->memory);
	}
	if (pool->budget != NULL)
		weir_budget_release(pool->budget, pool->bytes);
	free(pool->frames);
	free(pool->unused);
	free(pool->slots);
	free(pool);
}

static int
conf_check(const struct weir_uring *ring, const struct weir_uring_pool_conf *conf, size_t stride)
{
	if (conf->buffer_bytes > 0 && conf->n_buffers > 0 &&
	    (conf->memory == NULL || stride == conf->buffer_bytes) &&
	    conf->n_buffers <= WEIR_URING_BUFFERS_MAX &&
	    stride * conf->n_buffers <= REGION_BYTES_MAX)
		return 0;
	return weir_error(EINVAL,
			  "%s: %u registered buffers of %u bytes: 1 to %u buffers of together "
			  "1 GB at most are allowed",
			  ring->owner, conf->n_buffers, conf->buffer_bytes, WEIR_URING_BUFFERS_MAX);
}

static int
memory_reserve(struct weir_uring_pool *pool, const struct weir_uring_pool_conf *conf)
{
	int rc;

	pool->bytes = (uint64_t)pool->stride * pool->n_buffers;
	if (conf->budget == NULL || conf->memory != NULL)
		return 0;
	rc = weir_budget_try_reserve(conf->budget, pool->bytes);
	if (rc != 0)
		return weir_error(-rc, "%s: %llu KB of buffers do not fit the budget '%s'",
				  pool->ring->owner, (unsigned long long)pool->bytes >> 10,
				  weir_budget_name(conf->budget));
	pool->budget = conf->budget;
	return 0;
}

static int
memory_make(struct weir_uring_pool *pool, const struct weir_uring_pool_conf *conf)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	uint16_t i;

	pool->unused = calloc(pool->n_buffers, sizeof(*pool->unused));
	pool->borrowed = conf->memory != NULL;
	pool->memory =
		pool->borrowed
			? conf->memory
			: rte_zmalloc_socket("weir_uring", pool->bytes,
					     pool->stride % page == 0 ? page : RTE_CACHE_LINE_SIZE,
					     conf->numa_node);
	if (pool->unused == NULL || pool->memory == NULL)
		return weir_error(ENOMEM, "%s: no memory for %u buffers of %u bytes",
				  pool->ring->owner, pool->n_buffers, pool->buffer_bytes);
	weir_sanitize_alloc();
	for (i = 0; i < pool->n_buffers; i++)
		pool->unused[i] = pool->n_buffers - 1 - i;
	pool->n_unused = pool->n_buffers;
	return 0;
}

static int
memory_register(struct weir_uring_pool *pool, bool unregistered)
{
	int region = REGION_NONE;
	uint16_t i;

	if (pool->ring->plain)
		return 0;
	if (!unregistered)
		region = ring_region_add(pool->ring, pool->memory, pool->bytes);
	if (region < 0)
		return ring_turn_plain(pool->ring, region) ? 0 : region;
	for (i = 0; i < pool->n_buffers; i++)
		pool->slots[i].region = region;
	return 0;
}

struct weir_uring_pool *
weir_uring_pool_create(struct weir_uring *ring, const struct weir_uring_pool_conf *conf)
{
	size_t stride = RTE_ALIGN_CEIL((size_t)conf->buffer_bytes, RTE_CACHE_LINE_SIZE);
	struct weir_uring_pool *pool;
	int rc = conf_check(ring, conf, stride);

	if (rc != 0) {
		rte_errno = -rc;
		return NULL;
	}
	pool = pool_new(ring, conf->n_buffers, conf->buffer_bytes);
	if (pool == NULL)
		return NULL;
	pool->stride = stride;
	rc = memory_reserve(pool, conf);
	if (rc == 0)
		rc = memory_make(pool, conf);
	if (rc == 0)
		rc = ring_pool_add(ring, pool);
	if (rc == 0) {
		rc = memory_register(pool, conf->unregistered);
		if (rc == 0)
			return pool;
		ring_pool_remove(ring, pool);
	}
	pool_delete(pool);
	rte_errno = -rc;
	return NULL;
}

int
weir_uring_pool_free(struct weir_uring_pool *pool)
{
	if (pool == NULL)
		return 0;
	if (pool->n_in_flight > 0)
		return weir_error(EBUSY,
				  "%s: %u of %u buffers are in flight: reap their requests, or "
				  "cancel them first",
				  pool->ring->owner, pool->n_in_flight, pool->n_buffers);
	if (pool->frames != NULL)
		frames_unregister(pool);
	else
		ring_region_remove(pool->ring, pool->slots[0].region);
	ring_pool_remove(pool->ring, pool);
	pool_delete(pool);
	return 0;
}

static bool
own_take(struct weir_uring_pool *pool, uint16_t *index)
{
	if (pool->n_unused == 0)
		return false;
	number_set(&pool->n_unused, pool->n_unused - 1);
	*index = pool->unused[pool->n_unused];
	return true;
}

static void
own_give(struct weir_uring_pool *pool, uint16_t index)
{
	pool->unused[pool->n_unused] = index;
	number_set(&pool->n_unused, pool->n_unused + 1);
}

void *
weir_uring_try_acquire(struct weir_uring_pool *pool, uint16_t *index)
{
	bool taken = pool->frames != NULL ? frames_take(pool, index) : own_take(pool, index);

	if (!taken) {
		tally(&pool->exhaustions, 1);
		return NULL;
	}
	slot_acquire(&pool->slots[*index]);
	number_set(&pool->n_acquired, pool->n_acquired + 1);
	tally(&pool->acquires, 1);
	return buffer_data(pool, *index);
}

int
weir_uring_acquire(struct weir_uring_pool *pool, uint16_t *index, void **data)
{
	void *buffer = weir_uring_try_acquire(pool, index);

	if (buffer == NULL)
		return weir_error(ENOBUFS, "%s: all %u registered buffers are acquired",
				  pool->ring->owner, pool->n_buffers);
	if (data != NULL)
		*data = buffer;
	return 0;
}

int
weir_uring_release(struct weir_uring_pool *pool, uint16_t index)
{
	if (index >= pool->n_buffers || pool->slots[index].state == SLOT_FREE)
		return -EINVAL;
	if (pool->slots[index].state != SLOT_ACQUIRED)
		return -EBUSY;
	pool->slots[index].state = SLOT_FREE;
	number_set(&pool->n_acquired, pool->n_acquired - 1);
	if (pool->frames != NULL)
		frames_give(pool, index);
	else
		own_give(pool, index);
	return 0;
}

int
weir_uring_mark_in_flight(struct weir_uring_pool *pool, uint16_t index)
{
	if (index >= pool->n_buffers || pool->slots[index].state == SLOT_FREE)
		return -EINVAL;
	if (pool->slots[index].state != SLOT_ACQUIRED)
		return -EBUSY;
	pool->slots[index].state = SLOT_MARKED;
	number_set(&pool->n_in_flight, pool->n_in_flight + 1);
	return 0;
}

int
weir_uring_complete_in_flight(struct weir_uring_pool *pool, uint16_t index)
{
	if (index >= pool->n_buffers || pool->slots[index].state < SLOT_MARKED)
		return -EINVAL;
	if (pool->slots[index].state != SLOT_MARKED)
		return -EBUSY;
	pool->slots[index].state = SLOT_ACQUIRED;
	number_set(&pool->n_in_flight, pool->n_in_flight - 1);
	return 0;
}

void *
weir_uring_get_mut(struct weir_uring_pool *pool, uint16_t index)
{
	if (index >= pool->n_buffers || pool->slots[index].state != SLOT_ACQUIRED)
		return NULL;
	return buffer_data(pool, index);
}

const void *
weir_uring_get(const struct weir_uring_pool *pool, uint16_t index)
{
	return weir_uring_get_mut((struct weir_uring_pool *)(uintptr_t)pool, index);
}

uint32_t
weir_uring_buffer_size(const struct weir_uring_pool *pool)
{
	return pool->buffer_bytes;
}

uint32_t
weir_uring_total_count(const struct weir_uring_pool *pool)
{
	return pool->n_buffers;
}

uint32_t
weir_uring_available_count(const struct weir_uring_pool *pool)
{
	if (pool->frames != NULL)
		return weir_frame_pool_free_count(pool->frame_pool);
	return number_get(&pool->n_unused);
}

uint32_t
weir_uring_acquired_count(const struct weir_uring_pool *pool)
{
	return number_get(&pool->n_acquired);
}

bool
weir_uring_is_exhausted(const struct weir_uring_pool *pool)
{
	return weir_uring_available_count(pool) == 0;
}

void
weir_uring_pool_stats(const struct weir_uring_pool *pool, struct weir_uring_pool_stats *stats)
{
	*stats = (struct weir_uring_pool_stats){
		.total = pool->n_buffers,
		.available = weir_uring_available_count(pool),
		.acquired = weir_uring_acquired_count(pool),
		.in_flight = number_get(&pool->n_in_flight),
		.bytes = pool->bytes,
		.acquires = __atomic_load_n(&pool->acquires, __ATOMIC_RELAXED),
		.exhaustions = __atomic_load_n(&pool->exhaustions, __ATOMIC_RELAXED),
		.reads = __atomic_load_n(&pool->reads, __ATOMIC_RELAXED),
		.writes = __atomic_load_n(&pool->writes, __ATOMIC_RELAXED),
	};
}
