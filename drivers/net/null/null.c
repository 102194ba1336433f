/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * null: takes every frame and gives none. The smallest endpoint: a model for new
 * ones, and the sink to measure guests against.
 */
#include "weir_endpoint.h"

static bool
null_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	return false;
}

static void
null_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids, uint16_t n)
{
	/* Posted buffers wait for ever; stop() tells their owner to forget them. */
}

static int
null_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return 0;
}

static uint16_t
null_tx_avail(struct weir_queue *queue, struct weir_access *access,
	      const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	uint64_t bytes = 0;
	uint16_t i;

	for (i = 0; i < n_packets; i++, segments = weir_tx_next(segments))
		bytes += segments->frame_len;
	weir_count(&queue->stats.tx_packets, n_packets);
	weir_count(&queue->stats.tx_bytes, bytes);
	*done = true;
	return n_packets;
}

static int
null_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return 0;
}

static void
null_update_target(struct weir_queue *queue)
{
}

static void
null_set_active(struct weir_queue *queue, bool active)
{
}

static void
null_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
}

static const struct weir_queue_ops null_queue_ops = {
	.poll_ready = null_poll_ready,
	.rx_avail = null_rx_avail,
	.rx_poll = null_rx_poll,
	.tx_avail = null_tx_avail,
	.tx_poll = null_tx_poll,
	.update_target = null_update_target,
	.set_active = null_set_active,
	.inspect = null_queue_inspect,
};

static int
null_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	return 0;
}

static void
null_close(struct weir_endpoint *endpoint)
{
}

static void
null_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	  struct weir_queue **queues)
{
	weir_queues_free(queues, client->n_queues);
}

static int
null_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		struct weir_queue **queues)
{
	return weir_queues_alloc(endpoint, &null_queue_ops, sizeof(struct weir_queue), queues,
				 client->n_queues);
}

static uint32_t
null_tx_offloads(const struct weir_endpoint *endpoint)
{
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
null_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
null_link_up(const struct weir_endpoint *endpoint)
{
	return true;
}

static void
null_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
}

static const char *const null_keys[] = {NULL};

static const struct weir_endpoint_ops null_ops = {
	.type = "null",
	.usage = "",
	.keys = null_keys,
	.state_size = 0,
	.max_clients = 0,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = true,
	.open = null_open,
	.close = null_close,
	.get_queues = null_get_queues,
	.stop = null_stop,
	.tx_offloads = null_tx_offloads,
	.link_speed = null_link_speed,
	.link_up = null_link_up,
	.inspect = null_inspect,
};

WEIR_ENDPOINT_REGISTER(null_ops);
