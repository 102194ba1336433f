/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_MEMPOOL_H
#define WEIR_MEMPOOL_H

/**
 * The mempool driver `weir`: what our own code may tell it about a pool.
 *
 * Any DPDK program uses the driver by its name alone and gets an ordinary pool.
 */

#include <stdint.h>

#include "weir_budget.h"

#define WEIR_MEMPOOL_OPS_NAME "weir"

/**
 * The pool_config of rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, conf).
 *
 * Read when the pool is populated; need not live longer.
 */
struct weir_mempool_conf {
	/** Every byte of objects is reserved here first; NULL: not counted. */
	struct weir_budget *budget;
};

#endif
