/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that is up has queues from its endpoint, rings opened by its data path, and
 * lcores that poll its pairs: how it gets there and back. Who asks holds
 * guest->session; front_end.c says when.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/virtio_net.h>

#include <rte_vhost.h>

#include "guest.h"

/* Coming up. */

static uint32_t
rx_offloads_of(uint64_t features)
{
	uint32_t offloads = 0;

	if (features & RTE_BIT64(VIRTIO_NET_F_GUEST_CSUM))
		offloads |= WEIR_OFFLOAD_CAP_CSUM;
	if (features & RTE_BIT64(VIRTIO_NET_F_GUEST_TSO4))
		offloads |= WEIR_OFFLOAD_CAP_TSO4;
	if (features & RTE_BIT64(VIRTIO_NET_F_GUEST_TSO6))
		offloads |= WEIR_OFFLOAD_CAP_TSO6;
	if (features & RTE_BIT64(VIRTIO_NET_F_GUEST_ECN))
		offloads |= WEIR_OFFLOAD_CAP_ECN;
	return offloads;
}

/**
 * Move the pools to the guest's memory. No frames are out between sessions, but for
 * those that a peer still holds: then the pools stay where they are.
 */
static int
follow_memory(struct weir_guest *guest)
{
	int old_node = guest->pool_node;

	if (guest->numa_node == SOCKET_ID_ANY || guest->numa_node == old_node)
		return 0;
	if (guest_pools_free(guest) == 0 && guest_pools_create(guest, guest->numa_node) == 0)
		return 0;
	WEIR_LOG(guest, WARNING, "guest %s: its memory lives on node %d, its frames do not: %s",
		 guest->object.name, guest->numa_node, weir_error_text());
	return guest_pools_create(guest, old_node);
}

static void
pair_negotiated(struct weir_pair *pair, uint64_t features)
{
	const struct weir_guest *guest = pair->guest;
	uint32_t len = guest->mtu + 14 + 8;
	uint32_t room = rte_pktmbuf_data_room_size(pair->tx_pool) - RTE_PKTMBUF_HEADROOM;

	pair->access.rx_offloads = rx_offloads_of(features);
	pair->mergeable = features & RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF);
	pair->packed = features & SESSION_FEATURE_PACKED;
	pair->rx_len_max =
		pair->access.rx_offloads & (WEIR_OFFLOAD_CAP_TSO4 | WEIR_OFFLOAD_CAP_TSO6)
			? WEIR_FRAME_LEN_MAX
			: len;
	if (features & (RTE_BIT64(VIRTIO_NET_F_HOST_TSO4) | RTE_BIT64(VIRTIO_NET_F_HOST_TSO6)))
		len = WEIR_FRAME_LEN_MAX;
	pair->max_frames = (len + room - 1) / room;
}

/** Give back what up_pairs() made of the first @p n. */
static void
down_pairs(struct weir_guest *guest, uint16_t n)
{
	struct weir_pair *pair;

	while (n-- > 0) {
		pair = guest->pairs[n];
		guest->scheduler->leave(guest->scheduler, pair->target);
		pthread_mutex_lock(&guest->lock);
		pair->path->close(pair);
		pair_stats_add(&guest->past, &pair->stats);
		guest->pairs[n] = NULL;
		pthread_mutex_unlock(&guest->lock);
		pair_free(pair);
	}
}

/** Where it was moved to, unless its memory lives elsewhere now; else the scheduler knows. */
static struct weir_target *
pair_place(struct weir_guest *guest, uint16_t index)
{
	struct weir_scheduler *scheduler = guest->scheduler;
	const struct lcore_wish *wish = &guest->wishes[index];
	struct weir_target *target = NULL;

	if (wish->is_set &&
	    (wish->numa_node == SOCKET_ID_ANY || wish->numa_node == guest->numa_node))
		target = scheduler->place_on(scheduler, wish->lcore);
	if (target == NULL)
		target = scheduler->place(scheduler, guest->object.name, index, guest->numa_node);
	return target;
}

