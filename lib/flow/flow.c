/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdbool.h>
#include <string.h>

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

#include "weir_flow.h"

#define TAGS_MAX 2

static inline uint16_t
half_at(const uint8_t *at)
{
	uint16_t half;

	memcpy(&half, at, sizeof(half));
	return half;
}

static inline uint32_t
word_at(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline bool
is_tag(uint16_t type)
{
	return type == RTE_BE16(RTE_ETHER_TYPE_VLAN) || type == RTE_BE16(RTE_ETHER_TYPE_QINQ);
}

/** Spread what differs in a few low bits over all of them: by the golden ratio, twice. */
static inline uint32_t
mix(uint32_t addresses, uint32_t ports)
{
	uint64_t key = ((uint64_t)ports << 32 | addresses) * 0x9e3779b97f4a7c15;

	key ^= key >> 32;
	return key * 0x9e3779b97f4a7c15 >> 32;
}

uint32_t
weir_flow_hash(const uint8_t *frame, uint32_t len)
{
	uint32_t at = RTE_ETHER_HDR_LEN, l4, addresses, ports = 0;
	uint16_t type, tags;
	uint8_t protocol;

	if (len < RTE_ETHER_HDR_LEN)
		return 0;
	type = half_at(frame + at - 2);
	for (tags = 0; tags < TAGS_MAX && is_tag(type) && at + 4 <= len; tags++, at += 4)
		type = half_at(frame + at + 2);
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4) && at + 20 <= len) {
		/* RFC 791, 3.1 */
		l4 = at + (frame[at] & 0xf) * 4;
		protocol = frame[at + 9];
		if ((half_at(frame + at + 6) & RTE_BE16(0x3fff)) != 0)
			protocol = IPPROTO_NONE; /* a fragment */
		addresses = word_at(frame + at + 12) ^ word_at(frame + at + 16);
	} else if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6) && at + 40 <= len) {
		/* RFC 8200, 3; behind extension headers ports are not looked for */
		l4 = at + 40;
		protocol = frame[at + 6];
		addresses = 0;
		for (at += 8; at < l4; at += 4)
			addresses ^= word_at(frame + at);
	} else {
		return mix(word_at(frame + 2) ^ word_at(frame + 8),
			   half_at(frame) ^ half_at(frame + 6));
	}
	if ((protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP) &&
	    l4 + 4 <= len)
		ports = half_at(frame + l4) ^ half_at(frame + l4 + 2);
	return mix(addresses, ports);
}
