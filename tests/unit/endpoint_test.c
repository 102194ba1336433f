/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every type of endpoint promises, tried on each: the contract of
 * weir_queue.h and weir_endpoint.h. The plain guest checks the rest on the way:
 * see there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "harness.h"
#include "endpoint_env.h"
#include "weir_error.h"

#define PATIENCE_MS 10000
#define LCORE_MOVED_TO 2

static uint64_t
now_ms(void)
{
	return rte_get_timer_cycles() * 1000 / rte_get_timer_hz();
}

/** Poll the guest until @p value reaches @p wanted; past that is wrong as well. */
static void
poll_until(struct env *env, const uint64_t *value, uint64_t wanted)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	uint16_t i;

	while (*value < wanted && now_ms() < end) {
		for (i = 0; i < env->guest->client.n_queues; i++)
			plain_pair_poll(&env->guest->pairs[i]);
		if (env->peer != NULL && !env->there.started)
			plain_pair_work(&env->peer->pairs[0]);
	}
	assert_int_equal(*value, wanted);
}

/** Poll for a while that is long for a frame. */
static void
poll_a_while(struct env *env)
{
	uint64_t end = now_ms() + 20;

	while (now_ms() < end) {
		plain_pair_poll(&env->guest->pairs[0]);
		if (env->peer != NULL && !env->there.started)
			plain_pair_work(&env->peer->pairs[0]);
	}
}

static void
guest_attach(struct env *env, uint16_t n_queues)
{
	struct plain_target *here = &env->here;

	env->guest = plain_guest_new("g0", 1, n_queues, &here, 1);
	assert_int_equal(plain_guest_attach(env->guest, env->endpoint), 0);
}

static void
guest_detach(struct env *env)
{
	plain_guest_detach(env->guest);
	plain_guest_free(env->guest);
	env->guest = NULL;
}

static int
setup(void **state)
{
	struct env *env = *state;

	env->endpoint = weir_endpoint_create(env->keys);
	if (env->endpoint == NULL) {
		fprintf(stderr, "%s\n", weir_error_text());
		return -1;
	}
	plain_target_here(&env->here);
	guest_attach(env, 1);
	if (env->open != NULL)
		env->open(env);
	return 0;
}

static int
teardown(void **state)
{
	struct env *env = *state;

	if (env->close != NULL)
		env->close(env);
	guest_detach(env);
	weir_endpoint_free(env->endpoint);
	return 0;
}

static void
tables_are_complete(void **state)
{
	struct env *env = *state;
	const struct weir_endpoint_ops *ops = weir_endpoint_ops(env->endpoint);
	const struct weir_queue_ops *queue_ops = env->guest->queues[0]->ops;
	const char *const *key;

	assert_non_null(queue_ops->poll_ready);
	assert_non_null(queue_ops->rx_avail);
	assert_non_null(queue_ops->rx_poll);
	assert_non_null(queue_ops->tx_avail);
	assert_non_null(queue_ops->tx_poll);
	assert_non_null(queue_ops->update_target);
	assert_non_null(queue_ops->set_active);
	assert_non_null(queue_ops->inspect);
	for (key = ops->keys; *key != NULL; key++)
		assert_non_null(strstr(ops->usage, *key));
}

static void
an_unknown_key_is_named(void **state)
{
	struct env *env = *state;
	char keys[256];

	snprintf(keys, sizeof(keys), "%s2,colour=red", env->keys);
	assert_null(weir_endpoint_create(keys));
	assert_non_null(strstr(weir_error_text(), "'colour'"));
}

static void
inspection_and_link_answer_at_any_time(void **state)
{
	struct env *env = *state;
	const struct weir_endpoint_ops *ops = weir_endpoint_ops(env->endpoint);
	struct rte_tel_data *dict = rte_tel_data_alloc();

	assert_non_null(dict);
	rte_tel_data_start_dict(dict);
	ops->inspect(env->endpoint, dict);
	env->guest->queues[0]->ops->inspect(env->guest->queues[0], dict);
	ops->link_speed(env->endpoint);
	assert_true(ops->link_up(env->endpoint));
	guest_detach(env);
	ops->inspect(env->endpoint, dict);
	ops->link_up(env->endpoint);
	guest_attach(env, 1);
	rte_tel_data_free(dict);
}

