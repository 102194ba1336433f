/* SPDX-License-Identifier: BSD-3-Clause */
/* The endpoint: its keys, its pairs and their guest. See frames.h for how it works. */
#include <errno.h>

#include <rte_errno.h>

#include "frames.h"
#include "weir_error.h"

#define CAPACITY_DEFAULT 256
#define CAPACITY_MAX 16384
#define MTU_DEFAULT 1500
#define MTU_MAX 9216

void
frames_pair_set_target(struct frames_pair *pair, struct weir_target *target)
{
	pthread_mutex_lock(&pair->lock);
	pair->target = target;
	pthread_mutex_unlock(&pair->lock);
}

void
frames_pair_set_active(struct frames *frames, uint16_t index, bool active)
{
	uint16_t i;

	if (active)
		atomic_fetch_or(&frames->active, RTE_BIT32(index));
	else
		atomic_fetch_and(&frames->active, ~RTE_BIT32(index));
	for (i = 0; i < frames->n_pairs; i++)
		weir_frame_lease_set_active(frames->pairs[i].lease, index, active);
}

/** For the lease: while no lcore is in its data path. */
static void
frames_run(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
	struct frames_pair *pair = arg;

	pthread_mutex_lock(&pair->lock);
	if (pair->target != NULL)
		pair->target->run(pair->target, fn, fn_arg);
	else
		fn(fn_arg);
	pthread_mutex_unlock(&pair->lock);
}

/** Those that are open. */
static void
pairs_close(struct frames *frames)
{
	uint16_t i;

	for (i = 0; i < WEIR_QUEUES_MAX && frames->pairs[i].lease != NULL; i++)
		weir_frame_lease_shut_down(frames->pairs[i].lease);
	for (i = 0; i < WEIR_QUEUES_MAX && frames->pairs[i].lease != NULL; i++) {
		weir_frame_lease_free(frames->pairs[i].lease);
		frames->pairs[i].lease = NULL;
		pthread_mutex_destroy(&frames->pairs[i].lock);
	}
}

static int
pair_open(struct weir_endpoint *endpoint, uint16_t index)
{
	struct frames *frames = frames_of(endpoint);
	struct frames_pair *pair = &frames->pairs[index];

	pthread_mutex_init(&pair->lock, NULL);
	pair->lease = weir_frame_lease_create(&(struct weir_frame_lease_conf){
		.name = weir_endpoint_name(endpoint),
		.pair = index,
		.n_pairs = frames->n_pairs,
		.capacity = frames->capacity,
		.frame_bytes = frames->mtu + FRAMES_L2_BYTES,
		.numa_node = SOCKET_ID_ANY,
		.run = frames_run,
		.arg = pair,
	});
	return pair->lease != NULL ? 0 : -rte_errno;
}

static int
frames_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;
	int rc;

	frames->n_pairs = 1;
	frames->mtu = MTU_DEFAULT;
	frames->capacity = CAPACITY_DEFAULT;
	rc = weir_keys_number(keys, "queues", 1, WEIR_QUEUES_MAX, &frames->n_pairs);
	if (rc == 0)
		rc = weir_keys_number(keys, "capacity", 1, CAPACITY_MAX, &frames->capacity);
	if (rc == 0)
		rc = weir_keys_number(keys, "mtu", RTE_ETHER_MIN_MTU, MTU_MAX, &frames->mtu);
	for (i = 0; i < frames->n_pairs && rc == 0; i++)
		rc = pair_open(endpoint, i);
	if (rc != 0)
		pairs_close(frames);
	return rc;
}

static void
frames_close(struct weir_endpoint *endpoint)
{
	pairs_close(frames_of(endpoint));
}

static int
frames_accept(const struct weir_endpoint *endpoint, const struct weir_endpoint_client *client)
{
	const struct frames *frames = frames_of(endpoint);

	if (client->n_queues > frames->n_pairs)
		return weir_error(EINVAL,
				  "guest '%s': queues=%u: endpoint '%s' has %u: give the endpoint "
				  "queues=%u",
				  client->name, client->n_queues, weir_endpoint_name(endpoint),
				  (unsigned int)frames->n_pairs, client->n_queues);
	if (client->mtu <= frames->mtu)
		return 0;
	return weir_error(EINVAL,
			  "endpoint '%s': its frames have an mtu of %u, guest '%s' of %u: give the "
			  "endpoint mtu=%u",
			  weir_endpoint_name(endpoint), (unsigned int)frames->mtu, client->name,
			  client->mtu, client->mtu);
}

static void
queues_free(struct weir_queue **queues, uint16_t n_queues)
{
	uint16_t i;

	for (i = 0; i < n_queues; i++)
		weir_rx_ids_fini(&frames_queue(queues[i])->rx);
	weir_queues_free(queues, n_queues);
}

