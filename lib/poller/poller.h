/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef POLLER_H
#define POLLER_H

/*
 * What the files of this room share: poller.c is one lcore's loop, scheduler.c
 * spreads pairs over the loops.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "weir_log.h"
#include "weir_poller.h"

WEIR_LOG_DECLARE(poller);

/** Pairs one lcore can own. */
#define POLLER_PAIRS_MAX 1024

struct weir_poller {
	struct weir_object object;
	struct weir_target target; /* handed out; back by container_of */
	int numa_node;
	unsigned int n_placed; /* pairs promised or attached; scheduler's, under its lock */

	/* The mailbox: one request at a time, `asked` hands it over and back. */
	pthread_mutex_t control; /* of those who ask */
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool asked;
	_Atomic bool quit;

	/* The lcore's. */
	struct weir_pair *pairs[POLLER_PAIRS_MAX] __rte_cache_aligned;
	unsigned int n_pairs;
	uint64_t busy_cycles, idle_cycles;
	uint64_t loops, busy_loops;
	uint64_t packets;
};

int poller_start(struct weir_poller *poller, unsigned int lcore);
void poller_stop(struct weir_poller *poller);
void poller_attach(struct weir_poller *poller, struct weir_pair *pair);
void poller_detach(struct weir_poller *poller, struct weir_pair *pair);

#endif
