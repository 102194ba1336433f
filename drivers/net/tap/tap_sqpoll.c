/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io=sqpoll: a kernel thread makes the system calls. A frame is copied once, between
 * the guest's memory and a registered buffer, and read or written from there.
 *
 * A buffer holds the header and a whole frame, because the kernel cuts a frame that is
 * longer than its read. So there are two pools to write from, one with buffers for the
 * frames of the MTU and a few for those of segmentation; and one to read to, whose
 * buffers are as long as what the guest takes.
 *
 * Reads do not wait in the kernel: a frame that comes would wake all that do. When
 * they have found the tap empty, one poll tells when there is something again.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_memory.h>

#include "weir_error.h"
#include "weir_log.h"
#include "weir_rx_ids.h"
#include "weir_uring.h"
#include "weir_wake.h"

#include "tap.h"

WEIR_LOG_DECLARE(tap);

/** Buffers to write frames of the MTU from, and those of segmentation. */
#define TX_SMALL 256
#define TX_LARGE 16
/** Reads at once: of frames of the MTU, and of segmentation. */
#define RX_SMALL 64
#define RX_LARGE 16
#define READS_MIN 2
/** More than there can be requests: the submission queue is never full. */
#define ENTRIES 512
/** How long the kernel thread looks for more. */
#define IDLE_MS 2
#define SMALL_BYTES 2048
#define L2_BYTES (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
#define BURST 32
/** How long closing waits for the kernel. */
#define CLOSE_US 2000000

struct came {
	uint16_t index;
	uint32_t len; /* with the header */
};

struct sqpoll_queue {
	struct weir_queue base;
	struct tap_file file;
	struct weir_uring *ring;
	struct weir_uring_pool *small, *large, *reads;

	struct weir_rx_ids rx;
	struct came came[RX_SMALL]; /* frames that were read, in order */
	uint32_t came_first, came_n;

	uint32_t n_reads; /* in flight */
	uint32_t reads_wanted, reads_max;
	uint32_t got;	  /* frames since the tap was found empty */
	bool dry;	  /* a read found it so */
	int64_t tap_poll; /* requests in flight, or 0 */
	int64_t wake_poll;
	uint32_t poll_changes; /* file.n_changes before it */
	bool holds_back;
	uint32_t n_writes; /* in flight */

	/* Rung by set_active(): watched by the ring, which is what the lcore sleeps on. */
	struct weir_wake wake;
	struct weir_wake_word word;
};

static inline struct sqpoll_queue *
sqpoll_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct sqpoll_queue, base);
}

static void
wake_watch(struct sqpoll_queue *q)
{
	int64_t request = weir_uring_submit_poll(q->ring, weir_wake_fd(&q->wake), POLLIN);

	q->wake_poll = request < 0 ? 0 : request;
}

static void
tap_watch(struct sqpoll_queue *q)
{
	int64_t request;

	q->poll_changes = tap_file_n_changes(&q->file);
	request = weir_uring_submit_poll(q->ring, q->file.fd, POLLIN);
	q->tap_poll = request < 0 ? 0 : request;
}

static void
poll_done(struct sqpoll_queue *q, const struct weir_uring_completion *completion)
{
	if ((int64_t)completion->user_data == q->tap_poll) {
		q->tap_poll = 0;
		/* A queue without interface has an error to tell, and nothing else. */
		if (completion->result > 0 && (completion->result & POLLERR))
			tap_file_lost(&q->file, q->poll_changes);
	} else if ((int64_t)completion->user_data == q->wake_poll) {
		weir_wake_disarm(&q->wake);
		weir_wake_arm(&q->wake);
		wake_watch(q);
	}
}