static int
up_pairs(struct weir_guest *guest)
{
	struct weir_pair *pair;
	uint16_t i;
	int rc;

	for (i = 0; i < guest->n_pairs; i++) {
		pair = pair_create(guest, i, guest->vid);
		if (pair == NULL) {
			down_pairs(guest, i);
			return -ENOMEM;
		}
		pair->target = pair_place(guest, i);
		if (pair->target == NULL) {
			pair_free(pair);
			down_pairs(guest, i);
			return -EBUSY;
		}
		pair_negotiated(pair, guest->features);
		rc = pair->path->open(pair);
		if (rc != 0) {
			guest->scheduler->leave(guest->scheduler, pair->target);
			pair_free(pair);
			down_pairs(guest, i);
			return rc;
		}
		pthread_mutex_lock(&guest->lock);
		guest->pairs[i] = pair;
		pthread_mutex_unlock(&guest->lock);
		guest->client_view.access[i] = &pair->access;
		guest->client_view.target[i] = pair->target;
	}
	return 0;
}

/* Post every rx id. The queue is ours until attach(). */
static void
post_rx_ids(struct weir_pair *pair)
{
	uint16_t ids[PAIR_RX_IDS], i;

	for (i = 0; i < PAIR_RX_IDS; i++)
		ids[i] = i;
	pair->queue->ops->rx_avail(pair->queue, &pair->access, ids, PAIR_RX_IDS);
}

/**
 * The endpoint wants something. On one of its threads, which may hold its locks: what
 * takes the guest's own is left to session_tend().
 */
static void
session_action(struct weir_endpoint_client *client, enum weir_endpoint_action action, bool link_up)
{
	struct weir_guest *guest = container_of(client, struct weir_guest, client_view);

	switch (action) {
	case WEIR_ENDPOINT_RESTART:
		guest->restart_asked = true;
		break;
	case WEIR_ENDPOINT_LINK:
		WEIR_LOG(guest, INFO, "guest %s: the link of its endpoint is %s", client->name,
			 link_up ? "up" : "down");
		break;
	}
}

/** Have its lcore poll the pair, and be woken on its behalf. */
static void
pair_attach(struct weir_pair *pair)
{
	struct weir_scheduler *scheduler = pair->guest->scheduler;

	scheduler->attach(scheduler, pair->target, pair);
	kick_watch(pair);
	pair->kicked[WEIR_PAIR_WAKE_ENDPOINT] =
		pair->queue->wake_fd >= 0 &&
		scheduler->watch(scheduler, pair->target, pair, WEIR_PAIR_WAKE_ENDPOINT,
				 pair->queue->wake_fd) == 0;
}

/** Undo pair_attach(); on return its lcore has let go. */
static void
pair_detach(struct weir_pair *pair)
{
	struct weir_scheduler *scheduler = pair->guest->scheduler;

	kick_unwatch(pair);
	if (pair->kicked[WEIR_PAIR_WAKE_ENDPOINT])
		scheduler->unwatch(scheduler, pair->target, pair->queue->wake_fd);
	scheduler->detach(scheduler, pair->target, pair);
}

/** Nobody uses the pairs: captures may come, or go. */
static void
points_up(struct weir_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		weir_capture_point_up(&guest->points[i], weir_endpoint_name(guest->endpoint),
				      guest->pairs[i]->target);
}

static void
points_down(struct weir_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		weir_capture_point_down(&guest->points[i]);
}

/** Give the pairs queues from the endpoint, and have them polled. */
int
session_join(struct weir_guest *guest)
{
	struct weir_queue *queues[WEIR_QUEUES_MAX];
	uint16_t i;
	int rc;

	points_up(guest);
	/* What the queues before were to be restarted for. */
	guest->restart_asked = false;
	rc = weir_endpoint_get_queues(guest->endpoint, &guest->client_view, queues);
	if (rc != 0) {
		points_down(guest);
		return rc;
	}
	pthread_mutex_lock(&guest->lock);
	memcpy(guest->queues, queues, sizeof(queues));
	pthread_mutex_unlock(&guest->lock);
	for (i = 0; i < guest->n_pairs; i++) {
		struct weir_pair *pair = guest->pairs[i];

		pair->queue = queues[i];
		pair->rx_enabled = guest->rx_enabled[i];
		pair->tx_enabled = guest->tx_enabled[i];
		if (pair->endpoint_error != 0) {
			pair->endpoint_error = 0;
			pair->broken = NULL;
		}
		queues[i]->ops->set_active(queues[i], pair->rx_enabled);
		post_rx_ids(pair);
		/* A poll lcore looks by itself: a kick would cost the guest an exit for nothing. */
		pair->path->arm(pair, WEIR_PAIR_WAKE_RX, false);
		pair->path->arm(pair, WEIR_PAIR_WAKE_TX, false);
		pair_attach(pair);
	}
	return 0;
}

