/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests that break the rules, one claim each. Memory is two regions next to each
 * other, a hole, and one more; the ring has 8 descriptors.
 */
#include <errno.h>
#include <string.h>

#include <rte_common.h>

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

/* Raw ring writing: what a driver never would. */

static void
desc(struct ring *ring, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring->driver.desc[i] =
		(struct vring_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

static void
avail(struct ring *ring, uint16_t n)
{
	ring->driver.avail->idx = n;
}

/* Descriptor 0 as the only chain. */
static void
one(struct ring *ring, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	desc(ring, 0, addr, len, flags, next);
	ring->driver.avail->ring[0] = 0;
	avail(ring, 1);
}

static void
entry(struct ring *ring, uint64_t table, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags,
      uint16_t next)
{
	struct vring_desc d = {.addr = addr, .len = len, .flags = flags, .next = next};

	guest_write(&ring->guest, table + 16 * i, &d, sizeof(d));
}

/* Available in the first lap. */
static void
packed(struct ring *ring, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	ring->driver.ring[i] = (struct vring_packed_desc){
		.addr = addr,
		.len = len,
		.id = id,
		.flags = flags | 1U << VRING_PACKED_DESC_F_AVAIL,
	};
}

static void
packed_entry(struct ring *ring, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags)
{
	struct vring_packed_desc d = {.addr = addr, .len = len, .flags = flags};

	guest_write(&ring->guest, TABLE + 16 * i, &d, sizeof(d));
}

static void
header(struct ring *ring, const struct virtio_net_hdr *hdr)
{
	guest_write(&ring->guest, DATA, hdr, sizeof(*hdr));
	one(ring, DATA, HEADER + FRAME, 0, 0);
}

#define CASE(name) static void name(struct ring *r)

/* Split: the available ring */

CASE(index_jumps_past_the_ring)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
	avail(r, SIZE + 1);
}

CASE(index_goes_back)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
	avail(r, 65535);
}

CASE(head_is_just_outside_the_table)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
	r->driver.avail->ring[0] = SIZE;
}

CASE(head_is_far_outside_the_table)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
	r->driver.avail->ring[0] = 65535;
}

CASE(good_frames_before_a_bad_head_are_taken)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
	desc(r, 1, DATA, HEADER + FRAME, 0, 0);
	r->driver.avail->ring[1] = 1;
	r->driver.avail->ring[2] = 999;
	avail(r, 3);
}

CASE(head_is_available_twice)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
	r->driver.avail->ring[1] = 0;
	avail(r, 2);
}

/* Split: chains */

CASE(next_is_outside_the_table)
{
	one(r, DATA, HEADER + FRAME, NEXT, SIZE);
}

CASE(next_is_far_outside_the_table)
{
	one(r, DATA, HEADER + FRAME, NEXT, 65535);
}

CASE(chain_loops_on_itself)
{
	one(r, DATA, HEADER + FRAME, NEXT, 0);
}

CASE(chain_loops_over_two)
{
	one(r, DATA, HEADER + FRAME, NEXT, 1);
	desc(r, 1, DATA, FRAME, NEXT, 0);
}

CASE(chain_loops_over_empty_descriptors)
{
	one(r, DATA, 0, NEXT, 1);
	desc(r, 1, DATA, 0, NEXT, 0);
}

CASE(chain_as_long_as_the_ring_is_taken)
{
	uint32_t i;

	for (i = 0; i < SIZE; i++)
		desc(r, i, DATA, HEADER + FRAME, i + 1 < SIZE ? NEXT : 0, i + 1);
	avail(r, 1);
}

CASE(descriptors_of_no_length_are_passed_over)
{
	one(r, DATA, 0, NEXT, 1);
	desc(r, 1, DATA, HEADER, NEXT, 2);
	desc(r, 2, END, 0, NEXT, 3);
	desc(r, 3, DATA, FRAME, NEXT, 4);
	desc(r, 4, DATA, 0, 0, 0);
}

/* Split: addresses */

CASE(address_is_below_memory)
{
	one(r, GUEST_BASE - 1, HEADER + FRAME, 0, 0);
}

