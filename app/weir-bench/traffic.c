/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "bench.h"
#include "traffic.h"
#include "weir_error.h"

/* Nothing for so long: what is on its way is lost. */
#define QUIET_MS 500
#define WINDOW_GIVE_UP_MS 20
#define BEGIN_TRIES 500
#define BEGIN_RATE 1000
#define BEGIN_SECONDS 0.01
#define TAG_STEP 2

static void
stream_init(struct traffic *traffic, const struct guest_port *from, uint16_t queue,
	    const struct guest_port *to, uint32_t tag)
{
	struct traffic_stream *stream = &traffic->streams[traffic->n_streams++];
	unsigned int i, n = traffic->options->n_flows;

	*stream = (struct traffic_stream){
		.port = from->id,
		.queue = queue,
		.flows = &traffic->flows[traffic->n_flows],
		.n_flows = n,
	};
	for (i = 0; i < n; i++, traffic->n_flows++) {
		struct traffic_flow *flow = &stream->flows[i];

		test_flow_init(&flow->head, tag, traffic->n_flows, &from->mac, &to->mac);
		flow->to = to->id;
	}
}

int
traffic_init(struct traffic *traffic, const struct vhost_options *options, struct guests *guests)
{
	const bool across = options->path == PATH_ONE_WAY || options->path == PATH_BOTH;
	const uint32_t tag = rte_rdtsc() | 1;
	unsigned int i, q, n = 0;

	memset(traffic, 0, sizeof(*traffic));
	traffic->options = options;
	traffic->guests = guests;
	traffic->comes_back = options->path != PATH_SINK;
	if (across && guests->n_ports % 2 != 0)
		return weir_error(EINVAL,
				  "--path one-way and both: an even number of ports is "
				  "needed, not %u",
				  guests->n_ports);
	for (i = 0; i < guests->n_ports; i++)
		n += guests->ports[i].n_queues * options->n_flows;
	if (n > UINT16_MAX)
		return weir_error(EINVAL, "--flows %u: of all queues at most %d", options->n_flows,
				  UINT16_MAX);
	traffic->flows = calloc(n, sizeof(*traffic->flows));
	if (traffic->flows == NULL)
		return weir_error(ENOMEM, "no memory for %u flows", n);
	for (i = 0; i < guests->n_ports; i++) {
		if (options->path == PATH_ONE_WAY && i % 2 == 1)
			continue;
		if (options->n_busy > 0 && i >= options->n_busy)
			break;
		for (q = 0; q < guests->ports[i].n_queues; q++)
			stream_init(traffic, &guests->ports[i], q,
				    &guests->ports[across ? i ^ 1 : i], tag);
	}
	return 0;
}

void
traffic_fini(struct traffic *traffic)
{
	unsigned int i;

	for (i = 0; i < traffic->n_streams; i++)
		rte_pktmbuf_free_bulk(traffic->streams[i].pending, traffic->streams[i].n_pending);
	rte_pktmbuf_free_bulk(traffic->stash, traffic->n_stash);
	free(traffic->flows);
}

void
traffic_reset(struct traffic *traffic)
{
	unsigned int i;

	for (i = 0; i < traffic->n_streams; i++) {
		struct traffic_stream *stream = &traffic->streams[i];

		rte_pktmbuf_free_bulk(stream->pending, stream->n_pending);
		stream->n_pending = 0;
	}
	for (i = 0; i < traffic->n_flows; i++) {
		struct traffic_flow *flow = &traffic->flows[i];

		flow->n_sent = 0;
		memset(&flow->checker, 0, sizeof(flow->checker));
		/* A frame of the last measurement that comes now is foreign. */
		flow->head.tag += TAG_STEP;
	}
	traffic->n_resets++;
	traffic->n_sent = traffic->n_given_up = 0;
	memset(&traffic->stats, 0, sizeof(traffic->stats));
}

