/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes wrong below a request: no buffer is lost, none is free twice. Faults come
 * from files that have them: pipes, /dev/full, closed descriptors, rings too short.
 * What no file does at will (EINTR, a disk that takes half) is answered in place of
 * the system call of a plain ring: the linker wraps them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <rte_memory.h>

#include "harness.h"
#include "uring_env.h"

/** What the next wrapped calls on this file answer; 0 ends the list. */
static int scripted_file = -1;
static const ssize_t *script;

ssize_t __real_pwrite64(int fd, const void *data, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t offset);

ssize_t
__wrap_pwrite64(int fd, const void *data, size_t n, off_t offset)
{
	ssize_t answer = fd == scripted_file && script != NULL ? *script : 0;

	if (answer == 0)
		return __real_pwrite64(fd, data, n, offset);
	script++;
	if (answer > 0)
		return __real_pwrite64(fd, data, answer, offset);
	errno = -answer;
	return -1;
}

/** A pipe of one page whose ends do not block. */
static void
short_pipe(int ends[2], int flags)
{
	assert_int_equal(pipe2(ends, flags), 0);
	assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
}

static void
pipe_close(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static uint16_t
acquire(struct uring_env *env, int fill)
{
	uint16_t index;
	void *buffer;

	assert_int_equal(weir_uring_acquire(env->pool, &index, &buffer), 0);
	memset(buffer, fill, URING_BYTES);
	return index;
}

static void
a_short_read_says_what_is_left(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_completion completion;
	uint16_t index = acquire(env, 0);
	const char *buffer = weir_uring_get(env->pool, index);
	int ends[2];

	short_pipe(ends, O_NONBLOCK);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	weir_uring_submit_read_fixed(env->pool, ends[0], index, WEIR_URING_STREAM, 10);
	completion = uring_env_wait(env);
	assert_int_equal(completion.result, 3);
	assert_int_equal(completion.left, 7);
	assert_int_equal(write(ends[1], "defghij", 7), 7);
	assert_true(weir_uring_submit_rest(env->pool, index) >= 0);
	completion = uring_env_wait(env);
	assert_int_equal(completion.result, 7);
	assert_int_equal(completion.left, 0);
	assert_memory_equal(buffer, "abcdefghij", 10);
	assert_int_equal(weir_uring_submit_rest(env->pool, index), -ENODATA);
	pipe_close(ends);
}

static void
a_short_write_goes_on_where_it_stopped(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_completion completion;
	struct rlimit before, limit;
	uint16_t index = acquire(env, 'x');
	char *buffer = weir_uring_get_mut(env->pool, index), got[1000];

	buffer[599] = '1';
	buffer[999] = '2';
	/* As a disk on which there is room for 600 bytes. */
	getrlimit(RLIMIT_FSIZE, &before);
	limit = (struct rlimit){600, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &limit);
	weir_uring_submit_write_fixed(env->pool, env->file, index, 0, 1000);
	completion = uring_env_wait(env);
	assert_int_equal(completion.result, 600);
	assert_int_equal(completion.left, 400);
	assert_true(weir_uring_submit_rest(env->pool, index) >= 0);
	completion = uring_env_wait(env);
	assert_int_equal(completion.result, -EFBIG);
	assert_int_equal(completion.left, 400);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(weir_uring_submit_rest(env->pool, index) >= 0);
	assert_int_equal(uring_env_wait(env).result, 400);
	assert_int_equal(pread(env->file, got, sizeof(got), 0), 1000);
	assert_memory_equal(got, buffer, 1000);
}

static void
a_file_that_has_nothing_is_tried_again(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_completion completion;
	uint16_t index;
	int ends[2];

	uring_env_no_wait(env);
	index = acquire(env, 0);
	short_pipe(ends, O_NONBLOCK);
	weir_uring_submit_read_fixed(env->pool, ends[0], index, WEIR_URING_STREAM, 10);
	completion = uring_env_wait(env);
	assert_int_equal(completion.result, -EAGAIN);
	assert_int_equal(completion.left, 10);
	assert_int_equal(weir_uring_acquired_count(env->pool), 1);
	assert_int_equal(write(ends[1], "0123456789", 10), 10);
	assert_true(weir_uring_submit_rest(env->pool, index) >= 0);
	assert_int_equal(uring_env_wait(env).result, 10);
	pipe_close(ends);
}

static void
a_full_disk_keeps_the_buffer(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_completion completion;
	uint16_t index = acquire(env, 'y');
	int full = open("/dev/full", O_WRONLY);
	struct weir_uring_stats stats;

	assert_true(full >= 0);
	weir_uring_submit_write_fixed(env->pool, full, index, 0, 100);
	completion = uring_env_wait(env);
	assert_int_equal(completion.result, -ENOSPC);
	assert_int_equal(completion.left, 100);
	assert_int_equal(*(const char *)weir_uring_get(env->pool, index), 'y');
	weir_uring_stats(env->ring, &stats);
	assert_int_equal(stats.failed, 1);
	assert_int_equal(weir_uring_release(env->pool, index), 0);
	close(full);
}

static void
a_closed_file_is_an_error_of_its_request(void **state)
{
	struct uring_env *env = *state;
	uint16_t index = acquire(env, 0), other = acquire(env, 0);

	weir_uring_submit_write_fixed(env->pool, 9999, index, 0, 100);
	weir_uring_submit_write_fixed(env->pool, env->file, other, 0, 100);
	assert_int_equal(weir_uring_flush(env->ring), 0);
	assert_int_equal(uring_env_wait(env).result, -EBADF);
	assert_int_equal(uring_env_wait(env).result, 100);
	assert_int_equal(weir_uring_release(env->pool, index), 0);
	assert_int_equal(weir_uring_release(env->pool, other), 0);
}

static void
an_interrupted_call_is_done_again(void **state)
{
	static const ssize_t answers[] = {-EINTR, 300, -EINTR, -ENOSPC, 400, -EAGAIN, 0};
	struct uring_env *env = *state;
	uint16_t index = acquire(env, 'z'), round = 0;
	struct weir_uring_completion completion;
	char got[URING_BYTES];

	if (!env->plain)
		skip(); /* the kernel does not say EINTR at will */
	scripted_file = env->file;
	script = answers;
	weir_uring_submit_write_fixed(env->pool, env->file, index, 0, URING_BYTES);
	completion = uring_env_wait(env);
	while (completion.left > 0) {
		assert_int_equal(completion.result, answers[round++]);
		assert_int_equal(weir_uring_acquired_count(env->pool), 1);
		assert_true(weir_uring_submit_rest(env->pool, index) >= 0);
		completion = uring_env_wait(env);
	}
	script = NULL;
	assert_int_equal(round, 6);
	assert_int_equal(completion.result, URING_BYTES - 700);
	assert_int_equal(pread(env->file, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, weir_uring_get(env->pool, index), URING_BYTES);
}

static void
signal_ignored(int number)
{
}

static void
a_signal_ends_the_wait_and_not_the_request(void **state)
{
	struct uring_env *env = *state;
	const struct itimerval soon = {.it_value.tv_usec = 20000};
	struct sigaction action = {.sa_handler = signal_ignored};
	uint16_t index = acquire(env, 0);
	int ends[2];

	if (env->plain)
		skip(); /* nothing is ever waited for */
	short_pipe(ends, 0);
	sigaction(SIGALRM, &action, NULL);
	weir_uring_submit_read_fixed(env->pool, ends[0], index, WEIR_URING_STREAM, 3);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(weir_uring_wait(env->ring, 10000000), -EINTR);
	assert_int_equal(weir_uring_release(env->pool, index), -EBUSY);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	assert_int_equal(uring_env_wait(env).result, 3);
	pipe_close(ends);
}

static void
a_cancelled_request_gives_its_buffer_back(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_completion completion;
	uint16_t index = acquire(env, 0), i;
	int64_t request, cancel;
	int ends[2];

	if (env->plain) {
		assert_int_equal(weir_uring_submit_cancel(env->ring, 1), -ENOTSUP);
		return;
	}
	short_pipe(ends, 0);
	request = weir_uring_submit_read_fixed(env->pool, ends[0], index, WEIR_URING_STREAM, 3);
	assert_int_equal(weir_uring_wait(env->ring, 20000), 0);
	cancel = weir_uring_submit_cancel(env->ring, request);
	for (i = 0; i < 2; i++) {
		completion = uring_env_wait(env);
		if (completion.user_data == (uint64_t)cancel)
			assert_true(completion.result == 0 || completion.result == -EALREADY);
		else
			assert_int_equal(completion.result, -ECANCELED);
	}
	assert_int_equal(weir_uring_in_flight(env->ring), 0);
	assert_int_equal(weir_uring_release(env->pool, index), 0);
	/* What is over cannot be ended. */
	weir_uring_submit_cancel(env->ring, request);
	assert_int_equal(uring_env_wait(env).result, -ENOENT);
	pipe_close(ends);
}

static void
all_requests_end_when_the_ring_does(void **state)
{
	struct uring_env *env = *state;
	uint16_t i, index;
	int ends[2];

	short_pipe(ends, env->plain ? O_NONBLOCK : 0);
	for (i = 0; i < URING_BUFFERS; i++) {
		index = acquire(env, 0);
		while (weir_uring_submit_read_fixed(env->pool, ends[0], index, WEIR_URING_STREAM,
						    3) == -EAGAIN) {
			struct weir_uring_completion completion;

			weir_uring_flush(env->ring);
			if (env->plain)
				weir_uring_reap(env->ring, &completion, 1);
		}
	}
	assert_int_equal(weir_uring_cancel_all(env->ring, 5000000), 0);
	assert_int_equal(weir_uring_in_flight(env->ring), 0);
	for (i = 0; i < URING_BUFFERS; i++)
		assert_int_equal(weir_uring_release(env->pool, i), 0);
	pipe_close(ends);
}

static void
completions_that_do_not_fit_wait(void **state)
{
	const struct weir_uring_pool_conf pool_conf = {
		.buffer_bytes = 64, .n_buffers = 64, .numa_node = SOCKET_ID_ANY};
	struct uring_env *env = *state;
	struct weir_uring_conf conf = env->conf;
	struct weir_uring_completion completion;
	struct weir_uring_pool *pool;
	struct weir_uring_stats stats;
	struct weir_uring *ring;
	uint64_t seen = 0;
	uint16_t i, n = 64, index;

	conf.completions = URING_ENTRIES;
	ring = weir_uring_create(&conf);
	pool = weir_uring_pool_create(ring, &pool_conf);
	assert_non_null(pool);
	for (i = 0; i < n; i++) {
		assert_int_equal(weir_uring_acquire(pool, &index, NULL), 0);
		while (weir_uring_submit_write_fixed(pool, env->file, index, i, 1) == -EAGAIN) {
			if (env->plain) {
				/* Nobody keeps what does not fit: submit refuses. */
				n = i;
				weir_uring_release(pool, index);
				break;
			}
			weir_uring_flush(ring);
		}
	}
	weir_uring_flush(ring);
	if (!env->plain)
		usleep(50000);
	for (i = 0; i < n; i++) {
		assert_int_equal(weir_uring_wait(ring, 5000000), 1);
		assert_int_equal(weir_uring_reap(ring, &completion, 1), 1);
		assert_int_equal(completion.result, 1);
		assert_false(seen >> completion.index & 1);
		seen |= 1ULL << completion.index;
		assert_int_equal(weir_uring_release(pool, completion.index), 0);
	}
	weir_uring_stats(ring, &stats);
	if (!env->plain)
		assert_true(stats.overflows > 0);
	assert_int_equal(weir_uring_available_count(pool), 64);
	assert_int_equal(weir_uring_pool_free(pool), 0);
	assert_int_equal(weir_uring_free(ring), 0);
}

/* Everything at once, by chance, with a book of what is whose. */

enum book { BOOK_FREE, BOOK_OURS, BOOK_FLYING };

struct storm {
	struct uring_env *env;
	enum book book[URING_BUFFERS];
	int64_t request[URING_BUFFERS]; /* user data of what flies */
	int ends[2], full;
	unsigned int n_flying, n_reaped, n_cancels;
};

static void
storm_submit(struct storm *storm, uint16_t index)
{
	struct weir_uring_pool *pool = storm->env->pool;
	uint32_t len = 1 + rand() % URING_BYTES;
	int64_t rc;

	switch (rand() % 6) {
	case 0:
		rc = weir_uring_submit_read_fixed(pool, storm->ends[0], index, WEIR_URING_STREAM,
						  len);
		break;
	case 1:
	case 2:
		rc = weir_uring_submit_write_fixed(pool, storm->ends[1], index, WEIR_URING_STREAM,
						   len);
		break;
	case 3:
		rc = weir_uring_submit_write_fixed(pool, storm->full, index, 0, len);
		break;
	case 4:
		rc = weir_uring_submit_read_fixed(pool, storm->env->file, index, rand() % 100, len);
		break;
	default:
		rc = weir_uring_submit_write_fixed(pool, storm->env->file, index, rand() % 100,
						   len);
	}
	if (rc < 0) {
		assert_int_equal(rc, -EAGAIN);
		return;
	}
	storm->book[index] = BOOK_FLYING;
	storm->request[index] = rc;
	storm->n_flying++;
}

static void
storm_reap(struct storm *storm)
{
	struct weir_uring_completion completions[5];
	unsigned int i, n = weir_uring_reap(storm->env->ring, completions, 1 + rand() % 5);

	for (i = 0; i < n; i++) {
		uint16_t index = completions[i].index;

		if (completions[i].pool == NULL) {
			storm->n_cancels--;
			continue;
		}
		assert_int_equal(storm->book[index], BOOK_FLYING);
		assert_int_equal(completions[i].user_data, storm->request[index]);
		storm->n_flying--;
		storm->n_reaped++;
		storm->book[index] = BOOK_OURS;
		if (completions[i].left > 0 && rand() % 2 == 0) {
			int64_t rc = weir_uring_submit_rest(storm->env->pool, index);

			if (rc < 0)
				continue;
			storm->book[index] = BOOK_FLYING;
			storm->request[index] = rc;
			storm->n_flying++;
		}
	}
}

static void
storm_step(struct storm *storm)
{
	struct weir_uring_pool *pool = storm->env->pool;
	uint16_t index = rand() % URING_BUFFERS;

	switch (rand() % 8) {
	case 0:
	case 1:
		if (weir_uring_try_acquire(pool, &index) != NULL) {
			assert_int_equal(storm->book[index], BOOK_FREE);
			storm->book[index] = BOOK_OURS;
		}
		break;
	case 2:
		assert_int_equal(weir_uring_release(pool, index),
				 storm->book[index] == BOOK_FREE   ? -EINVAL
				 : storm->book[index] == BOOK_OURS ? 0
								   : -EBUSY);
		if (storm->book[index] == BOOK_OURS)
			storm->book[index] = BOOK_FREE;
		break;
	case 3:
	case 4:
		if (storm->book[index] == BOOK_OURS)
			storm_submit(storm, index);
		break;
	case 5:
		if (storm->book[index] == BOOK_FLYING && rand() % 8 == 0 &&
		    weir_uring_submit_cancel(storm->env->ring, storm->request[index]) > 0)
			storm->n_cancels++;
		break;
	case 6:
		weir_uring_flush(storm->env->ring);
		break;
	default:
		storm_reap(storm);
	}
}

static void
a_storm_of_faults_loses_nothing(void **state)
{
	struct storm storm = {.env = *state};
	unsigned int i, n_free = 0;

	srand(7);
	uring_env_no_wait(storm.env);
	short_pipe(storm.ends, O_NONBLOCK);
	storm.full = open("/dev/full", O_WRONLY);
	/* A kernel thread comes to it when it gets a processor. */
	for (i = 0; i < 20000 || storm.n_reaped < 2000; i++) {
		if (i > 20000)
			usleep(100);
		storm_step(&storm);
		assert_int_equal(weir_uring_in_flight(storm.env->ring),
				 storm.n_flying + storm.n_cancels);
	}
	while (storm.n_flying + storm.n_cancels > 0) {
		assert_int_equal(weir_uring_wait(storm.env->ring, 10000000), 1);
		storm_reap(&storm);
	}
	for (i = 0; i < URING_BUFFERS; i++)
		n_free += storm.book[i] == BOOK_FREE;
	assert_int_equal(weir_uring_available_count(storm.env->pool), n_free);
	pipe_close(storm.ends);
	close(storm.full);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, uring_env_setup, uring_env_teardown)

int
main(void)
{
	struct CMUnitTest tests[] = {
		CLAIM(a_short_read_says_what_is_left),
		CLAIM(a_short_write_goes_on_where_it_stopped),
		CLAIM(a_file_that_has_nothing_is_tried_again),
		CLAIM(a_full_disk_keeps_the_buffer),
		CLAIM(a_closed_file_is_an_error_of_its_request),
		CLAIM(an_interrupted_call_is_done_again),
		CLAIM(a_signal_ends_the_wait_and_not_the_request),
		CLAIM(a_cancelled_request_gives_its_buffer_back),
		CLAIM(all_requests_end_when_the_ring_does),
		CLAIM(completions_that_do_not_fit_wait),
		CLAIM(a_storm_of_faults_loses_nothing),
	};

	harness_eal();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return uring_env_run(tests, RTE_DIM(tests));
}
