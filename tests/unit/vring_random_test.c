/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random valid ring states, by the hundred thousand a ring kind: every frame, its
 * order, every index and every byte that must not be touched is checked against a
 * driver that knows nothing of the engine.
 *
 * WEIR_TEST_ROUNDS scales the number of rounds, WEIR_TEST_SEED repeats a run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "harness.h"
#include "vring_guest.h"
#include "weir_sanitize.h"

/* A frame's place in guest memory: odd, so that places straddle regions. */
#define PLACE 5003
#define REGION_MIN (64 * 1024)
#define PIECES_MAX 6
#define BURST_MAX 300U
#define HEADER_MAX 12
#define FILL 0xee

struct kind {
	const char *name;
	uint64_t features;
	uint32_t size;
};

#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define INDIRECT BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define IN_ORDER BIT(VIRTIO_F_IN_ORDER)
#define MRG BIT(VIRTIO_NET_F_MRG_RXBUF)

static const struct kind kinds[] = {
	{"split 256", GUEST_BASIC, 256},
	{"split 256 legacy", 0, 256},
	{"split 256 indirect mergeable", GUEST_BASIC | INDIRECT | MRG, 256},
	{"split 64 indirect in order", GUEST_BASIC | INDIRECT | IN_ORDER, 64},
	{"split 1024 mergeable in order", GUEST_BASIC | MRG | IN_ORDER, 1024},
	{"split 1", GUEST_BASIC | INDIRECT, 1},
	{"split 2 mergeable", GUEST_BASIC | MRG, 2},
	{"split 32768 mergeable", GUEST_BASIC | INDIRECT | MRG, 32768},
	{"packed 256", GUEST_BASIC | PACKED, 256},
	{"packed 256 indirect mergeable", GUEST_BASIC | PACKED | INDIRECT | MRG, 256},
	{"packed 100 in order", GUEST_BASIC | PACKED | INDIRECT | IN_ORDER, 100},
	{"packed 1000 mergeable in order", GUEST_BASIC | PACKED | MRG | IN_ORDER, 1000},
	{"packed 1", GUEST_BASIC | PACKED | INDIRECT, 1},
	{"packed 7 mergeable", GUEST_BASIC | PACKED | MRG, 7},
	{"packed 32768 mergeable", GUEST_BASIC | PACKED | INDIRECT | MRG, 32768},
	{"packed 32767", GUEST_BASIC | PACKED, 32767},
};

struct world {
	struct guest guest;
	struct driver driver;
	struct weir_vring *vr;
	uint64_t seed;
	uint64_t places; /* guest address of place 0 */
	uint32_t n_places;
	uint32_t *free_places;
	uint32_t n_free;
	struct packet {
		uint32_t key; /* what its bytes are made from */
		uint32_t len;
		struct guest_buf bufs[PIECES_MAX];
		uint32_t n_bufs;
	} * packets; /* by place, which is its token too */
	/* Places in the order they were made available. */
	uint32_t *queue;
	uint64_t queue_head, queue_tail;
};

static uint8_t
byte_of(uint32_t key, uint32_t i)
{
	return (key + i * 7) ^ (i >> 8);
}

static void
world_init(struct world *w, const struct kind *kind, bool rx)
{
	uint64_t region = RTE_ALIGN_CEIL(driver_bytes(kind->size), REGION_MIN);
	struct weir_vring_base base = {0};
	struct weir_vring_config config;
	uint32_t n_regions = 8, i;
	const char *seed = getenv("WEIR_TEST_SEED");

	memset(w, 0, sizeof(*w));
	w->seed = seed != NULL ? strtoull(seed, NULL, 0) : 20221122;
	guest_init(&w->guest, n_regions, region);
	driver_init(&w->driver, &w->guest, kind->features, kind->size, rx, GUEST_BASE);
	/* Start close to where indices and wrap counters turn over. */
	if (kind->features & PACKED) {
		base.avail = base.used = (kind->size - 1) | (guest_pick(&w->seed, 2) << 15);
	} else {
		base.avail = base.used = 65536 - guest_pick(&w->seed, 40);
	}
	driver_rebase(&w->driver, base);
	config = driver_config(&w->driver);
	w->vr = weir_vring_create(&config);
	assert_non_null(w->vr);
	w->places = GUEST_BASE + region;
	w->n_places = RTE_MIN((w->guest.end - w->places) / PLACE, kind->size);
	w->packets = calloc(w->n_places, sizeof(*w->packets));
	w->free_places = calloc(w->n_places, sizeof(uint32_t));
	w->queue = calloc(w->n_places, sizeof(uint32_t));
	for (i = 0; i < w->n_places; i++)
		w->free_places[w->n_free++] = i;
}

