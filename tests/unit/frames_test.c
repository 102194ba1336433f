/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What frames promises beyond any endpoint: the far end gets frames of its MTU, each in one
 * piece; several pairs, by flow to the guest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>

#include <rte_mbuf.h>

#include "harness.h"
#include "plain_guest.h"
#include "tso_packet.h"
#include "weir_error.h"
#include "weir_frame_host.h"

static struct plain_target here;
static struct plain_guest *guest;
static struct weir_frame_host *far;

static void
open_with(const char *keys)
{
	struct weir_endpoint *frames = weir_endpoint_create(keys);
	struct plain_target *target = &here;

	assert_non_null(frames);
	plain_target_here(&here);
	guest = plain_guest_new("g0", 1, 1, &target, 1);
	assert_int_equal(plain_guest_attach(guest, frames), 0);
	far = weir_frame_host_attach("c", 0);
	assert_non_null(far);
}

static void
close_all(void)
{
	struct weir_endpoint *frames = guest->endpoint;

	weir_frame_host_detach(far);
	plain_guest_detach(guest);
	plain_guest_free(guest);
	weir_endpoint_free(frames);
}

static uint16_t
send_one(const struct tso_packet *packet)
{
	struct plain_pair *pair = &guest->pairs[0];
	bool done = false;
	uint16_t n;

	n = pair->queue->ops->tx_avail(pair->queue, &pair->access, packet->segments, 1, &done);
	assert_true(done);
	return n;
}

