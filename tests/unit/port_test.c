/* SPDX-License-Identifier: BSD-3-Clause */
/* What port promises beyond any endpoint, over net_ring, which gives back what it gets. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "harness.h"
#include "plain_guest.h"
#include "tso_packet.h"
#include "weir_error.h"

#define KEYS "type=port,name=c,devargs=net_ring7"
#define PATIENCE_MS 20000

static struct weir_endpoint *port;
static struct plain_target here;

static int
setup(void **state)
{
	port = weir_endpoint_create(KEYS);
	if (port == NULL)
		print_error("%s\n", weir_error_text());
	plain_target_here(&here);
	return port != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	weir_endpoint_free(port);
	return 0;
}

static struct plain_guest *
guest_here(uint16_t n_queues)
{
	struct plain_target *target = &here;
	struct plain_guest *guest = plain_guest_new("g0", 1, n_queues, &target, 1);

	assert_int_equal(plain_guest_attach(guest, port), 0);
	return guest;
}

static void
guest_end(struct plain_guest *guest)
{
	plain_guest_detach(guest);
	plain_guest_free(guest);
}

static void
a_long_packet_leaves_as_finished_frames(void **state)
{
	static struct tso_packet packet;
	struct plain_guest *guest = guest_here(1);
	struct plain_pair *pair = &guest->pairs[0];
	uint32_t i, at = 0, part;
	bool done = false;

	tso_packet_make(&packet);
	assert_int_equal(
		pair->queue->ops->tx_avail(pair->queue, &pair->access, packet.segments, 1, &done),
		1);
	assert_true(done);
	plain_pair_post(pair, PLAIN_IDS);
	for (i = 0; i < 10; i++)
		plain_pair_poll(pair);
	assert_int_equal(pair->queue->stats.tx_packets, 1);
	assert_int_equal(pair->queue->stats.rx_packets, TSO_FRAMES);
	/* Ids are posted, and filled, from 0 on. */
	for (i = 0; i < TSO_FRAMES; i++, at += part) {
		const uint8_t *frame = pair->rx_memory + (size_t)i * pair->rx_size;

		part = pair->rx_meta[i].len - TSO_HEADERS;
		assert_int_equal(part, i + 1 < TSO_FRAMES ? TSO_MSS : TSO_PAYLOAD % TSO_MSS);
		assert_memory_equal(frame + TSO_HEADERS, packet.bytes + TSO_HEADERS + at, part);
	}
	packet.segments[0].offload.gso_type = WEIR_GSO_TCPV6; /* which it is not */
	assert_int_equal(
		pair->queue->ops->tx_avail(pair->queue, &pair->access, packet.segments, 1, &done),
		1);
	assert_int_equal(pair->queue->stats.tx_dropped, 1);
	guest_end(guest);
}

static void
what_the_device_has_no_room_for_waits(void **state)
{
	struct plain_guest *guest = guest_here(1);
	struct plain_pair *pair = &guest->pairs[0];
	unsigned int round;

	for (round = 0; round < 1000; round++)
		if (plain_pair_send(pair, PLAIN_BURST, 100, 2, NULL) == 0)
			break;
	assert_in_range(round, 10, 999);
	assert_true(pair->queue->stats.tx_busy > 0);
	for (round = 0; round < 1000; round++) {
		plain_pair_post(pair, PLAIN_IDS);
		plain_pair_poll(pair);
	}
	assert_int_equal(pair->received, pair->taken);
	assert_int_equal(pair->queue->stats.tx_dropped, 0);
	assert_true(plain_pair_send(pair, PLAIN_BURST, 100, 2, NULL) > 0);
	guest_end(guest);
}

static void
stop_sending(void *arg)
{
	((struct plain_pair *)arg)->sending = false;
}