static void
read_done(struct sqpoll_queue *q, const struct weir_uring_completion *completion)
{
	q->n_reads--;
	/* The kernel cuts a frame short in silence; nothing else fills all of the buffer. */
	if (likely(completion->result > WEIR_OFFLOAD_VNET_SIZE && completion->left > 0)) {
		q->came[(q->came_first + q->came_n++) % RX_SMALL] =
			(struct came){completion->index, completion->result};
		q->got++;
		return;
	}
	if (completion->result == -EAGAIN)
		q->dry = true;
	else if (completion->result == -EBADFD)
		tap_file_lost(&q->file, q->poll_changes);
	else
		weir_count(&q->base.stats.rx_dropped, completion->left == 0);
	weir_uring_release(completion->pool, completion->index);
}

static void
write_done(struct sqpoll_queue *q, const struct weir_uring_completion *completion)
{
	struct weir_queue_stats *stats = &q->base.stats;

	if (unlikely(completion->result < 0)) {
		/* Frames behind it may have gone through: here alone they overtake. */
		if (tap_write_is_busy(-completion->result) &&
		    weir_uring_submit_rest(completion->pool, completion->index) > 0)
			return;
		if (completion->result == -EBADFD)
			tap_file_lost(&q->file, q->poll_changes);
		/* It was counted as sent when it was taken. */
		weir_count(&stats->tx_packets, -1);
		weir_count(&stats->tx_dropped, 1);
	}
	q->n_writes--;
	weir_uring_release(completion->pool, completion->index);
}

static void
completions_take(struct sqpoll_queue *q)
{
	struct weir_uring_completion done[BURST];
	unsigned int i, n;

	do {
		n = weir_uring_reap(q->ring, done, BURST);
		for (i = 0; i < n; i++) {
			if (done[i].pool == NULL)
				poll_done(q, &done[i]);
			else if (done[i].pool == q->reads)
				read_done(q, &done[i]);
			else
				write_done(q, &done[i]);
		}
	} while (n == BURST);
}

/** How many frames the guest has room for beyond those that are on their way. */
static uint32_t
reads_room(const struct sqpoll_queue *q)
{
	uint32_t n_empty = weir_rx_ids_n_empty(&q->rx), n = q->came_n + q->n_reads;

	return n_empty > n ? n_empty - n : 0;
}

/** Look for frames: as many reads at once as lately found something, or a poll. */
static void
reads_submit(struct sqpoll_queue *q)
{
	uint32_t size = weir_uring_buffer_size(q->reads), n;
	uint16_t index;

	if (q->tap_poll != 0 || !tap_file_is_active(&q->file))
		return;
	if (q->dry) {
		if (q->n_reads > 0)
			return;
		q->dry = false;
		q->reads_wanted = RTE_MAX(q->got, (uint32_t)READS_MIN);
		q->reads_wanted = RTE_MIN(q->reads_wanted, q->reads_max);
		if (q->got == 0) {
			tap_watch(q);
			return;
		}
		q->got = 0;
	} else if (q->got >= q->reads_wanted) {
		q->reads_wanted = RTE_MIN(2 * q->reads_wanted, q->reads_max);
	}
	n = q->n_reads < q->reads_wanted ? q->reads_wanted - q->n_reads : 0;
	n = RTE_MIN(n, reads_room(q));
	if (n > 0 && q->n_reads == 0)
		q->poll_changes = tap_file_n_changes(&q->file);
	for (; n > 0 && weir_uring_try_acquire(q->reads, &index) != NULL; n--) {
		if (weir_uring_submit_read_fixed(q->reads, q->file.fd, index, WEIR_URING_STREAM,
						 size) < 0) {
			weir_uring_release(q->reads, index);
			return;
		}
		q->n_reads++;
	}
}

static bool
sqpoll_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct sqpoll_queue *q = sqpoll_queue(queue);

	/* Arming is needless: the ring is readable while a completion waits. */
	if (weir_rx_ids_n_filled(&q->rx) > 0 || q->file.gone || weir_uring_is_ready(q->ring))
		return true;
	if (q->came_n > 0)
		return weir_rx_ids_n_empty(&q->rx) > 0;
	return q->tap_poll == 0 && q->n_reads == 0 && tap_file_is_active(&q->file) &&
	       weir_rx_ids_n_empty(&q->rx) > 0;
}

