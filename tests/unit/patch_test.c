/* SPDX-License-Identifier: BSD-3-Clause */
/* What patch promises beyond any endpoint: two guests, on one lcore or on several. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "harness.h"
#include "plain_guest.h"
#include "weir_error.h"

#define PATIENCE_MS 20000
#define HELD_MAX 256 /* see patch.h */
#define FLOWS 64

static struct weir_endpoint *patch;
static struct plain_target here, lcores[2];

static int
setup(void **state)
{
	patch = weir_endpoint_create("type=patch,name=cable");
	plain_target_here(&here);
	return patch != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	weir_endpoint_free(patch);
	return 0;
}

static struct plain_guest *
guest_here(const char *name, uint16_t number, uint16_t n_queues)
{
	struct plain_target *target = &here;
	struct plain_guest *guest = plain_guest_new(name, number, n_queues, &target, 1);

	assert_int_equal(plain_guest_attach(guest, patch), 0);
	return guest;
}

static void
guest_end(struct plain_guest *guest)
{
	plain_guest_detach(guest);
	plain_guest_free(guest);
}

/* Orders for the lcore that polls a pair. */

static void
stop_sending(void *arg)
{
	((struct plain_pair *)arg)->sending = false;
}

static void
start_sending(void *arg)
{
	((struct plain_pair *)arg)->sending = true;
}

struct count {
	const struct plain_pair *pair;
	uint64_t taken, done, received;
};

static void
count_pair(void *arg)
{
	struct count *count = arg;

	count->taken = count->pair->taken;
	count->done = count->pair->done;
	count->received = count->pair->received;
}

static void
guest_each(struct plain_guest *guest, void (*fn)(void *arg))
{
	uint16_t i;

	for (i = 0; i < guest->client.n_queues; i++)
		guest->client.target[i]->run(guest->client.target[i], fn, &guest->pairs[i]);
}

static void
lcores_start(bool sleeps)
{
	plain_target_start(&lcores[0], 1, sleeps);
	plain_target_start(&lcores[1], 2, sleeps);
}

static void
lcores_stop(void)
{
	plain_target_stop(&lcores[0]);
	plain_target_stop(&lcores[1]);
}

/** A guest whose pairs are polled by the two lcores in turn, beginning with @p first. */
static struct plain_guest *
guest_there(const char *name, uint16_t number, uint16_t n_queues, unsigned int first)
{
	struct plain_target *targets[] = {&lcores[first], &lcores[!first]};
	struct plain_guest *guest = plain_guest_new(name, number, n_queues, targets, 2);
	uint16_t i;

	plain_check(plain_guest_attach(guest, patch) == 0);
	for (i = 0; i < n_queues; i++) {
		guest->queues[i]->ops->set_active(guest->queues[i], true);
		guest->pairs[i].n_flows = FLOWS;
		guest->pairs[i].send_pieces = 1 + i % 3;
		guest->pairs[i].send_len = 60 + 211 * i;
	}
	return guest;
}

/** Wait until nothing is in flight: all that was taken is done. */
static void
guest_wait_done(struct plain_guest *guest)
{
	unsigned int ms;
	uint16_t i;

	for (i = 0; i < guest->client.n_queues; i++) {
		struct weir_target *target = guest->client.target[i];
		struct count count = {.pair = &guest->pairs[i]};

		for (ms = 0; ms < PATIENCE_MS; ms++) {
			target->run(target, count_pair, &count);
			if (count.taken == count.done)
				break;
			usleep(1000);
		}
		assert_int_equal(count.taken, count.done);
	}
}

static void
send_both_ways(struct plain_guest *a, struct plain_guest *b)
{
	plain_target_poll(a);
	plain_target_poll(b);
	guest_each(a, start_sending);
	guest_each(b, start_sending);
}

