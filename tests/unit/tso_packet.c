/* SPDX-License-Identifier: BSD-3-Clause */
#include <netinet/in.h>
#include <string.h>

#include "tso_packet.h"

void
tso_packet_make(struct tso_packet *packet)
{
	uint8_t *ip = packet->bytes + 14, *tcp = ip + 20;
	uint32_t i, first = 1000;

	memset(packet, 0, sizeof(*packet));
	packet->bytes[12] = 8;
	ip[0] = 0x45;
	ip[9] = IPPROTO_TCP;
	tcp[12] = 5 << 4;
	for (i = 0; i < TSO_PAYLOAD; i++)
		packet->bytes[TSO_HEADERS + i] = i * 31 + (i >> 8);
	packet->segments[0] = (struct weir_tx_segment){
		.addr = packet->bytes,
		.len = first,
		.frame_len = sizeof(packet->bytes),
		.n_segments = 2,
		.offload =
			{
				.flags = WEIR_OFFLOAD_NEEDS_CSUM,
				.gso_type = WEIR_GSO_TCPV4,
				.gso_size = TSO_MSS,
				.csum_start = 34,
				.csum_offset = 16,
			},
	};
	packet->segments[1] = (struct weir_tx_segment){
		.addr = packet->bytes + first,
		.len = sizeof(packet->bytes) - first,
	};
}