static void
sqpoll_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
		uint16_t n)
{
	weir_rx_ids_post(&sqpoll_queue(queue)->rx, ids, n);
}

static int
sqpoll_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct sqpoll_queue *q = sqpoll_queue(queue);
	struct weir_rx_meta meta;
	uint16_t filled = 0;
	uint64_t bytes = 0;
	uint8_t *data;

	completions_take(q);
	if (unlikely(q->file.gone))
		return WEIR_QUEUE_FATAL;
	for (; filled < n && q->came_n > 0 && weir_rx_ids_n_empty(&q->rx) > 0; filled++) {
		const struct came *came = &q->came[q->came_first];

		data = weir_uring_get_mut(q->reads, came->index);
		memcpy(&meta.offload, data, WEIR_OFFLOAD_VNET_SIZE);
		meta.offload.flags &= TAP_VNET_FLAGS;
		meta.offload.vlan_tci = 0;
		meta.len = came->len - WEIR_OFFLOAD_VNET_SIZE;
		if (access->ops->write_packet(access, *weir_rx_ids_empty(&q->rx), &meta,
					      data + WEIR_OFFLOAD_VNET_SIZE) != 0)
			break; /* no memory now: the frame stays ours */
		weir_uring_release(q->reads, came->index);
		q->came_first = (q->came_first + 1) % RX_SMALL;
		q->came_n--;
		weir_rx_ids_fill(&q->rx, 1);
		bytes += meta.len;
	}
	reads_submit(q);
	weir_uring_flush(q->ring);
	tap_rx_count(&queue->stats, filled, 0, bytes);
	return weir_rx_ids_take(&q->rx, ids, n);
}

/** @return Whether there was a buffer for it. */
static bool
frame_submit(struct sqpoll_queue *q, const struct weir_tx_segment *head)
{
	uint32_t len = head->frame_len + WEIR_OFFLOAD_VNET_SIZE;
	struct weir_uring_pool *pool =
		len <= weir_uring_buffer_size(q->small) ? q->small : q->large;
	struct weir_offload offload = head->offload;
	uint16_t index, i;
	uint8_t *data;

	data = weir_uring_try_acquire(pool, &index);
	if (data == NULL)
		return false;
	offload.flags &= TAP_VNET_FLAGS;
	memcpy(data, &offload, WEIR_OFFLOAD_VNET_SIZE);
	data += WEIR_OFFLOAD_VNET_SIZE;
	for (i = 0; i < head->n_segments; i++) {
		memcpy(data, head[i].addr, head[i].len);
		data += head[i].len;
	}
	if (weir_uring_submit_write_fixed(pool, q->file.fd, index, WEIR_URING_STREAM, len) < 0) {
		weir_uring_release(pool, index);
		return false;
	}
	q->n_writes++;
	return true;
}

static uint16_t
sqpoll_tx_avail(struct weir_queue *queue, struct weir_access *access,
		const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct sqpoll_queue *q = sqpoll_queue(queue);
	uint16_t taken, dropped = 0, n_wanted = n_packets;
	uint64_t bytes = 0;

	*done = true;
	if (q->n_writes > 0)
		completions_take(q);
	/* When most are on their way, wait for a burst: completions come one by one. */
	if (weir_uring_available_count(q->small) < BURST)
		n_wanted = 0;
	for (taken = 0; taken < n_wanted && !q->file.gone; taken++) {
		if (unlikely(!tap_frame_is_sound(segments)))
			dropped++;
		else if (frame_submit(q, segments))
			bytes += segments->frame_len;
		else
			break;
		segments = weir_tx_next(segments);
	}
	if (taken > 0)
		weir_uring_flush(q->ring);
	tap_tx_count(&queue->stats, n_packets, taken, dropped, bytes);
	return taken;
}

