/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How an lcore sleeps.
 *
 * Theory of operation. Three kinds of others have work for it: guests, who kick when
 * they were asked to; endpoints, whose descriptors become readable; control threads,
 * who ring the wake of the mailbox. To sleep, the lcore
 *
 *   1. arms: announces itself at the wake, asks every guest to kick;
 *   2. fences: what it asked for is visible before it looks;
 *   3. looks once more, at every pair;
 *   4. has every endpoint arm, which looks for itself: behind the look at the pairs,
 *      because a queue that is polled takes itself for awake;
 *   5. waits in epoll, when there was nothing, in the mailbox neither;
 *   6. looks at the pairs that woke it, and disarms.
 *
 * Whoever brings work does the mirror: publishes it, fences, looks whether to tell.
 * So either the look sees the work, or its bringer sees the request (virtio 1.1,
 * 2.6.7.1 and 2.7.10 ask the guest for its fence; lib/wake has the other).
 *
 * Descriptors are watched edge-triggered and never read: a kick descriptor belongs to
 * the front-end, and reading what somebody else may have drained could block. An edge
 * from before the sleep ends the next one at once, for nothing, once.
 *
 * When to sleep adapts. A sleep that ended sooner than the time that was spent looking
 * before it was a mistake: look twice as long next time. A long one: half as long.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_atomic.h>
#include <rte_cycles.h>

#include "poller.h"
#include "weir_error.h"

/* What one epoll_wait() can tell of; more come with the next. */
#define EVENTS_MAX 32
/* How long not to look at a pair that cannot wake us. */
#define TIMED_MS 1
/* Which of a pair's descriptors an event tells of stands in the pointer's low bits. */
#define WAKE_MASK ((uintptr_t)RTE_CACHE_LINE_SIZE - 1)

