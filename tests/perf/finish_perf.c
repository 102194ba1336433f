/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to finish a packet for a guest that does not take it as it is: 64 KB of
 * TCP into a guest's buffers whole, cut with the checksums left to the guest, and cut and
 * completed. The guest's driver is not counted.
 *
 *   finish_perf [ROUNDS]
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "guest.h"
#include "harness.h"
#include "vring_guest.h"

#define RING 256
#define BUF 2048
#define HEADERS 54
#define LEN 65000
#define MSS 1448

static uint8_t bytes[LEN];

static struct weir_tx_segment packet = {
	.addr = bytes,
	.len = LEN,
	.frame_len = LEN,
	.n_segments = 1,
	.offload =
		{
			.flags = WEIR_OFFLOAD_NEEDS_CSUM,
			.gso_type = WEIR_GSO_TCPV4,
			.gso_size = MSS,
			.csum_start = 34,
			.csum_offset = 16,
		},
};

/** Cycles of a packet, the best of the rounds: others use this machine as well. */
static uint64_t
measure(uint64_t features, uint32_t takes, uint32_t rounds)
{
	static struct weir_pair pair;
	uint64_t ring = RTE_ALIGN_CEIL(driver_bytes(RING), 4096), best = UINT64_MAX, start;
	struct weir_vring_config config;
	uint32_t token, len, i, n_free = RING;
	struct driver driver;
	struct guest guest;
	struct weir_vring *vr;

	guest_init(&guest, 1, ring + RING * BUF);
	driver_init(&driver, &guest, GUEST_BASIC | BIT(VIRTIO_NET_F_MRG_RXBUF) | features, RING,
		    true, GUEST_BASE);
	config = driver_config(&driver);
	vr = weir_vring_create(&config);
	assert_non_null(vr);
	pair.access.rx_offloads = takes;
	for (; rounds > 0; rounds--) {
		for (i = 0; n_free > 0; n_free--, i++) {
			struct guest_buf buf = {GUEST_BASE + ring + (uint64_t)i * BUF, BUF};

			assert_true(driver_add(&driver, &buf, 1, false, 0));
		}
		driver_publish(&driver);
		start = rte_rdtsc_precise();
		assert_int_equal(finish_write_packets(&pair, vr, &packet, 1), 1);
		weir_vring_rx_commit(vr);
		best = RTE_MIN(best, rte_rdtsc_precise() - start);
		while (driver_used(&driver, &token, &len))
			n_free++;
	}
	weir_vring_free(vr);
	driver_fini(&driver);
	guest_fini(&guest);
	return best;
}

int
main(int argc, char **argv)
{
	uint32_t rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
	uint64_t whole, cut, completed;

	bytes[12] = 8;
	bytes[14] = 0x45;
	bytes[23] = IPPROTO_TCP;
	bytes[46] = 5 << 4;
	whole = measure(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4),
			WEIR_OFFLOAD_CAP_ALL, rounds);
	cut = measure(BIT(VIRTIO_NET_F_GUEST_CSUM), WEIR_OFFLOAD_CAP_CSUM, rounds);
	completed = measure(0, 0, rounds);
	printf("%d bytes of TCP: cycles, and times as many as whole\n", LEN);
	printf("whole              %8lu\n", (unsigned long)whole);
	printf("cut                %8lu  %.2f\n", (unsigned long)cut, (double)cut / whole);
	printf("cut and completed  %8lu  %.2f\n", (unsigned long)completed,
	       (double)completed / whole);
	return 0;
}
