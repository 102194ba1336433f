/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads by number: the index of their caches. A thread that ends leaves what it had
 * at hand to the pools, and its number to another.
 */
#include <pthread.h>

#include "bufpool.h"

__thread uint32_t thread_self;

/* Of the pools, and of who has which number. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, weir_bufpool) pools = TAILQ_HEAD_INITIALIZER(pools);
static bool taken[THREADS_MAX];
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
thread_end(void *arg)
{
	uint32_t number = (uint32_t)(uintptr_t)arg - 1;
	struct weir_bufpool *pool;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(pool, &pools, next)
		cache_leave(pool, number);
	taken[number] = false;
	pthread_mutex_unlock(&lock);
	/* Not to be asked for again: destructors of others may still free something. */
	thread_self = THREADS_MAX + 1;
}

static void
thread_init(void)
{
	pthread_key_create(&key, thread_end);
}

uint32_t
thread_number(void)
{
	uint32_t number;

	if (thread_self != 0)
		return thread_self - 1;
	pthread_once(&once, thread_init);
	pthread_mutex_lock(&lock);
	for (number = 0; number < THREADS_MAX && taken[number]; number++)
		;
	if (number < THREADS_MAX)
		taken[number] = true;
	pthread_mutex_unlock(&lock);
	if (number < THREADS_MAX)
		pthread_setspecific(key, (void *)(uintptr_t)(number + 1));
	thread_self = number + 1;
	return number;
}

void
thread_pool_add(struct weir_bufpool *pool)
{
	pthread_mutex_lock(&lock);
	TAILQ_INSERT_TAIL(&pools, pool, next);
	pthread_mutex_unlock(&lock);
}

void
thread_pool_remove(struct weir_bufpool *pool)
{
	pthread_mutex_lock(&lock);
	TAILQ_REMOVE(&pools, pool, next);
	pthread_mutex_unlock(&lock);
}
