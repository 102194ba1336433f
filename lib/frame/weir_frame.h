/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FRAME_H
#define WEIR_FRAME_H

/**
 * Frame pool: where one guest's frames live while they are outside of its memory.
 *
 * A frame is an rte_mbuf, in one segment, with room for at least the pool's MTU.
 * `capacity` frames are the pool's own, made on first need and kept; up to `burst`
 * more are made within the budget and freed again when they come home.
 *
 * Life: one pool a guest and direction, shared by the poll lcore and a host I/O
 * thread without contention: each has its own stack of free frames, last in, first
 * out, and can still get every frame of the pool.
 *
 * create and free: control threads. All else: any thread, never blocks.
 *
 * @see seeds: FramePool
 */

#include <errno.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "weir_budget.h"

/** Frames of a guest and direction when nothing else is asked for. */
#define WEIR_FRAME_CAPACITY_DEFAULT 256

/** Beside the MTU, a frame has an Ethernet header and up to two VLAN tags. */
#define WEIR_FRAME_L2_BYTES (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)

/** So that the room, which has 16 bits in an mbuf, is a whole number of cache lines. */
#define WEIR_FRAME_MTU_MAX                                                                         \
	(RTE_ALIGN_FLOOR(UINT16_MAX, RTE_CACHE_LINE_SIZE) - RTE_PKTMBUF_HEADROOM -                 \
	 (int)WEIR_FRAME_L2_BYTES)

struct weir_frame_pool;

struct weir_frame_pool_conf {
	/** RTE_ETHER_MIN_MTU to WEIR_FRAME_MTU_MAX. */
	uint16_t mtu;
	/** Frames the pool always has, reserved from the budget now; at least 1. */
	uint32_t capacity;
	/** Frames beyond capacity, reserved when they are needed. */
	uint32_t burst;
	/** Where the memory is, or SOCKET_ID_ANY. */
	int numa_node;
	/** NULL: not limited. It outlives the pool. */
	struct weir_budget *budget;
};

/**
 * Create a pool.
 *
 * @param name
 *   Unique among the frame pools and mempools; see weir_object_check_name().
 * @return
 *   NULL with rte_errno and weir_error_text(): EINVAL a word out of range, EEXIST
 *   the name is taken, EAGAIN or EMSGSIZE capacity does not fit the budget now or
 *   ever, ENOMEM.
 */
struct weir_frame_pool *weir_frame_pool_create(const char *name,
					       const struct weir_frame_pool_conf *conf);

/**
 * Free a pool; accepts NULL.
 *
 * @return
 *   - 0: gone
 *   - -EBUSY: frames are out; nothing changed, and weir_error_text() tells how many
 */
int weir_frame_pool_free(struct weir_frame_pool *pool);

/** What rte_vhost and ethdevs take: a pktmbuf pool without a mempool cache. */
struct rte_mempool *weir_frame_pool_mempool(const struct weir_frame_pool *pool);

/** Frames the pool always has. */
uint32_t weir_frame_pool_capacity(const struct weir_frame_pool *pool);
uint16_t weir_frame_pool_mtu(const struct weir_frame_pool *pool);

/** Bytes of one frame: its head-room, the MTU and WEIR_FRAME_L2_BYTES, or more. */
uint32_t weir_frame_pool_room(const struct weir_frame_pool *pool);

/** Frames that are not out, those not yet made among them; exact when nothing moves. */
uint32_t weir_frame_pool_free_count(const struct weir_frame_pool *pool);

/**
 * Acquire an empty frame, its data pointer behind RTE_PKTMBUF_HEADROOM.
 *
 * @return
 *   NULL when all are out: not an error, one comes home later.
 */
static inline struct rte_mbuf *
weir_frame_acquire(struct weir_frame_pool *pool)
{
	return rte_pktmbuf_alloc(weir_frame_pool_mempool(pool));
}

/**
 * Acquire @p n empty frames, or none.
 *
 * @return
 *   0, or -ENOBUFS.
 */
static inline int
weir_frame_acquire_bulk(struct weir_frame_pool *pool, struct rte_mbuf **frames, uint32_t n)
{
	return rte_pktmbuf_alloc_bulk(weir_frame_pool_mempool(pool), frames, n) == 0 ? 0 : -ENOBUFS;
}

/** Give a frame, with all its segments, back to where it came from; accepts NULL. */
static inline void
weir_frame_release(struct rte_mbuf *frame)
{
	rte_pktmbuf_free(frame);
}

/** Give @p n frames back, of any pools. */
static inline void
weir_frame_release_bulk(struct rte_mbuf **frames, uint32_t n)
{
	rte_pktmbuf_free_bulk(frames, n);
}

#endif
