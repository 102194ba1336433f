/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode frames: frame queues beside a bare rte_ring, single producer and consumer and of
 * the same capacity, and a pipe that carries the pointers; `fenced` are queues whose
 * pushing side executes the fence. The main lcore is the guest's side, the worker the
 * host's. What is handed over is never looked at: the figures are those of the hand-over.
 *
 * Two rings of one kind differ by up to a fifth with the physical place of their lines:
 * there are several of each, used in turns.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_ring.h>

#include "bench.h"
#include "weir_error.h"
#include "weir_frame_queues.h"

#define CAPACITY 512
#define BURST_MAX 32
#define LANES 8

enum carrier { QUEUES, FENCED, RING, PIPE, N_CARRIERS };

static const char *const carrier_names[N_CARRIERS] = {"weir", "fenced", "rte_ring", "pipe"};

struct lane {
	struct weir_frame_queues *fq, *fenced;
	struct rte_ring *ring[WEIR_FRAME_WAYS];
	int pipe[WEIR_FRAME_WAYS][2];
} __rte_cache_aligned;

/* What is handed over. */
static struct rte_mbuf some_frame;

/** One measurement; on lines of its own, for both lcores look at it all the time. */
struct run {
	struct lane *lane;
	enum carrier carrier;
	uint16_t burst;
	bool sleeps; /* the side that finds nothing */
	uint64_t cycles;
	uint32_t started, ended;
} __rte_cache_aligned;

static __rte_always_inline uint16_t
carrier_push(struct lane *lane, enum carrier carrier, enum weir_frame_way way,
	     struct rte_mbuf **frames, uint16_t n)
{
	ssize_t bytes;

	switch (carrier) {
	case QUEUES:
		return weir_frame_queues_push(lane->fq, way, frames, n);
	case FENCED:
		return weir_frame_queues_push(lane->fenced, way, frames, n);
	case RING:
		return rte_ring_enqueue_burst(lane->ring[way], (void *const *)frames, n, NULL);
	default:
		bytes = write(lane->pipe[way][1], frames, n * sizeof(*frames));
		return bytes < 0 ? 0 : bytes / sizeof(*frames);
	}
}

static __rte_always_inline uint16_t
carrier_pop(struct lane *lane, enum carrier carrier, enum weir_frame_way way,
	    struct rte_mbuf **frames, uint16_t n)
{
	ssize_t bytes;

	switch (carrier) {
	case QUEUES:
		return weir_frame_queues_pop(lane->fq, way, frames, n);
	case FENCED:
		return weir_frame_queues_pop(lane->fenced, way, frames, n);
	case RING:
		return rte_ring_dequeue_burst(lane->ring[way], (void **)frames, n, NULL);
	default:
		bytes = read(lane->pipe[way][0], frames, n * sizeof(*frames));
		return bytes < 0 ? 0 : bytes / sizeof(*frames);
	}
}

/** Sleep until there is something to pop, or for 100 ms: the end is told by a flag. */
static void
carrier_sleep(struct lane *lane, enum carrier carrier, enum weir_frame_way way)
{
	struct weir_frame_queues *fq = carrier == FENCED ? lane->fenced : lane->fq;
	const struct weir_wake *wake = weir_frame_queues_wake(fq, way);
	struct pollfd fd;

	switch (carrier) {
	case QUEUES:
	case FENCED:
		weir_wake_arm(wake);
		if (weir_frame_queues_count(fq, way) > 0)
			weir_wake_disarm(wake);
		else
			weir_wake_wait(wake, 100000);
		break;
	case PIPE:
		fd = (struct pollfd){.fd = lane->pipe[way][0], .events = POLLIN};
		poll(&fd, 1, 100);
		break;
	default:
		rte_pause();
	}
}

static void
run_line_up(struct run *run)
{
	__atomic_fetch_add(&run->started, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&run->started, __ATOMIC_ACQUIRE) < 2)
		rte_pause();
}

static bool
run_has_ended(const struct run *run)
{
	return __atomic_load_n(&run->ended, __ATOMIC_ACQUIRE) != 0;
}

static __rte_always_inline void
drain(struct run *run, enum carrier carrier)
{
	struct rte_mbuf *frames[BURST_MAX];

	run_line_up(run);
	while (!run_has_ended(run)) {
		if (carrier_pop(run->lane, carrier, WEIR_GUEST_TO_HOST, frames, BURST_MAX) > 0)
			continue;
		if (run->sleeps)
			carrier_sleep(run->lane, carrier, WEIR_GUEST_TO_HOST);
		else
			rte_pause();
	}
	while (carrier_pop(run->lane, carrier, WEIR_GUEST_TO_HOST, frames, BURST_MAX) > 0)
		;
}

