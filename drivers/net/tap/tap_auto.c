/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io=auto: writes frames of 64 bytes by each mode, for a moment, to a tap of its own in
 * a network namespace that nobody else sees. The best mode is the one that takes least
 * of the lcore's time, of those that carry nearly as much as the one that carries most.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_lcore.h>

#include "weir_error.h"
#include "weir_log.h"

#include "tap.h"

WEIR_LOG_DECLARE(tap);

/** So long is each mode tried, in turns, so that what disturbs one disturbs all. */
#define SLICE_MS 10
#define ROUNDS 3
#define BURST 32
#define FRAME_BYTES 64
/** Of the best rate; less is not nearly as much. */
#define NEARLY 0.9

struct trial {
	const struct tap_mode *mode;
	double mpps;	 /* the best round's */
	double lcore_ns; /* its time a frame in our calls */
};

struct trials {
	const char *owner;
	struct trial list[3];
	char error[WEIR_ERROR_TEXTSIZE];
};

/** Be where a poll lcore is, if there is one, and not where the mode's thread is. */
static void
lcore_stand_in(void)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0);
	rte_cpuset_t cpus;

	if (lcore >= RTE_MAX_LCORE)
		return;
	cpus = rte_lcore_cpuset(lcore);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

/** Send for a slice; what the lcore did not wait for counts as its cost. */
static void
slice_run(struct weir_queue *queue, struct trial *trial)
{
	static const uint8_t frame[FRAME_BYTES] = {0x02, 0, 0, 0, 0, 1,	   0x02,
						   0,	 0, 0, 0, 2, 0x88, 0xb5};
	const uint64_t hz = rte_get_tsc_hz(), slice = hz / 1000 * SLICE_MS;
	struct weir_tx_segment segments[BURST];
	uint64_t start = rte_rdtsc(), now = start, before, busy = 0, n = 0;
	double mpps;
	uint16_t i, taken, ids[1];
	bool done;

	memset(segments, 0, sizeof(segments));
	for (i = 0; i < BURST; i++)
		segments[i] = (struct weir_tx_segment){.addr = frame,
						       .len = FRAME_BYTES,
						       .frame_len = FRAME_BYTES,
						       .n_segments = 1};
	while (now - start < slice) {
		before = rte_rdtsc();
		taken = queue->ops->tx_avail(queue, NULL, segments, BURST, &done);
		queue->ops->rx_poll(queue, NULL, ids, 1);
		now = rte_rdtsc();
		if (taken > 0)
			busy += now - before;
		else
			sched_yield(); /* there may be one processor less than it takes */
		n += taken;
	}
	n -= queue->stats.tx_dropped;
	mpps = n / ((double)(now - start) / hz) / 1e6;
	if (n > 0 && mpps > trial->mpps) {
		trial->mpps = mpps;
		trial->lcore_ns = (double)busy / hz * 1e9 / n;
	}
}

static int
trial_run(struct trial *trial, const char *owner, int fd)
{
	const struct tap_queue_conf conf = {
		.owner = owner,
		.fd = fd,
		.multiqueue = true,
		.mtu = RTE_ETHER_MTU,
		.numa_node = SOCKET_ID_ANY,
	};
	size_t size = RTE_CACHE_LINE_ROUNDUP(trial->mode->queue_size);
	struct weir_queue *queue = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	cpu_set_t before;
	int rc;

	if (queue == NULL)
		return weir_error(ENOMEM, "%s: no memory to try io=%s", owner, trial->mode->name);
	memset(queue, 0, size);
	queue->ops = trial->mode->ops;
	rc = trial->mode->open(queue, &conf);
	if (rc == 0) {
		queue->ops->set_active(queue, true);
		pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
		lcore_stand_in();
		slice_run(queue, trial);
		pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
		trial->mode->close(queue);
	}
	free(queue);
	return rc;
}

/** A thread, because its namespace is then its own. */
static void *
trials_main(void *arg)
{
	struct trials *trials = arg;
	struct tap_link link;
	unsigned int round;
	size_t i;

	if (unshare(CLONE_NEWNET) != 0) {
		snprintf(trials->error, sizeof(trials->error),
			 "no right to a network namespace to measure in");
		return NULL;
	}
	if (tap_link_open(&link, trials->owner, "weir%d", NULL) != 0 ||
	    tap_link_set_up(&link) != 0) {
		snprintf(trials->error, sizeof(trials->error), "%s", weir_error_text());
		return NULL;
	}
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < RTE_DIM(trials->list); i++)
			trial_run(&trials->list[i], trials->owner, link.fd);
	tap_link_close(&link);
	return NULL;
}

static const struct trial *
trials_best(const struct trials *trials)
{
	const struct trial *best = NULL;
	double most = 0;
	size_t i;

	for (i = 0; i < RTE_DIM(trials->list); i++)
		most = fmax(most, trials->list[i].mpps);
	for (i = 0; i < RTE_DIM(trials->list); i++) {
		const struct trial *trial = &trials->list[i];

		if (trial->mpps > 0 && trial->mpps >= NEARLY * most &&
		    (best == NULL || trial->lcore_ns < best->lcore_ns))
			best = trial;
	}
	return best;
}

/** One line: what was picked, and the figures that it was picked by. */
static void
trials_say(const struct trials *trials, const struct trial *best)
{
	char figures[256] = "";
	size_t i, n = 0;

	for (i = 0; i < RTE_DIM(trials->list); i++) {
		const struct trial *trial = &trials->list[i];

		if (trial->mpps > 0)
			n += snprintf(figures + n, sizeof(figures) - n,
				      "%s%s %.2f Mpps at %.0f ns of the lcore a frame",
				      i > 0 ? ", " : "", trial->mode->name, trial->mpps,
				      trial->lcore_ns);
		else
			n += snprintf(figures + n, sizeof(figures) - n, "%s%s cannot be had",
				      i > 0 ? ", " : "", trial->mode->name);
	}
	WEIR_LOG(tap, INFO,
		 "%s: io=%s: least of the lcore's time at 0.9 or more of the best rate: %s",
		 trials->owner, best->mode->name, figures);
}

const struct tap_mode *
tap_auto(const char *owner)
{
	struct trials trials = {
		.owner = owner,
		.list = {{.mode = &tap_inline}, {.mode = &tap_thread}, {.mode = &tap_sqpoll}},
	};
	const struct trial *best;
	pthread_t thread;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		WEIR_LOG(tap, INFO, "%s: io=inline: there is one processor", owner);
		return &tap_inline;
	}
	if (rte_ctrl_thread_create(&thread, "weir-tap-auto", NULL, trials_main, &trials) != 0)
		snprintf(trials.error, sizeof(trials.error), "no thread to measure with");
	else
		pthread_join(thread, NULL);
	best = trials_best(&trials);
	if (best == NULL) {
		WEIR_LOG(tap, WARNING, "%s: io=inline: nothing could be measured: %s", owner,
			 *trials.error ? trials.error : weir_error_text());
		return &tap_inline;
	}
	trials_say(&trials, best);
	return best->mode;
}
