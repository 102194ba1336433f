/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mempool library's view of the driver.
 *
 * A pool's life: alloc, once; calc_mem_size and populate, for each chunk of memory;
 * get and put; free. The library populates mp->size objects before a pool is ready, so
 * for an elastic pool alloc makes that number smaller, and the library's READY event,
 * which comes when they are populated, puts the program's number back. Programs that
 * populate chunk by chunk themselves count on every object: for them, known by never
 * asking calc_mem_size first, a pool is never elastic.
 */
/* The library's events are for drivers. */
#define ALLOW_INTERNAL_API

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "pool.h"
#include "weir_error.h"
#include "weir_sanitize.h"

WEIR_LOG_REGISTER(pool);

static uint32_t
pool_out(struct pool *pool, uint32_t *made)
{
	uint32_t home;

	/* With the lock held objects do not move between the stacks and the depot. */
	weir_lock_take(&pool->depot.lock);
	home = pool->depot.n_free + stacks_count(pool);
	*made = pool->depot.n_objs;
	weir_lock_give(&pool->depot.lock);
	return *made > home ? *made - home : 0;
}

static struct pool *
pool_of(const struct rte_mempool *mp)
{
	if ((mp->flags & RTE_MEMPOOL_F_POOL_CREATED) == 0 ||
	    strcmp(rte_mempool_get_ops(mp->ops_index)->name, WEIR_MEMPOOL_OPS_NAME) != 0)
		return NULL;
	return mp->pool_data;
}

int
weir_mempool_stats(const struct rte_mempool *mp, struct weir_mempool_stats *stats)
{
	struct pool *pool = pool_of(mp);
	const struct depot *depot;

	if (pool == NULL)
		return -EINVAL;
	depot = &pool->depot;
	stats->size = pool->max_objs;
	stats->out = pool_out(pool, &stats->made);
	weir_lock_take(&pool->depot.lock);
	stats->slabs = depot->n_slabs;
	stats->bytes = depot->paid_bytes;
	stats->grown = depot->grown;
	stats->grown_in_datapath = depot->grown_in_datapath;
	stats->returned = depot->returned;
	stats->flushes = depot->flushes;
	stats->refills = depot->refills;
	stats->steals = depot->steals;
	stats->refusals = depot->refusals;
	stats->double_frees = depot->double_frees;
	stats->foreign = depot->foreign;
	weir_lock_give(&pool->depot.lock);
	return 0;
}

static void
pool_info_show(struct weir_object *object, struct rte_tel_data *dict)
{
	const struct pool *pool = container_of(object, struct pool, object);

	rte_tel_data_add_dict_string(dict, "name", pool->mp->name);
	rte_tel_data_add_dict_string(dict, "budget",
				     pool->budget ? weir_budget_name(pool->budget) : "");
	rte_tel_data_add_dict_int(dict, "numa_node", pool->mp->socket_id);
	rte_tel_data_add_dict_u64(dict, "size", pool->max_objs);
	rte_tel_data_add_dict_u64(dict, "populated", pool->first_objs);
	rte_tel_data_add_dict_u64(dict, "kept", pool->kept_objs);
	rte_tel_data_add_dict_u64(dict, "object_bytes", pool->obj_bytes);
	rte_tel_data_add_dict_u64(dict, "block_objects", pool->block);
	rte_tel_data_add_dict_u64(dict, "slab_objects", pool->elastic ? pool->slab_objs : 0);
	rte_tel_data_add_dict_u64(dict, "keep_ms", pool->keep_cycles / (rte_get_tsc_hz() / 1000));
	rte_tel_data_add_dict_string(dict, "check", pool->check ? "on" : "off");
}

static void
pool_stats_show(struct weir_object *object, struct rte_tel_data *dict)
{
	const struct pool *pool = container_of(object, struct pool, object);
	struct weir_mempool_stats stats;

	if (weir_mempool_stats(pool->mp, &stats) != 0)
		return;
	rte_tel_data_add_dict_u64(dict, "size", stats.size);
	rte_tel_data_add_dict_u64(dict, "base", pool->first_objs);
	rte_tel_data_add_dict_u64(dict, "made", stats.made);
	rte_tel_data_add_dict_u64(dict, "out", stats.out);
	rte_tel_data_add_dict_u64(dict, "used_bytes", stats.bytes);
	rte_tel_data_add_dict_u64(dict, "slabs", stats.slabs);
	rte_tel_data_add_dict_u64(dict, "slabs_grown", stats.grown);
	rte_tel_data_add_dict_u64(dict, "slabs_grown_in_datapath", stats.grown_in_datapath);
	rte_tel_data_add_dict_u64(dict, "slabs_returned", stats.returned);
	rte_tel_data_add_dict_u64(dict, "flushes", stats.flushes);
	rte_tel_data_add_dict_u64(dict, "refills", stats.refills);
	rte_tel_data_add_dict_u64(dict, "steals", stats.steals);
	rte_tel_data_add_dict_u64(dict, "refusals", stats.refusals);
	rte_tel_data_add_dict_u64(dict, "double_frees", stats.double_frees);
	rte_tel_data_add_dict_u64(dict, "foreign", stats.foreign);
}

