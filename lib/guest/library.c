/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings by the library's burst calls, and the buffer access over them.
 *
 * The library copies a tx frame into an mbuf and an rx frame out of one, so here a
 * segment is a piece of an mbuf and an rx id stands for an mbuf to be. A frame that
 * goes from one of our pairs to another on the same lcore is not copied again: the
 * mbuf itself changes hands.
 *
 * Who owns an mbuf: tx_frame[id] until the id is done; rx_frame[id] from the moment
 * it is filled until the guest has it; stage[] between guest_addresses() and
 * write_header().
 */
#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf_dyn.h>
#include <rte_memcpy.h>
#include <rte_vhost.h>

#include "guest.h"

/* Deliveries that move nothing before the frame at the head is suspected. */
#define STALLS_BEFORE_LOOK 1024

/*
 * A packet that was cut is several frames behind one rx id, linked by a field of their
 * mbufs; where rx_cut says so.
 */
static int next_field = -1;

static int
next_field_register(void)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "weir_guest_dynfield_next",
		.size = sizeof(struct rte_mbuf *),
		.align = __alignof__(struct rte_mbuf *),
	};

	if (next_field < 0)
		next_field = rte_mbuf_dynfield_register(&field);
	return next_field >= 0 ? 0 : -rte_errno;
}

static struct rte_mbuf **
frame_next(struct rte_mbuf *frame)
{
	return RTE_MBUF_DYNFIELD(frame, next_field, struct rte_mbuf **);
}

/** The next frame of an id is not its concern any more; whether it was the last. */
static inline bool
rx_pop(struct weir_pair *pair, uint16_t id)
{
	struct rte_mbuf *next = NULL;

	if (unlikely(pair->rx_cut[id]))
		next = *frame_next(pair->rx_frame[id]);
	pair->rx_frame[id] = next;
	if (likely(next == NULL))
		pair->rx_cut[id] = false;
	return next == NULL;
}

static struct weir_pair *
pair_of(struct weir_access *access)
{
	return container_of(access, struct weir_pair, access);
}

/* Tx: from the guest. */

/** Describe one mbuf, chained or not; the number of segments set. */
static uint32_t
segments_of_frame(const struct rte_mbuf *frame, uint16_t id, struct weir_tx_segment *segments)
{
	struct weir_tx_segment *segment = segments;
	const struct rte_mbuf *part;

	segment->id = id;
	segment->n_segments = frame->nb_segs;
	segment->frame_len = frame->pkt_len;
	if (frame->ol_flags == 0)
		segment->offload = (struct weir_offload){0};
	else
		weir_offload_from_mbuf(frame, &segment->offload);
	for (part = frame; part != NULL; part = part->next, segment++) {
		segment->addr = rte_pktmbuf_mtod(part, const void *);
		segment->len = part->data_len;
		if (part != frame)
			segment->n_segments = 0;
	}
	return segment - segments;
}

/**
 * How many frames to ask for: the library allocates their mbufs all or nothing, and
 * drops a frame for whose chain there are not enough. So no more than what is free,
 * at the longest they can be; and no more than we have ids and segments for.
 */
static uint16_t
take_limit(const struct weir_pair *pair)
{
	uint32_t limit = RTE_MIN(pair->n_free_ids, PAIR_BURST);

	if (pair->max_frames > 1) {
		limit = RTE_MIN(limit, PAIR_TX_SEGMENTS / pair->max_frames);
		limit = RTE_MIN(limit, rte_mempool_avail_count(pair->tx_pool) / pair->max_frames);
	}
	return limit;
}

