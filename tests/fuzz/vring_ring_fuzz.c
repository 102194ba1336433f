/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that writes its rings and memory as the input says, between any two calls
 * of ours. What comes out of the engine must lie in the guest's memory, which is
 * allocated to the byte, and ids and counts must add up.
 */
#include <errno.h>
#include <stdlib.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "fuzz.h"
#include "weir_vring.h"

#define BASE 0x10000ULL
#define MEMORY 0x4000 /* the first region; then one of half of it, a hole, another */
#define SIZE_MAX_LOG 6
#define HELD_MAX 256
#define SEGMENTS 512

struct world {
	struct fuzz in;
	struct weir_vring_memory memory;
	struct weir_vring_config config;
	struct weir_vring_log log;
	uint8_t bitmap[16];
	struct weir_vring *vr;
	uint16_t held[HELD_MAX];
	uint32_t n_held;
	bool in_order;
	struct weir_tx_segment segments[SEGMENTS];
};

static volatile uint8_t sink;

/* A guest address: mostly one that exists. */
static uint64_t
world_address(struct world *w)
{
	uint8_t how = fuzz_number(&w->in, 1);

	if (how < 240)
		return BASE + fuzz_number(&w->in, 2);
	return fuzz_number(&w->in, 8);
}

static void
world_write(struct world *w, uint64_t addr, const void *data, uint64_t len)
{
	const uint8_t *from = data;

	while (len > 0) {
		uint64_t here = len;
		void *host = weir_vring_memory_host(&w->memory, addr, &here);

		if (host == NULL)
			return;
		memcpy(host, from, here);
		addr += here;
		from += here;
		len -= here;
	}
}

/* Write one descriptor where the input says: the ring, or anywhere as a table's. */
static void
world_descriptor(struct world *w)
{
	uint8_t how = fuzz_number(&w->in, 1);
	uint64_t words[2];
	uint16_t flags, last;
	uint32_t len;

	words[0] = world_address(w);
	len = how & 1 ? fuzz_number(&w->in, 4) : fuzz_number(&w->in, 2);
	flags = fuzz_number(&w->in, 1) & 7;
	last = fuzz_number(&w->in, 1);
	if (how & 2)
		last %= w->config.size;
	if (FUZZ_PACKED) {
		flags |= fuzz_number(&w->in, 1) << 8 & 0x8000;
		flags |= how & 0x80;
		words[1] = len | (uint64_t)last << 32 | (uint64_t)flags << 48;
	} else {
		words[1] = len | (uint64_t)flags << 32 | (uint64_t)last << 48;
	}
	if (how & 4)
		memcpy((uint8_t *)w->config.desc + 16 * (fuzz_number(&w->in, 1) % w->config.size),
		       words, sizeof(words));
	else
		world_write(w, world_address(w), words, sizeof(words));
}

/* Make something available as a driver would. */
static void
world_available(struct world *w)
{
	uint16_t idx, n = fuzz_number(&w->in, 1), *avail = w->config.driver;
	uint32_t i;

	if (FUZZ_PACKED) {
		/* Turn the AVAIL and USED bits of some descriptors over. */
		for (i = 0; i < w->config.size; i++)
			if (n >> (i % 8) & 1)
				((uint8_t *)w->config.desc)[16 * i + 14] ^= 0x80,
					((uint8_t *)w->config.desc)[16 * i + 15] ^=
					fuzz_number(&w->in, 1) & 0x80;
		return;
	}
	memcpy(&idx, &avail[1], sizeof(idx));
	for (i = 0; i < (n & 7U); i++) {
		uint16_t head = fuzz_number(&w->in, 1);

		avail[2 + idx++ % w->config.size] = n & 8 ? head : head % w->config.size;
	}
	if (n & 16)
		idx += fuzz_number(&w->in, 1);
	memcpy(&avail[1], &idx, sizeof(idx));
}