/** Pairs that nobody polls leave their endpoint. */
static void
pairs_part(struct weir_guest *guest)
{
	struct weir_queue *queues[WEIR_QUEUES_MAX];
	uint16_t i;

	/* Telemetry must not look at a queue that stop() frees. */
	pthread_mutex_lock(&guest->lock);
	memcpy(queues, guest->queues, sizeof(queues));
	memset(guest->queues, 0, sizeof(guest->queues));
	pthread_mutex_unlock(&guest->lock);
	weir_endpoint_stop(guest->endpoint, &guest->client_view, queues);
	points_down(guest);
	for (i = 0; i < guest->n_pairs; i++)
		guest->pairs[i]->path->let_go(guest->pairs[i]);
}

/** Undo session_join(): the pairs keep their rings and what was not handed over. */
void
session_leave(struct weir_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		pair_detach(guest->pairs[i]);
	pairs_part(guest);
}

static int
session_make(struct weir_guest *guest)
{
	uint16_t i;
	int rc;

	rc = call_check_refused(guest);
	if (rc != 0)
		return rc;
	rte_vhost_get_negotiated_features(guest->vid, &guest->features);
	guest->numa_node = numa_of_guest(guest->vid);
	guest->numa_seen = guest->numa_node;
	fault_find_ranges(guest);
	rc = follow_memory(guest);
	if (rc == 0 && guest->fault.happened)
		rc = weir_error(EFAULT, FAULT_TEXT);
	if (rc == 0 && guest->path == &engine_path)
		rc = engine_memory(guest);
	if (rc != 0)
		return rc;
	guest->client_view = (struct weir_endpoint_client){
		.name = guest->object.name,
		.n_queues = guest->n_pairs,
		.mtu = guest->mtu,
		.rx_offloads = rx_offloads_of(guest->features),
		.numa_node = guest->numa_node,
		.action = session_action,
	};
	rc = up_pairs(guest);
	if (rc != 0)
		return rc;
	fault_watch(guest);
	rc = session_join(guest);
	if (rc != 0) {
		down_pairs(guest, guest->n_pairs);
		fault_forget(guest);
		return rc;
	}
	for (i = 0; i < guest->n_pairs; i++) {
		kick_refresh(guest->pairs[i], WEIR_PAIR_WAKE_TX);
		kick_refresh(guest->pairs[i], WEIR_PAIR_WAKE_RX);
	}
	return 0;
}

int
session_up(struct weir_guest *guest)
{
	int rc;

	/* Its memory is looked at before it is watched. */
	fault_suspect_guest(guest);
	rc = session_make(guest);
	fault_suspect_guest(NULL);
	return rc;
}

void
session_down(struct weir_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		kick_forget(guest->pairs[i]);
	session_leave(guest);
	down_pairs(guest, guest->n_pairs);
	fault_forget(guest);
}

/** The pairs are without an endpoint, which cannot be helped: the guest is not served. */
void
session_fail(struct weir_guest *guest, const char *reason)
{
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		kick_forget(guest->pairs[i]);
	down_pairs(guest, guest->n_pairs);
	fault_forget(guest);
	guest_set_state(guest, GUEST_FAILED, "%s", reason);
	WEIR_LOG(guest, ERR, "guest %s: stopped: %s", guest->object.name, reason);
}

/** Have @p target poll a pair that nobody polls; its queue is the one it has. */
static void
pair_give(struct weir_pair *pair, struct weir_target *target)
{
	struct weir_guest *guest = pair->guest;
	struct weir_target *old = pair->target;

	pthread_mutex_lock(&guest->lock);
	pair->target = target;
	pthread_mutex_unlock(&guest->lock);
	guest->client_view.target[pair->index] = target;
	pair->queue->target = target;
	pair->queue->ops->update_target(pair->queue);
	weir_capture_point_move(&guest->points[pair->index], target);
	pair_attach(pair);
	guest->scheduler->leave(guest->scheduler, old);
}

/** Another lcore polls the pair from now on. */
void
session_move(struct weir_pair *pair, struct weir_target *target)
{
	pair_detach(pair);
	pair_give(pair, target);
}