static void
library_take(struct weir_pair *pair)
{
	struct rte_mbuf *frames[PAIR_BURST];
	uint32_t n_segments = 0;
	uint64_t bytes = 0;
	uint16_t i, n, limit = take_limit(pair);

	if (unlikely(limit == 0))
		return;
	call_begin(pair);
	n = rte_vhost_dequeue_burst(pair->vid, pair->tx_vring, pair->tx_pool, frames, limit);
	call_end(pair);
	for (i = 0; i < n; i++) {
		uint16_t id = pair->free_ids[--pair->n_free_ids];

		/* A chain longer than its burst's share: a guest that negotiated no
		 * segmentation, or sends more than 64 KB, all the same. */
		if (unlikely(n_segments + frames[i]->nb_segs + (n - i) > PAIR_TX_SEGMENTS)) {
			rte_pktmbuf_free(frames[i]);
			pair->free_ids[pair->n_free_ids++] = id;
			weir_count(&pair->stats.tx_dropped_too_long, 1);
			continue;
		}
		pair->tx_frame[id] = frames[i];
		bytes += frames[i]->pkt_len;
		n_segments += segments_of_frame(frames[i], id, &pair->segments[n_segments]);
		pair->n_pending++;
	}
	pair->n_out += pair->n_pending;
	pair->seg_first = 0;
	weir_count(&pair->stats.tx_packets, pair->n_pending);
	weir_count(&pair->stats.tx_bytes, bytes);
}

static void
library_done(struct weir_pair *pair, const uint16_t *ids, uint16_t n)
{
	struct rte_mbuf *frames[PAIR_BURST];
	uint16_t i, n_frames = 0;

	pair->n_out -= n;
	for (i = 0; i < n; i++) {
		struct rte_mbuf *frame = pair->tx_frame[ids[i]];

		pair->tx_frame[ids[i]] = NULL;
		pair->free_ids[pair->n_free_ids++] = ids[i];
		if (frame == NULL)
			continue; /* handed on */
		frames[n_frames++] = frame;
		if (n_frames == PAIR_BURST) {
			rte_pktmbuf_free_bulk(frames, n_frames);
			n_frames = 0;
		}
	}
	if (n_frames > 0)
		rte_pktmbuf_free_bulk(frames, n_frames);
}

/* Rx: to the guest. */

/**
 * Whether the guest has posted a buffer that the frame at the head does not fit:
 * the library says "none taken" for that and for an empty ring alike.
 *
 * Without mergeable buffers one posted buffer is enough to tell; with them the
 * whole ring must have been posted.
 */
static bool
head_never_fits(const struct weir_pair *pair)
{
	uint16_t last_avail, last_used, posted;
	struct rte_vhost_vring vring;

	if (rte_vhost_get_vhost_vring(pair->vid, pair->rx_vring, &vring) != 0 ||
	    rte_vhost_get_vring_base(pair->vid, pair->rx_vring, &last_avail, &last_used) != 0 ||
	    vring.size == 0)
		return false;
	if (pair->packed) {
		/* virtio 1.1, 2.7.1: available when AVAIL is the wrap counter and USED is not. */
		uint16_t wrap = last_avail >> 15, at = last_avail & 0x7fff, flags;

		if (vring.desc_packed == NULL || at >= vring.size)
			return false;
		/* With buffers to merge, all are posted when the one before is, too. */
		if (pair->mergeable) {
			if (at == 0) {
				at = vring.size - 1;
			} else {
				at--;
				wrap ^= 1; /* it belongs to the next lap */
			}
		}
		flags = *(volatile uint16_t *)&vring.desc_packed[at].flags;
		return ((flags >> 7) & 1) == wrap && ((flags >> 15) & 1) != wrap;
	}
	if (vring.avail == NULL)
		return false;
	posted = *(volatile uint16_t *)&vring.avail->idx - last_avail;
	return pair->mergeable ? posted >= vring.size : posted > 0;
}

static uint16_t
enqueue(struct weir_pair *pair, struct rte_mbuf **frames, uint16_t n)
{
	call_begin(pair);
	n = rte_vhost_enqueue_burst(pair->vid, pair->rx_vring, frames, n);
	call_end(pair);
	return n;
}