static __rte_always_inline double
feed(struct run *run, enum carrier carrier)
{
	struct rte_mbuf *frames[BURST_MAX];
	uint64_t start, now, n = 0;
	unsigned int i;

	for (i = 0; i < BURST_MAX; i++)
		frames[i] = &some_frame;
	run_line_up(run);
	start = rte_rdtsc();
	do {
		for (i = 0; i < 64; i++)
			n += carrier_push(run->lane, carrier, WEIR_GUEST_TO_HOST, frames,
					  run->burst);
		now = rte_rdtsc();
	} while (now - start < run->cycles);
	__atomic_store_n(&run->ended, 1, __ATOMIC_RELEASE);
	return n / ((double)(now - start) / rte_get_tsc_hz()) / 1e6;
}

static __rte_always_inline void
echo(struct run *run, enum carrier carrier)
{
	struct rte_mbuf *frame;

	run_line_up(run);
	while (!run_has_ended(run)) {
		if (carrier_pop(run->lane, carrier, WEIR_GUEST_TO_HOST, &frame, 1) == 1)
			carrier_push(run->lane, carrier, WEIR_HOST_TO_GUEST, &frame, 1);
		else if (run->sleeps)
			carrier_sleep(run->lane, carrier, WEIR_GUEST_TO_HOST);
	}
}

static __rte_always_inline double
ask(struct run *run, enum carrier carrier)
{
	struct rte_mbuf *frame = &some_frame;
	uint64_t start, now, n = 0;

	run_line_up(run);
	start = rte_rdtsc();
	do {
		carrier_push(run->lane, carrier, WEIR_GUEST_TO_HOST, &frame, 1);
		while (carrier_pop(run->lane, carrier, WEIR_HOST_TO_GUEST, &frame, 1) == 0)
			if (run->sleeps)
				carrier_sleep(run->lane, carrier, WEIR_HOST_TO_GUEST);
		n++;
		now = rte_rdtsc();
	} while (now - start < run->cycles);
	__atomic_store_n(&run->ended, 1, __ATOMIC_RELEASE);
	return (double)(now - start) / rte_get_tsc_hz() * 1e9 / n;
}

/* The carrier is a constant in each copy of a loop, as it is in a program. */
static int
drain_any(void *arg)
{
	struct run *run = arg;

	switch (run->carrier) {
	case QUEUES:
		drain(run, QUEUES);
		break;
	case FENCED:
		drain(run, FENCED);
		break;
	case RING:
		drain(run, RING);
		break;
	default:
		drain(run, PIPE);
	}
	return 0;
}

static double
feed_any(struct run *run)
{
	switch (run->carrier) {
	case QUEUES:
		return feed(run, QUEUES);
	case FENCED:
		return feed(run, FENCED);
	case RING:
		return feed(run, RING);
	default:
		return feed(run, PIPE);
	}
}

static int
echo_any(void *arg)
{
	struct run *run = arg;

	switch (run->carrier) {
	case QUEUES:
		echo(run, QUEUES);
		break;
	case FENCED:
		echo(run, FENCED);
		break;
	case RING:
		echo(run, RING);
		break;
	default:
		echo(run, PIPE);
	}
	return 0;
}

static double
ask_any(struct run *run)
{
	switch (run->carrier) {
	case QUEUES:
		return ask(run, QUEUES);
	case FENCED:
		return ask(run, FENCED);
	case RING:
		return ask(run, RING);
	default:
		return ask(run, PIPE);
	}
}

struct shape {
	double (*main)(struct run *run);
	int (*worker)(void *arg);
	uint16_t burst;
	bool sleeps;
};

