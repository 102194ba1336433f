/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BUFPOOL_H
#define BUFPOOL_H

/*
 * What the files of the room share:
 *
 *   store.c    runs of buffers in slabs, and the descriptions of allocations
 *   cache.c    what threads keep at hand
 *   thread.c   threads by number, and what they leave behind
 *   wait.c     the line of those who wait
 *   bufpool.c  a pool's life; allocate and free
 *
 * Order of the locks: steal_lock, a cache's turn, lock.
 */

#include <sys/queue.h>

#include "weir_bufpool.h"
#include "weir_lock.h"
#include "weir_object.h"
#include "weir_slab.h"
#include "weir_turn.h"

/** Threads that have a cache, at a time. */
#define THREADS_MAX 256u
/** A length up to here has a bin of its own; longer ones share, one length at a time. */
#define BINS_OWN 16u
#define BINS_SHARED 16u
#define BINS (BINS_OWN + BINS_SHARED)
/** Allocations in a bin of the depot, and in one of a thread. */
#define BIN_SIZE 64u
#define THREAD_BIN_SIZE 32u

/** Free allocations of one length. */
struct bin {
	uint32_t length;
	uint32_t n;
	uint32_t max; /* that may be in it */
	struct weir_bufs *bufs[BIN_SIZE];
};

/** What one thread keeps at hand. See cache.c. */
struct cache {
	struct weir_turn turn;
	uint64_t bytes;
	struct bin bins[BINS];
} __rte_cache_aligned;

struct slab {
	TAILQ_ENTRY(slab) next;
	char *mem;
	bool shared; /* short allocations may go there */
	struct weir_runs runs;
	uint64_t bits[];
};

TAILQ_HEAD(slab_list, slab);

/** Who waits, on its own stack. See wait.c. */
struct waiter {
	TAILQ_ENTRY(waiter) next;
	uint32_t n;
	uint32_t word; /* futex: WAITER_* */
	bool growing;  /* it is at work itself, with the lock not held */
	struct weir_bufs *bufs;
};

struct weir_bufpool {
	/* Constant but for caches, which come and stay. */
	struct weir_object object;
	TAILQ_ENTRY(weir_bufpool) next;
	uint32_t buffer_bytes;
	uint32_t align;
	uint32_t slab_units;
	bool asymmetric; /* see weir_turn.h */
	uint64_t limit_bytes;
	uint64_t cache_bytes; /* most that one thread, or the depot, keeps; and idle slabs */
	int numa_node;
	struct weir_budget *budget;
	struct weir_slab_source source;
	struct cache *caches[THREADS_MAX];

	/** All goes through the lock: caches and depot are empty, or are being emptied. */
	uint32_t closed __rte_cache_aligned;

	struct weir_lock steal_lock __rte_cache_aligned; /* one thief at a time */
	struct weir_lock lock;				 /* of all that follows */
	uint32_t calm;					 /* since there was too little room */
	bool dying;
	uint32_t n_inside;	/* threads that will use the pool though nothing of theirs is out */
	uint32_t home;		/* futex: changes when a dying pool may have all at home */
	uint64_t carved_bytes;	/* out, or at hand of threads or in the depot */
	uint64_t growing_bytes; /* of them not yet there */
	uint64_t depot_bytes;
	uint64_t idle_bytes;
	struct slab_list slabs;
	struct weir_bufs *spare; /* descriptions of no allocation */
	struct chunk *chunks;	 /* all descriptions */
	TAILQ_HEAD(, waiter) waiters;
	struct weir_bufpool_stats stats; /* those that are counted here */
	struct bin depot[BINS];
};

/** Descriptions are made by so many. */
#define CHUNK_SIZE 63

struct chunk {
	struct chunk *next;
	struct weir_bufs bufs[CHUNK_SIZE];
};

static inline uint64_t
pool_bytes(const struct weir_bufpool *pool, uint32_t n)
{
	return (uint64_t)n * pool->buffer_bytes;
}

