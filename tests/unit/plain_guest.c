/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "plain_guest.h"

#define TX_FRAME_MAX WEIR_FRAME_LEN_MAX
#define PIECES_MAX 64

/** What a frame of the tests starts with; the rest is a pattern of sequence and offset. */
struct plain_header {
	uint8_t addresses[12];
	uint8_t ether_type[2];
	uint8_t magic[2];
	uint16_t number;
	uint16_t index;
	uint32_t len;
	uint64_t sequence;
} __attribute__((packed));

/** Which byte of the addresses says the flow. */
#define FLOW_AT 5

static const uint8_t frame_start[] = {0x02, 0, 0, 0,	0,    0xbb, 0x02, 0,
				      0,    0, 0, 0xaa, 0x88, 0xb5, 'w',  'r'};

void
plain_breach(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: the contract is broken: not (%s), on lcore %d\n", file, line,
		condition, (int)rte_lcore_id());
	abort();
}

void
plain_frame_write(uint8_t *frame, uint32_t len, uint16_t number, uint16_t index, uint64_t sequence)
{
	struct plain_header header = {
		.number = number, .index = index, .len = len, .sequence = sequence};
	uint32_t i;

	memcpy(header.addresses, frame_start, sizeof(frame_start));
	memcpy(frame, &header, sizeof(header));
	for (i = sizeof(header); i < len; i++)
		frame[i] = (uint8_t)(sequence + i);
}

bool
plain_frame_is_ours(const uint8_t *frame, uint32_t len)
{
	return len >= PLAIN_FRAME_MIN && memcmp(frame, frame_start, FLOW_AT) == 0 &&
	       memcmp(frame + FLOW_AT + 1, frame_start + FLOW_AT + 1,
		      sizeof(frame_start) - FLOW_AT - 1) == 0;
}

/** Whole, and after every earlier one of its flow. */
static void
frame_check(struct plain_pair *pair, const uint8_t *frame, uint32_t len)
{
	struct plain_header header;
	uint64_t *seen;
	uint32_t i;

	if (!plain_frame_is_ours(frame, len))
		return; /* the kernel's own, on a tap */
	memcpy(&header, frame, sizeof(header));
	plain_check(header.len == len);
	plain_check(header.number < PLAIN_GUESTS_MAX && header.index < WEIR_QUEUES_MAX);
	for (i = sizeof(header); i < len; i++)
		plain_check(frame[i] == (uint8_t)(header.sequence + i));
	seen = &pair->seen[header.number][header.index][frame[FLOW_AT]];
	plain_check(header.sequence > *seen);
	*seen = header.sequence;
	pair->seen_of_flow[frame[FLOW_AT]]++;
	pair->received++;
}

static struct plain_pair *
pair_of(struct weir_access *access)
{
	struct plain_pair *pair = container_of(access, struct plain_pair, access);

	plain_check(pair->target->lcore == rte_lcore_id());
	return pair;
}

static uint8_t *
rx_buffer(struct plain_pair *pair, uint16_t id)
{
	plain_check(id < PLAIN_IDS && pair->rx_state[id] == PLAIN_POSTED);
	return pair->rx_memory + (size_t)id * pair->rx_size;
}

static uint32_t
plain_capacity(struct weir_access *access, uint16_t id)
{
	struct plain_pair *pair = pair_of(access);

	rx_buffer(pair, id);
	return pair->rx_size;
}

static unsigned int
plain_guest_addresses(struct weir_access *access, uint16_t id, struct iovec *iov, unsigned int n)
{
	struct plain_pair *pair = pair_of(access);
	uint8_t *buffer = rx_buffer(pair, id);
	uint32_t at = 0;
	unsigned int i;

	if (pair->memory_is_short)
		return 0;
	for (i = 0; i < n && at < pair->rx_size; i++, at += pair->chunk) {
		iov[i].iov_base = buffer + at;
		iov[i].iov_len = RTE_MIN(pair->chunk, pair->rx_size - at);
	}
	return i;
}