CASE(address_is_zero)
{
	one(r, 0, HEADER + FRAME, 0, 0);
}

CASE(address_is_past_the_end)
{
	one(r, END, HEADER + FRAME, 0, 0);
}

CASE(address_is_in_a_hole)
{
	one(r, HOLE + 64, HEADER + FRAME, 0, 0);
}

CASE(frame_runs_into_a_hole)
{
	one(r, HOLE - HEADER - FRAME + 1, HEADER + FRAME, 0, 0);
}

CASE(frame_runs_past_the_end)
{
	one(r, END - 50, HEADER + FRAME, 0, 0);
}

CASE(frame_ends_at_the_end)
{
	one(r, END - HEADER - FRAME, HEADER + FRAME, 0, 0);
}

CASE(frame_over_a_border_comes_in_two_pieces)
{
	one(r, BORDER - HEADER - 40, HEADER + FRAME, 0, 0);
}

CASE(address_and_length_wrap_around)
{
	one(r, UINT64_MAX - 20, HEADER + FRAME, 0, 0);
}

CASE(length_is_four_gigabytes)
{
	one(r, DATA, UINT32_MAX, 0, 0);
}

CASE(second_piece_is_nowhere)
{
	one(r, DATA, HEADER, NEXT, 1);
	desc(r, 1, END + 4096, FRAME, 0, 0);
}

/* Split: what a tx chain may be */

CASE(frame_is_device_writable)
{
	one(r, DATA, HEADER + FRAME, WRITE, 0);
}

CASE(tail_is_device_writable)
{
	one(r, DATA, HEADER + FRAME, NEXT, 1);
	desc(r, 1, DATA, FRAME, WRITE, 0);
}

CASE(chain_is_empty)
{
	one(r, DATA, 0, 0, 0);
}

CASE(chain_ends_inside_the_header)
{
	one(r, DATA, HEADER - 1, 0, 0);
}

CASE(chain_ends_inside_the_header_piece_by_piece)
{
	one(r, DATA, 5, NEXT, 1);
	desc(r, 1, DATA, 6, 0, 0);
}

CASE(frame_is_a_header_alone)
{
	one(r, DATA, HEADER, 0, 0);
}

CASE(frame_is_shorter_than_ethernet)
{
	one(r, DATA, HEADER + 13, 0, 0);
}

CASE(frame_is_longer_than_any)
{
	one(r, DATA, HEADER + WEIR_FRAME_LEN_MAX + 1, 0, 0);
}

CASE(frame_of_the_longest_is_taken)
{
	one(r, DATA, HEADER + WEIR_FRAME_LEN_MAX, 0, 0);
}

CASE(header_in_three_pieces_is_read)
{
	one(r, DATA, 1, NEXT, 1);
	desc(r, 1, DATA, 10, NEXT, 2);
	desc(r, 2, DATA, 1 + FRAME, 0, 0);
}

/* Split: indirect tables */

CASE(indirect_was_not_negotiated)
{
	entry(r, TABLE, 0, DATA, HEADER + FRAME, 0, 0);
	one(r, TABLE, 16, IND, 0);
}

CASE(indirect_table_is_empty)
{
	one(r, TABLE, 0, IND, 0);
}

CASE(indirect_table_has_half_a_descriptor)
{
	entry(r, TABLE, 0, DATA, HEADER + FRAME, 0, 0);
	one(r, TABLE, 24, IND, 0);
}

CASE(indirect_table_is_huge)
{
	one(r, TABLE, 0xfffffff0, IND, 0);
}

CASE(indirect_is_chained)
{
	entry(r, TABLE, 0, DATA, HEADER + FRAME, 0, 0);
	one(r, TABLE, 16, IND | NEXT, 1);
	desc(r, 1, DATA, FRAME, 0, 0);
}

CASE(indirect_ends_a_chain)
{
	one(r, DATA, HEADER, NEXT, 1);
	desc(r, 1, TABLE, 16, IND, 0);
	entry(r, TABLE, 0, DATA, FRAME, 0, 0);
}

CASE(indirect_is_nested)
{
	entry(r, TABLE, 0, TABLE, 16, IND, 0);
	one(r, TABLE, 16, IND, 0);
}

