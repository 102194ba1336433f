/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path: per-lcore stacks that others can steal from.
 *
 * Each lcore has a stack of free objects, last in, first out. Bulks go in and out of
 * it; when it is empty it is filled from the depot, and when it is full its older half
 * goes there, under the depot's lock. Threads without an lcore, and other processes
 * than the pool's, use the depot directly.
 *
 * Every object can be had from anywhere: who finds the depot empty empties the stacks
 * of the others into it. weir_turn.h tells how owner and thief meet.
 *
 * A stack that was stolen from is made shorter, so that where objects are scarce they
 * lie in the depot, which both sides can reach; it grows again while nobody steals.
 *
 * Order of the locks: steal_lock before a stack before the depot.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_malloc.h>

#include "pool.h"
#include "weir_sanitize.h"

/** Flushes without a theft after which a shortened stack may be longer. */
#define CALM_FLUSHES 64
/** Times that others may be faster in taking what was stolen for one call. */
#define THEFTS_MAX 8
/** Objects that are copied one by one, and not by memcpy. */
#define SHORT_MAX 32

/* 0 until first used, so that a fork before EAL starts does no harm. */
static int32_t self_pid;

static int32_t
stack_self(void)
{
	if (self_pid == 0)
		self_pid = getpid();
	return self_pid;
}

/** Short bulks are the rule, and a call to memcpy costs more than they do. */
static inline void
objs_copy(void **dst, void *const *src, uint32_t n)
{
	for (; n >= 4; n -= 4, dst += 4, src += 4)
		memcpy(dst, src, 4 * sizeof(*dst));
	if (n & 2) {
		memcpy(dst, src, 2 * sizeof(*dst));
		dst += 2;
		src += 2;
	}
	if (n & 1)
		*dst = *src;
}

/** @return False: a thief is at it, and stack_enter() waits for its end. */
static inline bool
stack_try_enter(const struct pool *pool, struct stack *stack)
{
	return weir_turn_try_enter(&stack->turn, pool->asymmetric);
}

static inline void
stack_enter(const struct pool *pool, struct stack *stack)
{
	weir_turn_enter(&stack->turn, pool->asymmetric);
}

static inline void
stack_leave(struct stack *stack)
{
	weir_turn_leave(&stack->turn);
}

/** The calling lcore's stack, or NULL: then the depot has to do. */
static inline struct stack *
stack_mine(const struct pool *pool)
{
	unsigned int lcore = rte_lcore_id();

	if (unlikely(lcore >= RTE_MAX_LCORE || pool->stack_pid != self_pid))
		return NULL;
	/* Acquire: of a stack that a thread before us, of the same lcore id, has made late. */
	return __atomic_load_n(&pool->stacks[lcore], __ATOMIC_ACQUIRE);
}

static inline void
stack_set_len(struct stack *stack, uint32_t len)
{
	/* Others look at it from outside, to see whether stealing is worth it. */
	__atomic_store_n(&stack->len, len, __ATOMIC_RELAXED);
}

static struct stack *
stack_create(struct pool *pool)
{
	struct stack *stack = rte_zmalloc_socket("weir_stack", sizeof(*stack), RTE_CACHE_LINE_SIZE,
						 pool->mp->socket_id);

	weir_sanitize_alloc();
	if (stack != NULL)
		stack->limit = pool->stack_limit;
	return stack;
}

int
stacks_create(struct pool *pool)
{
	unsigned int lcore;

	RTE_LCORE_FOREACH(lcore) {
		pool->stacks[lcore] = stack_create(pool);
		if (pool->stacks[lcore] == NULL)
			return -ENOMEM;
	}
	pool->stack_pid = stack_self();
	return 0;
}

void
stacks_free(struct pool *pool)
{
	unsigned int lcore;

	for (lcore = 0; lcore < RTE_MAX_LCORE; lcore++)
		rte_free(pool->stacks[lcore]);
}

uint32_t
stacks_count(const struct pool *pool)
{
	const struct stack *stack;
	unsigned int lcore;
	uint32_t sum = 0;

	for (lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		stack = __atomic_load_n(&pool->stacks[lcore], __ATOMIC_ACQUIRE);
		if (stack != NULL)
			sum += __atomic_load_n(&stack->len, __ATOMIC_RELAXED);
	}
	return sum;
}

/** Take everything of a stack whose owner has been asked to keep out. */
static void
stack_empty(struct pool *pool, struct stack *stack, bool scarce)
{
	uint32_t len;

	weir_turn_steal(&stack->turn);
	weir_lock_take(&pool->depot.lock);
	len = stack->len;
	stack_set_len(stack, 0);
	depot_put(pool, stack->objs, len);
	if (scarce && len > 0) {
		stack->limit = RTE_MAX(stack->limit / 2, STACK_LIMIT_MIN);
		stack->calm = 0;
	}
	weir_lock_give(&pool->depot.lock);
	weir_turn_end(&stack->turn);
}