int
sleep_watch(struct weir_poller *poller, struct weir_pair *pair, enum weir_pair_wake wake, int fd)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLET,
		.data.u64 = (uintptr_t)pair | wake,
	};

	return epoll_ctl(poller->sleep.epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void
sleep_unwatch(struct weir_poller *poller, int fd)
{
	epoll_ctl(poller->sleep.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/** Sleep no longer than @p sleep allows; in ms, -1 for ever, 0 not at all. */
static int
timeout_shorten(int timeout_ms, enum weir_pair_sleep sleep)
{
	switch (sleep) {
	case WEIR_PAIR_BUSY:
		return 0;
	case WEIR_PAIR_TIMED:
		return timeout_ms == 0 ? 0 : TIMED_MS;
	default:
		return timeout_ms;
	}
}

/** Ask every guest to kick; how long to sleep. */
static int
sleep_arm(struct weir_poller *poller, unsigned int *n_armed)
{
	int timeout_ms = -1;
	unsigned int i;

	weir_wake_arm_unordered(&poller->sleep.wake);
	for (i = 0; i < poller->n_pairs && timeout_ms != 0; i++)
		timeout_ms = timeout_shorten(timeout_ms, weir_pair_arm(poller->pairs[i]));
	*n_armed = i;
	return timeout_ms;
}

/** Likewise every endpoint. */
static int
sleep_arm_endpoints(struct weir_poller *poller, int timeout_ms)
{
	unsigned int i;

	for (i = 0; i < poller->n_pairs && timeout_ms != 0; i++)
		timeout_ms = timeout_shorten(timeout_ms, weir_pair_arm_endpoint(poller->pairs[i]));
	return timeout_ms;
}

static void
sleep_disarm(struct weir_poller *poller, unsigned int n_armed)
{
	unsigned int i;

	weir_wake_disarm(&poller->sleep.wake);
	for (i = 0; i < n_armed; i++)
		weir_pair_disarm(poller->pairs[i]);
}

/** Look after the pairs that @p events tell of; frames moved. */
static unsigned int
sleep_events(struct weir_poller *poller, const struct epoll_event *events, int n)
{
	unsigned int moved = 0, moved_here;
	int i;

	if (n == 0)
		weir_count(&poller->sleep.woken_by[POLLER_CAUSE_TIMER], 1);
	for (i = 0; i < n; i++) {
		struct weir_pair *pair = (void *)(uintptr_t)(events[i].data.u64 & ~WAKE_MASK);
		enum weir_pair_wake wake = events[i].data.u64 & WAKE_MASK;

		if (pair == NULL) {
			weir_count(&poller->sleep.woken_by[POLLER_CAUSE_CONTROL], 1);
			continue;
		}
		weir_count(&poller->sleep.woken_by[wake], 1);
		moved_here = weir_pair_poll(pair);
		weir_pair_woken(pair, wake, moved_here);
		moved += moved_here;
	}
	return moved;
}

/** Sleep once; frames moved before and after. */
static unsigned int
sleep_once(struct weir_poller *poller)
{
	struct poller_sleep *sleep = &poller->sleep;
	struct epoll_event events[EVENTS_MAX];
	unsigned int n_armed, moved = 0;
	int timeout_ms, n = -1;
	uint64_t then;

	timeout_ms = sleep_arm(poller, &n_armed);
	if (timeout_ms != 0) {
		weir_wake_order();
		rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
		moved = poller_poll_all(poller);
		if (moved == 0)
			timeout_ms = sleep_arm_endpoints(poller, timeout_ms);
		if (moved == 0 && timeout_ms != 0 &&
		    !atomic_load_explicit(&poller->asked, memory_order_relaxed) &&
		    !atomic_load_explicit(&poller->quit, memory_order_relaxed)) {
			then = rte_rdtsc();
			n = epoll_wait(sleep->epoll_fd, events, EVENTS_MAX, timeout_ms);
			then = rte_rdtsc() - then;
			weir_count(&sleep->sleeps, 1);
			weir_count(&sleep->sleep_cycles, then);
			sleep->idle_cycles = then < sleep->idle_cycles ? 2 * sleep->idle_cycles
								       : sleep->idle_cycles / 2;
			sleep->idle_cycles = RTE_MAX(sleep->idle_cycles, sleep->idle_cycles_min);
			sleep->idle_cycles = RTE_MIN(sleep->idle_cycles, sleep->idle_cycles_max);
		}
	}
	/* First what woke us: nobody waits for the lines of each guest that disarming writes. */
	if (n >= 0)
		moved += sleep_events(poller, events, n);
	sleep_disarm(poller, n_armed);
	return moved;
}

unsigned int
sleep_when_idle(struct weir_poller *poller, uint64_t now)
{
	struct poller_sleep *sleep = &poller->sleep;
	unsigned int moved;

	if (sleep->idle_cycles_max == 0 || now - sleep->idle_since < sleep->idle_cycles)
		return 0;
	moved = sleep_once(poller);
	sleep->idle_since = rte_rdtsc();
	return moved;
}

int
sleep_init(struct weir_poller *poller, uint32_t idle_us)
{
	struct poller_sleep *sleep = &poller->sleep;
	uint64_t cycles = (uint64_t)idle_us * rte_get_tsc_hz() / 1000000;
	struct epoll_event event = {.events = EPOLLIN}; /* no pair: the mailbox */
	int rc;

	rc = weir_wake_init(&sleep->wake, &sleep->word, 0);
	if (rc != 0)
		return rc;
	sleep->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sleep->epoll_fd < 0 ||
	    epoll_ctl(sleep->epoll_fd, EPOLL_CTL_ADD, weir_wake_fd(&sleep->wake), &event) != 0) {
		rc = weir_error(errno,
				"lcore %u cannot wait for events: raise the limit of open "
				"files (ulimit -n)",
				poller->target.lcore);
		sleep_fini(poller);
		return rc;
	}
	sleep->idle_cycles = cycles;
	sleep->idle_cycles_min = cycles / 4;
	sleep->idle_cycles_max = cycles * 8;
	sleep->idle_since = rte_rdtsc();
	return 0;
}

void
sleep_fini(struct weir_poller *poller)
{
	if (poller->sleep.epoll_fd >= 0)
		close(poller->sleep.epoll_fd);
	weir_wake_fini(&poller->sleep.wake);
}
