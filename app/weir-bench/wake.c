/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode wake: what it costs to wake, and to be awake, beside a pipe and a bare
 * eventfd. `fenced` is a wake whose signaller executes the fence itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "bench.h"
#include "weir_error.h"
#include "weir_wake.h"

enum bell { WAKE, FENCED, EVENTFD, PIPE, N_BELLS };

/* As long as weir-bench vhost --gap-us has a back-end wait, in the comparison of back-ends. */
#define LONG_SLEEP_US 5000
#define LONG_SLEEPS 9

static const char *const bell_names[N_BELLS] = {"weir", "fenced", "eventfd", "pipe"};

/** One way to wake one sleeper, with the work it is woken for. */
struct end {
	struct weir_wake wake;
	struct weir_wake_word word;
	int fds[2]; /* to sleep on, to write */
	uint32_t work __rte_cache_aligned;
};

struct run {
	enum bell bell;
	struct end there, back;
	int core; /* of the other thread */
	uint64_t cycles;
	uint32_t ended;
	bool sleeps;
};

static int
end_open(struct end *end, enum bell bell)
{
	memset(end, 0, sizeof(*end));
	switch (bell) {
	case WAKE:
		return weir_wake_init(&end->wake, &end->word, 0);
	case FENCED:
		return weir_wake_init(&end->wake, &end->word, WEIR_WAKE_FENCED);
	case EVENTFD:
		end->fds[0] = end->fds[1] = eventfd(0, EFD_NONBLOCK);
		return end->fds[0] < 0 ? weir_error(errno, "no eventfd") : 0;
	default:
		return pipe2(end->fds, O_NONBLOCK) != 0 ? weir_error(errno, "no pipe") : 0;
	}
}

static void
end_close(struct end *end, enum bell bell)
{
	if (bell == WAKE || bell == FENCED) {
		weir_wake_fini(&end->wake);
		return;
	}
	close(end->fds[0]);
	if (bell == PIPE)
		close(end->fds[1]);
}

static __rte_always_inline void
end_signal(struct end *end, enum bell bell)
{
	static const uint64_t one = 1;

	if (bell == WAKE || bell == FENCED) {
		weir_wake_signal(&end->wake);
		return;
	}
	/* A full pipe is as good: it is readable. */
	if (write(end->fds[1], &one, bell == PIPE ? 1 : sizeof(one)) < 0)
		rte_pause();
}

/** Sleep until the work differs from @p seen, or for 100 ms. */
static void
end_sleep(struct end *end, enum bell bell, uint32_t seen)
{
	struct pollfd fd = {.fd = end->fds[0], .events = POLLIN};
	char bytes[4096];

	if (bell == WAKE || bell == FENCED) {
		weir_wake_arm(&end->wake);
		if (__atomic_load_n(&end->work, __ATOMIC_ACQUIRE) != seen)
			weir_wake_disarm(&end->wake);
		else
			weir_wake_wait(&end->wake, 100000);
		return;
	}
	if (poll(&fd, 1, 100) == 1 && read(fd.fd, bytes, sizeof(bytes)) < 0)
		rte_pause();
}

static void
end_publish(struct end *end, enum bell bell)
{
	__atomic_store_n(&end->work, end->work + 1, __ATOMIC_RELEASE);
	end_signal(end, bell);
}

/** Wait for work, asleep, or awake with a look now and then at whether it has ended. */
static bool
end_wait(struct run *run, struct end *end, uint32_t *seen)
{
	while (__atomic_load_n(&end->work, __ATOMIC_ACQUIRE) == *seen) {
		if (__atomic_load_n(&run->ended, __ATOMIC_ACQUIRE) != 0)
			return false;
		if (run->sleeps)
			end_sleep(end, run->bell, *seen);
	}
	*seen = end->work;
	return true;
}

static void *
other_main(void *arg)
{
	struct run *run = arg;
	uint32_t seen = 0;
	cpu_set_t core;

	CPU_ZERO(&core);
	CPU_SET(run->core, &core);
	pthread_setaffinity_np(pthread_self(), sizeof(core), &core);
	while (end_wait(run, &run->there, &seen))
		end_publish(&run->back, run->bell);
	return NULL;
}

static double
nanoseconds(uint64_t cycles, uint64_t n)
{
	return (double)cycles / rte_get_tsc_hz() * 1e9 / n;
}

/** Half a round trip between two threads that sleep. */
static double
run_latency(struct run *run)
{
	uint64_t start = rte_rdtsc(), now, n = 0;
	uint32_t seen = 0;

	do {
		end_publish(&run->there, run->bell);
		end_wait(run, &run->back, &seen);
		n++;
		now = rte_rdtsc();
	} while (now - start < run->cycles);
	return nanoseconds(now - start, 2 * n);
}

/** What the signaller spends on waking a sleeper, which has had time to fall asleep. */
static double
run_signal_sleeper(struct run *run)
{
	uint64_t start = rte_rdtsc(), now, spent = 0, n = 0;
	uint32_t seen = 0;

	do {
		rte_delay_us_block(100);
		now = rte_rdtsc();
		end_publish(&run->there, run->bell);
		spent += rte_rdtsc() - now;
		n++;
		while (__atomic_load_n(&run->back.work, __ATOMIC_ACQUIRE) == seen)
			rte_pause();
		seen = run->back.work;
		now = rte_rdtsc();
	} while (now - start < run->cycles);
	return nanoseconds(spent, n);
}

