/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an lcore does with a frame that is captured: writes it, as the record that it
 * will be in the file, behind the last one of its block. A full block goes to the writer
 * and an empty one is taken; where there is none, the frame is counted as missed.
 *
 * The writer may read a block up to its tail while the tee goes on behind it, so a
 * block that does not fill needs nobody on the lcore to hand it over.
 */
#include "capture.h"

/** The block to the writer. */
static void
tee_hand_over(struct weir_capture_tee *tee)
{
	struct capture *capture = tee->capture;

	/* It has room for all blocks. */
	rte_ring_enqueue(capture->full, tee->block);
	tee->block = NULL;
	weir_wake_signal(&capture->wake);
}

/** Another block; NULL when the writer is behind, and then not asked again in this burst. */
static struct capture_block *
tee_turn(struct weir_capture_tee *tee, uint64_t now_ns)
{
	void *block;

	if (tee->block != NULL)
		tee_hand_over(tee);
	if (tee->starved_ns == now_ns)
		return NULL;
	if (unlikely(rte_ring_dequeue(tee->capture->empty, &block) != 0)) {
		tee->starved_ns = now_ns;
		return NULL;
	}
	tee->block = block;
	tee->block->interface = tee->interface;
	tee->tail = 0;
	return tee->block;
}

static enum tee_outcome
tee_stage(struct weir_capture_tee *tee, enum weir_capture_side side, uint64_t now_ns,
	  const struct weir_tx_segment *segments)
{
	struct capture_block *block = tee->block;
	uint32_t captured, len;

	if (!(tee->sides & side))
		return TEE_NOTHING;
	if (unlikely(segments == NULL))
		return TEE_MISSED;
	if (tee->filter != NULL && !capture_filter_match(tee->filter, segments))
		return TEE_REJECTED;
	captured = segments->frame_len;
	if (unlikely(segments->offload.flags & WEIR_OFFLOAD_VLAN))
		captured += 4; /* the record has it */
	captured = RTE_MIN(captured, tee->snaplen);
	len = pcapng_packet_len(captured);
	if (unlikely(block == NULL || len > CAPTURE_BLOCK_ROOM - tee->tail)) {
		block = tee_turn(tee, now_ns);
		if (block == NULL)
			return TEE_MISSED;
	}
	pcapng_packet(block->data + tee->tail, tee->interface->id, now_ns,
		      side == WEIR_CAPTURE_TX ? PCAPNG_OUTBOUND : PCAPNG_INBOUND, captured,
		      segments);
	tee->end = tee->tail + len;
	tee->staged_bytes = captured;
	return TEE_STAGED;
}

void
weir_capture_stage(struct weir_capture_tee *tees, enum weir_capture_side side, uint64_t now_ns,
		   const struct weir_tx_segment *segments)
{
	for (; tees != NULL; tees = tees->next)
		tees->outcome = tee_stage(tees, side, now_ns, segments);
}

bool
weir_capture_sees(const struct weir_capture_tee *tees, enum weir_capture_side side)
{
	while (tees != NULL && !(tees->sides & side))
		tees = tees->next;
	return tees != NULL;
}

void
weir_capture_keep(struct weir_capture_tee *tees)
{
	for (; tees != NULL; tees = tees->next) {
		struct capture_interface *interface = tees->interface;

		if (tees->outcome == TEE_NOTHING)
			continue;
		weir_count(&interface->seen, 1);
		if (tees->outcome == TEE_STAGED) {
			tees->tail = tees->end;
			weir_count(&interface->captured, 1);
			weir_count(&interface->captured_bytes, tees->staged_bytes);
			/* Release: the record. Partner: the acquire in writer_flush(). */
			__atomic_store_n(&tees->block->tail, tees->tail, __ATOMIC_RELEASE);
		} else if (tees->outcome == TEE_MISSED) {
			weir_count(&interface->missed, 1);
		} else {
			weir_count(&interface->rejected, 1);
		}
		tees->outcome = TEE_NOTHING;
	}
}

/** The lcore, or nobody else uses the point: begin. */
void
tee_link(struct weir_capture_tee *tee)
{
	struct weir_capture_point *point = tee->point;

	tee->next = point->tees;
	point->tees = tee;
	point->changed(point, point->tees);
}

/** Likewise: end. What is staged goes to the writer. */
void
tee_unlink(struct weir_capture_tee *tee)
{
	struct weir_capture_point *point = tee->point;
	struct weir_capture_tee **at;

	for (at = &point->tees; *at != tee; at = &(*at)->next)
		;
	*at = tee->next;
	point->changed(point, point->tees);
	if (tee->block != NULL)
		tee_hand_over(tee);
}
