/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TAP_H
#define TAP_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_endpoint.h"

struct rte_ether_addr;

/**
 * The interface: made when the endpoint opens, so that what is wrong shows then,
 * and kept while guests come and go, with the addresses and routes it was given.
 *
 * Control threads. Every failure leaves its sentence; an errno is negative.
 */
struct tap_link {
	const char *owner; /* the endpoint's name, for the sentences */
	char iface[IFNAMSIZ];
	int control;	 /* a socket, for the calls that take an interface by name */
	int fd;		 /* the first queue: keeps the interface there */
	bool multiqueue; /* further queues can be attached */
};

int tap_link_open(struct tap_link *link, const char *owner, const char *iface);
/** The interface goes as well, unless it was there before and is persistent. */
void tap_link_close(struct tap_link *link);
/** One more queue, put aside. @return Its file descriptor, or negative errno. */
int tap_link_add_queue(struct tap_link *link);
int tap_link_set_mac(struct tap_link *link, const struct rte_ether_addr *addr);
int tap_link_set_mtu(struct tap_link *link, uint16_t mtu);
int tap_link_set_up(struct tap_link *link);
/** What the kernel may leave for the guest to finish: WEIR_OFFLOAD_CAP_*. */
int tap_link_set_offloads(struct tap_link *link, uint32_t offloads);
/** A cable that is plugged in where there is a guest; older kernels always show one. */
void tap_link_set_carrier(struct tap_link *link, bool carrier);
bool tap_link_is_up(const struct tap_link *link);
/** Any thread. Whether the kernel hands frames to this queue. */
void tap_link_use_queue(int fd, bool use);

/* The queues, on a file descriptor each. */

extern const struct weir_queue_ops tap_queue_ops;
extern const size_t tap_queue_size;

int tap_queue_open(struct weir_queue *queue, int fd, bool multiqueue);
void tap_queue_close(struct weir_queue *queue);

#endif
