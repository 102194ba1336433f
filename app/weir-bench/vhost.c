/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode vhost: the guest side of any vhost-user back-end, weir, testpmd, Open vSwitch
 * or another, through virtio-user. One lcore sends and checks; the back-end has its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "bench.h"
#include "console.h"
#include "round_trip.h"
#include "sweep.h"
#include "weir_error.h"

#define SLICE_SECONDS 0.002

struct vhost {
	const struct bench_options *bench;
	struct vhost_options options;
	struct guests guests;
	struct traffic traffic;
	char title[192];
};

static void
row(const struct vhost *vhost, const char *what, double figure, bool more_is_better)
{
	static const char *const contenders[] = {"back-end"};
	const struct bench_table table = {
		.mode = "vhost",
		.title = vhost->title,
		.unit = "",
		.more_is_better = more_is_better,
		.contenders = contenders,
		.n_contenders = 1,
	};

	bench_table_row(vhost->bench, &table, what, &figure);
}

static void
head(struct vhost *vhost)
{
	static const char *const paths[] = {"to the back-end and no further", "there and back",
					    "from guest to guest",
					    "from guest to guest, both ways"};
	const struct vhost_options *options = &vhost->options;
	const struct bench_table table = {0};
	char window[32] = "no window";

	if (options->window > 0)
		snprintf(window, sizeof(window), "window %u", options->window);
	snprintf(vhost->title, sizeof(vhost->title), "%s, %s B, %u port%s, %u flow%s, %s",
		 paths[options->path], options->lens_text, vhost->guests.n_ports,
		 vhost->guests.n_ports > 1 ? "s" : "", options->n_flows,
		 options->n_flows > 1 ? "s" : "", window);
	bench_table_head(vhost->bench, &table);
}

/** What became of the frames. */
static void
report_checks(const struct vhost *vhost)
{
	const struct checker_stats *stats = &vhost->traffic.stats;

	if (!vhost->traffic.comes_back)
		return;
	row(vhost, "lost, frames", stats->lost, false);
	row(vhost, "duplicated, frames", stats->duplicated, false);
	row(vhost, "reordered, frames", stats->reordered, false);
	row(vhost, "corrupted, frames", stats->corrupted, false);
	row(vhost, "foreign, frames", stats->foreign, false);
}

static double
lens_mean(const struct vhost_options *options)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < options->n_lens; i++)
		sum += options->lens[i];
	return (double)sum / options->n_lens;
}

static void
show_period(const struct vhost *vhost, double at, double seconds, uint64_t sent, uint64_t arrived)
{
	if (!vhost->bench->json)
		printf("%8.1f s: sent %.3f, received %.3f Mpps, lost %" PRIu64 "\n", at,
		       sent / seconds / 1e6, arrived / seconds / 1e6, vhost->traffic.stats.lost);
	fflush(stdout);
}

/**
 * Send for options->seconds, slice by slice; the rate of the best slice is what the
 * machine does when nothing else runs on it.
 */
static double
run_slices(struct vhost *vhost, double *best)
{
	struct traffic *traffic = &vhost->traffic;
	const struct vhost_options *options = &vhost->options;
	uint64_t shown_sent = 0, shown_arrived = 0, before;
	double seconds = 0, shown = 0, took;

	*best = 0;
	while (seconds < options->seconds && !bench_stopped()) {
		before = traffic_arrived(traffic);
		took = traffic_run(traffic, SLICE_SECONDS, options->rate);
		seconds += took;
		if (took > 0)
			*best = RTE_MAX(*best, (traffic_arrived(traffic) - before) / took);
		if (options->stats_period == 0 || seconds - shown < options->stats_period)
			continue;
		show_period(vhost, seconds, seconds - shown, traffic->n_sent - shown_sent,
			    traffic_arrived(traffic) - shown_arrived);
		shown = seconds;
		shown_sent = traffic->n_sent;
		shown_arrived = traffic_arrived(traffic);
	}
	return seconds;
}

static int
measure_rate(struct vhost *vhost)
{
	struct traffic *traffic = &vhost->traffic;
	uint64_t sent, arrived, bytes;
	double seconds, best;

	seconds = run_slices(vhost, &best);
	/* What comes while draining came too late for the rate, but is not lost. */
	sent = traffic->n_sent;
	arrived = traffic_arrived(traffic);
	bytes = traffic->comes_back ? traffic->stats.bytes : sent * lens_mean(&vhost->options);
	traffic_drain(traffic);
	row(vhost, "sent, Mpps", sent / seconds / 1e6, true);
	row(vhost, "received, Mpps", arrived / seconds / 1e6, true);
	row(vhost, "received, best 2 ms, Mpps", best / 1e6, true);
	row(vhost, "Gbit/s", bytes * 8 / seconds / 1e9, true);
	row(vhost, "sent, frames", traffic->n_sent, true);
	row(vhost, "lost, percent", sent > 0 ? 100.0 * traffic->stats.lost / sent : 0, false);
	if (traffic->n_streams > 1)
		row(vhost, "least to most of a queue, percent", 100 * traffic_fairness(traffic),
		    true);
	report_checks(vhost);
	return sent > 0 ? 0 : weir_error(EIO, "vhost: the back-end took not a frame");
}

