/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_H
#define VRING_H

/*
 * The engine's own view of a ring. Ring memory is the guest's: it is read with
 * the load_*() below, once each, and what was read is all that is used.
 */

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_prefetch.h>

#include "weir_queue.h"
#include "weir_vring.h"

/* Newer than the kernel headers this has to build with. */
#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif

/* Guest memory is little endian (virtio 1.1, 1.4); so must we be. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lib/vring wants a little-endian host"
#endif

/** Largest ring (virtio 1.1, 2.6 and 2.7). */
#define VRING_SIZE_MAX 32768
/** The virtio-net header with num_buffers (virtio 1.1, 5.1.6). */
#define VRING_HEADER_MAX 12
/** Pieces of the rx chains that have more than one; a power of two. */
#define VRING_POOL 1024

#define VRING_PACKED_AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define VRING_PACKED_USED (1U << VRING_PACKED_DESC_F_USED)

/* Guest memory, of any type and alignment as far as the compiler knows. */
typedef uint64_t guest_64 __attribute__((may_alias, aligned(1)));
typedef uint32_t guest_32 __attribute__((may_alias, aligned(1)));
typedef uint16_t guest_16 __attribute__((may_alias, aligned(1)));
/* Ring memory: aligned, see weir_vring_create(). */
typedef uint64_t ring_64 __attribute__((may_alias));

/** Part of a chain, translated. */
struct piece {
	uint8_t *addr;
	uint32_t len;
};

/** A posted rx chain that was looked at and not used yet. */
struct rx_chain {
	uint8_t *addr;	    /* first piece */
	uint32_t plain_len; /* of a chain in one piece; else 0 */
	uint16_t id;	    /* split: head; packed: buffer id */
	uint16_t n_descs;   /* in the ring itself */

	/* Set when it has several pieces. */
	uint32_t total;	    /* of all of them */
	uint32_t first_len; /* of the first one */
	uint16_t n_pieces;
	uint16_t pool; /* where the second one lies */
};

/** A tx packet that was taken, by id; not held while n_descs is 0. */
struct tx_slot {
	uint16_t buffer; /* split: head; packed: buffer id */
	uint16_t n_descs;
};

struct weir_vring {
	/* Set by create, then read only. */
	union {
		const struct vring_desc *desc;
		struct vring_packed_desc *ring;
	};
	union {
		const struct vring_avail *avail;
		const struct vring_packed_desc_event *driver_event;
	};
	union {
		struct vring_used *used;
		struct vring_packed_desc_event *device_event;
	};
	uint32_t size;
	uint32_t header_len;
	uint64_t features;
	const struct weir_vring_memory *memory;
	bool packed;
	bool mergeable;
	bool in_order;
	bool event_idx;
	bool indirect;
	bool is_tx;
	bool claims; /* tx: a header may say something; else it is not looked at, a line less */

	/* The lcore's. */
	uint8_t error;
	bool notified;	    /* the guest was notified once: its event index means something */
	bool headers_stand; /* rx: the last header was there before it was written */
	/* Region of the last translation; size 0: none yet. */
	uint64_t cache_guest;
	uint64_t cache_size;
	uint8_t *cache_host;
	const struct weir_vring_log *log;

	/* Split: free-running; packed: index of a descriptor and its wrap counter. */
	uint16_t avail_idx;
	uint16_t used_idx;
	uint16_t avail_seen; /* split: the guest's index when last read */
	bool avail_wrap;
	bool used_wrap;
	uint16_t first_idx;   /* packed: where the first used and not shown goes */
	uint64_t first_word;  /* packed: what, see ring_use() */
	uint32_t pending;     /* used entries, packed descriptors, written and not shown */
	uint32_t unsignalled; /* used since the guest was last considered */

	/* tx */
	struct tx_slot *slots; /* by id */
	uint16_t *free_ids;    /* packed: stack */
	uint16_t *order;       /* in order: ids as taken, a ring of size */
	bool *done;	       /* in order: by id */
	uint32_t n_free;
	uint32_t n_held;
	uint32_t order_head; /* oldest */

	/* rx: chains looked at, oldest at fifo_head; free-running. */
	uint32_t fifo_head;
	uint32_t fifo_tail;
	uint32_t pool_head;
	uint32_t pool_tail;
	struct rx_chain *fifo; /* WEIR_VRING_CHAINS_MAX */
	struct piece *pool;    /* VRING_POOL */

	struct piece *scratch; /* of gather(), WEIR_VRING_SEGMENTS_MAX */
	struct weir_vring_stats stats;
};

/*
 * Loads of guest memory. Volatile: what the compiler may not do is read twice,
 * once to check and once to use.
 */

static __rte_always_inline uint64_t
load_64(const void *guest)
{
	return *(const volatile guest_64 *)guest;
}

static __rte_always_inline uint32_t
load_32(const void *guest)
{
	return *(const volatile guest_32 *)guest;
}

static __rte_always_inline uint16_t
load_16(const void *guest)
{
	return *(const volatile guest_16 *)guest;
}

/** Everything the guest wrote before it published what is loaded here is seen after. */
static __rte_always_inline uint16_t
load_acquire_16(const uint16_t *guest)
{
	return __atomic_load_n(guest, __ATOMIC_ACQUIRE);
}

static __rte_always_inline uint64_t
load_acquire_64(const void *guest)
{
	return __atomic_load_n((const ring_64 *)guest, __ATOMIC_ACQUIRE);
}

/** Stop the ring for good; the first reason stays. */
static inline void
vring_fail(struct weir_vring *vr, enum weir_vring_error error)
{
	if (vr->error == WEIR_VRING_OK)
		vr->error = error;
}

static __rte_always_inline bool
vring_has(const struct weir_vring *vr, unsigned int feature)
{
	return (vr->features >> feature) & 1;
}

/** Slow half of vring_host(): look the region up and remember it. */
uint8_t *vring_host_lookup(struct weir_vring *vr, uint64_t guest_addr, uint64_t *len);

/** weir_vring_memory_host() with the last region remembered. */
static __rte_always_inline uint8_t *
vring_host(struct weir_vring *vr, uint64_t guest_addr, uint64_t *len)
{
	uint64_t offset = guest_addr - vr->cache_guest;

	if (likely(offset < vr->cache_size && *len <= vr->cache_size - offset))
		return vr->cache_host + offset;
	return vring_host_lookup(vr, guest_addr, len);
}

/** NULL unless all of it lies in the region remembered: the way of the many. */
static __rte_always_inline uint8_t *
vring_host_cached(const struct weir_vring *vr, uint64_t guest_addr, uint32_t len)
{
	uint64_t offset = guest_addr - vr->cache_guest;

	if (likely(offset < vr->cache_size && len <= vr->cache_size - offset))
		return vr->cache_host + offset;
	return NULL;
}

/** Log @p len bytes at @p host as written; after they are. */
void dirty_mark(const struct weir_vring *vr, const void *host, uint64_t len);

#endif
