/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode vring: the ring engine beside the vhost library's burst calls.
 *
 * Cycles of the time stamp counter that the back-end spends on a frame, on one lcore,
 * in bursts of 32; the guests' own work is left out. Both get guests of the same
 * kind, memory and layout:
 *
 *   take   from a guest's transmit ring and done: for the library, into mbufs and free
 *   fill   into a guest's receive ring, from segments, for the library from mbufs
 *   move   from one guest's transmit ring into another's receive ring
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

#include "bench.h"
#include "front_end.h"
#include "plain_guest.h"
#include "weir_error.h"
#include "weir_vring.h"

#define BURST 32
#define HEADER_LEN 12
#define ROUNDS_MAX 99
#define RX_RING 0
#define TX_RING 1
#define BIT(feature) (1ULL << (feature))

enum work { TAKE, FILL, MOVE, N_WORKS };
enum contender { WEIR, LIBRARY, N_CONTENDERS };

static const char *const work_names[N_WORKS] = {"take", "fill", "move"};
static const char *const contender_names[N_CONTENDERS] = {"weir", "library"};

/* Two guests, from one to the other, and what serves them. */
struct pair {
	struct plain_guest from, to;
	/* weir */
	struct weir_vring_memory from_memory, to_memory;
	struct weir_vring *tx, *rx;
	struct weir_tx_segment segments[WEIR_VRING_SEGMENTS_MAX];
	/* library */
	struct front_end from_end, to_end;
	struct rte_mbuf *mbufs[BURST];
};

static struct rte_mempool *frames;

static uint16_t
weir_work(struct pair *pair, enum work work)
{
	uint16_t n = BURST;

	if (work != FILL)
		n = weir_vring_tx_take(pair->tx, pair->segments, RTE_DIM(pair->segments), BURST);
	if (work != TAKE) {
		n = weir_vring_rx_write_packets(pair->rx, pair->segments, n);
		weir_vring_rx_commit(pair->rx);
		weir_vring_should_notify(pair->rx);
	}
	if (work != FILL) {
		weir_vring_tx_done_packets(pair->tx, pair->segments, n);
		weir_vring_should_notify(pair->tx);
	}
	return n;
}

static uint16_t
library_work(struct pair *pair, enum work work)
{
	uint16_t n = BURST;

	if (work != FILL)
		n = rte_vhost_dequeue_burst(pair->from_end.vid, TX_RING, frames, pair->mbufs,
					    BURST);
	if (work != TAKE)
		rte_vhost_enqueue_burst(pair->to_end.vid, RX_RING, pair->mbufs, n);
	if (work != FILL)
		rte_pktmbuf_free_bulk(pair->mbufs, n);
	return n;
}

/* Cycles a frame over one slice of time, NAN when a frame was lost. */
static double
pair_slice(struct pair *pair, enum contender contender, enum work work, uint32_t len,
	   uint32_t slice_us)
{
	struct plain_ring *tx = &pair->from.rings[TX_RING], *rx = &pair->to.rings[RX_RING];
	uint64_t cycles = 0, bursts = 0, start, end;
	uint16_t n;

	end = rte_rdtsc() + slice_us * rte_get_tsc_hz() / 1000000;
	do {
		if (work != FILL)
			plain_ring_post(tx, BURST, HEADER_LEN + len);
		start = rte_rdtsc_precise();
		n = contender == WEIR ? weir_work(pair, work) : library_work(pair, work);
		cycles += rte_rdtsc_precise() - start;
		if (n != BURST || (work != FILL && plain_ring_reap(tx) != BURST))
			return NAN;
		if (work != TAKE) {
			if (plain_ring_reap(rx) != BURST)
				return NAN;
			plain_ring_post(rx, BURST, PLAIN_GUEST_BUFFER);
		}
		bursts++;
	} while (rte_rdtsc() < end);
	return (double)cycles / (bursts * BURST);
}

/* What FILL takes its frames from. */
static int
pair_frames(struct pair *pair, enum contender contender, uint32_t len)
{
	uint32_t i;

	if (contender == WEIR) {
		for (i = 0; i < BURST; i++)
			pair->segments[i] = (struct weir_tx_segment){
				.addr = pair->from.memory + pair->from.rings[TX_RING].buffers +
					i * PLAIN_GUEST_BUFFER + HEADER_LEN,
				.len = len,
				.frame_len = len,
				.n_segments = 1,
			};
		return 0;
	}
	if (rte_pktmbuf_alloc_bulk(frames, pair->mbufs, BURST) != 0)
		return weir_error(ENOMEM, "no memory for %u frames", BURST);
	for (i = 0; i < BURST; i++)
		rte_pktmbuf_append(pair->mbufs[i], len);
	return 0;
}

