/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every rule of the registered buffers, tried on a ring of each kind: with system
 * calls of its own, with a kernel thread, and plain. What the kernel does not offer
 * here is said, not tried. uring_fault_test.c has what goes wrong below.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include <rte_errno.h>

#include "forbid_uring.h"
#include "harness.h"
#include "uring_env.h"
#include "weir_budget.h"
#include "weir_error.h"
#include "weir_frame.h"

static void
a_new_pool_has_all_its_buffers(void **state)
{
	struct uring_env *env = *state;

	assert_int_equal(weir_uring_buffer_size(env->pool), URING_BYTES);
	assert_int_equal(weir_uring_total_count(env->pool), URING_BUFFERS);
	assert_int_equal(weir_uring_available_count(env->pool), URING_BUFFERS);
	assert_int_equal(weir_uring_acquired_count(env->pool), 0);
	assert_false(weir_uring_is_exhausted(env->pool));
}

static void
hello_is_written_as_in_the_example(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_completion completion;
	int64_t user_data;
	char text[6] = "";
	uint16_t index;
	void *buffer;

	assert_int_equal(weir_uring_acquire(env->pool, &index, &buffer), 0);
	memcpy(buffer, "hello", 5);
	user_data = weir_uring_submit_write_fixed(env->pool, env->file, index, 0, 5);
	assert_true(user_data >= 0);
	completion = uring_env_wait(env);
	assert_int_equal(completion.user_data, user_data);
	assert_int_equal(completion.result, 5);
	assert_int_equal(completion.left, 0);
	assert_ptr_equal(completion.pool, env->pool);
	assert_int_equal(completion.index, index);
	assert_int_equal(weir_uring_release(env->pool, index), 0);
	assert_int_equal(pread(env->file, text, 5, 0), 5);
	assert_string_equal(text, "hello");
}

static void
buffers_do_not_overlap(void **state)
{
	struct uring_env *env = *state;
	uint8_t *buffers[URING_BUFFERS];
	uint16_t i, k, index;

	for (i = 0; i < URING_BUFFERS; i++) {
		buffers[i] = weir_uring_try_acquire(env->pool, &index);
		assert_non_null(buffers[i]);
		assert_int_equal((uintptr_t)buffers[i] % RTE_CACHE_LINE_SIZE, 0);
		assert_ptr_equal(weir_uring_get(env->pool, index), buffers[i]);
		memset(buffers[i], i, URING_BYTES);
	}
	for (i = 0; i < URING_BUFFERS; i++)
		for (k = 0; k < URING_BYTES; k++)
			assert_int_equal(buffers[i][k], i);
}

static void
an_exhausted_pool_says_so(void **state)
{
	struct uring_env *env = *state;
	uint16_t indices[URING_BUFFERS], i, index;

	for (i = 0; i < URING_BUFFERS; i++)
		assert_int_equal(weir_uring_acquire(env->pool, &indices[i], NULL), 0);
	assert_true(weir_uring_is_exhausted(env->pool));
	assert_int_equal(weir_uring_available_count(env->pool), 0);
	assert_int_equal(weir_uring_acquired_count(env->pool), URING_BUFFERS);
	assert_null(weir_uring_try_acquire(env->pool, &index));
	assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), -ENOBUFS);
	assert_non_null(strstr(weir_error_text(), "all 16 registered buffers"));
	assert_int_equal(weir_uring_release(env->pool, indices[7]), 0);
	assert_false(weir_uring_is_exhausted(env->pool));
	assert_non_null(weir_uring_try_acquire(env->pool, &index));
	assert_int_equal(index, indices[7]);
}

static void
what_is_not_acquired_is_not_released(void **state)
{
	struct uring_env *env = *state;
	uint16_t index;

	assert_int_equal(weir_uring_release(env->pool, URING_BUFFERS), -EINVAL);
	assert_int_equal(weir_uring_release(env->pool, UINT16_MAX), -EINVAL);
	assert_int_equal(weir_uring_release(env->pool, 0), -EINVAL);
	assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
	assert_int_equal(weir_uring_release(env->pool, index), 0);
	assert_int_equal(weir_uring_release(env->pool, index), -EINVAL);
	assert_int_equal(weir_uring_available_count(env->pool), URING_BUFFERS);
}

