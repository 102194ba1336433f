/* SPDX-License-Identifier: BSD-3-Clause */
/* The control side of patch: who is plugged in. See patch.h for how it works. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "weir_error.h"

#include "patch.h"

struct patch {
	pthread_mutex_t lock; /* of the control side; held while lcores answer */
	struct patch_side sides[2];
};

static struct patch *
patch_of(const struct weir_endpoint *endpoint)
{
	return weir_endpoint_state(endpoint);
}

static int
patch_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	struct patch *patch = patch_of(endpoint);

	pthread_mutex_init(&patch->lock, NULL);
	patch->sides[0].other = &patch->sides[1];
	patch->sides[1].other = &patch->sides[0];
	return 0;
}

static void
patch_close(struct weir_endpoint *endpoint)
{
	pthread_mutex_destroy(&patch_of(endpoint)->lock);
}

/* What lcores do for the control side, each for a queue of its own. */

static void
queue_plug(void *arg)
{
	struct patch_queue *q = arg;

	q->to_seen = q->from_seen = PATCH_ACTIVE_UNSEEN;
	q->peer = q->side->other;
	q->n_lanes = RTE_MAX(q->n_lanes, q->peer->n_queues);
	q->paused = false;
}

static void
queue_pause(void *arg)
{
	struct patch_queue *q = arg;

	q->paused = true;
}

static void
queue_unplug(void *arg)
{
	struct patch_queue *q = arg;
	uint16_t slot;

	q->peer = NULL;
	/* The lcores that read the lanes have let go of their queues: this one may. */
	for (slot = 0; slot < q->n_lanes; slot++)
		patch_lane_discard(&q->lanes[slot], q->scratch, PATCH_HELD_MAX);
}

/** Have all queues of a side do @p fn but @p quiet, which no lcore polls now. */
static void
side_run(struct patch_side *side, void (*fn)(void *arg), const struct patch_queue *quiet)
{
	uint16_t i;

	for (i = 0; i < side->n_queues; i++) {
		struct patch_queue *q = side->queues[i];

		if (q != quiet)
			q->poller->run(q->poller, fn, q);
	}
}

/** Who reads the lanes to each slot of a side; while nobody does. */
static void
side_set_owners(struct patch_side *side)
{
	uint64_t active = __atomic_load_n(&side->active, __ATOMIC_ACQUIRE);
	uint16_t i;

	for (i = 0; i < side->n_queues; i++)
		__atomic_store_n(&side->owner[i], patch_pick(side, i, active)->poller,
				 __ATOMIC_RELEASE);
}

void
patch_update_target(struct weir_queue *queue)
{
	struct patch_queue *q = patch_queue(queue);
	struct patch *patch = patch_of(queue->endpoint);
	struct patch_side *side = q->side, *other = side->other;

	pthread_mutex_lock(&patch->lock);
	if (other->client == NULL) {
		q->poller = queue->target;
		q->live = false;
	} else {
		side_run(side, queue_pause, q);
		side_run(other, queue_pause, q);
		q->poller = queue->target;
		q->live = false;
		side_set_owners(side);
		side_set_owners(other);
		queue_plug(q);
		side_run(side, queue_plug, q);
		side_run(other, queue_plug, q);
	}
	pthread_mutex_unlock(&patch->lock);
}

static void
queue_close(struct patch_queue *q)
{
	uint16_t slot;

	if (q->base.wake_fd >= 0)
		weir_wake_fini(&q->wake);
	for (slot = 0; slot < WEIR_QUEUES_MAX; slot++)
		patch_lane_fini(&q->lanes[slot]);
	weir_rx_ids_fini(&q->rx);
	free(q->scratch);
}

static int
queue_open(struct patch_queue *q, struct patch_side *side, struct weir_endpoint_client *client,
	   uint16_t index)
{
	int rc;

	q->side = side;
	q->index = index;
	q->poller = client->target[index];
	q->access = client->access[index];
	q->scratch = calloc(PATCH_LANE_SEGMENTS, sizeof(*q->scratch));
	rc = weir_wake_init(&q->wake, &q->wake_word, 0);
	if (rc != 0)
		return rc;
	q->base.wake_fd = weir_wake_fd(&q->wake);
	if (q->scratch == NULL || weir_rx_ids_init(&q->rx) != 0)
		return weir_error(ENOMEM, "no memory for its queues");
	return 0;
}

/** A lane from each queue of @p side to each of @p n slots. Lcores do not know the new ones yet. */
static int
side_lanes(struct patch_side *side, uint16_t n)
{
	uint16_t i, slot;

	for (i = 0; i < side->n_queues; i++) {
		struct patch_lane *lanes = side->queues[i]->lanes;

		for (slot = 0; slot < n; slot++)
			if (lanes[slot].segments == NULL && patch_lane_init(&lanes[slot]) != 0)
				return weir_error(ENOMEM, "no memory for its queues");
	}
	return 0;
}