static void
places_are_as_many_as_promised(void **state)
{
	struct env *env = *state;
	uint16_t i, max = weir_endpoint_ops(env->endpoint)->max_clients;

	for (i = 0; i < max; i++)
		assert_int_equal(weir_endpoint_claim(env->endpoint, "guest"), 0);
	if (max == 0)
		return;
	assert_int_equal(weir_endpoint_claim(env->endpoint, "one-more"), -EBUSY);
	assert_non_null(strstr(weir_error_text(), "one-more"));
	for (i = 0; i < max; i++)
		weir_endpoint_unclaim(env->endpoint, "guest");
}

static void
packets_taken_are_done_once(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	struct weir_queue_stats stats;
	unsigned int round;

	for (round = 0; round < 1000; round++) {
		plain_pair_send(pair, round % (PLAIN_BURST + 1), 60 + round % 1455, 1 + round % 5,
				NULL);
		plain_pair_post(pair, round % 7);
		if (round % 3 == 0)
			plain_pair_poll(pair);
		if (env->peer != NULL && !env->there.started)
			plain_pair_work(&env->peer->pairs[0]);
	}
	plain_pair_post(pair, PLAIN_IDS);
	poll_until(env, &pair->done, pair->taken);
	assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), 0);
	assert_true(pair->taken > 0);
	weir_endpoint_stats(env->endpoint, &stats);
	assert_int_equal(pair->queue->stats.tx_packets + pair->queue->stats.tx_dropped,
			 pair->taken);
}

static void
fast_completions_are_what_they_are_called(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	unsigned int round;

	if (!weir_endpoint_ops(env->endpoint)->fast_completions)
		return;
	for (round = 0; round < 50; round++) {
		plain_pair_post(pair, PLAIN_IDS);
		plain_pair_send(pair, PLAIN_BURST, 60, 2, NULL);
		assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), 0);
		plain_pair_poll(pair);
	}
}

static void
empty_bursts_are_nothing(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	uint16_t id;

	assert_int_equal(plain_pair_send(pair, 0, 60, 1, NULL), 0);
	pair->queue->ops->rx_avail(pair->queue, &pair->access, &id, 0);
	assert_int_equal(pair->queue->ops->rx_poll(pair->queue, &pair->access, &id, 0), 0);
	assert_int_equal(pair->queue->ops->tx_poll(pair->queue, &pair->access, &id, 0), 0);
}

static void
frames_come_whole_and_in_order(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	uint64_t fed = 0, bytes = 0;
	unsigned int round;

	if (env->feed == NULL)
		return;
	for (round = 0; round < 500; round++) {
		uint32_t len = 60 + (round * 37) % 1455;
		uint16_t n;

		plain_pair_post(pair, PLAIN_BURST);
		plain_pair_poll(pair);
		n = env->feed(env, 1 + round % 20, len);
		fed += n;
		bytes += n * len;
		poll_until(env, &pair->received, fed);
	}
	assert_true(fed > 1000);
	assert_true(pair->queue->stats.rx_packets >= fed);
	assert_true(pair->queue->stats.rx_bytes >= bytes);
}

static void
nothing_comes_where_nothing_is_posted(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	uint16_t fed;

	if (env->feed == NULL)
		return;
	fed = env->feed(env, 20, 100);
	poll_a_while(env);
	assert_int_equal(pair->received, 0);
	plain_pair_post(pair, PLAIN_IDS);
	poll_until(env, &pair->received, fed);
}

static void
short_memory_is_waited_out(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	uint16_t fed;

	if (env->feed == NULL)
		return;
	plain_pair_post(pair, PLAIN_IDS);
	pair->memory_is_short = true;
	fed = env->feed(env, 20, 100);
	poll_a_while(env);
	assert_int_equal(pair->received, 0);
	pair->memory_is_short = false;
	fed += env->feed(env, 3, 100);
	poll_until(env, &pair->received, fed);
}

static void
a_frame_too_long_harms_no_other(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	uint16_t fed;

	if (env->feed == NULL)
		return;
	pair->rx_size = 700;
	plain_pair_post(pair, PLAIN_IDS);
	poll_a_while(env);
	fed = env->feed(env, 2, 700);
	env->feed(env, 3, 701);
	env->feed(env, 1, 1514);
	fed += env->feed(env, 2, 60);
	poll_until(env, &pair->received, fed);
	assert_int_equal(pair->refused + pair->queue->stats.rx_dropped, 4);
}

