/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "weir_endpoint.h"
#include "weir_error.h"

#define DRIVERS_MAX 16

struct weir_endpoint {
	struct weir_object object;
	const struct weir_endpoint_ops *ops;

	pthread_mutex_t lock; /* of what follows */
	TAILQ_HEAD(, claim) claims;
	uint16_t n_claims;
	TAILQ_HEAD(, attached) attached;
	struct weir_queue_stats past;	 /* of queues that are gone */
	struct weir_queue_stats cleared; /* what was counted when it was cleared */
	uint64_t state[];		 /* uint64_t for its alignment */
};

/** A place that a guest has reserved. */
struct claim {
	TAILQ_ENTRY(claim) next;
	char guest[WEIR_OBJECT_NAMESIZE];
};

/** A client's queues, for as long as it has them. */
struct attached {
	TAILQ_ENTRY(attached) next;
	struct weir_endpoint_client *client;
	struct weir_queue *queues[WEIR_QUEUES_MAX];
};

static const struct weir_endpoint_ops *drivers[DRIVERS_MAX];
static unsigned int n_drivers;

/** The lcores go on counting meanwhile: each sum is of one moment, all of them are not. */
static void
stats_add(struct weir_queue_stats *sum, const struct weir_queue_stats *stats)
{
	sum->tx_packets += __atomic_load_n(&stats->tx_packets, __ATOMIC_RELAXED);
	sum->tx_bytes += __atomic_load_n(&stats->tx_bytes, __ATOMIC_RELAXED);
	sum->rx_packets += __atomic_load_n(&stats->rx_packets, __ATOMIC_RELAXED);
	sum->rx_bytes += __atomic_load_n(&stats->rx_bytes, __ATOMIC_RELAXED);
	sum->tx_dropped += __atomic_load_n(&stats->tx_dropped, __ATOMIC_RELAXED);
	sum->tx_busy += __atomic_load_n(&stats->tx_busy, __ATOMIC_RELAXED);
	sum->rx_dropped += __atomic_load_n(&stats->rx_dropped, __ATOMIC_RELAXED);
}

static void
endpoint_info(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_endpoint *endpoint = container_of(object, struct weir_endpoint, object);
	struct rte_tel_data *guests = rte_tel_data_alloc();
	struct attached *attached;

	rte_tel_data_add_dict_string(dict, "name", object->name);
	rte_tel_data_add_dict_string(dict, "type", endpoint->ops->type);
	rte_tel_data_add_dict_string(dict, "link",
				     endpoint->ops->link_up(endpoint) ? "up" : "down");
	rte_tel_data_add_dict_u64(dict, "link_speed_mbps", endpoint->ops->link_speed(endpoint));
	endpoint->ops->inspect(endpoint, dict);
	if (guests == NULL)
		return;
	rte_tel_data_start_array(guests, RTE_TEL_STRING_VAL);
	pthread_mutex_lock(&endpoint->lock);
	TAILQ_FOREACH(attached, &endpoint->attached, next)
		rte_tel_data_add_array_string(guests, attached->client->name);
	pthread_mutex_unlock(&endpoint->lock);
	rte_tel_data_add_dict_container(dict, "guests", guests, 0);
}

static void
endpoint_stats(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_queue_stats stats;

	weir_endpoint_stats(container_of(object, struct weir_endpoint, object), &stats);
	rte_tel_data_add_dict_u64(dict, "tx_packets", stats.tx_packets);
	rte_tel_data_add_dict_u64(dict, "tx_bytes", stats.tx_bytes);
	rte_tel_data_add_dict_u64(dict, "tx_dropped_host", stats.tx_dropped);
	rte_tel_data_add_dict_u64(dict, "tx_busy_bursts", stats.tx_busy);
	rte_tel_data_add_dict_u64(dict, "rx_packets", stats.rx_packets);
	rte_tel_data_add_dict_u64(dict, "rx_bytes", stats.rx_bytes);
	rte_tel_data_add_dict_u64(dict, "rx_dropped_host", stats.rx_dropped);
}

