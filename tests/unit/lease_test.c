/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_errno.h>

#include "harness.h"
#include "weir_error.h"
#include "weir_frame_host.h"
#include "weir_frame_lease.h"

#define CAPACITY 32
#define N_FRAMES (4 * CAPACITY)
#define FRAME_BYTES 128
#define PATIENCE_MS 10000

/* The lcore is whoever holds this: the test, but while it waits for others. */
static pthread_mutex_t lcore = PTHREAD_MUTEX_INITIALIZER;

static void
lcore_run(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
	pthread_mutex_lock(&lcore);
	fn(fn_arg);
	pthread_mutex_unlock(&lcore);
}

static int
lease_up(void **state)
{
	*state = weir_frame_lease_create(&(struct weir_frame_lease_conf){
		.name = "l",
		.capacity = CAPACITY,
		.frame_bytes = FRAME_BYTES,
		.numa_node = SOCKET_ID_ANY,
		.run = lcore_run,
	});
	pthread_mutex_lock(&lcore);
	return *state != NULL ? 0 : -1;
}

static int
lease_down(void **state)
{
	pthread_mutex_unlock(&lcore);
	weir_frame_lease_free(*state);
	return 0;
}

static void
wait_for_all_frames_home(struct weir_frame_lease *lease)
{
	struct weir_frame_lease_stats stats;
	int ms;

	pthread_mutex_unlock(&lcore);
	for (ms = 0; ms < PATIENCE_MS && weir_frame_lease_is_attached(lease); ms++)
		usleep(1000);
	pthread_mutex_lock(&lcore);
	assert_false(weir_frame_lease_is_attached(lease));
	weir_frame_lease_stats(lease, &stats);
	assert_int_equal(stats.n_frames, N_FRAMES);
	assert_int_equal(stats.n_home, N_FRAMES);
}

/* On a thread that is not the lcore. */
static struct weir_frame_host *
attach_to(const char *name)
{
	struct weir_frame_host *host;

	pthread_mutex_unlock(&lcore);
	host = weir_frame_host_attach(name, 0);
	pthread_mutex_lock(&lcore);
	return host;
}

static struct weir_frame_host *
attach(void)
{
	struct weir_frame_host *host = attach_to("l");

	if (host == NULL)
		print_message("%s\n", weir_error_text());
	assert_non_null(host);
	return host;
}

/* Send n frames of the owner, each with its number in it. */
static uint16_t
owner_send(struct weir_frame_lease *lease, uint16_t n, uint64_t number)
{
	struct rte_mbuf *frames[N_FRAMES];
	uint16_t i;

	n = weir_frame_lease_take(lease, frames, n);
	for (i = 0; i < n; i++) {
		rte_pktmbuf_reset(frames[i]);
		*(uint64_t *)rte_pktmbuf_append(frames[i], sizeof(number)) = number + i;
	}
	weir_frame_lease_send(lease, frames, n);
	return n;
}

static void
owner_consume_all(struct weir_frame_lease *lease)
{
	struct rte_mbuf **frames;
	uint16_t n;

	while ((n = weir_frame_lease_receive(lease, &frames)) > 0)
		weir_frame_lease_consume(lease, n);
}

static void
frames_go_there_and_back(void **state)
{
	struct weir_frame_lease *lease = *state;
	struct weir_frame_host *host = attach();
	struct rte_mbuf *frames[N_FRAMES], **back;
	uint64_t round, i;

	assert_int_equal(weir_frame_host_frame_bytes(host), FRAME_BYTES);
	for (round = 0; round < 1000; round++) {
		uint16_t n = 1 + round % CAPACITY;

		assert_int_equal(owner_send(lease, n, round), n);
		assert_int_equal(weir_frame_host_receive(host, frames, N_FRAMES), n);
		for (i = 0; i < n; i++)
			assert_int_equal(*rte_pktmbuf_mtod(frames[i], uint64_t *), round + i);
		if (round % 2 == 0) {
			weir_frame_host_put(host, frames, n);
			continue;
		}
		assert_int_equal(weir_frame_host_send(host, frames, n), n);
		assert_int_equal(weir_frame_lease_receive(lease, &back), n);
		assert_ptr_equal(back[0], frames[0]);
		weir_frame_lease_consume(lease, 1);
		assert_int_equal(weir_frame_lease_receive(lease, &back), n == 1 ? 0 : n - 1);
		owner_consume_all(lease);
	}
	weir_frame_host_detach(host);
	wait_for_all_frames_home(lease);
}

static void
empty_frames_are_supplied_as_they_are_used(void **state)
{
	struct weir_frame_lease *lease = *state;
	struct weir_frame_host *host = attach();
	struct rte_mbuf *frames[CAPACITY];
	unsigned int round;
	uint16_t n;

	for (round = 0; round < 100; round++) {
		n = weir_frame_host_get(host, frames, CAPACITY / 2 + 1);
		assert_int_equal(n, CAPACITY / 2 + 1);
		assert_true(rte_pktmbuf_tailroom(frames[0]) >= FRAME_BYTES);
		assert_int_equal(rte_pktmbuf_pkt_len(frames[0]), 0);
		assert_int_equal(weir_frame_host_send(host, frames, n), n);
		owner_consume_all(lease);
	}
	weir_frame_host_detach(host);
	wait_for_all_frames_home(lease);
}