static void
the_longest_frame_is_taken(void **state)
{
	static const struct weir_offload gso = {
		.flags = WEIR_OFFLOAD_NEEDS_CSUM,
		.gso_type = WEIR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];

	plain_pair_post(pair, PLAIN_IDS);
	poll_a_while(env);
	assert_int_equal(plain_pair_send(pair, 1, WEIR_FRAME_LEN_MAX, 40, &gso), 1);
	poll_until(env, &pair->done, 1);
	assert_int_equal(pair->queue->stats.tx_packets + pair->queue->stats.tx_dropped, 1);
}

/** A kernel thread may have something to say for a moment after the last frame. */
static void
becomes_idle(struct env *env)
{
	struct plain_pair *pair = &env->guest->pairs[0];
	uint64_t end = now_ms() + PATIENCE_MS;

	while (pair->queue->ops->poll_ready(pair->queue, &pair->access, false)) {
		assert_true(now_ms() < end);
		plain_pair_poll(pair);
	}
}

static void
readiness_is_told(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	const struct weir_queue_ops *ops = pair->queue->ops;
	uint64_t end = now_ms() + PATIENCE_MS;
	uint16_t fed;

	plain_pair_post(pair, PLAIN_IDS);
	poll_a_while(env);
	becomes_idle(env);
	if (env->feed == NULL)
		return;
	fed = env->feed(env, 1, 60);
	while (!ops->poll_ready(pair->queue, &pair->access, false) && now_ms() < end)
		;
	assert_true(ops->poll_ready(pair->queue, &pair->access, true));
	poll_until(env, &pair->received, fed);
	poll_a_while(env);
	becomes_idle(env);
}

/** Queue pairs that a guest of this endpoint can have. */
static uint16_t
n_queues_max(const struct env *env)
{
	if (!weir_endpoint_ops(env->endpoint)->multiqueue)
		return 1;
	return env->n_queues_max != 0 ? env->n_queues_max : WEIR_QUEUES_MAX;
}

static void
every_pair_sends(void **state)
{
	struct env *env = *state;
	uint16_t i, round, n = n_queues_max(env);

	guest_detach(env);
	guest_attach(env, n);
	for (i = 0; i < n; i++)
		env->guest->queues[i]->ops->set_active(env->guest->queues[i], true);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < n; i++) {
			struct plain_pair *pair = &env->guest->pairs[i];

			plain_pair_post(pair, PLAIN_IDS);
			plain_pair_send(pair, 8, 60 + i, 1, NULL);
			plain_pair_poll(pair);
		}
		if (env->peer != NULL && !env->there.started)
			plain_pair_work(&env->peer->pairs[0]);
	}
	for (i = 0; i < n; i++) {
		struct plain_pair *pair = &env->guest->pairs[i];

		assert_true(pair->taken > 0);
		poll_until(env, &pair->done, pair->taken);
	}
	guest_detach(env);
	guest_attach(env, 1);
}

static void
a_pair_put_aside_gets_nothing(void **state)
{
	struct env *env = *state;
	uint64_t fed = 0;
	uint16_t i;

	if (n_queues_max(env) < 4 || env->feed == NULL)
		return;
	guest_detach(env);
	guest_attach(env, 4);
	for (i = 0; i < 4; i++)
		env->guest->queues[i]->ops->set_active(env->guest->queues[i], true);
	for (i = 1; i < 4; i++)
		env->guest->queues[i]->ops->set_active(env->guest->queues[i], false);
	for (i = 0; i < 4; i++)
		plain_pair_post(&env->guest->pairs[i], PLAIN_IDS);
	poll_a_while(env);
	for (i = 0; i < 10; i++)
		fed += env->feed(env, 10, 60);
	assert_int_equal(fed, 100);
	poll_until(env, &env->guest->pairs[0].received, fed);
	for (i = 1; i < 4; i++)
		assert_int_equal(env->guest->pairs[i].received, 0);
	guest_detach(env);
	guest_attach(env, 1);
}

static unsigned int n_link_ups, n_link_downs;

