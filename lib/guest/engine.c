/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings by our own engine, and the buffer access over them: a segment is a piece
 * of the guest's memory, and a frame is copied once, from there to where it goes.
 *
 * The library still owns the session. We take the rings' addresses, the memory table
 * and the indices from it when a session comes up, and hand the indices back when it
 * goes down; session.c has the guest down while a message changes any of them. The
 * library's locks are never taken on the lcore, so the vhost thread may wait for it.
 *
 * An rx id is a credit for one frame: lib/vring binds it to buffers as it is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_vhost.h>

#include "guest.h"

/* Looks at a ring with too little posted for the longest frame, before what there is has
 * to do: a guest whose ring is short may never post more. */
#define SHORT_POSTS_MAX 1024
/* Longest wait for a packed burst to be whole. */
#define TX_WAIT_NS 300
/* A tx id is less than this (virtio 1.1, 2.6: the longest ring). */
#define TX_IDS_MAX 32768

/* Sessions: the vhost thread. */

/** Take the memory table and the dirty log of a guest that comes up. */
int
engine_memory(struct weir_guest *guest)
{
	struct weir_vring_region regions[WEIR_VRING_REGIONS_MAX];
	struct rte_vhost_memory *mem = NULL;
	uint64_t base = 0, size = 0;
	uint32_t i, n;
	int rc;

	if (rte_vhost_get_mem_table(guest->vid, &mem) != 0)
		return weir_error(ENODEV, "the front-end has given no memory");
	n = mem->nregions;
	for (i = 0; i < n && i < WEIR_VRING_REGIONS_MAX; i++)
		regions[i] = (struct weir_vring_region){
			.guest_addr = mem->regions[i].guest_phys_addr,
			.size = mem->regions[i].size,
			.host = (uint8_t *)(uintptr_t)mem->regions[i].host_user_addr,
		};
	free(mem);
	rc = weir_vring_memory_init(&guest->memory, regions, n);
	if (rc != 0)
		return rc;
	/* Empty unless a live migration is on its way. */
	if (rte_vhost_get_log_base(guest->vid, &base, &size) != 0 ||
	    !(guest->features & SESSION_FEATURE_LOG_ALL))
		base = size = 0;
	guest->log = (struct weir_vring_log){(uint8_t *)(uintptr_t)base, size};
	return 0;
}

static uint16_t
vring_of(const struct weir_pair *pair, enum weir_pair_wake ring)
{
	return ring == WEIR_PAIR_WAKE_RX ? pair->rx_vring : pair->tx_vring;
}

/** Attach to a ring; *@p made is NULL when the front-end has not set it up. */
static int
ring_make(struct weir_pair *pair, enum weir_pair_wake ring, struct weir_vring **made)
{
	struct weir_guest *guest = pair->guest;
	struct weir_vring_config config = {
		.side = ring == WEIR_PAIR_WAKE_RX ? WEIR_VRING_RX : WEIR_VRING_TX,
		.features = guest->features,
		.memory = &guest->memory,
		.log = guest->log.base != NULL ? &guest->log : NULL,
	};
	struct rte_vhost_vring vring = {0};

	*made = NULL;
	if (rte_vhost_get_vhost_vring(pair->vid, vring_of(pair, ring), &vring) != 0 ||
	    vring.desc == NULL || vring.avail == NULL || vring.used == NULL || vring.size == 0 ||
	    rte_vhost_get_vring_base(pair->vid, vring_of(pair, ring), &config.base.avail,
				     &config.base.used) != 0)
		return 0;
	config.size = vring.size;
	config.desc = vring.desc;
	config.driver = vring.avail;
	config.device = vring.used;
	*made = weir_vring_create(&config);
	if (*made == NULL)
		return weir_error(rte_errno, "ring %u: %s", vring_of(pair, ring),
				  weir_error_text());
	return 0;
}

static void
ring_end(struct weir_pair *pair, enum weir_pair_wake ring)
{
	struct weir_vring_base base;

	if (pair->ring[ring] == NULL)
		return;
	base = weir_vring_stop(pair->ring[ring]);
	rte_vhost_set_vring_base(pair->vid, vring_of(pair, ring), base.avail, base.used);
	weir_vring_free(pair->ring[ring]);
	pair->ring[ring] = NULL;
}