CASE(indirect_next_is_outside_its_table)
{
	entry(r, TABLE, 0, DATA, HEADER + FRAME, NEXT, 2);
	one(r, TABLE, 32, IND, 0);
}

CASE(indirect_table_loops)
{
	entry(r, TABLE, 0, DATA, HEADER + FRAME, NEXT, 1);
	entry(r, TABLE, 1, DATA, FRAME, NEXT, 0);
	one(r, TABLE, 32, IND, 0);
}

CASE(indirect_table_loops_over_nothing)
{
	entry(r, TABLE, 0, DATA, 0, NEXT, 0);
	one(r, TABLE, 16 * 32768, IND, 0);
}

CASE(indirect_table_is_nowhere)
{
	one(r, END, 32, IND, 0);
}

CASE(indirect_table_wraps_around)
{
	one(r, UINT64_MAX - 15, 32, IND, 0);
}

CASE(indirect_table_runs_past_the_end)
{
	entry(r, END - 16, 0, DATA, HEADER + FRAME, NEXT, 1);
	one(r, END - 16, 32, IND, 0);
}

CASE(indirect_table_over_a_border_is_read)
{
	entry(r, BORDER - 24, 0, DATA, HEADER + FRAME, NEXT, 1);
	entry(r, BORDER - 24, 1, DATA, FRAME, NEXT, 2);
	entry(r, BORDER - 24, 2, DATA, FRAME, 0, 0);
	one(r, BORDER - 24, 48, IND, 0);
}

CASE(indirect_entry_runs_into_a_hole)
{
	one(r, HOLE - 8, 16, IND, 0);
}

CASE(indirect_piece_is_nowhere)
{
	entry(r, TABLE, 0, HOLE, HEADER + FRAME, 0, 0);
	one(r, TABLE, 16, IND, 0);
}

CASE(indirect_piece_is_device_writable)
{
	entry(r, TABLE, 0, DATA, HEADER + FRAME, WRITE, 0);
	one(r, TABLE, 16, IND, 0);
}

CASE(write_flag_of_the_indirect_descriptor_is_ignored)
{
	entry(r, TABLE, 0, DATA, HEADER + FRAME, 0, 0);
	one(r, TABLE, 16, IND | WRITE, 0);
}

CASE(frame_in_too_many_pieces)
{
	uint32_t i, n = WEIR_VRING_SEGMENTS_MAX + 1;

	for (i = 0; i < n; i++)
		entry(r, TABLE, i, DATA, HEADER, i + 1 < n ? NEXT : 0, i + 1);
	one(r, TABLE, 16 * n, IND, 0);
}

CASE(frame_in_as_many_pieces_as_may_be)
{
	uint32_t i, n = WEIR_VRING_SEGMENTS_MAX;

	for (i = 0; i < n; i++)
		entry(r, TABLE, i, DATA, HEADER, i + 1 < n ? NEXT : 0, i + 1);
	one(r, TABLE, 16 * n, IND, 0);
}

/* Headers */

#define HEADER_CASE(name, ...)                                                                     \
	CASE(name)                                                                                 \
	{                                                                                          \
		header(r, &(struct virtio_net_hdr){__VA_ARGS__});                                  \
	}

#define NEEDS .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4 .gso_type = VIRTIO_NET_HDR_GSO_TCPV4

HEADER_CASE(checksum_was_not_negotiated, NEEDS, .csum_start = 34, .csum_offset = 16)
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

static void
two_pieces(struct ring *r)
{
	assert_int_equal(r->segments[0].n_segments, 2);
	assert_int_equal(r->segments[0].len, 40);
	assert_int_equal(r->segments[1].len, FRAME - 40);
	assert_ptr_equal(r->segments[1].addr, guest_host(&r->guest, BORDER, 1));
}

