/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The line of those who wait. Who frees serves the first ones itself, as far as there is
 * room, and wakes those it served and nobody else. What needs a new slab the first in
 * line makes itself: it is told to look.
 *
 * No wake-up is lost: standing in line, serving and leaving are all under the pool's
 * lock, and while someone stands there no free goes past it (cache.c).
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bufpool.h"

enum { WAITER_SLEEPS, WAITER_LOOKS, WAITER_SERVED };

/** How often who waits for memory that others hold looks again. */
#define TICK_US 1000

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t
wait_deadline(uint64_t timeout_us)
{
	const uint64_t now = now_us();

	return timeout_us > UINT64_MAX - now ? UINT64_MAX : now + timeout_us;
}

/** While *word is @p seen. */
static void
futex_wait(uint32_t *word, uint32_t seen, uint64_t until_us)
{
	struct timespec timeout, *ptimeout = NULL;
	uint64_t now = now_us(), us;

	if (until_us <= now)
		return;
	if (until_us != UINT64_MAX) {
		us = until_us - now;
		timeout.tv_sec = us / 1000000;
		timeout.tv_nsec = us % 1000000 * 1000;
		ptimeout = &timeout;
	}
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, ptimeout, NULL, 0);
}

static void
futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void
waiter_set(struct waiter *waiter, uint32_t word)
{
	__atomic_store_n(&waiter->word, word, __ATOMIC_RELEASE);
}

uint32_t
waiters_serve(struct weir_bufpool *pool, uint32_t **wake)
{
	struct waiter *first;
	uint32_t n = 0;

	while (n < SERVED_MAX && (first = TAILQ_FIRST(&pool->waiters)) != NULL) {
		if (first->growing || first->word == WAITER_LOOKS)
			break;
		if (pool->dying) {
			/* bufs stays NULL, which tells. */
			TAILQ_REMOVE(&pool->waiters, first, next);
			waiter_set(first, WAITER_SERVED);
		} else if (pool->carved_bytes + pool->growing_bytes + pool_bytes(pool, first->n) >
			   pool->limit_bytes) {
			break;
		} else {
			first->bufs = store_take(pool, first->n, false);
			if (first->bufs != NULL)
				TAILQ_REMOVE(&pool->waiters, first, next);
			waiter_set(first, first->bufs != NULL ? WAITER_SERVED : WAITER_LOOKS);
		}
		/* It may be gone as soon as the lock is; a futex that is not there is no harm. */
		wake[n++] = &first->word;
	}
	return n;
}

void
waiters_wake(uint32_t **wake, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		futex_wake(wake[i]);
}

void
waiters_serve_all(struct weir_bufpool *pool)
{
	uint32_t *wake[SERVED_MAX], n;

	do {
		weir_lock_take(&pool->lock);
		n = waiters_serve(pool, wake);
		weir_lock_give(&pool->lock);
		waiters_wake(wake, n);
	} while (n == SERVED_MAX);
}

/** One look of who may be first. The lock is held. @return -EAGAIN: sleep on */
static int
waiter_look(struct weir_bufpool *pool, struct waiter *waiter, bool *tick)
{
	int rc = -EAGAIN;

	*tick = false;
	waiter_set(waiter, WAITER_SLEEPS);
	if (pool->dying)
		return -ESHUTDOWN;
	if (TAILQ_FIRST(&pool->waiters) == waiter) {
		waiter->growing = true;
		rc = pool_take(pool, waiter->n, &waiter->bufs, tick);
		waiter->growing = false;
		/* Without memory what comes home of this pool is what there is to hope for. */
		if (rc == -ENOMEM && pool->carved_bytes > 0) {
			*tick = true;
			rc = -EAGAIN;
		}
	}
	return rc;
}

int
waiter_wait(struct weir_bufpool *pool, uint32_t n, bool tick, uint64_t deadline_us,
	    struct weir_bufs **bufs)
{
	struct waiter waiter = {.n = n};
	uint64_t until_us;
	uint32_t *wake[SERVED_MAX], n_served;
	int rc = -EAGAIN;

	pool->stats.waits++;
	pool->n_inside++;
	TAILQ_INSERT_TAIL(&pool->waiters, &waiter, next);
	while (rc == -EAGAIN) {
		weir_lock_give(&pool->lock);
		until_us = tick ? RTE_MIN(deadline_us, now_us() + TICK_US) : deadline_us;
		futex_wait(&waiter.word, WAITER_SLEEPS, until_us);
		weir_lock_take(&pool->lock);
		if (waiter.word == WAITER_SERVED)
			break;
		rc = waiter_look(pool, &waiter, &tick);
		if (rc == -EAGAIN && now_us() >= deadline_us)
			rc = -ETIMEDOUT;
	}
	if (waiter.word == WAITER_SERVED)
		rc = waiter.bufs != NULL ? 0 : -ESHUTDOWN;
	else
		TAILQ_REMOVE(&pool->waiters, &waiter, next);
	/* Who is first now may have room: in what this one leaves, or asking for less. */
	while ((n_served = waiters_serve(pool, wake)) > 0) {
		weir_lock_give(&pool->lock);
		waiters_wake(wake, n_served);
		weir_lock_take(&pool->lock);
	}
	pool_leave(pool);
	weir_lock_give(&pool->lock);
	*bufs = waiter.bufs;
	return rc;
}

int
wait_home(struct weir_bufpool *pool, uint64_t deadline_us)
{
	uint32_t seen;
	bool home;

	for (;;) {
		weir_lock_take(&pool->lock);
		seen = pool->home;
		home = pool->carved_bytes + pool->growing_bytes == 0 && pool->n_inside == 0;
		weir_lock_give(&pool->lock);
		if (home)
			return 0;
		if (now_us() >= deadline_us)
			return -ETIMEDOUT;
		futex_wait(&pool->home, seen, RTE_MIN(deadline_us, now_us() + 100 * TICK_US));
	}
}

void
wake_home(struct weir_bufpool *pool)
{
	__atomic_fetch_add(&pool->home, 1, __ATOMIC_RELEASE);
	futex_wake(&pool->home);
}
