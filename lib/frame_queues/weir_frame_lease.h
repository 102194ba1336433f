/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FRAME_LEASE_H
#define WEIR_FRAME_LEASE_H

/**
 * Frame lease: frame queues whose host side may be another process, and may die.
 *
 * All frames are the owner's, in a fixed number, and are only lent to the host
 * side: by the queues, and as empty frames to fill. The host side gives each
 * back, as an answer or unused, and touches no mempool. So whatever state it dies
 * in, the owner takes all frames back and the next one attaches to queues that
 * are as new. weir_frame_host.h is the host side.
 *
 *   owner ── guest_to_host ──▶ host ── host_to_guest ──▶ owner
 *         ── empty ──────────▶      ── done ───────────▶
 *
 * One lcore at a time runs the calls of the data path, one thread at a time those
 * of the host side.
 *
 * @see seeds: NetworkFrameQueues
 */

#include <stdbool.h>
#include <stdint.h>

#include "weir_frame_queues.h"

struct weir_frame_lease;

struct weir_frame_lease_conf {
	/** By which the host side attaches, and which of so many pairs, one lease each. */
	const char *name;
	uint16_t pair, n_pairs;
	/** Each queue's, 1 to 16384; there are four times as many frames. */
	uint32_t capacity;
	/** Longest frame. */
	uint16_t frame_bytes;
	int numa_node;
	/**
	 * Run @p fn(@p fn_arg) so that no lcore is inside a call of the data path
	 * meanwhile, on whatever thread. Called on control threads.
	 */
	void (*run)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
	void *arg;
};

/**
 * Control threads.
 *
 * @return
 *   NULL with rte_errno and weir_error_text(): as weir_frame_queues_create().
 */
struct weir_frame_lease *weir_frame_lease_create(const struct weir_frame_lease_conf *conf);

/**
 * Begin to shut down: an attached host side is told, and nobody attaches any more. Only
 * weir_frame_lease_free() may follow; who frees several begins with all of them, since a
 * host side has as long for all. Control threads.
 */
void weir_frame_lease_shut_down(struct weir_frame_lease *lease);

/**
 * Shut down and free. Accepts NULL. Control threads; no lcore uses it any more.
 *
 * Waits for an attached host side to detach, for two seconds; the memory of a
 * host side that does not is kept, and a line logged.
 */
void weir_frame_lease_free(struct weir_frame_lease *lease);

/** Whether a host side is attached. Any thread. */
bool weir_frame_lease_is_attached(const struct weir_frame_lease *lease);

/** Drop what the host side has sent so far. @p lease is one; for conf.run. */
void weir_frame_lease_discard(void *lease);

/** Tell the host side the guest's MTU; 0: no guest is there. Control threads; by conf.run. */
void weir_frame_lease_set_mtu(struct weir_frame_lease *lease, uint16_t mtu);

/** Tell the host side whether the guest uses a pair, of any lease. Any thread, never waits. */
void weir_frame_lease_set_active(struct weir_frame_lease *lease, uint16_t pair, bool active);

struct weir_frame_lease_stats {
	uint32_t n_frames;
	uint32_t n_home; /* neither lent nor on the way */
	uint64_t n_attaches;
	uint64_t n_reclaimed; /* frames taken back from host sides that left or died */
};

/** Any thread. */
void weir_frame_lease_stats(const struct weir_frame_lease *lease,
			    struct weir_frame_lease_stats *stats);

/** The queues, for weir_frame_queues_count() and their wakes. */
const struct weir_frame_queues *weir_frame_lease_queues(const struct weir_frame_lease *lease);

/**
 * Frames to fill for the host side.
 *
 * The lcore.
 *
 * @return
 *   Frames set, with what their previous user left in them; all of them can be
 *   sent. Fewer than @p n when frames are out, or the host side is slow.
 */
uint16_t weir_frame_lease_take(struct weir_frame_lease *lease, struct rte_mbuf **frames,
			       uint16_t n);

/** Send what weir_frame_lease_take() gave, all of it. The lcore. */
void weir_frame_lease_send(struct weir_frame_lease *lease, struct rte_mbuf **frames, uint16_t n);

/** Undo weir_frame_lease_take() of frames that are not sent. The lcore. */
void weir_frame_lease_untake(struct weir_frame_lease *lease, struct rte_mbuf **frames, uint16_t n);

/**
 * Frames that came from the host side, and see that it has empty ones.
 *
 * The lcore. Those received stay until weir_frame_lease_consume(); the next call
 * gives the rest again.
 *
 * @return How many there are in @p frames.
 */
uint16_t weir_frame_lease_receive(struct weir_frame_lease *lease, struct rte_mbuf ***frames);

/** The first @p n frames received are done with. The lcore. */
void weir_frame_lease_consume(struct weir_frame_lease *lease, uint16_t n);

/**
 * Before a sleep: whether there is something to do now. When not, and @p arm, the
 * host wake of the queues becomes readable as soon as there is. The next call of
 * the data path disarms it. The lcore.
 *
 * @param wants_frames
 *   Frames from the host side are something to do.
 * @param wants_room
 *   So is that weir_frame_lease_take() would give some.
 */
bool weir_frame_lease_is_ready(struct weir_frame_lease *lease, bool wants_frames, bool wants_room,
			       bool arm);

#endif