static void
world_fini(struct world *w)
{
	assert_int_equal(weir_vring_error(w->vr), WEIR_VRING_OK);
	weir_vring_free(w->vr);
	driver_fini(&w->driver);
	guest_fini(&w->guest);
	free(w->packets);
	free(w->free_places);
	free(w->queue);
}

static uint32_t
rounds(uint32_t n)
{
	const char *scale = getenv("WEIR_TEST_ROUNDS");

#ifdef WEIR_SANITIZE
	n /= 3;
#endif
	return scale != NULL ? n * strtoul(scale, NULL, 0) : n;
}

/* Take a random free place and cut @p len bytes of it into pieces, some empty. */
static struct packet *
world_place(struct world *w, uint32_t len, uint32_t first_min, uint32_t *place)
{
	uint32_t i = guest_pick(&w->seed, w->n_free), n, b, left = len, part;
	uint64_t at;
	struct packet *p;

	*place = w->free_places[i];
	w->free_places[i] = w->free_places[--w->n_free];
	p = &w->packets[*place];
	at = w->places + (uint64_t)*place * PLACE + guest_pick(&w->seed, PLACE - len - PIECES_MAX);
	n = guest_pick(&w->seed, 3) != 0 ? 1 : 1 + guest_pick(&w->seed, PIECES_MAX);
	n = RTE_MIN(n, w->driver.size);
	for (b = 0; b < n; b++) {
		part = b + 1 == n ? left : guest_pick(&w->seed, left + 1);
		if (b == 0 && part < first_min)
			part = RTE_MIN(first_min, left);
		p->bufs[b] = (struct guest_buf){.addr = at, .len = part};
		at += part + guest_pick(&w->seed, 2);
		left -= part;
	}
	p->n_bufs = n;
	p->key = guest_random(&w->seed);
	return p;
}

static bool
world_add(struct world *w, struct packet *p, uint32_t place)
{
	bool indirect = (w->driver.features & INDIRECT) && guest_pick(&w->seed, 2);

	if (!driver_add(&w->driver, p->bufs, p->n_bufs, indirect, place)) {
		w->free_places[w->n_free++] = place;
		return false;
	}
	w->queue[w->queue_tail++ % w->n_places] = place;
	return true;
}

static uint32_t
random_len(struct world *w)
{
	uint32_t how = guest_pick(&w->seed, 16);

	return how == 0 ? 1000 + guest_pick(&w->seed, PLACE - 1100)
			: 14 + guest_pick(&w->seed, 120);
}

/* Guest: make up to n packets available. */
static void
tx_send(struct world *w, uint32_t n)
{
	uint8_t bytes[PLACE];
	uint32_t hdr = weir_vring_header_len(w->vr), place, i, b, at;
	struct packet *p;

	for (; n > 0 && w->n_free > 0; n--) {
		uint32_t len = random_len(w);

		p = world_place(w, hdr + len, 0, &place);
		p->len = len;
		memset(bytes, 0, hdr);
		for (i = 0; i < len; i++)
			bytes[hdr + i] = byte_of(p->key, i);
		for (b = 0, at = 0; b < p->n_bufs; at += p->bufs[b++].len)
			guest_write(&w->guest, p->bufs[b].addr, bytes + at, p->bufs[b].len);
		if (!world_add(w, p, place))
			break;
	}
	driver_publish(&w->driver);
}

