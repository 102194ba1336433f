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

#include <stdint.h>

#define WEIR_BUDGET_UNLIMITED UINT64_MAX

struct weir_budget;

struct weir_budget_stats {
	uint64_t limit_bytes;
	uint64_t used_bytes;
	uint64_t peak_bytes; /* most that was ever used */
	uint64_t refusals;   /* reserves of this budget that did not succeed at once */
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
 */
int weir_budget_try_reserve(struct weir_budget *budget, uint64_t bytes);

/** Give back bytes that were reserved from this budget, in any portions. Any thread. */
void weir_budget_release(struct weir_budget *budget, uint64_t bytes);

/**
 * Raise or lower the limit, while in use.
 *
 * A limit below what is used takes nothing away: it refuses until enough came home.
 */
void weir_budget_set_limit(struct weir_budget *budget, uint64_t limit_bytes);

uint64_t weir_budget_used_bytes(const struct weir_budget *budget);
uint64_t weir_budget_limit_bytes(const struct weir_budget *budget);
const char *weir_budget_name(const struct weir_budget *budget);

/** Counters, each read by itself: a moment's picture only when nothing moves. */
void weir_budget_stats(const struct weir_budget *budget, struct weir_budget_stats *stats);

#endif
