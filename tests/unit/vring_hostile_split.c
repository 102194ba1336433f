/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver writes into a split ring, its chains and tables. */
#include <string.h>

#include <rte_common.h>

#include "vring_hostile.h"

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
	TAKEN(what_changes_after_the_take_changes_nothing, .check = flip_after_take),
};

const struct hostile_set hostile_split = {cases, RTE_DIM(cases)};
