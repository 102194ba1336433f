/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FRAME_HOST_H
#define WEIR_FRAME_HOST_H

/**
 * The host side of an endpoint of type `frames`: what a network stack needs to
 * have a guest, in a DPDK secondary process or in a thread of weir's own.
 *
 *   host = weir_frame_host_attach("stack", 0);
 *   for (;;) {
 *           n = weir_frame_host_receive(host, frames, 32);
 *           ... answer some in place with weir_frame_host_send(),
 *               give the others back with weir_frame_host_put() ...
 *           if (n == 0)
 *                   weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, -1);
 *   }
 *   weir_frame_host_detach(host);
 *
 * Frames are mbufs in one segment, and stay weir's: each goes back by send or
 * put, none to its mempool. A process may end without detaching.
 *
 * An endpoint of several queue pairs (queues=) is attached to pair by pair, and its link is up
 * when all are. Each is one host of its own, with frames of its own: what came by one pair
 * goes back by the same. An answer goes by the pair of its question; for what else a guest
 * is sent, weir_frame_host_pick() says the pair.
 *
 * One thread at a time per host, unless said otherwise. app/weir-echo is a whole stack.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "weir_wake.h"

struct weir_frame_host;

/**
 * Attach to a queue pair of an endpoint by its name.
 *
 * Blocks, up to two seconds while the host side before is still being cleaned up.
 *
 * @return
 *   NULL with rte_errno and weir_error_text(): ENOENT no endpoint of type frames
 *   has that name, or not so many pairs; EBUSY another host side is attached;
 *   ENOTSUP weir was started without shared configuration (--in-memory,
 *   --no-shconf) or denies membarrier(); ETIMEDOUT weir does not answer; ENOMEM.
 */
struct weir_frame_host *weir_frame_host_attach(const char *name, uint16_t pair);

/** Leave; frames still held go back to weir by themselves. Accepts NULL. */
void weir_frame_host_detach(struct weir_frame_host *host);

/** Queue pairs of the endpoint, as many as there are hosts to attach. Any thread. */
uint16_t weir_frame_host_n_pairs(const struct weir_frame_host *host);

/**
 * Which of them the guest is to get a frame by: frames are spread by flow over the pairs
 * that it uses. What is sent by one that it has put aside is dropped; by one that it does
 * not have, it waits, as while there is no guest. Any thread.
 */
uint16_t weir_frame_host_pick(const struct weir_frame_host *host, const struct rte_mbuf *frame);

/** The guest's MTU, or 0 while there is no guest. */
uint16_t weir_frame_host_mtu(const struct weir_frame_host *host);

/** Bytes that a frame of weir_frame_host_get() takes. */
uint16_t weir_frame_host_frame_bytes(const struct weir_frame_host *host);

/**
 * Frames that the guest sent. Never blocks.
 *
 * RTE_MBUF_F_RX_L4_CKSUM_NONE in ol_flags: the frame is good, and its transport
 * checksum has not been computed.
 *
 * @return Frames set, to be given back by weir_frame_host_send() or _put().
 */
uint16_t weir_frame_host_receive(struct weir_frame_host *host, struct rte_mbuf **frames,
				 uint16_t n);

/**
 * Empty frames, to be sent. Never blocks.
 *
 * @return Frames set; a few hundred can be had before some come back.
 */
uint16_t weir_frame_host_get(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n);

/**
 * Frames for the guest, received or got. Never blocks.
 *
 * RTE_MBUF_F_TX_TCP_CKSUM or _UDP_CKSUM in ol_flags, with l2_len and l3_len and the
 * pseudo header's sum in place: the guest completes the checksum.
 *
 * @return Frames taken, a prefix; the rest stays the caller's.
 */
uint16_t weir_frame_host_send(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n);

/** Give frames back, unused or read. Takes all, never blocks. */
void weir_frame_host_put(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n);

#define WEIR_FRAME_HOST_FRAMES (1U << 0) /* until weir_frame_host_receive() gives some */
#define WEIR_FRAME_HOST_ROOM (1U << 1)	 /* until weir_frame_host_send() takes some */
#define WEIR_FRAME_HOST_EMPTY (1U << 2)	 /* until weir_frame_host_get() gives some */

/**
 * Sleep until one of @p wants, or weir_frame_host_relay().
 *
 * @param timeout_us
 *   At most this long; negative: no limit.
 * @return
 *   - 1: look
 *   - 0: timed out
 *   - -EINTR: a signal handler ran
 *   - -ESHUTDOWN: the endpoint is going, or weir has died: detach
 */
int weir_frame_host_wait(struct weir_frame_host *host, unsigned int wants, int64_t timeout_us);

/** End the wait there is, or the next one: for relay threads, timers, signal handlers. */
void weir_frame_host_relay(struct weir_frame_host *host);

#endif