static int
engine_open(struct weir_pair *pair)
{
	int rc = ring_make(pair, WEIR_PAIR_WAKE_TX, &pair->ring[WEIR_PAIR_WAKE_TX]);

	pair->tx_wait = rte_get_tsc_hz() / US_PER_S * TX_WAIT_NS / 1000;
	if (rc == 0)
		rc = ring_make(pair, WEIR_PAIR_WAKE_RX, &pair->ring[WEIR_PAIR_WAKE_RX]);
	if (rc != 0)
		ring_end(pair, WEIR_PAIR_WAKE_TX);
	return rc;
}

static void
engine_stats(const struct weir_pair *pair, struct pair_stats *sum)
{
	struct weir_vring_stats stats;

	if (pair->ring[WEIR_PAIR_WAKE_TX] != NULL) {
		weir_vring_stats(pair->ring[WEIR_PAIR_WAKE_TX], &stats);
		sum->tx_packets += stats.tx_packets;
		sum->tx_bytes += stats.tx_bytes;
		sum->tx_dropped_too_long += stats.tx_dropped_long;
		sum->tx_dropped_malformed += stats.tx_dropped_short + stats.tx_dropped_offload;
	}
	if (pair->ring[WEIR_PAIR_WAKE_RX] != NULL) {
		weir_vring_stats(pair->ring[WEIR_PAIR_WAKE_RX], &stats);
		sum->rx_packets += stats.rx_packets;
		sum->rx_bytes += stats.rx_bytes;
		sum->rx_dropped_too_long += stats.rx_dropped_long;
		sum->rx_dropped_no_offload += stats.rx_dropped_offload;
	}
}

static void
engine_close(struct weir_pair *pair)
{
	enum weir_pair_wake ring;

	if (pair->ring[WEIR_PAIR_WAKE_TX] != NULL)
		weir_count(&pair->stats.tx_dropped_stopped,
			   weir_vring_tx_held(pair->ring[WEIR_PAIR_WAKE_TX]));
	engine_stats(pair, &pair->stats);
	for (ring = 0; ring < WEIR_PAIR_WAKE_ENDPOINT; ring++) {
		ring_end(pair, ring);
		if (pair->call_fd[ring] >= 0)
			close(pair->call_fd[ring]);
		pair->call_fd[ring] = -1;
	}
}

struct ring_change {
	struct weir_pair *pair;
	enum weir_pair_wake ring;
	struct weir_vring *vring;
	int call_fd;
};

static void
change_vring(void *arg)
{
	struct ring_change *change = arg;

	change->pair->ring[change->ring] = change->vring;
}

static void
change_call(void *arg)
{
	struct ring_change *change = arg;

	change->pair->call_fd[change->ring] = change->call_fd;
}

/** A ring was enabled while its guest is up: the lcore gets it, if it had none. */
void
engine_ring_ready(struct weir_pair *pair, enum weir_pair_wake ring)
{
	struct ring_change change = {.pair = pair, .ring = ring};

	if (pair->ring[ring] != NULL)
		return;
	if (ring_make(pair, ring, &change.vring) != 0)
		WEIR_LOG(guest, ERR, "%s: %s", pair->name, weir_error_text());
	else if (change.vring != NULL)
		pair->target->run(pair->target, change_vring, &change);
}

/** The front-end listens at @p fd from now on, which becomes ours; -1: nowhere. */
void
engine_set_call(struct weir_pair *pair, enum weir_pair_wake ring, int fd)
{
	struct ring_change change = {.pair = pair, .ring = ring, .call_fd = fd};
	int old = pair->call_fd[ring];

	pair->target->run(pair->target, change_call, &change);
	if (old >= 0)
		close(old);
}

/** Whether we hold addresses and indices of a ring that is about to change. */
bool
engine_holds(const struct weir_guest *guest, uint16_t vring)
{
	enum weir_pair_wake ring = vring % 2 == 0 ? WEIR_PAIR_WAKE_RX : WEIR_PAIR_WAKE_TX;
	uint16_t index = vring / 2;

	return index < guest->n_pairs && guest->pairs[index] != NULL &&
	       guest->pairs[index]->ring[ring] != NULL;
}

/* The lcore. */

