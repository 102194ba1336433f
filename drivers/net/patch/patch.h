/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PATCH_H
#define PATCH_H

/**
 * patch: a cable between two guests.
 *
 * Theory of operation
 *
 * Queue i of one side sends to one queue of the other: to the (i modulo n)th of the
 * n that are in use there, which the bits of patch_side.active tell. Where both are
 * polled by the same lcore the sender writes into the receiver's posted buffers at
 * once. Where they are not, it pushes the descriptors of its segments into its
 * *lane*, a ring; the lcore of the receiving queue copies from the sender's memory
 * and answers with the ids that are done. A sender goes over from its lane to
 * direct writing only when the lane has run empty, so frames keep their order.
 *
 * A lane has one producer, the lcore of its queue, and one consumer, the lcore that
 * patch_side.owner names. When guests take pairs into use and put them aside
 * (active, on any thread, without waiting) a lane may have to go to another lcore:
 * the owner sees the change in its next rx_poll and names the next owner itself. It
 * counts as a change as well: the next owner looks, whether it is so still.
 *
 * Everything else changes through the lcores: the control side, under patch.lock,
 * has each lcore (weir_target.run) plug or unplug its queues between two polls.
 *  - get_queues: the new queues are wired before anyone polls them, then each
 *    queue of the other side is plugged in.
 *  - stop: each queue of the other side is unplugged, and what waits in its lane
 *    becomes done; then nobody knows the queues that go.
 *  - update_target: every queue is paused, the owners are written anew, every queue
 *    goes on. Nothing is lost, the lanes keep what they hold.
 *
 * A side whose other end is not plugged in drops what its guest sends, counted, as a
 * cable would: a guest that boots first is not served stale frames later. An end that
 * is there and has no buffers posted holds its sender back.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_ring_elem.h>

#include "weir_endpoint.h"
#include "weir_rx_ids.h"
#include "weir_wake.h"

/** Packets of one queue in its lane, at most: a share of the guest's ring. */
#define PATCH_HELD_MAX 256
/** Segments they may consist of, as a ring has room for. A packet of more cannot cross. */
#define PATCH_LANE_SEGMENTS 1023

/** The answer to a packet in a lane. */
struct patch_done {
	uint16_t id;
	uint16_t dropped; /* nobody was there to receive it */
	uint32_t frame_len;
};

struct patch_lane {
	struct rte_ring *segments; /* of struct weir_tx_segment; whole packets */
	struct rte_ring *done;	   /* of struct patch_done; has room for all that is held */
};

/**
 * patch_side.active: a bit for each queue in use, and above them the number of
 * changes, so that a change and its undoing do not look like nothing.
 */
#define PATCH_ACTIVE_QUEUES ((1ULL << WEIR_QUEUES_MAX) - 1)
#define PATCH_ACTIVE_CHANGE (1ULL << WEIR_QUEUES_MAX)
/** A value it never has: look. */
#define PATCH_ACTIVE_UNSEEN UINT64_MAX

struct patch_queue {
	struct weir_queue base;

	/* Of its own lcore; the control side reaches it through weir_target.run. */
	struct patch_side *peer; /* NULL: unplugged */
	bool paused;
	bool armed;	 /* its wake, before its lcore sleeps */
	bool live;	 /* polled since it is on this lcore: its rx ids may be used from there */
	uint32_t n_held; /* packets in the lane, and not done yet */
	uint64_t to_seen, from_seen;	/* patch_side.active that the next ones follow from */
	struct patch_queue *to;		/* where packets go */
	uint16_t from[WEIR_QUEUES_MAX]; /* whose packets come */
	uint16_t n_from, next_from;
	struct weir_rx_ids rx;

	/* Written while nobody else is plugged in or all are paused; read by all. */
	struct weir_target *poller __rte_cache_aligned;
	struct patch_side *side;
	struct weir_access *access;
	uint16_t index;
	struct patch_lane lane;
	struct weir_tx_segment *scratch; /* of the reader of lanes: a packet put together */

	struct weir_wake wake;
	struct weir_wake_word wake_word; /* on a cache line of its own */
};

/** One end of the cable. */
struct patch_side {
	struct weir_endpoint_client *client; /* NULL: nobody */
	struct patch_side *other;
	uint16_t n_queues;
	struct patch_queue *queues[WEIR_QUEUES_MAX];
	uint64_t active; /* PATCH_ACTIVE_*; atomic */
	/** By queue of the other side: the lcore that reads its lane; atomic. */
	struct weir_target *owner[WEIR_QUEUES_MAX];
};

static inline struct patch_queue *
patch_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct patch_queue, base);
}

/** Which queue of @p side gets the packets of queue @p index of the other. */
static inline struct patch_queue *
patch_pick(const struct patch_side *side, uint16_t index, uint64_t active)
{
	uint32_t queues = active & PATCH_ACTIVE_QUEUES;
	unsigned int skip;

	if (queues == 0)
		return side->queues[0]; /* whose lcore discards them */
	for (skip = index % __builtin_popcount(queues); skip > 0; skip--)
		queues &= queues - 1;
	return side->queues[__builtin_ctz(queues)];
}

/* patch.c */

/** See weir_queue_ops. */
void patch_update_target(struct weir_queue *queue);

/* patch_lane.c */

/** Whether a ring of a lane is empty; its consumer. */
static inline bool
patch_ring_is_empty(const struct rte_ring *ring)
{
	/* Acquire, as rte_ring_empty() is not. Partner: the release of the producer's tail. */
	return __atomic_load_n(&ring->prod.tail, __ATOMIC_ACQUIRE) == ring->cons.tail;
}

/** @return 0, or -ENOMEM with nothing allocated. */
int patch_lane_init(struct patch_lane *lane);
void patch_lane_fini(struct patch_lane *lane);
/** Push packets, a prefix, into the lane of @p q; its lcore. */
uint16_t patch_lane_push(struct patch_queue *q, const struct weir_tx_segment *segments,
			 uint16_t n_packets);
/** Write up to @p n packets of the lane of @p from into @p q; the lane's owner. */
uint16_t patch_lane_pull(struct patch_queue *q, struct patch_queue *from, uint16_t n);
/** Up to @p n packets of the lane of @p from are done, dropped; the lane's owner. */
uint16_t patch_lane_discard(struct patch_queue *from, struct weir_tx_segment *scratch, uint16_t n);
/** Collect done packets into ids; the lcore of @p q. */
uint16_t patch_lane_collect(struct patch_queue *q, uint16_t *ids, uint16_t n);

/* patch_queue.c */

extern const struct weir_queue_ops patch_queue_ops;

#endif
