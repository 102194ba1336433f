/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PATCH_H
#define PATCH_H

/**
 * patch: a cable between two guests.
 *
 * Theory of operation
 *
 * With as many queues in use on both sides, queue i sends to queue i. Else a queue's
 * packets are spread by flow (weir_flow.h) over those in use on the other side, which the
 * bits of patch_side.active tell: a flow has a *slot*, and each slot the queue that
 * patch_pick() says.
 *
 * Where a slot's queue is polled by the sender's lcore, the sender writes into its posted
 * buffers at once. Where it is not, it pushes the descriptors of its segments into its
 * *lane* to that slot, a ring; the lcore of the receiving queue copies from the sender's
 * memory and answers with the ids that are done. A sender goes over from a lane to direct
 * writing, and to another spread, only when what it has pushed is done, so the frames of a
 * flow keep their order.
 *
 * A lane has one producer, the lcore of its queue, and one consumer, the lcore that
 * patch_side.owner names for its slot. When guests take pairs into use and put them aside
 * (active, on any thread, without waiting) a slot may have to go to another lcore:
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

/** Packets of one queue in its lanes, at most: a share of the guest's ring. */
#define PATCH_HELD_MAX 256
/** Segments they may consist of, as a ring has room for. A packet of more cannot cross. */
#define PATCH_LANE_SEGMENTS 1023
#define PATCH_LANES_MAX (WEIR_QUEUES_MAX * WEIR_QUEUES_MAX)

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

/** A lane to read: of which queue, to which slot. */
struct patch_source {
	uint16_t index, slot;
};

struct patch_queue {
	struct weir_queue base;

	/* Of its own lcore; the control side reaches it through weir_target.run. */
	struct patch_side *peer; /* NULL: unplugged */
	bool paused;
	bool armed;	  /* its wake, before its lcore sleeps */
	bool live;	  /* polled since it is on this lcore: its rx ids may be used from there */
	bool by_flow;	  /* packets are spread; else all go to one slot */
	uint16_t slot;	  /* that one */
	uint16_t n_to;	  /* slots in use */
	uint16_t n_lanes; /* that it may have something in */
	uint32_t n_held;  /* packets in the lanes, and not done yet */
	uint16_t lane_held[WEIR_QUEUES_MAX];	   /* the same of each */
	uint64_t ours_seen, to_seen, from_seen;	   /* patch_side.active that this follows from: */
	struct patch_queue *to[WEIR_QUEUES_MAX];   /* by slot: where packets go */
	struct patch_source from[PATCH_LANES_MAX]; /* whose packets come */
	uint16_t n_from, next_from;
	uint16_t n_written; /* packets done at once, beside others that are not */
	uint16_t written[PATCH_HELD_MAX];
	struct weir_rx_ids rx;

	/* Written while nobody else is plugged in or all are paused; read by all. */
	struct weir_target *poller __rte_cache_aligned;
	struct patch_side *side;
	struct weir_access *access;
	uint16_t index;
	struct patch_lane lanes[WEIR_QUEUES_MAX]; /* by slot of the other side */
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
	/** By slot: the lcore that reads its lanes; atomic. */
	struct weir_target *owner[WEIR_QUEUES_MAX];
};

static inline struct patch_queue *
patch_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct patch_queue, base);
}

/** How many queues are in use. */
static inline uint16_t
patch_n_active(uint64_t active)
{
	return __builtin_popcount(active & PATCH_ACTIVE_QUEUES);
}

/** Which queue of @p side gets the packets of @p slot; also of one that is not in use now. */
static inline struct patch_queue *
patch_pick(const struct patch_side *side, uint16_t slot, uint64_t active)
{
	uint32_t queues = active & PATCH_ACTIVE_QUEUES;
	unsigned int skip;

	if (queues == 0)
		return side->queues[0]; /* whose lcore discards them */
	for (skip = slot % patch_n_active(active); skip > 0; skip--)
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
/** Push packets, a prefix, into the lane of @p q to @p slot; its lcore. */
uint16_t patch_lane_push(struct patch_queue *q, uint16_t slot,
			 const struct weir_tx_segment *segments, uint16_t n_packets);
/** Write up to @p n packets of the lane of @p from to @p slot into @p q; the lane's owner. */
uint16_t patch_lane_pull(struct patch_queue *q, struct patch_queue *from, uint16_t slot,
			 uint16_t n);
/** Up to @p n packets of a lane are done, dropped; its owner. */
uint16_t patch_lane_discard(struct patch_lane *lane, struct weir_tx_segment *scratch, uint16_t n);
/** Collect done packets into ids; the lcore of @p q. */
uint16_t patch_lane_collect(struct patch_queue *q, uint16_t *ids, uint16_t n);

/* patch_queue.c */

extern const struct weir_queue_ops patch_queue_ops;

#endif
