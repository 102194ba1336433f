/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After a live migration the front-end asks the back-end to announce the guest, so
 * that the switches of the network learn where it is now (vhost-user, SEND_RARP). The
 * frame lies in the pair itself: it is had even when the budget is used up.
 */
#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>

#include "guest.h"

#define RARP_ETHER_TYPE 0x8035 /* RFC 903 */

/** Ask the pair's lcore to send an announcement of @p mac. Control threads. */
void
rarp_ask(struct weir_pair *pair, const uint8_t *mac)
{
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)pair->rarp;
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ether + 1);

	/* One that is on its way says the same already. */
	if (atomic_load_explicit(&pair->rarp_state, memory_order_acquire) != RARP_NONE)
		return;
	memset(pair->rarp, 0, sizeof(pair->rarp));
	memset(&ether->dst_addr, 0xff, sizeof(ether->dst_addr));
	memcpy(&ether->src_addr, mac, sizeof(ether->src_addr));
	ether->ether_type = RTE_BE16(RARP_ETHER_TYPE);
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(uint32_t);
	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REVREQUEST);
	memcpy(&arp->arp_data.arp_sha, mac, RTE_ETHER_ADDR_LEN);
	memcpy(&arp->arp_data.arp_tha, mac, RTE_ETHER_ADDR_LEN);
	/* Release: the frame. Partner: the acquire in rarp_take(). */
	atomic_store_explicit(&pair->rarp_state, RARP_ASKED, memory_order_release);
}

/** Put the announcement where a burst is taken to, if one was asked for; its lcore. */
bool
rarp_take(struct weir_pair *pair)
{
	if (likely(atomic_load_explicit(&pair->rarp_state, memory_order_acquire) != RARP_ASKED))
		return false;
	atomic_store_explicit(&pair->rarp_state, RARP_SENT, memory_order_relaxed);
	pair->segments[0] = (struct weir_tx_segment){
		.addr = pair->rarp,
		.len = sizeof(pair->rarp),
		.frame_len = sizeof(pair->rarp),
		.id = RARP_ID,
		.n_segments = 1,
	};
	return true;
}

/** The endpoint is done with it. */
void
rarp_done(struct weir_pair *pair)
{
	/* Release: whoever asks next may write the frame. Partner: rarp_ask(). */
	atomic_store_explicit(&pair->rarp_state, RARP_NONE, memory_order_release);
}
