/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include <rte_atomic.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "light_port.h"
#include "weir_error.h"

#define HEADER_LEN sizeof(struct virtio_net_hdr_mrg_rxbuf)
#define FEATURES (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_NET_F_MRG_RXBUF)
#define RX_POST 32 /* buffers at a time */

static int
ring_init(struct light_ring *ring, uint16_t size)
{
	const size_t desc = size * sizeof(*ring->desc);
	const size_t avail = RTE_CACHE_LINE_ROUNDUP(sizeof(*ring->avail) + 2 * (size + 1));
	const size_t used = sizeof(*ring->used) + size * sizeof(struct vring_used_elem) + 2;
	uint8_t *parts = rte_zmalloc("light_ring", desc + avail + used, RTE_CACHE_LINE_SIZE);

	ring->desc = (void *)parts;
	ring->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->frames = rte_zmalloc("light_ring", size * (sizeof(void *) + sizeof(uint16_t)), 0);
	if (parts == NULL || ring->frames == NULL || ring->kick < 0)
		return weir_error(ENOMEM, "no memory or descriptor for a ring of %u", size);
	ring->free = (void *)&ring->frames[size];
	ring->avail = (void *)(parts + desc);
	ring->used = (void *)(parts + desc + avail);
	ring->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	ring->size = size;
	for (; ring->n_free < size; ring->n_free++)
		ring->free[ring->n_free] = size - 1 - ring->n_free;
	return 0;
}

static void
ring_fini(struct light_ring *ring)
{
	uint16_t i;

	for (i = 0; i < ring->size; i++)
		rte_pktmbuf_free(ring->frames[i]);
	rte_free(ring->desc);
	rte_free(ring->frames);
	if (ring->kick > 0)
		close(ring->kick);
}

/** There must be a free descriptor. */
static inline void
ring_post(struct light_ring *ring, struct rte_mbuf *frame, uint32_t len, uint16_t flags)
{
	uint16_t id = ring->free[--ring->n_free];

	ring->frames[id] = frame;
	ring->desc[id] = (struct vring_desc){
		.addr = (uintptr_t)rte_pktmbuf_mtod(frame, uint8_t *) - HEADER_LEN,
		.len = len + HEADER_LEN,
		.flags = flags,
	};
	ring->avail->ring[ring->posted++ & (ring->size - 1)] = id;
}

static inline void
ring_publish(struct light_ring *ring)
{
	const uint64_t one = 1;

	__atomic_store_n(&ring->avail->idx, ring->posted, __ATOMIC_RELEASE);
	/* The back-end asks, fences, looks again (virtio 1.1, 2.6.7.1): so do we. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&ring->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY) &&
	    write(ring->kick, &one, sizeof(one)) < 0)
		return; /* full of kicks: one more says nothing new */
}

/** The next buffer that the back-end is done with, or NULL; of how many bytes. */
static inline struct rte_mbuf *
ring_used(struct light_port *port, struct light_ring *ring, uint32_t *len)
{
	struct vring_used_elem used = ring->used->ring[ring->seen & (ring->size - 1)];
	struct rte_mbuf *frame = used.id < ring->size ? ring->frames[used.id] : NULL;

	if (unlikely(frame == NULL)) {
		port->is_broken = true;
		return NULL;
	}
	ring->frames[used.id] = NULL;
	ring->free[ring->n_free++] = used.id;
	ring->seen++;
	*len = used.len;
	return frame;
}

static inline uint16_t
ring_n_used(const struct light_port *port, const struct light_ring *ring)
{
	if (unlikely(port->is_broken))
		return 0;
	return (uint16_t)(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) - ring->seen);
}

static void
rx_fill(struct light_port *port)
{
	struct light_ring *rx = &port->rx;
	struct rte_mbuf *frames[RX_POST];
	uint16_t i, before = rx->posted;

	while (rx->n_free >= RX_POST && rte_pktmbuf_alloc_bulk(port->pool, frames, RX_POST) == 0)
		for (i = 0; i < RX_POST; i++)
			ring_post(rx, frames[i], rte_pktmbuf_tailroom(frames[i]),
				  VRING_DESC_F_WRITE);
	if (rx->posted != before)
		ring_publish(rx);
}

uint16_t
light_port_receive(struct light_port *port, struct rte_mbuf **frames, uint16_t n)
{
	struct light_ring *rx = &port->rx;
	uint16_t i, n_buffers;
	uint32_t len;

	n = RTE_MIN(n, ring_n_used(port, rx));
	for (i = 0; i < n; i++) {
		struct rte_mbuf *frame = ring_used(port, rx, &len);

		if (frame == NULL)
			break;
		memcpy(&n_buffers,
		       rte_pktmbuf_mtod_offset(frame, uint8_t *, -(int)sizeof(n_buffers)),
		       sizeof(n_buffers));
		/* Every frame that is sent fits into one. */
		if (unlikely(n_buffers > 1 || len < HEADER_LEN))
			port->is_broken = true;
		frame->data_len = frame->pkt_len = RTE_MAX(len, HEADER_LEN) - HEADER_LEN;
		frames[i] = frame;
	}
	if (rx->n_free >= RX_POST)
		rx_fill(port);
	return i;
}

