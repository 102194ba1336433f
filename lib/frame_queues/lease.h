/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LEASE_H
#define LEASE_H

/*
 * What the two sides of a lease share, and how the host side comes to it.
 */

#include <stdint.h>
#include <stdio.h>

#include "weir_frame_queues.h"

/** In DPDK memory. */
struct lease_shared {
	struct weir_frame_queues_shared *queues;
	struct weir_frame_ring *empty; /* owner to host */
	struct weir_frame_ring *done;  /* host to owner; has room for every frame there is */
	uint32_t frame_bytes;
	uint32_t n_pairs;
	uint32_t mtu;	 /* written by the owner */
	uint32_t active; /* likewise: pairs that the guest uses, a bit each */
};

/** Pair 0 has the endpoint's name, which users know; one that is too long is found out later. */
#define LEASE_NAMESIZE (WEIR_OBJECT_NAMESIZE + sizeof(".65535"))

static inline void
lease_name(char text[LEASE_NAMESIZE], const char *name, uint16_t pair)
{
	int used = snprintf(text, LEASE_NAMESIZE, "%.*s", WEIR_OBJECT_NAMESIZE, name);

	if (pair > 0)
		snprintf(text + used, LEASE_NAMESIZE - used, ".%u", pair);
}

/** What an attached host side has got. */
struct lease_grant {
	struct lease_shared *shared;
	int fds[3]; /* of the wakes; new ones, the host side's own */
};

/*
 * Its request and the answer, by rte_mp. The request's descriptor is one
 * end of a pair of sockets of which the host side keeps the other: it reads as hung
 * up once the host side is gone, in whatever way.
 */
#define LEASE_MP_NAME "weir_frame_lease"

struct lease_request {
	char name[WEIR_OBJECT_NAMESIZE];
};

struct lease_answer {
	int32_t rc;
	struct lease_shared *shared;
	char text[200]; /* of weir_error_text() */
};

/**
 * Attach a host side, in the owner's process.
 *
 * @param life_fd
 *   One end of the pair; on success the lease's.
 * @return
 *   0, or -EAGAIN the previous one is being cleaned up, -ENOENT, -EBUSY, ...
 */
int lease_attach(const char *name, int life_fd, struct lease_grant *grant);

#endif