/** End sending: all that was sent has come. */
static void
settle_both(struct plain_guest *a, struct plain_guest *b)
{
	struct weir_queue_stats stats;

	guest_each(a, stop_sending);
	guest_each(b, stop_sending);
	guest_wait_done(a);
	guest_wait_done(b);
	plain_target_unpoll(a);
	plain_target_unpoll(b);
	weir_endpoint_stats(patch, &stats);
	assert_true(stats.tx_packets > 1000);
	assert_int_equal(stats.tx_dropped, 0);
	assert_int_equal(stats.tx_packets, stats.rx_packets);
	assert_int_equal(stats.tx_bytes, stats.rx_bytes);
}

static void
an_end_without_the_other_drops_and_counts(void **state)
{
	struct plain_guest *a = guest_here("a", 1, 1);
	struct plain_pair *pair = &a->pairs[0];

	assert_int_equal(plain_pair_send(pair, 32, 60, 2, NULL), 32);
	assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), 0);
	assert_int_equal(a->queues[0]->stats.tx_dropped, 32);
	assert_int_equal(a->queues[0]->stats.tx_packets, 0);
	guest_end(a);
}

static void
a_third_end_is_refused(void **state)
{
	struct plain_guest *a = guest_here("a", 1, 1), *b = guest_here("b", 2, 1);
	struct plain_target *target = &here;
	struct plain_guest *c = plain_guest_new("c", 3, 1, &target, 1);

	assert_int_equal(plain_guest_attach(c, patch), -EBUSY);
	assert_string_equal(weir_error_text(),
			    "endpoint 'cable': both ends are taken, by 'a' and 'b'");
	plain_guest_free(c);
	guest_end(a);
	guest_end(b);
}

static void
a_peer_without_buffers_holds_the_sender_back(void **state)
{
	struct plain_guest *a = guest_here("a", 1, 1), *b = guest_here("b", 2, 1);
	struct plain_pair *from = &a->pairs[0], *to = &b->pairs[0];

	plain_pair_poll(to);
	assert_int_equal(plain_pair_send(from, 32, 60, 1, NULL), 0);
	plain_pair_post(to, 20);
	assert_int_equal(plain_pair_send(from, 32, 60, 1, NULL), 20);
	assert_int_equal(plain_pair_n_tx(from, PLAIN_HELD), 0);
	assert_int_equal(plain_pair_poll(to), 20);
	assert_int_equal(to->received, 20);
	assert_int_equal(a->queues[0]->stats.tx_dropped, 0);
	guest_end(a);
	guest_end(b);
}

static void
metadata_crosses_unchanged(void **state)
{
	const struct weir_offload gso = {.flags = WEIR_OFFLOAD_NEEDS_CSUM,
					 .gso_type = WEIR_GSO_TCPV6 | WEIR_GSO_ECN,
					 .hdr_len = 74,
					 .gso_size = 1428,
					 .csum_start = 54,
					 .csum_offset = 16};
	struct plain_guest *a = guest_here("a", 1, 1), *b = guest_here("b", 2, 1);
	struct plain_pair *to = &b->pairs[0];

	plain_pair_post(to, 1);
	plain_pair_poll(to);
	assert_int_equal(plain_pair_send(&a->pairs[0], 1, 2000, 7, &gso), 1);
	assert_int_equal(plain_pair_poll(to), 1);
	assert_int_equal(to->last_meta.len, 2000);
	assert_memory_equal(&to->last_meta.offload, &gso, sizeof(gso));
	guest_end(a);
	guest_end(b);
}

/** All pairs in use, with buffers posted. */
static struct plain_guest *
guest_ready(const char *name, uint16_t number, uint16_t n_queues)
{
	struct plain_guest *guest = guest_here(name, number, n_queues);
	uint16_t i;

	for (i = 0; i < n_queues; i++) {
		guest->queues[i]->ops->set_active(guest->queues[i], true);
		guest->pairs[i].n_flows = FLOWS;
		plain_pair_post(&guest->pairs[i], PLAIN_IDS);
		plain_pair_poll(&guest->pairs[i]);
	}
	return guest;
}

