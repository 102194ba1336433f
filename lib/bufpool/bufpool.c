/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "cache.h"
#include "weir_error.h"

/** Of the limit, what one thread may keep at hand. */
#define CACHE_SHARE 16
#define CACHE_BYTES_MAX (64u << 20)
/** Of the limit, a slab. */
#define SLAB_SHARE 64
#define SLAB_BYTES_MAX (16u << 20)
/** No buffer is aligned to more than a page. */
#define ALIGN_MAX 4096u
/** Missing allocations that are named, each for itself. */
#define NAMED_MAX 4

static void
bufpool_info(struct weir_object *object, struct rte_tel_data *dict)
{
	const struct weir_bufpool *pool = container_of(object, struct weir_bufpool, object);

	rte_tel_data_add_dict_string(dict, "name", object->name);
	rte_tel_data_add_dict_string(dict, "budget",
				     pool->budget ? weir_budget_name(pool->budget) : "");
	rte_tel_data_add_dict_int(dict, "numa_node", pool->source.numa_node);
	rte_tel_data_add_dict_u64(dict, "buffer_bytes", pool->buffer_bytes);
	rte_tel_data_add_dict_u64(dict, "limit_bytes", pool->limit_bytes);
	rte_tel_data_add_dict_u64(dict, "slab_bytes", pool_bytes(pool, pool->slab_units));
	rte_tel_data_add_dict_u64(dict, "thread_cache_bytes", pool->cache_bytes);
	rte_tel_data_add_dict_string(dict, "iova_contig", pool->source.iova_contig ? "yes" : "no");
}

static void
bufpool_stats(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_bufpool_stats stats;

	weir_bufpool_stats(container_of(object, struct weir_bufpool, object), &stats);
	rte_tel_data_add_dict_u64(dict, "limit_bytes", stats.limit_bytes);
	rte_tel_data_add_dict_u64(dict, "out_bytes", stats.out_bytes);
	rte_tel_data_add_dict_u64(dict, "cached_bytes", stats.cached_bytes);
	rte_tel_data_add_dict_u64(dict, "held_bytes", stats.held_bytes);
	rte_tel_data_add_dict_u64(dict, "peak_bytes", stats.peak_bytes);
	rte_tel_data_add_dict_u64(dict, "slabs", stats.slabs);
	rte_tel_data_add_dict_u64(dict, "slabs_grown", stats.grown);
	rte_tel_data_add_dict_u64(dict, "slabs_returned", stats.returned);
	rte_tel_data_add_dict_u64(dict, "waits", stats.waits);
	rte_tel_data_add_dict_u64(dict, "refusals", stats.refusals);
	rte_tel_data_add_dict_u64(dict, "gathers", stats.gathers);
}

static struct weir_class bufpool_class = {
	.room = "bufpool",
	.info = bufpool_info,
	.stats = bufpool_stats,
};

WEIR_CLASS_REGISTER(bufpool_class);

static int
conf_check(const char *name, const struct weir_bufpool_conf *conf)
{
	if (conf->buffer_bytes == 0 || conf->buffer_bytes > WEIR_BUFPOOL_BUFFER_BYTES_MAX)
		return weir_error(EINVAL, "bufpool '%s': buffers of %u bytes: 1 to %u are allowed",
				  name, conf->buffer_bytes, WEIR_BUFPOOL_BUFFER_BYTES_MAX);
	if (conf->limit_bytes == 0 && conf->budget == NULL)
		return weir_error(EINVAL, "bufpool '%s': a limit or a budget is needed", name);
	if (conf->limit_bytes != 0 && conf->limit_bytes < conf->buffer_bytes)
		return weir_error(EINVAL,
				  "bufpool '%s': a limit of %" PRIu64
				  " bytes holds no buffer of %u bytes",
				  name, conf->limit_bytes, conf->buffer_bytes);
	return 0;
}