static struct weir_class pool_class = {
	.room = "pool",
	.info = pool_info_show,
	.stats = pool_stats_show,
};

WEIR_CLASS_REGISTER(pool_class);

/** Show it under the mempool's name, as far as that can be an object's name. */
static void
pool_show(struct pool *pool)
{
	char name[WEIR_OBJECT_NAMESIZE];
	char *c;

	snprintf(name, sizeof(name), "%s", pool->mp->name);
	for (c = name; *c != '\0'; c++)
		if (strchr(" /,", *c) != NULL)
			*c = '_';
	pool->shown = weir_object_add(&pool_class, &pool->object, name) == 0;
}

/** Numbers from what was asked for. */
static void
pool_configure(struct pool *pool, const struct weir_mempool_conf *conf)
{
	const struct rte_mempool *mp = pool->mp;
	uint64_t slab_bytes = conf->slab_bytes ? conf->slab_bytes : WEIR_MEMPOOL_SLAB_BYTES;
	uint64_t n;

	pool->max_objs = mp->size;
	pool->obj_bytes = mp->header_size + mp->elt_size + mp->trailer_size;
	pool->budget = conf->budget;
	pool->source.numa_node = mp->socket_id;
	pool->keep_cycles = rte_get_tsc_hz() / 1000 * conf->keep_ms;
	/* The word it needs is in the padding that cache alignment makes. */
	pool->check = conf->check && mp->header_size >= sizeof(struct rte_mempool_objhdr) + 8;
	pool->elastic = conf->populate > 0 && conf->populate < mp->size;
	pool->first_objs = pool->elastic ? conf->populate : mp->size;
	pool->kept_objs = RTE_MAX(pool->first_objs, conf->keep);
	pool->kept_objs = RTE_MIN(pool->kept_objs, mp->size);
	RTE_BUILD_BUG_ON(sizeof(struct slab) + RTE_CACHE_LINE_SIZE > WEIR_MEMPOOL_SLAB_HEAD_BYTES);
	n = slab_bytes > WEIR_MEMPOOL_SLAB_HEAD_BYTES
		    ? (slab_bytes - WEIR_MEMPOOL_SLAB_HEAD_BYTES) /
			      (pool->obj_bytes + sizeof(void *))
		    : 0;
	n = RTE_MAX(n, 1u);
	n = RTE_MAX(n, (uint64_t)(pool->max_objs - pool->first_objs) / (SLABS_MAX / 2) + 1);
	pool->slab_objs = RTE_MIN(n, pool->max_objs);
	pool->low_objs = pool->elastic ? RTE_MIN(pool->slab_objs, (pool->kept_objs + 1) / 2) : 0;
	pool->depot.ahead_objs = pool->low_objs;
	pool->stack_limit = RTE_MAX(pool->max_objs / 8, STACK_LIMIT_MIN);
	pool->stack_limit = RTE_MIN(pool->stack_limit, STACK_SIZE);
	pool->block = RTE_MAX(conf->block, 1u);
	pool->asymmetric = weir_turn_asymmetric();
}

/** Reserve what the pool keeps. */
static int
pool_pay(struct pool *pool, bool by_vdev)
{
	uint64_t bytes = slab_price(pool, 0);
	int rc;

	if (pool->budget != NULL) {
		rc = weir_budget_try_reserve(pool->budget, bytes);
		if (rc != 0) {
			/* A program that knows nothing of budgets asks for less after ENOMEM. */
			return weir_error(by_vdev ? ENOMEM : -rc,
					  "pool '%s': %u objects need %" PRIu64
					  " bytes, budget '%s' has %" PRIu64 " of %" PRIu64
					  " in use",
					  pool->mp->name, pool->kept_objs, bytes,
					  weir_budget_name(pool->budget),
					  weir_budget_used_bytes(pool->budget),
					  weir_budget_limit_bytes(pool->budget));
		}
	}
	pool->depot.paid_bytes = bytes;
	return 0;
}

static void
pool_unpay(struct pool *pool)
{
	if (pool->budget != NULL && pool->depot.paid_bytes > 0)
		weir_budget_release(pool->budget, pool->depot.paid_bytes);
}

static void
pool_destroy(struct pool *pool)
{
	weir_sanitize_free();
	slabs_free(pool);
	spans_free(pool);
	stacks_free(pool);
	rte_free(pool->depot.base);
	rte_free(pool);
}

