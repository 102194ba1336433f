/* SPDX-License-Identifier: BSD-3-Clause */
/* io=thread on the poll lcore: one copy each way, and no system call but the wake. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_debug.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

#include "weir_error.h"

#include "tap_thread.h"

#define BURST 32
/**
 * Spare pieces that are not used yet: the oldest go first, so that their lines, fetched
 * when they came, are there by then, also when the thread is the slower of the two.
 */
#define RESERVE 32u

static inline struct thread_queue *
thread_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct thread_queue, base);
}

static inline void
queue_disarm(struct thread_queue *q)
{
	if (unlikely(q->armed)) {
		weir_wake_disarm(&q->fq->host_wake);
		q->armed = false;
	}
}

/** Take over what the thread has sent. Its lines are in the other cache: fetch all at once. */
static void
pieces_pop(struct thread_queue *q)
{
	struct rte_mbuf *pieces[BURST];
	unsigned int i, n;

	do {
		n = weir_frame_queues_pop(q->fq, WEIR_HOST_TO_GUEST, pieces, BURST);
		for (i = 0; i < n; i++) {
			if (piece_note(pieces[i])->kind == PIECE_TX) {
				rte_prefetch0_write(piece_note(pieces[i]));
				rte_prefetch0_write(piece_data(pieces[i]));
				piece_queue_add(&q->spare, pieces[i]);
			} else {
				rte_prefetch0(piece_data(pieces[i]));
				piece_queue_add(&q->came, pieces[i]);
			}
		}
	} while (n == BURST);
}

static bool
thread_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct thread_queue *q = thread_queue(queue);

	queue_disarm(q);
	if (weir_rx_ids_n_filled(&q->rx) > 0 || tap_file_is_gone(&q->file))
		return true;
	pieces_pop(q);
	if (q->came.n > 0 && weir_rx_ids_n_empty(&q->rx) > 0)
		return true;
	if (q->holds_back && q->spare.n >= PIECES_OF_FRAME + RESERVE)
		return true;
	if (!arm)
		return false;
	weir_wake_arm(&q->fq->host_wake);
	q->armed = true;
	if (weir_frame_queues_count(q->fq, WEIR_HOST_TO_GUEST) == 0 && !tap_file_is_gone(&q->file))
		return false;
	queue_disarm(q);
	return true;
}

static void
thread_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
		uint16_t n)
{
	weir_rx_ids_post(&thread_queue(queue)->rx, ids, n);
}

/** @return 0; -ENOBUFS no memory now; -EMSGSIZE the guest has no room for it. */
static int
frame_deliver(struct weir_access *access, uint16_t id, struct rte_mbuf *piece)
{
	struct note *note = piece_note(piece);
	struct weir_rx_meta meta = {.len = note->frame_len};
	uint32_t offset = 0;
	uint16_t n = note->n_pieces;
	int rc = 0;

	memcpy(&meta.offload, note->header, WEIR_OFFLOAD_VNET_SIZE);
	meta.offload.flags &= TAP_VNET_FLAGS;
	if (likely(n == 1))
		return access->ops->write_packet(access, id, &meta, piece_data(piece));
	for (; n > 0 && rc == 0; n--) {
		note = piece_note(piece);
		rc = access->ops->write_data(access, id, offset, piece_data(piece), note->len);
		offset += note->len;
		piece = note->next;
	}
	if (rc == 0)
		access->ops->write_header(access, id, &meta);
	return rc;
}

/** The first frame that came is done with: its pieces go back. */
static void
frame_consume(struct thread_queue *q)
{
	struct rte_mbuf *piece = piece_queue_take(&q->came);
	uint16_t n = piece_note(piece)->n_pieces;

	for (; n > 0; n--) {
		struct rte_mbuf *next = n > 1 ? piece_note(piece)->next : NULL;

		pieces_add(&q->emptied, piece);
		piece = next;
	}
	if (q->emptied.n >= BATCH)
		pieces_push(q, WEIR_GUEST_TO_HOST, &q->emptied);
}

/** What the thread could not do with what it was given. */
static void
drops_count(struct thread_queue *q)
{
	struct weir_queue_stats *stats = &q->base.stats;
	uint64_t tx = __atomic_load_n(&q->io.tx_dropped, __ATOMIC_RELAXED) - q->dropped_seen;
	uint64_t rx = __atomic_load_n(&q->io.rx_dropped, __ATOMIC_RELAXED) - q->rx_dropped_seen;

	if (likely((tx | rx) == 0))
		return;
	/* They were counted as sent when they were taken. */
	weir_count(&stats->tx_packets, -tx);
	weir_count(&stats->tx_dropped, tx);
	weir_count(&stats->rx_dropped, rx);
	q->dropped_seen += tx;
	q->rx_dropped_seen += rx;
}

