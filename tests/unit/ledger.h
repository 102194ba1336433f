/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LEDGER_H
#define LEDGER_H

/**
 * A pool of frames that keeps book: who frees a frame twice, or never, is found.
 */

#include <stdint.h>

struct rte_mempool;

/** @p n frames of @p data_bytes; without per-lcore caches, so each free is seen. */
struct rte_mempool *ledger_create(const char *name, unsigned int n, uint16_t data_bytes);

/** Frames out now. */
unsigned int ledger_out(struct rte_mempool *pool);

/** Frames that came back though they were not out, since the start. */
unsigned int ledger_doubles(struct rte_mempool *pool);

#endif
