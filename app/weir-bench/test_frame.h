/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_FRAME_H
#define TEST_FRAME_H

/*
 * The frames that mode vhost sends: UDP over IPv4, its flow in the addresses and the
 * source port, a mark behind the headers. Of most frames only the headers and the mark
 * are written and the mark is read; of every nth the whole frame is, at both ends.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#define TEST_FRAME_HEADERS 42 /* Ethernet, IPv4, UDP */
#define TEST_FRAME_MARK 16
#define TEST_FRAME_MIN 60 /* on a wire 64, with the check sequence */
#define TEST_FRAME_MAX 9714

/** Behind the headers, not aligned. */
struct test_mark {
	uint32_t tag; /* of this run */
	uint16_t flow;
	uint16_t len; /* of the frame */
	uint64_t number;
};

/** What every frame of a flow begins with. */
struct test_flow {
	uint32_t tag;
	uint16_t index;
	uint8_t head[TEST_FRAME_HEADERS];
};

void test_flow_init(struct test_flow *flow, uint32_t tag, uint16_t index,
		    const struct rte_ether_addr *from, const struct rte_ether_addr *to);

/** All of frame @p number, @p len bytes of it. */
void test_frame_fill(const struct test_flow *flow, uint8_t *data, uint64_t number, uint16_t len);

/** Whether all @p len bytes of frame @p number are what test_frame_fill() wrote. */
bool test_frame_is_whole(const struct test_flow *flow, const struct rte_mbuf *frame,
			 uint64_t number);

/** The headers and the mark. */
static inline void
test_frame_mark(const struct test_flow *flow, uint8_t *data, uint64_t number, uint16_t len)
{
	struct test_mark mark = {flow->tag, flow->index, len, number};

	memcpy(data, flow->head, TEST_FRAME_HEADERS);
	data[16] = (len - 14) >> 8; /* IPv4: total length */
	data[17] = (len - 14) & 0xff;
	data[38] = (len - 34) >> 8; /* UDP: length */
	data[39] = (len - 34) & 0xff;
	memcpy(data + TEST_FRAME_HEADERS, &mark, sizeof(mark));
}

static inline struct test_mark
test_frame_read(const struct rte_mbuf *frame)
{
	struct test_mark mark;

	memcpy(&mark, rte_pktmbuf_mtod_offset(frame, uint8_t *, TEST_FRAME_HEADERS), sizeof(mark));
	return mark;
}

#endif
