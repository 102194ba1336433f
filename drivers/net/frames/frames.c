/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frames: the far end is a network stack in another process of the same EAL, or in
 * a thread of this one, which attaches by the endpoint's name (weir_frame_host.h).
 * Every frame is copied once on either way, between the guest's memory and a frame
 * of the endpoint's own: what a far end holds, or dies with, was never the guest's.
 *
 * Nobody attached is a link without carrier: what the guest sends is dropped, and
 * counted. A far end that is attached and slow holds the guest back instead.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_frame_lease.h"
#include "weir_offload.h"
#include "weir_rx_ids.h"

#define CAPACITY_DEFAULT 256
#define CAPACITY_MAX 16384
#define MTU_DEFAULT 1500
/** A header and two tags before the MTU. */
#define L2_BYTES (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
#define MTU_MAX 9216
#define BURST 32
/** Frames that one packet is cut into, and segments that it has, at most. */
#define CUT_MAX 512

struct frames {
	struct weir_frame_lease *lease;
	uint64_t mtu;
	uint64_t capacity;

	/* Which lcore, if any, is inside the lease's data path; the lock keeps it so. */
	pthread_mutex_t lock;
	struct weir_target *target;
};

struct frames_queue {
	struct weir_queue base;
	struct weir_frame_lease *lease;
	struct weir_rx_ids rx;
	bool holds_back; /* the guest has sent more than was taken */

	struct weir_offload_cut cut;
	struct weir_tx_segment segments[CUT_MAX];
	struct rte_mbuf *frames[CUT_MAX];
};

static struct frames *
frames_of(const struct weir_endpoint *endpoint)
{
	return weir_endpoint_state(endpoint);
}

static inline struct frames_queue *
frames_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct frames_queue, base);
}

static bool
frames_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct frames_queue *q = frames_queue(queue);

	if (weir_rx_ids_n_filled(&q->rx) > 0)
		return true;
	return weir_frame_lease_is_ready(q->lease, weir_rx_ids_n_empty(&q->rx) > 0, q->holds_back,
					 arm);
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

static int
frames_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct frames_queue *q = frames_queue(queue);
	uint16_t i, n_frames, filled = 0, dropped = 0;
	struct rte_mbuf **frames;
	struct weir_rx_meta meta;
	uint64_t bytes = 0;

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
	return head->frame_len <= frames->mtu + L2_BYTES &&
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
	if (head->n_segments >= CUT_MAX ||
	    weir_offload_cut_begin(cut, head, WEIR_OFFLOAD_CAP_CSUM) != 0 ||
	    cut->n_frames > RTE_MIN(frames->capacity, (uint64_t)CUT_MAX))
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
	for (i = 0; i < n_packets && sent < n; i++, head += head->n_segments) {
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
target_set(struct frames *frames, struct weir_target *target)
{
	pthread_mutex_lock(&frames->lock);
	frames->target = target;
	pthread_mutex_unlock(&frames->lock);
}

static void
frames_update_target(struct weir_queue *queue)
{
	target_set(frames_of(queue->endpoint), queue->target);
}

static void
frames_set_active(struct weir_queue *queue, bool active)
{
	/* One pair, which a guest that is there has in use. */
}

static void
frames_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
}

static const struct weir_queue_ops frames_queue_ops = {
	.poll_ready = frames_poll_ready,
	.rx_avail = frames_rx_avail,
	.rx_poll = frames_rx_poll,
	.tx_avail = frames_tx_avail,
	.tx_poll = frames_tx_poll,
	.update_target = frames_update_target,
	.set_active = frames_set_active,
	.inspect = frames_queue_inspect,
};

/** For the lease: while no lcore is in its data path. */
static void
frames_run(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
	struct frames *frames = arg;

	pthread_mutex_lock(&frames->lock);
	if (frames->target != NULL)
		frames->target->run(frames->target, fn, fn_arg);
	else
		fn(fn_arg);
	pthread_mutex_unlock(&frames->lock);
}

