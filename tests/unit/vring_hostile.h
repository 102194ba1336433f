/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_HOSTILE_H
#define VRING_HOSTILE_H

/*
 * Guests that break the rules, one claim each. Memory is two regions next to each
 * other, a hole, and one more; the ring has 8 descriptors.
 */

#include <stdbool.h>
#include <stdint.h>

#include "harness.h"
#include "vring_guest.h"

#define SIZE 8
#define REGION 0x40000ULL
#define DATA (GUEST_BASE + 0x10000)    /* frames, all zero: headers claim nothing */
#define TABLE (GUEST_BASE + 0x8000)    /* an indirect table */
#define BORDER (GUEST_BASE + REGION)   /* between the two regions */
#define HOLE (GUEST_BASE + 2 * REGION) /* of one region's size */
#define END (GUEST_BASE + 4 * REGION)  /* past everything */
#define HEADER 12
#define FRAME 100

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define IND VRING_DESC_F_INDIRECT
#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define INDIRECT BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define MRG BIT(VIRTIO_NET_F_MRG_RXBUF)
#define CSUM BIT(VIRTIO_NET_F_CSUM)
#define TSO4 BIT(VIRTIO_NET_F_HOST_TSO4)

struct ring {
	struct guest guest;
	struct driver driver;
	struct weir_vring *vr;
	struct weir_tx_segment segments[512];
};

/* What is to come of a case. */
struct hostile {
	const char *name;
	void (*arrange)(struct ring *ring);
	uint64_t features;
	enum weir_vring_error error;
	uint16_t packets; /* tx: taken before or in spite of it */
	bool rx;
	uint64_t short_, long_, offload;  /* tx: dropped */
	void (*check)(struct ring *ring); /* after the take */
};

struct hostile_set {
	const struct hostile *cases;
	size_t n;
};

extern const struct hostile_set hostile_split, hostile_header, hostile_rx, hostile_packed;

/* Raw ring writing: what a driver never would. */

static inline void
desc(struct ring *ring, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring->driver.desc[i] =
		(struct vring_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

static inline void
avail(struct ring *ring, uint16_t n)
{
	ring->driver.avail->idx = n;
}

/* Descriptor 0 as the only chain. */
static inline void
one(struct ring *ring, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	desc(ring, 0, addr, len, flags, next);
	ring->driver.avail->ring[0] = 0;
	avail(ring, 1);
}

static inline void
entry(struct ring *ring, uint64_t table, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags,
      uint16_t next)
{
	struct vring_desc d = {.addr = addr, .len = len, .flags = flags, .next = next};

	guest_write(&ring->guest, table + 16 * i, &d, sizeof(d));
}

/* Available in the first lap. */
static inline void
packed(struct ring *ring, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	ring->driver.ring[i] = (struct vring_packed_desc){
		.addr = addr,
		.len = len,
		.id = id,
		.flags = flags | 1U << VRING_PACKED_DESC_F_AVAIL,
	};
}

static inline void
packed_entry(struct ring *ring, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags)
{
	struct vring_packed_desc d = {.addr = addr, .len = len, .flags = flags};

	guest_write(&ring->guest, TABLE + 16 * i, &d, sizeof(d));
}

static inline void
header(struct ring *ring, const struct virtio_net_hdr *hdr)
{
	guest_write(&ring->guest, DATA, hdr, sizeof(*hdr));
	one(ring, DATA, HEADER + FRAME, 0, 0);
}

#define CASE(name) static void name(struct ring *r)

#define BREAKS(name, why, ...)                                                                     \
	{                                                                                          \
#name, name, .error = WEIR_VRING_##why, ##__VA_ARGS__                              \
	}
#define TAKEN(name, ...)                                                                           \
	{                                                                                          \
#name, name, .packets = 1, ##__VA_ARGS__                                           \
	}
#define DROPS(name, what, ...)                                                                     \
	{                                                                                          \
#name, name, .what = 1, ##__VA_ARGS__                                              \
	}

#endif
