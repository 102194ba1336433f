/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "answer.h"
#include "harness.h"

#define IP(a, b, c, d) RTE_BE32(RTE_IPV4(a, b, c, d))
#define PORT RTE_BE16(40000)

static const struct rte_ether_addr guest_mac = {{0x52, 0x54, 0, 0, 0, 2}};
static const uint8_t guest_ip6[16] = {0xfd, [15] = 2};

static const struct answer_self self = {
	.mac = {{0x02, 0, 0, 0, 0, 7}},
	.ip = IP(10, 0, 0, 1),
	.has_ip6 = true,
	.ip6 = {0xfd, [15] = 1},
	.udp_port = RTE_BE16(7),
};

/* An mbuf over memory of its own: answers touch no pool. */
static struct {
	struct rte_mbuf mbuf;
	uint8_t data[2048];
} frame;

static void *
frame_begin(uint16_t type)
{
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)frame.data;

	memset(&frame, 0, sizeof(frame));
	frame.mbuf.buf_addr = frame.data;
	frame.mbuf.buf_len = sizeof(frame.data);
	frame.mbuf.nb_segs = 1;
	ether->dst_addr = self.mac;
	ether->src_addr = guest_mac;
	ether->ether_type = rte_cpu_to_be_16(type);
	return ether + 1;
}

static enum answer_kind
frame_end(uint32_t len)
{
	frame.mbuf.data_len = RTE_ETHER_HDR_LEN + len;
	frame.mbuf.pkt_len = frame.mbuf.data_len;
	return answer_make(&self, &frame.mbuf);
}

static void
answer_is_for_the_guest(void)
{
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)frame.data;

	assert_true(rte_is_same_ether_addr(&ether->dst_addr, &guest_mac));
	assert_true(rte_is_same_ether_addr(&ether->src_addr, &self.mac));
}

static struct rte_ipv4_hdr *
ip_begin(uint8_t proto, uint16_t l4_len)
{
	struct rte_ipv4_hdr *ip = frame_begin(RTE_ETHER_TYPE_IPV4);

	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->time_to_live = 3;
	ip->next_proto_id = proto;
	ip->src_addr = IP(10, 0, 0, 2);
	ip->dst_addr = self.ip;
	ip->total_length = rte_cpu_to_be_16(sizeof(*ip) + l4_len);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	return ip;
}

static struct rte_ipv6_hdr *
ip6_begin(uint8_t proto, uint16_t l4_len)
{
	struct rte_ipv6_hdr *ip = frame_begin(RTE_ETHER_TYPE_IPV6);

	ip->vtc_flow = RTE_BE32(0x60000000);
	ip->payload_len = rte_cpu_to_be_16(l4_len);
	ip->proto = proto;
	ip->hop_limits = 255;
	memcpy(ip->src_addr, guest_ip6, 16);
	memcpy(ip->dst_addr, self.ip6, 16);
	return ip;
}

static void
ip_answer_is_sound(void)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame.data + RTE_ETHER_HDR_LEN);

	answer_is_for_the_guest();
	assert_int_equal(rte_raw_cksum(ip, sizeof(*ip)), 0xffff);
	assert_int_equal(ip->dst_addr, IP(10, 0, 0, 2));
	assert_int_equal(ip->src_addr, self.ip);
}

static void
arp_request_is_answered(void **state)
{
	struct rte_arp_hdr *arp = frame_begin(RTE_ETHER_TYPE_ARP);

	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = 6;
	arp->arp_plen = 4;
	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST);
	arp->arp_data.arp_sha = guest_mac;
	arp->arp_data.arp_sip = IP(10, 0, 0, 2);
	arp->arp_data.arp_tip = IP(10, 0, 0, 9);
	assert_int_equal(frame_end(sizeof(*arp)), ANSWER_NONE);
	arp->arp_data.arp_tip = self.ip;
	assert_int_equal(frame_end(sizeof(*arp) - 1), ANSWER_NONE);
	assert_int_equal(frame_end(sizeof(*arp)), ANSWER_ARP);
	answer_is_for_the_guest();
	assert_int_equal(arp->arp_opcode, RTE_BE16(RTE_ARP_OP_REPLY));
	assert_true(rte_is_same_ether_addr(&arp->arp_data.arp_sha, &self.mac));
	assert_int_equal(arp->arp_data.arp_sip, self.ip);
	assert_int_equal(arp->arp_data.arp_tip, IP(10, 0, 0, 2));
	assert_int_equal(frame_end(sizeof(*arp)), ANSWER_NONE);
}

