/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory thread: keeps elastic pools one slab ahead of need, and gives idle slabs
 * back to the heap, so that the data path does neither.
 *
 * One thread a process, for as long as it has elastic pools. It sleeps on a futex word
 * in shared memory that counts requests.
 *
 * Waking a thread takes a caller many microseconds where its processor sleeps as well, so
 * the data path does it seldom. While a pool grows the thread dozes: it looks by itself
 * every LOOK_US, and is woken only when half of what should be ahead is used up. Otherwise
 * it sleeps until a pool is low; while one has slabs that could be returned it looks after
 * them every TICK_MS.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "pool.h"
#include "weir_error.h"

#define TICK_MS 5
#define LOOK_US 200
/** A pool that has not grown for so long needs less to be ahead. */
#define CALM_MS 20
/** More urgent than what else shares its core, where that is allowed. */
#define NICE (-10)
/** The stacks are emptied to complete slabs no more often, and seldomer when in vain. */
#define GATHER_MS_MIN 10
#define GATHER_MS_MAX 1000

/** What wakers see: in shared memory, one for the process that created the pool. */
struct keeper_word {
	uint32_t requests;
	uint32_t rest; /* enum rest */
};

/** How deep the thread sleeps, or is about to: whoever asks less urgently lets it. */
enum rest {
	REST_NONE,
	REST_DOZE, /* until LOOK_US are over, or an urgent request */
	REST_SLEEP,
};

