/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx: frames into the guest's buffers.
 *
 * Posted chains are looked at a burst ahead, fetched, checked and translated, and
 * wait in a first-in first-out queue; their first lines are on the way into the
 * cache meanwhile. Frames then take chains off its head. Chains looked at and not
 * used are not consumed as far as the guest can tell: stopping rewinds over them.
 */
#include <errno.h>

#include "copy.h"
#include "gather.h"
#include "header.h"

#define RX_FIFO_MASK (WEIR_VRING_CHAINS_MAX - 1)
#define RX_POOL_MASK (VRING_POOL - 1)
/* Source frames whose lines are asked for ahead. */
#define RX_AHEAD 4

#define VLAN_TAG_LEN 4
#define VLAN_TAG_OFFSET 12 /* behind the two addresses */
#define VLAN_TPID 0x8100

static __rte_always_inline uint32_t
rx_count(const struct weir_vring *vr)
{
	return vr->fifo_tail - vr->fifo_head;
}

static __rte_always_inline struct rx_chain *
rx_chain_at(const struct weir_vring *vr, uint32_t i)
{
	return &vr->fifo[(vr->fifo_head + i) & RX_FIFO_MASK];
}

static __rte_always_inline uint32_t
rx_n_pieces(const struct rx_chain *chain)
{
	return likely(chain->plain_len > 0) ? 1 : chain->n_pieces;
}

/* Bytes of all pieces. */
static uint32_t
rx_total(const struct rx_chain *chain)
{
	return chain->plain_len > 0 ? chain->plain_len : chain->total;
}

static struct piece
rx_piece(const struct weir_vring *vr, const struct rx_chain *chain, uint32_t i)
{
	if (chain->plain_len > 0)
		return (struct piece){.addr = chain->addr, .len = chain->plain_len};
	if (i == 0)
		return (struct piece){.addr = chain->addr, .len = chain->first_len};
	return vr->pool[(chain->pool + i - 1) & RX_POOL_MASK];
}

/* A chain of any shape: the slow way. */
static bool
rx_look_chain(struct weir_vring *vr, const struct head *head, struct rx_chain *chain)
{
	struct gather g;
	uint32_t i;

	if (!gather(vr, head, &g))
		return false;
	if (g.total < vr->header_len) { /* 5.1.6.3.1 */
		vring_fail(vr, WEIR_VRING_SHORT_HEADER);
		return false;
	}
	/* What a chain has beyond WEIR_VRING_SEGMENTS_MAX pieces stays unused. */
	chain->addr = vr->scratch[0].addr;
	chain->plain_len = g.n_pieces == 1 ? g.total : 0;
	chain->first_len = vr->scratch[0].len;
	chain->total = RTE_MIN(g.total, UINT32_MAX);
	chain->id = g.id;
	chain->n_descs = g.n_descs;
	chain->n_pieces = g.n_pieces;
	chain->pool = vr->pool_tail;
	for (i = 1; i < g.n_pieces; i++)
		vr->pool[vr->pool_tail++ & RX_POOL_MASK] = vr->scratch[i];
	return true;
}

/* Ring descriptors of the chains in the queue. */
static uint32_t
rx_descs(const struct weir_vring *vr)
{
	uint32_t n = 0, i;

	for (i = 0; i < rx_count(vr); i++)
		n += rx_chain_at(vr, i)->n_descs;
	return n;
}

/* What of a descriptor's flags tells whether the quick way takes it. */
#define RX_FLAGS (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)

/*
 * The quick way: a run of single plain descriptors in the region looked at last.
 * Returns its length; *special tells that it ended at @p special_head, which was
 * fetched and needs the slow way.
 */
