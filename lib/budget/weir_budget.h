/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_BUDGET_H
#define WEIR_BUDGET_H

/**
 * Budget: how many bytes one owner may hold.
 *
 * Budgets form a tree (the host, its guests, a guest's pools). A reserve counts in
 * its budget and in every ancestor, or nowhere: what one guest was promised,
 * another cannot take. A budget holds no memory, it only counts; whoever allocates
 * reserves first and releases after freeing.
 *
 * Any thread, EAL's or not, of the primary or a secondary process: budgets live in
 * DPDK's shared memory.
 *
 * @see seeds: BufPool, "Backpressure"
 */

#include <stdbool.h>
#include <stdint.h>

#define WEIR_BUDGET_UNLIMITED UINT64_MAX

/** Who may wait in line for one fair budget at a time. */
#define WEIR_BUDGET_LINE_MAX 256

struct weir_budget;
struct weir_budget_watch;

struct weir_budget_stats {
	uint64_t limit_bytes;
	uint64_t used_bytes;
	uint64_t peak_bytes; /* most that was ever used */
	uint64_t refusals;   /* tries of this budget that failed */
	uint64_t waits;	     /* reserves of this budget that had to wait */
};

/**
 * Create a budget.
 *
 * Control threads, after EAL has started.
 *
 * @param name
 *   Unique; shown as /weir/budget/info,NAME.
 * @param parent
 *   What is reserved here is reserved there too; NULL for a root. It outlives
 *   its children.
 * @param limit_bytes
 *   Or WEIR_BUDGET_UNLIMITED. May exceed the parent's: an overcommitted host is
 *   the configuration's choice.
 * @return
 *   NULL with rte_errno and weir_error_text(): EINVAL not a name, EEXIST the name
 *   is taken, ENOMEM.
 */
struct weir_budget *weir_budget_create(const char *name, struct weir_budget *parent,
				       uint64_t limit_bytes);

/**
 * Free a budget; accepts NULL.
 *
 * @return
 *   - 0: gone
 *   - -EBUSY: bytes are still reserved, or it has children; nothing changed, and
 *     weir_error_text() tells how many
 */
int weir_budget_free(struct weir_budget *budget);

/** By name, or NULL. */
struct weir_budget *weir_budget_find(const char *name);

/**
 * Reserve all of @p bytes, in this budget and every ancestor, or nothing.
 *
 * Any thread. Lock-free, never blocks, no system call; one atomic operation a
 * level when it succeeds.
 *
 * @param bytes
 *   At least 1.
 * @return
 *   - 0: reserved; give it back with weir_budget_release()
 *   - -EAGAIN: no room now; a later release may make room
 *   - -EMSGSIZE: more than the limit of this budget or an ancestor: can never fit
 *   - -ESHUTDOWN: the budget or an ancestor is shutting down
 */
int weir_budget_try_reserve(struct weir_budget *budget, uint64_t bytes);

/**
 * Likewise, but wait for room. No wake-up is lost; who waits first is not served first
 * unless the budget is fair.
 *
 * Any thread that may block. No system call when there is room at once.
 *
 * @return
 *   As weir_budget_try_reserve(), and never -EAGAIN but from a fair budget in whose
 *   line WEIR_BUDGET_LINE_MAX wait already.
 */
int weir_budget_reserve(struct weir_budget *budget, uint64_t bytes);

/**
 * Likewise, for at most @p timeout_us.
 *
 * @return
 *   As weir_budget_reserve(), or -ETIMEDOUT with nothing reserved.
 */
int weir_budget_reserve_timed(struct weir_budget *budget, uint64_t bytes, uint64_t timeout_us);

/**
 * Serve those who wait for this very budget in the order in which they came. While
 * someone is in line, a try fails, so that nobody is overtaken by who does not wait.
 *
 * Before the budget is used.
 */
void weir_budget_set_fair(struct weir_budget *budget, bool fair);

/** Give back bytes that were reserved from this budget, in any portions. Any thread. */
void weir_budget_release(struct weir_budget *budget, uint64_t bytes);

/**
 * Raise or lower the limit, while in use.
 *
 * A limit below what is used takes nothing away: it refuses until enough came home.
 */
void weir_budget_set_limit(struct weir_budget *budget, uint64_t limit_bytes);

/**
 * Refuse every further reserve of this budget and its descendants, and wake all who
 * wait for one with -ESHUTDOWN. For good. What is reserved is still released.
 */
void weir_budget_shutdown(struct weir_budget *budget);

/**
 * "There is room again", for an epoll loop.
 *
 *   while (weir_budget_try_reserve(budget, bytes) == -EAGAIN)
 *           if (weir_budget_watch_arm(watch, bytes))
 *                   sleep until weir_budget_watch_fd(watch) is readable; read it
 *
 * A watch hears of what is released in its own process.
 *
 * @return
 *   NULL with rte_errno and weir_error_text(). Free it before its budget.
 */
struct weir_budget_watch *weir_budget_watch_create(struct weir_budget *budget);
/** Accepts NULL. */
void weir_budget_watch_free(struct weir_budget_watch *watch);
/** An eventfd that does not block; the watch's own. */
int weir_budget_watch_fd(const struct weir_budget_watch *watch);
/**
 * Ask for one signal.
 *
 * @return
 *   Whether to sleep: the next release, limit or shutdown makes the descriptor
 *   readable. False when a try has a new answer already.
 */
bool weir_budget_watch_arm(struct weir_budget_watch *watch, uint64_t bytes);

uint64_t weir_budget_used_bytes(const struct weir_budget *budget);
uint64_t weir_budget_limit_bytes(const struct weir_budget *budget);
const char *weir_budget_name(const struct weir_budget *budget);

/** Counters, each read by itself: a moment's picture only when nothing moves. */
void weir_budget_stats(const struct weir_budget *budget, struct weir_budget_stats *stats);

#endif
