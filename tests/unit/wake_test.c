/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rte_pause.h>

#include "harness.h"
#include "weir_wake.h"

/* Longer than anything here takes: reached only by a wake that is lost. */
#define LOST_US (10 * 1000000)

/* Between processes. */
struct shared {
	struct weir_wake_word word;
	uint32_t turn; /* 1: the child has published */
};

struct rig {
	struct weir_wake wake;
	struct weir_wake_word *word;
	struct shared *shared;
};

static bool
is_readable(const struct weir_wake *wake)
{
	struct pollfd fd = {.fd = weir_wake_fd(wake), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static int
rig_up(void **state, unsigned int flags)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->shared = mmap(NULL, sizeof(*rig->shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(rig->shared, MAP_FAILED);
	rig->word = &rig->shared->word;
	assert_int_equal(weir_wake_init(&rig->wake, rig->word, flags), 0);
	*state = rig;
	return 0;
}

static int
rig_up_plain(void **state)
{
	return rig_up(state, 0);
}

static int
rig_up_fenced(void **state)
{
	return rig_up(state, WEIR_WAKE_FENCED);
}

static int
rig_up_shared(void **state)
{
	return rig_up(state, WEIR_WAKE_SHARED);
}

static int
rig_down(void **state)
{
	struct rig *rig = *state;

	weir_wake_fini(&rig->wake);
	munmap(rig->shared, sizeof(*rig->shared));
	free(rig);
	return 0;
}

static void
signal_to_nobody_is_no_system_call(void **state)
{
	struct rig *rig = *state;

	weir_wake_signal(&rig->wake);
	assert_int_equal(rig->word->n_writes, 0);
	assert_false(is_readable(&rig->wake));

	weir_wake_arm(&rig->wake);
	assert_false(weir_wake_disarm(&rig->wake));
	weir_wake_signal(&rig->wake);
	assert_int_equal(rig->word->n_writes, 0);
}

static void
signals_to_one_sleep_are_one_system_call(void **state)
{
	struct rig *rig = *state;
	int round, i;

	for (round = 1; round <= 3; round++) {
		weir_wake_arm(&rig->wake);
		for (i = 0; i < 100; i++)
			weir_wake_signal(&rig->wake);
		assert_int_equal(rig->word->n_writes, round);
		assert_true(is_readable(&rig->wake));
		assert_int_equal(weir_wake_wait(&rig->wake, LOST_US), 1);
		assert_false(is_readable(&rig->wake));
	}
}

static void
wait_without_signal_times_out(void **state)
{
	struct rig *rig = *state;

	weir_wake_arm(&rig->wake);
	assert_int_equal(weir_wake_wait(&rig->wake, 1000), 0);
	weir_wake_arm(&rig->wake);
	assert_int_equal(weir_wake_wait(&rig->wake, 0), 0);
	weir_wake_signal(&rig->wake);
	assert_int_equal(rig->word->n_writes, 0);
}

static void
disarm_takes_the_signal_along(void **state)
{
	struct rig *rig = *state;

	weir_wake_arm(&rig->wake);
	weir_wake_signal(&rig->wake);
	assert_true(weir_wake_disarm(&rig->wake));
	assert_false(is_readable(&rig->wake));
	weir_wake_arm(&rig->wake);
	assert_int_equal(weir_wake_wait(&rig->wake, 0), 0);
}

static void
signal_reaches_all_who_sleep(void **state)
{
	struct rig *rig = *state;

	weir_wake_arm(&rig->wake);
	weir_wake_arm(&rig->wake);
	weir_wake_signal(&rig->wake);
	assert_int_equal(weir_wake_wait(&rig->wake, LOST_US), 1);
	assert_true(is_readable(&rig->wake));
	assert_int_equal(weir_wake_wait(&rig->wake, LOST_US), 1);
	assert_false(is_readable(&rig->wake));
	assert_int_equal(rig->word->n_writes, 1);
}

static void
closed_wake_stays_readable(void **state)
{
	struct rig *rig = *state;
	int i;

	weir_wake_close(&rig->wake);
	weir_wake_close(&rig->wake);
	for (i = 0; i < 3; i++) {
		weir_wake_arm(&rig->wake);
		weir_wake_signal(&rig->wake);
		assert_int_equal(weir_wake_wait(&rig->wake, LOST_US), 1);
		assert_true(is_readable(&rig->wake));
	}
}

static void *
sleeper_main(void *arg)
{
	struct rig *rig = arg;

	weir_wake_arm(&rig->wake);
	return (void *)(intptr_t)weir_wake_wait(&rig->wake, LOST_US);
}

static void
close_wakes_every_sleeper(void **state)
{
	struct rig *rig = *state;
	pthread_t threads[8];
	void *woken;
	size_t i;

	for (i = 0; i < RTE_DIM(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sleeper_main, rig), 0);
	usleep(1000); /* most sleep by now; those that do not must not begin to */
	weir_wake_close(&rig->wake);
	for (i = 0; i < RTE_DIM(threads); i++) {
		pthread_join(threads[i], &woken);
		assert_int_equal((intptr_t)woken, 1);
	}
}

static void
on_alarm(int signo)
{
}

static void
signal_handler_ends_the_wait(void **state)
{
	struct rig *rig = *state;
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerspec soon = {.it_value.tv_nsec = 20 * 1000 * 1000};
	timer_t timer;

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
	weir_wake_arm(&rig->wake);
	assert_int_equal(weir_wake_wait(&rig->wake, LOST_US), -EINTR);
	timer_delete(timer);
}

static void
reset_forgets_a_sleeper_that_died(void **state)
{
	struct rig *rig = *state;

	weir_wake_arm(&rig->wake);
	weir_wake_signal(&rig->wake);
	weir_wake_reset(&rig->wake);
	assert_false(is_readable(&rig->wake));
	weir_wake_signal(&rig->wake);
	assert_int_equal(rig->word->n_writes, 1);
	weir_wake_arm(&rig->wake);
	weir_wake_signal(&rig->wake);
	assert_int_equal(weir_wake_wait(&rig->wake, LOST_US), 1);
}

static void
send_fd(int sock, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &msg, 0), 1);
}

static int
receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg) != NULL)
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void
another_process_wakes_and_is_woken(void **state)
{
	struct rig *rig = *state;
	uint32_t *turn = &rig->shared->turn;
	int pair[2], status, round;
	struct weir_wake wake;
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(30);
		weir_wake_fini(&rig->wake);
		if (weir_wake_attach(&wake, rig->word, receive_fd(pair[1])) != 0)
			_exit(1);
		for (round = 0; round < 1000; round++) {
			while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != 0)
				sched_yield();
			if (round % 3 == 0)
				usleep(50);
			__atomic_store_n(turn, 1, __ATOMIC_RELEASE);
			weir_wake_signal(&wake);
		}
		_exit(0);
	}
	send_fd(pair[0], weir_wake_fd(&rig->wake));
	for (round = 0; round < 1000; round++) {
		for (;;) {
			weir_wake_arm(&rig->wake);
			if (__atomic_load_n(turn, __ATOMIC_ACQUIRE) == 1)
				break;
			assert_int_equal(weir_wake_wait(&rig->wake, LOST_US), 1);
		}
		weir_wake_disarm(&rig->wake);
		__atomic_store_n(turn, 0, __ATOMIC_RELEASE);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(pair[0]);
	close(pair[1]);
}

