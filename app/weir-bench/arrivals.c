/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_prefetch.h>

#include "traffic.h"

/** By its source address; else from somebody else on a switch, or from long ago. */
static bool
frame_is_ours(const struct traffic *traffic, const struct rte_mbuf *frame, uint32_t tag)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(frame, struct rte_ether_hdr *);
	uint32_t age = traffic->flows[0].head.tag - tag;
	unsigned int i;

	if (age != 0 && age % TRAFFIC_TAG_STEP == 0 && age / TRAFFIC_TAG_STEP <= traffic->n_resets)
		return false;
	for (i = 0; i < traffic->guests->n_ports; i++)
		if (rte_is_same_ether_addr(&ether->src_addr, &traffic->guests->ports[i].mac))
			return true;
	return false;
}

/** One frame that came: its number, or UINT64_MAX when it is none to count on. */
static inline uint64_t
frame_check(struct traffic *traffic, const struct rte_mbuf *frame, uint16_t port)
{
	struct checker_stats *stats = &traffic->stats;
	const uint32_t every = traffic->options->check_every;
	struct test_mark mark = test_frame_read(frame);
	struct flow *flow = &traffic->flows[mark.flow];

	if (unlikely(mark.flow >= traffic->n_flows || mark.tag != flow->head.tag ||
		     frame->pkt_len != mark.len || mark.number >= flow->n_sent)) {
		if (frame_is_ours(traffic, frame, mark.tag))
			stats->corrupted++;
		else
			stats->foreign++;
		return UINT64_MAX;
	}
	if (unlikely(flow->to != port)) {
		/* A switch that has not learned the address yet. */
		stats->foreign++;
		return UINT64_MAX;
	}
	if (every > 0 && mark.number % every == 0 &&
	    !test_frame_is_whole(&flow->head, frame, mark.number))
		stats->corrupted++;
	stats->received++;
	stats->bytes += mark.len;
	checker_see(&flow->checker, stats, mark.number);
	return mark.number;
}

uint32_t
traffic_receive(struct traffic *traffic, uint16_t port, uint16_t queue, uint64_t *numbers)
{
	struct stash *stash = &traffic->stash;
	struct rte_mbuf *frames[VHOST_BURST_MAX];
	uint32_t i, n = guest_port_receive(&traffic->guests->ports[port], queue, frames,
					   traffic->options->burst);

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		rte_prefetch0_write(rte_pktmbuf_mtod_offset(frames[i], void *, TEST_FRAME_HEADERS));
	for (i = 0; i < n; i++) {
		uint64_t number = frame_check(traffic, frames[i], port);

		if (numbers != NULL)
			numbers[i] = number;
		if (likely(frames[i]->nb_segs == 1 && stash->n < VHOST_BURST_MAX))
			stash->frames[stash->n++] = frames[i];
		else
			rte_pktmbuf_free(frames[i]);
	}
	return n;
}