static inline bool
pool_is_closed(const struct weir_bufpool *pool)
{
	return __atomic_load_n(&pool->closed, __ATOMIC_RELAXED) != 0;
}

/* store.c: the lock is held where nothing else is said */

/** A run of @p n buffers that slabs have, @p anywhere or where such runs should be; or NULL. */
struct weir_bufs *store_take(struct weir_bufpool *pool, uint32_t n, bool anywhere);
void store_give(struct weir_bufpool *pool, struct weir_bufs *bufs);
/** Idle slabs, to be returned once nothing is locked: all of them, or the surplus. */
void store_idle(struct weir_bufpool *pool, bool all, struct slab_list *idle);
/** The lock is not held. */
void store_return(struct weir_bufpool *pool, struct slab_list *idle);
/** A run from a new slab; the lock is not held. 0 with *bufs, or negative errno. */
int store_grow(struct weir_bufpool *pool, uint32_t n, struct weir_bufs **bufs);
void store_free(struct weir_bufpool *pool);

/* cache.c: no lock is held */

/** From what the thread has at hand, or the depot; or NULL. */
struct weir_bufs *cache_get_slow(struct weir_bufpool *pool, uint32_t n);
/** Put it there. @return false: it is the store's */
bool cache_put_slow(struct weir_bufpool *pool, struct weir_bufs *bufs);
/** Take everything from all threads and the depot, and keep it so. */
void caches_close(struct weir_bufpool *pool);
/** The lock is held. Open them again, when there has been room for long enough. */
void caches_calm(struct weir_bufpool *pool);
void caches_free(struct weir_bufpool *pool);
/** What a thread that is gone had at hand. */
void cache_leave(struct weir_bufpool *pool, uint32_t thread);
uint64_t caches_bytes(const struct weir_bufpool *pool);

/* thread.c */

/** The calling thread's number, or THREADS_MAX. Kept in thread_self. */
uint32_t thread_number(void);
void thread_pool_add(struct weir_bufpool *pool);
void thread_pool_remove(struct weir_bufpool *pool);

/** The number plus one; 0: not yet asked for. */
extern __thread uint32_t thread_self;

/* wait.c */

/** Served at most so many at once, so that they are woken without a lock. */
#define SERVED_MAX 16

/**
 * Give what there is to those who are first in line. The lock is held.
 *
 * @param wake
 *   SERVED_MAX futexes, to be woken with waiters_wake() once it is not held.
 * @return How many.
 */
uint32_t waiters_serve(struct weir_bufpool *pool, uint32_t **wake);
void waiters_wake(uint32_t **wake, uint32_t n);
/** The lock is not held. */
void waiters_serve_all(struct weir_bufpool *pool);

/** Stand in line. The lock is held, and is not on return. 0 with *bufs, or negative errno. */
int waiter_wait(struct weir_bufpool *pool, uint32_t n, bool tick, uint64_t deadline_us,
		struct weir_bufs **bufs);
/** When a wait of @p timeout_us that begins now ends. */
uint64_t wait_deadline(uint64_t timeout_us);
/** Wait until all of a dying pool is at home. @return -ETIMEDOUT, or 0 */
int wait_home(struct weir_bufpool *pool, uint64_t deadline_us);
/** Of a dying pool; the lock is held: something came home. */
void wake_home(struct weir_bufpool *pool);

/** One of n_inside less; the lock is held, and giving it is the last that is done. */
static inline void
pool_leave(struct weir_bufpool *pool)
{
	pool->n_inside--;
	if (pool->dying)
		wake_home(pool);
}

/* bufpool.c */

/**
 * A run for who is first in line; the lock is held, and released meanwhile if that
 * needs memory. 0 with *bufs; -EAGAIN too little room, with *memory set when it is not
 * the limit that lacks; other negative errno.
 */
int pool_take(struct weir_bufpool *pool, uint32_t n, struct weir_bufs **bufs, bool *memory);

#endif
