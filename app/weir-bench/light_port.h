/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIGHT_PORT_H
#define LIGHT_PORT_H

/*
 * A virtio-net port of our own: one pair of split rings over EAL's memory, polled, and
 * no ethdev, of which EAL has 32. It is connected in 10 KB, so that hundreds of guests
 * fit into a process, most of them idle. Only the lcore that sends uses it.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include <rte_mbuf.h>

#include "handshake.h"

#define LIGHT_RING_MAX 1024

/** A split ring whose every buffer is one descriptor, an mbuf with room for the header. */
struct light_ring {
	uint16_t size;
	uint16_t posted, seen; /* free-running: of the avail ring, of the used ring */
	uint16_t n_free;
	uint16_t *free;		  /* descriptors */
	struct rte_mbuf **frames; /* by descriptor, NULL: it is free */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int kick;
};

struct light_port {
	struct light_ring rx, tx;
	struct rte_mempool *pool;
	int fd, call;
	bool is_served; /* the back-end has the rings */
	bool is_broken; /* the back-end used what it was not given */
};

/** EAL's memory as a back-end is to see it. */
struct light_memory {
	struct handshake_region regions[HANDSHAKE_REGIONS_MAX];
	uint32_t n;
};

/** Rings of @p size, a power of two; NULL with its sentence in weir_error_text(). */
struct light_port *light_port_new(uint16_t size);
void light_port_free(struct light_port *port);

/** All that is allocated by now; behind it nothing that rings name may be. */
int light_memory_find(struct light_memory *memory);

/** Connect to @p path, post what @p pool has, and run. 0, or a negative errno. */
int light_port_start(struct light_port *port, const char *path, const struct light_memory *memory,
		     struct rte_mempool *pool);

/** As rte_eth_tx_burst() and rte_eth_rx_burst(). */
uint16_t light_port_send(struct light_port *port, struct rte_mbuf **frames, uint16_t n);
uint16_t light_port_receive(struct light_port *port, struct rte_mbuf **frames, uint16_t n);

#endif
