/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VHOST_GUEST_H
#define VHOST_GUEST_H

/**
 * A guest of one queue pair that speaks vhost-user to a guest port in this process: a
 * front-end, the driver's side of two rings, and a thread that is the guest's CPU. It
 * sends frames that are numbered, and sees to it that none comes twice or early.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vring_guest.h"

#define VHOST_GUEST_RING 256

struct vhost_guest {
	int fd; /* of the session */
	int memory_fd;
	uint8_t *memory;
	struct guest guest;
	struct driver rings[2]; /* 0 receives, 1 transmits */
	int kicks[2], calls[2];
	uint64_t buffers[2]; /* guest address */
	bool buffer_is_free[VHOST_GUEST_RING];
	uint16_t number; /* in its frames */

	pthread_t thread;
	/* Atomic: the test's, the thread's. */
	bool sending, receiving, ends;
	uint64_t sent, done; /* tx frames posted, and descriptors that came back */
	uint64_t laps;	     /* of the thread: two more, and it has seen what the test has set */
	uint64_t received;
	uint64_t lost;	    /* numbers that were passed over */
	uint64_t disorders; /* frames that came late or twice, or damaged */

	uint64_t last[4]; /* number of the last frame, by sender */
	/** When it has a length: sent again and again in place of numbered frames. */
	struct guest_buf fixed;
};

/**
 * Memory and rings, nothing posted, no thread; connected to @p path, or with NULL to
 * nobody. End it with vhost_guest_disconnect().
 */
void vhost_guest_connect(struct vhost_guest *guest, const char *path, uint64_t features);
void vhost_guest_disconnect(struct vhost_guest *guest);
/** Connect to @p path and set the rings up; the thread runs from here on. */
void vhost_guest_open(struct vhost_guest *guest, const char *path, uint16_t number,
		      uint64_t features);
/** Hang up. */
void vhost_guest_close(struct vhost_guest *guest);

static inline uint64_t
vhost_guest_count(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline void
vhost_guest_set(bool *what, bool value)
{
	__atomic_store_n(what, value, __ATOMIC_RELEASE);
}

#endif