static __rte_always_inline uint32_t
rx_look_run(struct weir_vring *vr, uint32_t n, struct head *special_head, bool *special,
	    const bool packed)
{
	const uint32_t header_len = vr->header_len, tail = vr->fifo_tail;
	const uint64_t guest = vr->cache_guest, size = vr->cache_size;
	uint8_t *const base = vr->cache_host;
	struct rx_chain *const fifo = vr->fifo;
	const bool stand = vr->headers_stand;
	struct ring_end end = ring_end(vr, packed);
	uint32_t run;

	*special = false;
	for (run = 0; run < n; run++) {
		struct rx_chain *chain = &fifo[(tail + run) & RX_FIFO_MASK];
		struct head head;
		uint64_t offset;
		uint8_t *host;

		if (!ring_fetch(vr, &end, &head, packed))
			break;
		offset = head.addr - guest;
		if (unlikely((head.flags & RX_FLAGS) != VRING_DESC_F_WRITE ||
			     head.len < header_len || offset >= size || head.len > size - offset)) {
			*special_head = head;
			*special = true;
			break;
		}
		host = base + offset;
		if (stand && ((uintptr_t)host + header_len) % RTE_CACHE_LINE_SIZE == 0)
			rte_prefetch0(host);
		else
			rte_prefetch0_write(host);
		rte_prefetch0_write(host + RTE_CACHE_LINE_SIZE);
		chain->addr = host;
		chain->plain_len = head.len;
		chain->id = head.id;
		chain->n_descs = 1;
		ring_step(&end, packed);
	}
	vr->avail_idx = end.idx;
	vr->avail_wrap = end.wrap;
	vr->fifo_tail = tail + run;
	return run;
}

/* Have at least @p want chains in the queue, if the guest has posted them. */
static __rte_always_inline void
rx_look(struct weir_vring *vr, uint32_t want, const bool packed)
{
	uint32_t n = rx_count(vr);
	struct rx_chain *chain;
	struct head head;
	bool special;

	if (want > WEIR_VRING_CHAINS_MAX)
		want = WEIR_VRING_CHAINS_MAX;
	if (n >= want || unlikely(vr->error != WEIR_VRING_OK))
		return;
	n = ring_available(vr, want - n, packed);
	while (n > 0) {
		n -= rx_look_run(vr, n, &head, &special, packed);
		if (!special)
			break;
		if (VRING_POOL - (vr->pool_tail - vr->pool_head) < WEIR_VRING_SEGMENTS_MAX)
			break;
		chain = &vr->fifo[vr->fifo_tail & RX_FIFO_MASK];
		if (!rx_look_chain(vr, &head, chain))
			break;
		ring_advance(vr, chain->n_descs, packed);
		vr->fifo_tail++;
		n--;
	}
	/* A packed ring has no more descriptors than it has (2.7.17). */
	if (packed && unlikely(rx_count(vr) > vr->size || rx_descs(vr) > vr->size))
		vring_fail(vr, WEIR_VRING_AVAIL_JUMP);
}

static void
rx_look_any(struct weir_vring *vr, uint32_t want)
{
	if (vr->packed)
		rx_look(vr, want, true);
	else
		rx_look(vr, want, false);
}

/* Give the oldest chain to the guest with @p len bytes in it. */
static __rte_always_inline void
rx_use(struct weir_vring *vr, uint32_t len, const bool packed)
{
	const struct rx_chain *chain = rx_chain_at(vr, 0);

	ring_use(vr, chain->id, len, chain->n_descs, packed);
	vr->pool_head += rx_n_pieces(chain) - 1;
	vr->fifo_head++;
}

/* A place in the bytes of the queue's chains, one after the other. */
struct rx_cursor {
	uint32_t chain;
	uint32_t piece;
	struct piece at; /* what is left of the piece */
};

static void
rx_cursor_init(const struct weir_vring *vr, struct rx_cursor *cursor)
{
	*cursor = (struct rx_cursor){.at = rx_piece(vr, rx_chain_at(vr, 0), 0)};
}

/*
 * The next bytes, at most @p max and in one piece, and step over them; a length of 0
 * at the end: of the queue, or without mergeable buffers of the first chain.
 */