static void
do_nothing(void *arg)
{
}

/** Have the network told where @p mac is now. */
void
session_announce(struct weir_guest *guest, const uint8_t *mac)
{
	struct weir_pair *pair = guest->pairs[0];

	rarp_ask(pair, mac);
	/* Its lcore may be asleep. */
	pair->target->run(pair->target, do_nothing, NULL);
}

/**
 * Its memory has moved to another node: pools and lcores go after it. The endpoint keeps
 * its queues, so that nothing is lost that it holds, or that a peer sends meanwhile.
 */
void
session_follow(struct weir_guest *guest, int numa_node)
{
	char reason[WEIR_ERROR_TEXTSIZE];
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		pair_detach(guest->pairs[i]);
	pthread_mutex_lock(&guest->lock);
	guest->numa_node = numa_node;
	pthread_mutex_unlock(&guest->lock);
	guest->client_view.numa_node = numa_node;
	if (follow_memory(guest) != 0) {
		snprintf(reason, sizeof(reason), "%s", weir_error_text());
		pairs_part(guest);
		session_fail(guest, reason);
		return;
	}
	for (i = 0; i < guest->n_pairs; i++) {
		struct weir_pair *pair = guest->pairs[i];
		struct weir_target *target = pair_place(guest, i);

		pair_use_pools(pair);
		if (target != NULL)
			pair_give(pair, target);
		else
			pair_attach(pair); /* no other place: where it was */
	}
	WEIR_LOG(guest, INFO, "guest %s: its memory has moved to node %d, so does weir",
		 guest->object.name, numa_node);
}

/** Why a pair is not polled any more, or NULL; a restart is the least of reasons. */
static const char *
broken_reason(const struct weir_guest *guest, int *endpoint_error)
{
	const char *reason, *found = NULL;
	uint16_t i;

	if (guest->fault.happened)
		return FAULT_TEXT;
	for (i = 0; i < guest->n_pairs; i++) {
		/* Acquire: the error beside it. Partner: the lcore's release. */
		reason = atomic_load_explicit(&guest->pairs[i]->broken, memory_order_acquire);
		if (reason == NULL ||
		    (found != NULL && guest->pairs[i]->endpoint_error == WEIR_QUEUE_RESTART))
			continue;
		found = reason;
		*endpoint_error = guest->pairs[i]->endpoint_error;
	}
	return found;
}

/** The endpoint wants its queues made anew; the guest's rings go on meanwhile. */
static void
session_restart(struct weir_guest *guest)
{
	char reason[WEIR_ERROR_TEXTSIZE];

	session_leave(guest);
	if (session_join(guest) == 0) {
		WEIR_LOG(guest, INFO, "guest %s: its endpoint was restarted", guest->object.name);
		return;
	}
	snprintf(reason, sizeof(reason), "%s", weir_error_text());
	session_fail(guest, reason);
}

void
session_tend(struct weir_guest *guest)
{
	const char *reason = NULL;
	int endpoint_error = 0, node;
	uint16_t i;

	/* The vhost thread has it, and may be waiting for an lcore that another guest holds:
	 * whoever tends that one must not wait too. */
	if (pthread_mutex_trylock(&guest->session) != 0)
		return;
	if (guest_is_up(guest)) {
		for (i = 0; i < guest->n_pairs; i++)
			kick_tend(guest->pairs[i]);
		/* With the library's path an lcore may wait for a lock of the vhost thread,
		 * which may wait for this one: we must not wait for the lcore. That path
		 * breaks only with its endpoint, and telemetry shows it. */
		if (guest->path == &engine_path)
			reason = broken_reason(guest, &endpoint_error);
	}
	if (reason != NULL && endpoint_error != WEIR_QUEUE_RESTART) {
		guest->revivable = endpoint_error != 0;
		session_leave(guest);
		session_fail(guest, reason);
	} else if (reason != NULL ||
		   (guest_is_up(guest) && guest->path == &engine_path && guest->restart_asked)) {
		session_restart(guest);
	} else if (guest_is_up(guest) && guest->path == &engine_path) {
		node = numa_moved_to(guest);
		if (node != SOCKET_ID_ANY)
			session_follow(guest, node);
	}
	pthread_mutex_unlock(&guest->session);
}
