/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FRAME_QUEUES_H
#define WEIR_FRAME_QUEUES_H

/**
 * Frame queues: the only way of frames between a guest's lcore and a host-side
 * thread, one pair of rings with three wakes.
 *
 *   queues    hand over the ownership of frames
 *   wakes     "go look at the queue now"
 *   shutdown  a flag that sticks, and wakes whoever sleeps
 *
 * A thread that has nothing to do sleeps so (the host side; the guest's likewise
 * with host_wake and the other way):
 *
 *   weir_wake_arm(&fq->guest_wake);
 *   if (weir_frame_queues_count(fq, WEIR_GUEST_TO_HOST) > 0 ||
 *       weir_frame_queues_is_shutting_down(fq))
 *           weir_wake_disarm(&fq->guest_wake);
 *   else
 *           weir_wake_wait(&fq->guest_wake, -1);
 *
 * @see seeds: NetworkFrameQueues
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "weir_frame_ring.h"
#include "weir_object.h"
#include "weir_wake.h"

enum weir_frame_way {
	WEIR_GUEST_TO_HOST,
	WEIR_HOST_TO_GUEST,
};

#define WEIR_FRAME_WAYS 2

/** Several threads at once push and pop on the guest's side; otherwise one does. */
#define WEIR_FRAME_QUEUES_MULTI_GUEST (1U << 0)
/** Likewise on the host side. */
#define WEIR_FRAME_QUEUES_MULTI_HOST (1U << 1)
/** The host side may be in another process. */
#define WEIR_FRAME_QUEUES_SHARED (1U << 2)
/** The pushing side pays for the order of its wakes: WEIR_WAKE_FENCED. */
#define WEIR_FRAME_QUEUES_FENCED (1U << 3)

/** Frames that one way may hold, at most. */
#define WEIR_FRAME_QUEUES_CAPACITY_MAX (1U << 20)

/** What all processes see, in DPDK memory; the rings of the two ways follow it. */
struct weir_frame_queues_shared {
	struct weir_wake_word guest_word, host_word, relay_word;
	/* Written when something out of the ordinary happens. */
	uint32_t shutting_down __rte_cache_aligned;
	/* Asleep, or about to be, until a pop. Fenced queues keep it above 0: signalling has
	   their fence, and so each of their pops wakes whoever sleeps on the other side. */
	uint32_t n_wanting_room[WEIR_FRAME_WAYS];
	uint32_t capacity;
	/* One thread a side; or else, several on one of them. */
	struct weir_frame_ring *ring[WEIR_FRAME_WAYS];
	struct rte_ring *multi[WEIR_FRAME_WAYS];
};

/** One process's hold of the queues; its members are set once, then only read. */
struct weir_frame_queues {
	/* What pushes and pops look at, on one line. */
	struct weir_frame_ring *ring[WEIR_FRAME_WAYS]; /* NULL: `multi` */
	struct weir_frame_queues_shared *shared;
	/** Rung when a guest's frame arrives: the host side sleeps on it. */
	struct weir_wake guest_wake;
	/** Rung when a host frame arrives: the guest's lcore sleeps on it. */
	struct weir_wake host_wake;
	/** For helpers of the host side, who ring it with weir_wake_signal(). */
	struct weir_wake relay_wake;

	/* Control; written by references that come and go. */
	bool is_owner __rte_cache_aligned; /* created them: frees them, and is their named object */
	uint32_t n_refs;
	struct weir_object object;
} __rte_cache_aligned;

/** What another process needs to hold the same queues. */
struct weir_frame_queues_export {
	struct weir_frame_queues_shared *shared;
	int fds[3]; /* of the wakes, to be sent with SCM_RIGHTS */
};

/**
 * Make a pair of empty queues.
 *
 * Control threads, after EAL has started.
 *
 * @param name
 *   Names it for weir_frame_queues_find() and in /weir/frame_queues/.
 * @param capacity
 *   Frames each way, exactly: 1 to WEIR_FRAME_QUEUES_CAPACITY_MAX.
 * @param flags
 *   WEIR_FRAME_QUEUES_*.
 * @param numa_node
 *   Of the memory, or SOCKET_ID_ANY.
 * @return
 *   The queues with one reference, the caller's; or NULL with rte_errno and
 *   weir_error_text(): EINVAL, EEXIST the name is taken, ENOMEM, or what
 *   eventfd() said.
 */
struct weir_frame_queues *weir_frame_queues_create(const char *name, uint32_t capacity,
						   unsigned int flags, int numa_node);

/** One more user. Any thread that has a reference. @return @p fq. */
struct weir_frame_queues *weir_frame_queues_ref(struct weir_frame_queues *fq);

/**
 * One user less; the last one frees the queues, and the frames left in them.
 * Any thread. Accepts NULL.
 */
void weir_frame_queues_unref(struct weir_frame_queues *fq);

/**
 * A reference to the queues of that name. Any thread.
 *
 * @return NULL with rte_errno ENOENT when there are none (any more).
 */
struct weir_frame_queues *weir_frame_queues_find(const char *name);

/** Describe queues made with WEIR_FRAME_QUEUES_SHARED. The descriptors stay theirs. */
void weir_frame_queues_export(const struct weir_frame_queues *fq,
			      struct weir_frame_queues_export *export);

/**
 * Hold queues of another process of the same EAL. Whose frames are whose when one
 * of the two dies is up to the users: see weir_frame_lease.h.
 *
 * @param export
 *   As the other process made it; the descriptors, received, pass to the hold.
 * @return
 *   A hold with one reference, or NULL with rte_errno and weir_error_text():
 *   ENOMEM, ENOTSUP of weir_wake_attach(). Then the descriptors are closed.
 */
