/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_WAKE_H
#define WEIR_WAKE_H

/**
 * Wake: "go and look", for a thread that may be asleep, in this process or another.
 *
 * An eventfd behind a word that counts who sleeps. While nobody does, a signal
 * is one load. The sleeper arms, looks once more, and sleeps:
 *
 *   producer                            consumer
 *     publish the work                    weir_wake_arm()
 *     weir_wake_signal()                  look: if there is work, weir_wake_disarm() and do it
 *                                         else weir_wake_wait(), or poll weir_wake_fd() and
 *                                         weir_wake_disarm(); then look again
 *
 * A signal that follows the work is never lost: either the look sees the work
 * or the descriptor becomes readable. Signals to one sleep are one system call
 * together. A wake may come without work; a sleeper looks and arms again.
 *
 * The word lives where the caller puts it, in shared memory for use between
 * processes; a struct weir_wake is one process's hold of it. Several threads may
 * sleep on one wake: a signal wakes all of them.
 *
 * tests/model/wake.pml checks the protocol exhaustively.
 *
 * @see seeds: NetworkFrameQueues, "wakes = go look at the queue now"
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_atomic.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>

/** The word is used by several processes. */
#define WEIR_WAKE_SHARED (1U << 0)
/**
 * The signaller pays for the ordering, with a full fence a signal, instead of
 * the sleeper with a membarrier() an arm: for a wake that is armed more often
 * than signalled. Chosen by itself where the kernel has no membarrier().
 */
#define WEIR_WAKE_FENCED (1U << 1)

/* What `state` is made of; the low bits count the armed sleepers. */
#define WEIR_WAKE_STATE_SIGNALLED (1U << 31) /* written, or about to be, and not drained */
#define WEIR_WAKE_STATE_CLOSED (1U << 30)    /* readable for ever */
#define WEIR_WAKE_STATE_FENCED (1U << 29)    /* keeps signals off the short way */
#define WEIR_WAKE_STATE_SLEEPERS (WEIR_WAKE_STATE_FENCED - 1)

/** What all its users share. */
struct weir_wake_word {
	/* Signallers read it always, write it when someone sleeps; sleepers write it. */
	uint32_t state;
	uint32_t flags;	   /* WEIR_WAKE_*, as settled at weir_wake_init() */
	uint64_t n_writes; /* signals that were a system call */
	uint64_t n_arms;
} __rte_cache_aligned;

/** One process's hold of a wake. Its users only read it. */
struct weir_wake {
	struct weir_wake_word *word;
	int fd;
};

/**
 * Make a wake of the memory @p word.
 *
 * Control threads.
 *
 * @param flags
 *   WEIR_WAKE_*.
 * @return
 *   0, or -errno of eventfd() with the reason in weir_error_text().
 */
int weir_wake_init(struct weir_wake *wake, struct weir_wake_word *word, unsigned int flags);

/**
 * Hold a wake that another process made with WEIR_WAKE_SHARED.
 *
 * @param fd
 *   Its descriptor, received over a unix socket (SCM_RIGHTS, as rte_mp does); on
 *   success the hold's, to be closed by weir_wake_fini(). Not pidfd_getfd():
 *   that asks for the right to trace the peer.
 * @return
 *   - 0
 *   - -ENOTSUP: the wake relies on membarrier() and this process is denied it
 */
int weir_wake_attach(struct weir_wake *wake, struct weir_wake_word *word, int fd);

/** Close this process's hold; nobody uses it any more. */
void weir_wake_fini(struct weir_wake *wake);

/** The rest of weir_wake_signal(), when the word is not plain zero. */
void weir_wake_signal_sleepers(const struct weir_wake *wake);

/**
 * Tell whoever sleeps to look. Any thread; never blocks.
 *
 * The work must be visible before the word is read, a store before a load,
 * which no processor keeps in order by itself. The fence for it is its partner's,
 * the membarrier() in weir_wake_arm(), which runs on this core too: here only
 * the compiler has to be held. (With WEIR_WAKE_FENCED the word is never zero and
 * the full fence is in weir_wake_signal_sleepers().) It matters: a full fence
 * waits for the stores in front of it, and those are to lines a consumer on
 * another core has just read.
 */
static inline void
weir_wake_signal(const struct weir_wake *wake)
{
	rte_compiler_barrier();
	if (likely(__atomic_load_n(&wake->word->state, __ATOMIC_RELAXED) == 0))
		return;
	weir_wake_signal_sleepers(wake);
}

/**
 * Announce a sleep: signals from here on reach the descriptor. Look after it.
 *
 * Costs a membarrier(), an interrupt to each core that runs a user of the wake,
 * unless WEIR_WAKE_FENCED. Who arms many wakes at once uses
 * weir_wake_arm_unordered() for each and weir_wake_order() after the last.
 */
void weir_wake_arm(const struct weir_wake *wake);

/** weir_wake_arm() without the ordering: weir_wake_order() must follow, then the look. */
void weir_wake_arm_unordered(const struct weir_wake *wake);

/** Order all wakes that this thread armed before what it looks at from here on. */
void weir_wake_order(void);

/**
 * Take back weir_wake_arm(), once for each. The last sleeper to do so drains a
 * signal: the descriptor is unreadable again.
 *
 * @return
 *   Whether there was a signal. Look in either case.
 */
bool weir_wake_disarm(const struct weir_wake *wake);

/**
 * Sleep until a signal, armed, and disarm.
 *
 * @param timeout_us
 *   At most this long; negative: no limit.
 * @return
 *   - 1: signalled, or closed
 *   - 0: timed out
 *   - -EINTR: a signal handler ran
 *   Disarmed in all cases.
 */
int weir_wake_wait(const struct weir_wake *wake, int64_t timeout_us);

/**
 * Signal for ever: the descriptor stays readable, every sleeper wakes, and
 * nobody sleeps on it again. For shutting down. Any thread, any number of times.
 */
void weir_wake_close(const struct weir_wake *wake);

/** Undo what users that died have left: only when nobody sleeps and nobody signals. */
void weir_wake_reset(const struct weir_wake *wake);

/** For poll and epoll, level-triggered, beside other descriptors; readable while armed only. */
static inline int
weir_wake_fd(const struct weir_wake *wake)
{
	return wake->fd;
}

#endif
