/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_H
#define RING_H

/*
 * The two ring formats behind one set of verbs. Each takes `packed` as a constant,
 * so that every user is compiled once a format, without a branch in between.
 */

#include "vring.h"

/** The first descriptor of an available chain, fetched. */
struct head {
	uint64_t addr;
	uint32_t len;
	uint16_t flags; /* VRING_DESC_F_* */
	uint16_t id;	/* split: its index; packed: buffer id */
	uint16_t next;	/* split, with VRING_DESC_F_NEXT */
};

/**
 * Chains that may be fetched now, at most @p n. Split: reads the guest's index
 * when those seen do not suffice. Packed: each descriptor tells for itself.
 */
static __rte_always_inline uint32_t
ring_available(struct weir_vring *vr, uint32_t n, const bool packed)
{
	uint16_t avail;

	if (packed)
		return n;
	avail = vr->avail_seen - vr->avail_idx;
	if (avail < n) {
		/* Pairs with the driver's barrier before it moves idx (2.6.13.3). */
		vr->avail_seen = load_acquire_16(&vr->avail->idx);
		avail = vr->avail_seen - vr->avail_idx;
		/* No more are available than there are descriptors (2.6.6.1, 2.6.13). */
		if (unlikely(avail > vr->size)) {
			vr->avail_seen = vr->avail_idx;
			vring_fail(vr, WEIR_VRING_AVAIL_JUMP);
			return 0;
		}
	}
	return RTE_MIN(avail, n);
}

/**
 * The available end of a ring in a burst's own hands: what is read again after every
 * store into guest memory, which may alias it as far as the compiler knows, is
 * a good part of the work.
 */
struct ring_end {
	const void *descs;
	const uint16_t *heads; /* split: the available ring's entries */
	uint32_t size;
	uint16_t idx;
	bool wrap;
};

static __rte_always_inline struct ring_end
ring_end(const struct weir_vring *vr, const bool packed)
{
	return (struct ring_end){
		.descs = vr->desc,
		.heads = packed ? NULL : vr->avail->ring,
		.size = vr->size,
		.idx = vr->avail_idx,
		.wrap = vr->avail_wrap,
	};
}

/** Packed: whether the descriptor @p ahead of the available position is available (2.7.1). */
static __rte_always_inline bool
ring_is_posted(const struct weir_vring *vr, uint32_t ahead)
{
	uint32_t at = vr->avail_idx + ahead;
	bool wrap = vr->avail_wrap;

	if (at >= vr->size) {
		at -= vr->size;
		wrap = !wrap;
	}
	return (load_16(&vr->ring[at].flags) & (VRING_PACKED_AVAIL | VRING_PACKED_USED)) ==
	       (wrap ? VRING_PACKED_AVAIL : VRING_PACKED_USED);
}

/** Fetch the chain at the available position; false when there is none or it breaks the ring. */
static __rte_always_inline bool
ring_fetch(struct weir_vring *vr, const struct ring_end *end, struct head *head, const bool packed)
{
	uint64_t word;

	if (packed) {
		const struct vring_packed_desc *desc = end->descs;

		desc += end->idx;
		/* Pairs with the driver's barrier before it writes flags (2.7.21.3.1). */
		word = load_acquire_64(&desc->len);
		head->flags = word >> 48;
		/* Available: AVAIL is the wrap counter, USED is not (2.7.1). */
		if ((head->flags & (VRING_PACKED_AVAIL | VRING_PACKED_USED)) !=
		    (end->wrap ? VRING_PACKED_AVAIL : VRING_PACKED_USED))
			return false;
		head->addr = load_64(&desc->addr);
		head->len = (uint32_t)word;
		head->id = (uint16_t)(word >> 32);
	} else {
		const struct vring_desc *desc = end->descs;
		uint16_t index = load_16(&end->heads[end->idx & (end->size - 1)]);

		/* A head is a descriptor of the table (2.6.6). */
		if (unlikely(index >= end->size)) {
			vring_fail(vr, WEIR_VRING_HEAD_RANGE);
			return false;
		}
		head->addr = load_64(&desc[index].addr);
		word = load_64(&desc[index].len);
		head->len = (uint32_t)word;
		head->flags = (uint16_t)(word >> 32);
		head->next = (uint16_t)(word >> 48);
		head->id = index;
	}
	return true;
}

/** Step over one descriptor that is a chain by itself. */
static __rte_always_inline void
ring_step(struct ring_end *end, const bool packed)
{
	end->idx++;
	if (packed && end->idx == end->size) {
		end->idx = 0;
		end->wrap = !end->wrap;
	}
}

