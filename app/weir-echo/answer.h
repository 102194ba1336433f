/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

/** Who answers. */
struct answer_self {
	struct rte_ether_addr mac;
	rte_be32_t ip; /* 0: none */
	bool has_ip6;
	uint8_t ip6[16];
	rte_be16_t udp_port;
};

enum answer_kind {
	ANSWER_NONE,
	ANSWER_ARP,
	ANSWER_NEIGHBOUR,
	ANSWER_PING,
	ANSWER_PING6,
	ANSWER_UDP,
	ANSWER_UDP6,
	ANSWER_KINDS,
};

/**
 * Turn a frame into the answer to it, in place.
 *
 * @return
 *   What the answer is; ANSWER_NONE: there is none, and the frame is as it was.
 */
enum answer_kind answer_make(const struct answer_self *self, struct rte_mbuf *frame);

#endif
