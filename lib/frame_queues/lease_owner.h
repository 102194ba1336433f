/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LEASE_OWNER_H
#define LEASE_OWNER_H

/*
 * The owner's side of a lease.
 */

#include <pthread.h>
#include <sys/queue.h>

#include "lease.h"
#include "weir_frame_lease.h"

#define LEASE_BURST 32

struct weir_frame_lease {
	/* Of the lcore, or of who has it stand still. */
	struct weir_frame_queues *fq;
	struct weir_frame_ring *empty, *done;
	struct rte_mbuf **home; /* a stack */
	uint32_t n_home;
	uint32_t n_empty; /* lent unfilled, at most */
	uint16_t frame_bytes;
	bool attached;
	bool armed, armed_for_room;
	uint16_t received_first, n_received;
	struct rte_mbuf *received[LEASE_BURST];

	/* Control side. */
	struct weir_frame_lease_conf conf;
	char name[LEASE_NAMESIZE];
	struct lease_shared *shared;
	struct rte_mempool *pool;
	struct rte_mbuf **all;
	uint32_t n_all;
	uint64_t n_attaches, n_reclaimed;
	bool registered;
	TAILQ_ENTRY(weir_frame_lease) next;

	/* The thread that waits for the end of the attached host side. */
	pthread_mutex_t lock;
	pthread_t watcher;
	bool watched;	  /* the thread is there, or to be joined */
	int life_fd;	  /* -1: no host side */
	int leave_fds[2]; /* closing the second tells the watcher to come to an end */
};

/** Make it known by its name. */
void lease_register(struct weir_frame_lease *lease);
/** Undo lease_register(), and tell the host side to leave. */
void lease_unregister(struct weir_frame_lease *lease);
/** Wait for that. @return Whether it has. */
bool lease_has_left(struct weir_frame_lease *lease);

/* Through conf.run: */

/** Begin to lend, to a host side that has just come. */
void lease_begin(void *lease);
/** All frames home, the queues as new: there is no host side any more. */
void lease_reclaim(void *lease);

#endif
