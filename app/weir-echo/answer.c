/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP (RFC 826), neighbour discovery (RFC 4861, 7.2), echo of ICMP (RFC 792) and
 * ICMPv6 (RFC 4443, 4), and UDP echo (RFC 862). Frames come from a guest: a length
 * is checked before what it covers is read, and what is not understood in full
 * (options, fragments, extension headers) is not answered.
 */
#include <string.h>

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "answer.h"

#define HOP_LIMIT 64
/** RFC 4861, 7.1: so that it cannot have come through a router. */
#define NEIGHBOUR_HOP_LIMIT 255

#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_NEIGHBOUR_SOLICITATION 135
#define ICMP6_NEIGHBOUR_ADVERTISEMENT 136

#define NA_SOLICITED 0x40
#define NA_OVERRIDE 0x20
#define OPTION_TARGET_LLADDR 2

struct icmp6 {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
} __rte_packed __rte_aligned(2);

struct neighbour {
	struct icmp6 icmp;
	uint8_t flags;
	uint8_t reserved[3];
	uint8_t target[16];
	/* Of an advertisement: */
	uint8_t option;
	uint8_t option_len; /* in units of 8 bytes */
	struct rte_ether_addr lladdr;
} __rte_packed __rte_aligned(2);

#define SOLICITATION_BYTES offsetof(struct neighbour, option)

static void
ether_turn(const struct answer_self *self, struct rte_ether_hdr *ether)
{
	ether->dst_addr = ether->src_addr;
	ether->src_addr = self->mac;
}

static enum answer_kind
arp_answer(const struct answer_self *self, struct rte_ether_hdr *ether, uint32_t len)
{
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ether + 1);
	struct rte_arp_ipv4 *data = &arp->arp_data;

	if (len < sizeof(*arp) || self->ip == 0 ||
	    arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
	    arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
	    arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != sizeof(data->arp_tip) ||
	    arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST) || data->arp_tip != self->ip)
		return ANSWER_NONE;
	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	data->arp_tha = data->arp_sha;
	data->arp_tip = data->arp_sip;
	data->arp_sha = self->mac;
	data->arp_sip = self->ip;
	ether_turn(self, ether);
	return ANSWER_ARP;
}

static bool
ping_turn(struct rte_icmp_hdr *icmp, uint32_t len)
{
	if (len < sizeof(*icmp) || icmp->icmp_type != RTE_IP_ICMP_ECHO_REQUEST ||
	    icmp->icmp_code != 0 || rte_raw_cksum(icmp, len) != 0xffff)
		return false;
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
	icmp->icmp_cksum = 0;
	icmp->icmp_cksum = ~rte_raw_cksum(icmp, len);
	return true;
}

static bool
udp_is_echo(const struct answer_self *self, const struct rte_udp_hdr *udp, uint32_t len)
{
	/* From our own port it would be another echo's answer, without end. */
	return len >= sizeof(*udp) && rte_be_to_cpu_16(udp->dgram_len) == len &&
	       udp->dst_port == self->udp_port && udp->src_port != self->udp_port;
}

static void
udp_turn(struct rte_udp_hdr *udp)
{
	rte_be16_t port = udp->src_port;

	udp->src_port = udp->dst_port;
	udp->dst_port = port;
}

static enum answer_kind
ip_answer(const struct answer_self *self, struct rte_mbuf *frame, struct rte_ether_hdr *ether,
	  uint32_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ether + 1);
	bool is_partial = frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_NONE;
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	enum answer_kind kind;
	uint32_t l4_len;

	if (len < sizeof(*ip) || ip->version_ihl != RTE_IPV4_VHL_DEF || self->ip == 0 ||
	    ip->dst_addr != self->ip || rte_be_to_cpu_16(ip->total_length) > len ||
	    rte_be_to_cpu_16(ip->total_length) < sizeof(*ip) ||
	    (ip->fragment_offset & ~RTE_BE16(RTE_IPV4_HDR_DF_FLAG)) != 0 ||
	    rte_raw_cksum(ip, sizeof(*ip)) != 0xffff)
		return ANSWER_NONE;
	l4_len = rte_be_to_cpu_16(ip->total_length) - sizeof(*ip);
	if (ip->next_proto_id == IPPROTO_ICMP && ping_turn((struct rte_icmp_hdr *)(ip + 1), l4_len))
		kind = ANSWER_PING;
	else if (ip->next_proto_id == IPPROTO_UDP && udp_is_echo(self, udp, l4_len) &&
		 (is_partial || udp->dgram_cksum == 0 ||
		  rte_ipv4_udptcp_cksum_verify(ip, udp) == 0))
		kind = ANSWER_UDP;
	else
		return ANSWER_NONE;
	ip->dst_addr = ip->src_addr;
	ip->src_addr = self->ip;
	ip->time_to_live = HOP_LIMIT;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (kind == ANSWER_UDP) {
		udp_turn(udp);
		/* A whole checksum does not mind what changes places. */
		if (is_partial) {
			udp->dgram_cksum = 0;
			udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
		}
	}
	ether_turn(self, ether);
	return kind;
}

/** The source and the destination of an answer; for neighbours see the caller. */
static void
ip6_turn(const struct answer_self *self, struct rte_ether_hdr *ether, struct rte_ipv6_hdr *ip)
{
	memcpy(ip->dst_addr, ip->src_addr, sizeof(ip->dst_addr));
	memcpy(ip->src_addr, self->ip6, sizeof(ip->src_addr));
	ip->hop_limits = HOP_LIMIT;
	ether_turn(self, ether);
}