static int
thread_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct thread_queue *q = thread_queue(queue);
	uint16_t filled = 0, dropped = 0;
	uint64_t bytes = 0;
	int rc;

	queue_disarm(q);
	drops_count(q);
	if (unlikely(tap_file_is_gone(&q->file)))
		return WEIR_QUEUE_FATAL;
	pieces_pop(q);
	while (filled < n && q->came.n > 0 && weir_rx_ids_n_empty(&q->rx) > 0) {
		struct rte_mbuf *head = piece_queue_first(&q->came);

		rc = frame_deliver(access, *weir_rx_ids_empty(&q->rx), head);
		if (rc == -ENOBUFS)
			break;
		if (rc == 0) {
			weir_rx_ids_fill(&q->rx, 1);
			bytes += piece_note(head)->frame_len;
			filled++;
		} else {
			dropped++; /* the buffer stays posted, for a shorter one */
		}
		frame_consume(q);
	}
	tap_rx_count(&queue->stats, filled, dropped, bytes);
	return weir_rx_ids_take(&q->rx, ids, n);
}

/** Copy a frame into spare pieces, of which there are enough. */
static void
frame_fill(struct thread_queue *q, const struct weir_tx_segment *head, uint16_t n_pieces,
	   struct rte_mbuf **burst)
{
	struct rte_mbuf *piece = piece_queue_take(&q->spare);
	struct note *note = piece_note(piece);
	uint32_t room = PIECE_BYTES, done, len;
	uint8_t *data = piece_data(piece);
	uint16_t i;

	*burst = piece;
	memcpy(note->header, &head->offload, WEIR_OFFLOAD_VNET_SIZE);
	note->header[0] = head->offload.flags & TAP_VNET_FLAGS; /* see struct weir_offload */
	note->frame_len = head->frame_len;
	note->n_pieces = n_pieces;
	for (i = 0; i < head->n_segments; i++) {
		for (done = 0; done < head[i].len; done += len) {
			if (room == 0) {
				note->len = PIECE_BYTES;
				piece = note->next = piece_queue_take(&q->spare);
				note = piece_note(piece);
				data = piece_data(piece);
				room = PIECE_BYTES;
			}
			len = RTE_MIN(head[i].len - done, room);
			memcpy(data, (const uint8_t *)head[i].addr + done, len);
			data += len;
			room -= len;
		}
	}
	note->len = PIECE_BYTES - room;
}

static uint16_t
thread_tx_avail(struct weir_queue *queue, struct weir_access *access,
		const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct thread_queue *q = thread_queue(queue);
	uint16_t taken, n = 0, dropped = 0, n_pieces;
	struct rte_mbuf *burst[BURST];
	uint64_t bytes = 0;

	*done = true;
	queue_disarm(q);
	if (q->spare.n < PIECES_WAY / 2)
		pieces_pop(q);
	for (taken = 0; taken < n_packets && !tap_file_is_gone(&q->file); taken++) {
		if (unlikely(!tap_frame_is_sound(segments))) {
			dropped++;
			segments = weir_tx_next(segments);
			continue;
		}
		n_pieces = (segments->frame_len + PIECE_BYTES - 1) / PIECE_BYTES;
		if (n_pieces + RESERVE > q->spare.n)
			break;
		frame_fill(q, segments, n_pieces, &burst[n++]);
		bytes += segments->frame_len;
		if (n == BURST) {
			weir_frame_queues_push(q->fq, WEIR_GUEST_TO_HOST, burst, n);
			n = 0;
		}
		segments = weir_tx_next(segments);
	}
	if (n > 0)
		weir_frame_queues_push(q->fq, WEIR_GUEST_TO_HOST, burst, n);
	q->holds_back = taken < n_packets;
	tap_tx_count(&queue->stats, n_packets, taken, dropped, bytes);
	return taken;
}

static int
thread_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return tap_file_is_gone(&thread_queue(queue)->file) ? WEIR_QUEUE_FATAL : 0;
}

static void
thread_update_target(struct weir_queue *queue)
{
}

static void
thread_set_active(struct weir_queue *queue, bool active)
{
	struct thread_queue *q = thread_queue(queue);

	tap_file_set_active(&q->file, active);
	weir_wake_signal(&q->fq->guest_wake);
}

static void
thread_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
	const struct thread_queue *q = thread_queue(queue);

	rte_tel_data_add_dict_int(dict, "fd", q->file.fd);
	rte_tel_data_add_dict_string(dict, "active", tap_file_is_active(&q->file) ? "yes" : "no");
	rte_tel_data_add_dict_u64(dict, "to_thread_frames",
				  weir_frame_queues_count(q->fq, WEIR_GUEST_TO_HOST));
	rte_tel_data_add_dict_u64(dict, "to_lcore_frames",
				  weir_frame_queues_count(q->fq, WEIR_HOST_TO_GUEST));
}

