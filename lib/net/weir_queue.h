/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_QUEUE_H
#define WEIR_QUEUE_H

/**
 * Queue: one tx/rx data path of an endpoint, driven by a guest's queue pair.
 *
 *   for (;;) {
 *           rx_poll     take back the rx ids that hold a frame
 *           rx_avail    post the rx ids that are empty again
 *           tx_avail    hand over the guest's packets
 *           tx_poll     take back the tx ids that are done
 *   }
 *   poll_ready          before sleeping
 *
 * Life: weir_endpoint_get_queues() makes queues, weir_endpoint_stop() ends them;
 * between the two exactly one lcore at a time calls the functions below. A queue
 * never blocks. What it cannot take stays the caller's: the guest's own ring is
 * the waiting room.
 *
 * @see seeds: Queue
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_telemetry.h>

#include "weir_access.h"

struct weir_endpoint;
struct weir_queue;

/**
 * Who polls a queue: the way for a control thread to reach the lcore that owns it.
 */
struct weir_target {
	/**
	 * Run @p fn(@p arg) on the owning lcore, between two polls, and return when
	 * it has run. Any thread but a poll lcore; may block for one loop.
	 * An empty @p fn waits until the lcore has left whatever it was doing.
	 */
	void (*run)(struct weir_target *target, void (*fn)(void *arg), void *arg);
	unsigned int lcore; /* its id, to be shown */
};

/** Counters of the host side of a queue; the guest port counts its own. */
struct weir_queue_stats {
	uint64_t tx_packets, tx_bytes;
	uint64_t rx_packets, rx_bytes;
	uint64_t tx_dropped; /* taken, and refused by the host end for good */
	uint64_t tx_busy;    /* bursts of which something was left with the guest */
	uint64_t rx_dropped; /* came from the host, and could not be read */
};

/** Add to a counter that other threads may read meanwhile; one thread writes it. */
static inline void
weir_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/** Errors of rx_poll and tx_poll, told apart. */
#define WEIR_QUEUE_RESTART (-ERESTART) /* give all ids up, get the queue anew */
#define WEIR_QUEUE_FATAL (-EIO)	       /* the endpoint is gone for good */

struct weir_queue_ops {
	/**
	 * Whether the queue has something to do now. When not, and @p arm, its
	 * wake_fd becomes readable as soon as it has.
	 */
	bool (*poll_ready)(struct weir_queue *queue, struct weir_access *access, bool arm);

	/** Post empty rx buffers. All are taken: ids never exceed the guest's ring. */
	void (*rx_avail)(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
			 uint16_t n);

	/**
	 * Fill posted buffers through @p access and give their ids back.
	 * @return Ids set, or WEIR_QUEUE_RESTART, WEIR_QUEUE_FATAL.
	 */
	int (*rx_poll)(struct weir_queue *queue, struct weir_access *access, uint16_t *ids,
		       uint16_t n);

	/**
	 * Hand over packets.
	 *
	 * @param done
	 *   Set true when the packets taken are done already and their ids free
	 *   again; set false when each will come back by tx_poll.
	 * @return
	 *   Packets taken, a prefix; the rest stays the caller's.
	 */
	uint16_t (*tx_avail)(struct weir_queue *queue, struct weir_access *access,
			     const struct weir_tx_segment *segments, uint16_t n_packets,
			     bool *done);

	/**
	 * Collect ids of packets that are done, in any order.
	 * @return Ids set, or WEIR_QUEUE_RESTART, WEIR_QUEUE_FATAL.
	 */
	int (*tx_poll)(struct weir_queue *queue, struct weir_access *access, uint16_t *ids,
		       uint16_t n);

	/** The queue's lcore has changed to queue->target. Control thread, lcore quiet. */
	void (*update_target)(struct weir_queue *queue);

	/**
	 * The guest uses this pair, or has put it aside (multiqueue): frames for a
	 * queue put aside go to another. Any thread, never waits.
	 */
	void (*set_active)(struct weir_queue *queue, bool active);

	/** What tells about it: added to a started dict. Any thread. */
	void (*inspect)(const struct weir_queue *queue, struct rte_tel_data *dict);
};

/** Common head of every driver's queue. */
struct weir_queue {
	const struct weir_queue_ops *ops;
	struct weir_endpoint *endpoint;
	struct weir_target *target;    /* set by the control side, lcore quiet */
	uint16_t index;		       /* which pair of its guest */
	int wake_fd;		       /* see poll_ready; -1 when nothing comes by itself */
	bool polled;		       /* something may come that wake_fd does not tell of */
	struct weir_queue_stats stats; /* written by the owning lcore only */
};

#endif
