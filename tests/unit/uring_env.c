/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_memory.h>

#include "forbid_uring.h"
#include "uring_env.h"
#include "weir_error.h"

static struct uring_env kinds[] = {
	{.title = "plain", .plain = true},
	{.title = "io_uring"},
	{.title = "io_uring, kernel thread", .conf.sqpoll_idle_ms = 20},
};

static void
ring_open(struct uring_env *env, const struct weir_uring_conf *conf)
{
	const struct weir_uring_pool_conf pool_conf = {.buffer_bytes = URING_BYTES,
						       .n_buffers = URING_BUFFERS,
						       .numa_node = SOCKET_ID_ANY};

	env->ring = weir_uring_create(conf);
	env->pool = env->ring != NULL ? weir_uring_pool_create(env->ring, &pool_conf) : NULL;
}

void
uring_env_no_wait(struct uring_env *env)
{
	struct weir_uring_conf conf = env->conf;

	assert_int_equal(weir_uring_pool_free(env->pool), 0);
	assert_int_equal(weir_uring_free(env->ring), 0);
	conf.no_wait = true;
	ring_open(env, &conf);
	assert_non_null(env->pool);
}

int
uring_env_setup(void **state)
{
	struct uring_env *env = *state;
	char path[] = "/tmp/uring_test.XXXXXX";

	ring_open(env, &env->conf);
	env->file = mkstemp(path);
	if (env->pool == NULL || env->file < 0 || weir_uring_is_plain(env->ring) != env->plain) {
		fprintf(stderr, "%s\n", weir_error_text());
		return -1;
	}
	unlink(path);
	return 0;
}

int
uring_env_teardown(void **state)
{
	struct uring_env *env = *state;

	close(env->file);
	if (env->ring == NULL)
		return 0;
	if (weir_uring_cancel_all(env->ring, 5000000) != 0 ||
	    weir_uring_pool_free(env->pool) != 0 || weir_uring_free(env->ring) != 0) {
		fprintf(stderr, "%s\n", weir_error_text());
		return -1;
	}
	return 0;
}

struct weir_uring_completion
uring_env_wait(struct uring_env *env)
{
	struct weir_uring_completion completion;

	assert_int_equal(weir_uring_wait(env->ring, 10000000), 1);
	assert_int_equal(weir_uring_reap(env->ring, &completion, 1), 1);
	return completion;
}

int
uring_env_readable(const struct uring_env *env, int timeout_ms)
{
	struct pollfd fd = {.fd = weir_uring_fd(env->ring), .events = POLLIN};

	return fd.fd < 0 ? -1 : poll(&fd, 1, timeout_ms);
}

static const char *
kind_missing(struct uring_env *env)
{
	struct weir_uring *ring = weir_uring_create(&env->conf);

	if (ring == NULL)
		return weir_error_text();
	weir_uring_free(ring);
	return NULL;
}

/** The plain kind last, since nothing brings io_uring back once it is forbidden. */
static int
kind_run(struct uring_env *env, struct CMUnitTest *tests, size_t n)
{
	const char *missing;
	size_t i;

	env->conf.owner = env->title;
	env->conf.entries = URING_ENTRIES;
	env->conf.completions = env->plain ? URING_ENTRIES : 0;
	env->conf.plain_allowed = env->plain;
	missing = kind_missing(env);
	if (missing != NULL) {
		printf("%s: skipped: %s\n", env->title, missing);
		return 0;
	}
	for (i = 0; i < n; i++)
		tests[i].initial_state = env;
	return _cmocka_run_group_tests(env->title, tests, n, NULL, NULL);
}

int
uring_env_run(struct CMUnitTest *tests, size_t n)
{
	int failed = 0;
	size_t i;

	for (i = 1; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		failed += kind_run(&kinds[i], tests, n);
	if (forbid_uring() != 0) {
		printf("plain: skipped: no seccomp filter here\n");
		return failed != 0;
	}
	failed += kind_run(&kinds[0], tests, n);
	return failed != 0;
}
