/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path of a tap: one writev(2) or readv(2) a frame, straight from and to
 * the guest's memory, behind the ten bytes of offload metadata that the kernel and
 * virtio share. The calls do not block.
 */
#include <errno.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_error.h"
#include "weir_rx_ids.h"

#include "tap.h"

/** Frames of one rx_poll, so that a busy tap leaves its lcore to other guests. */
#define RX_BURST 32
/** What the kernel takes in one call: UIO_MAXIOV. */
#define IOV_MAX_ENTRIES 1024
#define IOV_PAGE 4096

struct tap_queue {
	struct weir_queue base;
	struct weir_rx_ids rx;
	struct tap_file file;
	struct iovec iov[IOV_MAX_ENTRIES];
};

static inline struct tap_queue *
tap_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct tap_queue, base);
}

static bool
tap_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct tap_queue *q = tap_queue(queue);
	struct pollfd fd = {.fd = q->file.fd, .events = POLLIN};

	/* Arming is needless: the descriptor is readable while a frame waits. */
	return tap_file_is_active(&q->file) && weir_rx_ids_n_empty(&q->rx) > 0 &&
	       poll(&fd, 1, 0) > 0;
}

static void
tap_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids, uint16_t n)
{
	weir_rx_ids_post(&tap_queue(queue)->rx, ids, n);
}

/**
 * The kernel could not reach what the guest gave us, and said so: then neither can we,
 * which ends in the hands of whoever owns the memory (lib/guest/fault.c).
 */
static void
iov_touch(const struct iovec *iov, unsigned int n)
{
	const uint8_t *byte;
	unsigned int i;
	size_t at;

	for (i = 0; i < n; i++) {
		byte = iov[i].iov_base;
		for (at = 0; at < iov[i].iov_len; at += IOV_PAGE)
			(void)*(const volatile uint8_t *)&byte[at];
		if (iov[i].iov_len > 0)
			(void)*(const volatile uint8_t *)&byte[iov[i].iov_len - 1];
	}
}

enum read_result { READ_FRAME, READ_TRUNCATED, READ_NONE };

/** Read one frame into the buffer @p id. */
static enum read_result
frame_read(struct tap_queue *q, struct weir_access *access, uint16_t id, struct weir_rx_meta *meta)
{
	uint32_t n_changes = tap_file_n_changes(&q->file);
	size_t room = 0;
	unsigned int i, n;
	uint8_t spill;
	ssize_t len;

	n = access->ops->guest_addresses(access, id, q->iov + 1, IOV_MAX_ENTRIES - 2);
	if (n == 0)
		return READ_NONE;
	for (i = 1; i <= n; i++)
		room += q->iov[i].iov_len;
	meta->offload = (struct weir_offload){.flags = 0};
	q->iov[0] = (struct iovec){&meta->offload, WEIR_OFFLOAD_VNET_SIZE};
	/* The kernel cuts a frame short in silence: a byte behind the room tells. */
	q->iov[n + 1] = (struct iovec){&spill, sizeof(spill)};
	len = readv(q->file.fd, q->iov, n + 2);
	if (len < WEIR_OFFLOAD_VNET_SIZE) {
		if (len < 0 && errno == EBADFD)
			tap_file_lost(&q->file, n_changes);
		else if (unlikely(len < 0 && errno == EFAULT))
			iov_touch(q->iov, n + 1);
		return READ_NONE;
	}
	meta->len = len - WEIR_OFFLOAD_VNET_SIZE;
	meta->offload.flags &= TAP_VNET_FLAGS;
	return meta->len > room ? READ_TRUNCATED : READ_FRAME;
}

static int
tap_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct tap_queue *q = tap_queue(queue);
	uint16_t filled = 0, dropped = 0;
	enum read_result result;
	struct weir_rx_meta meta;
	uint64_t bytes = 0;
	uint16_t tries = RTE_MIN(n, RX_BURST);

	if (unlikely(q->file.gone))
		return WEIR_QUEUE_FATAL;
	if (unlikely(!tap_file_is_active(&q->file)))
		return 0;
	for (; tries > 0 && weir_rx_ids_n_empty(&q->rx) > 0; tries--) {
		uint16_t id = *weir_rx_ids_empty(&q->rx);

		result = frame_read(q, access, id, &meta);
		if (result == READ_NONE)
			break;
		if (unlikely(result == READ_TRUNCATED)) {
			dropped++; /* the buffer stays posted, for a shorter one */
			continue;
		}
		access->ops->write_header(access, id, &meta);
		weir_rx_ids_fill(&q->rx, 1);
		bytes += meta.len;
		filled++;
	}
	tap_rx_count(&queue->stats, filled, dropped, bytes);
	return weir_rx_ids_take(&q->rx, ids, filled);
}

