/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TURN_H
#define WEIR_TURN_H

/**
 * A thread's own data that others can, now and then, take from: one owner, who comes
 * all the time, and thieves, who are rare and keep each other out by a lock of theirs.
 *
 * So that the owner need not pay for the rare moment with a locked instruction in each
 * call, owner and thief meet as in Dekker's algorithm, with all of the ordering on the
 * thief's side:
 *
 *     owner                                thief
 *     busy = 1                             thief = 1
 *     (the compiler keeps the order)       membarrier: all owners' stores are seen,
 *     thief? then busy = 0, wait             and their later loads see ours
 *     ... use the data ...                 while (busy) wait
 *     busy = 0 (release)                   ... use the data ...
 *                                          thief = 0 (release)
 *
 * At least one of them sees the other's flag. Where membarrier(2) cannot be had, and
 * under the thread sanitizer, which does not know it, the owner's store is a locked
 * exchange instead.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

/** Free when zeroed. */
struct weir_turn {
	uint32_t busy;	/* the owner is inside */
	uint32_t thief; /* thieves write it: keep out */
};

/**
 * Whether owners can do without a locked instruction in this process. All who meet at
 * one turn go by the same answer.
 */
bool weir_turn_asymmetric(void);

/** The owner's wait for a thief to be gone. Outside. */
void weir_turn_wait_for_thief(struct weir_turn *turn);

/**
 * The owner, and nobody else, comes in.
 *
 * @return False: a thief is at it, and weir_turn_enter() waits for its end.
 */
static inline bool
weir_turn_try_enter(struct weir_turn *turn, bool asymmetric)
{
	if (likely(asymmetric)) {
		__atomic_store_n(&turn->busy, 1, __ATOMIC_RELAXED);
		/* Partner: the membarrier in weir_turn_fence(). */
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	} else {
		__atomic_exchange_n(&turn->busy, 1, __ATOMIC_SEQ_CST);
	}
	return likely(__atomic_load_n(&turn->thief, __ATOMIC_SEQ_CST) == 0);
}

static inline void
weir_turn_enter(struct weir_turn *turn, bool asymmetric)
{
	while (!weir_turn_try_enter(turn, asymmetric))
		weir_turn_wait_for_thief(turn);
}

static inline void
weir_turn_leave(struct weir_turn *turn)
{
	__atomic_store_n(&turn->busy, 0, __ATOMIC_RELEASE);
}

/** A thief: ask the owner to keep out. For all turns first, then one fence. */
static inline void
weir_turn_ask(struct weir_turn *turn)
{
	__atomic_store_n(&turn->thief, 1, __ATOMIC_SEQ_CST);
}

/** A thief: let every owner see what was asked. A system call when @p asymmetric. */
void weir_turn_fence(bool asymmetric);

/** A thief, after the fence: wait for the owner to be outside. */
void weir_turn_steal(const struct weir_turn *turn);

/** A thief: the owner may come again. */
static inline void
weir_turn_end(struct weir_turn *turn)
{
	__atomic_store_n(&turn->thief, 0, __ATOMIC_RELEASE);
}

#endif