static void
tx_check(struct world *w, const struct weir_tx_segment *segment)
{
	uint32_t place = w->queue[w->queue_head++ % w->n_places], i, s, at = 0;
	const struct packet *p = &w->packets[place];
	static const struct weir_offload none;

	assert_int_equal(segment->frame_len, p->len);
	assert_in_range(segment->id, 0, w->driver.size - 1);
	assert_memory_equal(&segment->offload, &none, sizeof(none));
	for (s = 0; s < segment->n_segments; s++) {
		const uint8_t *bytes = segment[s].addr;

		assert_int_not_equal(segment[s].len, 0);
		if (s > 0)
			assert_int_equal(segment[s].n_segments, 0);
		for (i = 0; i < segment[s].len; i++, at++)
			if (bytes[i] != byte_of(p->key, at))
				fail_msg("byte %u of %u differs", at, p->len);
	}
	assert_int_equal(at, p->len);
}

static void
run_tx(const struct kind *kind, uint64_t *frames)
{
	static struct weir_tx_segment segments[2048];
	uint64_t seen = 0, returned = 0, oldest = 0;
	uint32_t round, n, i, token, len, n_held = 0;
	uint16_t *held, burst[BURST_MAX], taken;
	uint64_t *held_seq;
	uint64_t *seq_of; /* by place */
	struct world w;

	world_init(&w, kind, false);
	held = calloc(kind->size, sizeof(*held));
	held_seq = calloc(kind->size, sizeof(*held_seq));
	seq_of = calloc(w.n_places, sizeof(*seq_of));
	for (round = 0; round < rounds(4000) || n_held > 0; round++) {
		const struct weir_tx_segment *segment = segments;
		uint64_t head = w.queue_head;

		if (round < rounds(4000))
			tx_send(&w, guest_pick(&w.seed, 64));
		taken = weir_vring_tx_take(w.vr, segments,
					   guest_pick(&w.seed, 2) ? RTE_DIM(segments)
								  : WEIR_VRING_SEGMENTS_MAX,
					   guest_pick(&w.seed, BURST_MAX));
		for (i = 0; i < taken; i++, segment += segment->n_segments) {
			seq_of[w.queue[w.queue_head % w.n_places]] = seen;
			tx_check(&w, segment);
			held_seq[n_held] = seen++;
			held[n_held++] = segment->id;
		}
		assert_int_equal(w.queue_head - head, taken);
		assert_int_equal(weir_vring_tx_held(w.vr),
				 kind->features & IN_ORDER ? seen - returned : n_held);
		/* Give some back, in any order. */
		n = guest_pick(&w.seed, RTE_MIN(n_held, BURST_MAX - 1) + 1);
		for (i = 0; i < n; i++) {
			uint32_t which = guest_pick(&w.seed, n_held);

			burst[i] = held[which];
			held[which] = held[--n_held];
			held_seq[which] = held_seq[n_held];
		}
		weir_vring_tx_done(w.vr, burst, n);
		while (driver_used(&w.driver, &token, &len)) {
			assert_int_equal(len, 0);
			if (kind->features & IN_ORDER)
				assert_int_equal(seq_of[token], oldest++);
			w.free_places[w.n_free++] = token;
			returned++;
		}
	}
	assert_int_equal(returned, seen);
	assert_int_equal(w.queue_head + w.n_free,
			 w.queue_head + w.n_places - (w.queue_tail - w.queue_head));
	*frames += seen;
	free(held);
	free(held_seq);
	free(seq_of);
	world_fini(&w);
}

static void
every_tx_frame_comes_once_in_order_and_unchanged(void **state)
{
	uint64_t frames = 0;
	uint32_t i;

	for (i = 0; i < RTE_DIM(kinds); i++) {
		uint64_t before = frames;

		run_tx(&kinds[i], &frames);
		printf("tx %-32s %8lu frames\n", kinds[i].name, frames - before);
	}
	printf("tx %lu frames in all\n", frames);
}