#define HAND_OVERS_MAX 10000000ULL

struct stress {
	struct rig *rig;
	uint64_t n;
	uint64_t published __rte_cache_aligned;
	uint64_t taken __rte_cache_aligned;
	bool lost;
};

static void *
stress_producer(void *arg)
{
	struct stress *stress = arg;
	unsigned int seed = 1, window = 1;
	uint64_t i;

	for (i = 1; i <= stress->n; i++) {
		/* Run ahead of the consumer by a random bit, so that it is caught at every step. */
		while (i - __atomic_load_n(&stress->taken, __ATOMIC_RELAXED) > window) {
			if (__atomic_load_n(&stress->lost, __ATOMIC_RELAXED))
				return NULL;
			rte_pause();
		}
		if (i % 64 == 0) {
			unsigned int dice = rand_r(&seed) % 64;

			window = 1 + dice * dice;
			if (dice == 0)
				usleep(1);
		}
		__atomic_store_n(&stress->published, i, __ATOMIC_RELAXED);
		weir_wake_signal(&stress->rig->wake);
	}
	return NULL;
}

/* WEIR_SLOW=1, as the suite `slow` sets it, runs it in full. */
static void
hand_overs_with_random_sleeps_lose_no_wake(void **state)
{
	struct stress stress = {.rig = *state, .n = HAND_OVERS_MAX / 100};
	unsigned int seed = 2, spins, i;
	uint64_t sleeps = 0, published;
	pthread_t producer;

	if (getenv("WEIR_SLOW") != NULL)
		stress.n = HAND_OVERS_MAX;
	assert_int_equal(pthread_create(&producer, NULL, stress_producer, &stress), 0);
	while (stress.taken < stress.n && !stress.lost) {
		spins = rand_r(&seed) % 512;
		for (i = 0; i < spins; i++) {
			published = __atomic_load_n(&stress.published, __ATOMIC_RELAXED);
			__atomic_store_n(&stress.taken, published, __ATOMIC_RELAXED);
			rte_pause();
		}
		weir_wake_arm(&stress.rig->wake);
		published = __atomic_load_n(&stress.published, __ATOMIC_RELAXED);
		if (published != stress.taken || published == stress.n) {
			weir_wake_disarm(&stress.rig->wake);
		} else {
			sleeps++;
			if (weir_wake_wait(&stress.rig->wake, LOST_US) == 0)
				__atomic_store_n(&stress.lost, true, __ATOMIC_RELAXED);
		}
	}
	pthread_join(producer, NULL);
	print_message("%lu hand-overs, %lu sleeps, %lu writes\n", stress.taken, sleeps,
		      stress.rig->word->n_writes);
	assert_false(stress.lost);
}

