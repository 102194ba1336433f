/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SANITIZE_H
#define WEIR_SANITIZE_H

/**
 * What the thread sanitizer cannot see, because DPDK's libraries are not built with it:
 * that memory which one thread gives back to the heap and another then gets was handed
 * over under the heap's lock. Nothing in an ordinary build.
 */

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

#else

static inline void
weir_sanitize_free(void)
{
}

static inline void
weir_sanitize_alloc(void)
{
}

#endif
#endif
