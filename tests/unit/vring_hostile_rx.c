/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver posts to receive into. */
#include <string.h>

#include <rte_common.h>

#include "vring_hostile.h"

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

static const struct hostile cases[] = {
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
};

const struct hostile_set hostile_rx = {cases, RTE_DIM(cases)};
