/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HEADER_H
#define HEADER_H

/*
 * The virtio-net header to and from struct weir_offload, whose first ten bytes
 * it is (virtio 1.1, 5.1.6). Most frames claim nothing; they are told by one
 * comparison, and the rest goes to header.c.
 */

#include "vring.h"

/** Shortest frame: an Ethernet header. */
#define FRAME_LEN_MIN 14

/** flags and gso_type of a struct weir_offload in one: 0 says nothing is to be done. */
static __rte_always_inline uint16_t
header_claims(const struct weir_offload *offload)
{
	return *(const guest_16 *)(const void *)offload;
}

/** Features that allow a tx header to claim something (5.1.6.2.1): without them all is zero. */
#define HEADER_CLAIMS                                                                              \
	(1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_HOST_TSO4 |                              \
	 1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_UFO |                          \
	 1ULL << VIRTIO_NET_F_HOST_ECN)

/** Slow half of header_read(): @p words is the header's copy. */
bool header_check(const struct weir_vring *vr, uint64_t word, uint16_t csum_offset,
		  uint32_t frame_len, struct weir_offload *offload);

/** Fetch the header of a tx frame, once, and check it; false when the frame is to be dropped. */
static __rte_always_inline bool
header_read(const struct weir_vring *vr, const uint8_t *header, uint32_t frame_len,
	    struct weir_offload *offload)
{
	uint64_t word = load_64(header);

	if (likely((word & 0xffff) == 0)) {
		*offload = (struct weir_offload){0};
		return true;
	}
	return header_check(vr, word, load_16(header + sizeof(word)), frame_len, offload);
}

/**
 * The header of an rx frame that claims nothing, unless it is there already: a DPDK guest's
 * buffers have it on a line of its own, where it stays from frame to frame, and a line that
 * nobody writes does not travel between the guest's core and ours.
 *
 * @return
 *   Whether it was.
 */
static __rte_always_inline bool
header_write_plain(uint8_t *to, uint32_t header_len)
{
	uint64_t word = load_64(to);

	if (likely(header_len == VRING_HEADER_MAX)) { /* csum_offset, then num_buffers */
		if (word == 0 && load_32(to + sizeof(word)) == 1U << 16)
			return true;
		*(guest_64 *)to = 0;
		*(guest_32 *)(to + sizeof(word)) = 1U << 16;
	} else {
		if (word == 0 && load_16(to + sizeof(word)) == 0)
			return true;
		*(guest_64 *)to = 0;
		*(guest_16 *)(to + sizeof(word)) = 0;
	}
	return false;
}

/**
 * Make an rx frame's header out of its offloads.
 *
 * @return
 *   false when they are not what the guest negotiated.
 */
bool header_make(const struct weir_vring *vr, const struct weir_offload *offload,
		 uint8_t header[VRING_HEADER_MAX]);

#endif
