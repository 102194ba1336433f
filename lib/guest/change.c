/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the control side changes of a guest that may be up: which lcore polls a pair,
 * and which endpoint is behind it. Both are the session's own steps (session.c), with
 * the guest's rings going on: it notices nothing but a moment of silence.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_errno.h>

#include "guest.h"

/* How long frames that the old endpoint holds have to finish. */
#define DRAIN_MS 100

/** With the library's path an lcore may wait for the vhost thread: see session_tend(). */
static int
check_path(const struct weir_guest *guest)
{
	if (!guest_is_up(guest) || guest->path == &engine_path)
		return 0;
	return weir_error(ENOTSUP,
			  "guest '%s' is up with datapath=%s, which cannot be changed while it is: "
			  "make it with datapath=engine",
			  guest->object.name, guest->path->name);
}

/* To another lcore. */

static int
move_pair(struct weir_guest *guest, uint16_t index, unsigned int lcore)
{
	struct weir_scheduler *scheduler = guest->scheduler;
	struct weir_target *target;
	int rc;

	if (index >= guest->n_pairs)
		return weir_error(ENOENT, "guest '%s' has no queue pair %u: its pairs are 0 to %u",
				  guest->object.name, index, guest->n_pairs - 1);
	rc = check_path(guest);
	if (rc != 0)
		return rc;
	target = scheduler->place_on(scheduler, lcore);
	if (target == NULL)
		return weir_error(rte_errno, "guest '%s': %s", guest->object.name,
				  weir_error_text());
	guest->wishes[index] = (struct lcore_wish){
		.is_set = true,
		.lcore = lcore,
		.numa_node = guest_is_up(guest) ? guest->numa_node : SOCKET_ID_ANY,
	};
	if (guest_is_up(guest) && guest->pairs[index]->target != target)
		session_move(guest->pairs[index], target);
	else
		scheduler->leave(scheduler, target);
	return 0;
}

int
weir_guest_move(struct weir_guest *guest, uint16_t pair, unsigned int lcore)
{
	int rc;

	pthread_mutex_lock(&guest->session);
	rc = move_pair(guest, pair, lcore);
	pthread_mutex_unlock(&guest->session);
	return rc;
}

/* To another endpoint. */

struct held {
	const struct weir_pair *pair;
	bool any;
};

static void
held_look(void *arg)
{
	struct held *held = arg;

	held->any = held->pair->broken == NULL && held->pair->n_out > held->pair->n_pending;
}

/** Take nothing new from the guest, and let the endpoint finish what it has. */
static void
drain(struct weir_guest *guest)
{
	unsigned int ms;
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		guest->pairs[i]->tx_enabled = false;
	for (i = 0, ms = 0; i < guest->n_pairs && ms < DRAIN_MS;) {
		struct weir_pair *pair = guest->pairs[i];
		struct held held = {.pair = pair};

		pair->target->run(pair->target, held_look, &held);
		if (held.any) {
			usleep(1000);
			ms++;
		} else {
			i++;
		}
	}
}

static void
set_endpoint(struct weir_guest *guest, struct weir_endpoint *endpoint)
{
	pthread_mutex_lock(&guest->lock);
	guest->endpoint = endpoint;
	pthread_mutex_unlock(&guest->lock);
}

static int
swap_live(struct weir_guest *guest, struct weir_endpoint *endpoint)
{
	struct weir_endpoint *old = guest->endpoint;
	char reason[WEIR_ERROR_TEXTSIZE];
	int rc;

	drain(guest);
	session_leave(guest);
	set_endpoint(guest, endpoint);
	rc = session_join(guest);
	if (rc == 0)
		return 0;
	snprintf(reason, sizeof(reason), "%s", weir_error_text());
	set_endpoint(guest, old);
	if (session_join(guest) != 0) {
		char both[WEIR_ERROR_TEXTSIZE];

		snprintf(both, sizeof(both), "%s", weir_error_text());
		session_fail(guest, both);
	}
	return weir_error(-rc, "%s", reason);
}

/** The guest whose endpoint had failed it gets another: it may come up again. */
static int
swap_failed(struct weir_guest *guest, struct weir_endpoint *endpoint)
{
	set_endpoint(guest, endpoint);
	if (session_up(guest) == 0)
		guest_set_state(guest, GUEST_UP, "up");
	else
		guest_set_state(guest, GUEST_FAILED, "%s", weir_error_text());
	return 0;
}

static int
swap_endpoint(struct weir_guest *guest, struct weir_endpoint *endpoint)
{
	struct weir_endpoint_client wanted = {
		.name = guest->object.name,
		.n_queues = guest->n_pairs,
		.mtu = guest->mtu,
	};
	int rc = weir_endpoint_accept(endpoint, &wanted);

	if (rc != 0)
		return rc;
	rc = check_path(guest);
	if (rc == 0)
		rc = front_end_accepts(guest, endpoint);
	if (rc != 0)
		return rc;
	if (guest_is_up(guest))
		return swap_live(guest, endpoint);
	if (guest->state == GUEST_FAILED && guest->revivable && guest->path == &engine_path)
		return swap_failed(guest, endpoint);
	set_endpoint(guest, endpoint);
	return 0;
}

static int
swap_claimed(struct weir_guest *guest, struct weir_endpoint *endpoint, bool offered_anew)
{
	int rc;

	pthread_mutex_lock(&guest->session);
	rc = swap_endpoint(guest, endpoint);
	/* Of one that connected meanwhile it is the most. */
	if (rc == 0 && offered_anew)
		front_end_promise(guest);
	pthread_mutex_unlock(&guest->session);
	return rc;
}

int
weir_guest_swap(struct weir_guest *guest, struct weir_endpoint *endpoint)
{
	struct weir_endpoint *old = guest->endpoint;
	bool offer;
	int rc;

	if (endpoint == old)
		return weir_error(EALREADY, "guest '%s' is on endpoint '%s' already",
				  guest->object.name, weir_endpoint_name(endpoint));
	rc = weir_endpoint_claim(endpoint, guest->object.name);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&guest->session);
	offer = guest->started && guest->vid < 0;
	pthread_mutex_unlock(&guest->session);
	/* With nobody there the offer follows; one who comes meanwhile is content with both. */
	if (offer)
		front_end_offer(guest, old, endpoint);
	rc = swap_claimed(guest, endpoint, offer);
	if (offer)
		front_end_offer(guest, guest->endpoint, guest->endpoint);
	weir_endpoint_unclaim(rc == 0 ? old : endpoint, guest->object.name);
	if (rc == 0)
		WEIR_LOG(guest, INFO, "guest %s: on endpoint %s from now on", guest->object.name,
			 weir_endpoint_name(endpoint));
	return rc;
}