static void
a_buffer_in_flight_is_left_alone(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_pool_stats stats;
	uint16_t index;

	assert_int_equal(weir_uring_mark_in_flight(env->pool, 3), -EINVAL);
	assert_int_equal(weir_uring_complete_in_flight(env->pool, 3), -EINVAL);
	assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
	assert_int_equal(weir_uring_complete_in_flight(env->pool, index), -EINVAL);
	assert_int_equal(weir_uring_mark_in_flight(env->pool, index), 0);

	assert_int_equal(weir_uring_mark_in_flight(env->pool, index), -EBUSY);
	assert_int_equal(weir_uring_release(env->pool, index), -EBUSY);
	assert_null(weir_uring_get(env->pool, index));
	assert_null(weir_uring_get_mut(env->pool, index));
	assert_int_equal(weir_uring_submit_write_fixed(env->pool, env->file, index, 0, 1), -EBUSY);
	assert_int_equal(weir_uring_submit_rest(env->pool, index), -EBUSY);
	assert_int_equal(weir_uring_pool_free(env->pool), -EBUSY);
	assert_non_null(strstr(weir_error_text(), "1 of 16 buffers are in flight"));
	weir_uring_pool_stats(env->pool, &stats);
	assert_int_equal(stats.in_flight, 1);
	assert_int_equal(stats.acquired, 1);

	assert_int_equal(weir_uring_complete_in_flight(env->pool, index), 0);
	assert_non_null(weir_uring_get_mut(env->pool, index));
	assert_int_equal(weir_uring_release(env->pool, index), 0);
}

static void
what_was_submitted_is_in_flight_until_it_is_reaped(void **state)
{
	struct uring_env *env = *state;
	uint16_t index;

	assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
	assert_true(weir_uring_submit_write_fixed(env->pool, env->file, index, 0, 8) >= 0);
	assert_int_equal(weir_uring_in_flight(env->ring), 1);
	assert_int_equal(weir_uring_release(env->pool, index), -EBUSY);
	assert_int_equal(weir_uring_mark_in_flight(env->pool, index), -EBUSY);
	assert_int_equal(weir_uring_complete_in_flight(env->pool, index), -EBUSY);
	assert_null(weir_uring_get(env->pool, index));
	assert_int_equal(weir_uring_free(env->ring), -EBUSY);
	assert_int_equal(uring_env_wait(env).result, 8);
	assert_int_equal(weir_uring_in_flight(env->ring), 0);
	assert_int_equal(weir_uring_complete_in_flight(env->pool, index), -EINVAL);
	assert_int_equal(weir_uring_release(env->pool, index), 0);
}

static void
get_refuses_a_wrong_index(void **state)
{
	struct uring_env *env = *state;
	uint16_t index;

	assert_null(weir_uring_get(env->pool, 0)); /* nobody has acquired it */
	assert_null(weir_uring_get(env->pool, URING_BUFFERS));
	assert_null(weir_uring_get_mut(env->pool, UINT16_MAX));
	assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
	assert_non_null(weir_uring_get(env->pool, index));
	assert_ptr_equal(weir_uring_get(env->pool, index), weir_uring_get_mut(env->pool, index));
	weir_uring_release(env->pool, index);
	assert_null(weir_uring_get(env->pool, index));
}

static void
a_request_that_cannot_be_is_refused(void **state)
{
	struct uring_env *env = *state;
	uint16_t index;

	assert_int_equal(weir_uring_submit_read_fixed(env->pool, env->file, 0, 0, 1), -EINVAL);
	assert_int_equal(weir_uring_submit_write_fixed(env->pool, env->file, 999, 0, 1), -EINVAL);
	assert_int_equal(weir_uring_submit_rest(env->pool, 0), -EINVAL);
	assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
	assert_int_equal(
		weir_uring_submit_read_fixed(env->pool, env->file, index, 0, URING_BYTES + 1),
		-EMSGSIZE);
	assert_int_equal(weir_uring_submit_rest(env->pool, index), -ENODATA);
	assert_int_equal(weir_uring_in_flight(env->ring), 0);
	assert_int_equal(weir_uring_release(env->pool, index), 0);
}

