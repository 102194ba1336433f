/* SPDX-License-Identifier: BSD-3-Clause */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>

#include "harness.h"
#include "weir_flow.h"

#define FLOWS 4096

/** A frame of 2 tags, IPv4 with options or IPv6, ports; @p from speaks to @p to. */
struct flow {
	bool ip6, fragment;
	unsigned int tags, options;
	uint8_t protocol;
	uint32_t from, to;
	uint16_t from_port, to_port;
};

static uint32_t
frame_write(uint8_t *frame, const struct flow *flow)
{
	uint8_t *at = frame + 12;
	unsigned int i;

	memset(frame, 0, 128);
	frame[5] = flow->to;
	frame[11] = flow->from;
	for (i = 0; i < flow->tags; i++, at += 4)
		*(rte_be16_t *)at = RTE_BE16(RTE_ETHER_TYPE_VLAN);
	*(rte_be16_t *)at =
		flow->ip6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6) : RTE_BE16(RTE_ETHER_TYPE_IPV4);
	at += 2;
	if (flow->ip6) {
		struct rte_ipv6_hdr *ip = (void *)at;

		ip->proto = flow->protocol;
		memcpy(ip->src_addr + 12, &flow->from, 4);
		memcpy(ip->dst_addr + 12, &flow->to, 4);
		at += sizeof(*ip);
	} else {
		struct rte_ipv4_hdr *ip = (void *)at;

		ip->version_ihl = 0x45 + flow->options;
		ip->next_proto_id = flow->protocol;
		ip->fragment_offset = flow->fragment ? RTE_BE16(RTE_IPV4_HDR_MF_FLAG) : 0;
		ip->src_addr = flow->from;
		ip->dst_addr = flow->to;
		at += sizeof(*ip) + 4 * flow->options;
	}
	*(rte_be16_t *)at = rte_cpu_to_be_16(flow->from_port);
	*(rte_be16_t *)(at + 2) = rte_cpu_to_be_16(flow->to_port);
	return at + 4 - frame;
}

static uint32_t
hash(const struct flow *flow)
{
	uint8_t frame[128];
	uint32_t len = frame_write(frame, flow);

	return weir_flow_hash(frame, len);
}

static struct flow
turned(const struct flow *flow)
{
	struct flow back = *flow;

	back.from = flow->to;
	back.to = flow->from;
	back.from_port = flow->to_port;
	back.to_port = flow->from_port;
	return back;
}

/** Every kind of frame that has ports, and what stands before them. */
static void
flow_of_kind(struct flow *flow, unsigned int kind)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

	*flow = (struct flow){
		.ip6 = kind & 1,
		.tags = kind / 2 % 3,
		.options = kind & 1 ? 0 : kind / 6 % 11,
		.protocol = protocols[kind % 3],
		.from = RTE_BE32(RTE_IPV4(10, 0, 0, 1)),
		.to = RTE_BE32(RTE_IPV4(10, 0, 0, 2)),
		.from_port = 40000,
		.to_port = 443,
	};
}

#define KINDS 66

static void
both_directions_are_one_flow(void **state)
{
	struct flow flow, back;
	unsigned int kind;

	for (kind = 0; kind < KINDS; kind++) {
		flow_of_kind(&flow, kind);
		back = turned(&flow);
		assert_int_equal(hash(&flow), hash(&back));
	}
}

static void
ports_and_addresses_tell_flows_apart(void **state)
{
	struct flow flow, other;
	unsigned int kind;

	for (kind = 0; kind < KINDS; kind++) {
		flow_of_kind(&flow, kind);
		other = flow;
		other.from_port++;
		assert_int_not_equal(hash(&flow), hash(&other));
		other = flow;
		other.to += RTE_BE32(1);
		assert_int_not_equal(hash(&flow), hash(&other));
	}
}

static void
fragments_of_a_packet_stay_together(void **state)
{
	struct flow first, next;

	flow_of_kind(&first, 0);
	first.fragment = true;
	next = first;
	/* Where the first has its ports the next has data. */
	next.from_port = 0xdead;
	next.to_port = 0xbeef;
	assert_int_equal(hash(&first), hash(&next));
}

static void
what_is_not_ip_is_told_apart_by_station(void **state)
{
	uint8_t frame[64] = {0};
	uint32_t before;

	frame[12] = 0x88;
	before = weir_flow_hash(frame, sizeof(frame));
	frame[14] = 1;
	assert_int_equal(weir_flow_hash(frame, sizeof(frame)), before);
	frame[5] = 1;
	assert_int_not_equal(weir_flow_hash(frame, sizeof(frame)), before);
}

/** Ports that follow one another, as a host gives them out. */
static void
many_flows_are_spread_evenly(void **state)
{
	unsigned int counts[16], i, n, kind;
	struct flow flow;

	for (kind = 0; kind < 2; kind++) {
		for (n = 2; n <= 16; n++) {
			memset(counts, 0, sizeof(counts));
			flow_of_kind(&flow, kind);
			for (i = 0; i < FLOWS; i++, flow.from_port++)
				counts[weir_flow_pick(hash(&flow), n)]++;
			for (i = 0; i < n; i++)
				assert_in_range(counts[i], FLOWS / n * 3 / 4, FLOWS / n * 5 / 4);
		}
	}
}

/** Not a byte behind its end is read: the address sanitizer looks. */
static void
noise_of_any_length_has_a_flow(void **state)
{
	unsigned int seed = 7, round, i;

	for (round = 0; round < 100000; round++) {
		uint32_t len = rand_r(&seed) % (WEIR_FLOW_HEADERS + 1);
		uint8_t *frame = malloc(len > 0 ? len : 1);
		struct flow flow;
		uint8_t whole[128];

		flow_of_kind(&flow, round % KINDS);
		frame_write(whole, &flow);
		memcpy(frame, whole, len);
		for (i = 0; i < 3 && len > 0; i++)
			frame[rand_r(&seed) % len] = rand_r(&seed);
		assert_in_range(weir_flow_pick(weir_flow_hash(frame, len), 5), 0, 4);
		free(frame);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_are_one_flow),
		cmocka_unit_test(ports_and_addresses_tell_flows_apart),
		cmocka_unit_test(fragments_of_a_packet_stay_together),
		cmocka_unit_test(what_is_not_ip_is_told_apart_by_station),
		cmocka_unit_test(many_flows_are_spread_evenly),
		cmocka_unit_test(noise_of_any_length_has_a_flow),
	};

	return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
