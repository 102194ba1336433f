/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "bench.h"
#include "round_trip.h"
#include "weir_error.h"

/* What is not back by then is lost. */
#define LOST_MS 1000
/* The first ones find every cache cold. */
#define N_WARM 64

struct trip {
	struct traffic *traffic;
	struct stream *stream;
	uint16_t to;
	uint64_t sent_at[VHOST_WINDOW_MAX]; /* by number */
	uint32_t n_away;
	uint64_t last; /* time stamp of a frame that came */
};

static uint32_t
trip_send(struct trip *trip, uint32_t n)
{
	uint64_t number = trip->stream->flows[0].n_sent - trip->stream->n_pending;
	uint64_t now = rte_rdtsc();
	uint32_t i, sent;

	n = RTE_MIN(n, trip->traffic->options->burst);
	for (i = 0; i < n; i++)
		trip->sent_at[(number + i) % VHOST_WINDOW_MAX] = now;
	sent = traffic_send(trip->traffic, trip->stream, n);
	trip->n_away += sent;
	return sent;
}

/** Add what came to @p histogram; how many. */
static uint32_t
trip_receive(struct trip *trip, struct histogram *histogram)
{
	const struct guests *guests = trip->traffic->guests;
	uint64_t numbers[VHOST_BURST_MAX], now;
	uint32_t i, n, q, n_all = 0;

	for (q = 0; q < guests->ports[trip->to].n_queues; q++) {
		n = traffic_receive(trip->traffic, trip->to, q, numbers);
		now = rte_rdtsc();
		for (i = 0; i < n; i++) {
			if (numbers[i] == UINT64_MAX)
				continue;
			histogram_add(histogram,
				      now - trip->sent_at[numbers[i] % VHOST_WINDOW_MAX]);
			trip->last = now;
			trip->n_away -= trip->n_away > 0;
			n_all++;
		}
	}
	return n_all;
}

static bool
trip_is_lost(const struct trip *trip, uint64_t since)
{
	return rte_rdtsc() - since > LOST_MS * rte_get_tsc_hz() / 1000;
}

/** A window that moves on with every frame that comes. */
static void
slide(struct trip *trip, struct histogram *histogram, uint64_t count)
{
	const struct vhost_options *options = trip->traffic->options;
	uint64_t end = histogram->n + count;

	trip->last = rte_rdtsc();
	while (histogram->n < end && !bench_stopped()) {
		if (trip->n_away < options->window)
			trip_send(trip, options->window - trip->n_away);
		if (trip_receive(trip, histogram) == 0 && trip_is_lost(trip, trip->last)) {
			trip->n_away = 0;
			trip->last = rte_rdtsc();
		}
	}
}

/** A burst after nothing for a while, as a guest that sleeps between two requests. */
static void
burst(struct trip *trip, struct round_trips *trips)
{
	const struct vhost_options *options = trip->traffic->options;
	uint64_t start, first = 0, before = trips->all.n;
	uint32_t sent = 0;

	rte_delay_us_sleep(options->gap_us);
	start = rte_rdtsc();
	trip->n_away = 0;
	while ((sent < options->window || trip->n_away > 0) && !trip_is_lost(trip, start)) {
		if (sent < options->window)
			sent += trip_send(trip, options->window - sent);
		if (trip_receive(trip, &trips->all) > 0 && first == 0)
			first = trip->last;
	}
	if (first != 0)
		histogram_add(&trips->first, first - start);
	if (trips->all.n - before == options->window)
		histogram_add(&trips->last, trip->last - start);
}

int
round_trips_measure(struct traffic *traffic, struct round_trips *trips)
{
	const struct vhost_options *options = traffic->options;
	struct trip *trip = calloc(1, sizeof(*trip));
	uint64_t start;

	memset(trips, 0, sizeof(*trips));
	if (trip == NULL)
		return weir_error(ENOMEM, "no memory for %d time stamps", VHOST_WINDOW_MAX);
	trip->traffic = traffic;
	trip->stream = &traffic->streams[0];
	trip->to = traffic->flows[0].to;
	slide(trip, &trips->all, N_WARM);
	memset(&trips->all, 0, sizeof(trips->all));
	start = rte_rdtsc();
	if (options->gap_us == 0)
		slide(trip, &trips->all, options->count);
	else
		while (trips->all.n < options->count && !bench_stopped())
			burst(trip, trips);
	trips->seconds = (double)(rte_rdtsc() - start) / rte_get_tsc_hz();
	free(trip);
	return 0;
}