/** Numbers from what was asked for. */
static void
pool_configure(struct weir_bufpool *pool, const struct weir_bufpool_conf *conf)
{
	uint64_t basis = conf->limit_bytes, units, slab_bytes;

	pool->buffer_bytes = conf->buffer_bytes;
	pool->limit_bytes = conf->limit_bytes != 0 ? conf->limit_bytes : UINT64_MAX;
	pool->budget = conf->budget;
	pool->source.numa_node = conf->numa_node;
	pool->source.iova_contig = conf->iova_contig;
	pool->asymmetric = weir_turn_asymmetric();
	if (basis == 0)
		basis = weir_budget_limit_bytes(conf->budget);
	pool->cache_bytes = RTE_MIN(basis / CACHE_SHARE, CACHE_BYTES_MAX);
	pool->align = 1u << rte_bsf32(conf->buffer_bytes);
	pool->align = RTE_MAX(pool->align, (uint32_t)RTE_CACHE_LINE_SIZE);
	pool->align = RTE_MIN(pool->align, ALIGN_MAX);
	slab_bytes = RTE_MAX(basis / SLAB_SHARE, WEIR_SLAB_BYTES);
	slab_bytes = RTE_MIN(slab_bytes, SLAB_BYTES_MAX);
	if (conf->slab_bytes != 0)
		slab_bytes = conf->slab_bytes;
	units = RTE_MIN(slab_bytes, basis) / conf->buffer_bytes;
	units = RTE_MAX(units, 1u);
	pool->slab_units = RTE_MIN(units, UINT32_MAX / 2);
}

struct weir_bufpool *
weir_bufpool_create(const char *name, const struct weir_bufpool_conf *conf)
{
	struct weir_bufpool *pool;
	int rc = conf_check(name, conf);

	if (rc != 0)
		goto fail;
	pool = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*pool));
	if (pool == NULL) {
		rc = weir_error(ENOMEM, "bufpool '%s': no memory", name);
		goto fail;
	}
	memset(pool, 0, sizeof(*pool));
	TAILQ_INIT(&pool->slabs);
	TAILQ_INIT(&pool->waiters);
	pool_configure(pool, conf);
	rc = weir_object_add(&bufpool_class, &pool->object, name);
	if (rc != 0) {
		free(pool);
		goto fail;
	}
	thread_pool_add(pool);
	return pool;
fail:
	rte_errno = -rc;
	return NULL;
}

/** Say what is out. The lock is held. @return -ETIMEDOUT */
static int
pool_name_missing(struct weir_bufpool *pool)
{
	const struct weir_bufs *bufs;
	const struct chunk *chunk;
	char named[NAMED_MAX * 48] = "";
	uint32_t n = 0, i;
	size_t len = 0;

	for (chunk = pool->chunks; chunk != NULL; chunk = chunk->next) {
		for (i = 0; i < CHUNK_SIZE; i++) {
			bufs = &chunk->bufs[i];
			if (bufs->slab != NULL && n++ < NAMED_MAX)
				len += snprintf(&named[len], sizeof(named) - len,
						"%s%u buffers at %p", len > 0 ? ", " : "",
						bufs->length, (void *)bufs->mem);
		}
	}
	return weir_error(
		ETIMEDOUT, "bufpool '%s': %u allocations, %" PRIu64 " bytes, are still out: %s%s",
		pool->object.name, n, pool->carved_bytes, named, n > NAMED_MAX ? " and more" : "");
}

int
weir_bufpool_free(struct weir_bufpool *pool, uint64_t timeout_us)
{
	int rc;

	if (pool == NULL)
		return 0;
	weir_lock_take(&pool->lock);
	pool->dying = true;
	weir_lock_give(&pool->lock);
	caches_close(pool);
	waiters_serve_all(pool);
	if (wait_home(pool, wait_deadline(timeout_us)) != 0) {
		weir_lock_take(&pool->lock);
		rc = pool_name_missing(pool);
		pool->dying = false;
		weir_lock_give(&pool->lock);
		return rc;
	}
	thread_pool_remove(pool);
	weir_object_remove(&bufpool_class, &pool->object);
	store_free(pool);
	caches_free(pool);
	free(pool);
	return 0;
}

