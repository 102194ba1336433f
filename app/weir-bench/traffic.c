/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "bench.h"
#include "traffic.h"
#include "weir_error.h"

/* Nothing for so long: what is on its way is lost. */
#define QUIET_MS 500
/* When nothing is: for what comes twice. */
#define QUIET_ALL_BACK_MS 50
#define WINDOW_GIVE_UP_MS 20
#define BEGIN_TRIES 500
#define BEGIN_RATE 1000
#define BEGIN_SECONDS 0.01

static void
stream_add(struct traffic *traffic, struct guest_port *from, uint16_t queue, uint16_t to,
	   uint32_t tag)
{
	const struct rte_ether_addr *mac = &traffic->guests->ports[to].mac;
	struct stream *stream = &traffic->streams[traffic->n_streams++];
	unsigned int i, n = traffic->options->n_flows;

	*stream = (struct stream){
		.port = from,
		.queue = queue,
		.flows = &traffic->flows[traffic->n_flows],
		.n_flows = n,
	};
	for (i = 0; i < n; i++, traffic->n_flows++) {
		struct flow *flow = &stream->flows[i];

		test_flow_init(&flow->head, tag, traffic->n_flows, &from->mac, mac);
		flow->to = to;
	}
}

int
traffic_init(struct traffic *traffic, const struct vhost_options *options, struct guests *guests)
{
	const bool across = options->path == PATH_ONE_WAY || options->path == PATH_BOTH;
	const uint32_t tag = rte_rdtsc() | 1;
	unsigned int i, q, n_queues = 0, n;

	memset(traffic, 0, sizeof(*traffic));
	traffic->options = options;
	traffic->guests = guests;
	traffic->stash.pool = guests->frames;
	traffic->comes_back = options->path != PATH_SINK;
	if (across && guests->n_ports % 2 != 0)
		return weir_error(EINVAL,
				  "--path one-way and both: an even number of ports is "
				  "needed, not %u",
				  guests->n_ports);
	for (i = 0; i < guests->n_ports; i++)
		n_queues += guests->ports[i].n_queues;
	n = n_queues * options->n_flows;
	if (n > UINT16_MAX)
		return weir_error(EINVAL, "--flows %u: of all queues at most %d", options->n_flows,
				  UINT16_MAX);
	traffic->flows = calloc(n, sizeof(*traffic->flows));
	traffic->streams = calloc(n_queues, sizeof(*traffic->streams));
	if (traffic->flows == NULL || traffic->streams == NULL)
		return weir_error(ENOMEM, "no memory for %u flows", n);
	for (i = 0; i < guests->n_ports; i++) {
		if (options->path == PATH_ONE_WAY && i % 2 == 1)
			continue;
		if (options->n_busy > 0 && i >= options->n_busy)
			break;
		for (q = 0; q < guests->ports[i].n_queues; q++)
			stream_add(traffic, &guests->ports[i], q, across ? i ^ 1 : i, tag);
	}
	return 0;
}

void
traffic_fini(struct traffic *traffic)
{
	unsigned int i;

	for (i = 0; i < traffic->n_streams; i++)
		stream_forget(&traffic->streams[i]);
	rte_pktmbuf_free_bulk(traffic->stash.frames, traffic->stash.n);
	free(traffic->streams);
	free(traffic->flows);
}

void
traffic_reset(struct traffic *traffic)
{
	unsigned int i;

	for (i = 0; i < traffic->n_streams; i++)
		stream_forget(&traffic->streams[i]);
	for (i = 0; i < traffic->n_flows; i++) {
		struct flow *flow = &traffic->flows[i];

		flow->n_sent = 0;
		memset(&flow->checker, 0, sizeof(flow->checker));
		/* A frame of the last measurement that comes now is foreign. */
		flow->head.tag += TRAFFIC_TAG_STEP;
	}
	traffic->n_resets++;
	traffic->n_sent = traffic->n_given_up = 0;
	memset(&traffic->stats, 0, sizeof(traffic->stats));
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
			n += traffic_receive(traffic, i, q, NULL);
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

	for (i = 0; i < traffic->n_streams; i++, traffic->turn++) {
		uint32_t n = options->burst;

		if (traffic->turn >= traffic->n_streams)
			traffic->turn = 0;

		if (options->window > 0 && traffic->comes_back)
			n = RTE_MIN(n, window_room(traffic, now));
		if (due <= traffic->n_sent)
			return;
		n = RTE_MIN(n, due - traffic->n_sent);
		if (n > 0)
			traffic_send(traffic, &traffic->streams[traffic->turn], n);
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

/** Nothing for so long, and no more will come. */
static uint64_t
quiet_cycles(const struct traffic *traffic)
{
	bool all_back = traffic->stats.received - traffic->stats.duplicated >= traffic->n_sent;

	return (all_back ? QUIET_ALL_BACK_MS : QUIET_MS) * rte_get_tsc_hz() / 1000;
}

void
traffic_drain(struct traffic *traffic)
{
	uint64_t since = rte_rdtsc();
	unsigned int i;

	/* What is not sent was not lost. */
	for (i = 0; i < traffic->n_streams; i++)
		stream_forget(&traffic->streams[i]);
	if (!traffic->comes_back)
		return;
	while (rte_rdtsc() - since < quiet_cycles(traffic))
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
	unsigned int i;

	for (i = 0; i < traffic->n_streams; i++) {
		uint64_t n = stream_n_sent(&traffic->streams[i]);

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
		/* A switch that is not ready loses the first ones: no window waits for them. */
		traffic->n_given_up = traffic->n_sent;
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
