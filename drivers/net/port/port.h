/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PORT_H
#define PORT_H

/**
 * port: any DPDK ethdev, for one guest.
 *
 * Queue pair i of the guest sends by tx queue i of the device. Frames of rx queue i go to
 * pair i, or, while there is no such pair in use, to one of those that are: a device goes
 * on spreading what comes over all queues it was given. So an rx queue may change its
 * lcore at any moment, when the guest says so on another thread, and nobody may wait: it
 * has a flag, and who finds it taken comes back later.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_ethdev.h>

#include "weir_endpoint.h"
#include "weir_frame.h"
#include "weir_log.h"
#include "weir_offload.h"
#include "weir_rx_ids.h"

WEIR_LOG_DECLARE(port);

/** The link is looked at once a second: some devices are slow to tell. */
#define PORT_TENDS_A_LOOK 10
/** Frames of one call to the device. */
#define PORT_BURST 32
/** Frames of a queue that are on their way to the device; what one packet is cut into. */
#define PORT_PENDING_MAX 512
/** Segments of one packet. */
#define PORT_SEGMENTS_MAX 512

struct port_device {
	const char *owner; /* the endpoint's name, for the sentences */
	char name[RTE_ETH_NAME_MAX_LEN];
	uint16_t id;
	uint64_t owner_id; /* ethdev's word for who uses a port */
	bool plugged;	   /* by us: it goes with the endpoint */
	bool promiscuous;
	bool tells_link; /* by an interrupt */
	uint16_t max_queues;
	uint32_t max_mtu;
	uint64_t tx_offloads;  /* of the device, as far as we use them */
	uint32_t capabilities; /* WEIR_OFFLOAD_CAP_*: what they are for a guest */
	struct weir_frame_pool *rx_frames, *tx_frames;
	uint16_t pool_queues; /* that the pools were made for */
	uint16_t n_rx;	      /* queues set up */
};

/* port_device.c; control threads. Every failure leaves its sentence. */

/** Find or plug in, and take as ours. */
int port_device_open(struct port_device *device, const char *owner, const char *name,
		     const char *devargs);
void port_device_close(struct port_device *device);
/** Set up for a guest and start. */
int port_device_start(struct port_device *device, const struct weir_endpoint_client *client);
void port_device_stop(struct port_device *device);
/** Rx queues that a guest of so many pairs has the device set up with. */
uint16_t port_device_n_rx(const struct port_device *device, uint16_t n_queues);
bool port_device_link(const struct port_device *device, uint32_t *speed_mbps);

struct port_rx {
	_Atomic bool busy; /* some lcore is reading it */
	uint16_t n, next;  /* frames that were read, and the first not delivered */
	struct rte_mbuf *frames[PORT_BURST];
} __rte_cache_aligned;

struct port {
	struct port_device device;

	/* The link, as it was said last; several control threads. */
	pthread_mutex_t lock;
	struct weir_endpoint_client *client; /* NULL: no guest, the device is stopped */
	bool link_up;
	uint32_t link_speed_mbps;
	uint64_t link_changes;
	unsigned int n_tends;

	/* Of the guest that is there. */
	uint16_t n_queues;
	uint16_t n_rx; /* queues of the device that frames come from */
	struct port_rx *rx;
	uint16_t mtu;
	uint32_t frame_len_max;	 /* of what is not left to the device to cut */
	_Atomic uint32_t active; /* pairs that the guest uses, a bit each */
};

struct port_queue {
	struct weir_queue base;
	struct port *port;
	struct weir_rx_ids rx;
	uint16_t index;

	/* Finished frames, in mbufs of ours, that the device has not taken yet. */
	uint16_t n_pending;
	struct rte_mbuf *pending[PORT_PENDING_MAX];
	struct weir_offload_cut cut;
	struct weir_tx_segment segments[PORT_SEGMENTS_MAX];
};

static inline struct port_queue *
port_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct port_queue, base);
}

/* port.c */

/** Say what has become of the link, if it has changed. Control threads, EAL's interrupt thread. */
void port_look_at_link(struct port *port);

/* port_queue.c */

extern const struct weir_queue_ops port_queue_ops;

/** Control threads, lcore quiet: give up the frames that a queue holds. */
void port_queue_drop(struct port_queue *q);
void port_rx_drop(struct port_rx *rx);

#endif
