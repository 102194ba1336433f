/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lanes: packets from one lcore to another, as descriptors of memory that stays
 * the sender's, and the answers. Both rings have one producer and one consumer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_peek_zc.h>

#include "patch.h"

/** Packets between two looks at the receiver's buffers. */
#define PULL_BURST 32

/** A ring without a name: nobody looks it up. */
static struct rte_ring *
ring_create(unsigned int elem_size, unsigned int n)
{
	/* A ring holds one less than its size. */
	ssize_t bytes = rte_ring_get_memsize_elem(elem_size, rte_align32pow2(n + 1));
	struct rte_ring *ring = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);

	if (ring == NULL)
		return NULL;
	rte_ring_init(ring, "weir_patch", n, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
	return ring;
}

int
patch_lane_init(struct patch_lane *lane)
{
	lane->segments = ring_create(sizeof(struct weir_tx_segment), PATCH_LANE_SEGMENTS);
	lane->done = ring_create(sizeof(struct patch_done), PATCH_HELD_MAX);
	if (lane->segments != NULL && lane->done != NULL)
		return 0;
	patch_lane_fini(lane);
	return -ENOMEM;
}

void
patch_lane_fini(struct patch_lane *lane)
{
	free(lane->segments);
	free(lane->done);
	lane->segments = lane->done = NULL;
}

static void
held_add(struct patch_queue *q, uint16_t slot, int32_t n)
{
	q->lane_held[slot] += n;
	/* Atomic for inspect(), on its own thread. */
	__atomic_store_n(&q->n_held, q->n_held + n, __ATOMIC_RELAXED);
}

/** Copy to where the ring goes on, and to its start for what lies behind its end. */
static void
zcd_write(const struct rte_ring_zc_data *zcd, const struct weir_tx_segment *segments, uint32_t n)
{
	uint32_t part = RTE_MIN(n, zcd->n1);

	memcpy(zcd->ptr1, segments, part * sizeof(*segments));
	if (n > part)
		memcpy(zcd->ptr2, segments + part, (n - part) * sizeof(*segments));
}

uint16_t
patch_lane_push(struct patch_queue *q, uint16_t slot, const struct weir_tx_segment *segments,
		uint16_t n_packets)
{
	struct rte_ring *ring = q->lanes[slot].segments;
	uint16_t n, most = RTE_MIN(n_packets, PATCH_HELD_MAX - q->n_held);
	uint32_t room, next, n_segments = 0;
	struct rte_ring_zc_data zcd;

	room = rte_ring_enqueue_zc_burst_elem_start(ring, sizeof(*segments), PATCH_LANE_SEGMENTS,
						    &zcd, NULL);
	if (room == 0)
		return 0;
	for (n = 0; n < most; n++) {
		next = n_segments + segments[n_segments].n_segments;
		if (next > room)
			break;
		n_segments = next;
	}
	zcd_write(&zcd, segments, n_segments);
	rte_ring_enqueue_zc_elem_finish(ring, n_segments);
	held_add(q, slot, n);
	return n;
}

/** The same of one lane. */
static uint16_t
lane_collect(struct patch_queue *q, uint16_t slot, uint16_t *ids, uint16_t n)
{
	struct patch_done done[64];
	uint64_t bytes = 0;
	uint16_t i, dropped = 0;

	n = rte_ring_sc_dequeue_burst_elem(q->lanes[slot].done, done, sizeof(*done),
					   RTE_MIN(n, RTE_DIM(done)), NULL);
	for (i = 0; i < n; i++) {
		ids[i] = done[i].id;
		dropped += done[i].dropped;
		bytes += done[i].dropped ? 0 : done[i].frame_len;
	}
	held_add(q, slot, -n);
	weir_count(&q->base.stats.tx_packets, n - dropped);
	weir_count(&q->base.stats.tx_bytes, bytes);
	weir_count(&q->base.stats.tx_dropped, dropped);
	return n;
}

