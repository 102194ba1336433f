/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine beside librte_vhost's burst calls: two guests in the same state, one served
 * by each. After every round the same frames have gone the same way, and both memories
 * hold the same bytes: buffers, and of the rings what the device writes, its ids, lengths,
 * flags and indices. The wishes to be notified are not compared: they are hints.
 *
 * WEIR_SLOW=1 for millions of rounds, WEIR_TEST_SEED repeats a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

#include "harness.h"
#include "vhost_guest.h"
#include "weir_sanitize.h"

#define PLACE 2048 /* of a frame, by token */
#define PIECES_MAX 4
#define BURST 32 /* the library's */
#define HEADER 12
#define NUM_BUFFERS 10 /* where it is in the header */
#define RX 0
#define TX 1

#ifdef WEIR_SANITIZE
#define N_ROUNDS 1000u
#else
#define N_ROUNDS 10000u
#endif

#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define INDIRECT BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define MRG BIT(VIRTIO_NET_F_MRG_RXBUF)

static struct rte_mempool *pool;
static int library_vid;

struct world {
	struct vhost_guest guests[2]; /* the engine's, the library's */
	struct weir_vring *rings[2];  /* RX, TX */
	int vid;
	bool mergeable;
	uint64_t seed;
	char path[64];
	uint32_t free[2][VHOST_GUEST_RING], n_free[2]; /* tokens, by ring */
	uint32_t posted[VHOST_GUEST_RING];	       /* bytes, by rx token */
	uint64_t n_frames;
};

static int
device_new(int vid)
{
	__atomic_store_n(&library_vid, vid, __ATOMIC_RELEASE);
	return 0;
}

static void
device_destroy(int vid)
{
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = device_new,
	.destroy_device = device_destroy,
};

static void
world_init(struct world *w, uint64_t features)
{
	const char *seed = getenv("WEIR_TEST_SEED");
	struct weir_vring_config config;
	static unsigned int number;
	uint32_t i, k;

	memset(w, 0, sizeof(*w));
	w->seed = seed != NULL ? strtoull(seed, NULL, 0) : 20221122;
	w->mergeable = features & MRG;
	snprintf(w->path, sizeof(w->path), "/tmp/weir-same-%d-%u", getpid(), number++);
	__atomic_store_n(&library_vid, -1, __ATOMIC_RELEASE);
	assert_int_equal(rte_vhost_driver_register(w->path, 0), 0);
	assert_int_equal(rte_vhost_driver_callback_register(w->path, &device_ops), 0);
	assert_int_equal(rte_vhost_driver_start(w->path), 0);
	vhost_guest_connect(&w->guests[0], NULL, features);
	vhost_guest_connect(&w->guests[1], w->path, features);
	for (i = 0; i < 5000 && __atomic_load_n(&library_vid, __ATOMIC_ACQUIRE) < 0; i++)
		usleep(1000);
	w->vid = __atomic_load_n(&library_vid, __ATOMIC_ACQUIRE);
	assert_true(w->vid >= 0);
	for (i = 0; i < 2; i++) {
		config = driver_config(&w->guests[0].rings[i]);
		w->rings[i] = weir_vring_create(&config);
		assert_non_null(w->rings[i]);
		for (k = 0; k < VHOST_GUEST_RING; k++)
			w->free[i][w->n_free[i]++] = k;
	}
}

static void
world_fini(struct world *w)
{
	uint32_t i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(weir_vring_error(w->rings[i]), WEIR_VRING_OK);
		weir_vring_free(w->rings[i]);
		vhost_guest_disconnect(&w->guests[i]);
	}
	rte_vhost_driver_unregister(w->path);
}