static uint16_t
library_deliver(struct weir_pair *pair, const uint16_t *ids, uint16_t n)
{
	struct rte_mbuf *frames[PAIR_BURST];
	uint64_t bytes = 0;
	uint16_t i, n_frames = 0, n_taken, taken = 0;
	struct rte_mbuf *frame;

	/* Ids whose frame was refused as it was written have none: they end a run. */
	for (i = 0; i < n && n_frames < PAIR_BURST && pair->rx_frame[ids[i]] != NULL; i++) {
		frame = pair->rx_frame[ids[i]];
		frames[n_frames++] = frame;
		while (unlikely(pair->rx_cut[ids[i]]) && n_frames < PAIR_BURST &&
		       (frame = *frame_next(frame)) != NULL)
			frames[n_frames++] = frame;
	}
	if (unlikely(n_frames == 0)) {
		while (taken < n && pair->rx_frame[ids[taken]] == NULL)
			taken++;
		return taken;
	}
	n_taken = enqueue(pair, frames, n_frames);
	if (unlikely(n_taken == 0) && ++pair->rx_stalls >= STALLS_BEFORE_LOOK) {
		pair->rx_stalls = 0;
		/* Looked at again after the look, or it may have been posted in between. */
		if (head_never_fits(pair)) {
			n_taken = enqueue(pair, frames, n_frames);
			if (n_taken == 0) {
				taken = rx_pop(pair, ids[0]);
				rte_pktmbuf_free(frames[0]);
				weir_count(&pair->stats.rx_dropped_too_long, 1);
				return taken;
			}
		}
	}
	if (n_taken == 0)
		return 0;
	pair->rx_stalls = 0;
	for (i = 0; i < n_taken; i++) {
		bytes += frames[i]->pkt_len;
		taken += rx_pop(pair, ids[taken]);
	}
	rte_pktmbuf_free_bulk(frames, n_taken);
	weir_count(&pair->stats.rx_packets, n_taken);
	weir_count(&pair->stats.rx_bytes, bytes);
	return taken;
}

/** Give up every frame there is; both sides have let go of the pair. */
static void
library_close(struct weir_pair *pair)
{
	unsigned int i;

	for (i = 0; i < PAIR_TX_IDS; i++) {
		weir_count(&pair->stats.tx_dropped_stopped, pair->tx_frame[i] != NULL);
		rte_pktmbuf_free(pair->tx_frame[i]);
		pair->tx_frame[i] = NULL;
	}
	for (i = 0; i < PAIR_RX_IDS; i++) {
		while (pair->rx_frame[i] != NULL) {
			struct rte_mbuf *frame = pair->rx_frame[i];

			rx_pop(pair, i);
			rte_pktmbuf_free(frame);
			weir_count(&pair->stats.rx_dropped_stopped, 1);
		}
	}
	rte_pktmbuf_free_bulk(pair->stage, pair->n_stage);
	pair->n_stage = 0;
}

static bool
library_arm(struct weir_pair *pair, enum weir_pair_wake ring, bool arm)
{
	uint16_t vring = ring == WEIR_PAIR_WAKE_RX ? pair->rx_vring : pair->tx_vring;

	rte_vhost_enable_guest_notification(pair->vid, vring, arm);
	return false; /* the look that follows polls the ring itself */
}

static bool
library_rx_blocked(struct weir_pair *pair)
{
	/* The library does not tell what is posted: frames that wait do. */
	return pair->fill_head != pair->fill_tail;
}

static int
library_open(struct weir_pair *pair)
{
	uint16_t i;

	if (next_field_register() != 0)
		return weir_error(ENOMEM, "mbufs have no field left for a list of frames: another "
					  "library of this process has taken it");
	for (i = 0; i < PAIR_TX_IDS; i++)
		pair->free_ids[pair->n_free_ids++] = PAIR_TX_IDS - 1 - i;
	return 0;
}

