/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_GUEST_H
#define VRING_GUEST_H

/*
 * A guest in a test's hands: memory in several regions, and the driver's side of
 * one virtqueue, split or packed, written from the specification and apart from
 * the engine. Nothing here checks the engine; the tests do.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "weir_vring.h"

#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif

#define BIT(feature) (1ULL << (feature))
/* What an ordinary modern guest negotiates; the tests add to it. */
#define GUEST_BASIC BIT(VIRTIO_F_VERSION_1)

/** Deterministic: a failing seed is printed and can be run again. */
uint32_t guest_random(uint64_t *seed);

/** One of 0 .. n - 1. */
static inline uint32_t
guest_pick(uint64_t *seed, uint32_t n)
{
	return guest_random(seed) % n;
}

/** Guest physical address where the memory begins. */
#define GUEST_BASE 0x100000ULL

struct guest {
	struct weir_vring_memory memory;
	uint64_t end; /* first guest address past the memory */
};

/**
 * @p n regions of @p region_size bytes, next to each other for the guest and apart
 * in the host: each its own allocation, so that a sanitizer sees one byte too many.
 */
void guest_init(struct guest *guest, uint32_t n, uint64_t region_size);
void guest_fini(struct guest *guest);
/** Copy across regions; the range must exist. */
void guest_write(const struct guest *guest, uint64_t addr, const void *data, uint64_t len);
void guest_read(const struct guest *guest, uint64_t addr, void *data, uint64_t len);
/** Host address of a range that lies in one region. */
void *guest_host(const struct guest *guest, uint64_t addr, uint64_t len);

struct guest_buf {
	uint64_t addr;
	uint32_t len;
};

/** The driver's side of one virtqueue. Ring parts lie in a region of their own. */
struct driver {
	struct guest *guest;
	bool packed;
	bool write; /* buffers are for the device to write */
	uint32_t size;
	uint64_t features;

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
	uint64_t parts_addr;	/* guest address of the ring parts */
	uint64_t indirect_addr; /* tables, DRIVER_INDIRECT_MAX entries a descriptor */

	uint32_t n_free; /* descriptors */
	uint16_t *next;	 /* split: free list and chains; packed: free ids */
	uint16_t head;	 /* of it */
	uint16_t avail_idx, used_idx;
	bool avail_wrap, used_wrap;
	uint32_t *token;		 /* by head or id */
	uint16_t *count;		 /* likewise: descriptors it takes */
	uint32_t n_ids;			 /* packed: free ids */
	uint16_t *order;		 /* in order: heads or ids as added, a ring of size */
	uint32_t order_head, order_tail; /* free-running */
	uint32_t batch;			 /* those of a used element that were not taken back yet */
	uint32_t batch_len;
};

#define DRIVER_INDIRECT_MAX 16

/** Bytes of guest memory that a driver's ring and tables take, at most. */
uint64_t driver_bytes(uint32_t size);
/** Lay a ring out at @p addr, within one region. */
void driver_init(struct driver *driver, struct guest *guest, uint64_t features, uint32_t size,
		 bool write, uint64_t addr);
/** As a driver that goes on after @p base; before anything was added. */
void driver_rebase(struct driver *driver, struct weir_vring_base base);
void driver_fini(struct driver *driver);
/** What the engine is to be told. */
struct weir_vring_config driver_config(const struct driver *driver);
/** Make a chain available; split: visible after driver_publish(). False when it does not fit. */
bool driver_add(struct driver *driver, const struct guest_buf *bufs, uint32_t n, bool indirect,
		uint32_t token);
void driver_publish(struct driver *driver);
/** Take back one chain the engine gave; false when there is none. */
bool driver_used(struct driver *driver, uint32_t *token, uint32_t *len);

#endif
