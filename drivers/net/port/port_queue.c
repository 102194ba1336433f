/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path of a port: one copy each way, between the guest's memory and mbufs of
 * the port's own. What the device does not do of checksums and segmentation is done as
 * the packet is copied.
 */
#include <errno.h>
#include <string.h>

#include "port.h"
#include "weir_sanitize.h"

/* rx: to the guest. */

/** Which pair gets the frames of rx queue @p i: its own, or one of those in use in turn. */
static inline uint16_t
rx_owner(uint16_t i, uint32_t active)
{
	unsigned int skip;

	if (active & RTE_BIT32(i))
		return i;
	for (skip = i % __builtin_popcount(active); skip > 0; skip--)
		active &= active - 1;
	return __builtin_ctz(active);
}

/** Whether somebody else is at it: do not wait. Acquire; partner: rx_leave(). */
static inline bool
rx_enter(const struct port *port, struct port_rx *rx)
{
	return port->n_queues == 1 ||
	       !atomic_exchange_explicit(&rx->busy, true, memory_order_acquire);
}

static inline void
rx_leave(struct port_rx *rx)
{
	atomic_store_explicit(&rx->busy, false, memory_order_release);
}

/** Have frames at hand; how many. */
static inline uint16_t
rx_fetch(struct port *port, uint16_t i)
{
	struct port_rx *rx = &port->rx[i];

	if (rx->next == rx->n) {
		rx->next = 0;
		rx->n = rte_eth_rx_burst(port->device.id, i, rx->frames, PORT_BURST);
		weir_sanitize_receive((void **)rx->frames, rx->n);
	}
	return rx->n - rx->next;
}

/** Describe frames, at most @p n; how many fit the segments, or 0 and the first never does. */
static uint16_t
rx_describe(struct port_queue *q, struct rte_mbuf **frames, uint16_t n, uint64_t *bytes)
{
	struct weir_tx_segment *segment = q->segments, *end = segment + PORT_SEGMENTS_MAX;
	const struct rte_mbuf *part;
	uint16_t i;

	for (i = 0; i < n && frames[i]->nb_segs <= end - segment; i++) {
		*segment = (struct weir_tx_segment){
			.frame_len = frames[i]->pkt_len,
			.n_segments = frames[i]->nb_segs,
		};
		*bytes += frames[i]->pkt_len;
		for (part = frames[i]; part != NULL; part = part->next, segment++) {
			if (part != frames[i])
				*segment = (struct weir_tx_segment){.n_segments = 0};
			segment->addr = rte_pktmbuf_mtod(part, const void *);
			segment->len = part->data_len;
		}
	}
	return i;
}

/** Deliver up to @p n frames of one rx queue; how many. */
static uint16_t
rx_serve(struct port_queue *q, struct weir_access *access, uint16_t i, uint16_t n)
{
	struct port_rx *rx = &q->port->rx[i];
	uint16_t wanted, described, written = 0;
	struct rte_mbuf **frames;
	uint64_t bytes = 0;

	if (!rx_enter(q->port, rx))
		return 0;
	wanted = RTE_MIN(n, rx_fetch(q->port, i));
	frames = &rx->frames[rx->next];
	described = rx_describe(q, frames, wanted, &bytes);
	if (likely(described > 0))
		written = access->ops->write_packet_segments(access, weir_rx_ids_empty(&q->rx),
							     NULL, q->segments, described);
	if (unlikely(written < described))
		for (bytes = 0, wanted = 0; wanted < written; wanted++)
			bytes += frames[wanted]->pkt_len;
	if (unlikely(described < wanted && described == 0)) {
		/* More pieces than we hold: no device of ours has such frames. */
		rte_pktmbuf_free(frames[0]);
		rx->next++;
		weir_count(&q->base.stats.rx_dropped, 1);
	}
	if (written > 0) {
		rte_pktmbuf_free_bulk(frames, written);
		rx->next += written;
		weir_rx_ids_fill(&q->rx, written);
		weir_count(&q->base.stats.rx_packets, written);
		weir_count(&q->base.stats.rx_bytes, bytes);
	}
	rx_leave(rx);
	return written;
}