static void
each_completion_names_its_request(void **state)
{
	struct uring_env *env = *state;
	int64_t user_data[URING_BUFFERS];
	uint16_t index, i, seen = 0;
	uint8_t *buffer;

	/* Block i of the file is full of i, written and read at its own offset. */
	for (i = 0; i < URING_ENTRIES; i++) {
		buffer = weir_uring_try_acquire(env->pool, &index);
		memset(buffer, i, URING_BYTES);
		user_data[index] = weir_uring_submit_write_fixed(
			env->pool, env->file, index, (uint64_t)i * URING_BYTES, URING_BYTES);
		assert_true(user_data[index] >= 0);
		if (i % 4 == 3)
			assert_int_equal(weir_uring_flush(env->ring), 0);
	}
	for (i = 0; i < URING_ENTRIES; i++) {
		struct weir_uring_completion completion = uring_env_wait(env);

		assert_int_equal(completion.result, URING_BYTES);
		assert_int_equal(completion.user_data, user_data[completion.index]);
		assert_false(seen & (1 << completion.index));
		seen |= 1 << completion.index;
		weir_uring_release(env->pool, completion.index);
	}
	for (i = 0; i < URING_ENTRIES; i++) {
		assert_int_equal(weir_uring_acquire(env->pool, &index, (void **)&buffer), 0);
		memset(buffer, 0xff, URING_BYTES);
		assert_true(weir_uring_submit_read_fixed(env->pool, env->file, index,
							 (uint64_t)i * URING_BYTES + 1,
							 URING_BYTES - 1) >= 0);
		assert_int_equal(uring_env_wait(env).result, URING_BYTES - 1);
		assert_int_equal(buffer[0], i);
		assert_int_equal(buffer[URING_BYTES - 2], i);
		assert_int_equal(buffer[URING_BYTES - 1], 0xff);
		weir_uring_release(env->pool, index);
	}
}

static void
a_full_queue_leaves_the_buffer_as_it_was(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_stats stats;
	uint16_t index, i;
	int64_t rc = 0;

	for (i = 0; i < URING_BUFFERS; i++) {
		assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
		rc = weir_uring_submit_write_fixed(env->pool, env->file, index, 0, 1);
		if (rc < 0)
			break;
	}
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(i, URING_ENTRIES);
	assert_non_null(weir_uring_get(env->pool, index));
	assert_int_equal(weir_uring_release(env->pool, index), 0);
	weir_uring_stats(env->ring, &stats);
	assert_int_equal(stats.full, 1);
	for (; i > 0; i--)
		assert_int_equal(uring_env_wait(env).result, 1);
	assert_int_equal(weir_uring_in_flight(env->ring), 0);
}

static void
pools_of_one_ring_are_apart(void **state)
{
	const struct weir_uring_pool_conf conf = {
		.buffer_bytes = 65536, .n_buffers = 4, .numa_node = SOCKET_ID_ANY};
	struct uring_env *env = *state;
	struct weir_uring_pool *large = weir_uring_pool_create(env->ring, &conf);
	uint16_t here, there;
	void *buffer;

	assert_non_null(large);
	assert_int_equal(weir_uring_acquire(large, &there, &buffer), 0);
	assert_int_equal((uintptr_t)buffer % 4096, 0);
	memset(buffer, 'x', 65536);
	assert_int_equal(weir_uring_acquire(env->pool, &here, NULL), 0);
	assert_true(weir_uring_submit_write_fixed(large, env->file, there, 0, 65536) >= 0);
	assert_int_equal(uring_env_wait(env).result, 65536);
	assert_true(weir_uring_submit_read_fixed(env->pool, env->file, here, 65000, 100) >= 0);
	assert_ptr_equal(uring_env_wait(env).pool, env->pool);
	assert_int_equal(*(const char *)weir_uring_get(env->pool, here), 'x');
	assert_int_equal(weir_uring_pool_free(large), 0);
}