static int
queues_open(struct weir_endpoint *endpoint, struct patch_side *side,
	    struct weir_endpoint_client *client, struct weir_queue **queues)
{
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, &patch_queue_ops, sizeof(struct patch_queue), queues,
			       client->n_queues);
	if (rc != 0)
		return rc;
	for (i = 0; i < client->n_queues && rc == 0; i++) {
		side->queues[i] = patch_queue(queues[i]);
		rc = queue_open(side->queues[i], side, client, i);
	}
	side->n_queues = client->n_queues;
	if (rc == 0 && side->other->client != NULL) {
		rc = side_lanes(side, side->other->n_queues);
		if (rc == 0)
			rc = side_lanes(side->other, side->n_queues);
	}
	if (rc == 0)
		return 0;
	side->n_queues = 0;
	weir_error(-rc, "endpoint '%s': %s", weir_endpoint_name(endpoint), weir_error_text());
	for (i = 0; i < client->n_queues; i++)
		queue_close(patch_queue(queues[i]));
	weir_queues_free(queues, client->n_queues);
	return rc;
}

/** Tell the guest on a side that its peer has come or gone; with the lock, so that it stays. */
static void
side_tell(struct patch_side *side, bool link_up)
{
	if (side->client != NULL && side->client->action != NULL)
		side->client->action(side->client, WEIR_ENDPOINT_LINK, link_up);
}

/** Both ends are there: the new one is polled by nobody yet. */
static void
sides_connect(struct patch_side *new)
{
	uint16_t i;

	side_set_owners(new);
	side_set_owners(new->other);
	for (i = 0; i < new->n_queues; i++)
		queue_plug(new->queues[i]);
	side_run(new->other, queue_plug, NULL);
}

static int
patch_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		 struct weir_queue **queues)
{
	struct patch *patch = patch_of(endpoint);
	struct patch_side *side;
	int rc;

	pthread_mutex_lock(&patch->lock);
	side = patch->sides[0].client == NULL ? &patch->sides[0] : &patch->sides[1];
	if (side->client != NULL) {
		rc = weir_error(EBUSY, "endpoint '%s': both ends are taken, by '%s' and '%s'",
				weir_endpoint_name(endpoint), patch->sides[0].client->name,
				patch->sides[1].client->name);
	} else {
		rc = queues_open(endpoint, side, client, queues);
	}
	if (rc == 0) {
		side->client = client;
		/* The others follow as the guest takes them into use. */
		__atomic_store_n(&side->active, 1, __ATOMIC_RELEASE);
		if (side->other->client != NULL)
			sides_connect(side);
		side_tell(side->other, true);
	}
	pthread_mutex_unlock(&patch->lock);
	return rc;
}

static void
patch_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	   struct weir_queue **queues)
{
	struct patch *patch = patch_of(endpoint);
	struct patch_side *side;
	uint16_t i;

	pthread_mutex_lock(&patch->lock);
	side = &patch->sides[patch->sides[0].client == client ? 0 : 1];
	side_run(side->other, queue_unplug, NULL);
	side->client = NULL;
	side->n_queues = 0;
	side_tell(side->other, false);
	pthread_mutex_unlock(&patch->lock);
	for (i = 0; i < client->n_queues; i++)
		queue_close(patch_queue(queues[i]));
	weir_queues_free(queues, client->n_queues);
}

static uint32_t
patch_tx_offloads(const struct weir_endpoint *endpoint)
{
	/* What the other guest does not take, its guest port finishes. */
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
patch_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
patch_link_up(const struct weir_endpoint *endpoint)
{
	struct patch *patch = patch_of(endpoint);
	bool both;

	pthread_mutex_lock(&patch->lock);
	both = patch->sides[0].client != NULL && patch->sides[1].client != NULL;
	pthread_mutex_unlock(&patch->lock);
	return both;
}

static void
patch_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
	rte_tel_data_add_dict_string(dict, "connected", patch_link_up(endpoint) ? "yes" : "no");
}

static const char *const patch_keys[] = {NULL};

static const struct weir_endpoint_ops patch_ops = {
	.type = "patch",
	.usage = "",
	.keys = patch_keys,
	.state_size = sizeof(struct patch),
	.max_clients = 2,
	.is_ordered = true,
	.fast_completions = false,
	.multiqueue = true,
	.open = patch_open,
	.close = patch_close,
	.get_queues = patch_get_queues,
	.stop = patch_stop,
	.tx_offloads = patch_tx_offloads,
	.link_speed = patch_link_speed,
	.link_up = patch_link_up,
	.inspect = patch_inspect,
};

WEIR_ENDPOINT_REGISTER(patch_ops);
