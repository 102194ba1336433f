/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_spinlock.h>

#include "weir_error.h"
#include "weir_log.h"
#include "weir_mempool.h"

WEIR_LOG_REGISTER(pool);

/** The objects at home: last in, first out, so that the next one is cache-hot. */
struct pool {
	struct weir_budget *budget;
	uint64_t reserved_bytes;
	rte_spinlock_t lock;
	uint32_t len;
	void *objs[];
};

static int
pool_alloc(struct rte_mempool *mp)
{
	const struct weir_mempool_conf *conf = mp->pool_config;
	uint64_t bytes = (uint64_t)mp->size * (mp->header_size + mp->elt_size + mp->trailer_size);
	struct pool *pool;
	int rc;

	pool = rte_zmalloc_socket("weir_pool", sizeof(*pool) + mp->size * sizeof(pool->objs[0]),
				  RTE_CACHE_LINE_SIZE, mp->socket_id);
	if (pool == NULL)
		return weir_error(ENOMEM, "pool '%s': no memory for %u objects", mp->name,
				  mp->size);
	rte_spinlock_init(&pool->lock);
	if (conf != NULL && conf->budget != NULL) {
		rc = weir_budget_try_reserve(conf->budget, bytes);
		if (rc != 0) {
			rte_free(pool);
			return weir_error(-rc,
					  "pool '%s': %u objects need %" PRIu64
					  " bytes, budget '%s' has %" PRIu64 " of %" PRIu64
					  " in use",
					  mp->name, mp->size, bytes, weir_budget_name(conf->budget),
					  weir_budget_used_bytes(conf->budget),
					  weir_budget_limit_bytes(conf->budget));
		}
		pool->budget = conf->budget;
		pool->reserved_bytes = bytes;
	}
	mp->pool_data = pool;
	return 0;
}

static void
pool_free(struct rte_mempool *mp)
{
	struct pool *pool = mp->pool_data;

	if (pool == NULL)
		return;
	if (pool->budget != NULL)
		weir_budget_release(pool->budget, pool->reserved_bytes);
	rte_free(pool);
	mp->pool_data = NULL;
}

static int
pool_enqueue(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	struct pool *pool = mp->pool_data;

	rte_spinlock_lock(&pool->lock);
	memcpy(&pool->objs[pool->len], objs, n * sizeof(*objs));
	pool->len += n;
	rte_spinlock_unlock(&pool->lock);
	return 0;
}

static int
pool_dequeue(struct rte_mempool *mp, void **objs, unsigned int n)
{
	struct pool *pool = mp->pool_data;
	int rc = 0;

	rte_spinlock_lock(&pool->lock);
	if (pool->len < n) {
		rc = -ENOBUFS;
	} else {
		pool->len -= n;
		memcpy(objs, &pool->objs[pool->len], n * sizeof(*objs));
	}
	rte_spinlock_unlock(&pool->lock);
	return rc;
}

static unsigned int
pool_get_count(const struct rte_mempool *mp)
{
	const struct pool *pool = mp->pool_data;

	return __atomic_load_n(&pool->len, __ATOMIC_RELAXED);
}

static const struct rte_mempool_ops pool_ops = {
	.name = WEIR_MEMPOOL_OPS_NAME,
	.alloc = pool_alloc,
	.free = pool_free,
	.enqueue = pool_enqueue,
	.dequeue = pool_dequeue,
	.get_count = pool_get_count,
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
}
