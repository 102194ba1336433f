/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches: waiting for room with a descriptor instead of a thread.
 *
 * An armed watch counts as a waiter of its tree, so the argument of wait.c holds for it:
 * it is armed before it looks.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_errno.h>

#include "budget.h"
#include "weir_error.h"

struct weir_budget_watch {
	TAILQ_ENTRY(weir_budget_watch) next;
	struct weir_budget *budget;
	int fd;
	bool armed;
};

/* Of the list and of armed. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, weir_budget_watch) watches = TAILQ_HEAD_INITIALIZER(watches);

struct weir_budget_watch *
weir_budget_watch_create(struct weir_budget *budget)
{
	struct weir_budget_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL) {
		rte_errno = -weir_error(ENOMEM, "budget '%s': no memory for a watch",
					weir_budget_name(budget));
		return NULL;
	}
	watch->budget = budget;
	watch->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch->fd < 0) {
		rte_errno = -weir_error(errno, "budget '%s': no eventfd: %s",
					weir_budget_name(budget), rte_strerror(errno));
		free(watch);
		return NULL;
	}
	pthread_mutex_lock(&lock);
	TAILQ_INSERT_TAIL(&watches, watch, next);
	pthread_mutex_unlock(&lock);
	return watch;
}

static void
watch_disarm_locked(struct weir_budget_watch *watch)
{
	if (watch->armed)
		__atomic_fetch_sub(&watch->budget->root->waiters, 1, __ATOMIC_SEQ_CST);
	watch->armed = false;
}

void
weir_budget_watch_free(struct weir_budget_watch *watch)
{
	if (watch == NULL)
		return;
	pthread_mutex_lock(&lock);
	watch_disarm_locked(watch);
	TAILQ_REMOVE(&watches, watch, next);
	pthread_mutex_unlock(&lock);
	close(watch->fd);
	free(watch);
}

int
weir_budget_watch_fd(const struct weir_budget_watch *watch)
{
	return watch->fd;
}

bool
weir_budget_watch_arm(struct weir_budget_watch *watch, uint64_t bytes)
{
	bool sleep;

	pthread_mutex_lock(&lock);
	if (!watch->armed)
		__atomic_fetch_add(&watch->budget->root->waiters, 1, __ATOMIC_SEQ_CST);
	watch->armed = true;
	sleep = budget_look(watch->budget, bytes) == -EAGAIN;
	if (!sleep)
		watch_disarm_locked(watch);
	pthread_mutex_unlock(&lock);
	return sleep;
}

void
watches_signal(struct weir_budget *root)
{
	struct weir_budget_watch *watch;
	uint64_t one = 1;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(watch, &watches, next) {
		if (!watch->armed || watch->budget->root != root)
			continue;
		watch_disarm_locked(watch);
		/* It can only fail when the counter is full: then it is readable anyway. */
		if (write(watch->fd, &one, sizeof(one)) < 0)
			continue;
	}
	pthread_mutex_unlock(&lock);
}
