/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cycles a frame of the ring engine alone, on one core: take and done, fill, and
 * move, one guest's frames into another's buffers. The drivers' work is not counted.
 *
 *   vring_perf [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "harness.h"
#include "vring_guest.h"

#define RING 256
#define BUF 2048
#define HEADER 12

struct side {
	struct guest guest;
	struct driver driver;
	struct weir_vring *vr;
	uint64_t buffers;
};

static void
side_init(struct side *side, uint64_t features, bool rx)
{
	uint64_t ring = RTE_ALIGN_CEIL(driver_bytes(RING), 4096);
	struct weir_vring_config config;

	guest_init(&side->guest, 1, ring + RING * BUF);
	driver_init(&side->driver, &side->guest, features, RING, rx, GUEST_BASE);
	config = driver_config(&side->driver);
	side->vr = weir_vring_create(&config);
	assert_non_null(side->vr);
	side->buffers = GUEST_BASE + ring;
}

static void
side_fini(struct side *side)
{
	assert_int_equal(weir_vring_error(side->vr), WEIR_VRING_OK);
	weir_vring_free(side->vr);
	driver_fini(&side->driver);
	guest_fini(&side->guest);
}

static void
side_post(struct side *side, uint32_t n, uint32_t len, uint32_t *next)
{
	for (; n > 0; n--, *next = (*next + 1) % RING) {
		struct guest_buf buf = {side->buffers + (uint64_t)*next * BUF, len};

		assert_true(driver_add(&side->driver, &buf, 1, false, 0));
	}
	driver_publish(&side->driver);
}

static uint32_t
side_reap(struct side *side)
{
	uint32_t token, len, n = 0;

	while (driver_used(&side->driver, &token, &len))
		n++;
	return n;
}

static double
measure(uint64_t features, uint32_t frame_len, uint32_t burst, uint32_t rounds, bool take,
	bool fill)
{
	static struct weir_tx_segment segments[RING];
	uint32_t tx_next = 0, rx_next = 0, round, i;
	uint64_t start, best = UINT64_MAX, cycles = 0, group = 0;
	struct side tx, rx;
	uint16_t n;

	side_init(&tx, features, false);
	side_init(&rx, features, true);
	side_post(&rx, RING, BUF, &rx_next);
	for (i = 0; i < RING; i++)
		segments[i] = (struct weir_tx_segment){
			.addr = guest_host(&tx.guest, tx.buffers + i * BUF + HEADER, BUF - HEADER),
			.len = frame_len,
			.frame_len = frame_len,
			.n_segments = 1,
		};
	for (round = 0; round < rounds; round++) {
		if (take)
			side_post(&tx, burst, HEADER + frame_len, &tx_next);
		start = rte_rdtsc_precise();
		n = burst;
		if (take)
			n = weir_vring_tx_take(tx.vr, segments, RTE_DIM(segments), burst);
		if (fill) {
			n = weir_vring_rx_write_packets(rx.vr, segments, n);
			weir_vring_rx_commit(rx.vr);
		}
		if (take)
			weir_vring_tx_done_packets(tx.vr, segments, n);
		cycles += rte_rdtsc_precise() - start;
		assert_int_equal(n, burst);
		if (take)
			assert_int_equal(side_reap(&tx), burst);
		if (fill) {
			assert_int_equal(side_reap(&rx), burst);
			side_post(&rx, burst, BUF, &rx_next);
		}
		/* The best hundredth: others use this machine as well. */
		if (++group == 500) {
			best = RTE_MIN(best, cycles);
			cycles = group = 0;
		}
	}
	side_fini(&tx);
	side_fini(&rx);
	return (double)best / 500 / burst;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t features;
	} kinds[] = {
		{"split", GUEST_BASIC},
		{"split mergeable", GUEST_BASIC | BIT(VIRTIO_NET_F_MRG_RXBUF)},
		{"packed", GUEST_BASIC | BIT(VIRTIO_F_RING_PACKED)},
		{"packed mergeable",
		 GUEST_BASIC | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_NET_F_MRG_RXBUF)},
	};
	static const uint32_t lens[] = {64, 256, 1518};
	uint32_t rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000, k, l, burst;

	printf("%-18s %5s %5s  %9s %9s %9s  cycles a frame\n", "ring", "bytes", "burst",
	       "take+done", "fill", "move");
	for (k = 0; k < RTE_DIM(kinds); k++)
		for (l = 0; l < RTE_DIM(lens); l++)
			for (burst = 32; burst <= 128; burst *= 4)
				printf("%-18s %5u %5u  %9.1f %9.1f %9.1f\n", kinds[k].name, lens[l],
				       burst,
				       measure(kinds[k].features, lens[l], burst, rounds, true,
					       false),
				       measure(kinds[k].features, lens[l], burst, rounds, false,
					       true),
				       measure(kinds[k].features, lens[l], burst, rounds, true,
					       true));
	return 0;
}