static void
freeing_is_refused_while_something_is_left(void **state)
{
	struct uring_env *env = *state;
	uint16_t index;

	assert_int_equal(weir_uring_free(env->ring), -EBUSY);
	assert_non_null(strstr(weir_error_text(), "has 1 pools"));
	assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
	assert_int_equal(weir_uring_pool_free(env->pool), 0); /* an acquired one goes with it */
	assert_int_equal(weir_uring_free(env->ring), 0);
	env->ring = NULL;
	assert_int_equal(weir_uring_pool_free(NULL), 0);
	assert_int_equal(weir_uring_free(NULL), 0);
}

static void
counters_add_up(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_pool_stats pool;
	struct weir_uring_stats ring;
	uint16_t index, i;

	for (i = 0; i < 5; i++) {
		assert_int_equal(weir_uring_acquire(env->pool, &index, NULL), 0);
		weir_uring_submit_write_fixed(env->pool, env->file, index, 0, 100);
		uring_env_wait(env);
		weir_uring_submit_read_fixed(env->pool, env->file, index, 0, 200);
		assert_int_equal(uring_env_wait(env).left, 100);
		weir_uring_release(env->pool, index);
	}
	weir_uring_pool_stats(env->pool, &pool);
	weir_uring_stats(env->ring, &ring);
	assert_int_equal(pool.acquires, 5);
	assert_int_equal(pool.exhaustions, 0);
	assert_int_equal(pool.reads, 5);
	assert_int_equal(pool.writes, 5);
	assert_int_equal(pool.bytes, URING_BYTES * URING_BUFFERS);
	assert_int_equal(ring.submitted, 10);
	assert_int_equal(ring.completed, 10);
	assert_int_equal(ring.shortened, 5);
	assert_int_equal(ring.failed, 0);
}

static void
memory_comes_from_the_budget(void **state)
{
	struct uring_env *env = *state;
	struct weir_budget *budget = weir_budget_create("uring", NULL, 100000);
	struct weir_uring_pool_conf conf = {
		.buffer_bytes = 1000, .n_buffers = 50, .numa_node = SOCKET_ID_ANY};
	struct weir_uring_pool *pool;

	conf.budget = budget;
	pool = weir_uring_pool_create(env->ring, &conf);
	assert_non_null(pool);
	assert_int_equal(weir_budget_used_bytes(budget), 1024 * 50);
	assert_null(weir_uring_pool_create(env->ring, &conf));
	assert_int_equal(rte_errno, EAGAIN);
	assert_non_null(strstr(weir_error_text(), "the budget 'uring'"));
	conf.n_buffers = 200;
	assert_null(weir_uring_pool_create(env->ring, &conf));
	assert_int_equal(rte_errno, EMSGSIZE);
	assert_int_equal(weir_uring_pool_free(pool), 0);
	assert_int_equal(weir_budget_used_bytes(budget), 0);
	assert_int_equal(weir_budget_free(budget), 0);
}

static void
memory_of_the_caller_is_written_from_and_stays_his(void **state)
{
	struct weir_uring_pool_conf conf = {
		.buffer_bytes = 4096, .n_buffers = 4, .numa_node = SOCKET_ID_ANY};
	struct uring_env *env = *state;
	struct weir_uring_pool *pool;
	uint16_t index, other;
	void *data;

	conf.memory = aligned_alloc(4096, 4 * 4096);
	assert_non_null(conf.memory);
	memset(conf.memory, 'm', 4 * 4096);
	pool = weir_uring_pool_create(env->ring, &conf);
	assert_non_null(pool);
	assert_int_equal(weir_uring_acquire(pool, &index, &data), 0);
	assert_ptr_equal(data, (char *)conf.memory + index * 4096);
	assert_true(weir_uring_submit_write_fixed(pool, env->file, index, 0, 4096) >= 0);
	assert_int_equal(uring_env_wait(env).result, 4096);
	assert_int_equal(weir_uring_acquire(env->pool, &other, NULL), 0);
	assert_true(weir_uring_submit_read_fixed(env->pool, env->file, other, 4000, 10) >= 0);
	assert_int_equal(uring_env_wait(env).result, 10);
	assert_int_equal(*(const char *)weir_uring_get(env->pool, other), 'm');
	assert_int_equal(weir_uring_pool_free(pool), 0);
	/* Buffers lie back to back: they have to be whole cache lines. */
	conf.buffer_bytes = 4000;
	assert_null(weir_uring_pool_create(env->ring, &conf));
	assert_int_equal(rte_errno, EINVAL);
	memset(conf.memory, 0, 4 * 4096);
	free(conf.memory);
}

