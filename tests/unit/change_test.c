/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that is up is moved between lcores and given other endpoints: real guest
 * ports, pollers and endpoints, and guests by vhost-user whose frames are numbered.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "place.h"

static void
move_to_and_fro(struct weir_guest *guest, uint64_t features, struct place *to)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		if (weir_guest_move(guest, 0, 1 + i % 3) != 0)
			fail_msg("%s", weir_error_text());
		assert_int_equal(place_lcore(guest), 1 + i % 3);
		if (i % 4 == 0)
			place_wait_more(&to->guest.received, 1);
	}
}

static void
moved_pair_loses_and_reorders_nothing(void **state)
{
	const uint64_t rings[] = {0, BIT(VIRTIO_F_RING_PACKED)};
	size_t i;

	for (i = 0; i < RTE_DIM(rings); i++) {
		place_open(0, "loop", "", rings[i]);
		vhost_guest_set(&places[0].guest.sending, true);
		move_to_and_fro(places[0].port, rings[i], &places[0]);
		place_settle(&places[0], &places[0], true);
		place_close(0);
	}
}

static void
tell_thread(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

static void
be_late(int number)
{
	usleep(300000);
}

/** Not held by its guest, merely not run for a while: longer than it is waited for in peace. */
static void
pair_leaves_a_lcore_that_is_late(void **state)
{
	struct sigaction late = {.sa_handler = be_late, .sa_flags = SA_RESTART}, before;
	unsigned int i;

	assert_int_equal(sigaction(SIGUSR1, &late, &before), 0);
	place_open(0, "loop", "", 0);
	/* An lcore that is late in the middle of a call is taken for held: see call.c. */
	for (i = 0; i < RTE_DIM(places[0].guest.rings); i++)
		places[0].guest.rings[i].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	vhost_guest_set(&places[0].guest.sending, true);
	for (i = 0; i < 3; i++) {
		struct weir_target *target;
		pthread_t thread;

		pthread_mutex_lock(&places[0].port->lock);
		target = places[0].port->pairs[0]->target;
		pthread_mutex_unlock(&places[0].port->lock);
		target->run(target, tell_thread, &thread);
		assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
		assert_int_equal(weir_guest_move(places[0].port, 0, 1 + (target->lcore % 3)), 0);
		place_wait_more(&places[0].guest.received, 1);
	}
	place_settle(&places[0], &places[0], true);
	place_close(0);
	sigaction(SIGUSR1, &before, NULL);
}

static void
moved_pair_of_a_patch_loses_and_reorders_nothing(void **state)
{
	place_open(0, "wire", "", 0);
	place_open(1, "wire", "", BIT(VIRTIO_F_RING_PACKED));
	vhost_guest_set(&places[0].guest.sending, true);
	vhost_guest_set(&places[1].guest.sending, true);
	move_to_and_fro(places[0].port, 0, &places[1]);
	move_to_and_fro(places[1].port, 0, &places[0]);
	place_settle(&places[0], &places[1], true);
	place_settle(&places[1], &places[0], true);
	place_close(0);
	place_close(1);
}

static void
moved_pair_stays_while_its_guest_comes_and_goes(void **state)
{
	unsigned int lcore;

	place_open(0, "loop", "", 0);
	for (lcore = 1; lcore <= 3; lcore++) {
		assert_int_equal(weir_guest_move(places[0].port, 0, lcore), 0);
		place_hang_up(0);
		vhost_guest_open(&places[0].guest, places[0].socket, 0, GUEST_BASIC);
		vhost_guest_set(&places[0].guest.sending, true);
		place_wait_more(&places[0].guest.received, 100);
		assert_int_equal(place_lcore(places[0].port), lcore);
	}
	place_close(0);
}

static void
wrong_moves_say_what_would_be_right(void **state)
{
	place_open(0, "loop", "", 0);
	assert_int_equal(weir_guest_move(places[0].port, 1, 1), -ENOENT);
	assert_non_null(strstr(weir_error_text(), "no queue pair 1: its pairs are 0 to 0"));
	assert_int_equal(weir_guest_move(places[0].port, 0, 0), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "lcore 0 polls nothing: these do: 1, 2, 3"));
	assert_int_equal(weir_guest_move(places[0].port, 0, 99), -EINVAL);
	place_close(0);
}

static void
library_path_is_not_changed_while_up(void **state)
{
	place_open(0, "loop", ",datapath=library", 0);
	assert_int_equal(place_state(places[0].port), GUEST_UP);
	assert_int_equal(weir_guest_move(places[0].port, 0, 1), -ENOTSUP);
	assert_non_null(strstr(weir_error_text(), "datapath=engine"));
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("other")), -ENOTSUP);
	place_close(0);
}

