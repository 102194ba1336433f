/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

/*
 * The front-end's side of a vhost-user session, as far as a guest needs it whose memory
 * and rings stay where they are: it connects, says what it has, and the back-end serves.
 * No protocol features are taken, so rings run from their kick descriptor on.
 */

#include <stdbool.h>
#include <stdint.h>

/** What one SET_MEM_TABLE of the protocol holds. */
#define HANDSHAKE_REGIONS_MAX 8

struct handshake_region {
	uint64_t guest_addr, size;
	uint64_t user_addr; /* that the rings' addresses are of */
	uint64_t offset;    /* in the file */
	int fd;
};

struct handshake_ring {
	uint16_t size;
	bool packed;
	const void *desc, *avail, *used;
	int kick, call;
};

/** @return a socket, or a negative errno with its sentence in weir_error_text(). */
int handshake_connect(const char *path);

/** What the back-end has done when this returns was asked before. @return likewise. */
int handshake_features(int fd, uint64_t *features);

/**
 * Hand over features, memory and rings, and wait until the back-end has them.
 *
 * @param features
 *   All of them must be offered.
 */
int handshake_run(int fd, uint64_t features, const struct handshake_region *regions,
		  uint32_t n_regions, const struct handshake_ring *rings, uint32_t n_rings);

/** Have the back-end let go of the rings: then their memory may be used for something else. */
int handshake_stop(int fd, uint32_t n_rings);

#endif
