/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What captures see of a pair. Tx: what it has taken, before it is handed over. Rx: a
 * buffer access of its own stands in front of the data path's while there is a capture,
 * so that who writes frames pays nothing when there is none.
 *
 * An rx frame is staged before it is written, because an end that hands it over may
 * take it along, and kept when the guest got it: so frames go one by one.
 */
#include <string.h>

#include "guest.h"

/* Pieces of an rx frame, at most; of more the first are captured. */
#define PIECES_MAX WEIR_VRING_SEGMENTS_MAX

void
pair_capture_tx(struct weir_pair *pair)
{
	const struct weir_tx_segment *head = &pair->segments[pair->seg_first];
	uint64_t now_ns;
	uint16_t i;

	if (pair->n_pending == 0)
		return;
	now_ns = weir_capture_now();
	for (i = 0; i < pair->n_pending; i++, head = weir_tx_next(head)) {
		weir_capture_stage(pair->tees, WEIR_CAPTURE_TX, now_ns, head);
		weir_capture_keep(pair->tees);
	}
}

/* The buffer access. */

static struct weir_pair *
pair_of(struct weir_access *access)
{
	return container_of(access, struct weir_pair, access);
}

static const struct weir_access_ops *
path_ops(struct weir_access *access)
{
	return pair_of(access)->path->access;
}

/** Stage a frame of pieces; those behind @p n belong to the head. */
static void
stage_pieces(struct weir_pair *pair, uint64_t now_ns, struct weir_tx_segment *pieces, uint16_t n,
	     const struct weir_offload *offload)
{
	uint16_t i;

	pieces[0].n_segments = n;
	pieces[0].frame_len = 0;
	pieces[0].offload = *offload;
	for (i = 0; i < n; i++)
		pieces[0].frame_len += pieces[i].len;
	weir_capture_stage(pair->tees, WEIR_CAPTURE_RX, now_ns, n > 0 ? pieces : NULL);
}

/** What the guest has got shows in its data path: a change says that it got the frame. */
static uint64_t
written(struct weir_pair *pair, uint16_t rx_id)
{
	return pair->path->rx_written(pair, rx_id);
}

static void
keep_if_written(struct weir_pair *pair, uint16_t rx_id, uint64_t before)
{
	if (likely(written(pair, rx_id) != before))
		weir_capture_keep(pair->tees);
}

static uint32_t
captured_capacity(struct weir_access *access, uint16_t rx_id)
{
	return path_ops(access)->capacity(access, rx_id);
}

static unsigned int
captured_guest_addresses(struct weir_access *access, uint16_t rx_id, struct iovec *iov,
			 unsigned int n)
{
	return path_ops(access)->guest_addresses(access, rx_id, iov, n);
}

static int
captured_write_data(struct weir_access *access, uint16_t rx_id, uint32_t offset, const void *data,
		    uint32_t len)
{
	return path_ops(access)->write_data(access, rx_id, offset, data, len);
}

static void
captured_write_header(struct weir_access *access, uint16_t rx_id, const struct weir_rx_meta *meta)
{
	struct weir_pair *pair = pair_of(access);
	uint64_t before = written(pair, rx_id);
	struct weir_tx_segment pieces[PIECES_MAX];
	struct iovec iov[PIECES_MAX];
	uint32_t left = meta->len, n_iov;
	uint16_t n;

	n_iov = path_ops(access)->guest_addresses(access, rx_id, iov, RTE_DIM(iov));
	for (n = 0; n < n_iov && left > 0; n++) {
		pieces[n].addr = iov[n].iov_base;
		pieces[n].len = RTE_MIN(left, iov[n].iov_len);
		left -= pieces[n].len;
	}
	stage_pieces(pair, weir_capture_now(), pieces, n, &meta->offload);
	path_ops(access)->write_header(access, rx_id, meta);
	keep_if_written(pair, rx_id, before);
}

