/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver writes into a packed ring. */
#include <string.h>

#include <rte_common.h>

#include "vring_hostile.h"

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

static const struct hostile cases[] = {
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

const struct hostile_set hostile_packed = {cases, RTE_DIM(cases)};
