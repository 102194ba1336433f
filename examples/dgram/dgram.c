/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dgram: every frame is a datagram on a unix socket. The worked example of
 * docs/endpoint-guide.md.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_rx_ids.h"

/** Frames of one rx_poll, so that a busy socket leaves its lcore to other guests. */
#define RX_BURST 32
/** Pieces of one frame; more than any guest's buffer or frame has. */
#define PIECES_MAX 1024
/** An Ethernet header: less is no frame. */
#define FRAME_LEN_MIN 14

struct dgram {
	struct sockaddr_un path, peer;
	int fd;
};

struct dgram_queue {
	struct weir_queue base; /* first */
	struct weir_rx_ids rx;
	struct dgram *dgram;
	struct iovec pieces[PIECES_MAX];
};

static inline struct dgram_queue *
dgram_queue(const struct weir_queue *queue)
{
	return container_of(queue, struct dgram_queue, base);
}

/** 0, or negative errno. */
static int
frame_send(struct dgram_queue *q, const struct weir_tx_segment *head)
{
	struct msghdr message = {
		.msg_name = &q->dgram->peer,
		.msg_namelen = sizeof(q->dgram->peer),
		.msg_iov = q->pieces,
		.msg_iovlen = head->n_segments,
	};
	uint16_t i;

	if (head->n_segments > PIECES_MAX || head->offload.gso_type != WEIR_GSO_NONE ||
	    (head->offload.flags & (WEIR_OFFLOAD_NEEDS_CSUM | WEIR_OFFLOAD_VLAN)))
		return -EINVAL;
	for (i = 0; i < head->n_segments; i++)
		q->pieces[i] = (struct iovec){(void *)(uintptr_t)head[i].addr, head[i].len};
	return sendmsg(q->dgram->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static uint16_t
dgram_tx_avail(struct weir_queue *queue, struct weir_access *access,
	       const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct dgram_queue *q = dgram_queue(queue);
	uint16_t taken, dropped = 0;
	uint64_t bytes = 0;
	int rc;

	*done = true; /* sendmsg() has copied what it took */
	for (taken = 0; taken < n_packets; taken++, segments += segments->n_segments) {
		rc = frame_send(q, segments);
		if (rc == -EAGAIN || rc == -ENOBUFS || rc == -ENOMEM)
			break;
		/* ENOENT, ECONNREFUSED: nobody is there, the cable ends nowhere. */
		if (rc != 0)
			dropped++;
		else
			bytes += segments->frame_len;
	}
	weir_count(&queue->stats.tx_packets, taken - dropped);
	weir_count(&queue->stats.tx_bytes, bytes);
	weir_count(&queue->stats.tx_dropped, dropped);
	weir_count(&queue->stats.tx_busy, taken < n_packets);
	return taken;
}

static int
dgram_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	return 0;
}

static void
dgram_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
	       uint16_t n)
{
	weir_rx_ids_post(&dgram_queue(queue)->rx, ids, n);
}

enum received { RECEIVED_FRAME, RECEIVED_DROPPED, RECEIVED_NONE };

/** Read one datagram into the buffer @p id. */
static enum received
frame_receive(struct dgram_queue *q, struct weir_access *access, uint16_t id,
	      struct weir_rx_meta *meta)
{
	struct msghdr message = {.msg_iov = q->pieces};
	ssize_t len;

	message.msg_iovlen = access->ops->guest_addresses(access, id, q->pieces, PIECES_MAX);
	if (message.msg_iovlen == 0)
		return RECEIVED_NONE;
	len = recvmsg(q->dgram->fd, &message, MSG_DONTWAIT);
	if (len < 0)
		return RECEIVED_NONE;
	if (len < FRAME_LEN_MIN || (message.msg_flags & MSG_TRUNC))
		return RECEIVED_DROPPED;
	*meta = (struct weir_rx_meta){.len = len};
	access->ops->write_header(access, id, meta);
	return RECEIVED_FRAME;
}

static int
dgram_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct dgram_queue *q = dgram_queue(queue);
	uint16_t tries, filled = 0, dropped = 0;
	struct weir_rx_meta meta;
	enum received received;
	uint64_t bytes = 0;

	for (tries = RTE_MIN(n, RX_BURST); tries > 0 && weir_rx_ids_n_empty(&q->rx) > 0; tries--) {
		received = frame_receive(q, access, *weir_rx_ids_empty(&q->rx), &meta);
		if (received == RECEIVED_NONE)
			break;
		if (received == RECEIVED_DROPPED) {
			dropped++;
			continue;
		}
		weir_rx_ids_fill(&q->rx, 1);
		bytes += meta.len;
		filled++;
	}
	weir_count(&queue->stats.rx_packets, filled);
	weir_count(&queue->stats.rx_bytes, bytes);
	weir_count(&queue->stats.rx_dropped, dropped);
	return weir_rx_ids_take(&q->rx, ids, filled);
}

