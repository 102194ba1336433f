/* SPDX-License-Identifier: BSD-3-Clause */
/* The data path of frames. See frames.h. */
#include <string.h>

#include <rte_tcp.h>
#include <rte_udp.h>

#include "frames.h"

#define BURST 32

/** What becomes of frames from the far end; those of a guest that uses no pair now wait. */
enum rx_fate { RX_DELIVER, RX_WAIT, RX_DROP };

static inline enum rx_fate
rx_fate(const struct weir_queue *queue)
{
	uint32_t active =
		atomic_load_explicit(&frames_of(queue->endpoint)->active, memory_order_relaxed);

	if (likely(active & RTE_BIT32(queue->index)))
		return RX_DELIVER;
	return active == 0 ? RX_WAIT : RX_DROP;
}

static bool
frames_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct frames_queue *q = frames_queue(queue);
	enum rx_fate fate = rx_fate(queue);
	bool wants_frames =
		fate == RX_DROP || (fate == RX_DELIVER && weir_rx_ids_n_empty(&q->rx) > 0);

	if (weir_rx_ids_n_filled(&q->rx) > 0)
		return true;
	return weir_frame_lease_is_ready(q->lease, wants_frames, q->holds_back, arm);
}

static void
frames_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
		uint16_t n)
{
	weir_rx_ids_post(&frames_queue(queue)->rx, ids, n);
}

static bool
is_sound(const struct rte_mbuf *frame)
{
	return frame->nb_segs == 1 && frame->data_len == frame->pkt_len &&
	       frame->data_len >= RTE_ETHER_HDR_LEN &&
	       (uint32_t)frame->data_off + frame->data_len <= frame->buf_len;
}

/** What a frame of the far end still needs; all it can ask for is a checksum. */
static void
offload_of_mbuf(const struct rte_mbuf *frame, struct weir_offload *offload)
{
	uint64_t l4 = frame->ol_flags & RTE_MBUF_F_TX_L4_MASK;

	*offload = (struct weir_offload){.flags = 0};
	if (likely(l4 != RTE_MBUF_F_TX_TCP_CKSUM && l4 != RTE_MBUF_F_TX_UDP_CKSUM))
		return;
	offload->flags = WEIR_OFFLOAD_NEEDS_CSUM;
	offload->csum_start = frame->l2_len + frame->l3_len;
	offload->csum_offset = l4 == RTE_MBUF_F_TX_TCP_CKSUM
				       ? offsetof(struct rte_tcp_hdr, cksum)
				       : offsetof(struct rte_udp_hdr, dgram_cksum);
}

static void
rx_drop(struct frames_queue *q)
{
	struct rte_mbuf **frames;
	uint16_t n = weir_frame_lease_receive(q->lease, &frames);

	weir_frame_lease_consume(q->lease, n);
	weir_count(&q->base.stats.rx_dropped, n);
}

static int
frames_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct frames_queue *q = frames_queue(queue);
	uint16_t i, n_frames, filled = 0, dropped = 0;
	struct rte_mbuf **frames;
	struct weir_rx_meta meta;
	enum rx_fate fate = rx_fate(queue);
	uint64_t bytes = 0;

	if (unlikely(fate != RX_DELIVER)) {
		if (fate == RX_DROP)
			rx_drop(q);
		return weir_rx_ids_take(&q->rx, ids, n);
	}
	n_frames = weir_frame_lease_receive(q->lease, &frames);
	for (i = 0; i < n_frames && filled < n && weir_rx_ids_n_empty(&q->rx) > 0; i++) {
		if (unlikely(!is_sound(frames[i]))) {
			dropped++;
			continue;
		}
		meta.len = frames[i]->data_len;
		offload_of_mbuf(frames[i], &meta.offload);
		if (access->ops->write_packet(access, *weir_rx_ids_empty(&q->rx), &meta,
					      rte_pktmbuf_mtod(frames[i], void *)) != 0)
			break; /* no memory now: the frame stays ours */
		weir_rx_ids_fill(&q->rx, 1);
		bytes += meta.len;
		filled++;
	}
	if (i > 0)
		weir_frame_lease_consume(q->lease, i);
	weir_count(&queue->stats.rx_packets, filled);
	weir_count(&queue->stats.rx_bytes, bytes);
	weir_count(&queue->stats.rx_dropped, dropped);
	return weir_rx_ids_take(&q->rx, ids, n);
}