/** Step over a chain of @p n_descs descriptors. */
static __rte_always_inline void
ring_advance(struct weir_vring *vr, uint32_t n_descs, const bool packed)
{
	if (packed) {
		uint32_t next = vr->avail_idx + n_descs;

		if (next >= vr->size) {
			next -= vr->size;
			vr->avail_wrap = !vr->avail_wrap;
		}
		vr->avail_idx = next;
	} else {
		vr->avail_idx++;
	}
}

/**
 * Write a used element; the guest does not see it before ring_publish().
 *
 * Packed: the guest looks at one descriptor, the next to be used. So the first
 * of a burst is kept back and the others are written as they come, each length,
 * id and flags in one store.
 */
static __rte_always_inline void
ring_use(struct weir_vring *vr, uint16_t id, uint32_t len, uint16_t n_descs, const bool packed)
{
	if (packed) {
		uint64_t flags = (vr->used_wrap ? VRING_PACKED_AVAIL | VRING_PACKED_USED : 0) |
				 (len != 0 ? VRING_DESC_F_WRITE : 0);
		uint64_t word = len | (uint64_t)id << 32 | flags << 48;
		uint32_t next = vr->used_idx + n_descs;

		if (vr->pending == 0) {
			vr->first_idx = vr->used_idx;
			vr->first_word = word;
		} else {
			__atomic_store_n((ring_64 *)(void *)&vr->ring[vr->used_idx].len, word,
					 __ATOMIC_RELEASE);
			if (unlikely(vr->log != NULL))
				dirty_mark(vr, &vr->ring[vr->used_idx], sizeof(*vr->ring));
		}
		if (next >= vr->size) {
			next -= vr->size;
			vr->used_wrap = !vr->used_wrap;
		}
		vr->used_idx = next;
		vr->pending += n_descs;
	} else {
		struct vring_used_elem *elem = &vr->used->ring[vr->used_idx & (vr->size - 1)];
		uint64_t word = id | (uint64_t)len << 32;

		/* Aligned to 4 only (2.6.8), and published by the index: any store will do. */
		*(guest_64 *)(void *)elem = word;
		if (unlikely(vr->log != NULL))
			dirty_mark(vr, elem, sizeof(*elem));
		vr->used_idx++;
		vr->pending++;
	}
}

/**
 * Use @p n chains of a split ring, @p n descriptors of a packed one, in order and without
 * anything written, of which @p id is the last: one element, at the first one's place. With what
 * was used so and not shown yet it is one batch.
 */
static __rte_always_inline void
ring_use_batch(struct weir_vring *vr, uint16_t id, uint32_t n, const bool packed)
{
	if (packed) {
		uint64_t flags = vr->used_wrap ? VRING_PACKED_AVAIL | VRING_PACKED_USED : 0;
		uint32_t next = vr->used_idx + n;

		if (vr->pending == 0) {
			vr->first_idx = vr->used_idx;
			vr->first_word = flags << 48;
		}
		vr->first_word = (vr->first_word & 0xffffULL << 48) | (uint64_t)id << 32;
		if (next >= vr->size) {
			next -= vr->size;
			vr->used_wrap = !vr->used_wrap;
		}
		vr->used_idx = next;
	} else {
		uint16_t first = vr->used_idx - vr->pending;
		struct vring_used_elem *elem = &vr->used->ring[first & (vr->size - 1)];

		*(guest_64 *)(void *)elem = id;
		if (unlikely(vr->log != NULL))
			dirty_mark(vr, elem, sizeof(*elem));
		vr->used_idx += n;
	}
	vr->pending += n;
}

/** Show the guest all that was used. */
static __rte_always_inline void
ring_publish(struct weir_vring *vr, const bool packed)
{
	if (vr->pending == 0 || unlikely(vr->error != WEIR_VRING_OK))
		return;
	/* Everything written for the guest comes before it learns of it (2.6.8.2, 2.7.2). */
	if (packed) {
		struct vring_packed_desc *desc = &vr->ring[vr->first_idx];

		__atomic_store_n((ring_64 *)(void *)&desc->len, vr->first_word, __ATOMIC_RELEASE);
		if (unlikely(vr->log != NULL))
			dirty_mark(vr, desc, sizeof(*desc));
	} else {
		__atomic_store_n(&vr->used->idx, vr->used_idx, __ATOMIC_RELEASE);
		if (unlikely(vr->log != NULL))
			dirty_mark(vr, &vr->used->idx, sizeof(vr->used->idx));
	}
	vr->unsignalled += vr->pending;
	vr->pending = 0;
}

#endif
