/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet becomes finished frames. Sums are kept in the order in which the words lie in
 * memory: a one's complement sum does not care (RFC 1071, 2.B).
 *
 * The sender has left the sum of the pseudo header where the checksum belongs (virtio
 * 1.1, 5.1.6.2), so nothing here needs to know one: not what a checksum is of, nor which
 * address a routing header makes the last. A frame cut has another length than the packet,
 * which is what changes in that sum.
 */
#include <errno.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "ether.h"
#include "weir_offload.h"

#define CSUM_LEN 2

/** Copy the first bytes of a packet, at most @p n; how many. */
static uint32_t
packet_head(const struct weir_tx_segment *packet, uint8_t *to, uint32_t n)
{
	uint32_t had = 0, part;
	uint16_t i;

	for (i = 0; i < packet->n_segments && had < n; i++, had += part) {
		part = RTE_MIN(packet[i].len, n - had);
		memcpy(to + had, packet[i].addr, part);
	}
	return had;
}

/** What TCP segmentation needs to be so of the headers. */
static int
cut_check_tcp(struct weir_offload_cut *cut, const struct weir_offload *o, uint32_t had)
{
	bool ipv6 = (o->gso_type & ~WEIR_GSO_ECN) == WEIR_GSO_TCPV6;
	uint32_t ip_len = ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	const struct rte_tcp_hdr *tcp;
	uint16_t type;

	if (!(o->flags & WEIR_OFFLOAD_NEEDS_CSUM) || o->gso_size == 0 ||
	    o->csum_offset != offsetof(struct rte_tcp_hdr, cksum) ||
	    (uint32_t)o->csum_start + sizeof(*tcp) > had)
		return -EINVAL;
	cut->l3_start = ether_len(cut->original, had, &type);
	if (type != (ipv6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6) : RTE_BE16(RTE_ETHER_TYPE_IPV4)) ||
	    o->csum_start < cut->l3_start + ip_len)
		return -EINVAL;
	if (!ipv6) {
		const struct rte_ipv4_hdr *ip = (const void *)(cut->original + cut->l3_start);

		if (rte_ipv4_hdr_len(ip) != o->csum_start - cut->l3_start ||
		    ip->next_proto_id != IPPROTO_TCP)
			return -EINVAL;
	}
	tcp = (const void *)(cut->original + o->csum_start);
	cut->header_len = o->csum_start + (tcp->data_off >> 4) * 4;
	if ((tcp->data_off >> 4) * 4u < sizeof(*tcp) || cut->header_len > had)
		return -EINVAL;
	return 0;
}

int
weir_offload_cut_begin(struct weir_offload_cut *cut, const struct weir_tx_segment *packet,
		       uint32_t capabilities)
{
	const struct weir_offload *o = &packet->offload;
	uint32_t had = packet_head(packet, cut->original, sizeof(cut->original));
	uint8_t gso = o->gso_type & ~WEIR_GSO_ECN;
	int rc;

	cut->packet = packet;
	cut->n_given = 0;
	cut->offload = (struct weir_offload){
		.flags = o->flags & WEIR_OFFLOAD_VLAN,
		.vlan_tci = o->vlan_tci,
	};
	cut->capabilities = capabilities;
	cut->l4_start = o->csum_start;
	cut->csum_at = o->csum_start + o->csum_offset;
	cut->piece = cut->skip = 0;
	if (gso == WEIR_GSO_NONE) {
		uint32_t end = (uint32_t)o->csum_start + o->csum_offset + CSUM_LEN;

		if (!(o->flags & WEIR_OFFLOAD_NEEDS_CSUM) || end > had)
			return -EINVAL;
		cut->header_len = end;
		cut->payload = cut->gso_size = packet->frame_len - end;
		cut->n_frames = 1;
		return 0;
	}
	if (gso != WEIR_GSO_TCPV4 && gso != WEIR_GSO_TCPV6)
		return -EOPNOTSUPP;
	rc = cut_check_tcp(cut, o, had);
	if (rc != 0)
		return rc;
	cut->payload = packet->frame_len - cut->header_len;
	cut->gso_size = o->gso_size;
	cut->n_frames = RTE_MAX((cut->payload + cut->gso_size - 1) / cut->gso_size, 1u);
	return 0;
}

static uint16_t
sum_add(uint16_t a, uint16_t b)
{
	return __rte_raw_cksum_reduce((uint32_t)a + b);
}

/** A length as the pseudo header has it: 16 bits of IPv4's, 32 of IPv6's. */
static uint16_t
sum_of_len(uint32_t len)
{
	return sum_add(rte_cpu_to_be_16(len >> 16), rte_cpu_to_be_16(len & 0xffff));
}