static void
frame_fill(struct rte_mbuf *frame, const struct weir_tx_segment *head)
{
	uint8_t *data;
	uint16_t i;

	rte_pktmbuf_reset(frame);
	data = rte_pktmbuf_mtod(frame, uint8_t *);
	for (i = 0; i < head->n_segments; i++) {
		memcpy(data, head[i].addr, head[i].len);
		data += head[i].len;
	}
	frame->data_len = head->frame_len;
	frame->pkt_len = head->frame_len;
	if (head->offload.flags & WEIR_OFFLOAD_NEEDS_CSUM)
		frame->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	else if (head->offload.flags & WEIR_OFFLOAD_DATA_VALID)
		frame->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

static bool
fits(const struct frames *frames, const struct weir_tx_segment *head)
{
	return head->frame_len <= frames->mtu + FRAMES_L2_BYTES &&
	       !(head->offload.flags & WEIR_OFFLOAD_VLAN);
}

/**
 * Cut a packet, and send the frames, all or none: the far end has each in one piece.
 *
 * @return 1 when it was taken, sent or not.
 */
static uint16_t
cut_send(struct frames_queue *q, const struct weir_tx_segment **packet, uint16_t *n_sent,
	 uint64_t *bytes)
{
	const struct frames *frames = frames_of(q->base.endpoint);
	const struct weir_tx_segment *head = *packet;
	struct weir_offload_cut *cut = &q->cut;
	uint16_t n, i = 0;

	*packet = head + head->n_segments;
	if (head->n_segments >= FRAMES_CUT_MAX ||
	    weir_offload_cut_begin(cut, head, WEIR_OFFLOAD_CAP_CSUM) != 0 ||
	    cut->n_frames > RTE_MIN(frames->capacity, (uint64_t)FRAMES_CUT_MAX))
		return 1;
	n = weir_frame_lease_take(q->lease, q->frames, cut->n_frames);
	if (n == cut->n_frames)
		for (; weir_offload_cut_next(cut, q->segments) > 0 && fits(frames, q->segments);
		     i++)
			frame_fill(q->frames[i], q->segments);
	if (i < n || n < cut->n_frames) {
		weir_frame_lease_untake(q->lease, q->frames, n);
		if (n == cut->n_frames)
			return 1; /* too long for the far end */
		*packet = head;
		return 0;
	}
	weir_frame_lease_send(q->lease, q->frames, n);
	*n_sent += 1;
	*bytes += head->frame_len;
	return 1;
}

/** Fill and send a burst. @return Packets taken, those that do not fit included. */
static uint16_t
burst_send(struct frames_queue *q, const struct weir_tx_segment **segments, uint16_t n_packets,
	   uint16_t *n_sent, uint64_t *bytes)
{
	const struct frames *frames = frames_of(q->base.endpoint);
	const struct weir_tx_segment *head = *segments;
	struct rte_mbuf *burst[BURST];
	uint16_t i, n, sent = 0;

	n = weir_frame_lease_take(q->lease, burst, RTE_MIN(n_packets, BURST));
	for (i = 0; i < n_packets && sent < n; i++, head = weir_tx_next(head)) {
		if (unlikely(head->offload.gso_type != WEIR_GSO_NONE))
			break;
		if (unlikely(!fits(frames, head)))
			continue;
		frame_fill(burst[sent++], head);
		*bytes += head->frame_len;
	}
	weir_frame_lease_send(q->lease, burst, sent);
	weir_frame_lease_untake(q->lease, &burst[sent], n - sent);
	*segments = head;
	*n_sent += sent;
	return i;
}

static uint16_t
frames_tx_avail(struct weir_queue *queue, struct weir_access *access,
		const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct frames_queue *q = frames_queue(queue);
	uint16_t n = 1, taken = 0, sent = 0;
	uint64_t bytes = 0;

	*done = true;
	if (unlikely(!weir_frame_lease_is_attached(q->lease))) {
		weir_count(&queue->stats.tx_dropped, n_packets);
		return n_packets;
	}
	for (; n > 0 && taken < n_packets; taken += n) {
		if (likely(segments->offload.gso_type == WEIR_GSO_NONE))
			n = burst_send(q, &segments, n_packets - taken, &sent, &bytes);
		else
			n = cut_send(q, &segments, &sent, &bytes);
	}
	q->holds_back = taken < n_packets;
	weir_count(&queue->stats.tx_packets, sent);
	weir_count(&queue->stats.tx_bytes, bytes);
	weir_count(&queue->stats.tx_dropped, taken - sent);
	weir_count(&queue->stats.tx_busy, q->holds_back);
	return taken;
}

static int
frames_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return 0;
}

static void
frames_update_target(struct weir_queue *queue)
{
	frames_pair_set_target(&frames_of(queue->endpoint)->pairs[queue->index], queue->target);
}

static void
frames_set_active(struct weir_queue *queue, bool active)
{
	struct frames *frames = frames_of(queue->endpoint);

	frames_pair_set_active(frames, queue->index, active);
	/* Its lcore may sleep for room only, over frames that are to be delivered now. */
	weir_wake_signal(&weir_frame_lease_queues(frames->pairs[queue->index].lease)->host_wake);
}

static void
frames_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
}

const struct weir_queue_ops frames_queue_ops = {
	.poll_ready = frames_poll_ready,
	.rx_avail = frames_rx_avail,
	.rx_poll = frames_rx_poll,
	.tx_avail = frames_tx_avail,
	.tx_poll = frames_tx_poll,
	.update_target = frames_update_target,
	.set_active = frames_set_active,
	.inspect = frames_queue_inspect,
};