static void
buffers_that_are_not_registered_serve_as_well(void **state)
{
	const struct weir_uring_pool_conf conf = {.buffer_bytes = 1000,
						  .n_buffers = 4,
						  .numa_node = SOCKET_ID_ANY,
						  .unregistered = true};
	struct uring_env *env = *state;
	struct weir_uring_pool *pool = weir_uring_pool_create(env->ring, &conf);
	uint16_t from, to;
	void *data;

	assert_non_null(pool);
	assert_int_equal(weir_uring_acquire(pool, &from, &data), 0);
	memset(data, 'u', 1000);
	assert_true(weir_uring_submit_write_fixed(pool, env->file, from, 500, 1000) >= 0);
	assert_int_equal(uring_env_wait(env).result, 1000);
	assert_int_equal(weir_uring_acquire(pool, &to, NULL), 0);
	assert_true(weir_uring_submit_read_fixed(pool, env->file, to, 600, 900) >= 0);
	assert_int_equal(uring_env_wait(env).result, 900);
	assert_memory_equal(weir_uring_get(pool, to), data, 900);
	/* Beside one that is. */
	assert_int_equal(weir_uring_acquire(env->pool, &to, NULL), 0);
	assert_true(weir_uring_submit_read_fixed(env->pool, env->file, to, 600, 900) >= 0);
	assert_int_equal(uring_env_wait(env).result, 900);
	assert_int_equal(weir_uring_pool_free(pool), 0);
	assert_int_equal(*(const char *)weir_uring_get(env->pool, to), 'u');
}

static void
helpers_are_kept_on_the_cores_of_the_caller(void **state)
{
	struct uring_env *env = *state;

	assert_int_equal(weir_uring_helpers_here(env->ring), 0);
}

static void
wrong_words_are_refused(void **state)
{
	static const struct weir_uring_pool_conf wrong[] = {
		{.buffer_bytes = 0, .n_buffers = 1},
		{.buffer_bytes = 64, .n_buffers = 0},
		{.buffer_bytes = 64, .n_buffers = WEIR_URING_BUFFERS_MAX + 1},
		{.buffer_bytes = 1 << 20, .n_buffers = 1025},
	};
	struct uring_env *env = *state;
	struct weir_uring_conf conf = env->conf;
	size_t i;

	for (i = 0; i < RTE_DIM(wrong); i++) {
		assert_null(weir_uring_pool_create(env->ring, &wrong[i]));
		assert_int_equal(rte_errno, EINVAL);
	}
	conf.entries = 0;
	assert_null(weir_uring_create(&conf));
	assert_int_equal(rte_errno, EINVAL);
	conf.entries = WEIR_URING_ENTRIES_MAX + 1;
	assert_null(weir_uring_create(&conf));
	assert_non_null(strstr(weir_error_text(), "1 to 4096"));
}

static void
an_unknown_file_is_named(void **state)
{
	struct uring_env *env = *state;
	int folder = open("/", O_RDONLY | O_DIRECTORY), unknown = epoll_create1(0), ends[2];

	assert_int_equal(weir_uring_check_file(env->ring, env->file), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(weir_uring_check_file(env->ring, ends[0]), 0);
	assert_int_equal(weir_uring_check_file(env->ring, folder), -EISDIR);
	assert_int_equal(weir_uring_check_file(env->ring, unknown), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "anon_inode:[eventpoll]"));
	close(unknown);
	assert_int_equal(weir_uring_check_file(env->ring, unknown), -EBADF);
	close(folder);
	close(ends[0]);
	close(ends[1]);
}

