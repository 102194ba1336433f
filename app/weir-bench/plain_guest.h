/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLAIN_GUEST_H
#define PLAIN_GUEST_H

/*
 * The least guest that a ring can be measured with: memory in one piece, a receive
 * and a transmit ring in it, each buffer one descriptor, posted round and round. Its
 * own work is never inside a measurement.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#define PLAIN_GUEST_RING 256
/** Not a power of two: buffers of real drivers do not all meet in the same cache sets. */
#define PLAIN_GUEST_BUFFER 2304

struct plain_ring {
	bool packed;
	bool rx;
	uint16_t posted; /* free-running, buffers ever posted */
	uint16_t reaped; /* and taken back */
	union {
		struct vring_desc *desc;
		struct vring_packed_desc *ring;
	};
	union {
		struct vring_avail *avail;
		struct vring_packed_desc_event *driver_event;
	};
	union {
		struct vring_used *used;
		struct vring_packed_desc_event *device_event;
	};
	uint64_t buffers; /* where in memory */
};

/** Ring 0 receives, ring 1 transmits, as virtio-net counts them. */
struct plain_guest {
	int fd;		 /* of the memory */
	uint8_t *memory; /* guest address 0 */
	uint64_t size;
	struct plain_ring rings[2];
};

/** @return 0, or a negative errno with its sentence in weir_error_text(). */
int plain_guest_open(struct plain_guest *guest, bool packed);
void plain_guest_close(struct plain_guest *guest);

/** Post @p n more buffers of @p len bytes. */
void plain_ring_post(struct plain_ring *ring, uint16_t n, uint32_t len);
/** Take back what was used; how many. */
uint16_t plain_ring_reap(struct plain_ring *ring);

#endif
