/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef POOL_H
#define POOL_H

/*
 * What the files of the driver share:
 *
 *   stack.c         the data path: per-lcore stacks, stealing
 *   depot.c         everyone's free objects, sorted by where their memory came from
 *   block.c         the same where neighbours are to be had in blocks
 *   slab.c          making objects beyond the populated ones, and freeing them
 *   heap.c, runs.c  what slabs are made of (weir_slab.h), shared with lib/bufpool
 *   keeper.c        the memory thread
 *   mempool_weir.c  the mempool library's view: ops, registration, telemetry
 *   vdev.c          configuration on EAL's command line
 *   order.c         the same drivers under the same numbers in secondary processes
 *   check.c         the debug option
 *
 * struct pool and what hangs from it live in DPDK's shared memory, because
 * secondary processes use the same pools.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_lcore.h>
#include <rte_mempool.h>

#include "weir_lock.h"
#include "weir_log.h"
#include "weir_mempool.h"
#include "weir_object.h"
#include "weir_slab.h"
#include "weir_turn.h"

WEIR_LOG_DECLARE(pool);

/** Pointers that fit in one lcore's stack: the largest usual bulk. */
#define STACK_SIZE 512u
/** However scarce objects are, an lcore may keep this many at hand. */
#define STACK_LIMIT_MIN 16u
/** Slabs of one pool; slabs are made larger where these would not do. */
#define SLABS_MAX 1024

/** The free objects that one lcore has at hand. See stack.c. */
struct stack {
	struct weir_turn turn;
	/* Of whoever is inside. */
	uint32_t len;
	uint32_t limit; /* objects it may hold */
	uint32_t calm;	/* flushes since something was stolen */
	void *objs[STACK_SIZE] __rte_cache_aligned;
} __rte_cache_aligned;

/** Objects in one piece of the heap. See slab.c. */
struct slab {
	uint32_t index;
	uint32_t n_objs;
	uint32_t n_free;     /* of them at home: the length of objs */
	uint32_t n_places;   /* at mem, of obj_bytes each; n_objs of them are used */
	uint64_t idle_since; /* TSC when the last one came home */
	char *mem;
	void *objs[];
};

/** Everyone's free objects. The lock guards all of it. See depot.c. */
struct depot {
	struct weir_lock lock;
	uint32_t n_free;     /* in base and slabs together */
	uint32_t n_base;     /* in base */
	uint32_t n_objs;     /* that exist, free or not */
	uint32_t n_promised; /* n_objs, and those being made */
	uint32_t n_slabs;
	uint32_t ahead_objs; /* the level under which the memory thread makes more */
	uint32_t slabs_end;  /* one past the highest index in use */
	uint64_t paid_bytes; /* reserved from the budget */
	void **base;	     /* free ones of the memory that the pool was populated with */
	struct slab *slabs[SLABS_MAX];
	uint64_t slabs_free[SLABS_MAX / 64]; /* has a free object */

	/* Counters. */
	uint64_t flushes;  /* a stack overflowed into the depot */
	uint64_t refills;  /* a stack was filled from it */
	uint64_t steals;   /* stacks were emptied by who found the depot empty */
	uint64_t refusals; /* nothing was left, not even by stealing or growing */
	uint64_t grown;	   /* slabs */
	uint64_t grown_in_datapath;
	uint64_t returned;
	uint64_t double_frees;
	uint64_t foreign;
};

/** What a pool asks of the memory thread. */
enum want {
	WANT_NOTHING,
	WANT_SOON,   /* less than should be is ahead, or there are slabs to look after */
	WANT_URGENT, /* less than half of it is */
};

struct pool {
	/* Constant once populated: the data path reads it. */
	int32_t stack_pid; /* the process whose lcores have stacks; 0: nobody's have */
	bool asymmetric;   /* see weir_turn.h */
	bool elastic;	   /* max_objs are more than it was populated with */
	bool check;	   /* catch double frees and foreign pointers */
	bool ready;	   /* elastic, and populated: it may grow */
	bool sized;	   /* populated by one of the library's own functions */
	bool populating;   /* objects that come are new */
	bool dying;	   /* the library takes it apart */
	bool orphan;	   /* and its memory stays, for objects that are out */
	struct stack *stacks[RTE_MAX_LCORE];