/** Numbers, flags and lengths of frame n_given, of @p part bytes of payload. */
static void
header_edit_tcp(struct weir_offload_cut *cut, uint32_t part)
{
	struct rte_tcp_hdr *tcp = (void *)(cut->header + cut->l4_start);
	uint32_t l4_was = cut->packet->frame_len - cut->l4_start;
	uint32_t l4_is = cut->header_len - cut->l4_start + part;
	bool first = cut->n_given == 0, last = cut->n_given + 1 == cut->n_frames;

	tcp->sent_seq =
		rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + cut->n_given * cut->gso_size);
	/* What is said once: FIN and PSH with the last byte, CWR with the first (RFC 3168, 6.1). */
	if (!last)
		tcp->tcp_flags &= ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	if (!first)
		tcp->tcp_flags &= ~RTE_TCP_CWR_FLAG;
	tcp->cksum = sum_add(tcp->cksum, sum_add(~sum_of_len(l4_was), sum_of_len(l4_is)));
	if ((cut->packet->offload.gso_type & ~WEIR_GSO_ECN) == WEIR_GSO_TCPV6) {
		struct rte_ipv6_hdr *ip = (void *)(cut->header + cut->l3_start);

		ip->payload_len =
			rte_cpu_to_be_16(cut->header_len - cut->l3_start - sizeof(*ip) + part);
	} else {
		struct rte_ipv4_hdr *ip = (void *)(cut->header + cut->l3_start);

		ip->total_length = rte_cpu_to_be_16(cut->header_len - cut->l3_start + part);
		ip->packet_id = rte_cpu_to_be_16(rte_be_to_cpu_16(ip->packet_id) + cut->n_given);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
}

/** Skip the headers, which are given out as a copy. */
static void
payload_find(struct weir_offload_cut *cut)
{
	cut->skip = cut->header_len;
	while (cut->piece < cut->packet->n_segments && cut->skip >= cut->packet[cut->piece].len)
		cut->skip -= cut->packet[cut->piece++].len;
}

/** The next @p n bytes of payload; segments set. */
static uint16_t
payload_take(struct weir_offload_cut *cut, struct weir_tx_segment *segments, uint32_t n)
{
	uint16_t set = 0;

	while (n > 0) {
		const struct weir_tx_segment *from = &cut->packet[cut->piece];
		uint32_t part = RTE_MIN(n, from->len - cut->skip);

		segments[set++] = (struct weir_tx_segment){
			.addr = (const uint8_t *)from->addr + cut->skip,
			.len = part,
		};
		n -= part;
		cut->skip += part;
		if (cut->skip == from->len) {
			cut->piece++;
			cut->skip = 0;
		}
	}
	return set;
}

/** Complete the sum that stands where the checksum belongs. */
static void
header_complete(struct weir_offload_cut *cut, const struct weir_tx_segment *segments, uint16_t n)
{
	uint32_t at = cut->header_len - cut->l4_start;
	uint16_t i, part, sum;

	sum = rte_raw_cksum(cut->header + cut->l4_start, at);
	for (i = 1; i < n; at += segments[i].len, i++) {
		part = rte_raw_cksum(segments[i].addr, segments[i].len);
		/* A piece that starts within a word (RFC 1071, 2.B). */
		sum = sum_add(sum, at & 1 ? rte_bswap16(part) : part);
	}
	sum = ~sum;
	/* 0 says "none" in UDP (RFC 768), and is the same number elsewhere. */
	if (sum == 0)
		sum = 0xffff;
	memcpy(cut->header + cut->csum_at, &sum, sizeof(sum));
}

uint16_t
weir_offload_cut_next(struct weir_offload_cut *cut, struct weir_tx_segment *segments)
{
	uint32_t part = RTE_MIN(cut->payload, cut->gso_size);
	uint16_t n;

	if (cut->n_given == cut->n_frames)
		return 0;
	if (cut->n_given == 0)
		payload_find(cut);
	memcpy(cut->header, cut->original, cut->header_len);
	if (cut->packet->offload.gso_type != WEIR_GSO_NONE)
		header_edit_tcp(cut, part);
	segments[0] = (struct weir_tx_segment){
		.addr = cut->header,
		.len = cut->header_len,
		.frame_len = cut->header_len + part,
		.id = cut->packet->id,
		.offload = cut->offload,
	};
	n = 1 + payload_take(cut, segments + 1, part);
	segments[0].n_segments = n;
	if (cut->capabilities & WEIR_OFFLOAD_CAP_CSUM) {
		segments[0].offload.flags |= WEIR_OFFLOAD_NEEDS_CSUM;
		segments[0].offload.csum_start = cut->packet->offload.csum_start;
		segments[0].offload.csum_offset = cut->packet->offload.csum_offset;
	} else {
		header_complete(cut, segments, n);
	}
	cut->payload -= part;
	cut->n_given++;
	return n;
}