/** Every pair has got some, and each flow came by one of them only. */
static void
check_spread(const struct plain_guest *guest)
{
	uint16_t i, flow, n;

	for (i = 0; i < guest->client.n_queues; i++)
		assert_true(guest->pairs[i].received > 0);
	for (flow = 0; flow < PLAIN_FLOWS_MAX; flow++) {
		for (i = 0, n = 0; i < guest->client.n_queues; i++)
			n += guest->pairs[i].seen_of_flow[flow] > 0;
		assert_true(n <= 1);
	}
}

static void
as_many_pairs_meet_one_by_one(void **state)
{
	struct plain_guest *a = guest_ready("a", 1, 3), *b = guest_ready("b", 2, 3);
	uint16_t i;

	for (i = 0; i < 3; i++)
		assert_int_equal(plain_pair_send(&a->pairs[i], 5 + i, 60, 1, NULL), 5 + i);
	for (i = 0; i < 3; i++)
		assert_int_equal(plain_pair_poll(&b->pairs[i]), 5 + i);
	guest_end(b);
	guest_end(a);
}

static void
flows_are_spread_over_pairs(uint16_t n_from, uint16_t n_to)
{
	struct plain_guest *a = guest_ready("a", 1, n_from), *b = guest_ready("b", 2, n_to);
	uint64_t sent = 0, received = 0;
	unsigned int round;
	uint16_t i;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < n_from; i++)
			sent += plain_pair_send(&a->pairs[i], PLAIN_BURST, 60, 1 + i % 20, NULL);
		for (i = 0; i < n_to; i++) {
			while (plain_pair_poll(&b->pairs[i]) > 0)
				;
			plain_pair_post(&b->pairs[i], PLAIN_IDS);
		}
	}
	assert_int_equal(sent, 20 * n_from * PLAIN_BURST);
	for (i = 0; i < n_to; i++)
		received += b->pairs[i].received;
	assert_int_equal(received, sent);
	check_spread(b);
	guest_end(b);
	guest_end(a);
}

static void
flows_of_one_pair_are_spread_over_many(void **state)
{
	flows_are_spread_over_pairs(1, 4);
	flows_are_spread_over_pairs(3, 16);
}

static void
flows_of_many_pairs_are_spread_over_fewer(void **state)
{
	flows_are_spread_over_pairs(5, 2);
	flows_are_spread_over_pairs(16, 3);
}

static void
a_full_pair_holds_back_what_comes_behind_its_flow(void **state)
{
	struct plain_guest *a = guest_ready("a", 1, 1), *b = guest_here("b", 2, 2);
	struct plain_pair *from = &a->pairs[0];
	uint16_t taken;

	b->queues[1]->ops->set_active(b->queues[1], true);
	plain_pair_poll(&b->pairs[0]);
	plain_pair_poll(&b->pairs[1]);
	plain_pair_post(&b->pairs[1], PLAIN_IDS);
	/* Pair 0 has no buffers: what its first frame stands before waits, in the guest's ring. */
	taken = plain_pair_send(from, PLAIN_BURST, 60, 1, NULL);
	assert_true(taken < PLAIN_BURST);
	assert_int_equal(plain_pair_send(from, PLAIN_BURST, 60, 1, NULL), 0);
	plain_pair_post(&b->pairs[0], PLAIN_IDS);
	assert_int_equal(plain_pair_send(from, PLAIN_BURST, 60, 1, NULL), PLAIN_BURST);
	assert_int_equal(plain_pair_poll(&b->pairs[0]) + plain_pair_poll(&b->pairs[1]),
			 taken + PLAIN_BURST);
	assert_int_equal(a->queues[0]->stats.tx_dropped, 0);
	guest_end(b);
	guest_end(a);
}

static void
a_guest_that_uses_no_pair_is_no_peer(void **state)
{
	struct plain_guest *a = guest_here("a", 1, 1), *b = guest_here("b", 2, 1);

	plain_pair_post(&b->pairs[0], PLAIN_IDS);
	plain_pair_poll(&b->pairs[0]);
	b->queues[0]->ops->set_active(b->queues[0], false);
	assert_int_equal(plain_pair_send(&a->pairs[0], 3, 60, 1, NULL), 3);
	assert_int_equal(a->queues[0]->stats.tx_dropped, 3);
	b->queues[0]->ops->set_active(b->queues[0], true);
	assert_int_equal(plain_pair_send(&a->pairs[0], 3, 60, 1, NULL), 3);
	assert_int_equal(plain_pair_poll(&b->pairs[0]), 3);
	guest_end(a);
	guest_end(b);
}

