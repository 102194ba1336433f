/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our metadata to and from an mbuf's transmit flags, as an ethdev reads them; and as the
 * vhost library (22.11, with its flags as applications have always seen them) makes them
 * of a virtio-net header.
 */
#include <errno.h>

#include <rte_mbuf.h>

#include "ether.h"
#include "weir_offload.h"

/* Where the checksum lies in its header: TCP, UDP, SCTP. */
#define CSUM_OFFSET_TCP 16
#define CSUM_OFFSET_UDP 6
#define CSUM_OFFSET_SCTP 8

void
weir_offload_from_mbuf(const struct rte_mbuf *mbuf, struct weir_offload *offload)
{
	uint64_t flags = mbuf->ol_flags;

	*offload = (struct weir_offload){0};
	if (flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG)) {
		offload->flags = WEIR_OFFLOAD_NEEDS_CSUM;
		offload->csum_start = mbuf->l2_len + mbuf->l3_len;
		switch (flags & RTE_MBUF_F_TX_L4_MASK) {
		case RTE_MBUF_F_TX_UDP_CKSUM:
			offload->csum_offset = CSUM_OFFSET_UDP;
			break;
		case RTE_MBUF_F_TX_SCTP_CKSUM:
			offload->csum_offset = CSUM_OFFSET_SCTP;
			break;
		default:
			offload->csum_offset = CSUM_OFFSET_TCP;
		}
	}
	if (flags & RTE_MBUF_F_TX_TCP_SEG) {
		offload->gso_type = flags & RTE_MBUF_F_TX_IPV4 ? WEIR_GSO_TCPV4 : WEIR_GSO_TCPV6;
		offload->gso_size = mbuf->tso_segsz;
		offload->hdr_len = mbuf->l2_len + mbuf->l3_len + mbuf->l4_len;
	}
}

int
weir_offload_to_mbuf(const struct weir_offload *offload, struct rte_mbuf *mbuf)
{
	uint16_t l2_len, type;

	if (!(offload->flags & WEIR_OFFLOAD_NEEDS_CSUM))
		return offload->gso_type == WEIR_GSO_NONE ? 0 : -EINVAL;
	if (mbuf->data_len < sizeof(struct rte_ether_hdr) ||
	    (uint32_t)offload->csum_start + offload->csum_offset + 2 > mbuf->data_len)
		return -EINVAL;
	l2_len = ether_len(rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len, &type);
	/* The header that holds the checksum starts behind the network header. */
	if (offload->csum_start <= l2_len ||
	    offload->csum_start - l2_len >= 1 << RTE_MBUF_L3_LEN_BITS)
		return -EINVAL;
	mbuf->l2_len = l2_len;
	mbuf->l3_len = offload->csum_start - l2_len;
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4;
	else if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		mbuf->ol_flags |= RTE_MBUF_F_TX_IPV6;
	switch (offload->csum_offset) {
	case CSUM_OFFSET_TCP:
		mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		break;
	case CSUM_OFFSET_UDP:
		mbuf->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
		break;
	case CSUM_OFFSET_SCTP:
		mbuf->ol_flags |= RTE_MBUF_F_TX_SCTP_CKSUM;
		break;
	default:
		return -EINVAL;
	}
	switch (offload->gso_type & ~WEIR_GSO_ECN) {
	case WEIR_GSO_NONE:
		return 0;
	case WEIR_GSO_TCPV4:
	case WEIR_GSO_TCPV6:
		if (offload->csum_offset != CSUM_OFFSET_TCP || offload->gso_size == 0 ||
		    (uint32_t)offload->csum_start + 20 > mbuf->data_len)
			return -EINVAL;
		mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		mbuf->tso_segsz = offload->gso_size;
		/* The data offset of the TCP header, in words, is the high half of byte 12. */
		mbuf->l4_len =
			(*rte_pktmbuf_mtod_offset(mbuf, uint8_t *, offload->csum_start + 12) >> 4) *
			4;
		return 0;
	default:
		return -EINVAL;
	}
}

bool
weir_offload_fits(const struct weir_offload *offload, uint32_t capabilities)
{
	uint32_t needed = 0;

	if (offload->flags & WEIR_OFFLOAD_NEEDS_CSUM)
		needed |= WEIR_OFFLOAD_CAP_CSUM;
	switch (offload->gso_type & ~WEIR_GSO_ECN) {
	case WEIR_GSO_NONE:
		break;
	case WEIR_GSO_TCPV4:
		needed |= WEIR_OFFLOAD_CAP_TSO4;
		break;
	case WEIR_GSO_TCPV6:
		needed |= WEIR_OFFLOAD_CAP_TSO6;
		break;
	default:
		return false;
	}
	if (offload->gso_type & WEIR_GSO_ECN)
		needed |= WEIR_OFFLOAD_CAP_ECN;
	return (needed & ~capabilities) == 0;
}
