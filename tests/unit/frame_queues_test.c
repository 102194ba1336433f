/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_pause.h>

#include "harness.h"
#include "ledger.h"
#include "weir_error.h"
#include "weir_frame_queues.h"

#define POOL_SIZE 4096
#define BURST 32
/* Longer than anything here takes: reached only by a wake that is lost. */
#define LOST_US (10 * 1000000)

static struct rte_mempool *pool;

static int
queues_up(void **state, uint32_t capacity, unsigned int flags)
{
	*state = weir_frame_queues_create("q", capacity, flags, SOCKET_ID_ANY);
	assert_non_null(*state);
	return 0;
}

static int
queues_up_33(void **state)
{
	return queues_up(state, 33, 0);
}

/* What every test ends with: no frame is missing, none was freed twice. */
static int
queues_down(void **state)
{
	weir_frame_queues_unref(*state);
	assert_int_equal(ledger_out(pool), 0);
	assert_int_equal(ledger_doubles(pool), 0);
	return 0;
}

static void
get_frames(struct rte_mbuf **frames, unsigned int n)
{
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, frames, n), 0);
}

static bool
is_readable(const struct weir_wake *wake)
{
	struct pollfd fd = {.fd = weir_wake_fd(wake), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void
capacity_is_as_asked(void **state)
{
	static const uint32_t capacities[] = {1, 2, 31, 32, 33, 1000, 1024};
	static const unsigned int kinds[] = {0, WEIR_FRAME_QUEUES_MULTI_HOST};
	struct rte_mbuf *frames[1100];
	struct weir_frame_queues *fq;
	enum weir_frame_way way;
	size_t j, i;

	for (j = 0; j < RTE_DIM(capacities) * RTE_DIM(kinds); j++) {
		i = j % RTE_DIM(capacities);
		fq = weir_frame_queues_create("c", capacities[i], kinds[j / RTE_DIM(capacities)],
					      SOCKET_ID_ANY);
		assert_non_null(fq);
		assert_int_equal(weir_frame_queues_capacity(fq), capacities[i]);
		for (way = WEIR_GUEST_TO_HOST; way <= WEIR_HOST_TO_GUEST; way++) {
			uint16_t n;

			get_frames(frames, RTE_DIM(frames));
			assert_int_equal(weir_frame_queues_room(fq, way), capacities[i]);
			n = weir_frame_queues_push(fq, way, frames, RTE_DIM(frames));
			assert_int_equal(n, capacities[i]);
			assert_int_equal(weir_frame_queues_count(fq, way), capacities[i]);
			assert_int_equal(weir_frame_queues_room(fq, way), 0);
			rte_pktmbuf_free_bulk(frames + n, RTE_DIM(frames) - n);
		}
		weir_frame_queues_unref(fq);
	}
}

static void
push_of_more_than_there_is_room_takes_a_prefix(void **state)
{
	struct weir_frame_queues *fq = *state;
	struct rte_mbuf *frames[40], *popped[40];

	get_frames(frames, 40);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, frames, 30), 30);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, frames + 30, 10), 3);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, frames + 33, 7), 0);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, 40), 33);
	assert_memory_equal(popped, frames, 33 * sizeof(frames[0]));
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, 40), 0);
	rte_pktmbuf_free_bulk(frames, 40);
}

