/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TAP_END_H
#define TAP_END_H

/*
 * The ends that mode tap compares: the endpoint by each of its modes with the least guest
 * there is, and DPDK's own drivers. Main lcore.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_endpoint.h"

#define TAP_FRAME_MAX 2048
/** Frames that an interface's queue is made to hold. */
#define TAP_WAITING 8000
/** A packet that TCP leaves to be cut: its headers, and so many frames' payload. */
#define TAP_UNCUT_HEADERS (14 + 20 + 20)
#define TAP_UNCUT_MSS 1460
#define TAP_UNCUT_FRAMES 44
#define TAP_UNCUT_BYTES (TAP_UNCUT_HEADERS + TAP_UNCUT_FRAMES * TAP_UNCUT_MSS)

enum tap_contender {
	TAP_INLINE,
	TAP_THREAD,
	TAP_SQPOLL,
	TAP_NET_TAP,
	TAP_ON_PACKET,
	TAP_CONTENDERS
};
#define TAP_MODES TAP_NET_TAP

extern const char *const tap_contender_names[TAP_CONTENDERS];

/** What is written, and sent from the host's side. */
extern uint8_t tap_frame[TAP_FRAME_MAX];

/** One end that is measured, whichever it is. */
struct tap_end {
	enum tap_contender contender;
	const char *iface; /* the host's side of it */
	int host;	   /* a packet socket there, or -1 */
	int host_uncut;	   /* one that takes what is to be cut */
	bool missing;

	/* A tap endpoint of ours. */
	struct weir_endpoint *endpoint;
	struct weir_endpoint_client client;
	struct weir_access access;
	struct weir_target target;
	struct weir_queue *queue;
	uint8_t *memory; /* IDS buffers */
	size_t buffer_bytes;
	uint64_t n_frames; /* read, what is uncut counted as what it is cut to */

	/* A port of DPDK's. */
	uint16_t port;
	struct rte_mempool *pool;
};

/**
 * @param uncut
 *   The guest takes segmentation; of a mode only.
 * @return
 *   0, also with end->missing, or a negative errno with its sentence said. tap_end_close() either
 *   way.
 */
int tap_end_open(struct tap_end *end, enum tap_contender contender, bool uncut);
void tap_end_close(struct tap_end *end);

#endif
