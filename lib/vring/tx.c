/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx: from the guest's descriptors to segments.
 *
 * A burst is taken in groups, each in two passes. The first fetches descriptors,
 * translates them and starts loading the frames' first lines; the second reads the
 * virtio-net headers, when the lines are here: misses overlap instead of adding up.
 * A guest that has negotiated nothing to say in a header is spared the second.
 */
#include "gather.h"
#include "header.h"
#include "tx.h"

#define TX_GROUP 32
/*
 * Descriptors walked before a call ends early: bounds what a guest of long chains
 * makes of one call. A guest of plain ones never meets it.
 */
#define TX_WALK_MAX 8192

struct tx_group {
	uint32_t n;				  /* packets */
	uint32_t n_segments;			  /* of all of them */
	uint64_t bytes;				  /* likewise */
	uint32_t at[TX_GROUP];			  /* index of the head among the group's segments */
	const uint8_t *header[TX_GROUP];	  /* where it is to be read */
	uint8_t copy[TX_GROUP][VRING_HEADER_MAX]; /* of headers that are in pieces */
};

/* In order: what id comes @p behind the oldest that is held. */
static __rte_always_inline void
tx_remember(struct weir_vring *vr, uint32_t behind, uint16_t id)
{
	uint32_t at = vr->order_head + behind;

	vr->order[at >= vr->size ? at - vr->size : at] = id;
}

/* Name a fetched chain; false when it breaks the ring. */
static __rte_always_inline bool
tx_hold(struct weir_vring *vr, uint16_t buffer, uint16_t n_descs, uint16_t *id, const bool packed)
{
	if (packed) {
		/* As many chains as descriptors are there to be taken (2.7.16). */
		if (unlikely(vr->n_free == 0)) {
			vring_fail(vr, WEIR_VRING_AVAIL_JUMP);
			return false;
		}
		*id = vr->free_ids[--vr->n_free];
	} else {
		*id = buffer;
		/* A descriptor is the device's until it is used (2.6.13, 2.6.14). */
		if (unlikely(vr->slots[buffer].n_descs != 0)) {
			vring_fail(vr, WEIR_VRING_HEAD_HELD);
			return false;
		}
	}
	vr->slots[*id] = (struct tx_slot){.buffer = buffer, .n_descs = n_descs};
	if (vr->in_order)
		tx_remember(vr, vr->n_held, *id);
	vr->n_held++;
	return true;
}

enum tx_look {
	TX_LOOK_PACKET,
	TX_LOOK_DROPPED, /* consumed, counted, given back */
	TX_LOOK_NO_ROOM, /* left where it is */
	TX_LOOK_BROKEN,
};

/* A chain of any shape: the slow way. */
static enum tx_look
tx_look_chain(struct weir_vring *vr, const struct head *head, struct tx_group *group,
	      struct weir_tx_segment *segments, uint32_t *n_segments, uint32_t room,
	      uint32_t *walked)
{
	const struct piece *piece = vr->scratch;
	struct weir_tx_segment *segment = &segments[*n_segments];
	uint32_t skip = vr->header_len, have = 0, part, left, i;
	uint8_t *copy = group->copy[group->n];
	uint64_t *reason = NULL;
	struct gather g;
	uint16_t id;

	if (!gather(vr, head, &g))
		return TX_LOOK_BROKEN;
	*walked += g.walked;
	if (!g.too_many && g.total < vr->header_len) { /* 5.1.6.2 */
		vring_fail(vr, WEIR_VRING_SHORT_HEADER);
		return TX_LOOK_BROKEN;
	}
	if (g.too_many || g.total - vr->header_len > WEIR_FRAME_LEN_MAX)
		reason = &vr->stats.tx_dropped_long; /* a limit we may have (2.6.4.1) */
	else if (g.total - vr->header_len < FRAME_LEN_MIN)
		reason = &vr->stats.tx_dropped_short;
	else if (g.n_pieces > room - *n_segments)
		return TX_LOOK_NO_ROOM;
	if (!tx_hold(vr, g.id, g.n_descs, &id, vr->packed))
		return TX_LOOK_BROKEN;
	ring_advance(vr, g.n_descs, vr->packed);
	if (reason != NULL) {
		weir_count(reason, 1);
		tx_complete(vr, id);
		return TX_LOOK_DROPPED;
	}
	/* The header: in one piece it is read later, where it lies. */
	if (piece->len >= skip) {
		group->header[group->n] = piece->addr;
		rte_prefetch0(piece->addr);
	} else {
		group->header[group->n] = copy;
		for (left = skip; left > 0; piece++) {
			part = RTE_MIN(left, piece->len);
			for (i = 0; i < part; i++)
				copy[have++] = *(const volatile uint8_t *)&piece->addr[i];
			left -= part;
		}
		piece = vr->scratch;
	}
	group->at[group->n++] = *n_segments;
	for (left = g.n_pieces; left > 0; left--, piece++) {
		part = RTE_MIN(skip, piece->len);
		skip -= part;
		if (part == piece->len)
			continue;
		segments[(*n_segments)++] = (struct weir_tx_segment){
			.addr = piece->addr + part,
			.len = piece->len - part,
		};
	}
	segment->id = id;
	segment->frame_len = g.total - vr->header_len;
	segment->n_segments = &segments[*n_segments] - segment;
	segment->offload = (struct weir_offload){0};
	group->bytes += segment->frame_len;
	return TX_LOOK_PACKET;
}