static void
report_times(const struct vhost *vhost, const char *of, const struct histogram *histogram)
{
	static const struct {
		const char *name;
		double part;
	} rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
	const double ns = 1e9 / rte_get_tsc_hz();
	char what[64];
	size_t i;

	for (i = 0; i < RTE_DIM(rows); i++) {
		snprintf(what, sizeof(what), "%s%s, ns", of, rows[i].name);
		row(vhost, what, histogram_value(histogram, rows[i].part) * ns, false);
	}
	if (vhost->options.histogram && !vhost->bench->json)
		histogram_print(histogram, ns, stdout);
}

static int
measure_round_trips(struct vhost *vhost)
{
	struct round_trips *trips = calloc(1, sizeof(*trips));
	int rc;

	if (trips == NULL)
		return weir_error(ENOMEM, "vhost: no memory for histograms");
	rc = round_trips_measure(&vhost->traffic, trips);
	if (rc == 0) {
		traffic_drain(&vhost->traffic);
		report_times(vhost, "", &trips->all);
		if (vhost->options.gap_us > 0 && vhost->options.window > 1) {
			report_times(vhost, "first of a burst, ", &trips->first);
			report_times(vhost, "all of a burst, ", &trips->last);
		}
		if (vhost->options.gap_us == 0)
			row(vhost, "received, Mpps", trips->all.n / trips->seconds / 1e6, true);
		report_checks(vhost);
	}
	free(trips);
	return rc;
}

/** Whether the rate is carried: sent as it should, and no more lost than may be. */
static bool
trial(struct vhost *vhost, double rate)
{
	struct traffic *traffic = &vhost->traffic;
	double seconds, due;

	traffic_reset(traffic);
	seconds = traffic_run(traffic, vhost->options.seconds, rate);
	due = seconds * rate;
	traffic_drain(traffic);
	if (bench_stopped())
		return false;
	/* A back-end that holds the sender back loses nothing, and carries less. */
	return traffic->n_sent >= 0.999 * due - vhost->options.burst &&
	       traffic->stats.lost <= vhost->options.loss * traffic->n_sent;
}

static int
measure_sweep(struct vhost *vhost)
{
	struct traffic *traffic = &vhost->traffic;
	struct sweep sweep;
	double seconds, rate;

	seconds = traffic_run(traffic, vhost->options.seconds, 0);
	traffic_drain(traffic);
	if (vhost->options.rate > 0)
		sweep_init(&sweep, vhost->options.rate, vhost->options.resolution);
	else
		sweep_init(&sweep, traffic->n_sent / seconds, vhost->options.resolution);
	while (!bench_stopped() && (rate = sweep_next(&sweep)) > 0) {
		bench_progress(vhost->bench, "trial %u: %.3f Mpps, %.3f passed", sweep.n_trials + 1,
			       rate / 1e6, sweep.passed / 1e6);
		sweep_result(&sweep, trial(vhost, rate));
	}
	row(vhost, "offered at most, Mpps", traffic->n_sent > 0 ? sweep.failed / 1e6 : NAN, true);
	row(vhost, "highest rate carried, Mpps", sweep.passed / 1e6, true);
	row(vhost, "trials", sweep.n_trials, false);
	report_checks(vhost);
	return 0;
}

static int
vhost_measure(struct vhost *vhost)
{
	static int (*const measures[])(struct vhost * vhost) = {
		[MEASURE_RATE] = measure_rate,
		[MEASURE_ROUND_TRIP] = measure_round_trips,
		[MEASURE_SWEEP] = measure_sweep,
	};

	int rc = traffic_begin(&vhost->traffic);

	if (rc < 0)
		return rc;
	head(vhost);
	return measures[vhost->options.measure](vhost);
}

static int
vhost_run(const struct bench_options *options)
{
	struct vhost *vhost = calloc(1, sizeof(*vhost));
	int rc;

	if (vhost == NULL)
		return weir_error(ENOMEM, "vhost: no memory");
	vhost->bench = options;
	/* The words with the mode's name in front, as getopt wants them. */
	rc = vhost_options_parse(options->argc + 1, options->argv - 1, &vhost->options);
	if (rc == 0) {
		rc = guests_open(&vhost->guests, &vhost->options);
		if (rc == 0)
			rc = traffic_init(&vhost->traffic, &vhost->options, &vhost->guests);
		if (rc == 0)
			rc = vhost->options.interactive
				     ? console_run(options, &vhost->traffic, &vhost->options)
				     : vhost_measure(vhost);
		if (rc == 0)
			rc = guests_check(&vhost->guests);
		traffic_fini(&vhost->traffic);
		guests_close(&vhost->guests);
	}
	free(vhost);
	return rc;
}

static const struct bench_mode vhost_mode = {
	.name = "vhost",
	.usage = "vhost [SWITCHES]  the guest side of a vhost-user back-end, by virtio-user",
	.help = vhost_options_help,
	.run = vhost_run,
};

BENCH_MODE_REGISTER(vhost_mode);