/* Round and round, over the end of the slots, and of the indices. */
static void
bursts_of_any_size_keep_their_order(void **state)
{
	static const uint32_t capacities[] = {1, 3, 8, 33, 64};
	struct rte_mbuf *frames[64], *popped[64];
	uint32_t n_pushed, n_popped, laps;
	unsigned int seed = 3;
	uint16_t n, i;
	size_t c;

	get_frames(frames, 64);
	for (c = 0; c < RTE_DIM(capacities); c++) {
		struct weir_frame_queues *fq =
			weir_frame_queues_create("o", capacities[c], 0, SOCKET_ID_ANY);
		struct weir_frame_ring *ring = fq->ring[WEIR_GUEST_TO_HOST];

		/* As after so many frames. */
		ring->pushed = ring->popped_seen = ring->next = ring->popped = -1000U;
		n_pushed = n_popped = 0;
		for (laps = 0; laps < 2000; laps++) {
			for (i = 0; i < 64; i++)
				popped[i] = frames[(n_pushed + i) % 64];
			n = rand_r(&seed) % 65;
			i = weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, popped, n);
			assert_int_equal(i, RTE_MIN(n, capacities[c] - (n_pushed - n_popped)));
			n_pushed += i;
			assert_int_equal(weir_frame_queues_count(fq, WEIR_GUEST_TO_HOST),
					 n_pushed - n_popped);
			n = rand_r(&seed) % 65;
			i = weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, n);
			assert_int_equal(i, RTE_MIN(n, n_pushed - n_popped));
			while (i-- > 0)
				assert_ptr_equal(popped[i], frames[(n_popped + i) % 64]);
			n_popped += RTE_MIN(n, n_pushed - n_popped);
		}
		assert_true(n_popped > 1000);
		while (weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, 64) > 0)
			;
		weir_frame_queues_unref(fq);
	}
	rte_pktmbuf_free_bulk(frames, 64);
}

static void
reset_forgets_what_was_inside(void **state)
{
	struct weir_frame_queues *fq = *state;
	struct rte_mbuf *frames[33], *popped[33];

	get_frames(frames, 33);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, frames, 33), 33);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, 7), 7);
	weir_frame_queues_reset(fq);
	assert_int_equal(weir_frame_queues_count(fq, WEIR_GUEST_TO_HOST), 0);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, 33), 0);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, frames, 33), 33);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, 33), 33);
	assert_memory_equal(popped, frames, sizeof(frames));
	rte_pktmbuf_free_bulk(frames, 33);
}

static void
ways_do_not_mix(void **state)
{
	struct weir_frame_queues *fq = *state;
	struct rte_mbuf *frames[2], *popped[2];

	get_frames(frames, 2);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, &frames[0], 1), 1);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_HOST_TO_GUEST, &frames[1], 1), 1);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_HOST_TO_GUEST, popped, 2), 1);
	assert_ptr_equal(popped[0], frames[1]);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, popped, 2), 1);
	assert_ptr_equal(popped[0], frames[0]);
	rte_pktmbuf_free_bulk(frames, 2);
}

static void
frames_left_inside_are_freed_with_the_last_reference(void **state)
{
	struct weir_frame_queues *fq = weir_frame_queues_create("left", 64, 0, SOCKET_ID_ANY);
	struct rte_mbuf *frames[128];

	get_frames(frames, 128);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, frames, 64), 64);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_HOST_TO_GUEST, frames + 64, 64), 64);
	assert_ptr_equal(weir_frame_queues_ref(fq), fq);
	weir_frame_queues_unref(fq);
	assert_int_equal(ledger_out(pool), 128);
	weir_frame_queues_unref(fq);
	assert_int_equal(ledger_out(pool), 0);
	weir_frame_queues_unref(NULL);
}

static void
name_finds_while_it_lives(void **state)
{
	struct weir_frame_queues *fq = *state;

	assert_ptr_equal(weir_frame_queues_find("q"), fq);
	assert_null(weir_frame_queues_find("p"));
	assert_int_equal(rte_errno, ENOENT);
	weir_frame_queues_unref(fq);
	assert_null(weir_frame_queues_create("q", 8, 0, SOCKET_ID_ANY));
	assert_int_equal(rte_errno, EEXIST);
	weir_frame_queues_unref(fq);
	assert_null(weir_frame_queues_find("q"));
	*state = weir_frame_queues_create("q", 8, 0, SOCKET_ID_ANY);
	assert_non_null(*state);
}