static int
pair_open_weir(struct pair *pair, uint64_t features)
{
	struct weir_vring_region from = {.host = pair->from.memory, .size = pair->from.size};
	struct weir_vring_region to = {.host = pair->to.memory, .size = pair->to.size};
	const struct plain_ring *tx = &pair->from.rings[TX_RING], *rx = &pair->to.rings[RX_RING];
	struct weir_vring_config config = {
		.side = WEIR_VRING_TX,
		.features = features,
		.size = PLAIN_GUEST_RING,
		.desc = tx->desc,
		.driver = tx->avail,
		.device = tx->used,
		.memory = &pair->from_memory,
	};

	if (tx->packed)
		config.base = WEIR_VRING_BASE_PACKED;
	weir_vring_memory_init(&pair->from_memory, &from, 1);
	weir_vring_memory_init(&pair->to_memory, &to, 1);
	pair->tx = weir_vring_create(&config);
	config.side = WEIR_VRING_RX;
	config.desc = rx->desc;
	config.driver = rx->avail;
	config.device = rx->used;
	config.memory = &pair->to_memory;
	pair->rx = weir_vring_create(&config);
	return pair->tx != NULL && pair->rx != NULL ? 0 : -rte_errno;
}

static int
pair_open(struct pair *pair, enum contender contender, uint64_t features)
{
	bool packed = features & BIT(VIRTIO_F_RING_PACKED);
	int rc;

	memset(pair, 0, sizeof(*pair));
	pair->from_end.fd = pair->to_end.fd = -1;
	rc = plain_guest_open(&pair->from, packed);
	rc = rc < 0 ? rc : plain_guest_open(&pair->to, packed);
	if (rc < 0)
		return rc;
	if (contender == WEIR) {
		rc = pair_open_weir(pair, features);
	} else {
		rc = front_end_open(&pair->from_end, &pair->from, features);
		rc = rc < 0 ? rc : front_end_open(&pair->to_end, &pair->to, features);
	}
	if (rc == 0)
		plain_ring_post(&pair->to.rings[RX_RING], PLAIN_GUEST_RING, PLAIN_GUEST_BUFFER);
	return rc;
}

static void
pair_close(struct pair *pair)
{
	weir_vring_free(pair->tx);
	weir_vring_free(pair->rx);
	front_end_close(&pair->from_end);
	front_end_close(&pair->to_end);
	plain_guest_close(&pair->from);
	plain_guest_close(&pair->to);
}

static int
kind_measure(const struct bench_options *options, const struct bench_table *table, const char *kind,
	     uint64_t features)
{
	static const uint32_t lens[] = {64, 256, 1518};
	static struct pair pairs[N_CONTENDERS];
	double figures[N_CONTENDERS][ROUNDS_MAX], best[N_CONTENDERS];
	uint32_t work, l, round, c, opened;
	char what[64];
	int rc = 0;

	for (opened = 0; opened < N_CONTENDERS && rc == 0; opened++)
		rc = pair_open(&pairs[opened], opened, features);
	for (l = 0; l < RTE_DIM(lens) && rc == 0; l++)
		for (work = 0; work < N_WORKS && rc == 0; work++) {
			snprintf(what, sizeof(what), "%s, %s, %u B", kind, work_names[work],
				 lens[l]);
			for (c = 0; c < N_CONTENDERS && rc == 0; c++)
				rc = work == FILL ? pair_frames(&pairs[c], c, lens[l]) : 0;
			for (round = 0; rc == 0 && bench_round(options, what, round); round++)
				for (c = 0; c < N_CONTENDERS; c++)
					figures[c][round] = pair_slice(&pairs[c], c, work, lens[l],
								       options->slice_us);
			if (work == FILL && rc == 0)
				rte_pktmbuf_free_bulk(pairs[LIBRARY].mbufs, BURST);
			for (c = 0; c < N_CONTENDERS; c++)
				best[c] = bench_best(table, figures[c], round);
			if (rc == 0)
				bench_table_row(options, table, what, best);
		}
	while (opened > 0)
		pair_close(&pairs[--opened]);
	return rc;
}

static int
vring_run(const struct bench_options *options)
{
	static const struct {
		const char *name;
		uint64_t features;
	} kinds[] = {
		{"split", 0},
		{"split mergeable", BIT(VIRTIO_NET_F_MRG_RXBUF)},
		{"packed", BIT(VIRTIO_F_RING_PACKED)},
		{"packed mergeable", BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_NET_F_MRG_RXBUF)},
	};
	const struct bench_table table = {
		.mode = "vring",
		.title = "ring engine",
		.unit = "cycles a frame",
		.contenders = contender_names,
		.n_contenders = N_CONTENDERS,
	};
	size_t k;
	int rc = 0;

	/* What it tells about each message of each session is not asked for here. */
	rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_WARNING);
	frames = rte_pktmbuf_pool_create("bench", 4095, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					 SOCKET_ID_ANY);
	if (frames == NULL)
		return weir_error(rte_errno, "no memory for a pool of frames");
	bench_table_head(options, &table);
	for (k = 0; k < RTE_DIM(kinds) && rc == 0; k++)
		rc = kind_measure(options, &table, kinds[k].name,
				  kinds[k].features | BIT(VIRTIO_F_VERSION_1));
	rte_mempool_free(frames);
	return rc;
}

static const struct bench_mode vring_mode = {
	.name = "vring",
	.usage = "vring           the ring engine beside the vhost library's burst calls",
	.run = vring_run,
};

BENCH_MODE_REGISTER(vring_mode);