static int
queues_make(struct weir_endpoint *endpoint, struct weir_queue **queues, uint16_t n_queues)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, &frames_queue_ops, sizeof(struct frames_queue), queues,
			       n_queues);
	for (i = 0; rc == 0 && i < n_queues; i++) {
		struct frames_queue *q = frames_queue(queues[i]);

		q->lease = frames->pairs[i].lease;
		q->base.wake_fd = weir_wake_fd(&weir_frame_lease_queues(q->lease)->host_wake);
		if (weir_rx_ids_init(&q->rx) != 0) {
			queues_free(queues, n_queues);
			rc = weir_error(ENOMEM, "endpoint '%s': no memory for its queues",
					weir_endpoint_name(endpoint));
		}
	}
	return rc;
}

static int
frames_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		  struct weir_queue **queues)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;
	int rc;

	rc = frames_accept(endpoint, client);
	if (rc == 0)
		rc = queues_make(endpoint, queues, client->n_queues);
	if (rc != 0)
		return rc;
	for (i = 0; i < frames->n_pairs; i++) {
		struct frames_pair *pair = &frames->pairs[i];

		/* What was for the guest before is not for this one. */
		frames_run(pair, weir_frame_lease_discard, pair->lease);
		weir_frame_lease_set_mtu(pair->lease, client->mtu);
		if (i < client->n_queues)
			frames_pair_set_target(pair, client->target[i]);
	}
	/* The others follow as the guest takes them into use. */
	frames_pair_set_active(frames, 0, true);
	return 0;
}

static void
frames_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	    struct weir_queue **queues)
{
	struct frames *frames = frames_of(endpoint);
	uint16_t i;

	for (i = 0; i < frames->n_pairs; i++) {
		frames_pair_set_active(frames, i, false);
		frames_pair_set_target(&frames->pairs[i], NULL);
		weir_frame_lease_set_mtu(frames->pairs[i].lease, 0);
	}
	queues_free(queues, client->n_queues);
}

static uint32_t
frames_tx_offloads(const struct weir_endpoint *endpoint)
{
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
frames_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
frames_link_up(const struct weir_endpoint *endpoint)
{
	const struct frames *frames = frames_of(endpoint);
	uint16_t i;

	for (i = 0; i < frames->n_pairs; i++)
		if (!weir_frame_lease_is_attached(frames->pairs[i].lease))
			return false;
	return true;
}

static void
frames_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
	const struct frames *frames = frames_of(endpoint);
	struct weir_frame_lease_stats stats = {0}, one;
	uint16_t i, n_attached = 0;

	for (i = 0; i < frames->n_pairs; i++) {
		weir_frame_lease_stats(frames->pairs[i].lease, &one);
		stats.n_attaches += one.n_attaches;
		stats.n_frames += one.n_frames;
		stats.n_home += one.n_home;
		stats.n_reclaimed += one.n_reclaimed;
		n_attached += weir_frame_lease_is_attached(frames->pairs[i].lease);
	}
	rte_tel_data_add_dict_string(dict, "attached",
				     n_attached == frames->n_pairs ? "yes"
				     : n_attached > 0		   ? "partly"
								   : "no");
	rte_tel_data_add_dict_u64(dict, "queues", frames->n_pairs);
	rte_tel_data_add_dict_u64(dict, "attaches", stats.n_attaches);
	rte_tel_data_add_dict_u64(dict, "frames", stats.n_frames);
	rte_tel_data_add_dict_u64(dict, "frames_home", stats.n_home);
	rte_tel_data_add_dict_u64(dict, "frames_reclaimed", stats.n_reclaimed);
	rte_tel_data_add_dict_u64(dict, "mtu", frames->mtu);
}

static const char *const frames_keys[] = {"queues", "capacity", "mtu", NULL};

static const struct weir_endpoint_ops frames_ops = {
	.type = "frames",
	.usage = "queues=N    queue pairs of a guest that it serves, at most (1)\n"
		 "capacity=N  frames that wait each way, of each pair, at most (256)\n"
		 "mtu=N       largest of a guest that it serves (1500)\n",
	.keys = frames_keys,
	.state_size = sizeof(struct frames),
	.max_clients = 1,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = true,
	.open = frames_open,
	.close = frames_close,
	.accept = frames_accept,
	.get_queues = frames_get_queues,
	.stop = frames_stop,
	.tx_offloads = frames_tx_offloads,
	.link_speed = frames_link_speed,
	.link_up = frames_link_up,
	.inspect = frames_inspect,
};

WEIR_ENDPOINT_REGISTER(frames_ops);