static void
library_let_go(struct weir_pair *pair)
{
	/* Its pairs change neither lcore nor endpoint while they are up: close() follows. */
}

static void
library_stats(const struct weir_pair *pair, struct pair_stats *sum)
{
	/* All of its counters are the pair's. */
}

static uint64_t
library_rx_written(const struct weir_pair *pair, uint16_t rx_id)
{
	return pair->rx_frame[rx_id] != NULL;
}

/* The buffer access. */

static uint32_t
library_capacity(struct weir_access *access, uint16_t rx_id)
{
	return pair_of(access)->rx_len_max;
}

/** Have at least @p n empty mbufs at hand. */
static bool
stage_fill(struct weir_pair *pair, uint32_t n)
{
	if (likely(pair->n_stage >= n))
		return true;
	if (weir_frame_acquire_bulk(pair->rx_frames, &pair->stage[pair->n_stage],
				    n - pair->n_stage) != 0)
		return false;
	pair->n_stage = n;
	return true;
}

static uint32_t
mbufs_for(const struct weir_pair *pair, uint32_t len)
{
	return len <= pair->rx_room ? 1 : (len + pair->rx_room - 1) / pair->rx_room;
}

/*
 * The first mbuf of a buffer is the last of the stage: what one frame does not need
 * stays in place for the next.
 */
static unsigned int
library_guest_addresses(struct weir_access *access, uint16_t rx_id, struct iovec *iov,
			unsigned int n)
{
	struct weir_pair *pair = pair_of(access);
	uint32_t i, needed = mbufs_for(pair, pair->rx_len_max);

	if (unlikely(needed > n || !stage_fill(pair, needed)))
		return 0;
	for (i = 0; i < needed; i++) {
		struct rte_mbuf *mbuf = pair->stage[pair->n_stage - 1 - i];

		iov[i].iov_base = rte_pktmbuf_mtod(mbuf, void *);
		iov[i].iov_len = pair->rx_room;
	}
	return needed;
}

static int
library_write_data(struct weir_access *access, uint16_t rx_id, uint32_t offset, const void *data,
		   uint32_t len)
{
	struct weir_pair *pair = pair_of(access);
	const uint8_t *from = data;

	if (offset > pair->rx_len_max || len > pair->rx_len_max - offset)
		return -EMSGSIZE;
	if (!stage_fill(pair, mbufs_for(pair, offset + len)))
		return -ENOBUFS;
	while (len > 0) {
		uint32_t at = offset % pair->rx_room, part = RTE_MIN(len, pair->rx_room - at);
		struct rte_mbuf *mbuf = pair->stage[pair->n_stage - 1 - offset / pair->rx_room];

		rte_memcpy(rte_pktmbuf_mtod_offset(mbuf, void *, at), from, part);
		from += part;
		offset += part;
		len -= part;
	}
	return 0;
}

/** Take the first mbufs of the stage as one frame of @p len bytes. */
static struct rte_mbuf *
stage_frame(struct weir_pair *pair, uint32_t len)
{
	struct rte_mbuf *head = pair->stage[pair->n_stage - 1], *last = head;
	uint32_t left = len;

	head->pkt_len = len;
	head->data_len = RTE_MIN(left, pair->rx_room);
	left -= head->data_len;
	pair->n_stage--;
	while (left > 0) {
		last->next = pair->stage[--pair->n_stage];
		last = last->next;
		last->data_len = RTE_MIN(left, pair->rx_room);
		left -= last->data_len;
		head->nb_segs++;
	}
	return head;
}

/** Whether the guest takes such a frame; counts why not. */
static bool
frame_fits(struct weir_pair *pair, uint32_t len, const struct weir_offload *offload)
{
	if (unlikely(len > pair->rx_len_max || len == 0)) {
		weir_count(&pair->stats.rx_dropped_too_long, 1);
		return false;
	}
	if (unlikely((offload->flags | offload->gso_type) != 0) &&
	    !weir_offload_fits(offload, pair->access.rx_offloads)) {
		weir_count(&pair->stats.rx_dropped_no_offload, 1);
		return false;
	}
	return true;
}