static enum answer_kind
neighbour_answer(const struct answer_self *self, struct rte_mbuf *frame,
		 struct rte_ether_hdr *ether, struct rte_ipv6_hdr *ip, uint32_t len)
{
	static const uint8_t unspecified[16];
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const struct rte_ether_addr all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};
	struct neighbour *neighbour = (struct neighbour *)(ip + 1);
	uint32_t bytes = sizeof(*ether) + sizeof(*ip) + sizeof(*neighbour);
	bool is_claim; /* somebody asks whether the address is free */

	if (len < SOLICITATION_BYTES || ip->hop_limits != NEIGHBOUR_HOP_LIMIT ||
	    memcmp(neighbour->target, self->ip6, sizeof(self->ip6)) != 0 ||
	    frame->data_off + bytes > frame->buf_len)
		return ANSWER_NONE;
	is_claim = memcmp(ip->src_addr, unspecified, sizeof(unspecified)) == 0;
	ip6_turn(self, ether, ip);
	ip->hop_limits = NEIGHBOUR_HOP_LIMIT;
	ip->payload_len = rte_cpu_to_be_16(sizeof(*neighbour));
	if (is_claim) {
		memcpy(ip->dst_addr, all_nodes, sizeof(all_nodes));
		ether->dst_addr = all_nodes_mac;
	}
	neighbour->icmp = (struct icmp6){.type = ICMP6_NEIGHBOUR_ADVERTISEMENT};
	neighbour->flags = NA_OVERRIDE | (is_claim ? 0 : NA_SOLICITED);
	memset(neighbour->reserved, 0, sizeof(neighbour->reserved));
	neighbour->option = OPTION_TARGET_LLADDR;
	neighbour->option_len = 1;
	neighbour->lladdr = self->mac;
	neighbour->icmp.checksum = rte_ipv6_udptcp_cksum(ip, neighbour);
	frame->data_len = bytes;
	frame->pkt_len = bytes;
	return ANSWER_NEIGHBOUR;
}

static enum answer_kind
icmp6_answer(const struct answer_self *self, struct rte_mbuf *frame, struct rte_ether_hdr *ether,
	     struct rte_ipv6_hdr *ip, uint32_t len)
{
	struct icmp6 *icmp = (struct icmp6 *)(ip + 1);

	if (len < sizeof(*icmp) || icmp->code != 0 || rte_ipv6_udptcp_cksum_verify(ip, icmp) != 0)
		return ANSWER_NONE;
	if (icmp->type == ICMP6_NEIGHBOUR_SOLICITATION)
		return neighbour_answer(self, frame, ether, ip, len);
	if (icmp->type != ICMP6_ECHO_REQUEST ||
	    memcmp(ip->dst_addr, self->ip6, sizeof(self->ip6)) != 0)
		return ANSWER_NONE;
	ip6_turn(self, ether, ip);
	icmp->type = ICMP6_ECHO_REPLY;
	icmp->checksum = 0;
	icmp->checksum = rte_ipv6_udptcp_cksum(ip, icmp);
	return ANSWER_PING6;
}

static enum answer_kind
ip6_answer(const struct answer_self *self, struct rte_mbuf *frame, struct rte_ether_hdr *ether,
	   uint32_t len)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(ether + 1);
	bool is_partial = frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_NONE;
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	uint32_t l4_len;

	if (len < sizeof(*ip) || !self->has_ip6 ||
	    (ip->vtc_flow & RTE_BE32(0xf0000000)) != RTE_BE32(0x60000000) ||
	    rte_be_to_cpu_16(ip->payload_len) > len - sizeof(*ip))
		return ANSWER_NONE;
	l4_len = rte_be_to_cpu_16(ip->payload_len);
	if (ip->proto == IPPROTO_ICMPV6)
		return icmp6_answer(self, frame, ether, ip, l4_len);
	if (ip->proto != IPPROTO_UDP || !udp_is_echo(self, udp, l4_len) ||
	    memcmp(ip->dst_addr, self->ip6, sizeof(self->ip6)) != 0 ||
	    (!is_partial && rte_ipv6_udptcp_cksum_verify(ip, udp) != 0))
		return ANSWER_NONE;
	ip6_turn(self, ether, ip);
	udp_turn(udp);
	if (is_partial) {
		udp->dgram_cksum = 0;
		udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
	}
	return ANSWER_UDP6;
}

enum answer_kind
answer_make(const struct answer_self *self, struct rte_mbuf *frame)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(frame, struct rte_ether_hdr *);
	enum answer_kind kind = ANSWER_NONE;
	uint32_t len;

	if (frame->data_len < sizeof(*ether))
		return ANSWER_NONE;
	len = frame->data_len - sizeof(*ether);
	if (!rte_is_same_ether_addr(&ether->dst_addr, &self->mac) &&
	    !rte_is_multicast_ether_addr(&ether->dst_addr))
		return ANSWER_NONE;
	if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		kind = arp_answer(self, ether, len);
	else if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		kind = ip_answer(self, frame, ether, len);
	else if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		kind = ip6_answer(self, frame, ether, len);
	if (kind != ANSWER_NONE)
		frame->ol_flags = 0;
	return kind;
}