/** Stop using a pair whose guest broke a ring. */
static void
engine_check(struct weir_pair *pair, enum weir_pair_wake ring)
{
	enum weir_vring_error error = weir_vring_error(pair->ring[ring]);

	if (unlikely(error != WEIR_VRING_OK))
		pair->broken = weir_vring_error_text(error);
}

/** Tell the guest, if it wants to hear. */
static void
engine_call(struct weir_pair *pair, enum weir_pair_wake ring)
{
	if (!weir_vring_should_notify(pair->ring[ring]) || pair->call_fd[ring] < 0)
		return;
	if (call_write(pair, ring))
		weir_count(&pair->stats.calls, 1);
}

/** The next burst is likely to have @p n packets; 0: whatever comes is taken at once. */
static void
tx_expect(struct weir_pair *pair, uint16_t n)
{
	pair->tx_burst = n;
	pair->tx_since = 0;
}

/**
 * Whether the guest is likely in the middle of writing a burst as long as its last one: then it
 * is left alone, but not for long. Whoever reads each packed descriptor as it appears takes the
 * line away from a guest that has three more to write there, and gets short bursts for it.
 */
static bool
is_being_written(struct weir_pair *pair, const struct weir_vring *ring)
{
	uint64_t now;

	if (pair->tx_burst <= 1 || weir_vring_tx_has(ring, pair->tx_burst))
		return false;
	now = rte_rdtsc();
	if (pair->tx_since == 0)
		pair->tx_since = now;
	return now - pair->tx_since < pair->tx_wait;
}

static void
engine_take(struct weir_pair *pair)
{
	struct weir_vring *ring = pair->ring[WEIR_PAIR_WAKE_TX];
	uint16_t n;

	if (unlikely(ring == NULL || pair->n_out > PAIR_TX_IDS - PAIR_BURST))
		return;
	if (unlikely(rarp_take(pair))) {
		n = 1;
		weir_count(&pair->stats.tx_packets, 1);
		weir_count(&pair->stats.tx_bytes, pair->segments->frame_len);
	} else if (!weir_vring_has_work(ring) || (pair->packed && is_being_written(pair, ring))) {
		n = 0;
	} else {
		n = weir_vring_tx_take(ring, pair->segments, PAIR_TX_SEGMENTS, PAIR_BURST);
		tx_expect(pair, n);
	}
	/* Whatever was taken before: who has to give it back may never do so. */
	engine_check(pair, WEIR_PAIR_WAKE_TX);
	if (n == 0)
		return;
	pair->seg_first = 0;
	pair->n_pending = n;
	pair->n_out += n;
}

static void
engine_done(struct weir_pair *pair, const uint16_t *ids, uint16_t n)
{
	uint16_t i;

	pair->n_out -= n;
	/* The ring ignores an id that it did not give. */
	weir_vring_tx_done(pair->ring[WEIR_PAIR_WAKE_TX], ids, n);
	if (unlikely(atomic_load_explicit(&pair->rarp_state, memory_order_relaxed) == RARP_SENT))
		for (i = 0; i < n; i++)
			if (ids[i] == RARP_ID)
				rarp_done(pair);
	engine_call(pair, WEIR_PAIR_WAKE_TX);
}

static uint16_t
engine_deliver(struct weir_pair *pair, const uint16_t *ids, uint16_t n)
{
	weir_vring_rx_commit(pair->ring[WEIR_PAIR_WAKE_RX]);
	engine_call(pair, WEIR_PAIR_WAKE_RX);
	engine_check(pair, WEIR_PAIR_WAKE_RX);
	return n;
}

static bool
engine_arm(struct weir_pair *pair, enum weir_pair_wake ring, bool arm)
{
	if (pair->ring[ring] == NULL)
		return false;
	if (!arm) {
		weir_vring_disarm(pair->ring[ring]);
		return false;
	}
	/* Whoever wakes us is not kept waiting, nor taken for one that kicks for nothing. */
	tx_expect(pair, 0);
	return weir_vring_arm(pair->ring[ring]);
}

static bool
engine_rx_blocked(struct weir_pair *pair)
{
	return pair->ring[WEIR_PAIR_WAKE_RX] == NULL ||
	       weir_vring_rx_posted(pair->ring[WEIR_PAIR_WAKE_RX], 1) == 0;
}

