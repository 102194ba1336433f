/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STREAM_H
#define STREAM_H

/*
 * A stream is one queue of a port that sends, with flows of its own. What a flow sends
 * is numbered from 0; what comes is checked against it, wherever it comes from.
 */

#include "checker.h"
#include "guests.h"
#include "test_frame.h"

struct flow {
	struct test_flow head;
	uint16_t to; /* the port it must come to */
	uint64_t n_sent;
	struct checker_flow checker;
};

/** Frames that came and go again: their lines are in this lcore's cache. */
struct stash {
	struct rte_mempool *pool; /* when there are none */
	uint32_t n;
	struct rte_mbuf *frames[VHOST_BURST_MAX];
};

struct stream {
	struct guest_port *port;
	uint16_t queue;
	struct flow *flows;
	unsigned int n_flows, flow; /* next */
	unsigned int len;	    /* next, index into the lengths */
	uint32_t n_pending;	    /* made, and not taken by the driver yet */
	struct rte_mbuf *pending[VHOST_BURST_MAX];
};

/** Make and send up to @p n frames: how many the driver took. */
uint32_t stream_send(struct stream *stream, const struct vhost_options *options,
		     struct stash *stash, uint32_t n);

/** What was made and not taken never was. */
void stream_forget(struct stream *stream);

/** Frames that were made. */
uint64_t stream_n_sent(const struct stream *stream);

#endif