static int
frames_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	struct frames *frames = frames_of(endpoint);
	int rc;

	frames->mtu = MTU_DEFAULT;
	frames->capacity = CAPACITY_DEFAULT;
	rc = weir_keys_number(keys, "capacity", 1, CAPACITY_MAX, &frames->capacity);
	if (rc == 0)
		rc = weir_keys_number(keys, "mtu", RTE_ETHER_MIN_MTU, MTU_MAX, &frames->mtu);
	if (rc != 0)
		return rc;
	pthread_mutex_init(&frames->lock, NULL);
	frames->lease = weir_frame_lease_create(&(struct weir_frame_lease_conf){
		.name = weir_endpoint_name(endpoint),
		.capacity = frames->capacity,
		.frame_bytes = frames->mtu + L2_BYTES,
		.numa_node = SOCKET_ID_ANY,
		.run = frames_run,
		.arg = frames,
	});
	return frames->lease != NULL ? 0 : -rte_errno;
}

static void
frames_close(struct weir_endpoint *endpoint)
{
	weir_frame_lease_free(frames_of(endpoint)->lease);
	pthread_mutex_destroy(&frames_of(endpoint)->lock);
}

static int
frames_accept(const struct weir_endpoint *endpoint, const struct weir_endpoint_client *client)
{
	const struct frames *frames = frames_of(endpoint);

	if (client->mtu <= frames->mtu)
		return 0;
	return weir_error(EINVAL,
			  "endpoint '%s': its frames have an mtu of %u, guest '%s' of %u: give the "
			  "endpoint mtu=%u",
			  weir_endpoint_name(endpoint), (unsigned int)frames->mtu, client->name,
			  client->mtu, client->mtu);
}

static int
frames_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		  struct weir_queue **queues)
{
	struct frames *frames = frames_of(endpoint);
	struct frames_queue *q;
	int rc;

	rc = frames_accept(endpoint, client);
	if (rc == 0)
		rc = weir_queues_alloc(endpoint, &frames_queue_ops, sizeof(struct frames_queue),
				       queues, client->n_queues);
	if (rc != 0)
		return rc;
	q = frames_queue(queues[0]);
	if (weir_rx_ids_init(&q->rx) != 0) {
		weir_queues_free(queues, client->n_queues);
		return weir_error(ENOMEM, "endpoint '%s': no memory for its queues",
				  weir_endpoint_name(endpoint));
	}
	q->lease = frames->lease;
	q->base.wake_fd = weir_wake_fd(&weir_frame_lease_queues(frames->lease)->host_wake);
	/* What was for the guest before is not for this one. */
	frames_run(frames, weir_frame_lease_discard, frames->lease);
	weir_frame_lease_set_mtu(frames->lease, client->mtu);
	target_set(frames, client->target[0]);
	return 0;
}

static void
frames_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	    struct weir_queue **queues)
{
	target_set(frames_of(endpoint), NULL);
	weir_frame_lease_set_mtu(frames_of(endpoint)->lease, 0);
	weir_rx_ids_fini(&frames_queue(queues[0])->rx);
	weir_queues_free(queues, client->n_queues);
}

static uint32_t
frames_tx_offloads(const struct weir_endpoint *endpoint)
{
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
frames_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
frames_link_up(const struct weir_endpoint *endpoint)
{
	return weir_frame_lease_is_attached(frames_of(endpoint)->lease);
}

static void
frames_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
	const struct frames *frames = frames_of(endpoint);
	struct weir_frame_lease_stats stats;

	weir_frame_lease_stats(frames->lease, &stats);
	rte_tel_data_add_dict_string(dict, "attached",
				     weir_frame_lease_is_attached(frames->lease) ? "yes" : "no");
	rte_tel_data_add_dict_u64(dict, "attaches", stats.n_attaches);
	rte_tel_data_add_dict_u64(dict, "frames", stats.n_frames);
	rte_tel_data_add_dict_u64(dict, "frames_home", stats.n_home);
	rte_tel_data_add_dict_u64(dict, "frames_reclaimed", stats.n_reclaimed);
	rte_tel_data_add_dict_u64(dict, "mtu", frames->mtu);
}

static const char *const frames_keys[] = {"capacity", "mtu", NULL};

static const struct weir_endpoint_ops frames_ops = {
	.type = "frames",
	.usage = "capacity=N  frames that wait each way, at most (256)\n"
		 "mtu=N       largest of a guest that it serves (1500)\n",
	.keys = frames_keys,
	.state_size = sizeof(struct frames),
	.max_clients = 1,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = false,
	.open = frames_open,
	.close = frames_close,
	.accept = frames_accept,
	.get_queues = frames_get_queues,
	.stop = frames_stop,
	.tx_offloads = frames_tx_offloads,
	.link_speed = frames_link_speed,
	.link_up = frames_link_up,
	.inspect = frames_inspect,
};

WEIR_ENDPOINT_REGISTER(frames_ops);
