/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time of day from the time stamp counter.
 *
 * The counter's rate, as EAL knows it, is rounded: hours of it would be seconds off. So
 * a point in time is taken now and then, and the rate measured between two of them;
 * readers multiply from the last one on. They run on lcores: no call reaches the kernel,
 * and none waits for the thread that takes the time, which may not run. Hence two
 * slots: it writes the one that is not read.
 */
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include <rte_cycles.h>

#include "capture.h"

#define NS 1000000000ULL
#define RATE_SHIFT 32
/* How long the rate is measured, at best; and at least, to be better than EAL's. */
#define RATE_LONG_NS NS
#define RATE_SHORT_NS (NS / 100)
/* Looks, of which the one that was interrupted least counts. */
#define LOOKS 5

struct instant {
	uint64_t tsc;
	uint64_t ns;	    /* of day: may be set */
	uint64_t ns_steady; /* only ever slewed: what the rate is measured by */
};

static struct {
	pthread_mutex_t lock; /* of those who take the time */
	struct instant from;  /* the rate is measured from here */
	uint64_t rate;	      /* nanoseconds a tick, shifted */

	/* Written under the lock, read without. */
	uint32_t turn; /* its lowest bit tells which slot is read */
	struct {
		uint64_t tsc, ns, rate;
	} slots[2];
} capture_time = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t
time_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS + ts.tv_nsec;
}

static struct instant
time_look(void)
{
	struct instant best = {0}, now;
	uint64_t shortest = UINT64_MAX, start, end;
	unsigned int i;

	for (i = 0; i < LOOKS; i++) {
		start = rte_rdtsc();
		now.ns = time_read(CLOCK_REALTIME);
		now.ns_steady = time_read(CLOCK_MONOTONIC);
		end = rte_rdtsc();
		now.tsc = start + (end - start) / 2;
		if (end - start < shortest) {
			shortest = end - start;
			best = now;
		}
	}
	return best;
}

RTE_INIT(capture_time_start)
{
	capture_time.from = time_look();
}

void
capture_clock_sync(void)
{
	uint32_t turn;
	struct instant now;
	uint64_t ns;

	pthread_mutex_lock(&capture_time.lock);
	now = time_look();
	ns = now.ns_steady - capture_time.from.ns_steady;
	if (ns >= RATE_SHORT_NS)
		capture_time.rate =
			((__uint128_t)ns << RATE_SHIFT) / (now.tsc - capture_time.from.tsc);
	else if (capture_time.rate == 0)
		capture_time.rate = ((__uint128_t)NS << RATE_SHIFT) / rte_get_tsc_hz();
	if (ns >= RATE_LONG_NS)
		capture_time.from = now;
	turn = capture_time.turn + 1;
	/* Release, each: not before the turn that took this slot from the readers. */
	__atomic_store_n(&capture_time.slots[turn % 2].tsc, now.tsc, __ATOMIC_RELEASE);
	__atomic_store_n(&capture_time.slots[turn % 2].ns, now.ns, __ATOMIC_RELEASE);
	__atomic_store_n(&capture_time.slots[turn % 2].rate, capture_time.rate, __ATOMIC_RELEASE);
	__atomic_store_n(&capture_time.turn, turn, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&capture_time.lock);
}

uint64_t
weir_capture_now(void)
{
	uint64_t tsc, ns, rate;
	uint32_t turn;

	/* Acquire, each: the second look at the turn comes last. */
	do {
		turn = __atomic_load_n(&capture_time.turn, __ATOMIC_ACQUIRE);
		tsc = __atomic_load_n(&capture_time.slots[turn % 2].tsc, __ATOMIC_ACQUIRE);
		ns = __atomic_load_n(&capture_time.slots[turn % 2].ns, __ATOMIC_ACQUIRE);
		rate = __atomic_load_n(&capture_time.slots[turn % 2].rate, __ATOMIC_ACQUIRE);
	} while (unlikely(turn != __atomic_load_n(&capture_time.turn, __ATOMIC_RELAXED)));
	return ns + (uint64_t)(((__int128_t)(int64_t)(rte_rdtsc() - tsc) * rate) >> RATE_SHIFT);
}