static struct piece
rx_cursor_next(const struct weir_vring *vr, struct rx_cursor *cursor, uint32_t max)
{
	struct piece part;

	while (cursor->at.len == 0) {
		if (++cursor->piece == rx_n_pieces(rx_chain_at(vr, cursor->chain))) {
			if (!vr->mergeable || ++cursor->chain >= rx_count(vr)) {
				cursor->piece--;
				return (struct piece){.addr = NULL};
			}
			cursor->piece = 0;
		}
		cursor->at = rx_piece(vr, rx_chain_at(vr, cursor->chain), cursor->piece);
	}
	part = (struct piece){.addr = cursor->at.addr, .len = RTE_MIN(max, cursor->at.len)};
	cursor->at.addr += part.len;
	cursor->at.len -= part.len;
	return part;
}

static void
rx_cursor_skip(const struct weir_vring *vr, struct rx_cursor *cursor, uint32_t len)
{
	struct piece part;

	for (; len > 0; len -= part.len) {
		part = rx_cursor_next(vr, cursor, len);
		if (part.len == 0)
			break;
	}
}

/* Copy, or with @p data NULL only log what somebody wrote himself. */
static void
rx_cursor_write(const struct weir_vring *vr, struct rx_cursor *cursor, const uint8_t *data,
		uint32_t len)
{
	struct piece part;

	for (; len > 0; len -= part.len) {
		part = rx_cursor_next(vr, cursor, len);
		if (part.len == 0)
			break;
		if (data != NULL) {
			copy_bytes(part.addr, data, part.len);
			data += part.len;
		}
		if (vr->log != NULL)
			dirty_mark(vr, part.addr, part.len);
	}
}

/*
 * Chains that a frame with its header takes: 0 with the reason, 0 too when it is to
 * be dropped.
 */
static uint32_t
rx_chains_for(struct weir_vring *vr, uint64_t need, int *reason)
{
	uint64_t have = 0;
	uint32_t n;

	for (n = 0;; n++) {
		if (n == rx_count(vr))
			rx_look_any(vr, 2 * n + 1);
		if (n == rx_count(vr))
			break;
		have += rx_total(rx_chain_at(vr, n));
		if (have >= need)
			return n + 1;
		if (!vr->mergeable) { /* one buffer a frame (5.1.6.4.1) */
			*reason = -EMSGSIZE;
			return 0;
		}
	}
	/*
	 * A guest posts more when it gets something, and drivers wait until half of
	 * the ring is theirs: waiting longer may be waiting for ever.
	 */
	*reason = n == WEIR_VRING_CHAINS_MAX || (n > 0 && 2 * rx_descs(vr) >= vr->size) ? -EMSGSIZE
											: -ENOBUFS;
	return 0;
}

/*
 * Write one frame of any shape into chains of any shape. Segments NULL: the bytes are
 * in place. As weir_vring_rx_write_header().
 */
