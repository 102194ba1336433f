/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

static void
stream_make(struct stream *stream, const struct vhost_options *options, struct stash *stash,
	    uint32_t n)
{
	struct rte_mbuf **frames = &stream->pending[stream->n_pending];
	uint32_t i;

	for (i = 0; i < n && stash->n > 0; i++) {
		frames[i] = stash->frames[--stash->n];
		rte_pktmbuf_reset(frames[i]);
	}
	if (i < n && rte_pktmbuf_alloc_bulk(stash->pool, frames + i, n - i) != 0)
		n = i;
	for (i = 0; i < n; i++) {
		struct flow *flow = &stream->flows[stream->flow];
		uint8_t *data = rte_pktmbuf_mtod(frames[i], uint8_t *);
		uint16_t len = options->lens[stream->len];

		frames[i]->data_len = frames[i]->pkt_len = len;
		if (options->check_every > 0 && flow->n_sent % options->check_every == 0)
			test_frame_fill(&flow->head, data, flow->n_sent, len);
		else
			test_frame_mark(&flow->head, data, flow->n_sent, len);
		flow->n_sent++;
		if (++stream->flow == stream->n_flows)
			stream->flow = 0;
		if (++stream->len == options->n_lens)
			stream->len = 0;
	}
	stream->n_pending += n;
}

uint32_t
stream_send(struct stream *stream, const struct vhost_options *options, struct stash *stash,
	    uint32_t n)
{
	uint32_t sent, i;

	if (stream->n_pending < n)
		stream_make(stream, options, stash, n - stream->n_pending);
	n = RTE_MIN(n, stream->n_pending);
	if (n == 0)
		return 0;
	sent = guest_port_send(stream->port, stream->queue, stream->pending, n);
	/* What was not taken keeps its numbers: it goes first the next time. */
	stream->n_pending -= sent;
	if (sent > 0)
		for (i = 0; i < stream->n_pending; i++)
			stream->pending[i] = stream->pending[i + sent];
	return sent;
}

void
stream_forget(struct stream *stream)
{
	unsigned int first = stream->flows[0].head.index;
	uint32_t i;

	for (i = 0; i < stream->n_pending; i++)
		stream->flows[test_frame_read(stream->pending[i]).flow - first].n_sent--;
	rte_pktmbuf_free_bulk(stream->pending, stream->n_pending);
	stream->n_pending = 0;
}

uint64_t
stream_n_sent(const struct stream *stream)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < stream->n_flows; i++)
		n += stream->flows[i].n_sent;
	return n;
}