/* What a chain is that the quick way does not take. */
#define TX_SPECIAL (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)

/*
 * The quick way: a run of single plain descriptors in the region looked at last, a
 * segment each. Returns its length; *special tells that it ended at @p special_head,
 * which was fetched and needs the slow way.
 */
static __rte_always_inline uint32_t
tx_look_run(struct weir_vring *vr, struct tx_group *group, struct weir_tx_segment *segments,
	    uint32_t n, struct head *special_head, bool *special, const bool packed)
{
	const uint32_t header_len = vr->header_len;
	const uint64_t guest = vr->cache_guest, size = vr->cache_size;
	uint8_t *const base = vr->cache_host;
	struct tx_slot *const slots = vr->slots;
	const uint16_t *const free_ids = vr->free_ids;
	const bool claims = vr->claims;
	const uint8_t **header = &group->header[group->n];
	struct ring_end end = ring_end(vr, packed);
	uint32_t run, n_free = vr->n_free;
	uint64_t bytes = 0;

	*special = false;
	for (run = 0; run < n; run++) {
		struct weir_tx_segment *segment = &segments[run];
		struct head head;
		uint64_t offset;
		uint32_t len;
		uint8_t *host;

		if (!ring_fetch(vr, &end, &head, packed))
			break;
		offset = head.addr - guest;
		len = head.len - header_len;
		if (unlikely((head.flags & TX_SPECIAL) != 0 ||
			     len - FRAME_LEN_MIN > WEIR_FRAME_LEN_MAX - FRAME_LEN_MIN ||
			     offset >= size || head.len > size - offset)) {
			*special_head = head;
			*special = true;
			break;
		}
		host = base + offset;
		rte_prefetch0(claims ? host : host + header_len);
		rte_prefetch0(host + RTE_CACHE_LINE_SIZE);
		/* As tx_hold(). */
		if (packed) {
			if (unlikely(n_free == 0)) {
				vring_fail(vr, WEIR_VRING_AVAIL_JUMP);
				break;
			}
			segment->id = free_ids[--n_free];
		} else {
			if (unlikely(slots[head.id].n_descs != 0)) {
				vring_fail(vr, WEIR_VRING_HEAD_HELD);
				break;
			}
			segment->id = head.id;
		}
		slots[segment->id] = (struct tx_slot){.buffer = head.id, .n_descs = 1};
		segment->addr = host + header_len;
		segment->len = len;
		segment->frame_len = len;
		segment->n_segments = 1;
		segment->offload = (struct weir_offload){0};
		header[run] = host;
		bytes += len;
		ring_step(&end, packed);
	}
	for (n = 0; vr->in_order && n < run; n++)
		tx_remember(vr, vr->n_held + n, segments[n].id);
	group->bytes += bytes;
	vr->n_free = n_free;
	vr->n_held += run;
	vr->avail_idx = end.idx;
	vr->avail_wrap = end.wrap;
	return run;
}