/** Cut a place into a random chain and have both drivers make it available. */
static bool
chain_add(struct world *w, uint32_t ring, uint32_t token, uint32_t len, const uint8_t *bytes)
{
	const struct vhost_guest *guest = &w->guests[0];
	bool indirect = (guest->rings[ring].features & INDIRECT) && guest_pick(&w->seed, 2), added;
	uint64_t at = guest->buffers[ring] + (uint64_t)token * PLACE;
	uint32_t n = guest_pick(&w->seed, 3) != 0 ? 1 : 1 + guest_pick(&w->seed, PIECES_MAX);
	struct guest_buf bufs[PIECES_MAX];
	/* The library loses bytes of a frame whose header lies in more than two pieces. */
	uint32_t least = ring == RX ? HEADER : 1, left = len, b, g, spare;

	/* The library takes any four descriptors of a packed rx ring for four buffers. */
	if (ring == RX && guest->rings[ring].packed) {
		indirect = false;
		n = 1;
	}
	for (b = 0; b < n; b++) {
		bufs[b].addr = at + len - left;
		spare = left - (n - b - 1) * least;
		bufs[b].len = b + 1 == n ? left
			      : b == 0	 ? 1 + guest_pick(&w->seed, spare)
					 : least + guest_pick(&w->seed, spare - least + 1);
		left -= bufs[b].len;
	}
	for (g = 0; g < 2; g++) {
		added = driver_add(&w->guests[g].rings[ring], bufs, n, indirect, token);
		if (g == 0 && !added)
			return false;
		assert_true(added);
		guest_write(&w->guests[g].guest, at, bytes, len);
	}
	return true;
}

static bool
chain_new(struct world *w, uint32_t ring, uint32_t len, const uint8_t *bytes)
{
	uint32_t *n = &w->n_free[ring], i, token;

	if (*n == 0)
		return false;
	i = guest_pick(&w->seed, *n);
	token = w->free[ring][i];
	if (!chain_add(w, ring, token, len, bytes))
		return false;
	w->free[ring][i] = w->free[ring][--*n];
	w->posted[token] = ring == RX ? len : w->posted[token];
	return true;
}

/** Of a used descriptor that nothing was written to, length and other flags mean nothing. */
static void
packed_compare(const struct driver *a, struct driver *b, bool rx)
{
	uint16_t flags = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED |
			 (rx ? VRING_DESC_F_WRITE : 0);
	uint32_t i;

	for (i = 0; i < a->size; i++) {
		assert_int_equal(a->ring[i].addr, b->ring[i].addr);
		assert_int_equal(a->ring[i].id, b->ring[i].id);
		assert_int_equal(a->ring[i].flags & flags, b->ring[i].flags & flags);
		if (rx)
			assert_int_equal(a->ring[i].len, b->ring[i].len);
		else /* our driver is strict */
			b->ring[i].len = a->ring[i].len;
	}
}

/** What the device wrote of the rings is the same, and what both drivers get back. */
static uint32_t
rings_compare(struct world *w, uint32_t ring)
{
	struct driver *a = &w->guests[0].rings[ring], *b = &w->guests[1].rings[ring];
	uint32_t tokens[2], lens[2], n = 0;
	bool more;

	if (a->packed) {
		packed_compare(a, b, ring == RX);
	} else {
		assert_int_equal(a->used->idx, b->used->idx);
		assert_memory_equal(a->used->ring, b->used->ring, a->size * sizeof(*a->used->ring));
	}
	for (;; n++) {
		more = driver_used(a, &tokens[0], &lens[0]);
		assert_int_equal(driver_used(b, &tokens[1], &lens[1]), more);
		if (!more)
			return n;
		assert_int_equal(tokens[0], tokens[1]);
		if (ring == RX)
			assert_int_equal(lens[0], lens[1]);
		w->free[ring][w->n_free[ring]++] = tokens[0];
	}
}

static void
bytes_random(struct world *w, uint8_t *bytes, uint32_t len)
{
	uint32_t i, word;

	for (i = 0; i < len; i += sizeof(word)) {
		word = guest_random(&w->seed);
		memcpy(&bytes[i], &word, RTE_MIN(sizeof(word), len - i));
	}
}