static void
a_ring_is_readable_when_there_is_something_to_reap(void **state)
{
	struct uring_env *env = *state;
	uint16_t index;

	assert_false(weir_uring_is_ready(env->ring));
	assert_int_equal(weir_uring_wait(env->ring, -1), 0); /* nothing is in flight */
	assert_int_equal(uring_env_readable(env, 0), env->plain ? -1 : 0);
	weir_uring_acquire(env->pool, &index, NULL);
	weir_uring_submit_write_fixed(env->pool, env->file, index, 0, 1);
	assert_int_equal(weir_uring_wait(env->ring, 5000000), 1);
	assert_true(weir_uring_is_ready(env->ring));
	assert_int_equal(uring_env_readable(env, 5000), env->plain ? -1 : 1);
	uring_env_wait(env);
	assert_int_equal(uring_env_readable(env, 0), env->plain ? -1 : 0);
}

static void
a_poll_tells_of_a_file_once(void **state)
{
	struct uring_env *env = *state;
	struct weir_uring_completion completion;
	int64_t user_data;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	user_data = weir_uring_submit_poll(env->ring, ends[0], 1 /* POLLIN */);
	if (env->plain) {
		assert_int_equal(user_data, -ENOTSUP);
	} else {
		assert_true(user_data > 0);
		assert_int_equal(weir_uring_wait(env->ring, 20000), 0);
		assert_int_equal(write(ends[1], "x", 1), 1);
		completion = uring_env_wait(env);
		assert_int_equal(completion.user_data, user_data);
		assert_null(completion.pool);
		assert_int_equal(completion.result & 1, 1);
	}
	close(ends[0]);
	close(ends[1]);
}

/* Frames. */

static struct weir_frame_pool *
frame_pool(uint32_t capacity, uint32_t burst)
{
	const struct weir_frame_pool_conf conf = {
		.mtu = 1500, .capacity = capacity, .burst = burst, .numa_node = SOCKET_ID_ANY};
	struct weir_frame_pool *frames = weir_frame_pool_create("frames", &conf);

	assert_non_null(frames);
	return frames;
}

static void
any_frame_of_a_frame_pool_is_a_buffer(void **state)
{
	struct uring_env *env = *state;
	struct weir_frame_pool *frames = frame_pool(300, 0);
	struct weir_uring_pool *pool = weir_uring_pool_of_frames(env->ring, frames);
	struct rte_mbuf *all[300];
	uint16_t index, i, k;

	assert_non_null(pool);
	assert_int_equal(weir_uring_total_count(pool), 300);
	assert_int_equal(weir_uring_available_count(pool), 300);
	assert_true(weir_uring_buffer_size(pool) >= 1500);
	assert_int_equal(weir_frame_acquire_bulk(frames, all, 300), 0);
	assert_true(weir_uring_is_exhausted(pool));
	assert_null(weir_uring_try_acquire(pool, &index));
	for (i = 0; i < 300; i++) {
		uint8_t *data = rte_pktmbuf_mtod(all[i], uint8_t *);

		memset(data, i, 1500);
		assert_int_equal(weir_uring_adopt(pool, all[i], &index), 0);
		assert_int_equal(weir_uring_adopt(pool, all[i], &k), -EBUSY);
		assert_ptr_equal(weir_uring_frame(pool, index), all[i]);
		assert_ptr_equal(weir_uring_get(pool, index), data);
		assert_true(weir_uring_submit_write_fixed(pool, env->file, index, i * 1500u,
							  1500) >= 0);
		assert_null(weir_uring_disown(pool, index));
		assert_int_equal(uring_env_wait(env).result, 1500);
		memset(data, 0, 1500);
		weir_uring_submit_read_fixed(pool, env->file, index, i * 1500u, 1500);
		assert_int_equal(uring_env_wait(env).result, 1500);
		assert_int_equal(data[0], (uint8_t)i);
		assert_int_equal(data[1499], (uint8_t)i);
		assert_ptr_equal(weir_uring_disown(pool, index), all[i]);
	}
	weir_frame_release_bulk(all, 300);
	assert_int_equal(weir_uring_pool_free(pool), 0);
	assert_int_equal(weir_frame_pool_free(frames), 0);
}