/*
 * First pass: at most @p n chains, of which group->n are packets. Returns the chains
 * consumed; fewer than n when there are no more, or no more fit.
 */
static __rte_always_inline uint32_t
tx_look(struct weir_vring *vr, struct tx_group *group, struct weir_tx_segment *segments,
	uint32_t room, uint32_t n, uint32_t *walked, const bool packed)
{
	uint32_t looked = 0, n_segments = 0, run, i;
	enum tx_look look;
	struct head head;
	bool special;

	group->n = 0;
	group->bytes = 0;
	n = ring_available(vr, n, packed);
	while (looked < n && *walked < TX_WALK_MAX && n_segments < room) {
		run = tx_look_run(vr, group, &segments[n_segments],
				  RTE_MIN(n - looked, room - n_segments), &head, &special, packed);
		looked += run;
		for (i = 0; i < run; i++)
			group->at[group->n++] = n_segments++;
		if (!special)
			break;
		look = tx_look_chain(vr, &head, group, segments, &n_segments, room, walked);
		if (look == TX_LOOK_NO_ROOM || look == TX_LOOK_BROKEN)
			break;
		looked++;
	}
	group->n_segments = n_segments;
	return looked;
}

/*
 * Second pass: read the headers, of a guest that may claim something in them. A packet
 * whose header is wrong is dropped and those behind it move up.
 */
static __rte_always_inline void
tx_read_headers(struct weir_vring *vr, struct tx_group *group, struct weir_tx_segment *segments)
{
	uint32_t kept = 0, to = 0, i, j;

	for (i = 0; i < group->n; i++) {
		struct weir_tx_segment *segment = &segments[group->at[i]];
		uint16_t n = segment->n_segments;

		if (unlikely(!header_read(vr, group->header[i], segment->frame_len,
					  &segment->offload))) {
			weir_count(&vr->stats.tx_dropped_offload, 1);
			group->bytes -= segment->frame_len;
			tx_complete(vr, segment->id);
			continue;
		}
		if (unlikely(to != group->at[i]))
			for (j = 0; j < n; j++)
				segments[to + j] = segment[j];
		to += n;
		kept++;
	}
	group->n = kept;
	group->n_segments = to;
}

static __rte_always_inline uint16_t
tx_take(struct weir_vring *vr, struct weir_tx_segment *segments, uint32_t max_segments, uint16_t n,
	const bool packed)
{
	uint32_t walked = 0, taken = 0, looked, want;
	struct tx_group group;

	while (n > 0 && likely(vr->error == WEIR_VRING_OK)) {
		want = RTE_MIN(n, TX_GROUP);
		looked = tx_look(vr, &group, segments, max_segments, want, &walked, packed);
		if (vr->claims)
			tx_read_headers(vr, &group, segments);
		taken += group.n;
		weir_count(&vr->stats.tx_packets, group.n);
		weir_count(&vr->stats.tx_bytes, group.bytes);
		segments += group.n_segments;
		max_segments -= group.n_segments;
		n -= looked;
		if (looked < want)
			break;
	}
	ring_publish(vr, packed);
	return taken;
}

uint16_t
weir_vring_tx_take(struct weir_vring *vr, struct weir_tx_segment *segments, uint32_t max_segments,
		   uint16_t n_packets)
{
	if (vr->packed)
		return tx_take(vr, segments, max_segments, n_packets, true);
	return tx_take(vr, segments, max_segments, n_packets, false);
}

#define DESCS_A_LINE (RTE_CACHE_LINE_SIZE / sizeof(struct vring_packed_desc))

bool
weir_vring_tx_has(const struct weir_vring *vr, uint16_t n)
{
	uint32_t i, at = vr->avail_idx;

	if (n == 0 || n > vr->size || vr->error != WEIR_VRING_OK)
		return n == 0;
	if (!vr->packed)
		return (uint16_t)(load_acquire_16(&vr->avail->idx) - at) >= n;
	if (!ring_is_posted(vr, n - 1))
		return false;
	for (i = 0; i < n; i += DESCS_A_LINE, at += DESCS_A_LINE)
		rte_prefetch0(&vr->ring[at < vr->size ? at : at - vr->size]);
	return true;
}