static int
plain_write_data(struct weir_access *access, uint16_t id, uint32_t offset, const void *data,
		 uint32_t len)
{
	struct plain_pair *pair = pair_of(access);
	uint8_t *buffer = rx_buffer(pair, id);

	if (pair->memory_is_short)
		return -ENOBUFS;
	if (offset + len > pair->rx_size)
		return -EMSGSIZE;
	memcpy(buffer + offset, data, len);
	return 0;
}

/** Fate of the id: a frame too long is refused, and its id used all the same. */
static void
plain_write_header(struct weir_access *access, uint16_t id, const struct weir_rx_meta *meta)
{
	struct plain_pair *pair = pair_of(access);

	rx_buffer(pair, id);
	pair->rx_meta[id] = *meta;
	if (meta->len > pair->rx_size) {
		pair->refused++;
		pair->rx_meta[id].len = 0;
	}
	pair->rx_state[id] = PLAIN_FILLED;
}

static int
plain_write_packet(struct weir_access *access, uint16_t id, const struct weir_rx_meta *meta,
		   const void *data)
{
	int rc = plain_write_data(access, id, 0, data, meta->len);

	if (rc == -ENOBUFS)
		return rc;
	plain_write_header(access, id, meta);
	return 0;
}

static uint16_t
plain_write_packet_segments(struct weir_access *access, const uint16_t *ids,
			    struct weir_access *source, const struct weir_tx_segment *segments,
			    uint16_t n)
{
	struct plain_pair *pair = pair_of(access);
	uint16_t i, s;

	plain_check(source == NULL || pair_of(source)->target == pair->target);
	for (i = 0; i < n && !pair->memory_is_short; i++) {
		struct weir_rx_meta meta = {.len = segments->frame_len,
					    .offload = segments->offload};
		uint16_t n_segments = segments->n_segments;
		uint8_t *buffer = rx_buffer(pair, ids[i]);
		uint32_t at = 0;

		plain_check(n_segments > 0);
		for (s = 0; s < n_segments; s++, segments++) {
			plain_check(s == 0 || segments->n_segments == 0);
			if (at + segments->len <= pair->rx_size)
				memcpy(buffer + at, segments->addr, segments->len);
			at += segments->len;
		}
		plain_check(at == meta.len);
		plain_write_header(access, ids[i], &meta);
	}
	return i;
}

static uint16_t
plain_attach_frames(struct weir_access *access, const uint16_t *ids, struct rte_mbuf **frames,
		    uint16_t n)
{
	struct plain_pair *pair = pair_of(access);
	uint16_t i;

	for (i = 0; i < n && !pair->memory_is_short; i++) {
		struct weir_rx_meta meta = {.len = rte_pktmbuf_pkt_len(frames[i])};
		uint8_t *buffer = rx_buffer(pair, ids[i]);
		const struct rte_mbuf *m;
		uint32_t at = 0;

		for (m = frames[i]; m != NULL && meta.len <= pair->rx_size; m = m->next) {
			memcpy(buffer + at, rte_pktmbuf_mtod(m, void *), m->data_len);
			at += m->data_len;
		}
		plain_write_header(access, ids[i], &meta);
		rte_pktmbuf_free(frames[i]);
	}
	return i;
}

/** Without a pool, as a guest whose budget is used up. */
static uint16_t
plain_take_frames(struct weir_access *access, const struct weir_tx_segment *segments,
		  struct rte_mbuf **frames, uint16_t n)
{
	pair_of(access);
	return 0;
}

static const struct weir_access_ops plain_access_ops = {
	.capacity = plain_capacity,
	.guest_addresses = plain_guest_addresses,
	.write_data = plain_write_data,
	.write_header = plain_write_header,
	.write_packet = plain_write_packet,
	.write_packet_segments = plain_write_packet_segments,
	.attach_frames = plain_attach_frames,
	.take_frames = plain_take_frames,
};