void
stacks_gather(struct pool *pool, bool scarce)
{
	struct stack *stacks[RTE_MAX_LCORE];
	unsigned int lcore, n = 0, i;

	if (pool->asymmetric && !weir_turn_asymmetric())
		return; /* a secondary process that may not, in a sandbox of its own */
	weir_lock_take(&pool->steal_lock);
	for (lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		stacks[n] = __atomic_load_n(&pool->stacks[lcore], __ATOMIC_ACQUIRE);
		if (stacks[n] == NULL || __atomic_load_n(&stacks[n]->len, __ATOMIC_RELAXED) == 0)
			continue;
		weir_turn_ask(&stacks[n++]->turn);
	}
	if (n > 0)
		weir_turn_fence(pool->asymmetric);
	for (i = 0; i < n; i++)
		stack_empty(pool, stacks[i], scarce);
	if (scarce && n > 0) {
		weir_lock_take(&pool->depot.lock);
		pool->depot.steals++;
		weir_lock_give(&pool->depot.lock);
	}
	weir_lock_give(&pool->steal_lock);
}

/** All from the stack and the depot, if they have as many. Inside the stack, if any. */
static bool
get_from_depot(struct pool *pool, struct stack *stack, void **objs, uint32_t n)
{
	struct depot *depot = &pool->depot;
	uint32_t len = stack == NULL ? 0 : stack->len, more;
	enum want want = WANT_NOTHING;

	weir_lock_take(&depot->lock);
	if (len + depot->n_free < n) {
		weir_lock_give(&depot->lock);
		return false;
	}
	if (stack == NULL) {
		depot_take(pool, objs, n);
	} else {
		/* What is left at the top of the stack is hot. */
		more = RTE_MIN(len, n);
		objs_copy(objs, &stack->objs[len - more], more);
		len -= more;
		if (more < n)
			depot_take(pool, &objs[more], n - more);
		if (len == 0 && n <= stack->limit / 2) {
			more = RTE_MIN(stack->limit / 2, depot->n_free / 2);
			len = depot_take(pool, stack->objs, more);
		}
		stack_set_len(stack, len);
		depot->refills++;
	}
	if (depot->n_free < depot->ahead_objs && depot->n_promised < pool->max_objs)
		want = depot->n_free < depot->ahead_objs / 2 ? WANT_URGENT : WANT_SOON;
	weir_lock_give(&depot->lock);
	if (unlikely(want != WANT_NOTHING))
		keeper_wake(pool, want);
	return true;
}

/**
 * What is promised may be in the making just now, by the memory thread or another lcore:
 * a pool that is paid for it does not refuse it.
 *
 * @param made
 *   Objects there were when it was last looked at.
 * @return Whether there are others since.
 */
static bool
get_being_made(const struct pool *pool, uint32_t made)
{
	const struct depot *depot = &pool->depot;
	uint32_t spins = 0;

	while (__atomic_load_n(&depot->n_objs, __ATOMIC_ACQUIRE) == made) {
		if (__atomic_load_n(&depot->n_promised, __ATOMIC_ACQUIRE) <= made)
			return __atomic_load_n(&depot->n_objs, __ATOMIC_ACQUIRE) != made;
		weir_lock_relax(&spins);
	}
	return true;
}

/** Objects are elsewhere, or not yet made. The caller is inside no stack. */
static bool
get_more(struct pool *pool, uint32_t n, uint32_t *thefts)
{
	uint32_t made = __atomic_load_n(&pool->depot.n_objs, __ATOMIC_ACQUIRE);
	uint32_t n_depot = __atomic_load_n(&pool->depot.n_free, __ATOMIC_RELAXED);

	if (n_depot + stacks_count(pool) >= n && ++*thefts <= THEFTS_MAX) {
		stacks_gather(pool, true);
		return true;
	}
	return __atomic_load_n(&pool->ready, __ATOMIC_ACQUIRE) &&
	       (slab_grow(pool, true) == 0 || get_being_made(pool, made));
}

static __rte_noinline __rte_cold int
get_slow(struct pool *pool, struct stack *stack, void **objs, uint32_t n)
{
	uint32_t thefts = 0;
	bool done;

	for (;;) {
		done = get_from_depot(pool, stack, objs, n);
		if (stack != NULL)
			stack_leave(stack);
		if (done)
			return 0;
		if (!get_more(pool, n, &thefts))
			break;
		if (stack != NULL)
			stack_enter(pool, stack);
	}
	weir_lock_take(&pool->depot.lock);
	pool->depot.refusals++;
	weir_lock_give(&pool->depot.lock);
	return -ENOBUFS;
}