static void
wrong_words_are_refused(void **state)
{
	assert_null(weir_frame_queues_create("x", 0, 0, SOCKET_ID_ANY));
	assert_int_equal(rte_errno, EINVAL);
	assert_string_equal(weir_error_text(),
			    "frame queues 'x': capacity 0: 1 to 1048576 are allowed");
	assert_null(weir_frame_queues_create("x", WEIR_FRAME_QUEUES_CAPACITY_MAX + 1, 0, 0));
	assert_int_equal(rte_errno, EINVAL);
	assert_null(weir_frame_queues_create("a b", 8, 0, SOCKET_ID_ANY));
	assert_int_equal(rte_errno, EINVAL);
	assert_null(weir_frame_queues_create(NULL, 8, 0, SOCKET_ID_ANY));
	assert_int_equal(rte_errno, EINVAL);
}

static void
push_wakes_who_sleeps_for_frames_and_no_other(void **state)
{
	struct weir_frame_queues *fq = *state;
	struct rte_mbuf *frame;

	get_frames(&frame, 1);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, &frame, 1), 1);
	weir_wake_arm(&fq->guest_wake);
	weir_wake_arm(&fq->host_wake);
	assert_false(is_readable(&fq->guest_wake));
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_GUEST_TO_HOST, &frame, 1), 1);
	assert_false(is_readable(&fq->host_wake));
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, &frame, 1), 1);
	assert_true(is_readable(&fq->guest_wake));
	assert_false(is_readable(&fq->host_wake));
	assert_false(is_readable(&fq->relay_wake));
	assert_true(weir_wake_disarm(&fq->guest_wake));
	assert_false(weir_wake_disarm(&fq->host_wake));
}

static void
pop_wakes_who_wants_room(void **state)
{
	struct weir_frame_queues *fq = *state;
	struct rte_mbuf *frames[33], *popped[33];

	get_frames(frames, 33);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_HOST_TO_GUEST, frames, 33), 33);
	weir_frame_queues_want_room(fq, WEIR_HOST_TO_GUEST);
	weir_wake_arm(&fq->guest_wake);
	assert_int_equal(weir_frame_queues_room(fq, WEIR_HOST_TO_GUEST), 0);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_HOST_TO_GUEST, popped, 1), 1);
	assert_int_equal(weir_wake_wait(&fq->guest_wake, LOST_US), 1);
	weir_frame_queues_unwant_room(fq, WEIR_HOST_TO_GUEST);
	assert_int_equal(weir_frame_queues_room(fq, WEIR_HOST_TO_GUEST), 1);

	weir_wake_arm(&fq->guest_wake);
	assert_int_equal(weir_frame_queues_pop(fq, WEIR_HOST_TO_GUEST, popped + 1, 32), 32);
	assert_int_equal(weir_wake_wait(&fq->guest_wake, 0), 0);
	rte_pktmbuf_free_bulk(popped, 33);
}

static void
shutdown_sticks_and_ends_every_sleep(void **state)
{
	struct weir_frame_queues *fq = *state;
	const struct weir_wake *wakes[] = {&fq->guest_wake, &fq->host_wake, &fq->relay_wake};
	struct rte_mbuf *frame;
	size_t i;

	assert_false(weir_frame_queues_is_shutting_down(fq));
	weir_wake_arm(wakes[0]);
	weir_frame_queues_begin_shutdown(fq);
	weir_frame_queues_begin_shutdown(fq);
	assert_true(weir_frame_queues_is_shutting_down(fq));
	assert_int_equal(weir_wake_wait(wakes[0], LOST_US), 1);
	for (i = 0; i < RTE_DIM(wakes); i++) {
		weir_wake_arm(wakes[i]);
		assert_int_equal(weir_wake_wait(wakes[i], LOST_US), 1);
	}
	get_frames(&frame, 1);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, &frame, 1), 1);
}