static void
library_write_header(struct weir_access *access, uint16_t rx_id, const struct weir_rx_meta *meta)
{
	struct weir_pair *pair = pair_of(access);
	struct rte_mbuf *frame;

	if (!frame_fits(pair, meta->len, &meta->offload))
		return;
	frame = stage_frame(pair, meta->len);
	if (unlikely((meta->offload.flags | meta->offload.gso_type) != 0) &&
	    weir_offload_to_mbuf(&meta->offload, frame) != 0) {
		rte_pktmbuf_free(frame);
		weir_count(&pair->stats.rx_dropped_no_offload, 1);
		return;
	}
	pair->rx_frame[rx_id] = frame;
}

static bool
fits_as_it_is(const struct weir_pair *pair, const struct weir_offload *offload)
{
	return likely((offload->flags | offload->gso_type) == 0) ||
	       weir_offload_fits(offload, pair->access.rx_offloads);
}

/** Frames of a packet that is cut, as a list; -ENOBUFS when memory is short now. */
static int
frames_of_cut(struct weir_pair *pair, struct weir_offload_cut *cut, struct rte_mbuf **frames)
{
	struct rte_mempool *pool = weir_frame_pool_mempool(pair->rx_frames);
	struct weir_tx_segment segments[WEIR_VRING_SEGMENTS_MAX + 1];
	struct rte_mbuf **last = frames, *frame;
	int rc = 0;

	*frames = NULL;
	while (rc == 0 && weir_offload_cut_next(cut, segments) > 0) {
		frame = weir_offload_copy(pool, segments);
		if (frame == NULL) {
			rc = -ENOBUFS;
			break;
		}
		*frame_next(frame) = NULL;
		*last = frame;
		last = frame_next(frame);
		if (segments[0].offload.flags != 0)
			rc = weir_offload_to_mbuf(&segments[0].offload, frame);
	}
	while (rc != 0 && (frame = *frames) != NULL) {
		*frames = *frame_next(frame);
		rte_pktmbuf_free(frame);
	}
	return rc;
}

/** Finish a packet that the guest does not take as it is; false when memory is short now. */
static bool
write_finished(struct weir_pair *pair, uint16_t rx_id, const struct weir_tx_segment *packet)
{
	struct weir_offload_cut cut;
	struct rte_mbuf *frames;
	int rc = -EINVAL;

	if (packet->n_segments <= WEIR_VRING_SEGMENTS_MAX)
		rc = weir_offload_cut_begin(&cut, packet, pair->access.rx_offloads);
	/* Half of the pool, so that it can be had beside what is staged and on its way. */
	if (rc == 0 && cut.n_frames > weir_frame_pool_capacity(pair->rx_frames) / 2) {
		weir_count(&pair->stats.rx_dropped_no_buffers, cut.n_frames);
		return true;
	}
	if (rc == 0)
		rc = frames_of_cut(pair, &cut, &frames);
	if (rc == -ENOBUFS)
		return false;
	if (rc != 0) {
		weir_count(&pair->stats.rx_dropped_no_offload, 1);
		return true;
	}
	pair->rx_frame[rx_id] = frames;
	pair->rx_cut[rx_id] = true;
	weir_count(&pair->stats.rx_finished, 1);
	return true;
}

static int
library_write_packet(struct weir_access *access, uint16_t rx_id, const struct weir_rx_meta *meta,
		     const void *data)
{
	struct weir_tx_segment packet = {
		.addr = data,
		.len = meta->len,
		.frame_len = meta->len,
		.n_segments = 1,
		.offload = meta->offload,
	};

	if (!fits_as_it_is(pair_of(access), &meta->offload))
		return write_finished(pair_of(access), rx_id, &packet) ? 0 : -ENOBUFS;
	/* A frame too long for the guest uses its id up: write_header() counts it. */
	if (library_write_data(access, rx_id, 0, data, meta->len) == -ENOBUFS)
		return -ENOBUFS;
	library_write_header(access, rx_id, meta);
	return 0;
}