static void
world_take(struct world *w)
{
	uint16_t want = fuzz_number(&w->in, 1), n, i;
	struct weir_tx_segment *segment = w->segments;

	if (w->n_held + want > HELD_MAX)
		want = HELD_MAX - w->n_held;
	n = weir_vring_tx_take(w->vr, w->segments, SEGMENTS, want);
	FUZZ_CLAIM(n <= want);
	for (i = 0; i < n; i++) {
		uint16_t n_segments = segment->n_segments, s;
		struct weir_offload *o = &segment->offload;
		uint64_t total = 0;
		uint32_t b;

		FUZZ_CLAIM(n_segments >= 1 && n_segments <= WEIR_VRING_SEGMENTS_MAX);
		FUZZ_CLAIM(segment + n_segments <= w->segments + SEGMENTS);
		FUZZ_CLAIM(segment->id < w->config.size);
		for (b = 0; b < w->n_held; b++)
			FUZZ_CLAIM(w->held[b] != segment->id);
		for (s = 0; s < n_segments; s++) {
			FUZZ_CLAIM(segment[s].len > 0);
			FUZZ_CLAIM(s == 0 || segment[s].n_segments == 0);
			for (b = 0; b < segment[s].len; b++)
				sink += ((const uint8_t *)segment[s].addr)[b];
			total += segment[s].len;
		}
		FUZZ_CLAIM(total == segment->frame_len);
		FUZZ_CLAIM(total >= 14 && total <= WEIR_FRAME_LEN_MAX);
		if (o->flags & WEIR_OFFLOAD_NEEDS_CSUM)
			FUZZ_CLAIM(o->csum_start + o->csum_offset + 2U <= total);
		FUZZ_CLAIM(o->gso_type == 0 || (o->gso_size > 0 && o->flags != 0));
		w->held[w->n_held++] = segment->id;
		segment += n_segments;
	}
	if (!w->in_order && weir_vring_error(w->vr) == WEIR_VRING_OK)
		FUZZ_CLAIM(weir_vring_tx_held(w->vr) == w->n_held);
}

static void
world_done(struct world *w)
{
	uint16_t ids[8], n = 0;
	uint8_t want = fuzz_number(&w->in, 1) % 9;

	while (n < want && w->n_held > 0) {
		uint32_t i = fuzz_number(&w->in, 1) % w->n_held;

		ids[n++] = w->held[i];
		w->held[i] = w->held[--w->n_held];
	}
	/* What is held in the engine for the sake of order is not ours to name again. */
	weir_vring_tx_done(w->vr, ids, n);
}

static void
world_rx(struct world *w, uint8_t op)
{
	static uint8_t bytes[70000];
	struct weir_rx_meta meta = {.len = 14 + fuzz_number(&w->in, 2)};
	struct weir_tx_segment segments[3] = {
		{.addr = bytes, .len = 5, .frame_len = meta.len, .n_segments = 3},
		{.addr = bytes + 5, .len = 1},
		{.addr = bytes + 6, .len = meta.len - 6},
	};
	struct iovec iov[8];
	uint64_t total = 0;
	unsigned int n, i;

	meta.offload.flags = fuzz_number(&w->in, 1) & 0x83;
	meta.offload.gso_type = fuzz_number(&w->in, 1) & 0x85;
	switch (op % 5) {
	case 0:
		weir_vring_rx_write_packet(w->vr, &meta, bytes);
		break;
	case 1:
		n = weir_vring_rx_addresses(w->vr, meta.len, iov, RTE_DIM(iov));
		for (i = 0; i < n; i++)
			total += iov[i].iov_len;
		FUZZ_CLAIM(total <= meta.len && total <= weir_vring_rx_capacity(w->vr));
		/* The buffer may be the ring itself. */
		for (i = 0; i < n; i++)
			memset(iov[i].iov_base, 0x5a, iov[i].iov_len);
		meta.len = RTE_MAX(total, 14U);
		if (total >= 14 && weir_vring_rx_write_header(w->vr, &meta) == 0 && op & 0x40)
			weir_vring_rx_commit(w->vr);
		break;
	case 2:
		weir_vring_rx_write_data(w->vr, fuzz_number(&w->in, 2), bytes, meta.len);
		break;
	case 3:
		segments[0].offload = meta.offload;
		weir_vring_rx_write_packets(w->vr, segments, 1);
		break;
	default:
		FUZZ_CLAIM(weir_vring_rx_posted(w->vr, op) <= op);
		weir_vring_rx_commit(w->vr);
		break;
	}
}

/*
 * Begin with a ring as a driver would post it, so that the input can break it instead
 * of having to make it first: @p how says whether, whether in pairs, and what headers.
 */