/** Cached objects are at home for the program, and out for us. */
static uint32_t
caches_count(const struct rte_mempool *mp)
{
	uint32_t sum = 0;
	unsigned int lcore;

	for (lcore = 0; mp->cache_size > 0 && lcore < RTE_MAX_LCORE; lcore++)
		sum += mp->local_cache[lcore].len;
	return sum;
}

/**
 * Objects of a pool that is freed are still out: rather than give their memory to
 * others, keep it, the mempool's own header among it, for ever.
 */
static void
pool_orphan(struct pool *pool, uint32_t n_out)
{
	struct rte_mempool_memhdr *chunk;

	pool->orphan = true;
	STAILQ_FOREACH(chunk, &pool->mp->mem_list, next)
		chunk->free_cb = NULL;
	pool->mp->mz = NULL;
	WEIR_LOG(pool, WARNING,
		 "pool '%s' is freed with %u objects out: its memory is kept for them, and "
		 "its name stays taken",
		 pool->mp->name, n_out);
}

static void
pool_event(enum rte_mempool_event event, struct rte_mempool *mp, void *arg)
{
	struct pool *pool = pool_of(mp);
	uint32_t n_out, n_cached, made;

	if (pool == NULL)
		return;
	switch (event) {
	case RTE_MEMPOOL_EVENT_READY:
		if (pool->elastic) {
			mp->size = pool->max_objs;
			mp->populated_size = pool->max_objs;
			__atomic_store_n(&pool->ready, true, __ATOMIC_RELEASE);
		}
		break;
	case RTE_MEMPOOL_EVENT_DESTROY:
		pool->stack_pid = 0;
		pool->dying = true;
		n_out = pool_out(pool, &made);
		n_cached = caches_count(mp);
		if (n_out > n_cached)
			pool_orphan(pool, n_out - n_cached);
		break;
	}
}

static int
pool_alloc(struct rte_mempool *mp)
{
	struct weir_mempool_conf conf = {0};
	bool by_vdev = false;
	struct pool *pool;
	int rc;

	if (mp->pool_config != NULL)
		conf = *(const struct weir_mempool_conf *)mp->pool_config;
	else
		by_vdev = vdev_conf(mp->socket_id, mp->size, &conf);
	mp->pool_config = NULL;
	pool = rte_zmalloc_socket("weir_pool", sizeof(*pool), RTE_CACHE_LINE_SIZE, mp->socket_id);
	weir_sanitize_alloc();
	if (pool == NULL)
		return weir_error(ENOMEM, "pool '%s': no memory", mp->name);
	/* Of all mempools of the process; once is enough. */
	rc = rte_mempool_event_callback_register(pool_event, NULL);
	if (rc < 0 && rte_errno != EEXIST) {
		rte_free(pool);
		return weir_error(rte_errno, "pool '%s': the mempool library refuses its events",
				  mp->name);
	}
	pool->mp = mp;
	pool_configure(pool, &conf);
	if (pool->elastic && pool->block > 1) {
		rte_free(pool);
		return weir_error(EINVAL,
				  "pool '%s': blocks of %u objects are of pools that have all of "
				  "them from the start: populate %u, or no blocks",
				  mp->name, conf.block, mp->size);
	}
	pool->depot.base = rte_malloc_socket("weir_base", pool->first_objs * sizeof(void *),
					     RTE_CACHE_LINE_SIZE, mp->socket_id);
	if (pool->depot.base == NULL || stacks_create(pool) != 0) {
		pool_destroy(pool);
		return weir_error(ENOMEM, "pool '%s': no memory for %u objects", mp->name,
				  mp->size);
	}
	rc = pool_pay(pool, by_vdev);
	if (rc == 0 && pool->elastic) {
		rc = keeper_add(pool);
		if (rc != 0)
			pool_unpay(pool);
	}
	if (rc != 0) {
		pool_destroy(pool);
		return rc;
	}
	if (pool->check)
		pool->stack_pid = 0;
	if (pool->elastic)
		mp->size = pool->first_objs + 1; /* the witness */
	mp->pool_data = pool;
	pool_show(pool);
	return 0;
}

static void
pool_free(struct rte_mempool *mp)
{
	struct pool *pool = mp->pool_data;

	if (pool == NULL)
		return;
	keeper_remove(pool);
	if (pool->shown)
		weir_object_remove(&pool_class, &pool->object);
	if (pool->orphan)
		return;
	mp->pool_data = NULL;
	pool_unpay(pool);
	pool_destroy(pool);
}

static unsigned int
pool_get_count(const struct rte_mempool *mp)
{
	struct pool *pool = mp->pool_data;
	uint32_t made, out = pool_out(pool, &made);

	return (pool->elastic ? pool->max_objs : made) - out;
}