static inline uint32_t
rx_active(const struct port *port)
{
	return atomic_load_explicit(&port->active, memory_order_relaxed);
}

static bool
port_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct port_queue *q = port_queue(queue);
	struct port *port = q->port;
	uint32_t active = rx_active(port);
	uint16_t i, had = 0;

	/* Arming is the poller's: see weir_queue.polled. */
	if (weir_rx_ids_n_filled(&q->rx) > 0)
		return true;
	if (!(active & RTE_BIT32(q->index)) || weir_rx_ids_n_empty(&q->rx) == 0)
		return false;
	for (i = 0; i < port->n_rx && had == 0; i++) {
		struct port_rx *rx = &port->rx[i];

		if (rx_owner(i, active) != q->index || !rx_enter(port, rx))
			continue;
		had = rx_fetch(port, i);
		rx_leave(rx);
	}
	return had > 0;
}

static void
port_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids, uint16_t n)
{
	weir_rx_ids_post(&port_queue(queue)->rx, ids, n);
}

/* tx: to the device. */

/** Let the device have what waits. */
static void
tx_flush(struct port_queue *q)
{
	const struct port_device *device = &q->port->device;
	uint16_t n = q->n_pending, sent;

	if (n == 0)
		return;
	if (device->capabilities != 0) {
		/* A frame that the driver finds fault with is alone at the end of its burst. */
		n = rte_eth_tx_prepare(device->id, q->index, q->pending, q->n_pending);
		if (unlikely(n == 0)) {
			rte_pktmbuf_free(q->pending[0]);
			weir_count(&q->base.stats.tx_dropped, 1);
			memmove(q->pending, q->pending + 1, --q->n_pending * sizeof(*q->pending));
			return;
		}
	}
	weir_sanitize_send((void **)q->pending, n);
	sent = rte_eth_tx_burst(device->id, q->index, q->pending, n);
	q->n_pending -= sent;
	if (q->n_pending > 0)
		memmove(q->pending, q->pending + sent, q->n_pending * sizeof(*q->pending));
}

static int
tx_add(struct port_queue *q, const struct weir_tx_segment *packet)
{
	struct rte_mbuf *frame =
		weir_offload_copy(weir_frame_pool_mempool(q->port->device.tx_frames), packet);

	if (unlikely(frame == NULL))
		return -ENOBUFS;
	if (unlikely((packet->offload.flags | packet->offload.gso_type) != 0)) {
		if (weir_offload_to_mbuf(&packet->offload, frame) != 0) {
			rte_pktmbuf_free(frame);
			return -EINVAL;
		}
		/* A device that cuts writes the IPv4 header anew (RTE_MBUF_F_TX_TCP_SEG). */
		if ((frame->ol_flags & RTE_MBUF_F_TX_TCP_SEG) &&
		    (frame->ol_flags & RTE_MBUF_F_TX_IPV4))
			frame->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	}
	q->pending[q->n_pending++] = frame;
	return 0;
}

/** All frames of a packet, or none. */
static int
tx_add_cut(struct port_queue *q, const struct weir_tx_segment *packet)
{
	uint16_t before = q->n_pending;
	int rc;

	if (packet->n_segments >= PORT_SEGMENTS_MAX)
		return -EMSGSIZE;
	rc = weir_offload_cut_begin(&q->cut, packet, q->port->device.capabilities);
	if (rc == 0 && q->cut.n_frames > PORT_PENDING_MAX)
		rc = -EMSGSIZE;
	if (rc != 0)
		return rc;
	if (q->cut.n_frames > PORT_PENDING_MAX - (uint32_t)before)
		return -ENOBUFS;
	while (rc == 0 && weir_offload_cut_next(&q->cut, q->segments) > 0) {
		if (q->segments[0].frame_len > q->port->frame_len_max)
			rc = -EMSGSIZE;
		else
			rc = tx_add(q, q->segments);
	}
	if (rc != 0)
		while (q->n_pending > before)
			rte_pktmbuf_free(q->pending[--q->n_pending]);
	return rc;
}

