/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One frame with any virtio-net header, from a guest of any features to a guest of
 * any features: what is passed on is what both may say, and fits the frame.
 */
#include <stdlib.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "fuzz.h"
#include "weir_vring.h"

#define FRAME_AT 0x1000
#define MEMORY 0x4000

/* A ring of one descriptor at the memory's start. */
static struct weir_vring *
ring_of_one(uint8_t *memory, const struct weir_vring_memory *table, uint64_t features,
	    enum weir_vring_side side, uint32_t len)
{
	struct vring_desc desc = {.addr = FRAME_AT,
				  .len = len,
				  .flags = side == WEIR_VRING_RX ? VRING_DESC_F_WRITE : 0};
	const struct weir_vring_config config = {
		.side = side,
		.features = features,
		.size = 1,
		.desc = memory,
		.driver = memory + 64,
		.device = memory + 128,
		.memory = table,
	};

	memcpy(memory, &desc, sizeof(desc));
	memory[64 + 2] = 1; /* available index */
	return weir_vring_create(&config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *from = calloc(1, MEMORY), *to = calloc(1, MEMORY);
	struct weir_vring_region region = {.size = MEMORY};
	struct weir_vring_memory from_table, to_table;
	struct weir_tx_segment segments[WEIR_VRING_SEGMENTS_MAX];
	struct fuzz in = {data, size};
	uint64_t from_features = fuzz_number(&in, 4), to_features = fuzz_number(&in, 4);
	uint32_t len = fuzz_number(&in, 1), i;
	struct weir_vring *tx, *rx;
	struct virtio_net_hdr_mrg_rxbuf hdr;
	struct weir_offload *o = &segments[0].offload;
	struct weir_vring_stats stats;

	region.host = from;
	FUZZ_CLAIM(weir_vring_memory_init(&from_table, &region, 1) == 0);
	region.host = to;
	FUZZ_CLAIM(weir_vring_memory_init(&to_table, &region, 1) == 0);
	from_features &= ~(1ULL << VIRTIO_F_RING_PACKED);
	for (i = 0; i < sizeof(hdr); i++)
		from[FRAME_AT + i] = fuzz_number(&in, 1);
	tx = ring_of_one(from, &from_table, from_features | 1ULL << VIRTIO_F_VERSION_1,
			 WEIR_VRING_TX, sizeof(hdr) + len);
	rx = ring_of_one(to, &to_table, to_features | 1ULL << VIRTIO_F_VERSION_1, WEIR_VRING_RX,
			 2048);
	if (weir_vring_tx_take(tx, segments, RTE_DIM(segments), 1) == 1) {
		FUZZ_CLAIM(segments[0].frame_len == len);
		FUZZ_CLAIM((o->flags & ~WEIR_OFFLOAD_NEEDS_CSUM) == 0);
		if (o->flags) {
			FUZZ_CLAIM(from_features >> VIRTIO_NET_F_CSUM & 1);
			FUZZ_CLAIM(o->csum_start + o->csum_offset + 2U <= len);
		} else {
			FUZZ_CLAIM(o->csum_start == 0 && o->csum_offset == 0);
		}
		if (o->gso_type != WEIR_GSO_NONE) {
			FUZZ_CLAIM(o->gso_size > 0 && o->flags && o->hdr_len <= len);
			FUZZ_CLAIM(from_features >> VIRTIO_NET_F_HOST_TSO4 & 0xf);
		}
		weir_vring_rx_write_packets(rx, segments, 1);
		weir_vring_rx_commit(rx);
		weir_vring_stats(rx, &stats);
		memcpy(&hdr, to + FRAME_AT, sizeof(hdr));
		if (stats.rx_dropped_offload == 0) {
			FUZZ_CLAIM(hdr.num_buffers == 1);
			FUZZ_CLAIM(hdr.hdr.flags == o->flags && hdr.hdr.gso_type == o->gso_type);
			FUZZ_CLAIM(!hdr.hdr.flags || to_features >> VIRTIO_NET_F_GUEST_CSUM & 1);
			FUZZ_CLAIM(!hdr.hdr.gso_type ||
				   to_features >> VIRTIO_NET_F_GUEST_TSO4 & 0xf);
		} else {
			FUZZ_CLAIM(o->flags != 0);
		}
	}
	weir_vring_free(tx);
	weir_vring_free(rx);
	free(from);
	free(to);
	return 0;
}
