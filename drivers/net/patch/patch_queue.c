/* SPDX-License-Identifier: BSD-3-Clause */
/* The data path of patch. See patch.h for how it works. */
#include <string.h>

#include "weir_flow.h"

#include "patch.h"

static uint64_t
side_active(const struct patch_side *side)
{
	return __atomic_load_n(&side->active, __ATOMIC_ACQUIRE);
}

static inline struct weir_target *
slot_owner(const struct patch_side *side, uint16_t slot)
{
	/* Acquire: what the owner before did with the lanes. Partner: the release in from_follow().
	 */
	return __atomic_load_n(&side->owner[slot], __ATOMIC_ACQUIRE);
}

/** The pairs in use have changed: which slots are this queue's, and which are not its lcore's. */
static void
from_follow(struct patch_queue *q, uint64_t active)
{
	struct patch_side *side = q->side;
	uint16_t slot, i;

	q->n_from = 0;
	for (slot = 0; slot < side->n_queues; slot++) {
		struct patch_queue *to = patch_pick(side, slot, active);

		for (i = 0; to == q && i < q->peer->n_queues; i++)
			q->from[q->n_from++] = (struct patch_source){.index = i, .slot = slot};
		if (to->poller != q->poller && slot_owner(side, slot) == q->poller) {
			/* Release: the next owner goes on where this lcore has ended. */
			__atomic_store_n(&side->owner[slot], to->poller, __ATOMIC_RELEASE);
			/* It may have looked before, at what is newer than this lcore knows. */
			__atomic_add_fetch(&side->active, PATCH_ACTIVE_CHANGE, __ATOMIC_ACQ_REL);
			weir_wake_signal(&to->wake);
		}
	}
	q->from_seen = active;
}

/** Whether a lane may hold something for this queue to take out. */
static inline bool
lane_is_mine(const struct patch_queue *q, const struct patch_queue *from, uint16_t slot)
{
	/* The same lcore fills it: then its count of held packets is ours to read. */
	if (likely(from->poller == q->poller) && from->lane_held[slot] == 0)
		return false;
	return slot_owner(q->side, slot) == q->poller;
}

static bool
rx_is_pending(const struct patch_queue *q)
{
	uint64_t active;
	uint16_t i;

	if (q->peer == NULL || q->paused)
		return false;
	active = side_active(q->side);
	if (active != q->from_seen)
		return true;
	if (patch_n_active(active) > 0 && weir_rx_ids_n_empty(&q->rx) == 0)
		return false; /* the guest's next buffer is what is waited for */
	for (i = 0; i < q->n_from; i++) {
		const struct patch_queue *from = q->peer->queues[q->from[i].index];
		uint16_t slot = q->from[i].slot;

		if (lane_is_mine(q, from, slot) && !patch_ring_is_empty(from->lanes[slot].segments))
			return true;
	}
	return false;
}

static bool
tx_is_done(const struct patch_queue *q)
{
	uint16_t slot;

	for (slot = 0; q->n_held > 0 && slot < q->n_lanes; slot++)
		if (q->lane_held[slot] > 0 && !patch_ring_is_empty(q->lanes[slot].done))
			return true;
	return q->n_written > 0;
}

static bool
queue_has_work(const struct patch_queue *q)
{
	return weir_rx_ids_n_filled(&q->rx) > 0 || tx_is_done(q) || rx_is_pending(q);
}

static void
queue_disarm(struct patch_queue *q)
{
	weir_wake_disarm(&q->wake);
	q->armed = false;
}

static bool
patch_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct patch_queue *q = patch_queue(queue);

	if (q->armed)
		queue_disarm(q);
	if (queue_has_work(q))
		return true;
	if (!arm)
		return false;
	weir_wake_arm(&q->wake);
	q->armed = true;
	if (!queue_has_work(q))
		return false;
	queue_disarm(q);
	return true;
}

static void
patch_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
	       uint16_t n)
{
	weir_rx_ids_post(&patch_queue(queue)->rx, ids, n);
}