static uint32_t
random_len(struct world *w)
{
	return guest_pick(&w->seed, 8) == 0 ? 14 + guest_pick(&w->seed, PLACE - HEADER - 14)
					    : 14 + guest_pick(&w->seed, 150);
}

/* tx: what the engine takes, the library takes. */

static void
frame_compare(const struct weir_tx_segment *segment, struct rte_mbuf *frame)
{
	uint8_t bytes[PLACE], copy[PLACE];
	uint32_t at = 0;
	uint16_t i;

	assert_int_equal(segment->frame_len, frame->pkt_len);
	for (i = 0; i < segment->n_segments; at += segment[i++].len)
		memcpy(&bytes[at], segment[i].addr, segment[i].len);
	assert_int_equal(at, frame->pkt_len);
	assert_memory_equal(bytes, rte_pktmbuf_read(frame, 0, at, copy), at);
}

static void
tx_round(struct world *w)
{
	static struct weir_tx_segment segments[BURST * PIECES_MAX + WEIR_VRING_SEGMENTS_MAX];
	uint32_t n = guest_pick(&w->seed, 80), added = 0, done = 0;
	struct rte_mbuf *frames[BURST];
	uint8_t bytes[PLACE];
	uint16_t i, k, taken;

	for (; added < n; added++) {
		uint32_t len = HEADER + random_len(w);

		bytes_random(w, bytes, len);
		memset(bytes, 0, HEADER);
		if (!chain_new(w, TX, len, bytes))
			break;
	}
	driver_publish(&w->guests[0].rings[TX]);
	driver_publish(&w->guests[1].rings[TX]);
	while (done < added) {
		const struct weir_tx_segment *segment = segments;

		n = 1 + guest_pick(&w->seed, BURST);
		taken = weir_vring_tx_take(w->rings[TX], segments, RTE_DIM(segments), n);
		assert_int_equal(taken, RTE_MIN(n, added - done));
		/* Fewer than asked for is not all there is: a batch ends where it likes. */
		for (i = 0; i < taken; i += k) {
			k = rte_vhost_dequeue_burst(w->vid, TX, pool, &frames[i], taken - i);
			assert_int_not_equal(k, 0);
		}
		for (i = 0; i < taken; i++, segment += segment->n_segments) {
			frame_compare(segment, frames[i]);
			rte_pktmbuf_free(frames[i]);
		}
		weir_vring_tx_done_packets(w->rings[TX], segments, taken);
		done += taken;
	}
	assert_int_equal(weir_vring_tx_take(w->rings[TX], segments, RTE_DIM(segments), 1), 0);
	assert_int_equal(rte_vhost_dequeue_burst(w->vid, TX, pool, frames, 1), 0);
	assert_int_equal(rings_compare(w, TX), added);
	w->n_frames += added;
}

/* rx: what the library writes, the engine writes. */

static struct rte_mbuf *
frame_make(struct world *w, uint32_t len)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(pool);

	assert_non_null(frame);
	bytes_random(w, (uint8_t *)rte_pktmbuf_append(frame, len), len);
	return frame;
}

static void
rx_post(struct world *w)
{
	uint32_t n = guest_pick(&w->seed, 80), len;
	static uint8_t bytes[PLACE];

	/* Both may leave num_buffers as it is when it says nothing. */
	bytes[NUM_BUFFERS] = 1;
	for (; n > 0; n--) {
		len = w->mergeable ? 64 + guest_pick(&w->seed, PLACE - 64) : PLACE;
		if (!chain_new(w, RX, len, bytes))
			break;
	}
	driver_publish(&w->guests[0].rings[RX]);
	driver_publish(&w->guests[1].rings[RX]);
}