/* Everything the guest owns turns bad after the take: what was taken stays. */
static void
flip_after_take(struct ring *r)
{
	const struct weir_tx_segment before = r->segments[0];
	struct virtio_net_hdr hdr = {.flags = 1, .csum_start = 65535, .gso_type = 1};
	struct weir_vring_stats stats;

	guest_write(&r->guest, DATA, &hdr, sizeof(hdr));
	desc(r, 0, END, UINT32_MAX, NEXT | IND | WRITE, 0);
	assert_memory_equal(&before, &r->segments[0], sizeof(before));
	weir_vring_tx_done(r->vr, &before.id, 1);
	assert_int_equal(r->driver.used->idx, 1);
	assert_int_equal(r->driver.used->ring[0].id, 0);
	weir_vring_stats(r->vr, &stats);
	assert_int_equal(stats.tx_dropped_offload, 0);
}

CASE(what_changes_after_the_take_changes_nothing)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
}

/* The guest posts a held descriptor again, beside it. */
static void
again_while_held(struct ring *r)
{
	r->driver.avail->ring[1] = 0;
	avail(r, 2);
	assert_int_equal(weir_vring_tx_take(r->vr, r->segments, RTE_DIM(r->segments), 8), 0);
	assert_int_equal(weir_vring_error(r->vr), WEIR_VRING_HEAD_HELD);
}

CASE(head_is_available_again_while_held)
{
	one(r, DATA, HEADER + FRAME, 0, 0);
}

/* Split: rx */

CASE(rx_buffer_is_readable)
{
	one(r, DATA, 2048, 0, 0);
}

CASE(rx_chain_begins_readable)
{
	one(r, DATA, HEADER, NEXT, 1);
	desc(r, 1, DATA, 2048, WRITE, 0);
}

CASE(rx_chain_ends_readable)
{
	one(r, DATA, HEADER, NEXT | WRITE, 1);
	desc(r, 1, DATA, 2048, 0, 0);
}

CASE(rx_buffer_is_shorter_than_the_header)
{
	one(r, DATA, HEADER - 1, WRITE, 0);
}

CASE(rx_buffer_is_empty)
{
	one(r, DATA, 0, WRITE, 0);
}

CASE(rx_buffer_is_nowhere)
{
	one(r, HOLE, 2048, WRITE, 0);
}

CASE(rx_buffer_runs_past_the_end)
{
	one(r, END - 2047, 2048, WRITE, 0);
}

CASE(rx_buffer_wraps_around)
{
	one(r, UINT64_MAX - 2000, 2048, WRITE, 0);
}

CASE(rx_buffer_is_four_gigabytes)
{
	one(r, DATA, UINT32_MAX, WRITE, 0);
}

CASE(rx_index_jumps)
{
	one(r, DATA, 2048, WRITE, 0);
	avail(r, 300);
}

CASE(rx_head_is_outside_the_table)
{
	one(r, DATA, 2048, WRITE, 0);
	r->driver.avail->ring[0] = 77;
}

CASE(rx_chain_loops)
{
	one(r, DATA, 2048, WRITE | NEXT, 0);
}

CASE(rx_indirect_table_loops)
{
	entry(r, TABLE, 0, DATA, 2048, WRITE | NEXT, 0);
	one(r, TABLE, 16, IND, 0);
}

/* Packed */

CASE(packed_list_goes_round_the_ring)
{
	for (uint32_t i = 0; i < SIZE; i++)
		packed(r, i, DATA, HEADER + FRAME, NEXT, i);
}

CASE(packed_list_as_long_as_the_ring_is_taken)
{
	for (uint32_t i = 0; i < SIZE; i++)
		packed(r, i, DATA, HEADER + FRAME, i + 1 < SIZE ? NEXT : 0, i);
}

CASE(packed_address_is_nowhere)
{
	packed(r, 0, HOLE, HEADER + FRAME, 0, 0);
}

CASE(packed_address_and_length_wrap_around)
{
	packed(r, 0, UINT64_MAX - 20, HEADER + FRAME, 0, 0);
}

CASE(packed_frame_is_device_writable)
{
	packed(r, 0, DATA, HEADER + FRAME, WRITE, 0);
}

CASE(packed_chain_ends_inside_the_header)
{
	packed(r, 0, DATA, HEADER - 1, 0, 0);
}

CASE(packed_indirect_was_not_negotiated)
{
	packed_entry(r, 0, DATA, HEADER + FRAME, 0);
	packed(r, 0, TABLE, 16, IND, 0);
}