static void
world_post(struct world *w, uint8_t how)
{
	uint16_t flags = w->config.side == WEIR_VRING_RX ? VRING_DESC_F_WRITE : 0, *avail;
	uint32_t i, step = how & 2 ? 2 : 1, n = w->config.size - w->config.size % step;
	uint8_t header[] = {how >> 2 & 1, how >> 3 & 1, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0};

	if (!(how & 1))
		return;
	avail = w->config.driver;
	for (i = 0; i < n; i++) {
		uint64_t words[2] = {BASE + 0x2000 + 128 * (i % 64)};
		uint16_t f = flags | (i % step + 1 < step ? VRING_DESC_F_NEXT : 0);
		uint32_t len = how & 16 ? 128 : 40;

		if (i % step == 0)
			world_write(w, words[0], header, sizeof(header));
		if (FUZZ_PACKED)
			words[1] = len | (uint64_t)i << 32 | (uint64_t)(f | 0x80) << 48;
		else
			words[1] = len | (uint64_t)f << 32 | (uint64_t)(i + 1) << 48;
		memcpy((uint8_t *)w->config.desc + 16 * i, words, sizeof(words));
		if (!FUZZ_PACKED && i % step == 0)
			avail[2 + i / step] = i;
	}
	if (!FUZZ_PACKED)
		avail[1] = n / step;
}

static void
world_run(struct world *w)
{
	bool is_tx = w->config.side == WEIR_VRING_TX;
	struct weir_vring_base base;

	while (w->in.left > 0) {
		uint8_t op = fuzz_number(&w->in, 1);

		switch (op % 8) {
		case 0:
		case 1:
			world_descriptor(w);
			break;
		case 2:
			world_available(w);
			break;
		case 3: {
			uint8_t bytes[32], n = fuzz_number(&w->in, 1) % sizeof(bytes), i;
			uint64_t addr = world_address(w);

			for (i = 0; i < n; i++)
				bytes[i] = fuzz_number(&w->in, 1);
			world_write(w, addr, bytes, n);
			break;
		}
		case 4:
		case 5:
			if (!is_tx)
				world_rx(w, op >> 3);
			else if (op & 8)
				world_done(w);
			else
				world_take(w);
			break;
		case 6:
			weir_vring_should_notify(w->vr);
			if (op & 8)
				weir_vring_arm(w->vr);
			if (op & 16)
				weir_vring_disarm(w->vr);
			weir_vring_set_log(w->vr, op & 32 ? &w->log : NULL);
			break;
		default:
			if (!(op & 8))
				break;
			base = weir_vring_stop(w->vr);
			FUZZ_CLAIM(weir_vring_error(w->vr) != WEIR_VRING_OK ||
				   weir_vring_tx_held(w->vr) == 0);
			weir_vring_free(w->vr);
			w->n_held = 0;
			w->config.base = base;
			w->vr = weir_vring_create(&w->config);
			FUZZ_CLAIM(w->vr != NULL);
			break;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned int features[] = {
		VIRTIO_F_VERSION_1,	VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX,
		VIRTIO_NET_F_MRG_RXBUF, 35 /* in order */,	     VIRTIO_NET_F_CSUM,
		VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_GUEST_CSUM,
	};
	struct weir_vring_region regions[] = {
		{.guest_addr = BASE, .size = MEMORY},
		{.guest_addr = BASE + MEMORY, .size = MEMORY / 2},
		{.guest_addr = BASE + 2 * MEMORY, .size = MEMORY},
	};
	static struct world w;
	uint8_t wanted, shape;
	uint32_t i;

	memset(&w, 0, sizeof(w));
	w.in = (struct fuzz){data, size};
	for (i = 0; i < RTE_DIM(regions); i++)
		regions[i].host = calloc(1, regions[i].size);
	FUZZ_CLAIM(weir_vring_memory_init(&w.memory, regions, RTE_DIM(regions)) == 0);
	w.log = (struct weir_vring_log){w.bitmap, sizeof(w.bitmap)};
	wanted = fuzz_number(&w.in, 1);
	shape = fuzz_number(&w.in, 1);
	for (i = 0; i < RTE_DIM(features); i++)
		if (wanted >> i & 1)
			w.config.features |= 1ULL << features[i];
	w.in_order = w.config.features >> 35 & 1;
	w.config.side = shape & 1 ? WEIR_VRING_RX : WEIR_VRING_TX;
	w.config.size = 1U << (shape >> 1) % (SIZE_MAX_LOG + 1);
	w.config.memory = &w.memory;
	w.config.desc = regions[0].host;
	w.config.driver = regions[0].host + 0x1000;
	w.config.device = regions[0].host + 0x1800;
	if (FUZZ_PACKED) {
		w.config.features |= 1ULL << VIRTIO_F_RING_PACKED;
		w.config.size = 1 + (shape >> 1);
		w.config.base = WEIR_VRING_BASE_PACKED;
	}
	w.vr = weir_vring_create(&w.config);
	FUZZ_CLAIM(w.vr != NULL);
	world_post(&w, fuzz_number(&w.in, 1));
	world_run(&w);
	weir_vring_free(w.vr);
	for (i = 0; i < RTE_DIM(regions); i++)
		free(regions[i].host);
	return 0;
}