static const struct weir_queue_ops thread_ops = {
	.poll_ready = thread_poll_ready,
	.rx_avail = thread_rx_avail,
	.rx_poll = thread_rx_poll,
	.tx_avail = thread_tx_avail,
	.tx_poll = thread_tx_poll,
	.update_target = thread_update_target,
	.set_active = thread_set_active,
	.inspect = thread_inspect,
};

static int
pieces_make(struct thread_queue *q, const char *name, int numa_node)
{
	const struct weir_frame_pool_conf conf = {
		.mtu = PIECE_BYTES - WEIR_FRAME_L2_BYTES,
		.capacity = PIECES,
		.numa_node = numa_node,
	};
	uint32_t i;

	q->pool = weir_frame_pool_create(name, &conf);
	if (q->pool == NULL)
		return -rte_errno;
	if (weir_frame_acquire_bulk(q->pool, q->all, PIECES) != 0) {
		weir_frame_pool_free(q->pool);
		return weir_error(ENOMEM, "no memory for %u frames", PIECES);
	}
	for (i = 0; i < PIECES; i++) {
		RTE_VERIFY(rte_pktmbuf_mtod(q->all[i], uint8_t *) == piece_data(q->all[i]));
		piece_note(q->all[i])->kind = i < PIECES_WAY ? PIECE_TX : PIECE_RX;
		if (i < PIECES_WAY)
			piece_queue_add(&q->spare, q->all[i]);
		else
			pieces_add(&q->io.spare, q->all[i]);
	}
	return 0;
}

static void
pieces_end(struct thread_queue *q)
{
	weir_frame_release_bulk(q->all, PIECES);
	weir_frame_pool_free(q->pool);
}

static int
thread_start(struct thread_queue *q, const char *owner)
{
	int rc = rte_ctrl_thread_create(&q->io.thread, "weir-tap-io", NULL, tap_io_main, q);

	if (rc == 0)
		return 0;
	return weir_error(-rc, "%s: no thread for its frames: %s", owner, rte_strerror(-rc));
}

static int
thread_open(struct weir_queue *queue, const struct tap_queue_conf *conf)
{
	static uint32_t n_opened;
	struct thread_queue *q = thread_queue(queue);
	char name[WEIR_OBJECT_NAMESIZE];
	int rc;

	snprintf(name, sizeof(name), "tap%u", __atomic_fetch_add(&n_opened, 1, __ATOMIC_RELAXED));
	q->rx_pieces = conf->rx_offloads & (WEIR_OFFLOAD_CAP_TSO4 | WEIR_OFFLOAD_CAP_TSO6)
			       ? PIECES_OF_FRAME
			       : (conf->mtu + WEIR_FRAME_L2_BYTES) / PIECE_BYTES + 1;
	tap_file_open(&q->file, conf->fd, conf->multiqueue);
	if (weir_rx_ids_init(&q->rx) != 0)
		return weir_error(ENOMEM, "%s: no memory for its queues", conf->owner);
	rc = pieces_make(q, name, conf->numa_node);
	if (rc != 0)
		goto no_pieces;
	q->fq = weir_frame_queues_create(name, PIECES, 0, conf->numa_node);
	if (q->fq == NULL) {
		rc = -rte_errno;
		goto no_queues;
	}
	queue->wake_fd = weir_wake_fd(&q->fq->host_wake);
	rc = thread_start(q, conf->owner);
	if (rc == 0)
		return 0;
	weir_frame_queues_unref(q->fq);
no_queues:
	pieces_end(q);
no_pieces:
	weir_rx_ids_fini(&q->rx);
	return rc;
}

static void
thread_close(struct weir_queue *queue)
{
	struct thread_queue *q = thread_queue(queue);
	struct rte_mbuf *pieces[BURST];

	queue_disarm(q);
	__atomic_store_n(&q->io.ends, true, __ATOMIC_RELEASE);
	weir_wake_signal(&q->fq->guest_wake);
	pthread_join(q->io.thread, NULL);
	/* Every piece is in `all`: the rings must not free them as well. */
	while (weir_frame_queues_pop(q->fq, WEIR_GUEST_TO_HOST, pieces, BURST) > 0)
		;
	while (weir_frame_queues_pop(q->fq, WEIR_HOST_TO_GUEST, pieces, BURST) > 0)
		;
	weir_frame_queues_unref(q->fq);
	pieces_end(q);
	weir_rx_ids_fini(&q->rx);
}

const struct tap_mode tap_thread = {
	.name = "thread",
	.ops = &thread_ops,
	.queue_size = sizeof(struct thread_queue),
	.open = thread_open,
	.close = thread_close,
};