static void
far_end_that_keeps_all_frames_is_sent_no_more(void **state)
{
	struct weir_frame_lease *lease = *state;
	struct weir_frame_host *host = attach();
	struct rte_mbuf *frames[N_FRAMES];
	uint16_t held = 0, n;

	do {
		n = owner_send(lease, CAPACITY, 0);
		held += weir_frame_host_receive(host, &frames[held], N_FRAMES - held);
	} while (n > 0);
	assert_int_equal(held, N_FRAMES - CAPACITY); /* the others are lent empty */
	assert_false(weir_frame_lease_is_ready(lease, false, true, true));
	weir_frame_host_put(host, frames, held);
	assert_true(weir_frame_lease_is_ready(lease, false, true, true));
	assert_int_equal(owner_send(lease, CAPACITY, 0), CAPACITY);
	weir_frame_host_detach(host);
	wait_for_all_frames_home(lease);
}

static void
only_one_attaches_at_a_time(void **state)
{
	struct weir_frame_lease *lease = *state;
	struct weir_frame_host *host = attach();

	assert_null(attach_to("l"));
	assert_int_equal(rte_errno, EBUSY);
	assert_null(attach_to("m"));
	assert_int_equal(rte_errno, ENOENT);
	assert_string_equal(weir_error_text(), "no endpoint of type frames is named 'm'");
	weir_frame_host_detach(host);
	/* The next one need not wait for the clean-up itself. */
	weir_frame_host_detach(attach());
	wait_for_all_frames_home(lease);
}

static void
wait_ends_for_frames_relays_and_shutdown(void **state)
{
	struct weir_frame_lease *lease = *state;
	struct weir_frame_host *host = attach();
	struct rte_mbuf *frames[CAPACITY];

	assert_int_equal(weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, 1000), 0);
	weir_frame_host_relay(host);
	assert_int_equal(weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, -1), 1);
	assert_int_equal(weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, 0), 0);
	owner_send(lease, 1, 0);
	assert_int_equal(weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, -1), 1);
	assert_int_equal(weir_frame_host_receive(host, frames, CAPACITY), 1);
	assert_int_equal(weir_frame_host_send(host, frames, 1), 1);
	assert_true(weir_frame_lease_is_ready(lease, true, false, true));
	assert_int_equal(weir_frame_host_get(host, frames, CAPACITY), CAPACITY);
	assert_int_equal(weir_frame_host_send(host, frames, CAPACITY), CAPACITY - 1);
	assert_int_equal(weir_frame_host_wait(host, WEIR_FRAME_HOST_ROOM, 1000), 0);
	owner_consume_all(lease);
	assert_int_equal(weir_frame_host_wait(host, WEIR_FRAME_HOST_ROOM, -1), 1);
	weir_frame_queues_begin_shutdown(
		(struct weir_frame_queues *)(uintptr_t)weir_frame_lease_queues(lease));
	assert_int_equal(weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, -1), -ESHUTDOWN);
	weir_frame_host_detach(host);
}

/* A far end that comes, works for a while and leaves in the middle of it. */
static void *
far_main(void *arg)
{
	const bool *ends = arg;
	struct rte_mbuf *frames[CAPACITY];
	unsigned int seed = 3, turns;
	struct weir_frame_host *host;
	uint16_t n;

	while (!__atomic_load_n(ends, __ATOMIC_RELAXED)) {
		host = weir_frame_host_attach("l", 0);
		if (host == NULL)
			return (void *)1;
		for (turns = rand_r(&seed) % 100; turns > 0; turns--) {
			n = weir_frame_host_receive(host, frames, 1 + turns % CAPACITY);
			if (turns % 3 == 0)
				n -= weir_frame_host_send(host, frames, n);
			if (turns % 3 == 1)
				weir_frame_host_put(host, frames, n);
			/* Otherwise it forgets them. */
			if (turns % 5 == 0) {
				n = weir_frame_host_get(host, frames, 3);
				weir_frame_host_send(host, frames, n);
			}
			if (turns % 7 == 0)
				weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, 200);
		}
		weir_frame_host_detach(host);
	}
	return NULL;
}

static void
far_ends_come_and_go_at_any_moment(void **state)
{
	struct weir_frame_lease *lease = *state;
	struct weir_frame_lease_stats stats;
	bool ends = false;
	pthread_t far;
	void *failed;
	int ms = 0;

	assert_int_equal(pthread_create(&far, NULL, far_main, &ends), 0);
	pthread_mutex_unlock(&lcore);
	do {
		pthread_mutex_lock(&lcore);
		if (weir_frame_lease_is_attached(lease))
			owner_send(lease, 7, 0);
		owner_consume_all(lease);
		weir_frame_lease_is_ready(lease, true, true, true);
		pthread_mutex_unlock(&lcore);
		usleep(50);
		weir_frame_lease_stats(lease, &stats);
	} while (stats.n_attaches < 100 && ++ms < 20 * PATIENCE_MS);
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	pthread_join(far, &failed);
	assert_null(failed);
	pthread_mutex_lock(&lcore);
	wait_for_all_frames_home(lease);
	weir_frame_lease_stats(lease, &stats);
	print_message("%lu far ends, %lu frames reclaimed\n", stats.n_attaches, stats.n_reclaimed);
	assert_true(stats.n_attaches >= 100);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, lease_up, lease_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(frames_go_there_and_back),
		CLAIM(empty_frames_are_supplied_as_they_are_used),
		CLAIM(far_end_that_keeps_all_frames_is_sent_no_more),
		CLAIM(only_one_attaches_at_a_time),
		CLAIM(wait_ends_for_frames_relays_and_shutdown),
		CLAIM(far_ends_come_and_go_at_any_moment),
	};

	harness_eal();
	return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