static void
other_hold_shares_frames_wakes_and_shutdown(void **state)
{
	struct weir_frame_queues *fq =
		weir_frame_queues_create("s", 8, WEIR_FRAME_QUEUES_SHARED, SOCKET_ID_ANY);
	struct weir_frame_queues_export export;
	struct weir_frame_queues *other;
	struct rte_mbuf *frame, *popped;
	size_t i;

	weir_frame_queues_export(fq, &export);
	for (i = 0; i < RTE_DIM(export.fds); i++)
		export.fds[i] = dup(export.fds[i]);
	other = weir_frame_queues_import(&export);
	assert_non_null(other);
	get_frames(&frame, 1);
	weir_wake_arm(&other->guest_wake);
	assert_int_equal(weir_frame_queues_push(fq, WEIR_GUEST_TO_HOST, &frame, 1), 1);
	assert_int_equal(weir_wake_wait(&other->guest_wake, LOST_US), 1);
	assert_int_equal(weir_frame_queues_pop(other, WEIR_GUEST_TO_HOST, &popped, 1), 1);
	assert_ptr_equal(popped, frame);
	weir_frame_queues_begin_shutdown(fq);
	assert_true(weir_frame_queues_is_shutting_down(other));
	weir_frame_queues_unref(other);
	weir_frame_queues_reset(fq);
	assert_false(weir_frame_queues_is_shutting_down(fq));
	rte_pktmbuf_free(frame);
	weir_frame_queues_unref(fq);
}

/* Two sides that exchange frames, each asleep when it has nothing to do. */
struct exchange {
	struct weir_frame_queues *fq;
	uint64_t n;	 /* frames the guest sends; all come back */
	bool verify;	 /* their order too: one thread a side */
	bool lost;	 /* a wake */
	bool mixed;	 /* their order */
	uint64_t n_back; /* all threads of the guest's side */
	uint64_t n_sleeps;
	unsigned int seed;
};

static bool
exchange_is_over(struct exchange *ex)
{
	return weir_frame_queues_is_shutting_down(ex->fq) ||
	       __atomic_load_n(&ex->n_back, __ATOMIC_RELAXED) >= ex->n;
}

/* Sleep for frames of `in`, or, with frames in hand, for room in `out`. */
static void
exchange_sleep(struct exchange *ex, enum weir_frame_way in, bool for_frames, bool for_room)
{
	const struct weir_wake *wake = weir_frame_queues_wake(ex->fq, in);
	enum weir_frame_way out = weir_frame_way_back(in);

	if (for_room)
		weir_frame_queues_want_room(ex->fq, out);
	weir_wake_arm(wake);
	if ((for_frames && weir_frame_queues_count(ex->fq, in) > 0) ||
	    (for_room && weir_frame_queues_room(ex->fq, out) > 0) || exchange_is_over(ex)) {
		weir_wake_disarm(wake);
	} else {
		__atomic_fetch_add(&ex->n_sleeps, 1, __ATOMIC_RELAXED);
		if (weir_wake_wait(wake, LOST_US) == 0)
			__atomic_store_n(&ex->lost, true, __ATOMIC_RELAXED);
	}
	if (for_room)
		weir_frame_queues_unwant_room(ex->fq, out);
}

static void
exchange_pause(unsigned int *seed)
{
	unsigned int spins = rand_r(seed) % 256;

	while (spins-- > 0)
		rte_pause();
}