CASE(packed_indirect_begins_a_list)
{
	packed_entry(r, 0, DATA, HEADER + FRAME, 0);
	packed(r, 0, TABLE, 16, IND | NEXT, 0);
	packed(r, 1, DATA, FRAME, 0, 0);
}

CASE(packed_indirect_ends_a_list)
{
	packed_entry(r, 0, DATA, FRAME, 0);
	packed(r, 0, DATA, HEADER, NEXT, 0);
	packed(r, 1, TABLE, 16, IND, 0);
}

CASE(packed_indirect_is_nested)
{
	packed_entry(r, 0, TABLE, 16, IND);
	packed(r, 0, TABLE, 16, IND, 0);
}

CASE(packed_indirect_table_is_empty)
{
	packed(r, 0, TABLE, 0, IND, 0);
}

CASE(packed_indirect_table_has_half_a_descriptor)
{
	packed(r, 0, TABLE, 8, IND, 0);
}

CASE(packed_indirect_table_is_huge)
{
	packed(r, 0, TABLE, 0xfffffff0, IND, 0);
}

CASE(packed_next_inside_a_table_is_ignored)
{
	packed_entry(r, 0, DATA, HEADER + FRAME, NEXT);
	packed_entry(r, 1, DATA, FRAME, NEXT);
	packed(r, 0, TABLE, 32, IND, 0);
}

CASE(packed_frame_in_too_many_pieces)
{
	for (uint32_t i = 0; i <= WEIR_VRING_SEGMENTS_MAX; i++)
		packed_entry(r, i, DATA, HEADER, 0);
	packed(r, 0, TABLE, 16 * (WEIR_VRING_SEGMENTS_MAX + 1), IND, 3);
}

CASE(packed_rx_buffer_is_readable)
{
	packed(r, 0, DATA, 2048, 0, 0);
}

CASE(packed_rx_buffer_is_shorter_than_the_header)
{
	packed(r, 0, DATA, HEADER - 1, WRITE, 0);
}

static void
id_comes_back(struct ring *r)
{
	weir_vring_tx_done_packets(r->vr, r->segments, 1);
	assert_int_equal(r->driver.ring[0].id, 65535);
	assert_int_equal(r->driver.ring[0].flags & 0x8080, 0x8080);
}

CASE(packed_buffer_id_is_the_guests_own)
{
	packed(r, 0, DATA, HEADER + FRAME, 0, 65535);
}

/* A second lap while the first is held: more descriptors than there are. */
static void
second_lap(struct ring *r)
{
	for (uint32_t i = 0; i < SIZE; i++)
		r->driver.ring[i].flags = 1U << VRING_PACKED_DESC_F_USED;
	assert_int_equal(weir_vring_tx_take(r->vr, r->segments, RTE_DIM(r->segments), 64), 0);
	assert_int_equal(weir_vring_error(r->vr), WEIR_VRING_AVAIL_JUMP);
}

CASE(packed_ring_is_available_twice)
{
	for (uint32_t i = 0; i < SIZE; i++)
		packed(r, i, DATA, HEADER + FRAME, 0, i);
}

static void
second_lap_rx(struct ring *r)
{
	assert_int_equal(weir_vring_error(r->vr), WEIR_VRING_OK);
	for (uint32_t i = 0; i < SIZE; i++)
		r->driver.ring[i].flags = 1U << VRING_PACKED_DESC_F_USED | WRITE;
	assert_int_equal(weir_vring_rx_posted(r->vr, 64), 0);
	assert_int_equal(weir_vring_error(r->vr), WEIR_VRING_AVAIL_JUMP);
}

CASE(packed_rx_ring_is_available_twice)
{
	for (uint32_t i = 0; i < SIZE; i++)
		packed(r, i, DATA, 2048, WRITE, i);
}

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

