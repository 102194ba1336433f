/* SPDX-License-Identifier: BSD-3-Clause */
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
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
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
target_set(struct frames_pair *pair, struct weir_target *target)
{
	pthread_mutex_lock(&pair->lock);
	pair->target = target;
	pthread_mutex_unlock(&pair->lock);
}

static void
frames_update_target(struct weir_queue *queue)
{
	target_set(&frames_of(queue->endpoint)->pairs[queue->index], queue->target);
}

/** Also tell the far end, by whichever pairs it looks. */
static void
pair_set_active(struct frames *frames, uint16_t index, bool active)
{
	uint16_t i;

	if (active)
		atomic_fetch_or(&frames->active, RTE_BIT32(index));
	else
		atomic_fetch_and(&frames->active, ~RTE_BIT32(index));
	for (i = 0; i < frames->n_pairs; i++)
		weir_frame_lease_set_active(frames->pairs[i].lease, index, active);
}

static void
frames_set_active(struct weir_queue *queue, bool active)
{
	struct frames *frames = frames_of(queue->endpoint);

	pair_set_active(frames, queue->index, active);
	/* Its lcore may sleep for room only, over frames that are to be delivered now. */
	weir_wake_signal(&weir_frame_lease_queues(frames->pairs[queue->index].lease)->host_wake);
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
	struct frames_pair *pair = arg;

	pthread_mutex_lock(&pair->lock);
	if (pair->target != NULL)
		pair->target->run(pair->target, fn, fn_arg);
	else
		fn(fn_arg);
	pthread_mutex_unlock(&pair->lock);
}

/** Those that are open. */
static void
pairs_close(struct frames *frames)
{
	uint16_t i;

	for (i = 0; i < WEIR_QUEUES_MAX && frames->pairs[i].lease != NULL; i++)
		weir_frame_lease_shut_down(frames->pairs[i].lease);
	for (i = 0; i < WEIR_QUEUES_MAX && frames->pairs[i].lease != NULL; i++) {
		weir_frame_lease_free(frames->pairs[i].lease);
		frames->pairs[i].lease = NULL;
		pthread_mutex_destroy(&frames->pairs[i].lock);
	}
}

static int
pair_open(struct weir_endpoint *endpoint, uint16_t index)
{
	struct frames *frames = frames_of(endpoint);
	struct frames_pair *pair = &frames->pairs[index];

	pthread_mutex_init(&pair->lock, NULL);
	pair->lease = weir_frame_lease_create(&(struct weir_frame_lease_conf){
		.name = weir_endpoint_name(endpoint),
		.pair = index,
		.n_pairs = frames->n_pairs,
		.capacity = frames->capacity,
		.frame_bytes = frames->mtu + L2_BYTES,
		.numa_node = SOCKET_ID_ANY,
		.run = frames_run,
		.arg = pair,
	});
	return pair->lease != NULL ? 0 : -rte_errno;
}

static int
frames_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;
	int rc;

	frames->n_pairs = 1;
	frames->mtu = MTU_DEFAULT;
	frames->capacity = CAPACITY_DEFAULT;
	rc = weir_keys_number(keys, "queues", 1, WEIR_QUEUES_MAX, &frames->n_pairs);
	if (rc == 0)
		rc = weir_keys_number(keys, "capacity", 1, CAPACITY_MAX, &frames->capacity);
	if (rc == 0)
		rc = weir_keys_number(keys, "mtu", RTE_ETHER_MIN_MTU, MTU_MAX, &frames->mtu);
	for (i = 0; i < frames->n_pairs && rc == 0; i++)
		rc = pair_open(endpoint, i);
	if (rc != 0)
		pairs_close(frames);
	return rc;
}

static void
frames_close(struct weir_endpoint *endpoint)
{
	pairs_close(frames_of(endpoint));
}

static int
frames_accept(const struct weir_endpoint *endpoint, const struct weir_endpoint_client *client)
{
	const struct frames *frames = frames_of(endpoint);

	if (client->n_queues > frames->n_pairs)
		return weir_error(EINVAL,
				  "guest '%s': queues=%u: endpoint '%s' has %u: give the endpoint "
				  "queues=%u",
				  client->name, client->n_queues, weir_endpoint_name(endpoint),
				  (unsigned int)frames->n_pairs, client->n_queues);
	if (client->mtu <= frames->mtu)
		return 0;
	return weir_error(EINVAL,
			  "endpoint '%s': its frames have an mtu of %u, guest '%s' of %u: give the "
			  "endpoint mtu=%u",
			  weir_endpoint_name(endpoint), (unsigned int)frames->mtu, client->name,
			  client->mtu, client->mtu);
}

