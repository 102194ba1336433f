/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver writes into the virtio-net header. */
#include <string.h>

#include <rte_common.h>

#include "vring_hostile.h"

/* Headers */

#define HEADER_CASE(name, ...)                                                                     \
	CASE(name)                                                                                 \
	{                                                                                          \
		header(r, &(struct virtio_net_hdr){__VA_ARGS__});                                  \
	}

#define NEEDS .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4 .gso_type = VIRTIO_NET_HDR_GSO_TCPV4

HEADER_CASE(checksum_was_not_negotiated, NEEDS, .csum_start = 34, .csum_offset = 16)
HEADER_CASE(nothing_was_negotiated, NEEDS, TCP4, .gso_size = 10, .csum_start = FRAME)
HEADER_CASE(checksum_starts_past_the_frame, NEEDS, .csum_start = FRAME, .csum_offset = 0)
HEADER_CASE(checksum_lies_past_the_frame, NEEDS, .csum_start = 34, .csum_offset = FRAME - 35)
HEADER_CASE(checksum_lies_at_the_end, NEEDS, .csum_start = 34, .csum_offset = FRAME - 36)
HEADER_CASE(checksum_place_does_not_wrap, NEEDS, .csum_start = 65535, .csum_offset = 65535)
HEADER_CASE(segmentation_was_not_negotiated, NEEDS, TCP4, .gso_size = 10)
HEADER_CASE(segmentation_without_a_size, NEEDS, TCP4)
HEADER_CASE(segmentation_without_a_checksum, TCP4, .gso_size = 10)
HEADER_CASE(segmentation_of_no_known_kind, NEEDS, .gso_type = 2, .gso_size = 10)
HEADER_CASE(segmentation_v6_on_a_v4_feature, NEEDS, .gso_type = 4, .gso_size = 10)
HEADER_CASE(segmentation_of_udp_was_not_negotiated, NEEDS, .gso_type = 3, .gso_size = 10)
HEADER_CASE(congestion_bit_alone, NEEDS, .gso_type = VIRTIO_NET_HDR_GSO_ECN, .gso_size = 10)
HEADER_CASE(congestion_bit_was_not_negotiated, NEEDS,
	    .gso_type = VIRTIO_NET_HDR_GSO_ECN | VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 10)
HEADER_CASE(segmentation_in_order_is_taken, NEEDS, TCP4, .gso_size = 10, .csum_start = 34,
	    .csum_offset = 16, .hdr_len = 65535)
HEADER_CASE(flags_nobody_knows_are_ignored, .flags = 0xfe, .csum_start = 9999)
HEADER_CASE(checksum_fields_without_the_flag_are_ignored, .csum_start = 9999, .csum_offset = 9)

static void
claims_nothing(struct ring *r)
{
	static const struct weir_offload none;

	assert_memory_equal(&r->segments[0].offload, &none, sizeof(none));
}

static void
hint_ends_with_the_frame(struct ring *r)
{
	assert_int_equal(r->segments[0].offload.hdr_len, FRAME);
	assert_int_equal(r->segments[0].offload.gso_size, 10);
	assert_int_equal(r->segments[0].offload.csum_start, 34);
	assert_int_equal(r->segments[0].offload.csum_offset, 16);
}

static const struct hostile cases[] = {
	DROPS(checksum_was_not_negotiated, offload, .features = TSO4),
	TAKEN(nothing_was_negotiated, .check = claims_nothing),
	DROPS(checksum_starts_past_the_frame, offload, .features = CSUM),
	DROPS(checksum_lies_past_the_frame, offload, .features = CSUM),
	TAKEN(checksum_lies_at_the_end, .features = CSUM),
	DROPS(checksum_place_does_not_wrap, offload, .features = CSUM),
	DROPS(segmentation_was_not_negotiated, offload, .features = CSUM),
	DROPS(segmentation_without_a_size, offload, .features = CSUM | TSO4),
	DROPS(segmentation_without_a_checksum, offload, .features = CSUM | TSO4),
	DROPS(segmentation_of_no_known_kind, offload, .features = CSUM | TSO4),
	DROPS(segmentation_v6_on_a_v4_feature, offload, .features = CSUM | TSO4),
	DROPS(segmentation_of_udp_was_not_negotiated, offload, .features = CSUM | TSO4),
	DROPS(congestion_bit_alone, offload, .features = CSUM | TSO4),
	DROPS(congestion_bit_was_not_negotiated, offload, .features = CSUM | TSO4),
	TAKEN(segmentation_in_order_is_taken, .features = CSUM | TSO4,
	      .check = hint_ends_with_the_frame),
	TAKEN(flags_nobody_knows_are_ignored, .features = CSUM | TSO4, .check = claims_nothing),
	TAKEN(checksum_fields_without_the_flag_are_ignored, .features = CSUM,
	      .check = claims_nothing),
};

const struct hostile_set hostile_header = {cases, RTE_DIM(cases)};