static const struct hostile cases[] = {
	BREAKS(index_jumps_past_the_ring, AVAIL_JUMP),
	BREAKS(index_goes_back, AVAIL_JUMP),
	BREAKS(head_is_just_outside_the_table, HEAD_RANGE),
	BREAKS(head_is_far_outside_the_table, HEAD_RANGE),
	BREAKS(good_frames_before_a_bad_head_are_taken, HEAD_RANGE, .packets = 2),
	BREAKS(head_is_available_twice, HEAD_HELD, .packets = 1),
	TAKEN(head_is_available_again_while_held, .check = again_while_held),
	BREAKS(next_is_outside_the_table, NEXT_RANGE),
	BREAKS(next_is_far_outside_the_table, NEXT_RANGE),
	BREAKS(chain_loops_on_itself, CHAIN_LONG),
	BREAKS(chain_loops_over_two, CHAIN_LONG),
	BREAKS(chain_loops_over_empty_descriptors, CHAIN_LONG),
	TAKEN(chain_as_long_as_the_ring_is_taken),
	TAKEN(descriptors_of_no_length_are_passed_over),
	BREAKS(address_is_below_memory, ADDRESS),
	BREAKS(address_is_zero, ADDRESS),
	BREAKS(address_is_past_the_end, ADDRESS),
	BREAKS(address_is_in_a_hole, ADDRESS),
	BREAKS(frame_runs_into_a_hole, ADDRESS),
	BREAKS(frame_runs_past_the_end, ADDRESS),
	TAKEN(frame_ends_at_the_end),
	TAKEN(frame_over_a_border_comes_in_two_pieces, .check = two_pieces),
	BREAKS(address_and_length_wrap_around, ADDRESS_WRAP),
	BREAKS(length_is_four_gigabytes, ADDRESS),
	BREAKS(second_piece_is_nowhere, ADDRESS),
	BREAKS(frame_is_device_writable, TX_WRITABLE),
	BREAKS(tail_is_device_writable, TX_WRITABLE),
	BREAKS(chain_is_empty, SHORT_HEADER),
	BREAKS(chain_ends_inside_the_header, SHORT_HEADER),
	BREAKS(chain_ends_inside_the_header_piece_by_piece, SHORT_HEADER),
	DROPS(frame_is_a_header_alone, short_),
	DROPS(frame_is_shorter_than_ethernet, short_),
	DROPS(frame_is_longer_than_any, long_),
	TAKEN(frame_of_the_longest_is_taken),
	TAKEN(header_in_three_pieces_is_read),
	BREAKS(indirect_was_not_negotiated, INDIRECT_FEATURE),
	BREAKS(indirect_table_is_empty, INDIRECT_SIZE, .features = INDIRECT),
	BREAKS(indirect_table_has_half_a_descriptor, INDIRECT_SIZE, .features = INDIRECT),
	BREAKS(indirect_table_is_huge, INDIRECT_SIZE, .features = INDIRECT),
	BREAKS(indirect_is_chained, INDIRECT_NEXT, .features = INDIRECT),
	TAKEN(indirect_ends_a_chain, .features = INDIRECT),
	BREAKS(indirect_is_nested, INDIRECT_NESTED, .features = INDIRECT),
	BREAKS(indirect_next_is_outside_its_table, NEXT_RANGE, .features = INDIRECT),
	BREAKS(indirect_table_loops, CHAIN_LONG, .features = INDIRECT),
	BREAKS(indirect_table_loops_over_nothing, CHAIN_LONG, .features = INDIRECT),
	BREAKS(indirect_table_is_nowhere, ADDRESS, .features = INDIRECT),
	BREAKS(indirect_table_wraps_around, ADDRESS_WRAP, .features = INDIRECT),
	BREAKS(indirect_table_runs_past_the_end, ADDRESS, .features = INDIRECT),
	TAKEN(indirect_table_over_a_border_is_read, .features = INDIRECT),
	BREAKS(indirect_entry_runs_into_a_hole, ADDRESS, .features = INDIRECT),
	BREAKS(indirect_piece_is_nowhere, ADDRESS, .features = INDIRECT),
	BREAKS(indirect_piece_is_device_writable, TX_WRITABLE, .features = INDIRECT),
	TAKEN(write_flag_of_the_indirect_descriptor_is_ignored, .features = INDIRECT),
	DROPS(frame_in_too_many_pieces, long_, .features = INDIRECT),
	TAKEN(frame_in_as_many_pieces_as_may_be, .features = INDIRECT),
	DROPS(checksum_was_not_negotiated, offload),
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
	TAKEN(what_changes_after_the_take_changes_nothing, .check = flip_after_take),
	BREAKS(rx_buffer_is_readable, RX_READABLE, .rx = true),
	BREAKS(rx_chain_begins_readable, RX_READABLE, .rx = true),
	BREAKS(rx_chain_ends_readable, RX_READABLE, .rx = true),
	BREAKS(rx_buffer_is_shorter_than_the_header, SHORT_HEADER, .rx = true, .features = MRG),
	BREAKS(rx_buffer_is_empty, SHORT_HEADER, .rx = true),
	BREAKS(rx_buffer_is_nowhere, ADDRESS, .rx = true),
	BREAKS(rx_buffer_runs_past_the_end, ADDRESS, .rx = true),
	BREAKS(rx_buffer_wraps_around, ADDRESS_WRAP, .rx = true),
	BREAKS(rx_buffer_is_four_gigabytes, ADDRESS, .rx = true, .features = MRG),
	BREAKS(rx_index_jumps, AVAIL_JUMP, .rx = true),
	BREAKS(rx_head_is_outside_the_table, HEAD_RANGE, .rx = true),
	BREAKS(rx_chain_loops, CHAIN_LONG, .rx = true),
	BREAKS(rx_indirect_table_loops, CHAIN_LONG, .rx = true, .features = INDIRECT),
	BREAKS(packed_list_goes_round_the_ring, CHAIN_LONG, .features = PACKED),
	TAKEN(packed_list_as_long_as_the_ring_is_taken, .features = PACKED),
	BREAKS(packed_address_is_nowhere, ADDRESS, .features = PACKED),
	BREAKS(packed_address_and_length_wrap_around, ADDRESS_WRAP, .features = PACKED),
	BREAKS(packed_frame_is_device_writable, TX_WRITABLE, .features = PACKED),
	BREAKS(packed_chain_ends_inside_the_header, SHORT_HEADER, .features = PACKED),
	BREAKS(packed_indirect_was_not_negotiated, INDIRECT_FEATURE, .features = PACKED),
	BREAKS(packed_indirect_begins_a_list, INDIRECT_NEXT, .features = PACKED | INDIRECT),
	BREAKS(packed_indirect_ends_a_list, INDIRECT_NEXT, .features = PACKED | INDIRECT),
	BREAKS(packed_indirect_is_nested, INDIRECT_NESTED, .features = PACKED | INDIRECT),
	BREAKS(packed_indirect_table_is_empty, INDIRECT_SIZE, .features = PACKED | INDIRECT),
	BREAKS(packed_indirect_table_has_half_a_descriptor, INDIRECT_SIZE,
	       .features = PACKED | INDIRECT),
	BREAKS(packed_indirect_table_is_huge, INDIRECT_SIZE, .features = PACKED | INDIRECT),
	TAKEN(packed_next_inside_a_table_is_ignored, .features = PACKED | INDIRECT),
	DROPS(packed_frame_in_too_many_pieces, long_, .features = PACKED | INDIRECT),
	BREAKS(packed_rx_buffer_is_readable, RX_READABLE, .rx = true, .features = PACKED),
	BREAKS(packed_rx_buffer_is_shorter_than_the_header, SHORT_HEADER, .rx = true,
	       .features = PACKED),
	TAKEN(packed_buffer_id_is_the_guests_own, .features = PACKED, .check = id_comes_back),
	{"packed_ring_is_available_twice", packed_ring_is_available_twice, .features = PACKED,
	 .packets = SIZE, .check = second_lap},
	{"packed_rx_ring_is_available_twice", packed_rx_ring_is_available_twice, .features = PACKED,
	 .rx = true, .check = second_lap_rx},
};