static void
rx_from_lanes(struct patch_queue *q, uint16_t n)
{
	uint64_t active = side_active(q->side);
	uint16_t i, got = 0;

	if (unlikely(active != q->from_seen))
		from_follow(q, active);
	for (i = 0; i < q->n_from && got < n; i++) {
		const struct patch_source *source;
		struct patch_queue *from;
		uint16_t moved;

		/* Each lane in turn is the first, so that none starves. */
		if (++q->next_from >= q->n_from)
			q->next_from = 0;
		source = &q->from[q->next_from];
		from = q->peer->queues[source->index];
		if (!lane_is_mine(q, from, source->slot))
			continue;
		if (likely(patch_n_active(active) > 0))
			moved = patch_lane_pull(q, from, source->slot, n - got);
		else
			moved = patch_lane_discard(&from->lanes[source->slot], q->scratch, n - got);
		if (moved > 0)
			weir_wake_signal(&from->wake);
		got += moved;
	}
}

static int
patch_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct patch_queue *q = patch_queue(queue);

	q->live = true;
	if (unlikely(q->armed))
		queue_disarm(q);
	if (q->peer != NULL && !q->paused)
		rx_from_lanes(q, n);
	return weir_rx_ids_take(&q->rx, ids, n);
}

static uint16_t
packets_drop(struct patch_queue *q, uint16_t n_packets)
{
	weir_count(&q->base.stats.tx_dropped, n_packets);
	return n_packets;
}

/** Both queues are of this lcore: from one guest's memory into the other's. */
static uint16_t
packets_write(struct patch_queue *q, uint16_t slot, const struct weir_tx_segment *segments,
	      uint16_t n_packets)
{
	struct patch_queue *to = q->to[slot];
	uint16_t i, n = RTE_MIN(n_packets, weir_rx_ids_n_empty(&to->rx));
	uint64_t bytes = 0;

	/* The lane's packets come first; and buffers are posted by another thread at first. */
	if (unlikely(q->lane_held[slot] > 0 || !to->live || n == 0))
		return 0;
	n = to->access->ops->write_packet_segments(to->access, weir_rx_ids_empty(&to->rx),
						   q->access, segments, n);
	weir_rx_ids_fill(&to->rx, n);
	for (i = 0; i < n; i++, segments = weir_tx_next(segments))
		bytes += segments->frame_len;
	weir_count(&q->base.stats.tx_packets, n);
	weir_count(&q->base.stats.tx_bytes, bytes);
	weir_count(&to->base.stats.rx_packets, n);
	weir_count(&to->base.stats.rx_bytes, bytes);
	return n;
}

/** Packets of one slot; a prefix. */
static uint16_t
slot_send(struct patch_queue *q, uint16_t slot, const struct weir_tx_segment *segments,
	  uint16_t n_packets, bool *done)
{
	struct patch_queue *to = q->to[slot];
	uint16_t n;

	*done = true;
	if (to->poller == q->poller)
		return packets_write(q, slot, segments, n_packets);
	if (unlikely(segments->n_segments > PATCH_LANE_SEGMENTS))
		return packets_drop(q, 1);
	*done = false;
	n = patch_lane_push(q, slot, segments, n_packets);
	if (n > 0)
		weir_wake_signal(&to->wake);
	return n;
}

/** Which slot gets the flow of a packet. */
static uint16_t
flow_slot(const struct patch_queue *q, const struct weir_tx_segment *packet)
{
	uint8_t headers[WEIR_FLOW_HEADERS];
	const uint8_t *frame = packet->addr;
	uint32_t len = packet->len, part;
	uint16_t i;

	if (unlikely(len < sizeof(headers) && packet->n_segments > 1)) {
		for (i = 0, len = 0; i < packet->n_segments && len < sizeof(headers); i++) {
			part = RTE_MIN(packet[i].len, sizeof(headers) - len);
			memcpy(headers + len, packet[i].addr, part);
			len += part;
		}
		frame = headers;
	}
	return weir_flow_pick(weir_flow_hash(frame, len), q->n_to);
}