/* Guest: post up to n buffers. */
static void
rx_post(struct world *w, uint32_t n, bool small)
{
	uint32_t hdr = weir_vring_header_len(w->vr), place, b;
	uint8_t fill[PLACE];
	struct packet *p;

	memset(fill, FILL, sizeof(fill));
	for (; n > 0 && w->n_free > 0; n--) {
		uint32_t len = small ? 20 + guest_pick(&w->seed, 300) : 200 + random_len(w);

		p = world_place(w, hdr + RTE_MIN(len, PLACE - 200U), 0, &place);
		p->len = hdr + RTE_MIN(len, PLACE - 200U);
		for (b = 0; b < p->n_bufs; b++)
			guest_write(&w->guest, p->bufs[b].addr, fill, p->bufs[b].len);
		if (!world_add(w, p, place))
			break;
	}
	driver_publish(&w->driver);
}

struct sent {
	uint32_t key;
	uint32_t len;
};

static void
sent_bytes(const struct sent *sent, uint8_t *bytes)
{
	for (uint32_t i = 0; i < sent->len; i++)
		bytes[i] = byte_of(sent->key, i);
}

/* Write one frame one of the ways there are; as weir_vring_rx_write_packet(). */
static int
rx_write_some_way(struct world *w, const struct sent *sent, const uint8_t *bytes)
{
	struct weir_rx_meta meta = {.len = sent->len};
	struct weir_tx_segment segments[8] = {{0}};
	struct iovec iov[64];
	uint32_t at, part, n, i;
	uint64_t dropped;
	struct weir_vring_stats stats;

	switch (guest_pick(&w->seed, 4)) {
	case 0:
		return weir_vring_rx_write_packet(w->vr, &meta, bytes);
	case 1: /* in place, as readv would */
		if (weir_vring_rx_capacity(w->vr) < sent->len)
			return weir_vring_rx_write_header(w->vr, &meta);
		n = weir_vring_rx_addresses(w->vr, sent->len, iov, RTE_DIM(iov));
		for (i = 0, at = 0; i < n; i++) {
			memcpy(iov[i].iov_base, bytes + at, iov[i].iov_len);
			at += iov[i].iov_len;
		}
		if (n == RTE_DIM(iov))
			return weir_vring_rx_write_packet(w->vr, &meta, bytes);
		assert_int_equal(at, sent->len);
		return weir_vring_rx_write_header(w->vr, &meta);
	case 2: /* piece by piece */
		if (weir_vring_rx_capacity(w->vr) < sent->len)
			return weir_vring_rx_write_header(w->vr, &meta);
		for (at = 0; at < sent->len; at += part) {
			part = RTE_MIN(sent->len - at, 1 + guest_pick(&w->seed, 200));
			assert_int_equal(weir_vring_rx_write_data(w->vr, at, bytes + at, part), 0);
		}
		return weir_vring_rx_write_header(w->vr, &meta);
	default:
		for (n = 0, at = 0; at < sent->len; at += part) {
			part = RTE_MIN(sent->len - at, 1 + guest_pick(&w->seed, sent->len));
			if (n == RTE_DIM(segments) - 1)
				part = sent->len - at;
			segments[n].addr = bytes + at;
			segments[n++].len = part;
		}
		segments[0].frame_len = sent->len;
		segments[0].n_segments = n;
		weir_vring_stats(w->vr, &stats);
		dropped = stats.rx_dropped_long;
		if (weir_vring_rx_write_packets(w->vr, segments, 1) == 0)
			return -ENOBUFS;
		weir_vring_stats(w->vr, &stats);
		return stats.rx_dropped_long != dropped ? -EMSGSIZE : 0;
	}
}