static uint64_t
engine_rx_written(const struct weir_pair *pair, uint16_t rx_id)
{
	struct weir_vring_stats stats;

	if (pair->ring[WEIR_PAIR_WAKE_RX] == NULL)
		return 0;
	weir_vring_stats(pair->ring[WEIR_PAIR_WAKE_RX], &stats);
	return stats.rx_packets;
}

/* The control side, in the lcore's place. */

/** Whether the packet of @p id still waits to be handed over. */
static bool
is_pending(const struct weir_pair *pair, uint16_t id)
{
	const struct weir_tx_segment *head = &pair->segments[pair->seg_first];
	uint16_t i;

	for (i = 0; i < pair->n_pending; i++, head = weir_tx_next(head))
		if (head->id == id)
			return true;
	return false;
}

static void
engine_let_go(struct weir_pair *pair)
{
	struct weir_vring *tx = pair->ring[WEIR_PAIR_WAKE_TX];
	struct weir_vring *rx = pair->ring[WEIR_PAIR_WAKE_RX];
	uint32_t held = pair->n_out - pair->n_pending, i;

	/* An announcement that was under way starts anew, on whatever comes next. */
	if (pair->rarp_state == RARP_SENT && !is_pending(pair, RARP_ID)) {
		pair->rarp_state = RARP_ASKED;
		held--;
	}
	weir_count(&pair->stats.tx_dropped_stopped, held);
	/* The ring knows which they are: it ignores an id that is not out. */
	for (i = 0; held > 0 && i < TX_IDS_MAX && weir_vring_tx_held(tx) > 0; i++) {
		uint16_t id = i;

		if (!is_pending(pair, id))
			weir_vring_tx_done(tx, &id, 1);
	}
	pair->n_out = pair->n_pending;
	if (held > 0)
		engine_call(pair, WEIR_PAIR_WAKE_TX);
	/* Frames lie in the ring by their order, not by their ids. */
	pair->fill_head = pair->fill_tail = 0;
	if (rx != NULL) {
		weir_vring_rx_commit(rx);
		engine_call(pair, WEIR_PAIR_WAKE_RX);
	}
}

/* The buffer access. */

static struct weir_pair *
pair_of(struct weir_access *access)
{
	return container_of(access, struct weir_pair, access);
}

/** The rx ring, or NULL while the guest does not want frames, or broke it. */
static struct weir_vring *
rx_ring(struct weir_access *access)
{
	struct weir_pair *pair = pair_of(access);
	struct weir_vring *ring = pair->ring[WEIR_PAIR_WAKE_RX];

	if (unlikely(ring == NULL ||
		     !atomic_load_explicit(&pair->rx_enabled, memory_order_relaxed)))
		return NULL;
	if (likely(weir_vring_error(ring) == WEIR_VRING_OK))
		return ring;
	/* Nothing gets into it, so nothing is delivered either: here is where it shows. */
	engine_check(pair, WEIR_PAIR_WAKE_RX);
	return NULL;
}

static uint32_t
engine_capacity(struct weir_access *access, uint16_t rx_id)
{
	struct weir_vring *ring = rx_ring(access);

	return ring != NULL ? weir_vring_rx_capacity(ring) : 0;
}

/**
 * Whether the longest frame has room, or has had none for so long that it will not
 * get any. Only with buffers that merge does waiting make room.
 */
static bool
posted_enough(struct weir_pair *pair, struct weir_vring *ring)
{
	if (likely(!pair->mergeable || weir_vring_rx_capacity(ring) >= pair->rx_len_max)) {
		pair->short_posts = 0;
		return true;
	}
	return ++pair->short_posts > SHORT_POSTS_MAX;
}

static unsigned int
engine_guest_addresses(struct weir_access *access, uint16_t rx_id, struct iovec *iov,
		       unsigned int n)
{
	struct weir_vring *ring = rx_ring(access);

	if (unlikely(ring == NULL) || !posted_enough(pair_of(access), ring))
		return 0;
	return weir_vring_rx_addresses(ring, pair_of(access)->rx_len_max, iov, n);
}

static int
engine_write_data(struct weir_access *access, uint16_t rx_id, uint32_t offset, const void *data,
		  uint32_t len)
{
	struct weir_vring *ring = rx_ring(access);

	return ring != NULL ? weir_vring_rx_write_data(ring, offset, data, len) : -ENOBUFS;
}

