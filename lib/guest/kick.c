/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptors by which guest and back-end wake each other: both are the
 * front-end's, so neither is trusted.
 *
 * Kick (guest to us): we keep a copy of our own, because the library closes and
 * replaces its as the front-end sends new ones. Anything but an eventfd is not
 * listened to; the lcore then looks for itself every now and then.
 *
 * Call (us to guest): written from the poll lcore. A write to an eventfd waits only when
 * its counter is full, and not at all while it is non-blocking; call.c has the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "guest.h"

static bool
is_eventfd(int fd)
{
	char link[64], target[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	return strcmp(target, "anon_inode:[eventfd]") == 0;
}

static void
kick_close(struct weir_pair *pair, enum weir_pair_wake wake)
{
	struct weir_scheduler *scheduler = pair->guest->scheduler;

	atomic_store(&pair->kicked[wake], false);
	if (pair->kick_fd[wake] < 0)
		return;
	scheduler->unwatch(scheduler, pair->target, pair->kick_fd[wake]);
	close(pair->kick_fd[wake]);
	pair->kick_fd[wake] = -1;
}

/** Where the guest is called: ours is a copy, for the engine; the library has its own. */
static void
call_refresh(struct weir_pair *pair, enum weir_pair_wake wake, int fd)
{
	int flags, copy = -1;

	if (fd >= 0) {
		flags = fcntl(fd, F_GETFL);
		if (is_eventfd(fd) && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)
			copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		else
			WEIR_LOG(guest, WARNING,
				 "%s: the call descriptor of its %s ring is not an eventfd: %s",
				 pair->name, wake == WEIR_PAIR_WAKE_RX ? "rx" : "tx",
				 pair->path == &engine_path ? "it is not written"
							    : "writing it may take its time");
	}
	if (pair->path == &engine_path)
		engine_set_call(pair, wake, copy);
	else if (copy >= 0)
		close(copy);
}

/** Take the descriptors that the ring has now. */
void
kick_refresh(struct weir_pair *pair, enum weir_pair_wake wake)
{
	uint16_t ring = wake == WEIR_PAIR_WAKE_RX ? pair->rx_vring : pair->tx_vring;
	struct weir_scheduler *scheduler = pair->guest->scheduler;
	struct rte_vhost_vring vring;
	int fd;

	kick_close(pair, wake);
	if (rte_vhost_get_vhost_vring(pair->vid, ring, &vring) != 0)
		return;
	call_refresh(pair, wake, vring.callfd);
	if (vring.kickfd < 0)
		return; /* a front-end that wants to be polled */
	fd = fcntl(vring.kickfd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || !is_eventfd(fd) ||
	    scheduler->watch(scheduler, pair->target, pair, wake, fd) != 0) {
		WEIR_LOG(guest, WARNING,
			 "%s: the kick descriptor of ring %u is not an eventfd: the ring is looked "
			 "at every millisecond instead",
			 pair->name, ring);
		if (fd >= 0)
			close(fd);
		return;
	}
	pair->kick_fd[wake] = fd;
	atomic_store(&pair->kicked[wake], true);
}

/** Have the pair's lcore woken by what we have. */
void
kick_watch(struct weir_pair *pair)
{
	struct weir_scheduler *scheduler = pair->guest->scheduler;
	enum weir_pair_wake wake;

	for (wake = 0; wake < WEIR_PAIR_WAKE_ENDPOINT; wake++)
		if (pair->kick_fd[wake] >= 0)
			atomic_store(&pair->kicked[wake],
				     scheduler->watch(scheduler, pair->target, pair, wake,
						      pair->kick_fd[wake]) == 0);
}

/** Undo kick_watch(): before the pair leaves its lcore. */
void
kick_unwatch(struct weir_pair *pair)
{
	struct weir_scheduler *scheduler = pair->guest->scheduler;
	enum weir_pair_wake wake;

	for (wake = 0; wake < WEIR_PAIR_WAKE_ENDPOINT; wake++) {
		atomic_store(&pair->kicked[wake], false);
		if (pair->kick_fd[wake] >= 0)
			scheduler->unwatch(scheduler, pair->target, pair->kick_fd[wake]);
	}
}

void
kick_forget(struct weir_pair *pair)
{
	kick_close(pair, WEIR_PAIR_WAKE_TX);
	kick_close(pair, WEIR_PAIR_WAKE_RX);
}

/** Stop hearing the kicks that the lcore found to be of no use. */
void
kick_tend(struct weir_pair *pair)
{
	enum weir_pair_wake wake;

	for (wake = 0; wake < WEIR_PAIR_WAKE_ENDPOINT; wake++) {
		if (!atomic_exchange(&pair->ignored[wake], false))
			continue;
		kick_close(pair, wake);
		WEIR_LOG(guest, WARNING,
			 "%s: kicks of its %s ring come again and again for nothing: not heard any "
			 "more, the ring is looked at every millisecond instead",
			 pair->name, wake == WEIR_PAIR_WAKE_RX ? "rx" : "tx");
	}
}