static void
note_link(struct weir_endpoint_client *client, enum weir_endpoint_action action, bool link_up)
{
	assert_int_equal(action, WEIR_ENDPOINT_LINK);
	*(link_up ? &n_link_ups : &n_link_downs) += 1;
}

static void
link_to_another_guest_is_told(void **state)
{
	struct env *env = *state;
	const struct weir_endpoint_ops *ops = weir_endpoint_ops(env->endpoint);
	unsigned int round;

	/* Whose peer another lcore polls stays with it. */
	if (env->peer == NULL || env->there.started)
		return;
	n_link_ups = n_link_downs = 0;
	env->guest->client.action = note_link;
	for (round = 1; round <= 3; round++) {
		plain_guest_detach(env->peer);
		assert_int_equal(n_link_downs, round);
		assert_false(ops->link_up(env->endpoint));
		assert_int_equal(plain_guest_attach(env->peer, env->endpoint), 0);
		assert_int_equal(n_link_ups, round);
		assert_true(ops->link_up(env->endpoint));
	}
	env->guest->client.action = NULL;
}

static void *
put_aside_and_take_up(void *arg)
{
	struct env *env = arg;
	unsigned int round;
	uint16_t i;

	/* As the vhost thread does, which waits for no lcore. */
	for (round = 0; round < 300; round++) {
		i = 1 + round % 3;
		env->guest->queues[i]->ops->set_active(env->guest->queues[i], round / 3 % 2 == 1);
		usleep(100);
	}
	for (i = 1; i < 4; i++)
		env->guest->queues[i]->ops->set_active(env->guest->queues[i], true);
	return NULL;
}

static void
pairs_come_into_use_and_go_under_traffic(void **state)
{
	struct env *env = *state;
	pthread_t thread;
	unsigned int round;
	uint16_t i;

	if (n_queues_max(env) < 4)
		return;
	guest_detach(env);
	guest_attach(env, 4);
	for (i = 0; i < 4; i++)
		env->guest->queues[i]->ops->set_active(env->guest->queues[i], true);
	assert_int_equal(pthread_create(&thread, NULL, put_aside_and_take_up, env), 0);
	for (round = 0; round < 1000; round++) {
		for (i = 0; i < 4; i++) {
			struct plain_pair *pair = &env->guest->pairs[i];

			plain_pair_post(pair, PLAIN_IDS);
			plain_pair_send(pair, 8, 60 + i, 1, NULL);
			plain_pair_poll(pair);
		}
		if (env->peer != NULL && !env->there.started)
			plain_pair_work(&env->peer->pairs[0]);
	}
	pthread_join(thread, NULL);
	for (i = 0; i < 4; i++) {
		struct plain_pair *pair = &env->guest->pairs[i];

		assert_true(pair->taken > 0);
		poll_until(env, &pair->done, pair->taken);
		assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), 0);
	}
	guest_detach(env);
	guest_attach(env, 1);
}

static void
a_guest_comes_and_goes_with_ids_in_flight(void **state)
{
	struct env *env = *state;
	unsigned int round;
	uint16_t fed;

	for (round = 0; round < 50; round++) {
		struct plain_pair *pair = &env->guest->pairs[0];

		plain_pair_post(pair, round);
		plain_pair_send(pair, PLAIN_BURST, 60, 1, NULL);
		if (env->feed != NULL)
			env->feed(env, 5, 60);
		guest_detach(env);
		guest_attach(env, 1 + round % n_queues_max(env));
	}
	guest_detach(env);
	guest_attach(env, 1);
	if (env->feed == NULL)
		return;
	plain_pair_post(&env->guest->pairs[0], PLAIN_IDS);
	poll_a_while(env);
	fed = env->feed(env, 5, 60);
	poll_until(env, &env->guest->pairs[0].received, env->guest->pairs[0].received + fed);
}

static void
counters_outlive_the_guest(void **state)
{
	struct env *env = *state;
	struct weir_queue_stats before, after;

	plain_pair_post(&env->guest->pairs[0], PLAIN_IDS);
	plain_pair_send(&env->guest->pairs[0], PLAIN_BURST, 60, 1, NULL);
	poll_until(env, &env->guest->pairs[0].done, env->guest->pairs[0].taken);
	weir_endpoint_stats(env->endpoint, &before);
	assert_true(before.tx_packets + before.tx_dropped >= env->guest->pairs[0].taken);
	guest_detach(env);
	weir_endpoint_stats(env->endpoint, &after);
	assert_true(after.tx_packets + after.tx_dropped >= before.tx_packets + before.tx_dropped);
	guest_attach(env, 1);
}

