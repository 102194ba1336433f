/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets for a guest that does not take all of them as they are: those it does go on,
 * the others are finished on their way into its buffers (lib/offload).
 *
 * A packet cut is one rx id and many frames, so more buffers are needed at once than for
 * any other. It waits for all of them; but no longer than a guest with a short ring can be
 * expected to post any more.
 */
#include "guest.h"

/* Looks at a ring with fewer buffers than frames, before what there is has to do. */
#define SHORT_CUTS_MAX 1024

static bool
posted_enough(struct weir_pair *pair, struct weir_vring *ring, uint32_t n_frames)
{
	uint32_t posted = weir_vring_rx_posted(ring, RTE_MIN(n_frames, (uint32_t)UINT16_MAX));

	if (likely(posted >= RTE_MIN(n_frames, (uint32_t)WEIR_VRING_CHAINS_MAX))) {
		pair->short_cuts = 0;
		return true;
	}
	/* A guest that reads posts anew before three quarters of its ring are used up. */
	return posted >= weir_vring_size(ring) / 4 && ++pair->short_cuts > SHORT_CUTS_MAX;
}

/** Whether the packet is done with: not while the guest has too few buffers for it. */
static bool
finish_packet(struct weir_pair *pair, struct weir_vring *ring, const struct weir_tx_segment *packet)
{
	struct weir_tx_segment segments[WEIR_VRING_SEGMENTS_MAX + 1];
	struct weir_offload_cut cut;
	uint32_t written = 0;

	if (packet->n_segments > WEIR_VRING_SEGMENTS_MAX ||
	    weir_offload_cut_begin(&cut, packet, pair->access.rx_offloads) != 0) {
		weir_count(&pair->stats.rx_dropped_no_offload, 1);
		return true;
	}
	if (!posted_enough(pair, ring, cut.n_frames))
		return false;
	while (weir_offload_cut_next(&cut, segments) > 0 &&
	       weir_vring_rx_write_packets(ring, segments, 1) == 1)
		written++;
	weir_count(&pair->stats.rx_finished, 1);
	weir_count(&pair->stats.rx_dropped_no_buffers, cut.n_frames - written);
	return true;
}

uint16_t
finish_write_packets(struct weir_pair *pair, struct weir_vring *ring,
		     const struct weir_tx_segment *segments, uint16_t n_packets)
{
	uint32_t takes = pair->access.rx_offloads;
	uint16_t i = 0, run, written;

	while (i < n_packets) {
		const struct weir_tx_segment *next;

		written = weir_vring_rx_write_plain(ring, segments, n_packets - i);
		i += written;
		segments += written;
		if (likely(i == n_packets))
			break;
		next = segments;
		for (run = 0; i + run < n_packets; run++, next = weir_tx_next(next))
			if (unlikely((next->offload.flags | next->offload.gso_type) != 0) &&
			    !weir_offload_fits(&next->offload, takes))
				break;
		written = run > 0 ? weir_vring_rx_write_packets(ring, segments, run) : 0;
		i += written;
		if (written < run || i == n_packets || !finish_packet(pair, ring, next))
			break;
		segments = weir_tx_next(next);
		i++;
	}
	return i;
}