/** Two lcores, four pairs: those that are put aside have their frames read by others. */
static void
rx_queues_change_hands_without_loss(void **state)
{
	struct plain_target lcores[2], *targets[2] = {&lcores[0], &lcores[1]};
	struct plain_guest *guest;
	struct weir_queue_stats stats;
	uint64_t taken, received, end;
	unsigned int round, i;

	plain_target_start(&lcores[0], 1, false);
	plain_target_start(&lcores[1], 2, false);
	guest = plain_guest_new("g0", 1, 4, targets, 2);
	assert_int_equal(plain_guest_attach(guest, port), 0);
	for (i = 0; i < 4; i++)
		guest->pairs[i].sending = true;
	plain_target_poll(guest);
	for (round = 0; round < 400; round++) {
		struct weir_queue *queue = guest->queues[1 + round % 3];

		queue->ops->set_active(queue, (round / 3) % 2 == 0);
		usleep(1000);
	}
	for (i = 0; i < 4; i++) {
		struct weir_target *target = &guest->pairs[i].target->target;

		target->run(target, stop_sending, &guest->pairs[i]);
	}
	end = rte_get_timer_cycles() + rte_get_timer_hz() * PATIENCE_MS / 1000;
	do {
		usleep(10000);
		weir_endpoint_stats(port, &stats);
	} while (stats.rx_packets < stats.tx_packets && rte_get_timer_cycles() < end);
	plain_target_unpoll(guest);
	for (i = 0, taken = received = 0; i < 4; i++) {
		taken += guest->pairs[i].taken;
		received += guest->pairs[i].received;
	}
	assert_true(taken > 1000);
	assert_int_equal(received, taken);
	guest_end(guest);
	plain_target_stop(&lcores[0]);
	plain_target_stop(&lcores[1]);
}

static void
a_port_goes_with_its_endpoint_or_stays_as_it_came(void **state)
{
	uint16_t id;

	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring7", &id), 0);
	assert_null(weir_endpoint_create("type=port,name=two,dev=net_ring7"));
	assert_non_null(strstr(weir_error_text(), "taken by weir endpoint c"));
	weir_endpoint_free(port);
	assert_int_not_equal(rte_eth_dev_get_port_by_name("net_ring7", &id), 0);

	assert_int_equal(rte_dev_probe("net_ring7"), 0);
	port = weir_endpoint_create("type=port,name=c,dev=net_ring7");
	assert_non_null(port);
	guest_end(guest_here(3));
	weir_endpoint_free(port);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring7", &id), 0);
	port = weir_endpoint_create("type=port,name=c,dev=net_ring7");
	assert_non_null(port);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static unsigned int n_told;
static bool told_up;

static void
action_record(struct weir_endpoint_client *client, enum weir_endpoint_action action, bool link_up)
{
	assert_int_equal(action, WEIR_ENDPOINT_LINK);
	n_told++;
	told_up = link_up;
}

/** For a second. */
static void
tend(void)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		weir_endpoint_tend(port);
}

/** net_ring has no interrupt for its link. */
static void
a_link_that_nobody_tells_of_is_looked_at(void **state)
{
	struct plain_target *target = &here;
	struct plain_guest *guest = plain_guest_new("g0", 1, 1, &target, 1);
	uint16_t id;

	n_told = 0;
	guest->client.action = action_record;
	assert_int_equal(plain_guest_attach(guest, port), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring7", &id), 0);
	tend();
	assert_int_equal(n_told, 0);
	assert_int_equal(rte_eth_dev_set_link_down(id), 0);
	tend();
	tend();
	assert_int_equal(n_told, 1);
	assert_false(told_up);
	assert_false(weir_endpoint_ops(port)->link_up(port));
	assert_int_equal(rte_eth_dev_set_link_up(id), 0);
	tend();
	assert_int_equal(n_told, 2);
	assert_true(told_up);
	/* A device that is stopped has no link, which is no news. */
	guest_end(guest);
	tend();
	assert_int_equal(n_told, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_long_packet_leaves_as_finished_frames),
		CLAIM(what_the_device_has_no_room_for_waits),
		CLAIM(rx_queues_change_hands_without_loss),
		CLAIM(a_link_that_nobody_tells_of_is_looked_at),
		CLAIM(a_port_goes_with_its_endpoint_or_stays_as_it_came),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
