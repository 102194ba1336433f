/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for room.
 *
 * A tree has one futex, at its root, because a release anywhere can make room for
 * anyone. Why no wake-up is lost, all of it sequentially consistent:
 *
 *     waiter                           releaser
 *     waiters++                        used -= bytes
 *     seen = room                      waiters > 0? then
 *     look at used, take, or               room++
 *     sleep unless room != seen            wake all
 *
 * A release before the look is seen by it; one after it sees the waiter, and changes
 * what the kernel compares before sleeping.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "budget.h"

#define FOREVER UINT64_MAX

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/** @return -ETIMEDOUT once @p deadline_us has passed, else 0 */
static int
room_sleep(struct weir_budget *root, uint32_t seen, uint64_t deadline_us)
{
	struct timespec timeout, *ptimeout = NULL;
	uint64_t now;

	if (deadline_us != FOREVER) {
		now = now_us();
		if (now >= deadline_us)
			return -ETIMEDOUT;
		timeout.tv_sec = (deadline_us - now) / 1000000;
		timeout.tv_nsec = (deadline_us - now) % 1000000 * 1000;
		ptimeout = &timeout;
	}
	syscall(SYS_futex, &root->room, FUTEX_WAIT, seen, ptimeout, NULL, 0);
	return 0;
}

void
budget_wake(struct weir_budget *root)
{
	__atomic_fetch_add(&root->room, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &root->room, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	watches_signal(root);
}

/** @return 0 with a ticket, or -EAGAIN: the line is full */
static int
line_enter(struct budget_line *line, uint32_t *ticket)
{
	int rc = 0;

	weir_lock_take(&line->lock);
	if (line->next - line->serving == WEIR_BUDGET_LINE_MAX)
		rc = -EAGAIN;
	else
		*ticket = __atomic_fetch_add(&line->next, 1, __ATOMIC_SEQ_CST);
	weir_lock_give(&line->lock);
	return rc;
}

static bool
line_is_first(const struct budget_line *line, uint32_t ticket)
{
	return __atomic_load_n(&line->serving, __ATOMIC_SEQ_CST) == ticket;
}

/** Served or tired of waiting: the line moves on past all who are gone. */
static void
line_leave(struct budget_line *line, uint32_t ticket)
{
	uint32_t serving, place = ticket % WEIR_BUDGET_LINE_MAX;

	weir_lock_take(&line->lock);
	line->gone[place / 64] |= RTE_BIT64(place % 64);
	for (serving = line->serving; serving != line->next; serving++) {
		place = serving % WEIR_BUDGET_LINE_MAX;
		if ((line->gone[place / 64] & RTE_BIT64(place % 64)) == 0)
			break;
		line->gone[place / 64] &= ~RTE_BIT64(place % 64);
	}
	__atomic_store_n(&line->serving, serving, __ATOMIC_SEQ_CST);
	weir_lock_give(&line->lock);
}

static int
budget_wait(struct weir_budget *budget, uint64_t bytes, uint64_t deadline_us)
{
	struct weir_budget *root = budget->root;
	uint32_t ticket = 0, seen;
	int rc;

	if (budget->fair) {
		rc = line_enter(&budget->line, &ticket);
		if (rc != 0)
			return rc;
	}
	__atomic_fetch_add(&root->waiters, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		seen = __atomic_load_n(&root->room, __ATOMIC_SEQ_CST);
		rc = budget_look(budget, bytes);
		if (rc == 0 && budget->fair && !line_is_first(&budget->line, ticket))
			rc = -EAGAIN;
		if (rc == 0)
			rc = budget_take(budget, bytes);
		if (rc != -EAGAIN)
			break;
		rc = room_sleep(root, seen, deadline_us);
		if (rc != 0)
			break;
	}
	__atomic_fetch_sub(&root->waiters, 1, __ATOMIC_SEQ_CST);
	if (budget->fair) {
		line_leave(&budget->line, ticket);
		budget_wake(root);
	}
	return rc;
}

static int
budget_reserve_until(struct weir_budget *budget, uint64_t bytes, uint64_t timeout_us)
{
	bool line = budget->fair &&
		    !line_is_first(&budget->line,
				   __atomic_load_n(&budget->line.next, __ATOMIC_SEQ_CST));
	int rc = line ? -EAGAIN : budget_take(budget, bytes);

	if (rc != -EAGAIN)
		return rc;
	__atomic_fetch_add(&budget->waits, 1, __ATOMIC_RELAXED);
	return budget_wait(budget, bytes, timeout_us == FOREVER ? FOREVER : now_us() + timeout_us);
}

int
weir_budget_reserve(struct weir_budget *budget, uint64_t bytes)
{
	return budget_reserve_until(budget, bytes, FOREVER);
}

int
weir_budget_reserve_timed(struct weir_budget *budget, uint64_t bytes, uint64_t timeout_us)
{
	/* 584 942 years are as good as for ever, and cannot overflow. */
	return budget_reserve_until(budget, bytes, RTE_MIN(timeout_us, FOREVER / 2));
}
