/* SPDX-License-Identifier: BSD-3-Clause */
/* The poll lcores of the plain guests: a poller in its simplest form. */
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>

#include "plain_guest.h"

static void
run_here(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

void
plain_target_here(struct plain_target *target)
{
	memset(target, 0, sizeof(*target));
	target->target.run = run_here;
	target->lcore = rte_lcore_id();
}

static void
run_there(struct weir_target *base, void (*fn)(void *arg), void *arg)
{
	struct plain_target *target = container_of(base, struct plain_target, target);
	const uint64_t one = 1;

	plain_check(rte_lcore_id() != target->lcore);
	pthread_mutex_lock(&target->lock);
	target->fn = fn;
	target->arg = arg;
	__atomic_store_n(&target->asked, true, __ATOMIC_RELEASE);
	plain_check(write(target->kick, &one, sizeof(one)) == sizeof(one));
	while (__atomic_load_n(&target->asked, __ATOMIC_ACQUIRE))
		sched_yield();
	pthread_mutex_unlock(&target->lock);
}

static void
target_sleep(struct plain_target *target)
{
	struct pollfd fds[1 + 2 * WEIR_QUEUES_MAX];
	uint16_t i, n = 0;
	uint64_t count;

	fds[n++] = (struct pollfd){.fd = target->kick, .events = POLLIN};
	for (i = 0; i < target->n_pairs; i++) {
		struct plain_pair *pair = target->pairs[i];

		if (pair->sending || pair->queue->ops->poll_ready(pair->queue, &pair->access, true))
			return;
		fds[n++] = (struct pollfd){.fd = pair->queue->wake_fd, .events = POLLIN};
	}
	/* Well above what any wake takes: a lost one shows as a test that takes for ever. */
	poll(fds, n, 20000);
	if (fds[0].revents != 0)
		plain_check(read(target->kick, &count, sizeof(count)) == sizeof(count));
}

static int
target_loop(void *arg)
{
	struct plain_target *target = arg;
	bool moved;
	uint16_t i;

	while (!target->quit) {
		moved = false;
		if (__atomic_load_n(&target->asked, __ATOMIC_ACQUIRE)) {
			target->fn(target->arg);
			__atomic_store_n(&target->asked, false, __ATOMIC_RELEASE);
			moved = true;
		}
		for (i = 0; i < target->n_pairs; i++)
			moved |= plain_pair_work(target->pairs[i]);
		if (moved)
			continue;
		if (target->sleeps)
			target_sleep(target);
		else
			sched_yield(); /* the machine may have fewer cores than the test lcores */
	}
	/* EAL tells as well, but out of the thread sanitizer's sight. */
	__atomic_store_n(&target->ended, true, __ATOMIC_RELEASE);
	return 0;
}

void
plain_target_start(struct plain_target *target, unsigned int lcore, bool sleeps)
{
	memset(target, 0, sizeof(*target));
	target->target.run = run_there;
	target->lcore = lcore;
	target->sleeps = sleeps;
	target->target.lcore = lcore;
	target->started = true;
	target->kick = eventfd(0, EFD_CLOEXEC);
	plain_check(target->kick >= 0);
	pthread_mutex_init(&target->lock, NULL);
	plain_check(rte_eal_remote_launch(target_loop, target, lcore) == 0);
}

static void
quit_there(void *arg)
{
	struct plain_target *target = arg;

	target->quit = true;
}

void
plain_target_stop(struct plain_target *target)
{
	run_there(&target->target, quit_there, target);
	rte_eal_wait_lcore(target->lcore);
	plain_check(__atomic_load_n(&target->ended, __ATOMIC_ACQUIRE));
	pthread_mutex_destroy(&target->lock);
	close(target->kick);
	target->started = false;
}

static void
poll_there(void *arg)
{
	struct plain_pair *pair = arg;

	pair->target->pairs[pair->target->n_pairs++] = pair;
}

static void
unpoll_there(void *arg)
{
	struct plain_pair *pair = arg;
	struct plain_target *target = pair->target;
	uint16_t i;

	for (i = 0; i < target->n_pairs; i++)
		if (target->pairs[i] == pair)
			target->pairs[i--] = target->pairs[--target->n_pairs];
}

void
plain_target_poll(struct plain_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->client.n_queues; i++)
		guest->client.target[i]->run(guest->client.target[i], poll_there, &guest->pairs[i]);
}

void
plain_target_unpoll(struct plain_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->client.n_queues; i++)
		guest->client.target[i]->run(guest->client.target[i], unpoll_there,
					     &guest->pairs[i]);
}
