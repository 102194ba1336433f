/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>

#include "guest.h"

RTE_LOG_REGISTER(weir_guest_logtype, weir.guest, INFO);

#define MTU_MIN 68 /* RFC 791: every link carries 68 bytes */
#define MTU_MAX 65535
#define MTU_DEFAULT 1500

static const char *const guest_keys[] = {"name", "socket", "endpoint",	"mode",	  "queues",   "mtu",
					 "csum", "tso",	   "mrg_rxbuf", "budget", "datapath", NULL};
static const char *const mode_words[] = {"server", "client", NULL};
static const char *const path_words[] = {"engine", "library", NULL};

static const char *const state_names[] = {
	[GUEST_CREATED] = "created", [GUEST_WAITING] = "waiting", [GUEST_CONNECTED] = "connected",
	[GUEST_UP] = "up",	     [GUEST_FAILED] = "failed",
};

const char *
weir_guest_usage(void)
{
	return "name=NAME           of the guest, unique\n"
	       "socket=PATH         vhost-user socket, at most 107 characters\n"
	       "endpoint=NAME       where its frames go to and come from\n"
	       "mode=server|client  weir makes the socket, or connects and reconnects (server)\n"
	       "queues=1..16        queue pairs, at most (1)\n"
	       "mtu=68..65535       largest Ethernet payload (1500)\n"
	       "csum=on|off         offer checksum offload, both ways (on)\n"
	       "tso=on|off          offer TCP segmentation offload, both ways (on)\n"
	       "mrg_rxbuf=on|off    offer mergeable receive buffers (on)\n"
	       "budget=BYTES        most its frames may take, K, M or G allowed (no limit)\n"
	       "datapath=engine|library  rings by weir's engine, or by librte_vhost (engine)\n";
}

void
guest_set_state(struct weir_guest *guest, enum guest_state state, const char *fmt, ...)
{
	char reason[WEIR_ERROR_TEXTSIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&guest->lock);
	guest->state = state;
	memcpy(guest->reason, reason, sizeof(reason));
	pthread_mutex_unlock(&guest->lock);
}

/* Telemetry. */

static void
info_features(const struct weir_guest *guest, struct rte_tel_data *dict)
{
	struct rte_tel_data *list = rte_tel_data_alloc();
	unsigned int bit;
	char text[20];

	snprintf(text, sizeof(text), "0x%lx", (unsigned long)guest->features);
	rte_tel_data_add_dict_string(dict, "features_bits", text);
	if (list == NULL)
		return;
	rte_tel_data_start_array(list, RTE_TEL_STRING_VAL);
	for (bit = 0; bit < 64; bit++)
		if (guest->features & RTE_BIT64(bit))
			rte_tel_data_add_array_string(list, front_end_feature_name(bit));
	rte_tel_data_add_dict_container(dict, "features", list, 0);
}

static void
info_pairs(const struct weir_guest *guest, struct rte_tel_data *dict)
{
	struct rte_tel_data *list, *one;
	char name[16];
	uint16_t i;

	list = rte_tel_data_alloc();
	if (list == NULL)
		return;
	rte_tel_data_start_dict(list);
	for (i = 0; i < guest->n_pairs; i++) {
		one = rte_tel_data_alloc();
		if (one == NULL)
			break;
		rte_tel_data_start_dict(one);
		rte_tel_data_add_dict_string(one, "rx",
					     guest->rx_enabled[i] ? "enabled" : "disabled");
		rte_tel_data_add_dict_string(one, "tx",
					     guest->tx_enabled[i] ? "enabled" : "disabled");
		if (guest->pairs[i] != NULL) {
			rte_tel_data_add_dict_u64(one, "lcore", guest->pairs[i]->target->lcore);
			rte_tel_data_add_dict_string(
				one, "broken",
				guest->pairs[i]->broken != NULL ? guest->pairs[i]->broken : "no");
		}
		if (guest->queues[i] != NULL)
			guest->queues[i]->ops->inspect(guest->queues[i], one);
		snprintf(name, sizeof(name), "pair_%u", i);
		rte_tel_data_add_dict_container(list, name, one, 0);
	}
	rte_tel_data_add_dict_container(dict, "pairs", list, 0);
}

