/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_OFFLOAD_H
#define WEIR_OFFLOAD_H

/**
 * Offload: what a frame still needs (struct weir_offload), in an mbuf's words, and done
 * in software where its receiver does not do it.
 *
 * A *cut* turns one packet, given as segments, into finished frames, given as segments
 * again: a copy of the headers that it has made right, and behind them pieces of the
 * packet's own payload. So whoever writes a finished frame to its final place still
 * copies the payload once, and a cut needs no memory but itself. That, IPv6, and that it
 * completes checksums, is what librte_gso (22.11) does not offer.
 *
 * A packet of hostile memory costs its sender the packet: headers are fetched once and
 * checked, lengths are the segments', and a payload that changes meanwhile has a wrong
 * checksum.
 *
 * Threads: one at a time per cut. No call blocks, logs, allocates or makes a system call.
 *
 * @see virtio 1.1, 5.1.6.2 (what the sender has prepared); RFC 1071 (checksums)
 */

#include <stdbool.h>
#include <stdint.h>

#include "weir_access.h"

struct rte_mbuf;
struct rte_mempool;

/** Whether who takes @p capabilities (WEIR_OFFLOAD_CAP_*) takes such a frame as it is. */
bool weir_offload_fits(const struct weir_offload *offload, uint32_t capabilities);

/** Read an mbuf's transmit flags (RTE_MBUF_F_TX_*) and lengths. */
void weir_offload_from_mbuf(const struct rte_mbuf *mbuf, struct weir_offload *offload);

/**
 * Set an mbuf's transmit flags and lengths; its headers are in its first segment.
 *
 * @return
 *   0, or -EINVAL when flags cannot express it: then the flags mean nothing.
 */
int weir_offload_to_mbuf(const struct weir_offload *offload, struct rte_mbuf *mbuf);

/**
 * Copy a packet into mbufs, chained where one is too short; its offloads are left to
 * weir_offload_to_mbuf().
 *
 * @return
 *   NULL when the pool is short now: nothing is held.
 */
struct rte_mbuf *weir_offload_copy(struct rte_mempool *pool, const struct weir_tx_segment *packet);

/** Bytes of headers, from the frame's start to the payload, that a cut can hold. */
#define WEIR_OFFLOAD_HEADER_MAX 256

struct weir_offload_cut {
	/** Frames that the packet becomes, and those of them that were given out. */
	uint32_t n_frames, n_given;

	/* Its own. */
	const struct weir_tx_segment *packet;
	struct weir_offload offload; /* of the frames given out */
	uint32_t capabilities;
	uint16_t l3_start, l4_start, csum_at, header_len;
	uint32_t gso_size; /* payload bytes of a frame */
	uint32_t payload;  /* bytes not given out yet */
	uint32_t piece;	   /* where they start: which segment, */
	uint32_t skip;	   /* and how much of it is gone */
	uint8_t original[WEIR_OFFLOAD_HEADER_MAX];
	uint8_t header[WEIR_OFFLOAD_HEADER_MAX];
};

/**
 * Begin to cut a packet that does not fit @p capabilities.
 *
 * @param packet
 *   Stays as it is until the last frame was given out.
 * @param capabilities
 *   What the frames may still leave undone. Segmentation is always done.
 * @return
 *   - 0: cut->n_frames is set, 1 at least
 *   - -EINVAL: its headers are not what its offloads say, or longer than
 *     WEIR_OFFLOAD_HEADER_MAX
 *   - -EOPNOTSUPP: a kind of segmentation that is not TCP's
 */
int weir_offload_cut_begin(struct weir_offload_cut *cut, const struct weir_tx_segment *packet,
			   uint32_t capabilities);

/**
 * The next frame: a head and its tails.
 *
 * @param segments
 *   Room for one more than the packet has. The head points into @p cut: it is good until
 *   the next call. Its id is the packet's.
 * @return
 *   Segments set; 0 when all frames were given out.
 */
uint16_t weir_offload_cut_next(struct weir_offload_cut *cut, struct weir_tx_segment *segments);

#endif