static void
queues_free(struct weir_queue **queues, uint16_t n_queues)
{
	uint16_t i;

	for (i = 0; i < n_queues; i++)
		weir_rx_ids_fini(&frames_queue(queues[i])->rx);
	weir_queues_free(queues, n_queues);
}

static int
queues_make(struct weir_endpoint *endpoint, struct weir_queue **queues, uint16_t n_queues)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, &frames_queue_ops, sizeof(struct frames_queue), queues,
			       n_queues);
	for (i = 0; rc == 0 && i < n_queues; i++) {
		struct frames_queue *q = frames_queue(queues[i]);

		q->lease = frames->pairs[i].lease;
		q->base.wake_fd = weir_wake_fd(&weir_frame_lease_queues(q->lease)->host_wake);
		if (weir_rx_ids_init(&q->rx) != 0) {
			queues_free(queues, n_queues);
			rc = weir_error(ENOMEM, "endpoint '%s': no memory for its queues",
					weir_endpoint_name(endpoint));
		}
	}
	return rc;
}

static int
frames_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		  struct weir_queue **queues)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;
	int rc;

	rc = frames_accept(endpoint, client);
	if (rc == 0)
		rc = queues_make(endpoint, queues, client->n_queues);
	if (rc != 0)
		return rc;
	for (i = 0; i < frames->n_pairs; i++) {
		struct frames_pair *pair = &frames->pairs[i];

		/* What was for the guest before is not for this one. */
		frames_run(pair, weir_frame_lease_discard, pair->lease);
		weir_frame_lease_set_mtu(pair->lease, client->mtu);
		if (i < client->n_queues)
			target_set(pair, client->target[i]);
	}
	/* The others follow as the guest takes them into use. */
	pair_set_active(frames, 0, true);
	return 0;
}

static void
frames_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	    struct weir_queue **queues)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;

	for (i = 0; i < frames->n_pairs; i++) {
		pair_set_active(frames, i, false);
		target_set(&frames->pairs[i], NULL);
		weir_frame_lease_set_mtu(frames->pairs[i].lease, 0);
	}
	queues_free(queues, client->n_queues);
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
	const struct frames *frames = frames_of(endpoint);
	uint16_t i;

	for (i = 0; i < frames->n_pairs; i++)
		if (!weir_frame_lease_is_attached(frames->pairs[i].lease))
			return false;
	return true;
}

static void
frames_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
	const struct frames *frames = frames_of(endpoint);
	struct weir_frame_lease_stats stats = {0}, one;
	uint16_t i, n_attached = 0;

	for (i = 0; i < frames->n_pairs; i++) {
		weir_frame_lease_stats(frames->pairs[i].lease, &one);
		stats.n_attaches += one.n_attaches;
		stats.n_frames += one.n_frames;
		stats.n_home += one.n_home;
		stats.n_reclaimed += one.n_reclaimed;
		n_attached += weir_frame_lease_is_attached(frames->pairs[i].lease);
	}
	rte_tel_data_add_dict_string(dict, "attached",
				     n_attached == frames->n_pairs ? "yes"
				     : n_attached > 0		   ? "partly"
								   : "no");
	rte_tel_data_add_dict_u64(dict, "queues", frames->n_pairs);
	rte_tel_data_add_dict_u64(dict, "attaches", stats.n_attaches);
	rte_tel_data_add_dict_u64(dict, "frames", stats.n_frames);
	rte_tel_data_add_dict_u64(dict, "frames_home", stats.n_home);
	rte_tel_data_add_dict_u64(dict, "frames_reclaimed", stats.n_reclaimed);
	rte_tel_data_add_dict_u64(dict, "mtu", frames->mtu);
}

static const char *const frames_keys[] = {"queues", "capacity", "mtu", NULL};

static const struct weir_endpoint_ops frames_ops = {
	.type = "frames",
	.usage = "queues=N    queue pairs of a guest that it serves, at most (1)\n"
		 "capacity=N  frames that wait each way, of each pair, at most (256)\n"
		 "mtu=N       largest of a guest that it serves (1500)\n",
	.keys = frames_keys,
	.state_size = sizeof(struct frames),
	.max_clients = 1,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = true,
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