/** Take back what was sent. */
static void
tx_reap(struct light_port *port)
{
	uint16_t n = ring_n_used(port, &port->tx);
	struct rte_mbuf *frame;
	uint32_t len;

	while (n-- > 0 && (frame = ring_used(port, &port->tx, &len)) != NULL)
		rte_pktmbuf_free(frame);
}

uint16_t
light_port_send(struct light_port *port, struct rte_mbuf **frames, uint16_t n)
{
	struct light_ring *tx = &port->tx;
	uint16_t i;

	if (tx->n_free < tx->size / 2)
		tx_reap(port);
	n = RTE_MIN(n, tx->n_free);
	if (n == 0)
		return 0;
	for (i = 0; i < n; i++) {
		memset(rte_pktmbuf_mtod_offset(frames[i], uint8_t *, -(int)HEADER_LEN), 0,
		       HEADER_LEN);
		ring_post(tx, frames[i], frames[i]->data_len, 0);
	}
	ring_publish(tx);
	return n;
}

struct light_port *
light_port_new(uint16_t size)
{
	struct light_port *port;

	if (size < RX_POST || size > LIGHT_RING_MAX || !rte_is_power_of_2(size)) {
		weir_error(EINVAL, "queue_size=%u: a light port's is a power of two from %d to %d",
			   size, RX_POST, LIGHT_RING_MAX);
		return NULL;
	}
	port = rte_zmalloc("light_port", sizeof(*port), RTE_CACHE_LINE_SIZE);
	if (port == NULL) {
		weir_error(ENOMEM, "no memory for a port: give EAL more");
		return NULL;
	}
	port->fd = -1;
	port->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring_init(&port->rx, size) < 0 || ring_init(&port->tx, size) < 0) {
		light_port_free(port);
		return NULL;
	}
	return port;
}

void
light_port_free(struct light_port *port)
{
	if (port == NULL)
		return;
	if (port->is_served)
		handshake_stop(port->fd, 2);
	if (port->fd >= 0)
		close(port->fd);
	ring_fini(&port->rx);
	ring_fini(&port->tx);
	if (port->call >= 0)
		close(port->call);
	rte_free(port);
}

/** One stretch of EAL's memory, of one file. */
static int
memory_add(const struct rte_memseg_list *msl, const struct rte_memseg *ms, size_t len, void *arg)
{
	const struct rte_memseg *last = rte_mem_virt2memseg((uint8_t *)ms->addr + len - 1, msl);
	struct light_memory *memory = arg;
	size_t offset, last_offset;
	int fd;

	if (msl->external)
		return 0;
	fd = rte_memseg_get_fd_thread_unsafe(ms);
	if (fd < 0 || memory->n == HANDSHAKE_REGIONS_MAX || last == NULL ||
	    rte_memseg_get_fd_thread_unsafe(last) != fd ||
	    rte_memseg_get_fd_offset_thread_unsafe(ms, &offset) != 0 ||
	    rte_memseg_get_fd_offset_thread_unsafe(last, &last_offset) != 0 ||
	    last_offset - offset + last->len != len)
		return -1;
	memory->regions[memory->n++] = (struct handshake_region){
		.guest_addr = (uintptr_t)ms->addr,
		.size = len,
		.user_addr = (uintptr_t)ms->addr,
		.offset = offset,
		.fd = fd,
	};
	return 0;
}

int
light_memory_find(struct light_memory *memory)
{
	memory->n = 0;
	if (rte_memseg_contig_walk(memory_add, memory) < 0)
		return weir_error(ENOTSUP,
				  "EAL's memory is in too many pieces for a back-end: give "
				  "--single-file-segments, or --no-huge");
	return 0;
}

int
light_port_start(struct light_port *port, const char *path, const struct light_memory *memory,
		 struct rte_mempool *pool)
{
	struct light_ring *const of_ring[] = {&port->rx, &port->tx};
	struct handshake_ring rings[2];
	unsigned int i;
	int rc;

	port->fd = handshake_connect(path);
	if (port->fd < 0)
		return port->fd;
	port->pool = pool;
	for (i = 0; i < 2; i++)
		rings[i] = (struct handshake_ring){
			.size = of_ring[i]->size,
			.desc = of_ring[i]->desc,
			.avail = of_ring[i]->avail,
			.used = of_ring[i]->used,
			.kick = of_ring[i]->kick,
			.call = port->call,
		};
	rx_fill(port);
	rc = handshake_run(port->fd, FEATURES, memory->regions, memory->n, rings, 2);
	port->is_served = rc == 0;
	return rc;
}
