/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SANITIZE_H
#define WEIR_SANITIZE_H

/**
 * What the thread sanitizer cannot see, because DPDK's libraries are not built with it:
 * that memory which one thread gives back to the heap and another then gets was handed
 * over under the heap's lock, and that a frame which one thread sends by a port and
 * another receives was handed over by the port's driver. Nothing in an ordinary build.
 */

#include <stdint.h>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define WEIR_SANITIZE_THREAD 1
#endif
#if __has_feature(address_sanitizer)
#define WEIR_SANITIZE 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define WEIR_SANITIZE_THREAD 1
#endif
/* Of either kind: all takes several times as long. */
#if defined(WEIR_SANITIZE_THREAD) || defined(__SANITIZE_ADDRESS__)
#define WEIR_SANITIZE 1
#endif

#ifdef WEIR_SANITIZE_THREAD

extern int weir_sanitize_heap;

/* The sanitizer's own; no header of either compiler has them. */
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);

/** Before memory is given back. */
static inline void
weir_sanitize_free(void)
{
	__atomic_fetch_add(&weir_sanitize_heap, 1, __ATOMIC_RELEASE);
}

/** After memory was got. */
static inline void
weir_sanitize_alloc(void)
{
	__atomic_fetch_add(&weir_sanitize_heap, 1, __ATOMIC_ACQUIRE);
}

/** Before frames are given to a driver. */
static inline void
weir_sanitize_send(void *const *frames, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		__tsan_release(frames[i]);
}

/** After frames were got from a driver. */
static inline void
weir_sanitize_receive(void *const *frames, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		__tsan_acquire(frames[i]);
}

#else

static inline void
weir_sanitize_free(void)
{
}

static inline void
weir_sanitize_alloc(void)
{
}

static inline void
weir_sanitize_send(void *const *frames, uint16_t n)
{
}

static inline void
weir_sanitize_receive(void *const *frames, uint16_t n)
{
}

#endif
#endif