static struct weir_class endpoint_class = {
	.room = "endpoint",
	.info = endpoint_info,
	.stats = endpoint_stats,
};

WEIR_CLASS_REGISTER(endpoint_class);

void
weir_endpoint_register(const struct weir_endpoint_ops *ops)
{
	unsigned int i, at;

	if (ops->type == NULL || ops->usage == NULL || ops->keys == NULL || ops->open == NULL ||
	    ops->close == NULL || ops->get_queues == NULL || ops->stop == NULL ||
	    ops->tx_offloads == NULL || ops->link_speed == NULL || ops->link_up == NULL ||
	    ops->inspect == NULL || n_drivers == DRIVERS_MAX) {
		fprintf(stderr,
			"weir: endpoint driver %s is incomplete, or the table of %d is full\n",
			ops->type ? ops->type : "?", DRIVERS_MAX);
		abort();
	}
	for (at = 0; at < n_drivers && strcmp(drivers[at]->type, ops->type) < 0; at++)
		;
	if (at < n_drivers && strcmp(drivers[at]->type, ops->type) == 0) {
		fprintf(stderr, "weir: two endpoint drivers are called %s\n", ops->type);
		abort();
	}
	for (i = n_drivers++; i > at; i--)
		drivers[i] = drivers[i - 1];
	drivers[at] = ops;
}

const struct weir_endpoint_ops *
weir_endpoint_driver(unsigned int index)
{
	return index < n_drivers ? drivers[index] : NULL;
}

/** Every driver's type, for an error that says what would be right. */
static const char *
driver_types(char *text, size_t size)
{
	unsigned int i;
	size_t used = 0;

	text[0] = '\0';
	for (i = 0; i < n_drivers && used < size; i++)
		used += snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
				 drivers[i]->type);
	return text;
}

static const struct weir_endpoint_ops *
driver_find(const char *type)
{
	unsigned int i;

	for (i = 0; i < n_drivers; i++)
		if (strcmp(drivers[i]->type, type) == 0)
			return drivers[i];
	return NULL;
}

static const char *const common_keys[] = {"name", "type", NULL};

/** The word behind the next comma that is not quoted; NULL when there is none. */
static const char *
word_after(const char *at)
{
	bool quoted = false;

	for (; *at != '\0'; at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (*at == ',' && !quoted)
			return at + 1;
	}
	return NULL;
}

/** The driver for `type`, before its own keys are known: the rest is checked by the second parse.
 */
static const struct weir_endpoint_ops *
driver_of_keys(const char *text)
{
	char type[WEIR_OBJECT_NAMESIZE] = "", list[256];
	const struct weir_endpoint_ops *ops;
	const char *at = text;

	while (at != NULL && strncmp(at, "type=", 5) != 0)
		at = word_after(at);
	if (at == NULL) {
		rte_errno = -weir_error(
			EINVAL, "--endpoint: the key 'type' is missing: add type= one of %s",
			driver_types(list, sizeof(list)));
		return NULL;
	}
	snprintf(type, sizeof(type), "%.*s", (int)strcspn(at + 5, ","), at + 5);
	ops = driver_find(type);
	if (ops == NULL)
		rte_errno = -weir_error(EINVAL, "--endpoint: unknown type '%s': the types are %s",
					type, driver_types(list, sizeof(list)));
	return ops;
}

static int
endpoint_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	const char *name;
	int rc;

	rc = weir_keys_need(keys, "name", &name);
	if (rc != 0)
		return rc;
	rc = weir_object_check_name(name);
	if (rc != 0)
		return weir_error(-rc, "--endpoint: %s", weir_error_text());
	if (weir_object_find(&endpoint_class, name) != NULL)
		return weir_error(EEXIST,
				  "--endpoint: there is already an endpoint '%s': names are unique",
				  name);
	/* The driver may speak of itself while it opens. */
	snprintf(endpoint->object.name, sizeof(endpoint->object.name), "%s", name);
	rc = endpoint->ops->open(endpoint, keys);
	if (rc != 0)
		return rc;
	rc = weir_object_add(&endpoint_class, &endpoint->object, name);
	if (rc != 0)
		endpoint->ops->close(endpoint);
	return rc;
}

