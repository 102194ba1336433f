/* SPDX-License-Identifier: BSD-3-Clause */
#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "test_frame.h"

#define PORT_DISCARD 9

void
test_flow_init(struct test_flow *flow, uint32_t tag, uint16_t index,
	       const struct rte_ether_addr *from, const struct rte_ether_addr *to)
{
	struct {
		struct rte_ether_hdr ether;
		struct rte_ipv4_hdr ip;
		struct rte_udp_hdr udp;
	} head = {
		.ether = {.dst_addr = *to,
			  .src_addr = *from,
			  .ether_type = htons(RTE_ETHER_TYPE_IPV4)},
		.ip = {.version_ihl = RTE_IPV4_VHL_DEF,
		       .time_to_live = 64,
		       .next_proto_id = IPPROTO_UDP,
		       /* 198.18.0.0/15 is for benchmarks, RFC 2544. */
		       .src_addr = htonl(0xc6120000 + index),
		       .dst_addr = htonl(0xc6130000 + index)},
		.udp = {.src_port = htons(1024 + index % 60000), .dst_port = htons(PORT_DISCARD)},
	};

	RTE_BUILD_BUG_ON(sizeof(head) != TEST_FRAME_HEADERS);
	RTE_BUILD_BUG_ON(sizeof(struct test_mark) != TEST_FRAME_MARK);
	flow->tag = tag;
	flow->index = index;
	memcpy(flow->head, &head, sizeof(head));
}

/** Byte @p i behind the mark: another one in the next frame, and in the next byte. */
static inline uint8_t
body(uint64_t number, uint32_t i)
{
	return number * 31 + i * 7 + (i >> 8);
}

void
test_frame_fill(const struct test_flow *flow, uint8_t *data, uint64_t number, uint16_t len)
{
	uint32_t i;

	test_frame_mark(flow, data, number, len);
	for (i = TEST_FRAME_HEADERS + TEST_FRAME_MARK; i < len; i++)
		data[i] = body(number, i);
}

bool
test_frame_is_whole(const struct test_flow *flow, const struct rte_mbuf *frame, uint64_t number)
{
	uint8_t right[TEST_FRAME_MAX], seen[TEST_FRAME_MAX];
	uint32_t len = frame->pkt_len;
	const void *data;

	if (len > TEST_FRAME_MAX)
		return false;
	test_frame_fill(flow, right, number, len);
	data = rte_pktmbuf_read(frame, 0, len, seen);
	return data != NULL && memcmp(data, right, len) == 0;
}