/* Guest: take one frame back out of the used buffers; false when there is none. */
static bool
rx_receive(struct world *w, const struct sent *sent)
{
	uint32_t hdr = weir_vring_header_len(w->vr), n = 1, c, b, token, len, have, at = 0, i;
	uint8_t header[HEADER_MAX] = {0}, bytes[PLACE];
	bool mergeable = w->driver.features & MRG;

	for (c = 0; c < n; c++) {
		struct packet *p;
		uint32_t skip = c == 0 ? hdr : 0;

		if (!driver_used(&w->driver, &token, &len)) {
			assert_int_equal(c, 0); /* all of a frame is shown at once */
			return false;
		}
		assert_int_equal(token, w->queue[w->queue_head++ % w->n_places]);
		p = &w->packets[token];
		for (b = 0, have = 0; b < p->n_bufs; have += p->bufs[b++].len)
			guest_read(&w->guest, p->bufs[b].addr, bytes + have, p->bufs[b].len);
		assert_int_equal(have, p->len);
		assert_true(len <= p->len);
		if (c == 0) {
			memcpy(header, bytes, hdr);
			for (i = 0; i < 10; i++)
				assert_int_equal(header[i], 0);
			if (hdr == HEADER_MAX)
				n = header[10] | header[11] << 8;
			if (!mergeable)
				assert_int_equal(n, 1); /* 5.1.6.4.1 */
			assert_int_not_equal(n, 0);
		}
		if (c + 1 < n)
			assert_int_equal(len, p->len); /* to its end, 5.1.6.4.1 */
		for (i = skip; i < len; i++, at++)
			if (bytes[i] != byte_of(sent->key, at))
				fail_msg("byte %u of %u differs", at, sent->len);
		for (; i < p->len; i++)
			if (bytes[i] != FILL && !mergeable && at == sent->len)
				fail_msg("byte %u past the frame was written", i);
		w->free_places[w->n_free++] = token;
	}
	assert_int_equal(at, sent->len);
	return true;
}

static void
run_rx(const struct kind *kind, uint64_t *frames)
{
	enum { SENT = 65536 };
	struct sent *sent = calloc(SENT, sizeof(*sent));
	uint64_t written = 0, received = 0, dropped = 0;
	bool small = kind->features & MRG;
	uint8_t bytes[PLACE];
	struct weir_vring_stats stats;
	uint32_t round, n;
	struct world w;
	int ret;

	world_init(&w, kind, true);
	for (round = 0; round < rounds(4000); round++) {
		rx_post(&w, guest_pick(&w.seed, 64), small);
		for (n = guest_pick(&w.seed, 40); n > 0; n--) {
			struct sent *s = &sent[written % SENT];

			s->key = guest_random(&w.seed);
			s->len = random_len(&w);
			sent_bytes(s, bytes);
			ret = rx_write_some_way(&w, s, bytes);
			if (ret == 0) {
				written++;
			} else if (ret == -EMSGSIZE) {
				dropped++;
			} else {
				assert_int_equal(ret, -ENOBUFS);
				break;
			}
			if (guest_pick(&w.seed, 8) == 0)
				weir_vring_rx_commit(w.vr);
		}
		weir_vring_rx_commit(w.vr);
		while (rx_receive(&w, &sent[received % SENT]))
			received++;
		assert_int_equal(received, written);
	}
	weir_vring_stats(w.vr, &stats);
	assert_int_equal(stats.rx_dropped_long, dropped);
	*frames += written;
	free(sent);
	world_fini(&w);
}

static void
every_rx_frame_arrives_once_in_order_and_unchanged(void **state)
{
	uint64_t frames = 0;
	uint32_t i;

	for (i = 0; i < RTE_DIM(kinds); i++) {
		uint64_t before = frames;

		run_rx(&kinds[i], &frames);
		printf("rx %-32s %8lu frames\n", kinds[i].name, frames - before);
	}
	printf("rx %lu frames in all\n", frames);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_tx_frame_comes_once_in_order_and_unchanged),
		cmocka_unit_test(every_rx_frame_arrives_once_in_order_and_unchanged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
