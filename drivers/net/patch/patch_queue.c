/* SPDX-License-Identifier: BSD-3-Clause */
/* The data path of patch. See patch.h for how it works. */
#include "patch.h"

static uint64_t
side_active(const struct patch_side *side)
{
	return __atomic_load_n(&side->active, __ATOMIC_ACQUIRE);
}

static inline bool
side_has_active(uint64_t active)
{
	return (active & PATCH_ACTIVE_QUEUES) != 0;
}

static inline struct weir_target *
lane_owner(const struct patch_side *side, uint16_t index)
{
	/* Acquire: what the owner before did with the lane. Partner: the release in from_follow().
	 */
	return __atomic_load_n(&side->owner[index], __ATOMIC_ACQUIRE);
}

/** The pairs in use have changed: whose lanes are for this queue, and whose lcore's not. */
static void
from_follow(struct patch_queue *q, uint64_t active)
{
	struct patch_side *side = q->side;
	uint16_t i;

	q->n_from = 0;
	for (i = 0; i < q->peer->n_queues; i++) {
		struct patch_queue *to = patch_pick(side, i, active);

		if (to == q)
			q->from[q->n_from++] = i;
		if (to->poller != q->poller && lane_owner(side, i) == q->poller) {
			/* Release: the next owner goes on where this lcore has ended. */
			__atomic_store_n(&side->owner[i], to->poller, __ATOMIC_RELEASE);
			/* It may have looked before, at what is newer than this lcore knows. */
			__atomic_add_fetch(&side->active, PATCH_ACTIVE_CHANGE, __ATOMIC_ACQ_REL);
			weir_wake_signal(&to->wake);
		}
	}
	q->from_seen = active;
}

/** Whether the lane of @p from may hold something for this queue to take out. */
static inline bool
lane_is_mine(const struct patch_queue *q, const struct patch_queue *from)
{
	/* The same lcore fills it: then its count of held packets is ours to read. */
	if (likely(from->poller == q->poller) && from->n_held == 0)
		return false;
	return lane_owner(q->side, from->index) == q->poller;
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
	if (side_has_active(active) && weir_rx_ids_n_empty(&q->rx) == 0)
		return false; /* the guest's next buffer is what is waited for */
	for (i = 0; i < q->n_from; i++) {
		const struct patch_queue *from = q->peer->queues[q->from[i]];

		if (lane_is_mine(q, from) && !patch_ring_is_empty(from->lane.segments))
			return true;
	}
	return false;
}

static bool
queue_has_work(const struct patch_queue *q)
{
	return weir_rx_ids_n_filled(&q->rx) > 0 ||
	       (q->n_held > 0 && !patch_ring_is_empty(q->lane.done)) || rx_is_pending(q);
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
		struct patch_queue *from;
		uint16_t moved;

		/* Each lane in turn is the first, so that none starves. */
		if (++q->next_from >= q->n_from)
			q->next_from = 0;
		from = q->peer->queues[q->from[q->next_from]];
		if (!lane_is_mine(q, from))
			continue;
		if (likely(side_has_active(active)))
			moved = patch_lane_pull(q, from, n - got);
		else
			moved = patch_lane_discard(from, q->scratch, n - got);
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
packets_write(struct patch_queue *q, struct patch_queue *to, const struct weir_tx_segment *segments,
	      uint16_t n_packets)
{
	uint16_t i, n = RTE_MIN(n_packets, weir_rx_ids_n_empty(&to->rx));
	uint64_t bytes = 0;

	/* The lane's packets come first; and buffers are posted by another thread at first. */
	if (unlikely(q->n_held > 0 || !to->live || n == 0))
		return 0;
	n = to->access->ops->write_packet_segments(to->access, weir_rx_ids_empty(&to->rx),
						   q->access, segments, n);
	weir_rx_ids_fill(&to->rx, n);
	for (i = 0; i < n; i++, segments += segments->n_segments)
		bytes += segments->frame_len;
	weir_count(&q->base.stats.tx_packets, n);
	weir_count(&q->base.stats.tx_bytes, bytes);
	weir_count(&to->base.stats.rx_packets, n);
	weir_count(&to->base.stats.rx_bytes, bytes);
	return n;
}

static uint16_t
patch_tx_avail(struct weir_queue *queue, struct weir_access *access,
	       const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct patch_queue *q = patch_queue(queue), *to;
	uint64_t active;
	uint16_t n;

	*done = true;
	if (unlikely(q->paused || n_packets == 0))
		return 0;
	if (unlikely(q->peer == NULL))
		return packets_drop(q, n_packets);
	active = side_active(q->peer);
	if (unlikely(active != q->to_seen)) {
		q->to = patch_pick(q->peer, q->index, active);
		q->to_seen = active;
	}
	if (unlikely(!side_has_active(active)))
		return packets_drop(q, n_packets);
	to = q->to;
	if (to->poller == q->poller) {
		n = packets_write(q, to, segments, n_packets);
	} else if (unlikely(segments->n_segments > PATCH_LANE_SEGMENTS)) {
		n = packets_drop(q, 1);
	} else {
		*done = false;
		n = patch_lane_push(q, segments, n_packets);
		if (n > 0)
			weir_wake_signal(&to->wake);
	}
	weir_count(&queue->stats.tx_busy, n < n_packets);
	return n;
}

static int
patch_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct patch_queue *q = patch_queue(queue);

	return q->n_held > 0 ? patch_lane_collect(q, ids, n) : 0;
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
