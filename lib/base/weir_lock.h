/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_LOCK_H
#define WEIR_LOCK_H

/**
 * A spin lock of one locked instruction; rte_spinlock's unlock is a second one.
 *
 * Any thread of any process that sees the memory. For a few instructions at a time. Who
 * waits long gives the core away, because the holder may be a thread that shares it.
 */

#include <sched.h>
#include <stdint.h>

#include <rte_pause.h>

#define WEIR_LOCK_SPINS 256

/** Free when zeroed. */
struct weir_lock {
	uint32_t held;
};

/** One step of waiting for another thread; @p spins starts at 0. */
static inline void
weir_lock_relax(uint32_t *spins)
{
	if (++*spins % WEIR_LOCK_SPINS != 0)
		rte_pause();
	else
		sched_yield();
}

static inline void
weir_lock_take(struct weir_lock *lock)
{
	uint32_t spins = 0;

	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE) != 0)
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED) != 0)
			weir_lock_relax(&spins);
}

static inline void
weir_lock_give(struct weir_lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

#endif