static void
a_peer_that_leaves_gives_back_what_was_held(void **state)
{
	struct plain_guest *a, *b;
	struct plain_pair *pair;
	uint64_t dropped;
	unsigned int i;

	lcores_start(false);
	a = guest_here("a", 1, 1);
	b = guest_there("b", 2, 1, 0); /* there, and never polled */
	pair = &a->pairs[0];
	for (i = 0; i < 20; i++)
		plain_pair_send(pair, 32, 60, 3, NULL);
	assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), HELD_MAX);
	assert_int_equal(plain_pair_poll(pair), 0);
	assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), HELD_MAX);
	guest_end(b);
	for (i = 0; i < HELD_MAX / PLAIN_BURST; i++)
		plain_pair_poll(pair);
	assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), 0);
	dropped = a->queues[0]->stats.tx_dropped;
	assert_int_equal(dropped, HELD_MAX);
	guest_end(a);
	lcores_stop();
}

static void
a_sleeping_lcore_is_woken(void **state)
{
	struct plain_guest *a, *b;
	struct count count;
	unsigned int round, ms;
	uint64_t sent = 0;

	lcores_start(true);
	a = guest_here("a", 1, 1);
	b = guest_there("b", 2, 1, 0);
	count.pair = &b->pairs[0];
	plain_target_poll(b);
	for (round = 0; round < 100; round++) {
		sent += plain_pair_send(&a->pairs[0], 1 + round % 3, 60, 1, NULL);
		/* The ids come back only when the other lcore has woken and copied. */
		for (ms = 0; plain_pair_n_tx(&a->pairs[0], PLAIN_HELD) > 0 && ms < PATIENCE_MS;
		     ms++) {
			plain_pair_poll(&a->pairs[0]);
			usleep(round % 2 == 0 ? 0 : 200);
		}
		assert_int_equal(plain_pair_n_tx(&a->pairs[0], PLAIN_HELD), 0);
	}
	lcores[0].target.run(&lcores[0].target, count_pair, &count);
	assert_int_equal(count.received, sent);
	assert_int_equal(sent, 199);
	plain_target_unpoll(b);
	guest_end(b);
	guest_end(a);
	lcores_stop();
}

/** Both lcores poll some of each guest's pairs: frames are written at once, and by lanes. */
static void
flows_are_spread_over_pairs_of_two_lcores(void **state)
{
	struct weir_queue_stats stats;
	struct plain_guest *a, *b;
	unsigned int ms;

	lcores_start(false);
	a = guest_there("a", 1, 2, 0);
	b = guest_there("b", 2, 5, 1);
	send_both_ways(a, b);
	for (ms = 0; ms < PATIENCE_MS; ms++) {
		weir_endpoint_stats(patch, &stats);
		if (stats.rx_packets > 20000)
			break;
		usleep(1000);
	}
	settle_both(a, b);
	check_spread(a);
	check_spread(b);
	guest_end(a);
	guest_end(b);
	lcores_stop();
}

static void
pairs_change_under_traffic_and_lose_nothing(void **state)
{
	struct plain_guest *a, *b;
	unsigned int round;

	lcores_start(false);
	a = guest_there("a", 1, 3, 0);
	b = guest_there("b", 2, 4, 1);
	send_both_ways(a, b);
	for (round = 0; round < 1000; round++) {
		struct plain_guest *guest = round % 3 == 0 ? a : b;
		struct weir_queue *queue = guest->queues[1 + round % (guest->client.n_queues - 1)];

		queue->ops->set_active(queue, round / 7 % 2 == 0);
		if (round % 16 == 0)
			usleep(300);
	}
	settle_both(a, b);
	guest_end(a);
	guest_end(b);
	lcores_stop();
}

