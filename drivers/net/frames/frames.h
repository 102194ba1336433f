/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRAMES_H
#define FRAMES_H

/*
 * frames: the far end is a network stack in another process of the same EAL, or in
 * a thread of this one, which attaches by the endpoint's name (weir_frame_host.h).
 * Every frame is copied once on either way, between the guest's memory and a frame
 * of the endpoint's own: what a far end holds, or dies with, was never the guest's.
 *
 * Each queue pair has a lease of its own, which only its lcore uses. The far end is told which
 * pairs the guest uses; what it sends to one that is put aside is dropped, since another
 * lcore could not take it out.
 *
 * Nobody attached is a link without carrier: what the guest sends is dropped, and
 * counted. A far end that is attached and slow holds the guest back instead.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "weir_endpoint.h"
#include "weir_frame_lease.h"
#include "weir_offload.h"
#include "weir_rx_ids.h"

/** A header and two tags before the MTU. */
#define FRAMES_L2_BYTES (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
/** Frames that one packet is cut into, and segments that it has, at most. */
#define FRAMES_CUT_MAX 512

struct frames_pair {
	struct weir_frame_lease *lease;
	/* Which lcore, if any, is inside the lease's data path; the lock keeps it so. */
	pthread_mutex_t lock;
	struct weir_target *target;
};

struct frames {
	uint64_t n_pairs;
	uint64_t mtu;
	uint64_t capacity;
	_Atomic uint32_t active; /* pairs that the guest uses, a bit each */
	struct frames_pair pairs[WEIR_QUEUES_MAX];
};

struct frames_queue {
	struct weir_queue base;
	struct weir_frame_lease *lease;
	struct weir_rx_ids rx;
	bool holds_back; /* the guest has sent more than was taken */

	struct weir_offload_cut cut;
	struct weir_tx_segment segments[FRAMES_CUT_MAX];
	struct rte_mbuf *frames[FRAMES_CUT_MAX];
};

static inline struct frames *
frames_of(const struct weir_endpoint *endpoint)
{
	return weir_endpoint_state(endpoint);
}

static inline struct frames_queue *
frames_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct frames_queue, base);
}

/* frames.c */

/** Which lcore is inside the data path of a pair; NULL: none. */
void frames_pair_set_target(struct frames_pair *pair, struct weir_target *target);
/** Whether the guest uses a pair. Tells the far end as well, by whichever pairs it looks. */
void frames_pair_set_active(struct frames *frames, uint16_t index, bool active);

/* frames_queue.c */

extern const struct weir_queue_ops frames_queue_ops;

#endif
