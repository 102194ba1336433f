/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GUESTS_H
#define GUESTS_H

/* The virtio-user ports that mode vhost is the guest side with. */

#include "vhost_options.h"

#include <rte_ethdev.h>
#include <rte_mempool.h>

struct guest_port {
	uint16_t id; /* of the ethdev */
	uint16_t n_queues;
	bool is_ours; /* made by hot-plug */
	struct rte_ether_addr mac;
};

struct guests {
	struct guest_port ports[VHOST_PORTS_MAX];
	unsigned int n_ports;
	struct rte_mempool *frames;
};

/**
 * Make the ports that @p options name, or take those that EAL has, and start them.
 *
 * @return
 *   0, or a negative errno with its sentence in weir_error_text(); close in any case.
 */
int guests_open(struct guests *guests, const struct vhost_options *options);
void guests_close(struct guests *guests);

static inline uint16_t
guest_port_send(struct guest_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
	return rte_eth_tx_burst(port->id, queue, frames, n);
}

static inline uint16_t
guest_port_receive(struct guest_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
	return rte_eth_rx_burst(port->id, queue, frames, n);
}

#endif