static bool
dgram_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	struct dgram_queue *q = dgram_queue(queue);
	struct pollfd fd = {.fd = q->dgram->fd, .events = POLLIN};

	return weir_rx_ids_n_empty(&q->rx) > 0 && poll(&fd, 1, 0) > 0;
}

static void
dgram_update_target(struct weir_queue *queue)
{
}

static void
dgram_set_active(struct weir_queue *queue, bool active)
{
}

static void
dgram_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
}

static const struct weir_queue_ops dgram_queue_ops = {
	.poll_ready = dgram_poll_ready,
	.rx_avail = dgram_rx_avail,
	.rx_poll = dgram_rx_poll,
	.tx_avail = dgram_tx_avail,
	.tx_poll = dgram_tx_poll,
	.update_target = dgram_update_target,
	.set_active = dgram_set_active,
	.inspect = dgram_queue_inspect,
};

static int
path_read(const struct weir_keys *keys, const char *key, struct sockaddr_un *address)
{
	const char *path;
	int rc = weir_keys_need(keys, key, &path);

	if (rc != 0)
		return rc;
	if (strlen(path) >= sizeof(address->sun_path))
		return weir_error(ENAMETOOLONG,
				  "--endpoint: %s=%s: a socket's path has %zu "
				  "characters at most",
				  key, path, sizeof(address->sun_path) - 1);
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, path);
	return 0;
}

static int
dgram_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	struct dgram *dgram = weir_endpoint_state(endpoint);
	int rc;

	rc = path_read(keys, "path", &dgram->path);
	if (rc == 0)
		rc = path_read(keys, "peer", &dgram->peer);
	if (rc != 0)
		return rc;
	dgram->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (dgram->fd < 0)
		return weir_error(errno, "endpoint '%s': no socket: %s",
				  weir_endpoint_name(endpoint), strerror(errno));
	if (bind(dgram->fd, (struct sockaddr *)&dgram->path, sizeof(dgram->path)) == 0)
		return 0;
	rc = weir_error(errno,
			"endpoint '%s': path=%s: %s: name a file that is not there yet, in a "
			"directory that is",
			weir_endpoint_name(endpoint), dgram->path.sun_path, strerror(errno));
	close(dgram->fd);
	return rc;
}

static void
dgram_close(struct weir_endpoint *endpoint)
{
	struct dgram *dgram = weir_endpoint_state(endpoint);

	close(dgram->fd);
	unlink(dgram->path.sun_path);
}

static void
dgram_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	   struct weir_queue **queues)
{
	weir_rx_ids_fini(&dgram_queue(queues[0])->rx);
	weir_queues_free(queues, client->n_queues);
}

static int
dgram_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		 struct weir_queue **queues)
{
	struct dgram *dgram = weir_endpoint_state(endpoint);
	struct dgram_queue *q;
	char byte;
	int rc;

	rc = weir_queues_alloc(endpoint, &dgram_queue_ops, sizeof(*q), queues, client->n_queues);
	if (rc != 0)
		return rc;
	q = dgram_queue(queues[0]);
	q->dgram = dgram;
	q->base.wake_fd = dgram->fd;
	if (weir_rx_ids_init(&q->rx) != 0) {
		dgram_stop(endpoint, client, queues);
		return weir_error(ENOMEM, "endpoint '%s': no memory for its queue",
				  weir_endpoint_name(endpoint));
	}
	while (recv(dgram->fd, &byte, sizeof(byte), MSG_DONTWAIT) >= 0)
		;
	return 0;
}

static uint32_t
dgram_tx_offloads(const struct weir_endpoint *endpoint)
{
	return 0;
}

static uint32_t
dgram_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
dgram_link_up(const struct weir_endpoint *endpoint)
{
	return true;
}

static void
dgram_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
	const struct dgram *dgram = weir_endpoint_state(endpoint);

	rte_tel_data_add_dict_string(dict, "path", dgram->path.sun_path);
	rte_tel_data_add_dict_string(dict, "peer", dgram->peer.sun_path);
}

static const char *const dgram_keys[] = {"path", "peer", NULL};

static const struct weir_endpoint_ops dgram_ops = {
	.type = "dgram",
	.usage = "path=PATH   the socket that frames come to\n"
		 "peer=PATH   the socket that frames go to\n",
	.keys = dgram_keys,
	.state_size = sizeof(struct dgram),
	.max_clients = 1,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = false,
	.open = dgram_open,
	.close = dgram_close,
	.get_queues = dgram_get_queues,
	.stop = dgram_stop,
	.tx_offloads = dgram_tx_offloads,
	.link_speed = dgram_link_speed,
	.link_up = dgram_link_up,
	.inspect = dgram_inspect,
};

WEIR_ENDPOINT_REGISTER(dgram_ops);