/** A new slab, or the room that is left in unsuitable ones. Likewise. */
static int
pool_grow(struct weir_bufpool *pool, uint32_t n, struct weir_bufs **bufs)
{
	struct slab_list idle;
	int rc;

	pool->growing_bytes += pool_bytes(pool, n);
	weir_lock_give(&pool->lock);
	rc = store_grow(pool, n, bufs);
	weir_lock_take(&pool->lock);
	if (rc != -EAGAIN && rc != -ENOMEM)
		return rc;
	*bufs = store_take(pool, n, true);
	if (*bufs != NULL)
		return 0;
	store_idle(pool, true, &idle);
	if (TAILQ_EMPTY(&idle))
		return rc;
	/* What they gave back may be what is missing. */
	pool->growing_bytes += pool_bytes(pool, n);
	weir_lock_give(&pool->lock);
	store_return(pool, &idle);
	rc = store_grow(pool, n, bufs);
	weir_lock_take(&pool->lock);
	return rc;
}

int
pool_take(struct weir_bufpool *pool, uint32_t n, struct weir_bufs **bufs, bool *memory)
{
	int rc;

	*memory = false;
	if (pool->dying)
		return -ESHUTDOWN;
	if (pool->carved_bytes + pool->growing_bytes + pool_bytes(pool, n) > pool->limit_bytes)
		return -EAGAIN;
	*bufs = store_take(pool, n, false);
	if (*bufs != NULL)
		return 0;
	rc = pool_grow(pool, n, bufs);
	*memory = rc == -EAGAIN || rc == -ENOMEM;
	return rc;
}

/** Take, when nobody stands in line; from other threads' caches if need be. The lock is held. */
static int
pool_take_all(struct weir_bufpool *pool, uint32_t n, struct weir_bufs **bufs, bool *memory)
{
	bool gathered = false;
	int rc;

	for (;;) {
		*memory = false;
		rc = TAILQ_EMPTY(&pool->waiters) || pool->dying ? pool_take(pool, n, bufs, memory)
								: -EAGAIN;
		if ((rc != -EAGAIN && rc != -ENOMEM) || (gathered && pool_is_closed(pool)))
			return rc;
		pool->calm = 0;
		weir_lock_give(&pool->lock);
		if (!pool_is_closed(pool)) {
			caches_close(pool);
		} else {
			/* Who is closing them may not be done yet. */
			weir_lock_take(&pool->steal_lock);
			weir_lock_give(&pool->steal_lock);
		}
		weir_lock_take(&pool->lock);
		gathered = true;
	}
}

static __rte_noinline __rte_cold int
alloc_slow(struct weir_bufpool *pool, uint32_t n, uint64_t timeout_us, struct weir_bufs **bufs)
{
	uint32_t *wake[SERVED_MAX], n_served = 0;
	bool memory;
	int rc;

	if (n == 0 || n > WEIR_BUFPOOL_N_MAX)
		return -EINVAL;
	if (pool_bytes(pool, n) > pool->limit_bytes)
		return -EMSGSIZE;
	*bufs = cache_get_slow(pool, n);
	if (*bufs != NULL)
		return 0;
	weir_lock_take(&pool->lock);
	rc = pool_take_all(pool, n, bufs, &memory);
	if (rc == 0)
		caches_calm(pool);
	if (timeout_us > 0 && (rc == -EAGAIN || (rc == -ENOMEM && pool->carved_bytes > 0)))
		return waiter_wait(pool, n, memory, wait_deadline(timeout_us), bufs);
	if (rc != 0) {
		pool->stats.refusals++;
		/* While it tried, others may have stood in line behind it. */
		n_served = waiters_serve(pool, wake);
	}
	weir_lock_give(&pool->lock);
	waiters_wake(wake, n_served);
	return rc;
}