static int
rx_write(struct weir_vring *vr, const struct weir_tx_segment *segments, uint32_t frame_len,
	 const struct weir_offload *offload)
{
	struct rx_cursor cursor;
	uint8_t header[VRING_HEADER_MAX];
	uint64_t need = (uint64_t)vr->header_len + frame_len;
	uint32_t n_chains, len, left;
	uint16_t n_buffers;
	int reason = 0;

	if (unlikely(vr->error != WEIR_VRING_OK))
		return -EIO;
	if (!header_make(vr, offload, header)) {
		weir_count(&vr->stats.rx_dropped_offload, 1);
		return -EOPNOTSUPP;
	}
	n_chains = rx_chains_for(vr, need, &reason);
	if (unlikely(vr->error != WEIR_VRING_OK))
		return -EIO;
	if (n_chains == 0) {
		if (reason == -EMSGSIZE)
			weir_count(&vr->stats.rx_dropped_long, 1);
		return reason;
	}
	n_buffers = n_chains;
	memcpy(header + WEIR_OFFLOAD_VNET_SIZE, &n_buffers, sizeof(n_buffers));
	rx_cursor_init(vr, &cursor);
	rx_cursor_write(vr, &cursor, header, vr->header_len);
	if (segments == NULL)
		rx_cursor_write(vr, &cursor, NULL, frame_len);
	for (left = segments != NULL ? frame_len : 0; left > 0; left -= len, segments++) {
		len = RTE_MIN(left, segments->len);
		rx_cursor_write(vr, &cursor, segments->addr, len);
	}
	weir_count(&vr->stats.rx_packets, 1);
	weir_count(&vr->stats.rx_bytes, frame_len);
	/* All buffers but the last are filled to their end (5.1.6.4.1). */
	for (; n_chains > 0; n_chains--, need -= len) {
		len = RTE_MIN(need, rx_total(rx_chain_at(vr, 0)));
		if (vr->packed)
			rx_use(vr, len, true);
		else
			rx_use(vr, len, false);
	}
	return 0;
}

/* A frame whose tag is beside it: put it between the addresses and the rest. */
static int
rx_write_tagged(struct weir_vring *vr, const struct weir_tx_segment *segments)
{
	struct weir_tx_segment tagged[3 + WEIR_VRING_SEGMENTS_MAX];
	struct weir_offload offload = segments->offload;
	uint8_t front[VLAN_TAG_OFFSET + VLAN_TAG_LEN];
	uint32_t n = segments->n_segments, i, have = 0, part;

	if (n > WEIR_VRING_SEGMENTS_MAX || segments->frame_len < VLAN_TAG_OFFSET) {
		weir_count(&vr->stats.rx_dropped_offload, 1);
		return -EOPNOTSUPP;
	}
	tagged[0] = (struct weir_tx_segment){.addr = front, .len = sizeof(front)};
	for (i = 0; have < VLAN_TAG_OFFSET; i++) {
		part = RTE_MIN(VLAN_TAG_OFFSET - have, segments[i].len);
		memcpy(&front[have], segments[i].addr, part);
		have += part;
		tagged[1].addr = (const uint8_t *)segments[i].addr + part;
		tagged[1].len = segments[i].len - part;
	}
	front[12] = VLAN_TPID >> 8;
	front[13] = VLAN_TPID & 0xff;
	front[14] = offload.vlan_tci >> 8;
	front[15] = offload.vlan_tci & 0xff;
	for (part = 2; i < n; i++)
		tagged[part++] = segments[i];
	if (offload.flags & WEIR_OFFLOAD_NEEDS_CSUM)
		offload.csum_start += VLAN_TAG_LEN;
	if (offload.hdr_len != 0)
		offload.hdr_len += VLAN_TAG_LEN;
	return rx_write(vr, tagged, segments->frame_len + VLAN_TAG_LEN, &offload);
}

static int
rx_write_slow(struct weir_vring *vr, const struct weir_tx_segment *segments)
{
	if (segments->offload.flags & WEIR_OFFLOAD_VLAN)
		return rx_write_tagged(vr, segments);
	return rx_write(vr, segments, segments->frame_len, &segments->offload);
}

/* n_segments of 1 and no flags and no gso_type, as they lie in a head: see below. */
#define RX_PLAIN 1U

_Static_assert(offsetof(struct weir_tx_segment, offload) ==
		       offsetof(struct weir_tx_segment, n_segments) + sizeof(uint16_t),
	       "n_segments, flags and gso_type are read as one");

/*
 * The quick way: a run of frames in one piece that claim nothing, into chains in one
 * piece that are in the queue. Returns its length.
 */