/* All of the rx buffers, now and then: a stray write would stay. */
static void
buffers_compare(struct world *w)
{
	const struct vhost_guest *a = &w->guests[0], *b = &w->guests[1];
	uint8_t *ours = guest_host(&a->guest, a->buffers[RX], VHOST_GUEST_RING * PLACE);
	uint8_t *theirs = guest_host(&b->guest, b->buffers[RX], VHOST_GUEST_RING * PLACE);
	uint32_t token;

	/* Without mergeable buffers it is 1 (5.1.6.4.1); the library leaves it, or writes 0. */
	for (token = 0; token < VHOST_GUEST_RING && !w->mergeable; token++)
		theirs[token * PLACE + NUM_BUFFERS] = ours[token * PLACE + NUM_BUFFERS];
	assert_memory_equal(ours, theirs, VHOST_GUEST_RING * PLACE);
}

static void
rx_round(struct world *w)
{
	struct weir_tx_segment segments[BURST];
	struct rte_mbuf *frames[BURST];
	uint16_t n, i, written, part;

	rx_post(w);
	n = 1 + guest_pick(&w->seed, BURST);
	for (i = 0; i < n; i++)
		frames[i] = frame_make(w, random_len(w));
	written = rte_vhost_enqueue_burst(w->vid, RX, frames, n);
	for (i = 0; i < written; i++)
		segments[i] = (struct weir_tx_segment){
			.addr = rte_pktmbuf_mtod(frames[i], const void *),
			.len = frames[i]->data_len,
			.frame_len = frames[i]->pkt_len,
			.n_segments = 1,
		};
	/* In two batches. */
	part = guest_pick(&w->seed, written + 1);
	assert_int_equal(weir_vring_rx_write_packets(w->rings[RX], segments, part), part);
	weir_vring_rx_commit(w->rings[RX]);
	assert_int_equal(weir_vring_rx_write_packets(w->rings[RX], &segments[part], written - part),
			 written - part);
	weir_vring_rx_commit(w->rings[RX]);
	for (i = 0; i < n; i++)
		rte_pktmbuf_free(frames[i]);
	rings_compare(w, RX);
	w->n_frames += written;
	if (guest_pick(&w->seed, 64) == 0)
		buffers_compare(w);
}

static void
same(uint64_t features)
{
	uint32_t rounds = getenv("WEIR_SLOW") != NULL ? 500000 : N_ROUNDS, i;
	struct world *w = malloc(sizeof(*w));

	world_init(w, BIT(VIRTIO_F_VERSION_1) | features);
	for (i = 0; i < rounds; i++) {
		tx_round(w);
		rx_round(w);
	}
	print_message("%u states each way, %lu frames\n", rounds, (unsigned long)w->n_frames);
	world_fini(w);
	free(w);
}

static void
split_rings_are_as_the_library_leaves_them(void **state)
{
	same(0);
}

static void
split_indirect_rings_are_as_the_library_leaves_them(void **state)
{
	same(INDIRECT);
}

static void
split_mergeable_rings_are_as_the_library_leaves_them(void **state)
{
	same(MRG | INDIRECT);
}

static void
packed_rings_are_as_the_library_leaves_them(void **state)
{
	same(PACKED);
}

static void
packed_indirect_rings_are_as_the_library_leaves_them(void **state)
{
	same(PACKED | INDIRECT);
}

static void
packed_mergeable_rings_are_as_the_library_leaves_them(void **state)
{
	same(PACKED | MRG | INDIRECT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_rings_are_as_the_library_leaves_them),
		cmocka_unit_test(split_indirect_rings_are_as_the_library_leaves_them),
		cmocka_unit_test(split_mergeable_rings_are_as_the_library_leaves_them),
		cmocka_unit_test(packed_rings_are_as_the_library_leaves_them),
		cmocka_unit_test(packed_indirect_rings_are_as_the_library_leaves_them),
		cmocka_unit_test(packed_mergeable_rings_are_as_the_library_leaves_them),
	};

	harness_eal();
	rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_WARNING);
	pool = rte_pktmbuf_pool_create("same", 1023, 0, 0, 128 + PLACE, SOCKET_ID_ANY);
	assert_non_null(pool);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