static void
frames_are_acquired_and_released_as_buffers(void **state)
{
	struct uring_env *env = *state;
	struct weir_frame_pool *frames = frame_pool(8, 0), *others;
	struct weir_uring_pool *pool = weir_uring_pool_of_frames(env->ring, frames);
	struct rte_mbuf *stranger;
	uint16_t index, i;

	for (i = 0; i < 8; i++)
		assert_non_null(weir_uring_try_acquire(pool, &index));
	assert_true(weir_uring_is_exhausted(pool));
	assert_int_equal(weir_frame_pool_free_count(frames), 0);
	assert_int_equal(weir_uring_release(pool, index), 0);
	assert_int_equal(weir_uring_release(pool, index), -EINVAL);
	assert_int_equal(weir_frame_pool_free_count(frames), 1);
	/* A frame that was pushed along has less room. */
	assert_non_null(weir_uring_try_acquire(pool, &index));
	rte_pktmbuf_append(weir_uring_frame(pool, index), 100);
	rte_pktmbuf_adj(weir_uring_frame(pool, index), 100);
	assert_int_equal(weir_uring_submit_write_fixed(pool, env->file, index, 0,
						       weir_uring_buffer_size(pool)),
			 -EMSGSIZE);
	assert_null(weir_uring_frame(env->pool, 0));
	assert_int_equal(weir_uring_pool_free(pool), 0);
	assert_int_equal(weir_frame_pool_free_count(frames), 8);

	pool = weir_uring_pool_of_frames(env->ring, frames);
	others = weir_frame_pool_create(
		"others", &(struct weir_frame_pool_conf){
				  .mtu = 1500, .capacity = 1, .numa_node = SOCKET_ID_ANY});
	stranger = weir_frame_acquire(others);
	assert_int_equal(weir_uring_adopt(pool, stranger, &index), -EINVAL);
	assert_int_equal(weir_uring_adopt(env->pool, stranger, &index), -EINVAL);
	weir_frame_release(stranger);
	weir_uring_pool_free(pool);
	weir_frame_pool_free(others);
	weir_frame_pool_free(frames);
}

static void
frames_whose_memory_may_go_are_refused(void **state)
{
	struct uring_env *env = *state;
	struct weir_frame_pool *frames = frame_pool(8, 8);
	struct rte_mbuf *out;

	assert_null(weir_uring_pool_of_frames(env->ring, frames));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_non_null(strstr(weir_error_text(), "burst of 8 frames"));
	weir_frame_pool_free(frames);
	frames = frame_pool(8, 0);
	out = weir_frame_acquire(frames);
	assert_null(weir_uring_pool_of_frames(env->ring, frames));
	assert_int_equal(rte_errno, EBUSY);
	assert_non_null(strstr(weir_error_text(), "1 of 8 frames"));
	weir_frame_release(out);
	weir_frame_pool_free(frames);
}

/* Refusals; the first in a child, which uses nothing of DPDK's: a fork shares its heap. */

static int
child_end(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
forbidden_child(struct uring_env *env)
{
	struct weir_uring_conf conf = env->conf;

	if (forbid_uring() != 0)
		return 77;
	conf.plain_allowed = false;
	if (weir_uring_create(&conf) != NULL || rte_errno != EPERM ||
	    strstr(weir_error_text(), "io_uring is refused") == NULL)
		return 1;
	conf.plain_allowed = true;
	weir_uring_free(env->ring = weir_uring_create(&conf));
	env->ring = weir_uring_create(&conf);
	return env->ring != NULL && weir_uring_is_plain(env->ring) ? 0 : 2;
}

static void
a_forbidden_io_uring_is_said_or_done_without(void **state)
{
	pid_t child = fork();
	int code;

	if (child == 0)
		_exit(forbidden_child(*state));
	code = child_end(child);
	if (code == 77)
		skip();
	assert_int_equal(code, 0);
}

/** Take the right to lock any memory from this thread, or give it back. */
static int
lock_right(bool right)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets) != 0)
		return -errno;
	if (right)
		sets[0].effective |= 1u << CAP_IPC_LOCK;
	else
		sets[0].effective &= ~(1u << CAP_IPC_LOCK);
	return syscall(SYS_capset, &header, sets) == 0 ? 0 : -errno;
}