static void *
exchange_host(void *arg)
{
	struct exchange *ex = arg;
	unsigned int seed = __atomic_add_fetch(&ex->seed, 1, __ATOMIC_RELAXED);
	struct rte_mbuf *frames[BURST];
	uint16_t n = 0, sent;

	while (!exchange_is_over(ex) && !__atomic_load_n(&ex->lost, __ATOMIC_RELAXED)) {
		if (n == 0)
			n = weir_frame_queues_pop(ex->fq, WEIR_GUEST_TO_HOST, frames,
						  1 + rand_r(&seed) % BURST);
		sent = weir_frame_queues_push(ex->fq, WEIR_HOST_TO_GUEST, frames, n);
		n -= sent;
		memmove(frames, frames + sent, n * sizeof(frames[0]));
		exchange_pause(&seed);
		if (sent == 0)
			exchange_sleep(ex, WEIR_GUEST_TO_HOST, n == 0, n > 0);
	}
	rte_pktmbuf_free_bulk(frames, n);
	weir_frame_queues_unref(ex->fq);
	return NULL;
}

static void *
exchange_guest(void *arg)
{
	struct exchange *ex = arg;
	unsigned int seed = __atomic_add_fetch(&ex->seed, 1, __ATOMIC_RELAXED);
	struct rte_mbuf *frames[BURST], *back[BURST];
	uint16_t n = 0, sent, n_back, i;
	uint64_t n_sent = 0, next = 0;

	while (!exchange_is_over(ex) && !__atomic_load_n(&ex->lost, __ATOMIC_RELAXED)) {
		if (n == 0) {
			n = 1 + rand_r(&seed) % BURST;
			if (rte_pktmbuf_alloc_bulk(pool, frames, n) != 0)
				n = 0;
			for (i = 0; i < n; i++)
				*rte_pktmbuf_mtod(frames[i], uint64_t *) = n_sent + i;
		}
		sent = weir_frame_queues_push(ex->fq, WEIR_GUEST_TO_HOST, frames, n);
		n -= sent;
		n_sent += sent;
		memmove(frames, frames + sent, n * sizeof(frames[0]));
		n_back = weir_frame_queues_pop(ex->fq, WEIR_HOST_TO_GUEST, back, BURST);
		for (i = 0; i < n_back && ex->verify; i++)
			if (*rte_pktmbuf_mtod(back[i], uint64_t *) != next++)
				__atomic_store_n(&ex->mixed, true, __ATOMIC_RELAXED);
		rte_pktmbuf_free_bulk(back, n_back);
		if (__atomic_add_fetch(&ex->n_back, n_back, __ATOMIC_RELAXED) >= ex->n)
			weir_frame_queues_begin_shutdown(ex->fq);
		exchange_pause(&seed);
		if (sent == 0 && n_back == 0)
			exchange_sleep(ex, WEIR_HOST_TO_GUEST, true, true);
	}
	rte_pktmbuf_free_bulk(frames, n);
	weir_frame_queues_unref(ex->fq);
	return NULL;
}

static void
exchange_run(struct exchange *ex, uint32_t capacity, unsigned int flags, int shutdown_us)
{
	unsigned int n_guests = flags & WEIR_FRAME_QUEUES_MULTI_GUEST ? 2 : 1;
	unsigned int n_hosts = flags & WEIR_FRAME_QUEUES_MULTI_HOST ? 2 : 1;
	pthread_t threads[4];
	unsigned int i;

	ex->fq = weir_frame_queues_create("ex", capacity, flags, SOCKET_ID_ANY);
	assert_non_null(ex->fq);
	for (i = 0; i < n_guests + n_hosts; i++) {
		weir_frame_queues_ref(ex->fq);
		assert_int_equal(pthread_create(&threads[i], NULL,
						i < n_guests ? exchange_guest : exchange_host, ex),
				 0);
	}
	if (shutdown_us >= 0) {
		usleep(shutdown_us);
		weir_frame_queues_begin_shutdown(ex->fq);
	}
	for (i = 0; i < n_guests + n_hosts; i++)
		pthread_join(threads[i], NULL);
	weir_frame_queues_unref(ex->fq);
	assert_false(ex->lost);
	assert_false(ex->mixed);
}

/* WEIR_SLOW=1, as the suite `slow` sets it, runs it in full. */
static uint64_t
hand_overs(void)
{
	return getenv("WEIR_SLOW") != NULL ? 10000000 : 200000;
}