static void
engine_write_header(struct weir_access *access, uint16_t rx_id, const struct weir_rx_meta *meta)
{
	struct weir_vring *ring = rx_ring(access);

	if (ring != NULL)
		weir_vring_rx_write_header(ring, meta);
}

/** Write packets: @return a prefix, short when the guest has posted too little. */
static uint16_t
engine_write(struct weir_pair *pair, struct weir_vring *ring,
	     const struct weir_tx_segment *segments, uint16_t n_packets)
{
	if (likely(pair->access.rx_offloads == WEIR_OFFLOAD_CAP_ALL))
		return weir_vring_rx_write_packets(ring, segments, n_packets);
	return finish_write_packets(pair, ring, segments, n_packets);
}

static int
engine_write_packet(struct weir_access *access, uint16_t rx_id, const struct weir_rx_meta *meta,
		    const void *data)
{
	struct weir_vring *ring = rx_ring(access);
	struct weir_tx_segment packet = {
		.addr = data,
		.len = meta->len,
		.frame_len = meta->len,
		.n_segments = 1,
		.offload = meta->offload,
	};

	/* Refused for good uses the id up, as the ring has counted. */
	return ring != NULL && engine_write(pair_of(access), ring, &packet, 1) == 1 ? 0 : -ENOBUFS;
}

static uint16_t
engine_write_packet_segments(struct weir_access *access, const uint16_t *rx_ids,
			     struct weir_access *source, const struct weir_tx_segment *segments,
			     uint16_t n_packets)
{
	struct weir_vring *ring = rx_ring(access);

	return ring != NULL ? engine_write(pair_of(access), ring, segments, n_packets) : 0;
}

static uint16_t
engine_attach_frames(struct weir_access *access, const uint16_t *rx_ids, struct rte_mbuf **frames,
		     uint16_t n)
{
	struct weir_tx_segment segments[WEIR_VRING_SEGMENTS_MAX];
	struct weir_vring *ring = rx_ring(access);
	uint16_t i, k;

	for (i = 0; i < n && ring != NULL; i++) {
		const struct rte_mbuf *part = frames[i];

		for (k = 0; part != NULL && k < RTE_DIM(segments); part = part->next, k++)
			segments[k] = (struct weir_tx_segment){
				.addr = rte_pktmbuf_mtod(part, const void *),
				.len = part->data_len,
			};
		segments[0].frame_len = frames[i]->pkt_len;
		segments[0].n_segments = k;
		weir_offload_from_mbuf(frames[i], &segments[0].offload);
		if (unlikely(part != NULL))
			weir_count(&pair_of(access)->stats.rx_dropped_too_long, 1);
		else if (engine_write(pair_of(access), ring, segments, 1) == 0)
			break;
		rte_pktmbuf_free(frames[i]);
	}
	return i;
}

static uint16_t
engine_take_frames(struct weir_access *access, const struct weir_tx_segment *segments,
		   struct rte_mbuf **frames, uint16_t n_packets)
{
	struct weir_pair *pair = pair_of(access);
	uint16_t i;

	for (i = 0; i < n_packets; i++, segments = weir_tx_next(segments)) {
		frames[i] = weir_offload_copy(pair->tx_pool, segments);
		if (frames[i] == NULL)
			break;
		/* Flags that an mbuf cannot express leave the frame as it is: unfinished. */
		weir_offload_to_mbuf(&segments->offload, frames[i]);
	}
	return i;
}

static const struct weir_access_ops engine_access_ops = {
	.capacity = engine_capacity,
	.guest_addresses = engine_guest_addresses,
	.write_data = engine_write_data,
	.write_header = engine_write_header,
	.write_packet = engine_write_packet,
	.write_packet_segments = engine_write_packet_segments,
	.attach_frames = engine_attach_frames,
	.take_frames = engine_take_frames,
};

const struct pair_path engine_path = {
	.name = "engine",
	.access = &engine_access_ops,
	.open = engine_open,
	.close = engine_close,
	.let_go = engine_let_go,
	.take = engine_take,
	.done = engine_done,
	.deliver = engine_deliver,
	.arm = engine_arm,
	.rx_blocked = engine_rx_blocked,
	.rx_written = engine_rx_written,
	.stats = engine_stats,
};