/** 0, -ENOBUFS: there is no room now; else it can never be sent. */
static int
tx_add_packet(struct port_queue *q, const struct weir_tx_segment *packet)
{
	const struct weir_offload *offload = &packet->offload;

	if (q->n_pending == PORT_PENDING_MAX)
		return -ENOBUFS;
	/* A tag beside the frame: no guest sends one. */
	if (unlikely(offload->flags & WEIR_OFFLOAD_VLAN))
		return -EINVAL;
	if (unlikely((offload->flags & WEIR_OFFLOAD_NEEDS_CSUM) || offload->gso_type != 0) &&
	    !weir_offload_fits(offload, q->port->device.capabilities))
		return tx_add_cut(q, packet);
	if (unlikely(packet->frame_len > q->port->frame_len_max &&
		     offload->gso_type == WEIR_GSO_NONE))
		return -EMSGSIZE;
	return tx_add(q, packet);
}

static uint16_t
port_tx_avail(struct weir_queue *queue, struct weir_access *access,
	      const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct port_queue *q = port_queue(queue);
	uint16_t taken, dropped = 0;
	uint64_t bytes = 0;
	int rc;

	*done = true;
	if (q->n_pending > 0)
		tx_flush(q);
	for (taken = 0; taken < n_packets; taken++, segments = weir_tx_next(segments)) {
		rc = tx_add_packet(q, segments);
		if (rc == -ENOBUFS) {
			break;
		} else if (unlikely(rc != 0)) {
			dropped++;
			continue;
		}
		bytes += segments->frame_len;
	}
	tx_flush(q);
	weir_count(&queue->stats.tx_packets, taken - dropped);
	weir_count(&queue->stats.tx_bytes, bytes);
	weir_count(&queue->stats.tx_dropped, dropped);
	weir_count(&queue->stats.tx_busy, taken < n_packets);
	return taken;
}

static int
port_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct port_queue *q = port_queue(queue);
	struct port *port = q->port;
	uint32_t active = rx_active(port);
	uint16_t i, most;

	/* The guest may not send again for a while. */
	if (unlikely(q->n_pending > 0))
		tx_flush(q);
	for (i = 0; (active & RTE_BIT32(q->index)) && i < port->n_rx; i++) {
		if (rx_owner(i, active) != q->index)
			continue;
		most = RTE_MIN(n, weir_rx_ids_n_filled(&q->rx) + weir_rx_ids_n_empty(&q->rx));
		if (weir_rx_ids_n_filled(&q->rx) < most)
			rx_serve(q, access, i, most - weir_rx_ids_n_filled(&q->rx));
	}
	return weir_rx_ids_take(&q->rx, ids, n);
}

static int
port_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return 0;
}

static void
port_update_target(struct weir_queue *queue)
{
}

static void
port_set_active(struct weir_queue *queue, bool active)
{
	struct port_queue *q = port_queue(queue);

	if (active)
		atomic_fetch_or(&q->port->active, RTE_BIT32(q->index));
	else
		atomic_fetch_and(&q->port->active, ~RTE_BIT32(q->index));
}

static void
port_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
	const struct port_queue *q = port_queue(queue);

	rte_tel_data_add_dict_u64(dict, "device_queue", q->index);
	rte_tel_data_add_dict_u64(dict, "tx_pending_frames",
				  __atomic_load_n(&q->n_pending, __ATOMIC_RELAXED));
}

void
port_queue_drop(struct port_queue *q)
{
	/* As those that are in the device's own ring. */
	rte_pktmbuf_free_bulk(q->pending, q->n_pending);
	q->n_pending = 0;
}

void
port_rx_drop(struct port_rx *rx)
{
	if (rx->n > rx->next)
		rte_pktmbuf_free_bulk(rx->frames + rx->next, rx->n - rx->next);
	rx->n = rx->next = 0;
}

const struct weir_queue_ops port_queue_ops = {
	.poll_ready = port_poll_ready,
	.rx_avail = port_rx_avail,
	.rx_poll = port_rx_poll,
	.tx_avail = port_tx_avail,
	.tx_poll = port_tx_poll,
	.update_target = port_update_target,
	.set_active = port_set_active,
	.inspect = port_queue_inspect,
};