int
main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test_setup_teardown(signal_to_nobody_is_no_system_call, rig_up_plain,
						rig_down),
		cmocka_unit_test_setup_teardown(signals_to_one_sleep_are_one_system_call,
						rig_up_plain, rig_down),
		cmocka_unit_test_setup_teardown(signals_to_one_sleep_are_one_system_call,
						rig_up_fenced, rig_down),
		cmocka_unit_test_setup_teardown(wait_without_signal_times_out, rig_up_plain,
						rig_down),
		cmocka_unit_test_setup_teardown(disarm_takes_the_signal_along, rig_up_plain,
						rig_down),
		cmocka_unit_test_setup_teardown(signal_reaches_all_who_sleep, rig_up_plain,
						rig_down),
		cmocka_unit_test_setup_teardown(closed_wake_stays_readable, rig_up_plain, rig_down),
		cmocka_unit_test_setup_teardown(close_wakes_every_sleeper, rig_up_plain, rig_down),
		cmocka_unit_test_setup_teardown(signal_handler_ends_the_wait, rig_up_plain,
						rig_down),
		cmocka_unit_test_setup_teardown(reset_forgets_a_sleeper_that_died, rig_up_plain,
						rig_down),
		cmocka_unit_test_setup_teardown(another_process_wakes_and_is_woken, rig_up_shared,
						rig_down),
		cmocka_unit_test_setup_teardown(hand_overs_with_random_sleeps_lose_no_wake,
						rig_up_plain, rig_down),
		cmocka_unit_test_setup_teardown(hand_overs_with_random_sleeps_lose_no_wake,
						rig_up_fenced, rig_down),
	};

	return cmocka_run_group_tests_name("wake", plain, NULL, NULL);
}
