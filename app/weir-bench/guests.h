/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GUESTS_H
#define GUESTS_H

/*
 * The ports that mode vhost is the guest side with: ethdevs of virtio-user, or light
 * ones of our own.
 */

#include "vhost_options.h"

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "light_port.h"

struct guest_port {
	struct light_port *light; /* or NULL */
	char path[108];		  /* of its socket; a light one's */
	uint16_t id;		  /* else of the ethdev */
	bool is_ours;		  /* made by hot-plug */
	uint16_t n_queues;
	uint32_t ring_size;
	struct rte_ether_addr mac;
};

struct guests {
	struct guest_port ports[VHOST_GUESTS_MAX];
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
/** Whether the back-end kept to the rules of the rings, as far as light ports look. */
int guests_check(const struct guests *guests);
void guests_close(struct guests *guests);

static inline uint16_t
guest_port_send(struct guest_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
	if (port->light != NULL)
		return light_port_send(port->light, frames, n);
	return rte_eth_tx_burst(port->id, queue, frames, n);
}

static inline uint16_t
guest_port_receive(struct guest_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
	if (port->light != NULL)
		return light_port_receive(port->light, frames, n);
	return rte_eth_rx_burst(port->id, queue, frames, n);
}

#endif