static inline struct weir_bufs *
alloc_within(struct weir_bufpool *pool, uint32_t n, uint64_t timeout_us)
{
	struct weir_bufs *bufs = cache_get(pool, n);
	int rc;

	if (likely(bufs != NULL))
		return bufs;
	rc = alloc_slow(pool, n, timeout_us, &bufs);
	if (likely(rc == 0))
		return bufs;
	rte_errno = -rc;
	return NULL;
}

struct weir_bufs *
weir_bufpool_try_alloc(struct weir_bufpool *pool, uint32_t n)
{
	return alloc_within(pool, n, 0);
}

struct weir_bufs *
weir_bufpool_alloc(struct weir_bufpool *pool, uint32_t n)
{
	return alloc_within(pool, n, WEIR_BUFPOOL_FOREVER);
}

struct weir_bufs *
weir_bufpool_alloc_timed(struct weir_bufpool *pool, uint32_t n, uint64_t timeout_us)
{
	struct weir_bufs *bufs = alloc_within(pool, n, timeout_us);

	if (bufs == NULL && rte_errno == EAGAIN)
		rte_errno = ETIMEDOUT;
	return bufs;
}

/** To the slab, and on to who waits. */
static __rte_noinline __rte_cold void
free_slow(struct weir_bufpool *pool, struct weir_bufs *bufs)
{
	uint32_t *wake[SERVED_MAX], n;
	struct slab_list idle;
	bool more;

	if (cache_put_slow(pool, bufs))
		return;
	weir_lock_take(&pool->lock);
	store_give(pool, bufs);
	caches_calm(pool);
	n = waiters_serve(pool, wake);
	more = n == SERVED_MAX;
	pool->n_inside += more;
	store_idle(pool, false, &idle);
	weir_lock_give(&pool->lock);
	/* From here on the pool may be gone, but for what n_inside holds. */
	waiters_wake(wake, n);
	store_return(pool, &idle);
	if (more) {
		waiters_serve_all(pool);
		weir_lock_take(&pool->lock);
		pool_leave(pool);
		weir_lock_give(&pool->lock);
	}
}

void
weir_bufs_free(struct weir_bufs *bufs)
{
	if (bufs == NULL)
		return;
	/* The last holder is the only one who could make it more: no locked instruction. */
	if (__atomic_load_n(&bufs->refs, __ATOMIC_ACQUIRE) != 1) {
		if (__atomic_sub_fetch(&bufs->refs, 1, __ATOMIC_ACQ_REL) != 0)
			return;
		__atomic_store_n(&bufs->refs, 1, __ATOMIC_RELAXED);
	}
	if (unlikely(!cache_put(bufs->pool, bufs)))
		free_slow(bufs->pool, bufs);
}

uint64_t
weir_bufs_iova(const struct weir_bufs *bufs, uint32_t i)
{
	return weir_slab_iova(weir_bufs_at(bufs, i));
}

void
weir_bufpool_trim(struct weir_bufpool *pool)
{
	struct slab_list idle;

	caches_close(pool);
	waiters_serve_all(pool);
	weir_lock_take(&pool->lock);
	store_idle(pool, true, &idle);
	if (!pool->dying && TAILQ_EMPTY(&pool->waiters))
		__atomic_store_n(&pool->closed, 0, __ATOMIC_SEQ_CST);
	weir_lock_give(&pool->lock);
	store_return(pool, &idle);
}

void
weir_bufpool_stats(struct weir_bufpool *pool, struct weir_bufpool_stats *stats)
{
	uint64_t cached = caches_bytes(pool);

	weir_lock_take(&pool->lock);
	*stats = pool->stats;
	stats->limit_bytes = pool->limit_bytes;
	stats->cached_bytes = RTE_MIN(cached + pool->depot_bytes, pool->carved_bytes);
	stats->out_bytes = pool->carved_bytes - stats->cached_bytes;
	weir_lock_give(&pool->lock);
}

const char *
weir_bufpool_name(const struct weir_bufpool *pool)
{
	return pool->object.name;
}