static __rte_always_inline uint32_t
rx_write_run(struct weir_vring *vr, const struct weir_tx_segment *segments, uint32_t n,
	     const bool packed)
{
	const uint32_t header_len = vr->header_len, head = vr->fifo_head, size = vr->size;
	const struct rx_chain *const fifo = vr->fifo;
	struct vring_packed_desc *const ring = vr->ring;
	struct vring_used_elem *const used = packed ? NULL : vr->used->ring;
	const uint32_t most = RTE_MIN(n, rx_count(vr));
	uint64_t flags = vr->used_wrap ? VRING_PACKED_AVAIL | VRING_PACKED_USED : 0;
	uint32_t idx = vr->used_idx, run;
	bool stand = vr->headers_stand;
	uint64_t bytes = 0;

	for (run = 0; run < most; run++) {
		const struct rx_chain *chain = &fifo[(head + run) & RX_FIFO_MASK];
		const struct weir_tx_segment *segment = &segments[run];
		uint32_t len = header_len + segment->frame_len;
		uint8_t *to = chain->addr;
		uint64_t word;

		if (n - run > RX_AHEAD) {
			rte_prefetch0(segment[RX_AHEAD].addr);
			rte_prefetch0((const uint8_t *)segment[RX_AHEAD].addr +
				      RTE_CACHE_LINE_SIZE);
		}
		if (unlikely(*(const guest_32 *)&segment->n_segments != RX_PLAIN ||
			     len > chain->plain_len || (packed && chain->n_descs != 1)))
			break;
		stand = header_write_plain(to, header_len);
		copy_bytes(to + header_len, segment->addr, segment->frame_len);
		bytes += segment->frame_len;
		/* As ring_use(). */
		if (packed) {
			word = len | (uint64_t)chain->id << 32 | (flags | VRING_DESC_F_WRITE) << 48;
			if (run == 0 && vr->pending == 0) {
				vr->first_idx = idx;
				vr->first_word = word;
			} else {
				__atomic_store_n((ring_64 *)(void *)&ring[idx].len, word,
						 __ATOMIC_RELEASE);
			}
			if (++idx == size) {
				idx = 0;
				flags ^= VRING_PACKED_AVAIL | VRING_PACKED_USED;
			}
		} else {
			*(guest_64 *)(void *)&used[idx & (size - 1)] = chain->id | (uint64_t)len
											   << 32;
			idx++;
		}
	}
	vr->used_idx = idx;
	vr->used_wrap = flags != 0;
	vr->headers_stand = stand;
	vr->pending += run;
	vr->fifo_head = head + run;
	weir_count(&vr->stats.rx_packets, run);
	weir_count(&vr->stats.rx_bytes, bytes);
	return run;
}

/* As weir_vring_rx_write_plain(). */
static __rte_always_inline uint32_t
rx_write_plain(struct weir_vring *vr, const struct weir_tx_segment *segments, uint32_t n,
	       const bool packed)
{
	uint32_t i = 0, run;

	/* Who logs pages goes the slow way, where that is done. */
	if (unlikely(vr->error != WEIR_VRING_OK || vr->log != NULL))
		return 0;
	do {
		if (rx_count(vr) == 0)
			rx_look(vr, n - i, packed);
		run = rx_write_run(vr, &segments[i], n - i, packed);
		i += run;
	} while (i < n && run > 0 && rx_count(vr) == 0);
	return i;
}

static __rte_always_inline uint16_t
rx_write_packets(struct weir_vring *vr, const struct weir_tx_segment *segments, uint16_t n,
		 const bool packed)
{
	uint32_t i = 0, run;
	int ret;

	while (i < n && likely(vr->error == WEIR_VRING_OK)) {
		run = rx_write_plain(vr, segments, n - i, packed);
		segments += run;
		i += run;
		if (i == n)
			break;
		ret = rx_write_slow(vr, segments);
		if (ret == -ENOBUFS || ret == -EIO)
			break;
		segments = weir_tx_next(segments);
		i++;
	}
	return i;
}

uint16_t
weir_vring_rx_posted(struct weir_vring *vr, uint16_t max)
{
	rx_look_any(vr, max);
	if (vr->error != WEIR_VRING_OK)
		return 0;
	return RTE_MIN(max, rx_count(vr));
}

