/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains of more than one plain descriptor: linked, indirect, crossing regions.
 *
 * Every descriptor is copied out of the guest's memory before anything of it is
 * looked at. A walk ends after as many descriptors as a chain may have, so a loop
 * costs no more than the longest chain.
 */
#include <string.h>

#include <rte_atomic.h>

#include "gather.h"

/* One descriptor, whichever table it came from. */
struct link {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* split */
};

static bool
gather_fail(struct weir_vring *vr, enum weir_vring_error error)
{
	vring_fail(vr, error);
	return false;
}

/* Add what one descriptor points at. */
static bool
gather_add(struct weir_vring *vr, struct gather *g, uint64_t addr, uint32_t len, uint16_t flags)
{
	/* A tx frame is for the device to read, an rx buffer to write (5.1.6.2, 5.1.6.3). */
	if (vr->is_tx && (flags & VRING_DESC_F_WRITE))
		return gather_fail(vr, WEIR_VRING_TX_WRITABLE);
	if (!vr->is_tx && !(flags & VRING_DESC_F_WRITE))
		return gather_fail(vr, WEIR_VRING_RX_READABLE);
	/* An address is one of the guest's memory (2.6.5, 2.7.4), and so is the last byte's. */
	if (addr + len < addr)
		return gather_fail(vr, WEIR_VRING_ADDRESS_WRAP);
	while (len > 0) {
		uint64_t here = len;
		uint8_t *host = vring_host(vr, addr, &here);

		if (host == NULL)
			return gather_fail(vr, WEIR_VRING_ADDRESS);
		if (g->n_pieces == WEIR_VRING_SEGMENTS_MAX) {
			g->too_many = true;
			return true;
		}
		vr->scratch[g->n_pieces++] = (struct piece){.addr = host, .len = here};
		g->total += here;
		addr += here;
		len -= here;
	}
	return true;
}

/* Copy an indirect table's entry, which may lie across two regions. */
static bool
gather_read(struct weir_vring *vr, uint64_t addr, struct link *link, bool packed)
{
	uint64_t words[2], here = sizeof(words);
	uint8_t *host = vring_host(vr, addr, &here);

	if (host == NULL)
		return gather_fail(vr, WEIR_VRING_ADDRESS);
	if (likely(here == sizeof(words))) {
		words[0] = load_64(host);
		words[1] = load_64(host + sizeof(words[0]));
	} else {
		uint64_t rest = sizeof(words) - here;

		memcpy(words, host, here);
		host = vring_host(vr, addr + here, &rest);
		if (host == NULL || rest != sizeof(words) - here)
			return gather_fail(vr, WEIR_VRING_ADDRESS);
		memcpy((uint8_t *)words + here, host, rest);
		/* The copy is ours: from here on the compiler has nothing to read again. */
		rte_compiler_barrier();
	}
	link->addr = words[0];
	link->len = (uint32_t)words[1];
	link->flags = packed ? words[1] >> 48 : (uint16_t)(words[1] >> 32);
	link->next = words[1] >> 48;
	return true;
}

/* Walk an indirect table (2.6.5.3, 2.7.7). */
static bool
gather_indirect(struct weir_vring *vr, struct gather *g, uint64_t table, uint32_t len)
{
	uint32_t n = len / sizeof(struct vring_desc), i = 0, count;
	struct link link;

	if (!vr->indirect) /* 2.6.5.3.1, 2.7.19 */
		return gather_fail(vr, WEIR_VRING_INDIRECT_FEATURE);
	/* Whole descriptors (2.6.5.3, 2.7.7), and not more than a chain may have (2.6.5.3.1). */
	if (n == 0 || len % sizeof(struct vring_desc) != 0 || n > VRING_SIZE_MAX)
		return gather_fail(vr, WEIR_VRING_INDIRECT_SIZE);
	if (table + len < table)
		return gather_fail(vr, WEIR_VRING_ADDRESS_WRAP);
	for (count = 0; !g->too_many; count++) {
		if (count == n) /* split: every entry was seen, so they loop (2.6.5.2) */
			return gather_fail(vr, WEIR_VRING_CHAIN_LONG);
		g->walked++;
		if (!gather_read(vr, table + i * sizeof(struct vring_desc), &link, vr->packed))
			return false;
		if (link.flags & VRING_DESC_F_INDIRECT) /* 2.6.5.3.1, 2.7.19 */
			return gather_fail(vr, WEIR_VRING_INDIRECT_NESTED);
		if (!gather_add(vr, g, link.addr, link.len, link.flags))
			return false;
		if (vr->packed) {
			/* One after the other to the table's end; NEXT means nothing (2.7.7). */
			if (++i == n)
				return true;
			continue;
		}
		if (!(link.flags & VRING_DESC_F_NEXT))
			return true;
		i = link.next;
		if (i >= n) /* 2.6.5.3 */
			return gather_fail(vr, WEIR_VRING_NEXT_RANGE);
	}
	return true;
}