static int
sqpoll_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return sqpoll_queue(queue)->file.gone ? WEIR_QUEUE_FATAL : 0;
}

static void
sqpoll_update_target(struct weir_queue *queue)
{
}

static void
sqpoll_set_active(struct weir_queue *queue, bool active)
{
	struct sqpoll_queue *q = sqpoll_queue(queue);

	tap_file_set_active(&q->file, active);
	weir_wake_signal(&q->wake);
}

static void
sqpoll_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
	const struct sqpoll_queue *q = sqpoll_queue(queue);
	struct weir_uring_stats stats;

	weir_uring_stats(q->ring, &stats);
	rte_tel_data_add_dict_int(dict, "fd", q->file.fd);
	rte_tel_data_add_dict_string(dict, "active", tap_file_is_active(&q->file) ? "yes" : "no");
	rte_tel_data_add_dict_u64(dict, "requests", stats.submitted);
	rte_tel_data_add_dict_u64(dict, "requests_in_flight", weir_uring_in_flight(q->ring));
}

static const struct weir_queue_ops sqpoll_ops = {
	.poll_ready = sqpoll_poll_ready,
	.rx_avail = sqpoll_rx_avail,
	.rx_poll = sqpoll_rx_poll,
	.tx_avail = sqpoll_tx_avail,
	.tx_poll = sqpoll_tx_poll,
	.update_target = sqpoll_update_target,
	.set_active = sqpoll_set_active,
	.inspect = sqpoll_inspect,
};

static struct weir_uring_pool *
pool_make(struct sqpoll_queue *q, uint32_t buffer_bytes, uint32_t n, int numa_node)
{
	return weir_uring_pool_create(q->ring, &(struct weir_uring_pool_conf){
						       .buffer_bytes = buffer_bytes,
						       .n_buffers = n,
						       .numa_node = numa_node,
					       });
}

/** In lines of an odd number: the first ones of all buffers then have all sets of a cache. */
static uint32_t
lines_odd(uint32_t bytes)
{
	return RTE_ALIGN_CEIL(bytes, RTE_CACHE_LINE_SIZE) | RTE_CACHE_LINE_SIZE;
}

static int
pools_make(struct sqpoll_queue *q, const struct tap_queue_conf *conf)
{
	/* A byte more than the longest tells of one that was cut. */
	uint32_t small =
		lines_odd(RTE_MAX(SMALL_BYTES, conf->mtu + L2_BYTES + WEIR_OFFLOAD_VNET_SIZE + 1));
	uint32_t large = lines_odd(WEIR_FRAME_LEN_MAX + WEIR_OFFLOAD_VNET_SIZE + 1);
	bool receives_long = conf->rx_offloads & (WEIR_OFFLOAD_CAP_TSO4 | WEIR_OFFLOAD_CAP_TSO6);

	q->reads_wanted = READS_MIN;
	q->reads_max = receives_long ? RX_LARGE : RX_SMALL;
	q->small = pool_make(q, small, TX_SMALL, conf->numa_node);
	if (q->small != NULL)
		q->large = pool_make(q, large, TX_LARGE, conf->numa_node);
	if (q->large != NULL)
		q->reads =
			pool_make(q, receives_long ? large : small, q->reads_max, conf->numa_node);
	return q->reads != NULL ? 0 : -rte_errno;
}

static int
ring_make(struct sqpoll_queue *q, const struct tap_queue_conf *conf)
{
	const struct weir_uring *first =
		conf->first != NULL ? sqpoll_queue(conf->first)->ring : NULL;

	q->ring = weir_uring_create(&(struct weir_uring_conf){
		.owner = conf->owner,
		.entries = ENTRIES,
		.sqpoll_idle_ms = IDLE_MS,
		.sqpoll_with = first,
		.no_wait = true,
	});
	return q->ring != NULL ? 0 : -rte_errno;
}

