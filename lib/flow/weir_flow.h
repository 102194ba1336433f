/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

/**
 * Flow: frames that must keep their order are of one. What a NIC's receive side scaling
 * does, for ends that have no NIC: a number by which frames are spread over queue pairs.
 *
 * Of one flow are the frames between two ports of two addresses (TCP, UDP, SCTP), else
 * between two addresses (IPv4, IPv6; fragments, of which only the first has ports), else
 * between two stations. Both directions have the same number, so that an answer comes by
 * the pair that takes the question.
 *
 * Any thread. Reads each byte once: the frame may be a hostile guest's.
 */

#include <stdint.h>

/** Bytes of a frame that decide: Ethernet, two tags, the longest IPv4 header, two ports. */
#define WEIR_FLOW_HEADERS (14 + 2 * 4 + 60 + 4)

/**
 * @param len
 *   Bytes at @p frame: all of it, or WEIR_FLOW_HEADERS at least.
 */
uint32_t weir_flow_hash(const uint8_t *frame, uint32_t len);

/** Which of @p n, at least 1, gets the frames of a flow. */
static inline uint16_t
weir_flow_pick(uint32_t hash, uint16_t n)
{
	return (uint64_t)hash * n >> 32;
}

#endif