static void
ring_open(struct ring *ring, uint64_t features, bool rx)
{
	struct weir_vring_region regions[WEIR_VRING_REGIONS_MAX];
	struct weir_vring_config config;
	uint32_t i;

	guest_init(&ring->guest, 3, REGION);
	for (i = 0; i < 3; i++)
		regions[i] = ring->guest.memory.regions[i];
	regions[2].guest_addr += REGION;
	assert_int_equal(weir_vring_memory_init(&ring->guest.memory, regions, 3), 0);
	driver_init(&ring->driver, &ring->guest, GUEST_BASIC | features, SIZE, rx, GUEST_BASE);
	config = driver_config(&ring->driver);
	ring->vr = weir_vring_create(&config);
	assert_non_null(ring->vr);
}

static void
ring_close(struct ring *ring)
{
	weir_vring_free(ring->vr);
	driver_fini(&ring->driver);
	guest_fini(&ring->guest);
}

/* Of a stopped ring nothing is read, written or asked for any more. */
static void
ring_is_stopped(struct ring *ring, bool rx)
{
	static const uint8_t frame[FRAME];
	struct weir_rx_meta meta = {.len = FRAME};
	struct vring_desc before[SIZE];
	uint16_t used = ring->driver.used->idx, id;

	memcpy(before, ring->driver.desc, sizeof(before));
	if (rx) {
		assert_int_equal(weir_vring_rx_posted(ring->vr, 8), 0);
		assert_int_equal(weir_vring_rx_capacity(ring->vr), 0);
		assert_int_equal(weir_vring_rx_write_packet(ring->vr, &meta, frame), -EIO);
		assert_int_equal(weir_vring_rx_write_header(ring->vr, &meta), -EIO);
		assert_int_equal(weir_vring_rx_write_data(ring->vr, 0, frame, 1), -EIO);
		weir_vring_rx_commit(ring->vr);
	} else {
		assert_int_equal(weir_vring_tx_take(ring->vr, ring->segments, 512, 64), 0);
		for (id = 0; id < SIZE; id++)
			weir_vring_tx_done(ring->vr, &id, 1);
	}
	assert_false(weir_vring_has_work(ring->vr));
	assert_false(weir_vring_should_notify(ring->vr));
	assert_false(weir_vring_arm(ring->vr));
	weir_vring_disarm(ring->vr);
	weir_vring_stop(ring->vr);
	assert_memory_equal(before, ring->driver.desc, sizeof(before));
	assert_int_equal(ring->driver.used->idx, used);
}