struct weir_endpoint *
weir_endpoint_create(const char *text)
{
	const struct weir_endpoint_ops *ops = driver_of_keys(text);
	struct weir_endpoint *endpoint;
	struct weir_keys *keys;
	int rc;

	if (ops == NULL)
		return NULL;
	keys = weir_keys_parse("--endpoint", text, ops->keys, common_keys);
	if (keys == NULL)
		return NULL;
	endpoint = calloc(1, sizeof(*endpoint) + ops->state_size);
	if (endpoint == NULL) {
		rc = weir_error(ENOMEM, "--endpoint: no memory");
	} else {
		endpoint->ops = ops;
		pthread_mutex_init(&endpoint->lock, NULL);
		TAILQ_INIT(&endpoint->claims);
		TAILQ_INIT(&endpoint->attached);
		rc = endpoint_open(endpoint, keys);
	}
	weir_keys_free(keys);
	if (rc != 0) {
		free(endpoint);
		rte_errno = -rc;
		return NULL;
	}
	return endpoint;
}

void
weir_endpoint_free(struct weir_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	weir_object_remove(&endpoint_class, &endpoint->object);
	endpoint->ops->close(endpoint);
	pthread_mutex_destroy(&endpoint->lock);
	free(endpoint);
}

struct weir_endpoint *
weir_endpoint_find(const char *name)
{
	struct weir_object *object = weir_object_find(&endpoint_class, name);

	return object != NULL ? container_of(object, struct weir_endpoint, object) : NULL;
}

const char *
weir_endpoint_name(const struct weir_endpoint *endpoint)
{
	return endpoint->object.name;
}

const struct weir_endpoint_ops *
weir_endpoint_ops(const struct weir_endpoint *endpoint)
{
	return endpoint->ops;
}

void *
weir_endpoint_state(const struct weir_endpoint *endpoint)
{
	return (void *)(uintptr_t)endpoint->state;
}

int
weir_endpoint_claim(struct weir_endpoint *endpoint, const char *guest)
{
	struct claim *claim = calloc(1, sizeof(*claim));
	uint16_t max = endpoint->ops->max_clients;
	int rc = 0;

	if (claim == NULL)
		return weir_error(ENOMEM, "endpoint '%s': no memory", endpoint->object.name);
	snprintf(claim->guest, sizeof(claim->guest), "%s", guest);
	pthread_mutex_lock(&endpoint->lock);
	if (max != 0 && endpoint->n_claims == max) {
		rc = weir_error(EBUSY,
				"endpoint '%s' (%s) serves %u guest%s at most, '%s' among them: "
				"give guest '%s' an endpoint of its own",
				endpoint->object.name, endpoint->ops->type, max,
				max == 1 ? "" : "s", TAILQ_FIRST(&endpoint->claims)->guest, guest);
		free(claim);
	} else {
		TAILQ_INSERT_TAIL(&endpoint->claims, claim, next);
		endpoint->n_claims++;
	}
	pthread_mutex_unlock(&endpoint->lock);
	return rc;
}

void
weir_endpoint_unclaim(struct weir_endpoint *endpoint, const char *guest)
{
	struct claim *claim;

	pthread_mutex_lock(&endpoint->lock);
	TAILQ_FOREACH(claim, &endpoint->claims, next)
		if (strcmp(claim->guest, guest) == 0)
			break;
	if (claim != NULL) {
		TAILQ_REMOVE(&endpoint->claims, claim, next);
		endpoint->n_claims--;
	}
	pthread_mutex_unlock(&endpoint->lock);
	free(claim);
}

int
weir_endpoint_accept(const struct weir_endpoint *endpoint,
		     const struct weir_endpoint_client *client)
{
	if (client->n_queues > 1 && !endpoint->ops->multiqueue)
		return weir_error(EINVAL,
				  "guest '%s': queues=%u: endpoint '%s' (%s) has one queue pair "
				  "only",
				  client->name, client->n_queues, endpoint->object.name,
				  endpoint->ops->type);
	return endpoint->ops->accept != NULL ? endpoint->ops->accept(endpoint, client) : 0;
}

