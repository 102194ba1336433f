/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "balance.h"
#include "poller.h"
#include "weir_error.h"

static struct weir_pollers *
pollers_of(struct weir_scheduler *scheduler)
{
	return container_of(scheduler, struct weir_pollers, scheduler);
}

static struct weir_target *
pollers_place(struct weir_scheduler *scheduler, const char *guest, uint16_t index, int numa_node)
{
	struct weir_pollers *pollers = pollers_of(scheduler);
	struct weir_poller *best = NULL;
	struct balance_lcore *lcores;
	bool home = true;
	unsigned int i;

	lcores = calloc(pollers->n, sizeof(*lcores));
	if (lcores == NULL) {
		weir_error(ENOMEM, "no memory to place a queue pair");
		return NULL;
	}
	pthread_mutex_lock(&pollers->lock);
	for (i = 0; i < pollers->n; i++)
		lcores[i] = (struct balance_lcore){
			.numa_node = pollers->pollers[i].numa_node,
			.n_pairs = pollers->pollers[i].n_placed,
			.is_full = pollers->pollers[i].n_placed == POLLER_PAIRS_MAX,
		};
	i = balance_place(lcores, pollers->n, numa_node);
	if (i < pollers->n) {
		best = &pollers->pollers[i];
		best->n_placed++;
		home = numa_node == SOCKET_ID_ANY || best->numa_node == numa_node;
	}
	pthread_mutex_unlock(&pollers->lock);
	free(lcores);
	if (best == NULL) {
		weir_error(EBUSY, "every lcore polls %d queue pairs already: add lcores with -l",
			   POLLER_PAIRS_MAX);
		return NULL;
	}
	if (!home)
		WEIR_LOG(poller, WARNING,
			 "guest %s pair %u: its memory lives on node %d, but no poll lcore does: "
			 "lcore %u of node %d polls it, more slowly",
			 guest, index, numa_node, best->target.lcore, best->numa_node);
	return &best->target;
}

static struct weir_target *
pollers_place_on(struct weir_scheduler *scheduler, unsigned int lcore)
{
	struct weir_pollers *pollers = pollers_of(scheduler);
	struct weir_poller *poller = NULL;
	char known[64] = "";
	size_t used = 0;
	unsigned int i;
	bool full;

	for (i = 0; i < pollers->n; i++) {
		if (pollers->pollers[i].target.lcore == lcore)
			poller = &pollers->pollers[i];
		if (used < sizeof(known))
			used += snprintf(known + used, sizeof(known) - used, "%s%u",
					 used > 0 ? ", " : "", pollers->pollers[i].target.lcore);
	}
	if (poller == NULL) {
		rte_errno =
			-weir_error(EINVAL, "lcore %u polls nothing: these do: %s", lcore, known);
		return NULL;
	}
	pthread_mutex_lock(&pollers->lock);
	full = poller->n_placed == POLLER_PAIRS_MAX;
	poller->n_placed += !full;
	pthread_mutex_unlock(&pollers->lock);
	if (full) {
		rte_errno =
			-weir_error(EBUSY, "lcore %u polls %d queue pairs already: name another",
				    lcore, POLLER_PAIRS_MAX);
		return NULL;
	}
	return &poller->target;
}

static void
pollers_leave(struct weir_scheduler *scheduler, struct weir_target *target)
{
	struct weir_pollers *pollers = pollers_of(scheduler);

	pthread_mutex_lock(&pollers->lock);
	container_of(target, struct weir_poller, target)->n_placed--;
	pthread_mutex_unlock(&pollers->lock);
}

static void
pollers_attach(struct weir_scheduler *scheduler, struct weir_target *target, struct weir_pair *pair)
{
	poller_attach(container_of(target, struct weir_poller, target), pair);
}

static void
pollers_detach(struct weir_scheduler *scheduler, struct weir_target *target, struct weir_pair *pair)
{
	poller_detach(container_of(target, struct weir_poller, target), pair);
}

static int
pollers_watch(struct weir_scheduler *scheduler, struct weir_target *target, struct weir_pair *pair,
	      enum weir_pair_wake wake, int fd)
{
	return sleep_watch(container_of(target, struct weir_poller, target), pair, wake, fd);
}

static void
pollers_unwatch(struct weir_scheduler *scheduler, struct weir_target *target, int fd)
{
	sleep_unwatch(container_of(target, struct weir_poller, target), fd);
}

struct weir_pollers *
weir_pollers_start(uint32_t idle_us)
{
	struct weir_pollers *pollers;
	unsigned int lcore;
	size_t size;

	if (rte_lcore_count() < 2) {
		rte_errno = -weir_error(EINVAL,
					"too few lcores: the main lcore and at least one to poll "
					"are needed: use -l 0-1, or --lcores");
		return NULL;
	}
	size = sizeof(*pollers) + (rte_lcore_count() - 1) * sizeof(pollers->pollers[0]);
	pollers = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(size));
	if (pollers == NULL) {
		rte_errno = -weir_error(ENOMEM, "no memory for the pollers");
		return NULL;
	}
	memset(pollers, 0, sizeof(*pollers));
	pthread_mutex_init(&pollers->lock, NULL);
	pollers->scheduler = (struct weir_scheduler){
		.place = pollers_place,
		.place_on = pollers_place_on,
		.attach = pollers_attach,
		.detach = pollers_detach,
		.leave = pollers_leave,
		.watch = pollers_watch,
		.unwatch = pollers_unwatch,
	};
	RTE_LCORE_FOREACH_WORKER(lcore) {
		int rc = poller_start(&pollers->pollers[pollers->n], lcore, idle_us);

		if (rc != 0) {
			weir_pollers_stop(pollers);
			rte_errno = -rc;
			return NULL;
		}
		pollers->n++;
	}
	return pollers;
}

void
weir_pollers_stop(struct weir_pollers *pollers)
{
	if (pollers == NULL)
		return;
	while (pollers->n > 0)
		poller_stop(&pollers->pollers[--pollers->n]);
	pthread_mutex_destroy(&pollers->lock);
	free(pollers);
}

struct weir_scheduler *
weir_pollers_scheduler(struct weir_pollers *pollers)
{
	return &pollers->scheduler;
}

unsigned int
weir_pollers_count(const struct weir_pollers *pollers)
{
	return pollers->n;
}