static void
swapped_guest_loses_nothing_that_its_endpoints_hold(void **state)
{
	unsigned int i;

	place_open(0, "loop", "", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	for (i = 0; i < 50; i++) {
		if (weir_guest_swap(places[0].port,
				    place_endpoint(i % 2 == 0 ? "other" : "loop")) != 0)
			fail_msg("%s", weir_error_text());
		place_wait_more(&places[0].guest.received, 10);
	}
	place_settle(&places[0], &places[0], true);
	assert_int_equal(places[0].port->n_ups, 1);
	place_close(0);
}

static void
swapped_guest_counts_on(void **state)
{
	struct weir_queue_stats loop, other, before;
	struct pair_stats stats;

	weir_endpoint_stats(place_endpoint("loop"), &before);
	loop = before;
	weir_endpoint_stats(place_endpoint("other"), &before);
	place_open(0, "loop", "", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	place_wait_more(&places[0].guest.received, 1000);
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("other")), 0);
	place_wait_more(&places[0].guest.received, 1000);
	place_settle(&places[0], &places[0], true);
	stats = place_stats(places[0].port);
	assert_int_equal(stats.tx_packets, vhost_guest_count(&places[0].guest.sent));
	other = before;
	weir_endpoint_stats(place_endpoint("loop"), &before);
	loop.tx_packets = before.tx_packets - loop.tx_packets;
	weir_endpoint_stats(place_endpoint("other"), &before);
	other.tx_packets = before.tx_packets - other.tx_packets;
	assert_true(loop.tx_packets >= 1000 && other.tx_packets >= 1000);
	assert_int_equal(loop.tx_packets + other.tx_packets, stats.tx_packets);
	place_close(0);
}

/** Two guests, on lcores of their own, so that the patch holds what it is given. */
static void
wire_open(void)
{
	place_open(0, "wire", "", 0);
	place_open(1, "wire", "", 0);
	assert_int_equal(weir_guest_move(places[0].port, 0, 1), 0);
	assert_int_equal(weir_guest_move(places[1].port, 0, 2), 0);
}

static void
descriptors_that_a_stuck_peer_holds_come_back(void **state)
{
	unsigned int i;

	wire_open();
	for (i = 0; i < 5; i++) {
		vhost_guest_set(&places[1].guest.receiving, false);
		vhost_guest_set(&places[0].guest.sending, true);
		place_wait_until_stuck(&places[0].guest);
		assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("loop")), 0);
		place_wait_more(&places[0].guest.received, 100);
		place_settle(&places[0], &places[0], false);
		vhost_guest_set(&places[1].guest.receiving, true);
		assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("wire")), 0);
		vhost_guest_set(&places[0].guest.sending, true);
		place_wait_more(&places[1].guest.received, 100);
		place_settle(&places[0], &places[1], false);
	}
	assert_true(place_stats(places[0].port).tx_dropped_stopped > 0);
	place_close(0);
	place_close(1);
}

static void
refused_swap_leaves_the_guest_where_it_is(void **state)
{
	place_open(0, "loop", "", BIT(VIRTIO_NET_F_CSUM));
	place_open(1, "one", ",csum=off", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("loop")), -EALREADY);
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("one")), -EBUSY);
	assert_non_null(strstr(weir_error_text(), "'g1'"));
	place_close(1);
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("one")), -EOPNOTSUPP);
	assert_non_null(strstr(weir_error_text(), "host_tso4"));
	assert_string_equal(weir_endpoint_name(places[0].port->endpoint), "loop");
	place_wait_more(&places[0].guest.received, 1000);
	place_settle(&places[0], &places[0], true);
	place_close(0);
}

static void
endpoint_that_fails_is_undone(void **state)
{
	/* Its frames are shorter than the guest's. */
	place_open(0, "loop", ",mtu=9000,csum=off", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("one")), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "mtu=9000"));
	assert_string_equal(weir_endpoint_name(places[0].port->endpoint), "loop");
	place_wait_more(&places[0].guest.received, 1000);
	place_settle(&places[0], &places[0], true);
	/* The place at the other is free again. */
	assert_int_equal(weir_endpoint_claim(place_endpoint("one"), "g1"), 0);
	weir_endpoint_unclaim(place_endpoint("one"), "g1");
	place_close(0);
}

static void
guest_that_is_away_comes_back_to_its_new_endpoint(void **state)
{
	place_open(0, "loop", "", 0);
	place_hang_up(0);
	/* With nobody there, less may be offered from now on, and more again. */
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("one")), 0);
	assert_int_equal(places[0].port->features_offered & BIT(VIRTIO_NET_F_HOST_TSO4), 0);
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("other")), 0);
	assert_int_not_equal(places[0].port->features_offered & BIT(VIRTIO_NET_F_HOST_TSO4), 0);
	vhost_guest_open(&places[0].guest, places[0].socket, 0, GUEST_BASIC);
	vhost_guest_set(&places[0].guest.sending, true);
	place_wait_more(&places[0].guest.received, 100);
	assert_string_equal(weir_endpoint_name(places[0].port->endpoint), "other");
	place_close(0);
}