/** Packets spread over slots: a prefix, in runs of one slot. */
static uint16_t
flows_send(struct patch_queue *q, const struct weir_tx_segment *segments, uint16_t n_packets,
	   bool *done)
{
	uint16_t slot = flow_slot(q, segments), next = slot, before = q->n_written;
	uint16_t run, i, n, taken = 0;
	bool done_now;

	*done = true;
	n_packets = RTE_MIN(n_packets, PATCH_HELD_MAX - q->n_written);
	for (; taken < n_packets; slot = next) {
		const struct weir_tx_segment *end = segments;

		run = 0;
		do {
			end = weir_tx_next(end);
			run++;
			if (taken + run < n_packets)
				next = flow_slot(q, end);
		} while (taken + run < n_packets && next == slot);
		n = slot_send(q, slot, segments, run, &done_now);
		*done &= done_now || n == 0;
		for (i = 0; i < n; i++, segments = weir_tx_next(segments))
			if (done_now)
				q->written[q->n_written++] = segments->id;
		taken += n;
		if (n < run)
			break;
	}
	/* All at once: no need to tell of each. */
	if (*done)
		q->n_written = before;
	return taken;
}

/** Follow the pairs in use of both sides; false when that must wait. */
static bool
to_follow(struct patch_queue *q, uint64_t ours, uint64_t theirs)
{
	uint16_t slot;

	/* Packets of a flow may wait where those that follow do not go any more. */
	if (q->n_held > 0)
		return false;
	q->n_to = patch_n_active(theirs);
	q->by_flow = q->n_to > 1 && q->n_to != patch_n_active(ours);
	q->slot = q->n_to > 0 ? q->index % q->n_to : 0;
	for (slot = 0; slot < q->n_to; slot++)
		q->to[slot] = patch_pick(q->peer, slot, theirs);
	q->ours_seen = ours;
	q->to_seen = theirs;
	return true;
}

static uint16_t
patch_tx_avail(struct weir_queue *queue, struct weir_access *access,
	       const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct patch_queue *q = patch_queue(queue);
	uint64_t ours, theirs;
	uint16_t n;

	*done = true;
	if (unlikely(q->paused || n_packets == 0))
		return 0;
	if (unlikely(q->peer == NULL))
		return packets_drop(q, n_packets);
	ours = side_active(q->side);
	theirs = side_active(q->peer);
	if (unlikely((theirs != q->to_seen || ours != q->ours_seen) && !to_follow(q, ours, theirs)))
		n = 0;
	else if (unlikely(q->n_to == 0))
		return packets_drop(q, n_packets);
	else if (unlikely(q->by_flow))
		n = flows_send(q, segments, n_packets, done);
	else
		n = slot_send(q, q->slot, segments, n_packets, done);
	weir_count(&queue->stats.tx_busy, n < n_packets);
	return n;
}

static int
patch_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct patch_queue *q = patch_queue(queue);
	uint16_t got = RTE_MIN(n, q->n_written);

	if (unlikely(got > 0)) {
		q->n_written -= got;
		memcpy(ids, &q->written[q->n_written], got * sizeof(*ids));
	}
	return q->n_held > 0 ? got + patch_lane_collect(q, ids + got, n - got) : got;
}

static void
patch_set_active(struct weir_queue *queue, bool active)
{
	struct patch_queue *q = patch_queue(queue);
	struct patch_side *side = q->side;
	uint64_t before = side_active(side), after, bit = 1ULL << q->index;
	uint16_t i;

	do {
		after = active ? before | bit : before & ~bit;
		after += PATCH_ACTIVE_CHANGE;
	} while (!__atomic_compare_exchange_n(&side->active, &before, after, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	/* A lane may have to go to another lcore: its owner must look. */
	for (i = 0; i < side->n_queues; i++)
		weir_wake_signal(&side->queues[i]->wake);
}

static void
patch_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
	const struct patch_queue *q = patch_queue(queue);
	bool active = side_active(q->side) & (1ULL << q->index);

	rte_tel_data_add_dict_u64(dict, "held", __atomic_load_n(&q->n_held, __ATOMIC_RELAXED));
	rte_tel_data_add_dict_string(dict, "active", active ? "yes" : "no");
}

const struct weir_queue_ops patch_queue_ops = {
	.poll_ready = patch_poll_ready,
	.rx_avail = patch_rx_avail,
	.rx_poll = patch_rx_poll,
	.tx_avail = patch_tx_avail,
	.tx_poll = patch_tx_poll,
	.update_target = patch_update_target,
	.set_active = patch_set_active,
	.inspect = patch_queue_inspect,
};