static void
a_queue_moves_under_traffic_and_loses_nothing(void **state)
{
	struct plain_guest *a, *b;
	unsigned int round;

	lcores_start(false);
	a = guest_there("a", 1, 2, 0);
	b = guest_there("b", 2, 1, 0);
	send_both_ways(a, b);
	for (round = 0; round < 100; round++) {
		struct plain_target *to = &lcores[round % 2 == 0];

		plain_target_unpoll(b);
		plain_guest_move(b, 0, to);
		plain_target_poll(b);
		usleep(500);
	}
	settle_both(a, b);
	guest_end(a);
	guest_end(b);
	lcores_stop();
}

#define ROUNDS 200

/** A guest that comes, sends and receives, and goes while it does. */
static void
come_and_go(const char *name, uint16_t number, uint16_t n_queues, unsigned int seed)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		struct plain_guest *guest = guest_there(name, number, n_queues, round % 2);

		guest_each(guest, start_sending);
		plain_target_poll(guest);
		usleep((round * seed) % 1500);
		plain_target_unpoll(guest);
		guest_end(guest);
	}
}

static void *
come_and_go_beside(void *arg)
{
	come_and_go("b", 2, 2, 131);
	return NULL;
}

static void
peers_come_and_go_at_once(void **state)
{
	struct weir_queue_stats stats;
	pthread_t thread;

	lcores_start(false);
	assert_int_equal(pthread_create(&thread, NULL, come_and_go_beside, NULL), 0);
	come_and_go("a", 1, 3, 97);
	pthread_join(thread, NULL);
	lcores_stop();
	weir_endpoint_stats(patch, &stats);
	assert_true(stats.tx_packets + stats.tx_dropped > 0);
}

static void
the_one_that_stays_gets_every_id_back(void **state)
{
	struct plain_guest *stays;
	struct weir_queue_stats stats;
	uint64_t taken = 0;
	uint16_t i;

	lcores_start(false);
	stays = guest_there("b", 2, 2, 0);
	guest_each(stays, start_sending);
	plain_target_poll(stays);
	come_and_go("a", 1, 3, 97);
	guest_each(stays, stop_sending);
	guest_wait_done(stays);
	usleep(20000);
	plain_target_unpoll(stays);
	memset(&stats, 0, sizeof(stats));
	for (i = 0; i < 2; i++) {
		struct plain_pair *pair = &stays->pairs[i];

		assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), 0);
		assert_int_equal(pair->taken, pair->done);
		taken += pair->taken;
		stats.tx_packets += stays->queues[i]->stats.tx_packets;
		stats.tx_dropped += stays->queues[i]->stats.tx_dropped;
		/* Every rx id is posted, or back. */
		assert_int_equal(plain_pair_n_rx(pair, PLAIN_FILLED), 0);
	}
	assert_true(stats.tx_packets > 0);
	assert_int_equal(taken, stats.tx_packets + stats.tx_dropped);
	guest_end(stays);
	lcores_stop();
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(an_end_without_the_other_drops_and_counts),
		CLAIM(a_third_end_is_refused),
		CLAIM(a_peer_without_buffers_holds_the_sender_back),
		CLAIM(metadata_crosses_unchanged),
		CLAIM(as_many_pairs_meet_one_by_one),
		CLAIM(flows_of_one_pair_are_spread_over_many),
		CLAIM(flows_of_many_pairs_are_spread_over_fewer),
		CLAIM(a_full_pair_holds_back_what_comes_behind_its_flow),
		CLAIM(a_guest_that_uses_no_pair_is_no_peer),
		CLAIM(a_peer_that_leaves_gives_back_what_was_held),
		CLAIM(a_sleeping_lcore_is_woken),
		CLAIM(flows_are_spread_over_pairs_of_two_lcores),
		CLAIM(pairs_change_under_traffic_and_lose_nothing),
		CLAIM(a_queue_moves_under_traffic_and_loses_nothing),
		CLAIM(peers_come_and_go_at_once),
		CLAIM(the_one_that_stays_gets_every_id_back),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