static void
stream_make(struct traffic *traffic, struct traffic_stream *stream, uint32_t n)
{
	const struct vhost_options *options = traffic->options;
	struct rte_mbuf **frames = &stream->pending[stream->n_pending];
	uint32_t i;

	for (i = 0; i < n && traffic->n_stash > 0; i++) {
		frames[i] = traffic->stash[--traffic->n_stash];
		rte_pktmbuf_reset(frames[i]);
	}
	if (i < n && rte_pktmbuf_alloc_bulk(traffic->guests->frames, frames + i, n - i) != 0)
		n = i;
	for (i = 0; i < n; i++) {
		struct traffic_flow *flow = &stream->flows[stream->flow];
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
traffic_send(struct traffic *traffic, struct traffic_stream *stream, uint32_t n)
{
	uint32_t sent, i;

	if (stream->n_pending < n)
		stream_make(traffic, stream, n - stream->n_pending);
	n = RTE_MIN(n, stream->n_pending);
	if (n == 0)
		return 0;
	sent = rte_eth_tx_burst(stream->port, stream->queue, stream->pending, n);
	/* What was not taken keeps its numbers: it goes first the next time. */
	stream->n_pending -= sent;
	if (sent > 0)
		for (i = 0; i < stream->n_pending; i++)
			stream->pending[i] = stream->pending[i + sent];
	traffic->n_sent += sent;
	return sent;
}

/** By its source address; else from somebody else on a switch, or from long ago. */
static bool
frame_is_ours(const struct traffic *traffic, const struct rte_mbuf *frame, uint32_t tag)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(frame, struct rte_ether_hdr *);
	uint32_t age = traffic->flows[0].head.tag - tag;
	unsigned int i;

	if (age != 0 && age % TAG_STEP == 0 && age / TAG_STEP <= traffic->n_resets)
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
	struct traffic_flow *flow = &traffic->flows[mark.flow];

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
	struct rte_mbuf *frames[VHOST_BURST_MAX];
	uint32_t i, n = rte_eth_rx_burst(port, queue, frames, traffic->options->burst);

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		rte_prefetch0_write(rte_pktmbuf_mtod_offset(frames[i], void *, TEST_FRAME_HEADERS));
	for (i = 0; i < n; i++) {
		uint64_t number = frame_check(traffic, frames[i], port);

		if (numbers != NULL)
			numbers[i] = number;
		if (likely(frames[i]->nb_segs == 1 && traffic->n_stash < VHOST_BURST_MAX))
			traffic->stash[traffic->n_stash++] = frames[i];
		else
			rte_pktmbuf_free(frames[i]);
	}
	return n;
}

/** Ports that something can come to; the pair of a busy one is. */
static unsigned int
n_listening(const struct traffic *traffic)
{
	unsigned int n_busy = traffic->options->n_busy;

	return n_busy == 0 ? traffic->guests->n_ports
			   : RTE_MIN(traffic->guests->n_ports, (n_busy + 1) / 2 * 2);
}

static uint32_t
receive_all(struct traffic *traffic)
{
	const struct guests *guests = traffic->guests;
	uint32_t n = 0;
	unsigned int i, q;

	for (i = 0; i < n_listening(traffic); i++)
		for (q = 0; q < guests->ports[i].n_queues; q++)
			n += traffic_receive(traffic, guests->ports[i].id, q, NULL);
	return n;
}

/** Frames that may be sent now, so that no more than the window are on their way. */
static uint32_t
window_room(struct traffic *traffic, uint64_t now)
{
	const uint32_t window = traffic->options->window * traffic->n_streams;
	const struct checker_stats *stats = &traffic->stats;
	uint64_t back = stats->received - stats->duplicated + stats->lost + traffic->n_given_up;
	uint64_t away = traffic->n_sent > back ? traffic->n_sent - back : 0;

	if (away < window)
		return window - away;
	if (now - traffic->last_received > WINDOW_GIVE_UP_MS * rte_get_tsc_hz() / 1000) {
		traffic->n_given_up += away;
		traffic->last_received = now;
	}
	return 0;
}

static void
send_all(struct traffic *traffic, uint64_t now, uint64_t due)
{
	const struct vhost_options *options = traffic->options;
	unsigned int i;

	for (i = 0; i < traffic->n_streams; i++) {
		uint32_t n = options->burst;

		if (options->window > 0 && traffic->comes_back)
			n = RTE_MIN(n, window_room(traffic, now));
		if (due <= traffic->n_sent)
			return;
		n = RTE_MIN(n, due - traffic->n_sent);
		if (n > 0)
			traffic_send(traffic, &traffic->streams[i], n);
	}
}

double
traffic_run(struct traffic *traffic, double seconds, double rate)
{
	const uint64_t start = rte_rdtsc(), length = seconds * rte_get_tsc_hz();
	const double per_cycle = rate / rte_get_tsc_hz();
	const uint64_t already = traffic->n_sent;
	uint64_t now = start, due = UINT64_MAX;

	traffic->last_received = start;
	while (now - start < length && !bench_stopped() &&
	       (traffic->stop == NULL || !*traffic->stop)) {
		if (rate > 0)
			due = already + (now - start) * per_cycle;
		send_all(traffic, now, due);
		if (traffic->comes_back && receive_all(traffic) > 0)
			traffic->last_received = now;
		now = rte_rdtsc();
	}
	return (double)(now - start) / rte_get_tsc_hz();
}

void
traffic_drain(struct traffic *traffic)
{
	uint64_t quiet = QUIET_MS * rte_get_tsc_hz() / 1000, since = rte_rdtsc();
	unsigned int i, f;

	/* What is not sent was not lost. */
	for (i = 0; i < traffic->n_streams; i++) {
		struct traffic_stream *stream = &traffic->streams[i];

		for (f = 0; f < stream->n_pending; f++)
			traffic->flows[test_frame_read(stream->pending[f]).flow].n_sent--;
		rte_pktmbuf_free_bulk(stream->pending, stream->n_pending);
		stream->n_pending = 0;
	}
	if (!traffic->comes_back)
		return;
	while (rte_rdtsc() - since < quiet)
		if (receive_all(traffic) > 0)
			since = rte_rdtsc();
	for (i = 0; i < traffic->n_flows; i++)
		checker_finish(&traffic->flows[i].checker, &traffic->stats,
			       traffic->flows[i].n_sent);
}

uint64_t
traffic_arrived(const struct traffic *traffic)
{
	return traffic->comes_back ? traffic->stats.received : traffic->n_sent;
}

double
traffic_fairness(const struct traffic *traffic)
{
	uint64_t least = UINT64_MAX, most = 0;
	unsigned int i, f;

	for (i = 0; i < traffic->n_streams; i++) {
		const struct traffic_stream *stream = &traffic->streams[i];
		uint64_t n = 0;

		for (f = 0; f < stream->n_flows; f++)
			n += stream->flows[f].n_sent;
		least = RTE_MIN(least, n);
		most = RTE_MAX(most, n);
	}
	return most > 0 ? (double)least / most : 0;
}

int
traffic_begin(struct traffic *traffic)
{
	unsigned int i;

	for (i = 0; i < BEGIN_TRIES && traffic_arrived(traffic) == 0 && !bench_stopped(); i++) {
		traffic_run(traffic, BEGIN_SECONDS, BEGIN_RATE);
		/* Leaves the core to whoever sets things up. */
		rte_delay_us_sleep(BEGIN_SECONDS * 1e6);
	}
	if (traffic_arrived(traffic) == 0)
		return weir_error(ETIMEDOUT, "no frame %s: does the back-end send them there?",
				  traffic->comes_back ? "comes back" : "is taken");
	traffic_drain(traffic);
	traffic_reset(traffic);
	return 0;
}