static int
captured_write_packet(struct weir_access *access, uint16_t rx_id, const struct weir_rx_meta *meta,
		      const void *data)
{
	struct weir_pair *pair = pair_of(access);
	uint64_t before = written(pair, rx_id);
	struct weir_tx_segment piece = {.addr = data, .len = meta->len};
	int rc;

	stage_pieces(pair, weir_capture_now(), &piece, meta->len > 0, &meta->offload);
	rc = path_ops(access)->write_packet(access, rx_id, meta, data);
	keep_if_written(pair, rx_id, before);
	return rc;
}

static uint16_t
captured_write_packet_segments(struct weir_access *access, const uint16_t *rx_ids,
			       struct weir_access *source, const struct weir_tx_segment *segments,
			       uint16_t n_packets)
{
	struct weir_pair *pair = pair_of(access);
	uint64_t now_ns = weir_capture_now(), before;
	uint16_t i;

	for (i = 0; i < n_packets; i++, segments = weir_tx_next(segments)) {
		before = written(pair, rx_ids[i]);
		weir_capture_stage(pair->tees, WEIR_CAPTURE_RX, now_ns, segments);
		/* Without its source: that one's data path may not be this one's. */
		if (path_ops(access)->write_packet_segments(access, &rx_ids[i], NULL, segments,
							    1) == 0)
			break;
		keep_if_written(pair, rx_ids[i], before);
	}
	return i;
}

static uint16_t
captured_attach_frames(struct weir_access *access, const uint16_t *rx_ids, struct rte_mbuf **frames,
		       uint16_t n)
{
	struct weir_pair *pair = pair_of(access);
	uint64_t now_ns = weir_capture_now(), before;
	struct weir_tx_segment pieces[PIECES_MAX];
	const struct rte_mbuf *part;
	struct weir_offload offload;
	uint16_t i, k;

	for (i = 0; i < n; i++) {
		before = written(pair, rx_ids[i]);
		weir_offload_from_mbuf(frames[i], &offload);
		for (part = frames[i], k = 0; part != NULL && k < PIECES_MAX; part = part->next) {
			pieces[k].addr = rte_pktmbuf_mtod(part, const void *);
			pieces[k++].len = part->data_len;
		}
		stage_pieces(pair, now_ns, pieces, k, &offload);
		if (path_ops(access)->attach_frames(access, &rx_ids[i], &frames[i], 1) == 0)
			break;
		keep_if_written(pair, rx_ids[i], before);
	}
	return i;
}

static uint16_t
captured_take_frames(struct weir_access *access, const struct weir_tx_segment *segments,
		     struct rte_mbuf **frames, uint16_t n_packets)
{
	return path_ops(access)->take_frames(access, segments, frames, n_packets);
}

static const struct weir_access_ops captured_access_ops = {
	.capacity = captured_capacity,
	.guest_addresses = captured_guest_addresses,
	.write_data = captured_write_data,
	.write_header = captured_write_header,
	.write_packet = captured_write_packet,
	.write_packet_segments = captured_write_packet_segments,
	.attach_frames = captured_attach_frames,
	.take_frames = captured_take_frames,
};

/* Points. */

static void
point_changed(struct weir_capture_point *point, struct weir_capture_tee *tees)
{
	struct weir_guest *guest = container_of(point - point->index, struct weir_guest, points[0]);
	struct weir_pair *pair = guest->pairs[point->index];

	pair->tees = tees;
	pair->access.ops = weir_capture_sees(tees, WEIR_CAPTURE_RX) ? &captured_access_ops
								    : pair->path->access;
}

void
guest_points_add(struct weir_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++) {
		guest->points[i] = (struct weir_capture_point){
			.guest = guest->object.name,
			.index = i,
			.changed = point_changed,
		};
		weir_capture_point_add(&guest->points[i]);
	}
}

void
guest_points_remove(struct weir_guest *guest)
{
	uint16_t i;

	for (i = 0; i < guest->n_pairs; i++)
		weir_capture_point_remove(&guest->points[i]);
}
