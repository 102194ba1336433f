/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LOCK_H
#define LOCK_H

/*
 * A spin lock of one locked instruction: rte_spinlock's unlock is a second one. Works
 * across processes. Who waits long gives the core away, because the holder may be a
 * thread that shares it.
 */

#include <sched.h>
#include <stdint.h>

#include <rte_pause.h>

#define LOCK_SPINS 256

struct lock {
	uint32_t held;
};

/** One step of waiting for another thread. */
static inline void
lock_relax(uint32_t *spins)
{
	if (++*spins % LOCK_SPINS != 0)
		rte_pause();
	else
		sched_yield();
}

static inline void
lock_take(struct lock *lock)
{
	uint32_t spins = 0;

	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE) != 0)
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED) != 0)
			lock_relax(&spins);
}

static inline void
lock_give(struct lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

#endif
