/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TSO_PACKET_H
#define TSO_PACKET_H

#include "weir_access.h"

#define TSO_HEADERS 54 /* Ethernet, IPv4, TCP */
#define TSO_MSS 1000
#define TSO_PAYLOAD 20500
#define TSO_FRAMES 21

/** A packet that is to be cut, as a guest sends it; its payload is a pattern. */
struct tso_packet {
	uint8_t bytes[TSO_HEADERS + TSO_PAYLOAD];
	struct weir_tx_segment segments[2];
};

void tso_packet_make(struct tso_packet *packet);

#endif