static void
guest_info(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_guest *guest = container_of(object, struct weir_guest, object);

	pthread_mutex_lock(&guest->lock);
	rte_tel_data_add_dict_string(dict, "name", object->name);
	rte_tel_data_add_dict_string(dict, "state", state_names[guest->state]);
	rte_tel_data_add_dict_string(dict, "reason", guest->reason);
	rte_tel_data_add_dict_string(dict, "socket", guest->socket);
	rte_tel_data_add_dict_string(dict, "mode", mode_words[guest->client]);
	rte_tel_data_add_dict_string(dict, "endpoint", weir_endpoint_name(guest->endpoint));
	rte_tel_data_add_dict_string(
		dict, "link",
		weir_endpoint_ops(guest->endpoint)->link_up(guest->endpoint) ? "up" : "down");
	rte_tel_data_add_dict_string(dict, "datapath", guest->path->name);
	rte_tel_data_add_dict_u64(dict, "queues", guest->n_pairs);
	rte_tel_data_add_dict_u64(dict, "mtu", guest->mtu);
	rte_tel_data_add_dict_int(dict, "numa_node", guest->numa_node);
	rte_tel_data_add_dict_u64(dict, "connects", guest->n_connects);
	rte_tel_data_add_dict_u64(dict, "ups", guest->n_ups);
	info_features(guest, dict);
	info_pairs(guest, dict);
	pthread_mutex_unlock(&guest->lock);
}

static void
stats_sum_locked(const struct weir_guest *guest, struct pair_stats *sum)
{
	uint16_t i;

	*sum = guest->past;
	for (i = 0; i < guest->n_pairs; i++)
		if (guest->pairs[i] != NULL) {
			pair_stats_add(sum, &guest->pairs[i]->stats);
			guest->path->stats(guest->pairs[i], sum);
		}
}

static void
guest_stats(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_guest *guest = container_of(object, struct weir_guest, object);
	struct pair_stats sum;

	pthread_mutex_lock(&guest->lock);
	stats_sum_locked(guest, &sum);
	pthread_mutex_unlock(&guest->lock);
	rte_tel_data_add_dict_u64(dict, "tx_packets", sum.tx_packets);
	rte_tel_data_add_dict_u64(dict, "tx_bytes", sum.tx_bytes);
	rte_tel_data_add_dict_u64(dict, "rx_packets", sum.rx_packets);
	rte_tel_data_add_dict_u64(dict, "rx_bytes", sum.rx_bytes);
	rte_tel_data_add_dict_u64(dict, "tx_waits", sum.tx_waits);
	rte_tel_data_add_dict_u64(dict, "rx_waits", sum.rx_waits);
	rte_tel_data_add_dict_u64(dict, "calls", sum.calls);
	rte_tel_data_add_dict_u64(dict, "tx_dropped_malformed", sum.tx_dropped_malformed);
	rte_tel_data_add_dict_u64(dict, "tx_dropped_too_long", sum.tx_dropped_too_long);
	rte_tel_data_add_dict_u64(dict, "tx_dropped_stopped", sum.tx_dropped_stopped);
	rte_tel_data_add_dict_u64(dict, "rx_dropped_too_long", sum.rx_dropped_too_long);
	rte_tel_data_add_dict_u64(dict, "rx_dropped_no_offload", sum.rx_dropped_no_offload);
	rte_tel_data_add_dict_u64(dict, "rx_dropped_no_buffers", sum.rx_dropped_no_buffers);
	rte_tel_data_add_dict_u64(dict, "rx_finished", sum.rx_finished);
	rte_tel_data_add_dict_u64(dict, "rx_dropped_stopped", sum.rx_dropped_stopped);
}

struct weir_class guest_class = {
	.room = "guest",
	.info = guest_info,
	.stats = guest_stats,
};

WEIR_CLASS_REGISTER(guest_class);

struct weir_guest *
guest_of_socket(const char *socket)
{
	struct weir_object *object;
	struct weir_guest *guest, *found = NULL;

	pthread_mutex_lock(&guest_class.lock);
	TAILQ_FOREACH(object, &guest_class.objects, next) {
		guest = container_of(object, struct weir_guest, object);
		if (strcmp(guest->socket, socket) == 0) {
			found = guest;
			break;
		}
	}
	pthread_mutex_unlock(&guest_class.lock);
	return found;
}

/* Frame pools: one each way, made on the node where the guest's memory lives. */

/**
 * A peer that took frames over gives them back as its own guest takes them, or when
 * it stops: wait a moment for that. What is out even then stays, said and intact: a
 * pool is never pulled from under a frame.
 */
static int
pool_free_patiently(struct weir_guest *guest, struct weir_frame_pool **pool)
{
	unsigned int tries;
	int rc = 0;

	for (tries = 0; tries < 100; tries++) {
		rc = weir_frame_pool_free(*pool);
		if (rc == 0) {
			*pool = NULL;
			return 0;
		}
		usleep(10000);
	}
	WEIR_LOG(guest, WARNING, "guest %s: frames are still with a peer: their pool stays: %s",
		 guest->object.name, weir_error_text());
	return rc;
}

