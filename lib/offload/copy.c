/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_mbuf.h>
#include <rte_memcpy.h>

#include "weir_offload.h"

struct rte_mbuf *
weir_offload_copy(struct rte_mempool *pool, const struct weir_tx_segment *packet)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(pool), *last = frame;
	uint16_t i;

	if (frame == NULL)
		return NULL;
	for (i = 0; i < packet->n_segments; i++) {
		const uint8_t *from = packet[i].addr;
		uint32_t left = packet[i].len, part;

		for (; left > 0; left -= part, from += part) {
			if (rte_pktmbuf_tailroom(last) == 0) {
				last->next = rte_pktmbuf_alloc(pool);
				if (last->next == NULL) {
					rte_pktmbuf_free(frame);
					return NULL;
				}
				last = last->next;
				frame->nb_segs++;
			}
			part = RTE_MIN(left, (uint32_t)rte_pktmbuf_tailroom(last));
			rte_memcpy(rte_pktmbuf_mtod_offset(last, void *, last->data_len), from,
				   part);
			last->data_len += part;
		}
	}
	frame->pkt_len = packet->frame_len;
	return frame;
}