/** Whether this kernel's tap can be read without waiting. */
static int
reads_try(struct sqpoll_queue *q, const char *owner)
{
	struct weir_uring_completion done;
	uint16_t index;
	int rc = weir_uring_acquire(q->reads, &index, NULL);

	if (rc == 0 && weir_uring_submit_read_fixed(q->reads, q->file.fd, index, WEIR_URING_STREAM,
						    weir_uring_buffer_size(q->reads)) < 0)
		rc = weir_error(EIO, "%s: the first read cannot be submitted", owner);
	if (rc == 0 && weir_uring_wait(q->ring, CLOSE_US) != 1)
		return weir_error(ETIMEDOUT, "%s: io_uring does not answer", owner);
	if (rc != 0)
		return rc;
	weir_uring_reap(q->ring, &done, 1);
	weir_uring_release(q->reads, index);
	if (done.result != -EOPNOTSUPP)
		return 0;
	return weir_error(EOPNOTSUPP,
			  "%s: a tap of this kernel cannot be used with "
			  "io_uring",
			  owner);
}

static void
ring_end(struct sqpoll_queue *q)
{
	struct weir_uring_pool *const pools[] = {q->small, q->large, q->reads};
	size_t i;

	if (weir_uring_cancel_all(q->ring, CLOSE_US) != 0) {
		/* What the kernel may still write to is not given back. */
		WEIR_LOG(tap, ERR, "%s; their memory is kept", weir_error_text());
		return;
	}
	for (i = 0; i < RTE_DIM(pools); i++)
		weir_uring_pool_free(pools[i]);
	weir_uring_free(q->ring);
}

static int
sqpoll_open(struct weir_queue *queue, const struct tap_queue_conf *conf)
{
	struct sqpoll_queue *q = sqpoll_queue(queue);
	int rc;

	tap_file_open(&q->file, conf->fd, conf->multiqueue);
	if (weir_rx_ids_init(&q->rx) != 0)
		return weir_error(ENOMEM, "%s: no memory for its queues", conf->owner);
	rc = weir_wake_init(&q->wake, &q->word, 0);
	if (rc != 0)
		goto no_wake;
	rc = ring_make(q, conf);
	if (rc != 0)
		goto no_ring;
	rc = pools_make(q, conf);
	if (rc == 0)
		rc = reads_try(q, conf->owner);
	if (rc != 0)
		goto no_pools;
	queue->wake_fd = weir_uring_fd(q->ring);
	weir_wake_arm(&q->wake);
	wake_watch(q);
	weir_uring_flush(q->ring);
	return 0;

no_pools:
	ring_end(q);
no_ring:
	weir_wake_fini(&q->wake);
no_wake:
	weir_rx_ids_fini(&q->rx);
	return rc;
}

static void
sqpoll_close(struct weir_queue *queue)
{
	struct sqpoll_queue *q = sqpoll_queue(queue);

	/* What the guest was told is done is written, as far as the kernel takes it now. */
	weir_uring_flush(q->ring);
	while (q->n_writes > 0 && !q->file.gone && weir_uring_wait(q->ring, CLOSE_US) == 1)
		completions_take(q);
	ring_end(q);
	weir_wake_disarm(&q->wake);
	weir_wake_fini(&q->wake);
	weir_rx_ids_fini(&q->rx);
}

static int
sqpoll_check(const char *owner)
{
	struct weir_uring *ring = weir_uring_create(
		&(struct weir_uring_conf){.owner = owner, .entries = 1, .sqpoll_idle_ms = 1});

	if (ring == NULL)
		return -rte_errno;
	weir_uring_free(ring);
	return 0;
}

const struct tap_mode tap_sqpoll = {
	.name = "sqpoll",
	.ops = &sqpoll_ops,
	.queue_size = sizeof(struct sqpoll_queue),
	.check = sqpoll_check,
	.open = sqpoll_open,
	.close = sqpoll_close,
};