static void
hand_overs_with_random_sleeps_lose_nothing(void **state)
{
	static const uint32_t capacities[] = {1, 48, 512};
	size_t i;

	for (i = 0; i < RTE_DIM(capacities); i++) {
		struct exchange ex = {.n = capacities[i] == 1 ? hand_overs() / 100 : hand_overs(),
				      .verify = true};

		exchange_run(&ex, capacities[i], 0, -1);
		print_message("capacity %u: %lu frames there and back, %lu sleeps\n", capacities[i],
			      ex.n_back, ex.n_sleeps);
		assert_true(ex.n_back >= ex.n);
		assert_int_equal(ledger_out(pool), 0);
	}
}

static void
fenced_hand_overs_lose_nothing(void **state)
{
	struct exchange ex = {.n = hand_overs(), .verify = true};

	exchange_run(&ex, 48, WEIR_FRAME_QUEUES_FENCED, -1);
	assert_true(ex.n_back >= ex.n);
}

static void
several_threads_a_side_lose_nothing(void **state)
{
	struct exchange ex = {.n = hand_overs()};

	exchange_run(&ex, 48, WEIR_FRAME_QUEUES_MULTI_GUEST | WEIR_FRAME_QUEUES_MULTI_HOST, -1);
	assert_true(ex.n_back >= ex.n);
}

static void
shutdown_at_any_moment_hangs_nobody_and_frees_all_once(void **state)
{
	unsigned int seed = 7, round;

	for (round = 0; round < 1000; round++) {
		struct exchange ex = {.n = UINT64_MAX, .verify = true, .seed = round};

		exchange_run(&ex, 1 + rand_r(&seed) % 64, 0, rand_r(&seed) % 400);
		assert_int_equal(ledger_out(pool), 0);
		assert_int_equal(ledger_doubles(pool), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(capacity_is_as_asked, queues_down),
		cmocka_unit_test_setup_teardown(push_of_more_than_there_is_room_takes_a_prefix,
						queues_up_33, queues_down),
		cmocka_unit_test_teardown(bursts_of_any_size_keep_their_order, queues_down),
		cmocka_unit_test_setup_teardown(reset_forgets_what_was_inside, queues_up_33,
						queues_down),
		cmocka_unit_test_setup_teardown(ways_do_not_mix, queues_up_33, queues_down),
		cmocka_unit_test_teardown(frames_left_inside_are_freed_with_the_last_reference,
					  queues_down),
		cmocka_unit_test_setup_teardown(name_finds_while_it_lives, queues_up_33,
						queues_down),
		cmocka_unit_test(wrong_words_are_refused),
		cmocka_unit_test_setup_teardown(push_wakes_who_sleeps_for_frames_and_no_other,
						queues_up_33, queues_down),
		cmocka_unit_test_setup_teardown(pop_wakes_who_wants_room, queues_up_33,
						queues_down),
		cmocka_unit_test_setup_teardown(shutdown_sticks_and_ends_every_sleep, queues_up_33,
						queues_down),
		cmocka_unit_test_teardown(other_hold_shares_frames_wakes_and_shutdown, queues_down),
		cmocka_unit_test_teardown(hand_overs_with_random_sleeps_lose_nothing, queues_down),
		cmocka_unit_test_teardown(fenced_hand_overs_lose_nothing, queues_down),
		cmocka_unit_test_teardown(several_threads_a_side_lose_nothing, queues_down),
		cmocka_unit_test_teardown(shutdown_at_any_moment_hangs_nobody_and_frees_all_once,
					  queues_down),
	};

	int n_failed;

	harness_eal();
	pool = ledger_create("ledger", POOL_SIZE, 64);
	if (pool == NULL)
		return 1;
	n_failed = cmocka_run_group_tests_name("frame_queues", tests, NULL, NULL);
	rte_mempool_free(pool);
	return n_failed;
}