/** Copy one packet; false when memory is short now. */
static bool
write_copied(struct weir_pair *pair, uint16_t rx_id, const struct weir_tx_segment *segments)
{
	struct weir_rx_meta meta = {segments->frame_len, segments->offload};
	uint32_t offset = 0;
	uint16_t i;

	if (segments->frame_len <= pair->rx_len_max) {
		if (!stage_fill(pair, mbufs_for(pair, segments->frame_len)))
			return false;
		for (i = 0; i < segments->n_segments; i++) {
			library_write_data(&pair->access, rx_id, offset, segments[i].addr,
					   segments[i].len);
			offset += segments[i].len;
		}
	}
	library_write_header(&pair->access, rx_id, &meta);
	return true;
}

static uint16_t
library_write_packet_segments(struct weir_access *access, const uint16_t *rx_ids,
			      struct weir_access *source, const struct weir_tx_segment *segments,
			      uint16_t n_packets)
{
	struct weir_pair *pair = pair_of(access);
	struct weir_pair *from =
		source != NULL && source->ops == access->ops ? pair_of(source) : NULL;
	uint16_t i;

	for (i = 0; i < n_packets; i++, segments = weir_tx_next(segments)) {
		if (unlikely(!fits_as_it_is(pair, &segments->offload))) {
			if (!write_finished(pair, rx_ids[i], segments))
				break;
			continue; /* the mbuf stays with its sender */
		}
		if (from == NULL) {
			if (!write_copied(pair, rx_ids[i], segments))
				break;
			continue;
		}
		if (unlikely(!frame_fits(pair, segments->frame_len, &segments->offload)))
			continue; /* the mbuf stays with its sender */
		pair->rx_frame[rx_ids[i]] = from->tx_frame[segments->id];
		from->tx_frame[segments->id] = NULL;
	}
	return i;
}

static uint16_t
library_attach_frames(struct weir_access *access, const uint16_t *rx_ids, struct rte_mbuf **frames,
		      uint16_t n)
{
	struct weir_pair *pair = pair_of(access);
	struct weir_offload offload;
	uint16_t i;

	for (i = 0; i < n; i++) {
		weir_offload_from_mbuf(frames[i], &offload);
		if (likely(frame_fits(pair, frames[i]->pkt_len, &offload)))
			pair->rx_frame[rx_ids[i]] = frames[i];
		else
			rte_pktmbuf_free(frames[i]);
	}
	return n;
}

static uint16_t
library_take_frames(struct weir_access *access, const struct weir_tx_segment *segments,
		    struct rte_mbuf **frames, uint16_t n_packets)
{
	struct weir_pair *pair = pair_of(access);
	uint16_t i;

	for (i = 0; i < n_packets; i++, segments = weir_tx_next(segments)) {
		frames[i] = pair->tx_frame[segments->id];
		pair->tx_frame[segments->id] = NULL;
	}
	return n_packets;
}

static const struct weir_access_ops library_access_ops = {
	.capacity = library_capacity,
	.guest_addresses = library_guest_addresses,
	.write_data = library_write_data,
	.write_header = library_write_header,
	.write_packet = library_write_packet,
	.write_packet_segments = library_write_packet_segments,
	.attach_frames = library_attach_frames,
	.take_frames = library_take_frames,
};

const struct pair_path library_path = {
	.name = "library",
	.access = &library_access_ops,
	.open = library_open,
	.close = library_close,
	.let_go = library_let_go,
	.take = library_take,
	.done = library_done,
	.deliver = library_deliver,
	.arm = library_arm,
	.rx_blocked = library_rx_blocked,
	.rx_written = library_rx_written,
	.stats = library_stats,
};