static void
ping_is_answered(void **state)
{
	const uint16_t len = sizeof(struct rte_icmp_hdr) + 57;
	struct rte_ipv4_hdr *ip = ip_begin(IPPROTO_ICMP, len);
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);

	icmp->icmp_type = RTE_IP_ICMP_ECHO_REQUEST;
	icmp->icmp_ident = 77;
	memset(icmp + 1, 0xa5, 57);
	assert_int_equal(frame_end(sizeof(*ip) + len), ANSWER_NONE); /* wrong checksum */
	icmp->icmp_cksum = ~rte_raw_cksum(icmp, len);
	assert_int_equal(frame_end(sizeof(*ip) + len - 1), ANSWER_NONE);
	assert_int_equal(frame_end(sizeof(*ip) + len), ANSWER_PING);
	ip_answer_is_sound();
	assert_int_equal(icmp->icmp_type, RTE_IP_ICMP_ECHO_REPLY);
	assert_int_equal(icmp->icmp_ident, 77);
	assert_int_equal(rte_raw_cksum(icmp, len), 0xffff);
}

static void
fragments_and_options_are_not_answered(void **state)
{
	const uint16_t len = sizeof(struct rte_icmp_hdr);
	struct rte_ipv4_hdr *ip = ip_begin(IPPROTO_ICMP, len);
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);

	icmp->icmp_type = RTE_IP_ICMP_ECHO_REQUEST;
	icmp->icmp_cksum = ~rte_raw_cksum(icmp, len);
	ip->hdr_checksum = 0;
	ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	assert_int_equal(frame_end(sizeof(*ip) + len), ANSWER_NONE);
	ip->hdr_checksum = 0;
	ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	ip->version_ihl = RTE_IPV4_VHL_DEF + 1;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	assert_int_equal(frame_end(sizeof(*ip) + len), ANSWER_NONE);
	ip->hdr_checksum = 0;
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	assert_int_equal(frame_end(sizeof(*ip) + len), ANSWER_PING);
}

static void
udp_is_echoed_with_a_sound_checksum(void **state)
{
	const uint16_t len = sizeof(struct rte_udp_hdr) + 5;
	int is_partial;

	for (is_partial = 0; is_partial < 2; is_partial++) {
		struct rte_ipv4_hdr *ip = ip_begin(IPPROTO_UDP, len);
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

		udp->src_port = PORT;
		udp->dst_port = self.udp_port;
		udp->dgram_len = rte_cpu_to_be_16(len);
		memcpy(udp + 1, "hello", 5);
		udp->dgram_cksum =
			is_partial ? rte_ipv4_phdr_cksum(ip, 0) : rte_ipv4_udptcp_cksum(ip, udp);
		frame.mbuf.ol_flags = is_partial ? RTE_MBUF_F_RX_L4_CKSUM_NONE : 0;
		assert_int_equal(frame_end(sizeof(*ip) + len), ANSWER_UDP);
		ip_answer_is_sound();
		assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, udp), 0);
		assert_int_equal(udp->dst_port, PORT);
		assert_int_equal(udp->src_port, self.udp_port);
		assert_memory_equal(udp + 1, "hello", 5);
		assert_int_equal(frame.mbuf.ol_flags, 0);
	}
}

static void
echo_does_not_answer_an_echo(void **state)
{
	const uint16_t len = sizeof(struct rte_udp_hdr);
	struct rte_ipv4_hdr *ip = ip_begin(IPPROTO_UDP, len);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	udp->src_port = self.udp_port;
	udp->dst_port = self.udp_port;
	udp->dgram_len = rte_cpu_to_be_16(len);
	assert_int_equal(frame_end(sizeof(*ip) + len), ANSWER_NONE);
}