/** Frames that came, and put back; their payload is the packet's. */
static unsigned int
receive_all(const struct tso_packet *packet)
{
	struct rte_mbuf *frames[2 * TSO_FRAMES];
	uint16_t i, n = weir_frame_host_receive(far, frames, RTE_DIM(frames));
	uint32_t at = 0;

	for (i = 0; i < n; i++) {
		uint32_t part = frames[i]->data_len - TSO_HEADERS;

		assert_int_equal(frames[i]->nb_segs, 1);
		assert_memory_equal(rte_pktmbuf_mtod_offset(frames[i], void *, TSO_HEADERS),
				    packet->bytes + TSO_HEADERS + at, part);
		/* Its checksum is begun, and need not be looked at. */
		assert_int_equal(frames[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK,
				 RTE_MBUF_F_RX_L4_CKSUM_NONE);
		at += part;
	}
	weir_frame_host_put(far, frames, n);
	return n;
}

static void
a_long_packet_comes_as_frames_of_the_mtu(void **state)
{
	static struct tso_packet packet;

	tso_packet_make(&packet);
	open_with("type=frames,name=c");
	assert_int_equal(send_one(&packet), 1);
	assert_int_equal(receive_all(&packet), TSO_FRAMES);
	assert_int_equal(guest->queues[0]->stats.tx_packets, 1);
	assert_int_equal(guest->queues[0]->stats.tx_dropped, 0);
	close_all();
}

static void
a_long_packet_waits_for_room_for_all_of_it(void **state)
{
	static struct tso_packet packet;

	tso_packet_make(&packet);
	open_with("type=frames,name=c,capacity=32");
	assert_int_equal(send_one(&packet), 1);
	assert_int_equal(send_one(&packet), 0);
	assert_int_equal(receive_all(&packet), TSO_FRAMES);
	assert_int_equal(send_one(&packet), 1);
	assert_int_equal(receive_all(&packet), TSO_FRAMES);
	assert_int_equal(guest->queues[0]->stats.tx_dropped, 0);
	close_all();
}

static void
a_packet_that_never_fits_is_dropped(void **state)
{
	static struct tso_packet packet;

	tso_packet_make(&packet);
	open_with("type=frames,name=c,capacity=16");
	assert_int_equal(send_one(&packet), 1);
	assert_int_equal(guest->queues[0]->stats.tx_dropped, 1);
	packet.segments[0].offload.gso_size = 2000;
	assert_int_equal(send_one(&packet), 1);
	assert_int_equal(guest->queues[0]->stats.tx_dropped, 2);
	assert_int_equal(receive_all(&packet), 0);
	close_all();
}

#define PAIRS 4
#define FLOWS 64

static struct weir_frame_host *fars[PAIRS];

/** A guest of @p n_queues, all in use, on an endpoint of four pairs. */
static void
open_pairs(uint16_t n_queues)
{
	struct weir_endpoint *frames = weir_endpoint_create("type=frames,name=c,queues=4");
	struct plain_target *target = &here;
	uint16_t i;

	assert_non_null(frames);
	plain_target_here(&here);
	guest = plain_guest_new("g0", 1, n_queues, &target, 1);
	assert_int_equal(plain_guest_attach(guest, frames), 0);
	for (i = 0; i < n_queues; i++) {
		guest->queues[i]->ops->set_active(guest->queues[i], true);
		plain_pair_post(&guest->pairs[i], PLAIN_IDS);
	}
	for (i = 0; i < PAIRS; i++) {
		assert_false(weir_endpoint_ops(frames)->link_up(frames));
		fars[i] = weir_frame_host_attach("c", i);
		assert_non_null(fars[i]);
		assert_int_equal(weir_frame_host_n_pairs(fars[i]), PAIRS);
	}
	assert_true(weir_endpoint_ops(frames)->link_up(frames));
}

static void
close_pairs(void)
{
	uint16_t i;

	for (i = 1; i < PAIRS; i++)
		weir_frame_host_detach(fars[i]);
	far = fars[0];
	close_all();
}

/** A frame of a flow, sent by the pair that it is to be sent by. */
static uint16_t
send_flow(uint16_t flow, uint64_t sequence)
{
	struct rte_mbuf *frame;
	uint8_t *data;
	uint16_t pair;

	/* Each host has frames of its own: look with one's, send another's. */
	assert_int_equal(weir_frame_host_get(fars[0], &frame, 1), 1);
	data = (uint8_t *)rte_pktmbuf_append(frame, PLAIN_FRAME_MIN);
	plain_frame_write(data, PLAIN_FRAME_MIN, 0, 0, sequence);
	data[5] += flow;
	pair = weir_frame_host_pick(fars[0], frame);
	if (pair != 0) {
		weir_frame_host_put(fars[0], &frame, 1);
		assert_int_equal(weir_frame_host_get(fars[pair], &frame, 1), 1);
		data = (uint8_t *)rte_pktmbuf_append(frame, PLAIN_FRAME_MIN);
		plain_frame_write(data, PLAIN_FRAME_MIN, 0, 0, sequence);
		data[5] += flow;
	}
	assert_int_equal(weir_frame_host_send(fars[pair], &frame, 1), 1);
	return pair;
}

/** Frames of many flows to a guest that uses @p n_used of its pairs. */
static void
flows_come_spread(uint16_t n_used)
{
	static uint64_t last;
	uint64_t sequence, before[PAIRS];
	uint16_t i, pair;

	for (i = 0; i < PAIRS; i++) {
		before[i] = guest->pairs[i].received;
		guest->queues[i]->ops->set_active(guest->queues[i], i < n_used);
	}
	for (sequence = 1; sequence <= 4 * FLOWS; sequence++) {
		pair = send_flow(sequence % FLOWS, ++last);
		assert_true(pair < n_used);
		assert_int_equal(plain_pair_poll(&guest->pairs[pair]), 1);
		plain_pair_post(&guest->pairs[pair], PLAIN_IDS);
		for (i = 0; i < PAIRS; i++)
			plain_pair_poll(&guest->pairs[i]); /* lend empty frames again */
	}
	for (i = 0; i < PAIRS; i++)
		assert_int_equal(guest->pairs[i].received > before[i], i < n_used);
}

static void
frames_to_the_guest_are_spread_by_flow_over_the_pairs_it_uses(void **state)
{
	open_pairs(PAIRS);
	flows_come_spread(4);
	flows_come_spread(2);
	flows_come_spread(1);
	close_pairs();
}

static void
each_pair_of_the_guest_has_a_far_end(void **state)
{
	struct rte_mbuf *frames[PLAIN_BURST];
	uint16_t i, n;

	open_pairs(PAIRS);
	for (i = 0; i < PAIRS; i++)
		assert_int_equal(plain_pair_send(&guest->pairs[i], 5 + i, 60, 1, NULL), 5 + i);
	for (i = 0; i < PAIRS; i++) {
		n = weir_frame_host_receive(fars[i], frames, PLAIN_BURST);
		assert_int_equal(n, 5 + i);
		/* An answer goes back by the same pair. */
		assert_int_equal(weir_frame_host_send(fars[i], frames, n), n);
		assert_int_equal(plain_pair_poll(&guest->pairs[i]), n);
	}
	close_pairs();
}

static void
frames_to_a_pair_put_aside_are_dropped_and_counted(void **state)
{
	struct rte_mbuf *frame;

	open_pairs(2);
	guest->queues[1]->ops->set_active(guest->queues[1], false);
	assert_int_equal(weir_frame_host_get(fars[1], &frame, 1), 1);
	rte_pktmbuf_append(frame, PLAIN_FRAME_MIN);
	assert_int_equal(weir_frame_host_send(fars[1], &frame, 1), 1);
	assert_true(guest->queues[1]->ops->poll_ready(guest->queues[1], &guest->pairs[1].access,
						      false));
	assert_int_equal(plain_pair_poll(&guest->pairs[1]), 0);
	assert_int_equal(guest->queues[1]->stats.rx_dropped, 1);
	/* A guest that uses none at the moment is one that is stopped: they wait. */
	guest->queues[0]->ops->set_active(guest->queues[0], false);
	assert_int_equal(weir_frame_host_get(fars[0], &frame, 1), 1);
	plain_frame_write((uint8_t *)rte_pktmbuf_append(frame, PLAIN_FRAME_MIN), PLAIN_FRAME_MIN, 0,
			  0, 1);
	assert_int_equal(weir_frame_host_send(fars[0], &frame, 1), 1);
	assert_int_equal(plain_pair_poll(&guest->pairs[0]), 0);
	guest->queues[0]->ops->set_active(guest->queues[0], true);
	assert_int_equal(plain_pair_poll(&guest->pairs[0]), 1);
	assert_int_equal(guest->queues[0]->stats.rx_dropped, 0);
	close_pairs();
}

static void
a_far_end_that_leaves_one_pair_takes_the_link_down_and_no_frame(void **state)
{
	struct rte_mbuf *frames[PLAIN_BURST];
	const struct weir_endpoint_ops *ops;
	unsigned int ms;

	open_pairs(PAIRS);
	ops = weir_endpoint_ops(guest->endpoint);
	assert_int_equal(plain_pair_send(&guest->pairs[2], 7, 60, 1, NULL), 7);
	assert_int_equal(weir_frame_host_receive(fars[2], frames, PLAIN_BURST), 7);
	weir_frame_host_detach(fars[2]); /* with the frames in its hands */
	for (ms = 0; ops->link_up(guest->endpoint) && ms < 5000; ms++)
		usleep(1000);
	assert_false(ops->link_up(guest->endpoint));
	assert_int_equal(plain_pair_send(&guest->pairs[1], 3, 60, 1, NULL), 3);
	assert_int_equal(weir_frame_host_receive(fars[1], frames, PLAIN_BURST), 3);
	weir_frame_host_put(fars[1], frames, 3);
	assert_int_equal(plain_pair_send(&guest->pairs[2], 4, 60, 1, NULL), 4);
	assert_int_equal(guest->queues[2]->stats.tx_dropped, 4);
	fars[2] = weir_frame_host_attach("c", 2);
	assert_non_null(fars[2]);
	assert_true(ops->link_up(guest->endpoint));
	assert_int_equal(plain_pair_send(&guest->pairs[2], 4, 60, 1, NULL), 4);
	assert_int_equal(weir_frame_host_receive(fars[2], frames, PLAIN_BURST), 4);
	weir_frame_host_put(fars[2], frames, 4);
	close_pairs();
}

static void
more_pairs_than_there_are_is_refused(void **state)
{
	struct plain_target *target = &here;
	struct plain_guest *many;

	open_with("type=frames,name=c");
	assert_null(weir_frame_host_attach("c", 1));
	assert_int_equal(rte_errno, ENOENT);
	assert_string_equal(weir_error_text(), "endpoint 'c' of type frames has no queue pair 1");
	many = plain_guest_new("g1", 2, 2, &target, 1);
	assert_int_equal(plain_guest_attach(many, guest->endpoint), -EINVAL);
	assert_string_equal(weir_error_text(),
			    "guest 'g1': queues=2: endpoint 'c' has 1: give the endpoint queues=2");
	plain_guest_free(many);
	close_all();
}

static void
a_name_too_long_for_its_pairs_is_refused(void **state)
{
	char keys[64];

	snprintf(keys, sizeof(keys), "type=frames,queues=11,name=%s",
		 "a234567890a234567890a23456789");
	assert_null(weir_endpoint_create(keys));
	assert_string_equal(weir_error_text(), "name 'a234567890a234567890a23456789.10' has 32 "
					       "characters: 1 to 31 are allowed");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_packet_comes_as_frames_of_the_mtu),
		cmocka_unit_test(a_long_packet_waits_for_room_for_all_of_it),
		cmocka_unit_test(a_packet_that_never_fits_is_dropped),
		cmocka_unit_test(frames_to_the_guest_are_spread_by_flow_over_the_pairs_it_uses),
		cmocka_unit_test(each_pair_of_the_guest_has_a_far_end),
		cmocka_unit_test(frames_to_a_pair_put_aside_are_dropped_and_counted),
		cmocka_unit_test(a_far_end_that_leaves_one_pair_takes_the_link_down_and_no_frame),
		cmocka_unit_test(more_pairs_than_there_are_is_refused),
		cmocka_unit_test(a_name_too_long_for_its_pairs_is_refused),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
