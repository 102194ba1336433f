/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * faulty: a loopback that loses, doubles, swaps and corrupts frames on purpose, so that
 * who claims to notice can be tried. Every Nth frame of a queue, for each fault.
 */
#include <stdlib.h>
#include <string.h>

#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_rx_ids.h"

/* A frame, its double, and one that was held back before it. */
#define IDS_A_FRAME 3

enum fault { LOSE, DOUBLE, SWAP, CORRUPT, CUT, FIRST, N_FAULTS };

static const char *const faulty_keys[] = {"lose", "double", "swap", "corrupt",
					  "cut",  "first",  NULL};

struct faulty {
	uint32_t every[N_FAULTS]; /* 0: never; FIRST: so many of them are lost */
};

struct flat_frame {
	struct weir_rx_meta meta;
	uint8_t data[WEIR_FRAME_LEN_MAX];
};

struct faulty_queue {
	struct weir_queue base;
	struct weir_rx_ids rx;
	uint64_t n_frames;
	bool is_holding;
	struct flat_frame held, frame;
};

static struct faulty_queue *
faulty_queue(struct weir_queue *queue)
{
	return container_of(queue, struct faulty_queue, base);
}

static bool
faulty_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	return weir_rx_ids_n_filled(&faulty_queue(queue)->rx) > 0;
}

static void
faulty_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
		uint16_t n)
{
	weir_rx_ids_post(&faulty_queue(queue)->rx, ids, n);
}

static int
faulty_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return weir_rx_ids_take(&faulty_queue(queue)->rx, ids, n);
}

static bool
frame_give(struct faulty_queue *q, struct weir_access *access, const struct flat_frame *frame)
{
	if (access->ops->write_packet(access, *weir_rx_ids_empty(&q->rx), &frame->meta,
				      frame->data) != 0)
		return false;
	weir_rx_ids_fill(&q->rx, 1);
	return true;
}

static bool
is_due(const struct faulty_queue *q, enum fault fault)
{
	const struct faulty *faulty = weir_endpoint_state(q->base.endpoint);

	return faulty->every[fault] > 0 && q->n_frames % faulty->every[fault] == 0;
}

/** Whether the frame is dealt with; else there is no room for it now. */
static bool
frame_pass(struct faulty_queue *q, struct weir_access *access)
{
	const struct faulty *faulty = weir_endpoint_state(q->base.endpoint);
	struct flat_frame *frame = &q->frame;

	q->n_frames++;
	if (is_due(q, LOSE) || q->n_frames <= faulty->every[FIRST])
		return true;
	if (is_due(q, CORRUPT))
		frame->data[frame->meta.len - 1] ^= 1;
	if (is_due(q, CUT))
		frame->meta.len--;
	if (is_due(q, SWAP) && !q->is_holding) {
		q->held = *frame;
		q->is_holding = true;
		return true;
	}
	if (!frame_give(q, access, frame)) {
		q->n_frames--;
		return false;
	}
	/* These two need a guest that keeps room: frames on their way are few. */
	if (is_due(q, DOUBLE))
		frame_give(q, access, frame);
	if (q->is_holding && frame_give(q, access, &q->held))
		q->is_holding = false;
	return true;
}

static uint16_t
faulty_tx_avail(struct weir_queue *queue, struct weir_access *access,
		const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct faulty_queue *q = faulty_queue(queue);
	uint16_t i, s;
	uint32_t len;

	*done = true;
	for (i = 0; i < n_packets && weir_rx_ids_n_empty(&q->rx) >= IDS_A_FRAME; i++) {
		q->frame.meta = (struct weir_rx_meta){segments->frame_len, segments->offload};
		for (s = 0, len = 0; s < segments->n_segments; s++) {
			memcpy(q->frame.data + len, segments[s].addr, segments[s].len);
			len += segments[s].len;
		}
		if (!frame_pass(q, access))
			break;
		segments += segments->n_segments;
	}
	weir_count(&queue->stats.tx_packets, i);
	return i;
}

static int
faulty_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return 0;
}

static void
faulty_update_target(struct weir_queue *queue)
{
}

static void
faulty_set_active(struct weir_queue *queue, bool active)
{
}

static void
faulty_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
}

static const struct weir_queue_ops faulty_queue_ops = {
	.poll_ready = faulty_poll_ready,
	.rx_avail = faulty_rx_avail,
	.rx_poll = faulty_rx_poll,
	.tx_avail = faulty_tx_avail,
	.tx_poll = faulty_tx_poll,
	.update_target = faulty_update_target,
	.set_active = faulty_set_active,
	.inspect = faulty_queue_inspect,
};

static int
faulty_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	struct faulty *faulty = weir_endpoint_state(endpoint);
	enum fault fault;

	for (fault = 0; fault < N_FAULTS; fault++) {
		const char *value = weir_keys_get(keys, faulty_keys[fault]);

		if (value != NULL)
			faulty->every[fault] = strtoul(value, NULL, 10);
	}
	return 0;
}

static void
faulty_close(struct weir_endpoint *endpoint)
{
}

static void
faulty_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	    struct weir_queue **queues)
{
	uint16_t i;

	for (i = 0; i < client->n_queues; i++)
		weir_rx_ids_fini(&faulty_queue(queues[i])->rx);
	weir_queues_free(queues, client->n_queues);
}

static int
faulty_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		  struct weir_queue **queues)
{
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, &faulty_queue_ops, sizeof(struct faulty_queue), queues,
			       client->n_queues);
	if (rc != 0)
		return rc;
	for (i = 0; i < client->n_queues; i++) {
		if (weir_rx_ids_init(&faulty_queue(queues[i])->rx) != 0) {
			faulty_stop(endpoint, client, queues);
			return weir_error(ENOMEM, "endpoint '%s': no memory for its queues",
					  weir_endpoint_name(endpoint));
		}
	}
	return 0;
}

static uint32_t
faulty_tx_offloads(const struct weir_endpoint *endpoint)
{
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
faulty_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
faulty_link_up(const struct weir_endpoint *endpoint)
{
	return true;
}

static void
faulty_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
}

static const struct weir_endpoint_ops faulty_ops = {
	.type = "faulty",
	.usage = "lose=N, double=N, swap=N, corrupt=N, cut=N  every Nth frame; first=N loses those",
	.keys = faulty_keys,
	.state_size = sizeof(struct faulty),
	.max_clients = 0,
	.is_ordered = false,
	.fast_completions = true,
	.multiqueue = true,
	.open = faulty_open,
	.close = faulty_close,
	.get_queues = faulty_get_queues,
	.stop = faulty_stop,
	.tx_offloads = faulty_tx_offloads,
	.link_speed = faulty_link_speed,
	.link_up = faulty_link_up,
	.inspect = faulty_inspect,
};

WEIR_ENDPOINT_REGISTER(faulty_ops);
