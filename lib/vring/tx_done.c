/* SPDX-License-Identifier: BSD-3-Clause */
/* tx: the guest's descriptors go back to it. */
#include "ring.h"
#include "tx.h"

/* The id of the next packet to complete: of @p ids, or when that is NULL of the heads. */
static __rte_always_inline uint16_t
tx_next_id(const uint16_t **ids, const struct weir_tx_segment **segments)
{
	uint16_t id;

	if (*ids != NULL)
		return *(*ids)++;
	id = (*segments)->id;
	*segments = weir_tx_next(*segments);
	return id;
}

/* Packets that leave a ring in order, the oldest first. */
struct tx_leaving {
	uint32_t head, held, n_free; /* as the ring's */
	uint32_t n;		     /* chains when split, descriptors when packed */
	uint16_t last;		     /* the one that left last, as tx_slot.buffer */
};

static __rte_always_inline void
tx_leave(struct weir_vring *vr, uint16_t id, struct tx_leaving *leaving, const bool packed)
{
	leaving->last = vr->slots[id].buffer;
	leaving->n += packed ? vr->slots[id].n_descs : 1;
	vr->slots[id].n_descs = 0;
	vr->done[id] = false;
	if (packed)
		vr->free_ids[leaving->n_free++] = id;
	if (++leaving->head == vr->size)
		leaving->head = 0;
	leaving->held--;
}

/*
 * In order: what is done waits for those before it, and what does not wait any more is one
 * used element for all, which names the last of them (virtio 1.1, 2.6.9, 2.7.8). Most leave
 * as they came.
 */
static __rte_always_inline void
tx_done_in_order(struct weir_vring *vr, const uint16_t *ids, const struct weir_tx_segment *segments,
		 uint16_t n, const bool packed)
{
	struct tx_leaving leaving = {
		.head = vr->order_head, .held = vr->n_held, .n_free = vr->n_free};

	for (; n > 0; n--) {
		uint16_t id = tx_next_id(&ids, &segments);

		if (likely(leaving.held > 0 && id == vr->order[leaving.head]))
			tx_leave(vr, id, &leaving, packed);
		else if (id < vr->size && vr->slots[id].n_descs > 0)
			vr->done[id] = true;
	}
	while (leaving.held > 0 && unlikely(vr->done[vr->order[leaving.head]]))
		tx_leave(vr, vr->order[leaving.head], &leaving, packed);
	vr->order_head = leaving.head;
	vr->n_held = leaving.held;
	vr->n_free = leaving.n_free;
	if (leaving.n > 0)
		ring_use_batch(vr, leaving.last, leaving.n, packed);
}

/* In any order: an element for each. */
static __rte_always_inline void
tx_done_any_order(struct weir_vring *vr, const uint16_t *ids,
		  const struct weir_tx_segment *segments, uint16_t n, const bool packed)
{
	struct vring_used_elem *const used = packed ? NULL : vr->used->ring;
	struct vring_packed_desc *const ring = vr->ring;
	struct tx_slot *const slots = vr->slots;
	uint16_t *const free_ids = vr->free_ids;
	const uint32_t size = vr->size;
	const bool logs = vr->log != NULL;
	uint64_t flags = vr->used_wrap ? VRING_PACKED_AVAIL | VRING_PACKED_USED : 0, word;
	uint32_t idx = vr->used_idx, pending = vr->pending, n_free = vr->n_free, done = 0;

	for (; n > 0; n--) {
		uint16_t id = tx_next_id(&ids, &segments);
		struct vring_used_elem *elem;
		struct tx_slot slot;

		if (unlikely(id >= size || slots[id].n_descs == 0))
			continue;
		slot = slots[id];
		slots[id].n_descs = 0;
		done++;
		if (!packed) {
			elem = &used[idx++ & (size - 1)];
			*(guest_64 *)(void *)elem = id;
			if (unlikely(logs))
				dirty_mark(vr, elem, sizeof(*elem));
			pending++;
			continue;
		}
		free_ids[n_free++] = id;
		word = (uint64_t)slot.buffer << 32 | flags << 48;
		if (pending == 0) {
			vr->first_idx = idx;
			vr->first_word = word;
		} else {
			__atomic_store_n((ring_64 *)(void *)&ring[idx].len, word, __ATOMIC_RELEASE);
			if (unlikely(logs))
				dirty_mark(vr, &ring[idx], sizeof(*ring));
		}
		pending += slot.n_descs;
		idx += slot.n_descs;
		if (idx >= size) {
			idx -= size;
			flags ^= VRING_PACKED_AVAIL | VRING_PACKED_USED;
		}
	}
	vr->used_idx = idx;
	vr->used_wrap = flags != 0;
	vr->pending = pending;
	vr->n_free = n_free;
	vr->n_held -= done;
}

/* Packets are done, named by @p ids, or when that is NULL by their heads. */
static __rte_always_inline void
tx_done(struct weir_vring *vr, const uint16_t *ids, const struct weir_tx_segment *segments,
	uint16_t n, const bool packed)
{
	if (vr->in_order)
		tx_done_in_order(vr, ids, segments, n, packed);
	else
		tx_done_any_order(vr, ids, segments, n, packed);
}

void
tx_complete(struct weir_vring *vr, uint16_t id)
{
	if (vr->packed)
		tx_done(vr, &id, NULL, 1, true);
	else
		tx_done(vr, &id, NULL, 1, false);
}

/* Likewise, and shown. */
static __rte_always_inline void
tx_done_shown(struct weir_vring *vr, const uint16_t *ids, const struct weir_tx_segment *segments,
	      uint16_t n, const bool packed)
{
	if (unlikely(vr->error != WEIR_VRING_OK))
		return;
	tx_done(vr, ids, segments, n, packed);
	ring_publish(vr, packed);
}

void
weir_vring_tx_done(struct weir_vring *vr, const uint16_t *ids, uint16_t n)
{
	if (vr->packed)
		tx_done_shown(vr, ids, NULL, n, true);
	else
		tx_done_shown(vr, ids, NULL, n, false);
}

void
weir_vring_tx_done_packets(struct weir_vring *vr, const struct weir_tx_segment *segments,
			   uint16_t n_packets)
{
	if (vr->packed)
		tx_done_shown(vr, NULL, segments, n_packets, true);
	else
		tx_done_shown(vr, NULL, segments, n_packets, false);
}

uint32_t
weir_vring_tx_held(const struct weir_vring *vr)
{
	return vr->n_held;
}