static void
cleared_counters_count_from_zero(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	struct weir_queue_stats stats;
	uint64_t before, taken;

	plain_pair_post(pair, PLAIN_IDS);
	plain_pair_send(pair, PLAIN_BURST, 60, 1, NULL);
	poll_until(env, &pair->done, pair->taken);
	weir_endpoint_clear_stats(env->endpoint);
	weir_endpoint_stats(env->endpoint, &stats);
	assert_int_equal(stats.tx_packets + stats.tx_dropped + stats.tx_bytes, 0);
	before = pair->taken;
	plain_pair_post(pair, PLAIN_IDS);
	plain_pair_send(pair, 5, 60, 1, NULL);
	poll_until(env, &pair->done, pair->taken);
	weir_endpoint_stats(env->endpoint, &stats);
	taken = pair->taken - before;
	assert_int_equal(stats.tx_packets + stats.tx_dropped, taken);
	guest_detach(env);
	weir_endpoint_stats(env->endpoint, &stats);
	assert_true(stats.tx_packets + stats.tx_dropped >= taken);
	assert_true(stats.tx_packets + stats.tx_dropped < UINT32_MAX); /* not below zero */
	guest_attach(env, 1);
}

static void
a_queue_moves_between_lcores_and_loses_nothing(void **state)
{
	struct env *env = *state;
	struct plain_pair *pair = &env->guest->pairs[0];
	struct plain_target other;
	unsigned int round;

	plain_target_start(&other, LCORE_MOVED_TO, false);
	for (round = 0; round < 20; round++) {
		pair->sending = true;
		plain_guest_move(env->guest, 0, &other);
		plain_target_poll(env->guest);
		if (env->feed != NULL && !env->feeds_itself)
			env->feed(env, 5, 60);
		usleep(1000);
		plain_target_unpoll(env->guest);
		plain_guest_move(env->guest, 0, &env->here);
		if (env->feed != NULL)
			env->feed(env, 5, 60);
		pair->sending = false;
		plain_pair_poll(pair);
	}
	plain_target_stop(&other);
	assert_true(pair->taken > 0);
	poll_until(env, &pair->done, pair->taken);
	assert_int_equal(plain_pair_n_tx(pair, PLAIN_HELD), 0);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	struct CMUnitTest tests[] = {
		CLAIM(tables_are_complete),
		CLAIM(an_unknown_key_is_named),
		CLAIM(inspection_and_link_answer_at_any_time),
		CLAIM(places_are_as_many_as_promised),
		CLAIM(packets_taken_are_done_once),
		CLAIM(fast_completions_are_what_they_are_called),
		CLAIM(empty_bursts_are_nothing),
		CLAIM(frames_come_whole_and_in_order),
		CLAIM(nothing_comes_where_nothing_is_posted),
		CLAIM(short_memory_is_waited_out),
		CLAIM(a_frame_too_long_harms_no_other),
		CLAIM(the_longest_frame_is_taken),
		CLAIM(readiness_is_told),
		CLAIM(every_pair_sends),
		CLAIM(a_pair_put_aside_gets_nothing),
		CLAIM(link_to_another_guest_is_told),
		CLAIM(pairs_come_into_use_and_go_under_traffic),
		CLAIM(a_guest_comes_and_goes_with_ids_in_flight),
		CLAIM(counters_outlive_the_guest),
		CLAIM(cleared_counters_count_from_zero),
		CLAIM(a_queue_moves_between_lcores_and_loses_nothing),
	};
	struct env *env;
	int failed = 0;
	size_t i;

	harness_eal();
	for (env = envs; env->title != NULL; env++) {
		const char *missing = env->missing != NULL ? env->missing() : NULL;

		if (missing != NULL) {
			printf("%s: skipped: %s\n", env->title, missing);
			continue;
		}
		for (i = 0; i < RTE_DIM(tests); i++)
			tests[i].initial_state = env;
		failed += _cmocka_run_group_tests(env->title, tests, RTE_DIM(tests), NULL, NULL);
	}
	return failed != 0;
}
