/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loopback: gives every frame back to the guest that sent it, each queue pair for
 * itself. Measures the guest port and nothing else; a guest's ring that is full of
 * frames not yet read holds its own sending back.
 */
#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_rx_ids.h"

struct loopback_queue {
	struct weir_queue base;
	struct weir_rx_ids rx;
};

static inline struct loopback_queue *
loopback_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct loopback_queue, base);
}

static bool
loopback_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	/* Nothing comes by itself: every frame is the answer to one the guest sent. */
	return weir_rx_ids_n_filled(&loopback_queue(queue)->rx) > 0;
}

static void
loopback_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
		  uint16_t n)
{
	weir_rx_ids_post(&loopback_queue(queue)->rx, ids, n);
}

static int
loopback_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return weir_rx_ids_take(&loopback_queue(queue)->rx, ids, n);
}

static uint16_t
loopback_tx_avail(struct weir_queue *queue, struct weir_access *access,
		  const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct loopback_queue *q = loopback_queue(queue);
	uint16_t n = RTE_MIN(n_packets, weir_rx_ids_n_empty(&q->rx));
	const struct weir_tx_segment *head = segments;
	uint64_t bytes = 0;
	uint16_t i;

	*done = true;
	if (n > 0)
		n = access->ops->write_packet_segments(access, weir_rx_ids_empty(&q->rx), access,
						       segments, n);
	weir_rx_ids_fill(&q->rx, n);
	for (i = 0; i < n; i++, head = weir_tx_next(head))
		bytes += head->frame_len;
	weir_count(&queue->stats.tx_packets, n);
	weir_count(&queue->stats.tx_bytes, bytes);
	weir_count(&queue->stats.rx_packets, n);
	weir_count(&queue->stats.rx_bytes, bytes);
	weir_count(&queue->stats.tx_busy, n < n_packets);
	return n;
}

static int
loopback_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return 0;
}

static void
loopback_update_target(struct weir_queue *queue)
{
}

static void
loopback_set_active(struct weir_queue *queue, bool active)
{
	/* Frames go back to the pair they came from, and only a pair in use sends. */
}

static void
loopback_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
}

static const struct weir_queue_ops loopback_queue_ops = {
	.poll_ready = loopback_poll_ready,
	.rx_avail = loopback_rx_avail,
	.rx_poll = loopback_rx_poll,
	.tx_avail = loopback_tx_avail,
	.tx_poll = loopback_tx_poll,
	.update_target = loopback_update_target,
	.set_active = loopback_set_active,
	.inspect = loopback_queue_inspect,
};

static int
loopback_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	return 0;
}

static void
loopback_close(struct weir_endpoint *endpoint)
{
}

static void
loopback_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	      struct weir_queue **queues)
{
	uint16_t i;

	for (i = 0; i < client->n_queues; i++)
		weir_rx_ids_fini(&loopback_queue(queues[i])->rx);
	weir_queues_free(queues, client->n_queues);
}

static int
loopback_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		    struct weir_queue **queues)
{
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, &loopback_queue_ops, sizeof(struct loopback_queue), queues,
			       client->n_queues);
	if (rc != 0)
		return rc;
	for (i = 0; i < client->n_queues; i++) {
		if (weir_rx_ids_init(&loopback_queue(queues[i])->rx) != 0) {
			loopback_stop(endpoint, client, queues);
			return weir_error(ENOMEM, "endpoint '%s': no memory for its queues",
					  weir_endpoint_name(endpoint));
		}
	}
	return 0;
}

static uint32_t
loopback_tx_offloads(const struct weir_endpoint *endpoint)
{
	/* What its own guest does not take, the guest port finishes. */
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
loopback_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
loopback_link_up(const struct weir_endpoint *endpoint)
{
	return true;
}

static void
loopback_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
}

static const char *const loopback_keys[] = {NULL};

static const struct weir_endpoint_ops loopback_ops = {
	.type = "loopback",
	.usage = "",
	.keys = loopback_keys,
	.state_size = 0,
	.max_clients = 0,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = true,
	.open = loopback_open,
	.close = loopback_close,
	.get_queues = loopback_get_queues,
	.stop = loopback_stop,
	.tx_offloads = loopback_tx_offloads,
	.link_speed = loopback_link_speed,
	.link_up = loopback_link_up,
	.inspect = loopback_inspect,
};

WEIR_ENDPOINT_REGISTER(loopback_ops);