/** @return 0, or negative errno. */
static int
frame_write(struct tap_queue *q, const struct weir_tx_segment *head)
{
	struct weir_offload offload = head->offload;
	uint16_t i;

	if (unlikely(head->n_segments >= IOV_MAX_ENTRIES || !tap_frame_is_sound(head)))
		return -EINVAL;
	offload.flags &= TAP_VNET_FLAGS;
	q->iov[0] = (struct iovec){&offload, WEIR_OFFLOAD_VNET_SIZE};
	for (i = 0; i < head->n_segments; i++)
		q->iov[i + 1] = (struct iovec){(void *)(uintptr_t)head[i].addr, head[i].len};
	if (likely(writev(q->file.fd, q->iov, i + 1) >= 0))
		return 0;
	if (unlikely(errno == EFAULT)) {
		iov_touch(q->iov, i + 1);
		return -EFAULT;
	}
	return -errno;
}

static uint16_t
tap_tx_avail(struct weir_queue *queue, struct weir_access *access,
	     const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct tap_queue *q = tap_queue(queue);
	uint32_t n_changes = tap_file_n_changes(&q->file);
	uint16_t taken, dropped = 0;
	uint64_t bytes = 0;
	int rc;

	*done = true;
	for (taken = 0; taken < n_packets && !q->file.gone;
	     taken++, segments = weir_tx_next(segments)) {
		rc = frame_write(q, segments);
		if (likely(rc == 0)) {
			bytes += segments->frame_len;
			continue;
		}
		/* No room now: the guest's ring is where frames wait. */
		if (tap_write_is_busy(-rc))
			break;
		/* EIO: the interface is down. EINVAL: metadata that does not fit the frame. */
		if (rc == -EBADFD)
			tap_file_lost(&q->file, n_changes);
		dropped++;
	}
	tap_tx_count(&queue->stats, n_packets, taken, dropped, bytes);
	return taken;
}

static int
tap_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return tap_queue(queue)->file.gone ? WEIR_QUEUE_FATAL : 0;
}

static void
tap_update_target(struct weir_queue *queue)
{
}

static void
tap_set_active(struct weir_queue *queue, bool active)
{
	tap_file_set_active(&tap_queue(queue)->file, active);
}

static void
tap_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
	const struct tap_queue *q = tap_queue(queue);

	rte_tel_data_add_dict_int(dict, "fd", q->file.fd);
	rte_tel_data_add_dict_string(dict, "active", tap_file_is_active(&q->file) ? "yes" : "no");
}

static const struct weir_queue_ops tap_queue_ops = {
	.poll_ready = tap_poll_ready,
	.rx_avail = tap_rx_avail,
	.rx_poll = tap_rx_poll,
	.tx_avail = tap_tx_avail,
	.tx_poll = tap_tx_poll,
	.update_target = tap_update_target,
	.set_active = tap_set_active,
	.inspect = tap_queue_inspect,
};

static int
tap_queue_open(struct weir_queue *queue, const struct tap_queue_conf *conf)
{
	struct tap_queue *q = tap_queue(queue);

	if (weir_rx_ids_init(&q->rx) != 0)
		return weir_error(ENOMEM, "%s: no memory for its queues", conf->owner);
	tap_file_open(&q->file, conf->fd, conf->multiqueue);
	queue->wake_fd = conf->fd;
	return 0;
}

static void
tap_queue_close(struct weir_queue *queue)
{
	weir_rx_ids_fini(&tap_queue(queue)->rx);
}

const struct tap_mode tap_inline = {
	.name = "inline",
	.ops = &tap_queue_ops,
	.queue_size = sizeof(struct tap_queue),
	.open = tap_queue_open,
	.close = tap_queue_close,
};
