/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mempool names its driver by an index into a table that each process fills as its
 * drivers happen to be loaded. Two programs, testpmd and dpdk-proc-info, have different
 * orders, and the secondary process would call another driver's functions on the
 * primary's pools. So the primary leaves its order in shared memory, and a secondary
 * that finds it puts its own table into the same one.
 */
#include <string.h>

#include <rte_memzone.h>

#include "pool.h"

#define ORDER_NAME "weir_mempool_order"

struct order {
	uint32_t n;
	char names[RTE_MEMPOOL_MAX_OPS_IDX][RTE_MEMPOOL_OPS_NAMESIZE];
};

void
order_leave(void)
{
	const struct rte_memzone *zone = rte_memzone_lookup(ORDER_NAME);
	struct order *order;
	uint32_t i;

	if (zone != NULL || rte_eal_process_type() != RTE_PROC_PRIMARY)
		return;
	zone = rte_memzone_reserve(ORDER_NAME, sizeof(*order), SOCKET_ID_ANY, 0);
	if (zone == NULL)
		return; /* another thread is at it, or nothing can be attached anyway */
	order = zone->addr;
	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		memcpy(order->names[i], rte_mempool_ops_table.ops[i].name, sizeof(*order->names));
	order->n = rte_mempool_ops_table.num_ops;
}

/** Where a driver stands in this process, or the table's end. */
static uint32_t
order_find(const char *name)
{
	uint32_t i;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0)
			break;
	return i;
}

void
order_follow(void)
{
	const struct rte_memzone *zone = rte_memzone_lookup(ORDER_NAME);
	struct rte_mempool_ops_table *table = &rte_mempool_ops_table;
	const struct order *order;
	struct rte_mempool_ops ops;
	uint32_t i, j;

	if (zone == NULL)
		return;
	order = zone->addr;
	rte_spinlock_lock(&table->sl);
	for (i = 0; i < RTE_MIN(order->n, table->num_ops); i++) {
		j = order_find(order->names[i]);
		if (j == i || j == table->num_ops)
			continue;
		ops = table->ops[i];
		table->ops[i] = table->ops[j];
		table->ops[j] = ops;
	}
	rte_spinlock_unlock(&table->sl);
	for (i = 0; i < order->n; i++)
		if (i >= table->num_ops || strcmp(table->ops[i].name, order->names[i]) != 0)
			WEIR_LOG(pool, WARNING,
				 "the primary process has the mempool driver '%s', this one has "
				 "not: "
				 "do not touch its pools",
				 order->names[i]);
}