static void
hostile_case(void **state)
{
	const struct hostile *c = *state;
	static const uint8_t frame[FRAME];
	struct weir_rx_meta meta = {.len = FRAME};
	struct weir_vring_stats stats;
	struct ring ring = {0};
	uint16_t n;

	ring_open(&ring, c->features, c->rx);
	c->arrange(&ring);
	if (c->rx && c->error != WEIR_VRING_OK) {
		assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), -EIO);
	} else if (c->rx) {
		assert_int_equal(weir_vring_rx_posted(ring.vr, SIZE), SIZE);
	} else {
		n = weir_vring_tx_take(ring.vr, ring.segments, RTE_DIM(ring.segments), 64);
		assert_int_equal(n, c->packets);
	}
	assert_string_equal(weir_vring_error_name(weir_vring_error(ring.vr)),
			    weir_vring_error_name(c->error));
	weir_vring_stats(ring.vr, &stats);
	assert_int_equal(stats.tx_dropped_short, c->short_);
	assert_int_equal(stats.tx_dropped_long, c->long_);
	assert_int_equal(stats.tx_dropped_offload, c->offload);
	if (c->short_ + c->long_ + c->offload > 0) {
		/* A dropped frame's descriptor is the guest's again. */
		assert_int_equal(weir_vring_tx_held(ring.vr), 0);
		if (!(c->features & PACKED)) {
			assert_int_equal(ring.driver.used->idx, 1);
		} else {
			assert_int_equal(ring.driver.ring[0].id, 3);
			assert_int_equal(ring.driver.ring[0].flags & 0x8080, 0x8080);
		}
	}
	if (c->check != NULL)
		c->check(&ring);
	if (weir_vring_error(ring.vr) != WEIR_VRING_OK)
		ring_is_stopped(&ring, c->rx);
	ring_close(&ring);
}

int
main(void)
{
	struct CMUnitTest tests[RTE_DIM(cases)];
	size_t i;

	for (i = 0; i < RTE_DIM(cases); i++)
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name,
			.test_func = hostile_case,
			.initial_state = (void *)(uintptr_t)&cases[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