struct plain_guest *
plain_guest_new(const char *name, uint16_t number, uint16_t n_queues, struct plain_target **targets,
		uint16_t n)
{
	/* A guest that takes the place of another goes on in its numbers. */
	static uint64_t generation;
	struct plain_guest *guest = calloc(1, sizeof(*guest));
	uint16_t i;

	plain_check(guest != NULL);
	guest->number = number;
	guest->client = (struct weir_endpoint_client){
		.name = name,
		.n_queues = n_queues,
		.mtu = 1500,
		.rx_offloads = WEIR_OFFLOAD_CAP_ALL,
		.numa_node = SOCKET_ID_ANY,
	};
	for (i = 0; i < n_queues; i++) {
		struct plain_pair *pair = &guest->pairs[i];

		pair->access.ops = &plain_access_ops;
		pair->access.rx_offloads = WEIR_OFFLOAD_CAP_ALL;
		pair->guest = guest;
		pair->index = i;
		pair->sequence = __atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED) << 32;
		pair->rx_size = 2048;
		pair->chunk = 700;
		pair->send_len = PLAIN_FRAME_MIN;
		pair->send_pieces = 1;
		pair->n_flows = 1;
		pair->target = targets[i % n];
		guest->client.access[i] = &pair->access;
		guest->client.target[i] = &pair->target->target;
	}
	return guest;
}

void
plain_guest_free(struct plain_guest *guest)
{
	free(guest);
}

int
plain_guest_attach(struct plain_guest *guest, struct weir_endpoint *endpoint)
{
	int rc = weir_endpoint_get_queues(endpoint, &guest->client, guest->queues);
	uint16_t i;

	if (rc != 0)
		return rc;
	guest->endpoint = endpoint;
	for (i = 0; i < guest->client.n_queues; i++) {
		struct plain_pair *pair = &guest->pairs[i];

		pair->queue = guest->queues[i];
		pair->rx_memory = malloc((size_t)PLAIN_IDS * pair->rx_size);
		/* A frame of more than 2048 bytes lies over its neighbours: send it alone. */
		pair->tx_memory = malloc((size_t)PLAIN_IDS * 2048 + TX_FRAME_MAX);
		plain_check(pair->rx_memory != NULL && pair->tx_memory != NULL);
	}
	return 0;
}

void
plain_guest_move(struct plain_guest *guest, uint16_t index, struct plain_target *to)
{
	struct weir_queue *queue = guest->queues[index];

	guest->client.target[index] = &to->target;
	queue->target = &to->target;
	queue->ops->update_target(queue);
	/* Until here the lcore it was on may have been writing to the pair for another. */
	guest->pairs[index].target = to;
}

void
plain_guest_detach(struct plain_guest *guest)
{
	uint16_t i;

	weir_endpoint_stop(guest->endpoint, &guest->client, guest->queues);
	guest->endpoint = NULL;
	for (i = 0; i < guest->client.n_queues; i++) {
		struct plain_pair *pair = &guest->pairs[i];

		free(pair->rx_memory);
		free(pair->tx_memory);
		memset(pair->rx_state, PLAIN_FREE, sizeof(pair->rx_state));
		memset(pair->tx_state, PLAIN_FREE, sizeof(pair->tx_state));
		pair->queue = NULL;
	}
}

static uint16_t
ids_find(const uint8_t *states, enum plain_state state, uint16_t *ids, uint16_t n)
{
	uint16_t i, found = 0;

	for (i = 0; i < PLAIN_IDS && found < n; i++)
		if (states[i] == state)
			ids[found++] = i;
	return found;
}

uint16_t
plain_pair_n_tx(const struct plain_pair *pair, enum plain_state state)
{
	uint16_t ids[PLAIN_IDS];

	return ids_find(pair->tx_state, state, ids, PLAIN_IDS);
}

uint16_t
plain_pair_n_rx(const struct plain_pair *pair, enum plain_state state)
{
	uint16_t ids[PLAIN_IDS];

	return ids_find(pair->rx_state, state, ids, PLAIN_IDS);
}

uint16_t
plain_pair_post(struct plain_pair *pair, uint16_t n)
{
	uint16_t ids[PLAIN_IDS], i;

	n = ids_find(pair->rx_state, PLAIN_FREE, ids, n);
	for (i = 0; i < n; i++)
		pair->rx_state[ids[i]] = PLAIN_POSTED;
	pair->queue->ops->rx_avail(pair->queue, &pair->access, ids, n);
	return n;
}