/* Of starting and stopping the thread; taken before the other. */
static pthread_mutex_t control = PTHREAD_MUTEX_INITIALIZER;
/* Of the list; the thread holds it while it works on pools. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, pool) pools = TAILQ_HEAD_INITIALIZER(pools);
static struct keeper_word *word;
static pthread_t thread;
static bool stop;

void
keeper_wake(struct pool *pool, enum want want)
{
	struct keeper_word *w = pool->keeper;
	enum rest deepest = want == WANT_URGENT ? REST_NONE : REST_DOZE;

	if (__atomic_load_n(&pool->want, __ATOMIC_RELAXED) >= want)
		return;
	__atomic_store_n(&pool->want, want, __ATOMIC_RELAXED);
	__atomic_fetch_add(&w->requests, 1, __ATOMIC_SEQ_CST);
	/* Pairs with keeper_sleep(): it says how it sleeps, then looks at requests. */
	if (__atomic_load_n(&w->rest, __ATOMIC_SEQ_CST) > deepest)
		syscall(SYS_futex, &w->requests, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/** @param look_us When to look again; 0: when asked. */
static void
keeper_sleep(uint32_t seen, uint32_t look_us)
{
	const struct timespec timeout = {.tv_nsec = look_us * 1000L};
	const enum rest rest = look_us == LOOK_US ? REST_DOZE : REST_SLEEP;

	__atomic_store_n(&word->rest, rest, __ATOMIC_SEQ_CST);
	/* The kernel compares once more: a request that came in between does not wait. */
	syscall(SYS_futex, &word->requests, FUTEX_WAIT, seen, look_us > 0 ? &timeout : NULL, NULL,
		0);
	__atomic_store_n(&word->rest, REST_NONE, __ATOMIC_SEQ_CST);
}

static uint64_t
ms_cycles(uint64_t ms)
{
	return rte_get_tsc_hz() / 1000 * ms;
}

/** Whether the depot runs low and may be filled. */
static bool
pool_is_low(struct pool *pool)
{
	bool low;

	weir_lock_take(&pool->depot.lock);
	low = pool->depot.n_free < pool->depot.ahead_objs &&
	      pool->depot.n_promised < pool->max_objs;
	weir_lock_give(&pool->depot.lock);
	return low;
}

/**
 * The last objects of an idle slab may lie in the stacks of lcores that have nothing
 * to do: bring them together, when there is enough for a slab to become idle.
 */
static bool
pool_gather(struct pool *pool, uint64_t now)
{
	struct depot *depot = &pool->depot;
	uint32_t n_stacks = stacks_count(pool);
	bool worth;

	if (now < pool->gather_at || n_stacks == 0)
		return false;
	weir_lock_take(&depot->lock);
	worth = depot->n_free + n_stacks >= depot->ahead_objs + pool->low_objs + pool->slab_objs;
	weir_lock_give(&depot->lock);
	if (worth)
		stacks_gather(pool, false);
	pool->gather_cycles = RTE_MIN(pool->gather_cycles * 2, ms_cycles(GATHER_MS_MAX));
	pool->gather_at = now + pool->gather_cycles;
	return worth;
}

/** Where the data path was slowed down the thread works further ahead, until it is calm. */
static void
pool_calm(struct pool *pool, uint64_t now)
{
	struct depot *depot = &pool->depot;

	weir_lock_take(&depot->lock);
	if (depot->grown != pool->grown_seen) {
		pool->grown_seen = depot->grown;
		pool->calm_since = now;
	} else if (now - pool->calm_since > ms_cycles(CALM_MS) &&
		   depot->ahead_objs > pool->low_objs) {
		depot->ahead_objs = RTE_MAX(depot->ahead_objs / 2, pool->low_objs);
		pool->calm_since = now;
	}
	weir_lock_give(&depot->lock);
}

/** One look after a pool. @return when it needs another one, in us; 0: when it asks */
static uint32_t
pool_keep(struct pool *pool)
{
	uint64_t now = rte_rdtsc();
	bool returned = false;

	__atomic_store_n(&pool->want, WANT_NOTHING, __ATOMIC_RELAXED);
	while (pool_is_low(pool)) {
		if (slab_grow(pool, false) != 0) {
			/* No use in being asked again before the next tick. */
			__atomic_store_n(&pool->want, WANT_URGENT, __ATOMIC_RELAXED);
			return TICK_MS * 1000;
		}
		pool->gather_cycles = ms_cycles(GATHER_MS_MIN);
	}
	pool_calm(pool, now);
	if (__atomic_load_n(&pool->depot.n_objs, __ATOMIC_RELAXED) <= pool->kept_objs)
		return 0;
	do {
		while (slab_return(pool, now))
			returned = true;
	} while (!returned && pool_gather(pool, now) && slab_return(pool, now));
	if (returned)
		pool->gather_cycles = ms_cycles(GATHER_MS_MIN);
	return now - pool->calm_since < ms_cycles(CALM_MS) ? LOOK_US : TICK_MS * 1000;
}

static void *
keeper_main(void *arg)
{
	struct pool *pool;
	uint32_t seen, look_us, us;

	(void)setpriority(PRIO_PROCESS, syscall(SYS_gettid), NICE);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		seen = __atomic_load_n(&word->requests, __ATOMIC_SEQ_CST);
		look_us = 0;
		pthread_mutex_lock(&lock);
		TAILQ_FOREACH(pool, &pools, next) {
			if (!__atomic_load_n(&pool->ready, __ATOMIC_ACQUIRE))
				continue;
			us = pool_keep(pool);
			if (us > 0)
				look_us = look_us > 0 ? RTE_MIN(look_us, us) : us;
		}
		pthread_mutex_unlock(&lock);
		if (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
			keeper_sleep(seen, look_us);
	}
	return arg;
}

static int
keeper_start(void)
{
	int rc;

	word = rte_zmalloc("weir_keeper", sizeof(*word), RTE_CACHE_LINE_SIZE);
	if (word == NULL)
		return weir_error(ENOMEM, "no memory for the memory thread");
	stop = false;
	rc = rte_ctrl_thread_create(&thread, "weir-memory", NULL, keeper_main, NULL);
	if (rc != 0) {
		rte_free(word);
		word = NULL;
		return weir_error(-rc, "cannot start the memory thread: %s", strerror(-rc));
	}
	return 0;
}

static void
keeper_stop(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	__atomic_fetch_add(&word->requests, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &word->requests, FUTEX_WAKE, 1, NULL, NULL, 0);
	pthread_join(thread, NULL);
	rte_free(word);
	word = NULL;
}

int
keeper_add(struct pool *pool)
{
	int rc = 0;

	pool->gather_cycles = ms_cycles(GATHER_MS_MIN);
	pthread_mutex_lock(&control);
	if (word == NULL)
		rc = keeper_start();
	if (rc == 0) {
		pthread_mutex_lock(&lock);
		pool->keeper = word;
		TAILQ_INSERT_TAIL(&pools, pool, next);
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_unlock(&control);
	return rc;
}

void
keeper_remove(struct pool *pool)
{
	if (pool->keeper == NULL)
		return;
	pthread_mutex_lock(&control);
	pthread_mutex_lock(&lock);
	TAILQ_REMOVE(&pools, pool, next);
	pthread_mutex_unlock(&lock);
	pool->keeper = NULL;
	if (TAILQ_EMPTY(&pools))
		keeper_stop();
	pthread_mutex_unlock(&control);
}
