/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "header.h"

/*
 * A header is the word of whoever made the frame: a program with a packet socket
 * in the guest hands over its own. So a wrong one costs that frame, not the ring.
 */

/* Bytes of a checksum. */
#define CSUM_LEN 2

bool
header_check(const struct weir_vring *vr, uint64_t word, uint16_t csum_offset, uint32_t frame_len,
	     struct weir_offload *offload)
{
	struct weir_offload o = {0};
	uint8_t gso;

	memcpy(&o, &word, sizeof(word));
	o.csum_offset = csum_offset;
	/* Flags not known are ignored, and DATA_VALID is not a guest's to set (5.1.6.2.2). */
	o.flags &= WEIR_OFFLOAD_NEEDS_CSUM;
	if (o.flags & WEIR_OFFLOAD_NEEDS_CSUM) {
		if (!vring_has(vr, VIRTIO_NET_F_CSUM)) /* 5.1.6.2.1 */
			return false;
		/* Start and offset lie in the frame (5.1.6.2). */
		if ((uint32_t)o.csum_start + o.csum_offset + CSUM_LEN > frame_len)
			return false;
	} else {
		o.csum_start = 0; /* not to be used (5.1.6.2.2) */
		o.csum_offset = 0;
	}
	gso = o.gso_type & ~WEIR_GSO_ECN;
	if (o.gso_type != WEIR_GSO_NONE) {
		/* A type per feature, and ECN on top of one (5.1.6.2.1). */
		if (gso == WEIR_GSO_TCPV4) {
			if (!vring_has(vr, VIRTIO_NET_F_HOST_TSO4))
				return false;
		} else if (gso == WEIR_GSO_TCPV6) {
			if (!vring_has(vr, VIRTIO_NET_F_HOST_TSO6))
				return false;
		} else if (gso == WEIR_GSO_UDP) {
			if (!vring_has(vr, VIRTIO_NET_F_HOST_UFO))
				return false;
		} else {
			return false;
		}
		if ((o.gso_type & WEIR_GSO_ECN) && !vring_has(vr, VIRTIO_NET_F_HOST_ECN))
			return false;
		/* Whoever cuts needs a size, and to complete the checksums (5.1.6.2.1). */
		if (o.gso_size == 0 || !(o.flags & WEIR_OFFLOAD_NEEDS_CSUM))
			return false;
		/* A hint, not to be relied on (5.1.6.2.2); but at least not past the end. */
		o.hdr_len = RTE_MIN(o.hdr_len, frame_len);
	} else {
		o.gso_size = 0;
		o.hdr_len = 0;
	}
	*offload = o;
	return true;
}

bool
header_make(const struct weir_vring *vr, const struct weir_offload *offload,
	    uint8_t header[VRING_HEADER_MAX])
{
	struct weir_offload o = *offload;
	uint8_t gso = o.gso_type & ~WEIR_GSO_ECN;

	/* 5.1.6.4.1, all of it. */
	if (!vring_has(vr, VIRTIO_NET_F_GUEST_CSUM)) {
		if (o.flags & WEIR_OFFLOAD_NEEDS_CSUM)
			return false;
		o.flags &= ~WEIR_OFFLOAD_DATA_VALID;
	}
	if ((gso == WEIR_GSO_TCPV4 && !vring_has(vr, VIRTIO_NET_F_GUEST_TSO4)) ||
	    (gso == WEIR_GSO_TCPV6 && !vring_has(vr, VIRTIO_NET_F_GUEST_TSO6)) ||
	    (gso == WEIR_GSO_UDP && !vring_has(vr, VIRTIO_NET_F_GUEST_UFO)) ||
	    ((o.gso_type & WEIR_GSO_ECN) && !vring_has(vr, VIRTIO_NET_F_GUEST_ECN)))
		return false;
	o.flags &= WEIR_OFFLOAD_NEEDS_CSUM | WEIR_OFFLOAD_DATA_VALID;
	memset(header, 0, VRING_HEADER_MAX);
	memcpy(header, &o, WEIR_OFFLOAD_VNET_SIZE);
	return true;
}