/** Cut a frame in memory into segments; the last piece takes the rest. */
static void
segments_cut(struct weir_tx_segment *segments, const uint8_t *frame, uint32_t len, uint16_t id,
	     uint16_t pieces, const struct weir_offload *offload)
{
	uint32_t piece = len / pieces;
	uint16_t i;

	memset(segments, 0, pieces * sizeof(*segments));
	for (i = 0; i < pieces; i++) {
		segments[i].addr = frame + i * piece;
		segments[i].len = i == pieces - 1 ? len - i * piece : piece;
	}
	segments->frame_len = len;
	segments->id = id;
	segments->n_segments = pieces;
	if (offload != NULL)
		segments->offload = *offload;
}

uint16_t
plain_pair_send(struct plain_pair *pair, uint16_t n, uint32_t len, uint16_t pieces,
		const struct weir_offload *offload)
{
	struct weir_tx_segment segments[PLAIN_BURST * PIECES_MAX];
	uint16_t ids[PLAIN_BURST], i, taken;
	bool done = false;

	plain_check(n <= PLAIN_BURST && pieces <= PIECES_MAX && len <= TX_FRAME_MAX);
	n = ids_find(pair->tx_state, PLAIN_FREE, ids, n);
	for (i = 0; i < n; i++) {
		uint8_t *frame = pair->tx_memory + (size_t)ids[i] * 2048;

		plain_frame_write(frame, len, pair->guest->number, pair->index,
				  pair->sequence + 1 + i);
		frame[FLOW_AT] += (pair->sequence + i) % pair->n_flows;
		segments_cut(segments + i * pieces, frame, len, ids[i], pieces, offload);
		pair->tx_state[ids[i]] = PLAIN_HELD;
	}
	taken = pair->queue->ops->tx_avail(pair->queue, &pair->access, segments, n, &done);
	plain_check(taken <= n);
	pair->sequence += taken;
	pair->taken += taken;
	if (done)
		pair->done += taken;
	/* A descriptor that is done is the guest's to scribble on. */
	for (i = done ? 0 : taken; i < n; i++) {
		memset(pair->tx_memory + (size_t)ids[i] * 2048, 0xee, RTE_MIN(len, 2048u));
		pair->tx_state[ids[i]] = PLAIN_FREE;
	}
	return taken;
}

uint16_t
plain_pair_poll(struct plain_pair *pair)
{
	uint16_t ids[PLAIN_BURST];
	int i, n, n_tx;

	n = pair->queue->ops->rx_poll(pair->queue, &pair->access, ids, PLAIN_BURST);
	plain_check(n >= 0 && n <= PLAIN_BURST);
	for (i = 0; i < n; i++) {
		plain_check(ids[i] < PLAIN_IDS && pair->rx_state[ids[i]] == PLAIN_FILLED);
		pair->last_meta = pair->rx_meta[ids[i]];
		frame_check(pair, pair->rx_memory + (size_t)ids[i] * pair->rx_size,
			    pair->last_meta.len);
		pair->rx_state[ids[i]] = PLAIN_FREE;
	}
	n_tx = pair->queue->ops->tx_poll(pair->queue, &pair->access, ids, PLAIN_BURST);
	plain_check(n_tx >= 0 && n_tx <= PLAIN_BURST);
	for (i = 0; i < n_tx; i++) {
		plain_check(ids[i] < PLAIN_IDS && pair->tx_state[ids[i]] == PLAIN_HELD);
		memset(pair->tx_memory + (size_t)ids[i] * 2048, 0xee, PLAIN_FRAME_MIN);
		pair->tx_state[ids[i]] = PLAIN_FREE;
		pair->done++;
	}
	return n;
}

bool
plain_pair_work(struct plain_pair *pair)
{
	uint64_t before = pair->done + pair->received + pair->taken;
	uint16_t n = plain_pair_poll(pair);

	plain_pair_post(pair, PLAIN_IDS);
	if (pair->sending)
		plain_pair_send(pair, PLAIN_BURST, pair->send_len, pair->send_pieces, NULL);
	return n > 0 || pair->done + pair->received + pair->taken != before;
}
