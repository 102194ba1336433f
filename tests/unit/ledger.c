/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mempool driver under one mutex, which thread sanitizer sees, unlike what
 * happens inside the DPDK libraries. A frame's state is kept in its private area.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "ledger.h"

enum { FRESH, HOME, OUT }; /* the memory of a pool is zero at first */

struct ledger {
	pthread_mutex_t lock;
	unsigned int n_home, n_doubles;
	void *home[];
};

static uint64_t *
ledger_state(void *object)
{
	return rte_mbuf_to_priv(object);
}

static int
ledger_alloc(struct rte_mempool *pool)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger) + pool->size * sizeof(void *));

	if (ledger == NULL)
		return -ENOMEM;
	pthread_mutex_init(&ledger->lock, NULL);
	pool->pool_data = ledger;
	return 0;
}

static void
ledger_free(struct rte_mempool *pool)
{
	free(pool->pool_data);
}

static int
ledger_enqueue(struct rte_mempool *pool, void *const *objects, unsigned int n)
{
	struct ledger *ledger = pool->pool_data;
	unsigned int i;

	pthread_mutex_lock(&ledger->lock);
	for (i = 0; i < n; i++) {
		if (*ledger_state(objects[i]) == HOME) {
			ledger->n_doubles++;
			continue;
		}
		*ledger_state(objects[i]) = HOME;
		ledger->home[ledger->n_home++] = objects[i];
	}
	pthread_mutex_unlock(&ledger->lock);
	return 0;
}

static int
ledger_dequeue(struct rte_mempool *pool, void **objects, unsigned int n)
{
	struct ledger *ledger = pool->pool_data;
	int ret = -ENOBUFS;
	unsigned int i;

	pthread_mutex_lock(&ledger->lock);
	if (n <= ledger->n_home) {
		for (i = 0; i < n; i++) {
			objects[i] = ledger->home[--ledger->n_home];
			*ledger_state(objects[i]) = OUT;
		}
		ret = 0;
	}
	pthread_mutex_unlock(&ledger->lock);
	return ret;
}

static unsigned int
ledger_count(const struct rte_mempool *pool)
{
	struct ledger *ledger = pool->pool_data;
	unsigned int n;

	pthread_mutex_lock(&ledger->lock);
	n = ledger->n_home;
	pthread_mutex_unlock(&ledger->lock);
	return n;
}

struct rte_mempool *
ledger_create(const char *name, unsigned int n, uint16_t data_bytes)
{
	return rte_pktmbuf_pool_create_by_ops(name, n, 0, sizeof(uint64_t),
					      RTE_PKTMBUF_HEADROOM + data_bytes, SOCKET_ID_ANY,
					      "ledger");
}

unsigned int
ledger_out(struct rte_mempool *pool)
{
	return pool->size - ledger_count(pool);
}

unsigned int
ledger_doubles(struct rte_mempool *pool)
{
	struct ledger *ledger = pool->pool_data;

	return ledger->n_doubles;
}

static const struct rte_mempool_ops ledger_ops = {
	.name = "ledger",
	.alloc = ledger_alloc,
	.free = ledger_free,
	.enqueue = ledger_enqueue,
	.dequeue = ledger_dequeue,
	.get_count = ledger_count,
};

RTE_MEMPOOL_REGISTER_OPS(ledger_ops);