/** From the signal to the answer of one who has slept for long, by one who is awake. */
static double
run_long_sleeper(struct run *run)
{
	double figures[LONG_SLEEPS];
	uint32_t i, seen = 0;
	uint64_t start;

	for (i = 0; i < LONG_SLEEPS; i++) {
		rte_delay_us_block(LONG_SLEEP_US);
		start = rte_rdtsc();
		end_publish(&run->there, run->bell);
		while (__atomic_load_n(&run->back.work, __ATOMIC_ACQUIRE) == seen)
			rte_pause();
		figures[i] = nanoseconds(rte_rdtsc() - start, 1);
		seen = run->back.work;
	}
	return bench_median(figures, LONG_SLEEPS);
}

/** What the signaller spends on a peer that is awake and takes each piece of work. */
static double
run_signal_awake(struct run *run)
{
	uint64_t start = rte_rdtsc(), now, n = 0;
	unsigned int i;

	do {
		for (i = 0; i < 64; i++)
			end_publish(&run->there, run->bell);
		n += 64;
		now = rte_rdtsc();
	} while (now - start < run->cycles);
	return nanoseconds(now - start, n);
}

/** The sleeper's own part when there turns out to be work; `there` is nobody's. */
static double
run_arm(struct run *run)
{
	uint64_t start, now, n = 0;

	if (run->bell != WAKE && run->bell != FENCED)
		return NAN;
	start = rte_rdtsc();
	do {
		weir_wake_arm(&run->there.wake);
		weir_wake_disarm(&run->there.wake);
		n++;
		now = rte_rdtsc();
	} while (now - start < run->cycles);
	return nanoseconds(now - start, n);
}

struct shape {
	double (*measure)(struct run *run);
	int core;    /* of the other thread; -1: none */
	bool sleeps; /* those who wait */
};

static double
shape_run(const struct bench_options *options, const struct shape *shape, enum bell bell)
{
	static struct run run;
	double figure = NAN;
	pthread_t other;

	run = (struct run){
		.bell = bell,
		.core = shape->core,
		.sleeps = shape->sleeps,
		.cycles = rte_get_tsc_hz() / 1000000 * options->slice_us,
	};
	if (end_open(&run.there, bell) != 0)
		return NAN;
	if (end_open(&run.back, bell) == 0) {
		if (shape->core < 0) {
			figure = shape->measure(&run);
		} else if (pthread_create(&other, NULL, other_main, &run) == 0) {
			figure = shape->measure(&run);
			__atomic_store_n(&run.ended, 1, __ATOMIC_RELEASE);
			end_publish(&run.there, bell);
			pthread_join(other, NULL);
		}
		end_close(&run.back, bell);
	}
	end_close(&run.there, bell);
	return figure;
}

static void
shape_measure(const struct bench_options *options, const struct bench_table *table,
	      const char *what, const struct shape *shape)
{
	double figures[N_BELLS][100], medians[N_BELLS];
	enum bell bell;
	uint32_t round;

	for (round = 0; bench_round(options, what, round); round++)
		for (bell = 0; bell < N_BELLS; bell++)
			figures[bell][round] = shape_run(options, shape, bell);
	for (bell = 0; bell < N_BELLS; bell++)
		medians[bell] = bench_median(figures[bell], round);
	bench_table_row(options, table, what, medians);
}

static int
wake_run(const struct bench_options *options)
{
	const struct bench_table table = {
		.mode = "wake",
		.title = "Wakes",
		.unit = "ns",
		.contenders = bell_names,
		.n_contenders = N_BELLS,
	};
	bool two = options->worker < RTE_MAX_LCORE;
	int here = rte_lcore_to_cpu_id(rte_lcore_id());
	int there = two ? rte_lcore_to_cpu_id(options->worker) : -1;

	bench_table_head(options, &table);
	shape_measure(options, &table, "signal, nobody there",
		      &(struct shape){run_signal_awake, -1, false});
	if (two) {
		shape_measure(options, &table, "signal, other core awake",
			      &(struct shape){run_signal_awake, there, false});
		shape_measure(options, &table, "signal, other core asleep",
			      &(struct shape){run_signal_sleeper, there, true});
		shape_measure(options, &table, "woken, other core",
			      &(struct shape){run_latency, there, true});
		shape_measure(options, &table, "answer of one asleep for 5 ms",
			      &(struct shape){run_long_sleeper, there, true});
	}
	shape_measure(options, &table, "woken, same core",
		      &(struct shape){run_latency, here, true});
	shape_measure(options, &table, "arm and disarm, alone",
		      &(struct shape){run_arm, -1, false});
	if (two)
		shape_measure(options, &table, "arm and disarm, other core awake",
			      &(struct shape){run_arm, there, false});
	return 0;
}

static const struct bench_mode wake_mode = {
	.name = "wake",
	.usage = "wake            wakes beside an eventfd and a pipe",
	.run = wake_run,
};

BENCH_MODE_REGISTER(wake_mode);