static void
a_limit_of_locked_memory_is_said_or_done_without(void **state)
{
	const struct weir_uring_pool_conf pool_conf = {
		.buffer_bytes = 65536, .n_buffers = 4, .numa_node = SOCKET_ID_ANY};
	struct uring_env *env = *state;
	struct weir_uring_conf conf = env->conf;
	struct weir_uring *strict, *lenient;
	struct weir_uring_pool *pool;
	struct rlimit before, limit;
	uint16_t index;

	getrlimit(RLIMIT_MEMLOCK, &before);
	limit = (struct rlimit){65536, before.rlim_max};
	if (env->plain || lock_right(false) != 0 || setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		skip();
	strict = weir_uring_create(&conf);
	assert_non_null(strict);
	assert_null(weir_uring_pool_create(strict, &pool_conf));
	assert_int_equal(rte_errno, ENOMEM);
	assert_non_null(strstr(weir_error_text(), "cannot be locked: the limit is 64 KB"));
	assert_int_equal(weir_uring_free(strict), 0);

	conf.plain_allowed = true;
	lenient = weir_uring_create(&conf);
	assert_false(weir_uring_is_plain(lenient));
	pool = weir_uring_pool_create(lenient, &pool_conf);
	setrlimit(RLIMIT_MEMLOCK, &before);
	lock_right(true);
	assert_non_null(pool);
	assert_true(weir_uring_is_plain(lenient));
	assert_int_equal(weir_uring_acquire(pool, &index, NULL), 0);
	assert_true(weir_uring_submit_write_fixed(pool, env->file, index, 0, 100) >= 0);
	assert_int_equal(weir_uring_wait(lenient, 0), 1);
	assert_int_equal(weir_uring_cancel_all(lenient, 0), 0);
	assert_int_equal(weir_uring_pool_free(pool), 0);
	assert_int_equal(weir_uring_free(lenient), 0);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, uring_env_setup, uring_env_teardown)

int
main(void)
{
	struct CMUnitTest tests[] = {
		CLAIM(a_new_pool_has_all_its_buffers),
		CLAIM(hello_is_written_as_in_the_example),
		CLAIM(buffers_do_not_overlap),
		CLAIM(an_exhausted_pool_says_so),
		CLAIM(what_is_not_acquired_is_not_released),
		CLAIM(a_buffer_in_flight_is_left_alone),
		CLAIM(what_was_submitted_is_in_flight_until_it_is_reaped),
		CLAIM(get_refuses_a_wrong_index),
		CLAIM(a_request_that_cannot_be_is_refused),
		CLAIM(each_completion_names_its_request),
		CLAIM(a_full_queue_leaves_the_buffer_as_it_was),
		CLAIM(pools_of_one_ring_are_apart),
		CLAIM(freeing_is_refused_while_something_is_left),
		CLAIM(counters_add_up),
		CLAIM(memory_comes_from_the_budget),
		CLAIM(memory_of_the_caller_is_written_from_and_stays_his),
		CLAIM(buffers_that_are_not_registered_serve_as_well),
		CLAIM(helpers_are_kept_on_the_cores_of_the_caller),
		CLAIM(wrong_words_are_refused),
		CLAIM(an_unknown_file_is_named),
		CLAIM(a_ring_is_readable_when_there_is_something_to_reap),
		CLAIM(a_poll_tells_of_a_file_once),
		CLAIM(any_frame_of_a_frame_pool_is_a_buffer),
		CLAIM(frames_are_acquired_and_released_as_buffers),
		CLAIM(frames_whose_memory_may_go_are_refused),
		CLAIM(a_forbidden_io_uring_is_said_or_done_without),
		CLAIM(a_limit_of_locked_memory_is_said_or_done_without),
	};

	harness_eal();
	return uring_env_run(tests, RTE_DIM(tests));
}
