/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef URING_ENV_H
#define URING_ENV_H

/** A ring of one kind with a pool and a file, for the tests of lib/uring. */

#include "harness.h"
#include "weir_uring.h"

#define URING_ENTRIES 8
#define URING_BUFFERS 16
#define URING_BYTES 1024

struct uring_env {
	const char *title;
	struct weir_uring_conf conf;
	bool plain; /* the test's own way to a ring without the kernel's help */

	struct weir_uring *ring;
	struct weir_uring_pool *pool;
	int file;
};

int uring_env_setup(void **state);
int uring_env_teardown(void **state);
/** Another ring instead, that does not wait for files. Before the first request. */
void uring_env_no_wait(struct uring_env *env);
/** Flush and block until one completion is there; fails when none comes. */
struct weir_uring_completion uring_env_wait(struct uring_env *env);
/** Whether the ring's descriptor is readable within so long: 1, 0; -1 it has none. */
int uring_env_readable(const struct uring_env *env, int timeout_ms);
/** Run the tests on each kind of ring that there is here. @return The program's. */
int uring_env_run(struct CMUnitTest *tests, size_t n);

#endif