/** One node is all that most machines have: its memory comes from a pretended one. */
static void
follow(struct weir_guest *guest)
{
	pthread_mutex_lock(&guest->session);
	guest->pool_node = 1;
	session_follow(guest, 0);
	assert_int_equal(guest->pool_node, 0);
	assert_ptr_equal(guest->pairs[0]->rx_frames, guest->rx_frames);
	assert_ptr_equal(guest->pairs[0]->tx_pool, weir_frame_pool_mempool(guest->tx_frames));
	pthread_mutex_unlock(&guest->session);
}

static void
pools_and_lcore_follow_memory_that_moves(void **state)
{
	unsigned int i;

	place_open(0, "loop", "", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	for (i = 0; i < 5; i++) {
		place_wait_more(&places[0].guest.received, 100);
		follow(places[0].port);
	}
	place_settle(&places[0], &places[0], true);
	place_close(0);
}

/** Each holds frames of the other, on an lcore of its own. */
static void
memory_that_moves_loses_no_frame_of_either_side_of_a_patch(void **state)
{
	unsigned int i;

	wire_open();
	vhost_guest_set(&places[0].guest.sending, true);
	vhost_guest_set(&places[1].guest.sending, true);
	for (i = 0; i < 20; i++) {
		place_wait_more(&places[0].guest.received, 100);
		place_wait_more(&places[1].guest.received, 100);
		follow(places[i % 2].port);
	}
	place_settle(&places[0], &places[1], true);
	place_settle(&places[1], &places[0], true);
	assert_int_equal(place_stats(places[0].port).tx_dropped_stopped, 0);
	place_close(0);
	place_close(1);
}

static void
busy_guests_are_spread_over_the_lcores(void **state)
{
	uint64_t end = place_now_ms() + 2 * PLACE_PATIENCE_MS;

	place_open(0, "loop", "", 0);
	place_open(1, "loop", "", 0);
	assert_int_equal(weir_guest_move(places[0].port, 0, 2), 0);
	assert_int_equal(weir_guest_move(places[1].port, 0, 2), 0);
	vhost_guest_set(&places[0].guest.sending, true);
	vhost_guest_set(&places[1].guest.sending, true);
	/* They rest first. */
	while (place_lcore(places[0].port) == place_lcore(places[1].port) && place_now_ms() < end) {
		weir_pollers_spread(place_pollers, 500);
		usleep(20000);
	}
	assert_int_not_equal(place_lcore(places[0].port), place_lcore(places[1].port));
	place_settle(&places[0], &places[0], true);
	place_settle(&places[1], &places[1], true);
	place_close(0);
	place_close(1);
}

static uint32_t
less_tx_offloads(const struct weir_endpoint *endpoint)
{
	return WEIR_OFFLOAD_CAP_CSUM;
}

/** A type that takes less than the others: frames, were it not to cut. */
static void
less_register(void)
{
	static struct weir_endpoint_ops less_ops;
	unsigned int i = 0;

	while (strcmp(weir_endpoint_driver(i)->type, "frames") != 0)
		i++;
	less_ops = *weir_endpoint_driver(i);
	less_ops.type = "less";
	less_ops.tx_offloads = less_tx_offloads;
	weir_endpoint_register(&less_ops);
}

static int
setup(void **state)
{
	less_register();
	return places_open((const char *const[]){"name=loop,type=loopback",
						 "name=other,type=loopback", "name=wire,type=patch",
						 "name=one,type=less", NULL});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PLACES_CLAIM(moved_pair_loses_and_reorders_nothing),
		PLACES_CLAIM(pair_leaves_a_lcore_that_is_late),
		PLACES_CLAIM(moved_pair_of_a_patch_loses_and_reorders_nothing),
		PLACES_CLAIM(moved_pair_stays_while_its_guest_comes_and_goes),
		PLACES_CLAIM(wrong_moves_say_what_would_be_right),
		PLACES_CLAIM(library_path_is_not_changed_while_up),
		PLACES_CLAIM(swapped_guest_loses_nothing_that_its_endpoints_hold),
		PLACES_CLAIM(swapped_guest_counts_on),
		PLACES_CLAIM(descriptors_that_a_stuck_peer_holds_come_back),
		PLACES_CLAIM(refused_swap_leaves_the_guest_where_it_is),
		PLACES_CLAIM(endpoint_that_fails_is_undone),
		PLACES_CLAIM(guest_that_is_away_comes_back_to_its_new_endpoint),
		PLACES_CLAIM(pools_and_lcore_follow_memory_that_moves),
		PLACES_CLAIM(memory_that_moves_loses_no_frame_of_either_side_of_a_patch),
		PLACES_CLAIM(busy_guests_are_spread_over_the_lcores),
	};

	return cmocka_run_group_tests(tests, setup, places_end);
}