static void
shape_measure(const struct bench_options *options, const struct bench_table *table,
	      const char *what, struct lane *lanes, const struct shape *shape)
{
	double figures[N_CARRIERS][100], medians[N_CARRIERS];
	enum carrier carrier;
	uint32_t round;

	for (round = 0; bench_round(options, what, round); round++) {
		for (carrier = 0; carrier < N_CARRIERS; carrier++) {
			struct run run = {
				.lane = &lanes[round % LANES],
				.carrier = carrier,
				.burst = shape->burst,
				.sleeps = shape->sleeps,
				.cycles = rte_get_tsc_hz() / 1000000 * options->slice_us,
			};

			figures[carrier][round] = NAN;
			if (carrier == RING && shape->sleeps)
				continue; /* nobody would wake its sleeper */
			rte_eal_remote_launch(shape->worker, &run, options->worker);
			figures[carrier][round] = shape->main(&run);
			rte_eal_wait_lcore(options->worker);
		}
	}
	for (carrier = 0; carrier < N_CARRIERS; carrier++)
		medians[carrier] = bench_median(figures[carrier], round);
	bench_table_row(options, table, what, medians);
}

static void
lanes_measure(const struct bench_options *options, struct lane *lanes)
{
	const struct bench_table rate = {
		.mode = "frames",
		.title = "Frames handed over, guest's lcore to host thread",
		.unit = "million/s",
		.more_is_better = true,
		.contenders = carrier_names,
		.n_contenders = N_CARRIERS,
	};
	const struct bench_table latency = {
		.mode = "frames",
		.title = "One frame there and back",
		.unit = "ns",
		.contenders = carrier_names,
		.n_contenders = N_CARRIERS,
	};

	bench_table_head(options, &rate);
	shape_measure(options, &rate, "1 a push", lanes,
		      &(struct shape){feed_any, drain_any, 1, false});
	shape_measure(options, &rate, "8 a push", lanes,
		      &(struct shape){feed_any, drain_any, 8, false});
	shape_measure(options, &rate, "32 a push", lanes,
		      &(struct shape){feed_any, drain_any, 32, false});
	shape_measure(options, &rate, "32 a push, sleeps when empty", lanes,
		      &(struct shape){feed_any, drain_any, 32, true});
	bench_table_head(options, &latency);
	shape_measure(options, &latency, "both spin", lanes,
		      &(struct shape){ask_any, echo_any, 1, false});
	shape_measure(options, &latency, "both sleep", lanes,
		      &(struct shape){ask_any, echo_any, 1, true});
}

static int
lane_open(struct lane *lane, unsigned int i)
{
	enum weir_frame_way way;
	char name[32];

	snprintf(name, sizeof(name), "bench%u", i);
	lane->fq = weir_frame_queues_create(name, CAPACITY, 0, SOCKET_ID_ANY);
	snprintf(name, sizeof(name), "fenced%u", i);
	lane->fenced =
		weir_frame_queues_create(name, CAPACITY, WEIR_FRAME_QUEUES_FENCED, SOCKET_ID_ANY);
	if (lane->fq == NULL || lane->fenced == NULL)
		return -rte_errno;
	for (way = 0; way < WEIR_FRAME_WAYS; way++) {
		snprintf(name, sizeof(name), "bare%u_%u", i, way);
		lane->ring[way] = rte_ring_create(name, CAPACITY, SOCKET_ID_ANY,
						  RING_F_EXACT_SZ | RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (lane->ring[way] == NULL)
			return weir_error(rte_errno, "frames: no ring: %s",
					  rte_strerror(rte_errno));
		if (pipe2(lane->pipe[way], O_NONBLOCK) != 0)
			return weir_error(errno, "frames: no pipe: %s", strerror(errno));
	}
	return 0;
}

static void
lane_close(struct lane *lane)
{
	enum weir_frame_way way;

	for (way = 0; way < WEIR_FRAME_WAYS; way++) {
		if (lane->pipe[way][0] > 0) {
			close(lane->pipe[way][0]);
			close(lane->pipe[way][1]);
		}
		rte_ring_free(lane->ring[way]);
	}
	weir_frame_queues_unref(lane->fenced);
	weir_frame_queues_unref(lane->fq);
}

static int
frames_run(const struct bench_options *options)
{
	struct lane lanes[LANES] = {0};
	unsigned int i;
	int rc = 0;

	if (options->worker >= RTE_MAX_LCORE)
		return weir_error(EINVAL, "frames: a second lcore is needed: -l 0,1");
	for (i = 0; i < LANES && rc == 0; i++)
		rc = lane_open(&lanes[i], i);
	if (rc == 0)
		lanes_measure(options, lanes);
	for (i = 0; i < LANES; i++)
		lane_close(&lanes[i]);
	return rc;
}

static const struct bench_mode frames_mode = {
	.name = "frames",
	.usage = "frames          frame queues beside a bare ring and a pipe",
	.run = frames_run,
};

BENCH_MODE_REGISTER(frames_mode);