int
weir_queues_alloc(struct weir_endpoint *endpoint, const struct weir_queue_ops *ops,
		  size_t queue_size, struct weir_queue **queues, uint16_t n)
{
	size_t size = RTE_CACHE_LINE_ROUNDUP(queue_size);
	uint16_t i;

	for (i = 0; i < n; i++) {
		queues[i] = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
		if (queues[i] == NULL) {
			weir_queues_free(queues, i);
			return weir_error(ENOMEM, "endpoint '%s': no memory for its queues",
					  endpoint->object.name);
		}
		memset(queues[i], 0, size);
		queues[i]->ops = ops;
		queues[i]->wake_fd = -1;
	}
	return 0;
}

void
weir_queues_free(struct weir_queue **queues, uint16_t n)
{
	while (n-- > 0)
		free(queues[n]);
}

int
weir_endpoint_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
			 struct weir_queue **queues)
{
	struct attached *attached = calloc(1, sizeof(*attached));
	uint16_t i;
	int rc;

	if (attached == NULL)
		return weir_error(ENOMEM, "endpoint '%s': no memory", endpoint->object.name);
	rc = endpoint->ops->get_queues(endpoint, client, queues);
	if (rc != 0) {
		free(attached);
		return rc;
	}
	attached->client = client;
	for (i = 0; i < client->n_queues; i++) {
		attached->queues[i] = queues[i];
		queues[i]->endpoint = endpoint;
		queues[i]->target = client->target[i];
		queues[i]->index = i;
	}
	pthread_mutex_lock(&endpoint->lock);
	TAILQ_INSERT_TAIL(&endpoint->attached, attached, next);
	pthread_mutex_unlock(&endpoint->lock);
	return 0;
}

void
weir_endpoint_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		   struct weir_queue **queues)
{
	struct attached *attached;
	uint16_t i;

	pthread_mutex_lock(&endpoint->lock);
	TAILQ_FOREACH(attached, &endpoint->attached, next)
		if (attached->client == client)
			break;
	if (attached != NULL) {
		TAILQ_REMOVE(&endpoint->attached, attached, next);
		for (i = 0; i < client->n_queues; i++)
			stats_add(&endpoint->past, &queues[i]->stats);
	}
	pthread_mutex_unlock(&endpoint->lock);
	free(attached);
	endpoint->ops->stop(endpoint, client, queues);
}

void
weir_endpoint_tend(struct weir_endpoint *endpoint)
{
	if (endpoint->ops->tend != NULL)
		endpoint->ops->tend(endpoint);
}

static void
stats_sum_locked(struct weir_endpoint *endpoint, struct weir_queue_stats *stats)
{
	struct attached *attached;
	uint16_t i;

	*stats = endpoint->past;
	TAILQ_FOREACH(attached, &endpoint->attached, next)
		for (i = 0; i < attached->client->n_queues; i++)
			stats_add(stats, &attached->queues[i]->stats);
}

void
weir_endpoint_clear_stats(struct weir_endpoint *endpoint)
{
	/* A counter has one writer, its lcore: it goes on, and what it had is taken off. */
	pthread_mutex_lock(&endpoint->lock);
	stats_sum_locked(endpoint, &endpoint->cleared);
	pthread_mutex_unlock(&endpoint->lock);
}

void
weir_endpoint_stats(struct weir_endpoint *endpoint, struct weir_queue_stats *stats)
{
	const struct weir_queue_stats *cleared = &endpoint->cleared;

	pthread_mutex_lock(&endpoint->lock);
	stats_sum_locked(endpoint, stats);
	stats->tx_packets -= cleared->tx_packets;
	stats->tx_bytes -= cleared->tx_bytes;
	stats->rx_packets -= cleared->rx_packets;
	stats->rx_bytes -= cleared->rx_bytes;
	stats->tx_dropped -= cleared->tx_dropped;
	stats->tx_busy -= cleared->tx_busy;
	stats->rx_dropped -= cleared->rx_dropped;
	pthread_mutex_unlock(&endpoint->lock);
}