uint32_t
weir_vring_rx_capacity(struct weir_vring *vr)
{
	const uint64_t most = (uint64_t)WEIR_FRAME_LEN_MAX + vr->header_len;
	uint64_t have = 0;
	uint32_t n;

	for (n = 0; have < most; n++) {
		if (n == rx_count(vr))
			rx_look_any(vr, 2 * n + 1);
		if (vr->error != WEIR_VRING_OK)
			return 0;
		if (n == rx_count(vr) || (n > 0 && !vr->mergeable))
			break;
		have += rx_total(rx_chain_at(vr, n));
	}
	return n == 0 ? 0 : RTE_MIN(most, have) - vr->header_len;
}

unsigned int
weir_vring_rx_addresses(struct weir_vring *vr, uint32_t max_len, struct iovec *iov, unsigned int n)
{
	struct rx_cursor cursor;
	struct piece part;
	unsigned int i;

	max_len = RTE_MIN(max_len, weir_vring_rx_capacity(vr));
	if (max_len == 0)
		return 0;
	rx_cursor_init(vr, &cursor);
	rx_cursor_skip(vr, &cursor, vr->header_len);
	for (i = 0; i < n && max_len > 0; i++, max_len -= part.len) {
		part = rx_cursor_next(vr, &cursor, max_len);
		if (part.len == 0)
			break;
		iov[i] = (struct iovec){.iov_base = part.addr, .iov_len = part.len};
	}
	return i;
}

int
weir_vring_rx_write_data(struct weir_vring *vr, uint32_t offset, const void *data, uint32_t len)
{
	uint64_t need = (uint64_t)vr->header_len + offset + len;
	struct rx_cursor cursor;
	int reason = 0;

	if (vr->error != WEIR_VRING_OK)
		return -EIO;
	if (rx_chains_for(vr, need, &reason) == 0)
		return vr->error != WEIR_VRING_OK ? -EIO : reason;
	rx_cursor_init(vr, &cursor);
	rx_cursor_skip(vr, &cursor, vr->header_len + offset);
	rx_cursor_write(vr, &cursor, data, len);
	return 0;
}

int
weir_vring_rx_write_header(struct weir_vring *vr, const struct weir_rx_meta *meta)
{
	if (vr->error != WEIR_VRING_OK)
		return -EIO;
	if (meta->offload.flags & WEIR_OFFLOAD_VLAN) {
		weir_count(&vr->stats.rx_dropped_offload, 1);
		return -EOPNOTSUPP;
	}
	return rx_write(vr, NULL, meta->len, &meta->offload);
}

int
weir_vring_rx_write_packet(struct weir_vring *vr, const struct weir_rx_meta *meta, const void *data)
{
	struct weir_tx_segment segment = {
		.addr = data,
		.len = meta->len,
		.frame_len = meta->len,
		.n_segments = 1,
		.offload = meta->offload,
	};

	if (vr->error != WEIR_VRING_OK)
		return -EIO;
	return rx_write_slow(vr, &segment);
}

uint16_t
weir_vring_rx_write_packets(struct weir_vring *vr, const struct weir_tx_segment *segments,
			    uint16_t n_packets)
{
	if (vr->packed)
		return rx_write_packets(vr, segments, n_packets, true);
	return rx_write_packets(vr, segments, n_packets, false);
}

uint16_t
weir_vring_rx_write_plain(struct weir_vring *vr, const struct weir_tx_segment *segments,
			  uint16_t n_packets)
{
	if (vr->packed)
		return rx_write_plain(vr, segments, n_packets, true);
	return rx_write_plain(vr, segments, n_packets, false);
}

void
weir_vring_rx_commit(struct weir_vring *vr)
{
	if (vr->packed)
		ring_publish(vr, true);
	else
		ring_publish(vr, false);
}