/** An lcore that registered after the pool was made gets its stack on first use. */
static struct stack *
stack_mine_late(struct pool *pool)
{
	unsigned int lcore = rte_lcore_id();

	if (lcore >= RTE_MAX_LCORE || pool->stack_pid == 0 || pool->stack_pid != stack_self() ||
	    pool->stacks[lcore] != NULL)
		return stack_mine(pool);
	__atomic_store_n(&pool->stacks[lcore], stack_create(pool), __ATOMIC_RELEASE);
	return pool->stacks[lcore];
}

static __rte_noinline __rte_cold int
get_unusual(struct pool *pool, void **objs, uint32_t n)
{
	struct stack *stack;
	int rc;

	if (pool->dying)
		return -ENOBUFS;
	stack = stack_mine_late(pool);
	if (stack != NULL)
		stack_enter(pool, stack);
	rc = get_slow(pool, stack, objs, n);
	if (rc == 0 && unlikely(pool->check))
		check_get(pool, objs, n);
	return rc;
}

/** The end of a call with a long bulk: here a call to memcpy pays. */
static __rte_noinline int
copy_and_leave(struct stack *stack, void **dst, void *const *src, uint32_t n)
{
	memcpy(dst, src, n * sizeof(*dst));
	stack_leave(stack);
	return 0;
}

int
pool_get(struct rte_mempool *mp, void **objs, unsigned int n)
{
	struct pool *pool = mp->pool_data;
	struct stack *stack = stack_mine(pool);
	uint32_t len;

	/* Calls in tail position only: a common get saves no register. */
	if (unlikely(stack == NULL || !stack_try_enter(pool, stack)))
		return get_unusual(pool, objs, n);
	len = stack->len;
	if (unlikely(len < n))
		return get_slow(pool, stack, objs, n);
	stack_set_len(stack, len - n);
	if (n > SHORT_MAX)
		return copy_and_leave(stack, objs, &stack->objs[len - n], n);
	objs_copy(objs, &stack->objs[len - n], n);
	stack_leave(stack);
	return 0;
}

/**
 * The older part of a stack to the depot, to make room; a bulk so long that it would
 * take the place of all goes there itself. Inside the stack, if any, and leaves it.
 */
static __rte_noinline __rte_cold int
put_slow(struct pool *pool, struct stack *stack, void *const *objs, uint32_t n)
{
	uint32_t len, rest;

	weir_lock_take(&pool->depot.lock);
	if (stack == NULL || n > stack->limit / 2) {
		depot_put(pool, objs, n);
	} else {
		len = stack->len;
		rest = RTE_MIN(len, stack->limit / 2 - n);
		stack_set_len(stack, rest);
		depot_put(pool, stack->objs, len - rest);
		memmove(stack->objs, &stack->objs[len - rest], rest * sizeof(*objs));
		objs_copy(&stack->objs[rest], objs, n);
		stack_set_len(stack, rest + n);
		pool->depot.flushes++;
		if (stack->limit < pool->stack_limit && ++stack->calm == CALM_FLUSHES) {
			stack->limit = RTE_MIN(stack->limit * 2, pool->stack_limit);
			stack->calm = 0;
		}
	}
	weir_lock_give(&pool->depot.lock);
	if (stack != NULL)
		stack_leave(stack);
	return 0;
}

static __rte_noinline __rte_cold int
put_unusual(struct pool *pool, void *const *objs, uint32_t n)
{
	struct stack *stack;

	if (pool->populating) {
		populate_put(pool, objs, n);
		return 0;
	}
	if (pool->check) {
		check_put(pool, objs, n);
		return 0;
	}
	stack = stack_mine_late(pool);
	if (stack != NULL)
		stack_enter(pool, stack);
	return put_slow(pool, stack, objs, n);
}

int
pool_put(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	struct pool *pool = mp->pool_data;
	struct stack *stack = stack_mine(pool);
	uint32_t len;

	if (unlikely(stack == NULL || !stack_try_enter(pool, stack)))
		return put_unusual(pool, objs, n);
	len = stack->len;
	if (unlikely(len + n > stack->limit))
		return put_slow(pool, stack, objs, n);
	stack_set_len(stack, len + n);
	if (n > SHORT_MAX)
		return copy_and_leave(stack, &stack->objs[len], objs, n);
	objs_copy(&stack->objs[len], objs, n);
	stack_leave(stack);
	return 0;
}