int
guest_pools_free(struct weir_guest *guest)
{
	int tx = pool_free_patiently(guest, &guest->tx_frames);
	int rx = pool_free_patiently(guest, &guest->rx_frames);

	return tx != 0 ? tx : rx;
}

int
guest_pools_create(struct weir_guest *guest, int numa_node)
{
	/* A frame of segmentation is a chain: short rooms would make it a long one. */
	uint32_t mtu = RTE_MAX(guest->mtu, MTU_DEFAULT);
	struct weir_frame_pool_conf conf = {
		.mtu = RTE_MIN(mtu, (uint32_t)WEIR_FRAME_MTU_MAX),
		.capacity = WEIR_FRAME_CAPACITY_DEFAULT,
		.numa_node = numa_node,
		.budget = guest->budget,
	};
	char name[WEIR_OBJECT_NAMESIZE];

	/* One that could not be freed, because its frames are out, stays. */
	snprintf(name, sizeof(name), "%.20s.tx%d", guest->object.name, numa_node);
	if (guest->tx_frames == NULL)
		guest->tx_frames = weir_frame_pool_create(name, &conf);
	if (guest->tx_frames == NULL)
		return -rte_errno;
	snprintf(name, sizeof(name), "%.20s.rx%d", guest->object.name, numa_node);
	if (guest->rx_frames == NULL)
		guest->rx_frames = weir_frame_pool_create(name, &conf);
	if (guest->rx_frames == NULL) {
		guest_pools_free(guest);
		return -rte_errno;
	}
	guest->pool_node = numa_node;
	return 0;
}

/* Creation. */

static int
keys_read_socket(struct weir_guest *guest, const struct weir_keys *keys)
{
	const struct weir_guest *other;
	const char *path;
	int rc;

	rc = weir_keys_need(keys, "socket", &path);
	if (rc != 0)
		return rc;
	if (strlen(path) >= sizeof(guest->socket))
		return weir_error(ENAMETOOLONG,
				  "--guest: socket=%s has %zu characters: a unix socket's path has "
				  "at most %zu",
				  path, strlen(path), sizeof(guest->socket) - 1);
	if (path[strlen(path) - 1] == '/')
		return weir_error(EINVAL, "--guest: socket=%s is a directory: name a file in it",
				  path);
	other = guest_of_socket(path);
	if (other != NULL)
		return weir_error(EEXIST,
				  "--guest: socket=%s is guest '%s' already: each guest needs a "
				  "socket of its own",
				  path, other->object.name);
	snprintf(guest->socket, sizeof(guest->socket), "%s", path);
	return 0;
}

static int
keys_read_endpoint(struct weir_guest *guest, const struct weir_keys *keys)
{
	const char *name;
	int rc;

	rc = weir_keys_need(keys, "endpoint", &name);
	if (rc != 0)
		return rc;
	guest->endpoint = weir_endpoint_find(name);
	if (guest->endpoint == NULL)
		return weir_error(ENOENT,
				  "--guest: endpoint=%s: there is no such endpoint: add --endpoint "
				  "name=%s,type=...",
				  name, name);
	return 0;
}

static int
keys_read(struct weir_guest *guest, const struct weir_keys *keys)
{
	uint64_t queues = 1, mtu = MTU_DEFAULT;
	unsigned int mode = 0, path = 0;
	int rc;

	guest->csum = true;
	guest->tso = true;
	guest->mrg_rxbuf = true;
	guest->budget_bytes = WEIR_BUDGET_UNLIMITED;
	rc = keys_read_socket(guest, keys);
	if (rc == 0)
		rc = keys_read_endpoint(guest, keys);
	if (rc == 0)
		rc = weir_keys_choice(keys, "mode", mode_words, &mode);
	if (rc == 0)
		rc = weir_keys_choice(keys, "datapath", path_words, &path);
	if (rc == 0)
		rc = weir_keys_number(keys, "queues", 1, WEIR_QUEUES_MAX, &queues);
	if (rc == 0)
		rc = weir_keys_number(keys, "mtu", MTU_MIN, MTU_MAX, &mtu);
	if (rc == 0)
		rc = weir_keys_switch(keys, "csum", &guest->csum);
	if (rc == 0)
		rc = weir_keys_switch(keys, "tso", &guest->tso);
	if (rc == 0)
		rc = weir_keys_switch(keys, "mrg_rxbuf", &guest->mrg_rxbuf);
	if (rc == 0)
		rc = weir_keys_bytes(keys, "budget", 1, UINT64_MAX, &guest->budget_bytes);
	guest->client = mode == 1;
	guest->path = path == 0 ? &engine_path : &library_path;
	guest->n_pairs = queues;
	guest->mtu = mtu;
	return rc;
}