static void
ipv6_ping_and_udp_are_answered(void **state)
{
	struct rte_ipv6_hdr *ip = ip6_begin(IPPROTO_ICMPV6, 16);
	uint8_t *icmp = (uint8_t *)(ip + 1);
	struct rte_udp_hdr *udp;
	uint16_t cksum;

	icmp[0] = 128;
	icmp[9] = 9;
	assert_int_equal(frame_end(sizeof(*ip) + 16), ANSWER_NONE); /* wrong checksum */
	cksum = rte_ipv6_udptcp_cksum(ip, icmp);
	memcpy(icmp + 2, &cksum, sizeof(cksum));
	assert_int_equal(frame_end(sizeof(*ip) + 16), ANSWER_PING6);
	answer_is_for_the_guest();
	assert_int_equal(icmp[0], 129);
	assert_memory_equal(ip->dst_addr, guest_ip6, 16);
	assert_int_equal(rte_ipv6_udptcp_cksum_verify(ip, icmp), 0);

	ip = ip6_begin(IPPROTO_UDP, sizeof(*udp) + 3);
	udp = (struct rte_udp_hdr *)(ip + 1);
	udp->src_port = PORT;
	udp->dst_port = self.udp_port;
	udp->dgram_len = rte_cpu_to_be_16(sizeof(*udp) + 3);
	udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
	assert_int_equal(frame_end(sizeof(*ip) + sizeof(*udp) + 3), ANSWER_UDP6);
	assert_int_equal(rte_ipv6_udptcp_cksum_verify(ip, udp), 0);
}

static void
neighbour_is_told_our_address(void **state)
{
	struct rte_ipv6_hdr *ip = ip6_begin(IPPROTO_ICMPV6, 32);
	uint8_t *icmp = (uint8_t *)(ip + 1);
	uint16_t cksum;

	icmp[0] = 135;
	memcpy(icmp + 8, self.ip6, 16);
	icmp[24] = 1; /* the asker's address */
	icmp[25] = 1;
	memcpy(icmp + 26, &guest_mac, 6);
	cksum = rte_ipv6_udptcp_cksum(ip, icmp);
	memcpy(icmp + 2, &cksum, sizeof(cksum));
	assert_int_equal(frame_end(sizeof(*ip) + 32), ANSWER_NEIGHBOUR);
	answer_is_for_the_guest();
	assert_int_equal(icmp[0], 136);
	assert_int_equal(icmp[4], 0x60); /* solicited, override */
	assert_int_equal(icmp[24], 2);
	assert_memory_equal(icmp + 26, &self.mac, 6);
	assert_int_equal(ip->hop_limits, 255);
	assert_int_equal(rte_ipv6_udptcp_cksum_verify(ip, icmp), 0);
	assert_int_equal(frame.mbuf.data_len, RTE_ETHER_HDR_LEN + sizeof(*ip) + 32);
}

static void
noise_is_left_as_it_is(void **state)
{
	uint8_t before[sizeof(frame.data)];
	unsigned int seed = 5, round, i;
	uint16_t len;

	for (round = 0; round < 200000; round++) {
		static const uint16_t types[] = {RTE_ETHER_TYPE_ARP, RTE_ETHER_TYPE_IPV4,
						 RTE_ETHER_TYPE_IPV6};
		uint8_t *data = frame_begin(types[round % 3]);

		len = rand_r(&seed) % 100;
		for (i = 0; i < len; i++)
			data[i] = rand_r(&seed);
		/* Far enough for the checks of a header that begins well. */
		data[0] = round % 3 == 1 ? RTE_IPV4_VHL_DEF : round % 3 == 2 ? 0x60 : data[0];
		memcpy(before, frame.data, sizeof(before));
		assert_int_equal(frame_end(len), ANSWER_NONE);
		assert_memory_equal(before, frame.data, sizeof(before));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_request_is_answered),
		cmocka_unit_test(ping_is_answered),
		cmocka_unit_test(fragments_and_options_are_not_answered),
		cmocka_unit_test(udp_is_echoed_with_a_sound_checksum),
		cmocka_unit_test(echo_does_not_answer_an_echo),
		cmocka_unit_test(ipv6_ping_and_udp_are_answered),
		cmocka_unit_test(neighbour_is_told_our_address),
		cmocka_unit_test(noise_is_left_as_it_is),
	};

	return cmocka_run_group_tests_name("echo", tests, NULL, NULL);
}