static ssize_t
pool_calc_mem_size(const struct rte_mempool *mp, uint32_t n, uint32_t pg_shift,
		   size_t *min_chunk_bytes, size_t *align)
{
	struct pool *pool = mp->pool_data;
	ssize_t bytes;

	pool->sized = true;
	/* The library asks once more when it unmaps anonymous memory, with its present size. */
	if (pool->elastic)
		n = RTE_MIN(n, pool->first_objs + 1);
	bytes = rte_mempool_op_calc_mem_size_default(mp, n, pg_shift, min_chunk_bytes, align);
	/* No chunk without a block. */
	if (pool->block > 1)
		*min_chunk_bytes = RTE_MAX(*min_chunk_bytes, (size_t)pool->block * pool->obj_bytes);
	return bytes;
}

/** A program that populates by itself counts on having every object. @return whether it can */
static bool
pool_make_ordinary(struct pool *pool)
{
	void **base =
		rte_realloc(pool->depot.base, pool->max_objs * sizeof(void *), RTE_CACHE_LINE_SIZE);
	uint64_t more;

	if (base == NULL)
		return false;
	pool->depot.base = base;
	pool->kept_objs = pool->max_objs;
	more = slab_price(pool, 0) - pool->depot.paid_bytes;
	if (pool->budget != NULL && more > 0 && weir_budget_try_reserve(pool->budget, more) != 0)
		return false;
	pool->depot.paid_bytes += more;
	keeper_remove(pool);
	pool->elastic = false;
	pool->low_objs = 0;
	pool->depot.ahead_objs = 0;
	pool->first_objs = pool->max_objs;
	pool->mp->size = pool->max_objs;
	return true;
}

static int
pool_populate(struct rte_mempool *mp, unsigned int max_objs, void *vaddr, rte_iova_t iova,
	      size_t len, rte_mempool_populate_obj_cb_t *obj_cb, void *obj_cb_arg)
{
	struct pool *pool = mp->pool_data;
	int32_t stack_pid = pool->stack_pid;
	int rc;

	if (pool->elastic && !pool->sized) {
		if (!pool_make_ordinary(pool))
			return 0; /* which says that there is no room */
		max_objs = mp->size - mp->populated_size;
	}
	if (pool->elastic && mp->populated_size > pool->first_objs)
		return 0;
	if (pool->base_start == NULL) {
		pool->base_start = vaddr;
		pool->base_end = (char *)vaddr + len;
	}
	pool->stack_pid = 0;
	pool->chunk_end = (char *)vaddr + len;
	pool->last_span = NULL;
	pool->populating = true;
	rc = rte_mempool_op_populate_default(mp, max_objs, vaddr, iova, len, obj_cb, obj_cb_arg);
	pool->populating = false;
	pool->stack_pid = stack_pid;
	return rc;
}

void
populate_put(struct pool *pool, void *const *objs, uint32_t n)
{
	if (pool->elastic && pool->witness == NULL) {
		pool->witness = objs[0];
		objs++;
		n--;
	}
	weir_lock_take(&pool->depot.lock);
	if (pool->block > 1)
		n = block_new(pool, objs, n);
	depot_put(pool, objs, n);
	depot_set_objs(&pool->depot, pool->depot.n_objs + n);
	depot_set_promised(&pool->depot, pool->depot.n_promised + n);
	weir_lock_give(&pool->depot.lock);
	if (pool->check)
		check_new(pool, objs, n);
}

/* Programs that ask for blocks ask for their size first, as they have to. */
static int
pool_get_info(const struct rte_mempool *mp, struct rte_mempool_info *info)
{
	info->contig_block_size = ((const struct pool *)mp->pool_data)->block;
	return 0;
}

static const struct rte_mempool_ops pool_ops = {
	.name = WEIR_MEMPOOL_OPS_NAME,
	.alloc = pool_alloc,
	.free = pool_free,
	.enqueue = pool_put,
	.dequeue = pool_get,
	.get_count = pool_get_count,
	.calc_mem_size = pool_calc_mem_size,
	.populate = pool_populate,
	.get_info = pool_get_info,
	.dequeue_contig_blocks = pool_get_blocks,
};

/** Whether a program that is its own plug-in, or two plug-ins, brought the name already. */
static bool
ops_name_is_taken(void)
{
	unsigned int i;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, pool_ops.name) == 0)
			return true;
	return false;
}

RTE_INIT(pool_register)
{
	int rc;

	if (ops_name_is_taken()) {
		WEIR_LOG(pool, NOTICE,
			 "the mempool driver '%s' is already in this program: this copy stays idle",
			 pool_ops.name);
		return;
	}
	rc = rte_mempool_register_ops(&pool_ops);
	if (rc < 0) {
		fprintf(stderr, "weir: cannot register the mempool driver '%s': %s\n",
			pool_ops.name,
			rc == -ENOSPC ? "DPDK's table of drivers is full" : rte_strerror(-rc));
		abort();
	}
	vdev_register();
}