uint16_t
patch_lane_collect(struct patch_queue *q, uint16_t *ids, uint16_t n)
{
	uint16_t slot, got = 0;

	for (slot = 0; slot < q->n_lanes && got < n; slot++)
		if (q->lane_held[slot] > 0)
			got += lane_collect(q, slot, ids + got, n - got);
	return got;
}

/** Whole packets, at most @p most, among the first @p n_segments. */
static uint16_t
packets_whole(const struct weir_tx_segment *segments, uint32_t n_segments, uint16_t most)
{
	uint32_t at = 0;
	uint16_t n;

	for (n = 0; n < most && at < n_segments; n++) {
		at += segments[at].n_segments;
		if (at > n_segments)
			break;
	}
	return n;
}

/**
 * Look at the packets at the front of a lane, where they lie.
 *
 * @return Packets at @p segments; lane_answer() must follow unless it is 0.
 */
static uint16_t
lane_look(const struct patch_lane *lane, struct weir_tx_segment *scratch, uint16_t most,
	  const struct weir_tx_segment **segments)
{
	struct rte_ring_zc_data zcd;
	const struct weir_tx_segment *head;
	uint16_t n, part;

	if (rte_ring_dequeue_zc_burst_elem_start(lane->segments, sizeof(*head), PATCH_LANE_SEGMENTS,
						 &zcd, NULL) == 0)
		return 0;
	head = zcd.ptr1;
	*segments = head;
	n = packets_whole(head, zcd.n1, most);
	if (likely(n > 0))
		return n;
	/* The first one goes on at the start of the ring's memory. */
	part = zcd.n1;
	memcpy(scratch, head, part * sizeof(*head));
	memcpy(scratch + part, zcd.ptr2, (head->n_segments - part) * sizeof(*head));
	*segments = scratch;
	return 1;
}

/** The first @p n of the packets looked at are done; says how many bytes they had. */
static uint64_t
lane_answer(const struct patch_lane *lane, const struct weir_tx_segment *segments, uint16_t n,
	    bool dropped)
{
	struct patch_done done[PULL_BURST];
	uint32_t n_segments = 0;
	uint64_t bytes = 0;
	uint16_t i;

	for (i = 0; i < n; i++) {
		done[i].id = segments[n_segments].id;
		done[i].dropped = dropped;
		done[i].frame_len = segments[n_segments].frame_len;
		bytes += done[i].frame_len;
		n_segments += segments[n_segments].n_segments;
	}
	rte_ring_dequeue_zc_elem_finish(lane->segments, n_segments);
	if (n > 0)
		rte_ring_sp_enqueue_bulk_elem(lane->done, done, sizeof(*done), n, NULL);
	return bytes;
}

uint16_t
patch_lane_pull(struct patch_queue *q, struct patch_queue *from, uint16_t slot, uint16_t n)
{
	const struct patch_lane *lane = &from->lanes[slot];
	const struct weir_tx_segment *segments;
	uint16_t total = 0, there, written;
	uint32_t most;
	uint64_t bytes = 0;

	do {
		most = RTE_MIN((uint32_t)(n - total), weir_rx_ids_n_empty(&q->rx));
		most = RTE_MIN(most, (uint32_t)PULL_BURST);
		there = most > 0 ? lane_look(lane, q->scratch, most, &segments) : 0;
		if (there == 0)
			break;
		written = q->access->ops->write_packet_segments(
			q->access, weir_rx_ids_empty(&q->rx), NULL, segments, there);
		weir_rx_ids_fill(&q->rx, written);
		bytes += lane_answer(lane, segments, written, false);
		total += written;
	} while (written == there && total < n);
	weir_count(&q->base.stats.rx_packets, total);
	weir_count(&q->base.stats.rx_bytes, bytes);
	return total;
}

uint16_t
patch_lane_discard(struct patch_lane *lane, struct weir_tx_segment *scratch, uint16_t n)
{
	const struct weir_tx_segment *segments;
	uint16_t there, total = 0;

	while (total < n) {
		there = lane_look(lane, scratch, RTE_MIN(n - total, PULL_BURST), &segments);
		if (there == 0)
			break;
		lane_answer(lane, segments, there, true);
		total += there;
	}
	return total;
}