static int
guest_open(struct weir_guest *guest, const struct weir_keys *keys, struct weir_budget *host)
{
	const char *name;
	int rc;

	rc = weir_keys_need(keys, "name", &name);
	if (rc != 0)
		return rc;
	rc = keys_read(guest, keys);
	if (rc == 0)
		rc = weir_endpoint_accept(guest->endpoint, &(struct weir_endpoint_client){
								   .name = name,
								   .n_queues = guest->n_pairs,
								   .mtu = guest->mtu,
							   });
	if (rc != 0)
		return rc;
	rc = weir_object_add(&guest_class, &guest->object, name);
	if (rc != 0)
		return weir_error(-rc, "--guest: %s", weir_error_text());
	rc = weir_endpoint_claim(guest->endpoint, name);
	if (rc != 0)
		goto remove;
	guest->budget = weir_budget_create(name, host, guest->budget_bytes);
	if (guest->budget == NULL) {
		rc = weir_error(rte_errno, "guest '%s': %s", name, weir_error_text());
		goto unclaim;
	}
	rc = guest_pools_create(guest, SOCKET_ID_ANY);
	if (rc != 0) {
		weir_error(-rc, "guest '%s': %s%s", name, weir_error_text(),
			   rc == -ENOMEM ? ": give EAL more memory, by -m or more huge pages" : "");
		goto free_budget;
	}
	guest_points_add(guest);
	return 0;
free_budget:
	weir_budget_free(guest->budget);
unclaim:
	weir_endpoint_unclaim(guest->endpoint, name);
remove:
	weir_object_remove(&guest_class, &guest->object);
	return rc;
}

struct weir_guest *
weir_guest_create(const char *text, struct weir_scheduler *scheduler, struct weir_budget *host)
{
	struct weir_keys *keys = weir_keys_parse("--guest", text, guest_keys, NULL);
	struct weir_guest *guest;
	int rc;

	if (keys == NULL)
		return NULL;
	guest = calloc(1, sizeof(*guest));
	if (guest == NULL) {
		rc = weir_error(ENOMEM, "--guest: no memory");
	} else {
		guest->scheduler = scheduler;
		guest->vid = -1;
		guest->numa_node = SOCKET_ID_ANY;
		snprintf(guest->reason, sizeof(guest->reason), "not started");
		pthread_mutex_init(&guest->lock, NULL);
		pthread_mutex_init(&guest->session, NULL);
		rc = guest_open(guest, keys, host);
	}
	weir_keys_free(keys);
	if (rc != 0) {
		free(guest);
		rte_errno = -rc;
		return NULL;
	}
	return guest;
}

int
weir_guest_start(struct weir_guest *guest)
{
	int rc = socket_check(guest->socket, guest->client);

	fault_catch();
	call_catch();
	if (rc == 0)
		rc = front_end_start(guest);
	if (rc != 0)
		return weir_error(-rc, "guest '%s': %s", guest->object.name, weir_error_text());
	return 0;
}

const char *
weir_guest_name(const struct weir_guest *guest)
{
	return guest->object.name;
}

struct weir_endpoint *
weir_guest_endpoint(const struct weir_guest *guest)
{
	return guest->endpoint;
}

void
weir_guest_clear_stats(struct weir_guest *guest)
{
	struct pair_stats sum;

	/* A counter has one writer, its lcore: it goes on, and the past owes what it had. */
	pthread_mutex_lock(&guest->lock);
	stats_sum_locked(guest, &sum);
	pair_stats_take(&guest->past, &sum);
	pthread_mutex_unlock(&guest->lock);
}

void
weir_guest_tend(struct weir_guest *guest)
{
	call_tend(guest);
	session_tend(guest);
}

void
weir_guest_stop(struct weir_guest *guest)
{
	front_end_stop(guest);
}

int
weir_guest_finish(struct weir_guest *guest)
{
	weir_guest_stop(guest);
	if (guest_pools_free(guest) == 0)
		return 0;
	guest_set_state(guest, GUEST_CREATED, "disconnected, but a peer holds frames of it");
	return weir_error(EBUSY,
			  "guest '%s' is disconnected, but a peer holds frames of it: remove it "
			  "again when the peer has taken them, or is removed",
			  guest->object.name);
}

void
weir_guest_free(struct weir_guest *guest)
{
	if (guest == NULL)
		return;
	weir_guest_stop(guest);
	guest_points_remove(guest);
	weir_object_remove(&guest_class, &guest->object);
	weir_endpoint_unclaim(guest->endpoint, guest->object.name);
	guest_pools_free(guest);
	weir_budget_free(guest->budget);
	pthread_mutex_destroy(&guest->session);
	pthread_mutex_destroy(&guest->lock);
	free(guest);
}