	struct rte_mempool *mp;
	uint32_t max_objs;    /* that the program asked for */
	uint32_t first_objs;  /* populated before it starts */
	uint32_t kept_objs;   /* paid from the start, never given back to the heap */
	uint32_t stack_limit; /* what a stack starts with and grows to */
	uint32_t obj_bytes;
	uint32_t slab_objs;
	uint32_t low_objs; /* ahead_objs while all is calm */
	uint64_t keep_cycles;
	char *base_start, *base_end; /* one chunk whose objects need no second look */
	uint32_t block;		     /* objects in a contiguous block; 1: anywhere */
	uint32_t n_spans;	     /* of a pool of blocks; see block.c */
	struct span **spans;	     /* by address */
	struct span *last_span;	     /* while it is populated */
	char *next_obj, *chunk_end;
	void *witness; /* see slab.c */
	struct weir_budget *budget;
	struct keeper_word *keeper; /* see keeper.c */

	/* Written by the data path when it runs low, and by the memory thread. */
	uint8_t want __rte_cache_aligned; /* enum want: what the memory thread was asked */
	struct weir_slab_source source;	  /* where slabs come from */
	struct weir_lock steal_lock;	  /* one thief at a time */
	struct depot depot __rte_cache_aligned;

	/* Of the process that created it. */
	struct weir_object object __rte_cache_aligned;
	bool shown; /* object is in its class */
	TAILQ_ENTRY(pool) next;
	uint64_t gather_at, gather_cycles;
	uint64_t grown_seen, calm_since;
};

/* stack.c */

int pool_get(struct rte_mempool *mp, void **objs, unsigned int n);
int pool_put(struct rte_mempool *mp, void *const *objs, unsigned int n);

/** Give the calling process's enabled lcores their stacks. 0 or -ENOMEM. */
int stacks_create(struct pool *pool);
void stacks_free(struct pool *pool);

/** Objects in all stacks; exact when nothing moves. */
uint32_t stacks_count(const struct pool *pool);

/** Empty all stacks into the depot. The caller is inside none of them. */
void stacks_gather(struct pool *pool, bool scarce);

/* depot.c: the lock is held */

void depot_put(struct pool *pool, void *const *objs, uint32_t n);
/** At most @p n objects. @return how many */
uint32_t depot_take(struct pool *pool, void **objs, uint32_t n);

/* block.c: the lock is held, where nothing else is said */

/** New objects, of the chunk that is being populated. @return How many have a place */
uint32_t block_new(struct pool *pool, void *const *objs, uint32_t n);
void block_put(struct pool *pool, void *const *objs, uint32_t n);
uint32_t block_take(struct pool *pool, void **objs, uint32_t n);
/** The first object of each of @p n blocks. The lock is not held. */
int pool_get_blocks(struct rte_mempool *mp, void **first_objs, unsigned int n);
void spans_free(struct pool *pool);

/* Read without the lock where a moment's number will do. */

static inline void
depot_set_free(struct depot *depot, uint32_t n)
{
	__atomic_store_n(&depot->n_free, n, __ATOMIC_RELAXED);
}

static inline void
depot_set_objs(struct depot *depot, uint32_t n)
{
	__atomic_store_n(&depot->n_objs, n, __ATOMIC_RELEASE);
}

static inline void
depot_set_promised(struct depot *depot, uint32_t n)
{
	__atomic_store_n(&depot->n_promised, n, __ATOMIC_RELEASE);
}

/* slab.c: the lock is not held */

/** Make a slab of objects, or fail: -ENOBUFS all there may be, -EAGAIN no budget, -ENOMEM. */
int slab_grow(struct pool *pool, bool in_datapath);
/** Give an idle slab that is not needed back to the heap. @return whether there was one */
bool slab_return(struct pool *pool, uint64_t now);
void slabs_free(struct pool *pool);
/** What the budget is paid for @p n_objs objects. */
uint64_t slab_price(const struct pool *pool, uint32_t n_objs);

/* check.c */

void check_new(struct pool *pool, void *const *objs, uint32_t n);
void check_get(struct pool *pool, void *const *objs, uint32_t n);
/** To the depot, those that are right. The lock is not held. */
void check_put(struct pool *pool, void *const *objs, uint32_t n);

/* mempool_weir.c */

/** New objects, from the library's populating. */
void populate_put(struct pool *pool, void *const *objs, uint32_t n);

/* keeper.c */

/** Put an elastic pool into the memory thread's care. 0 or negative errno with a sentence. */
int keeper_add(struct pool *pool);
void keeper_remove(struct pool *pool);
/** The pool runs low. Data path: a system call only when the memory thread sleeps. */
void keeper_wake(struct pool *pool, enum want want);

/* order.c */

/** Primary: leave the order of the mempool drivers in shared memory, once. */
void order_leave(void);
/** Secondary: put this process's drivers into that order, before it touches a pool. */
void order_follow(void);

/* vdev.c */

/** What a vdev says about a pool of @p n objects on @p numa_node. @return whether one does */
bool vdev_conf(int numa_node, uint32_t n, struct weir_mempool_conf *conf);
void vdev_register(void);

#endif