struct weir_frame_queues *weir_frame_queues_import(const struct weir_frame_queues_export *export);

/**
 * Make the queues as new, without a look at what is in them. Only for the owner,
 * when nobody else uses them: after the process on the other side has died in the
 * middle of anything.
 */
void weir_frame_queues_reset(struct weir_frame_queues *fq);

/**
 * Say that it ends: from now on weir_frame_queues_is_shutting_down(), and nobody
 * sleeps on the three wakes any more. Frames still can be pushed and popped.
 * Any thread, any number of times.
 */
void weir_frame_queues_begin_shutdown(struct weir_frame_queues *fq);

static inline bool
weir_frame_queues_is_shutting_down(const struct weir_frame_queues *fq)
{
	return __atomic_load_n(&fq->shared->shutting_down, __ATOMIC_ACQUIRE) != 0;
}

/** The wake that the popping side of @p way sleeps on, and the pushing side of the other. */
static inline const struct weir_wake *
weir_frame_queues_wake(const struct weir_frame_queues *fq, enum weir_frame_way way)
{
	return way == WEIR_GUEST_TO_HOST ? &fq->guest_wake : &fq->host_wake;
}

static inline enum weir_frame_way
weir_frame_way_back(enum weir_frame_way way)
{
	return way == WEIR_GUEST_TO_HOST ? WEIR_HOST_TO_GUEST : WEIR_GUEST_TO_HOST;
}

/* For queues of several threads a side: what weir_frame_ring_*() is for one. */
uint32_t weir_frame_queues_push_multi(const struct weir_frame_queues *fq, enum weir_frame_way way,
				      struct rte_mbuf *const *frames, uint32_t n);
uint32_t weir_frame_queues_pop_multi(const struct weir_frame_queues *fq, enum weir_frame_way way,
				     struct rte_mbuf **frames, uint32_t n);
uint32_t weir_frame_queues_count_multi(const struct weir_frame_queues *fq, enum weir_frame_way way);

/**
 * Hand over frames, and wake whoever sleeps for them.
 *
 * The way's pushing side. Never blocks.
 *
 * @param frames
 *   None of them NULL.
 * @return
 *   Frames taken, a prefix; the rest stays the caller's. To sleep until there is
 *   room, see weir_frame_queues_want_room().
 */
static __rte_always_inline uint16_t
weir_frame_queues_push(const struct weir_frame_queues *fq, enum weir_frame_way way,
		       struct rte_mbuf *const *frames, uint16_t n)
{
	uint32_t taken = likely(fq->ring[way] != NULL)
				 ? weir_frame_ring_push(fq->ring[way], frames, n)
				 : weir_frame_queues_push_multi(fq, way, frames, n);

	if (taken > 0)
		weir_wake_signal(weir_frame_queues_wake(fq, way));
	return taken;
}

/**
 * Take frames over.
 *
 * The way's popping side. Never blocks.
 *
 * @return
 *   Frames set, which are the caller's from here on.
 */
static __rte_always_inline uint16_t
weir_frame_queues_pop(const struct weir_frame_queues *fq, enum weir_frame_way way,
		      struct rte_mbuf **frames, uint16_t n)
{
	uint32_t popped = likely(fq->ring[way] != NULL)
				  ? weir_frame_ring_pop(fq->ring[way], frames, n)
				  : weir_frame_queues_pop_multi(fq, way, frames, n);

	if (popped > 0) {
		/* After the pop, by the same fence as in weir_wake_signal(). */
		rte_compiler_barrier();
		if (unlikely(__atomic_load_n(&fq->shared->n_wanting_room[way], __ATOMIC_RELAXED) !=
			     0))
			weir_wake_signal(weir_frame_queues_wake(fq, weir_frame_way_back(way)));
	}
	return popped;
}

/**
 * Let pops of @p way ring the wake of its pushing side, until
 * weir_frame_queues_unwant_room(): around a sleep for room, before
 * weir_wake_arm(), with weir_frame_queues_room() as the look after it.
 */
static inline void
weir_frame_queues_want_room(const struct weir_frame_queues *fq, enum weir_frame_way way)
{
	__atomic_fetch_add(&fq->shared->n_wanting_room[way], 1, __ATOMIC_SEQ_CST);
}

/** Undo weir_frame_queues_want_room(). */
static inline void
weir_frame_queues_unwant_room(const struct weir_frame_queues *fq, enum weir_frame_way way)
{
	__atomic_fetch_sub(&fq->shared->n_wanting_room[way], 1, __ATOMIC_RELAXED);
}

/** Frames waiting. Any thread; exact for a side while the other is still. */
static inline uint32_t
weir_frame_queues_count(const struct weir_frame_queues *fq, enum weir_frame_way way)
{
	return likely(fq->ring[way] != NULL) ? weir_frame_ring_count(fq->ring[way])
					     : weir_frame_queues_count_multi(fq, way);
}

/** Frames each way holds, as asked at creation. */
static inline uint32_t
weir_frame_queues_capacity(const struct weir_frame_queues *fq)
{
	return fq->shared->capacity;
}

/** Frames that a push takes now, at least, on the way's pushing side. */
static inline uint32_t
weir_frame_queues_room(const struct weir_frame_queues *fq, enum weir_frame_way way)
{
	return weir_frame_queues_capacity(fq) - weir_frame_queues_count(fq, way);
}

#endif
