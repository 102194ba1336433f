/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ETHER_H
#define ETHER_H

#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

#define ETHER_TAGS_MAX 2

/**
 * Bytes of an Ethernet header with its tags.
 *
 * @param had
 *   Bytes of frame at @p data; at least a header.
 * @param type
 *   Of what follows; network byte order.
 */
static inline uint16_t
ether_len(const uint8_t *data, uint32_t had, uint16_t *type)
{
	const struct rte_ether_hdr *ether = (const void *)data;
	uint16_t len = sizeof(*ether);

	*type = ether->ether_type;
	while ((*type == RTE_BE16(RTE_ETHER_TYPE_VLAN) || *type == RTE_BE16(RTE_ETHER_TYPE_QINQ) ||
		*type == RTE_BE16(RTE_ETHER_TYPE_QINQ1)) &&
	       len + sizeof(struct rte_vlan_hdr) <= had &&
	       len < sizeof(*ether) + ETHER_TAGS_MAX * sizeof(struct rte_vlan_hdr)) {
		const struct rte_vlan_hdr *vlan = (const void *)(data + len);

		*type = vlan->eth_proto;
		len += sizeof(*vlan);
	}
	return len;
}

#endif