static bool
gather_split(struct weir_vring *vr, const struct head *head, struct gather *g)
{
	struct link link = {head->addr, head->len, head->flags, head->next};
	uint64_t word;

	g->id = head->id;
	for (;;) {
		g->walked++;
		g->n_descs++;
		if (link.flags & VRING_DESC_F_INDIRECT) {
			if (link.flags & VRING_DESC_F_NEXT) /* 2.6.5.3.1 */
				return gather_fail(vr, WEIR_VRING_INDIRECT_NEXT);
			/* May end a chain of plain ones, its WRITE is ignored (2.6.5.3.2). */
			return gather_indirect(vr, g, link.addr, link.len);
		}
		if (!gather_add(vr, g, link.addr, link.len, link.flags))
			return false;
		/* The head alone gives it back: no need to see the end. */
		if (!(link.flags & VRING_DESC_F_NEXT) || g->too_many)
			return true;
		if (link.next >= vr->size) /* 2.6.5 */
			return gather_fail(vr, WEIR_VRING_NEXT_RANGE);
		if (g->n_descs == vr->size) /* 2.6.5.2 */
			return gather_fail(vr, WEIR_VRING_CHAIN_LONG);
		link.addr = load_64(&vr->desc[link.next].addr);
		word = load_64(&vr->desc[link.next].len);
		link.len = (uint32_t)word;
		link.flags = (uint16_t)(word >> 32);
		link.next = (uint16_t)(word >> 48);
	}
}

static bool
gather_packed(struct weir_vring *vr, const struct head *head, struct gather *g)
{
	struct link link = {head->addr, head->len, head->flags, 0};
	uint32_t i = vr->avail_idx;
	uint64_t word;

	g->id = head->id;
	for (;;) {
		g->walked++;
		g->n_descs++;
		if (link.flags & VRING_DESC_F_INDIRECT) {
			/* Never part of a list (2.7.19). */
			if ((link.flags & VRING_DESC_F_NEXT) || g->n_descs > 1)
				return gather_fail(vr, WEIR_VRING_INDIRECT_NEXT);
			return gather_indirect(vr, g, link.addr, link.len);
		}
		/* Past too many the walk is for the last one's id (2.7.6). */
		if (!g->too_many && !gather_add(vr, g, link.addr, link.len, link.flags))
			return false;
		if (!(link.flags & VRING_DESC_F_NEXT))
			return true;
		if (g->n_descs == vr->size) /* 2.7.17 */
			return gather_fail(vr, WEIR_VRING_CHAIN_LONG);
		if (++i == vr->size)
			i = 0;
		/* The list was complete before its head was available (2.7.17). */
		link.addr = load_64(&vr->ring[i].addr);
		word = load_64(&vr->ring[i].len);
		link.len = (uint32_t)word;
		link.flags = word >> 48;
		g->id = (uint16_t)(word >> 32);
	}
}

bool
gather(struct weir_vring *vr, const struct head *head, struct gather *g)
{
	*g = (struct gather){0};
	return vr->packed ? gather_packed(vr, head, g) : gather_split(vr, head, g);
}
