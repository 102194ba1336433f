/* SPDX-License-Identifier: BSD-3-Clause */
/* What frames promises of offloads: the far end gets frames of its MTU, each in one piece. */
#include <string.h>

#include <rte_mbuf.h>

#include "harness.h"
#include "plain_guest.h"
#include "tso_packet.h"
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
	far = weir_frame_host_attach("c");
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_packet_comes_as_frames_of_the_mtu),
		cmocka_unit_test(a_long_packet_waits_for_room_for_all_of_it),
		cmocka_unit_test(a_packet_that_never_fits_is_dropped),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
