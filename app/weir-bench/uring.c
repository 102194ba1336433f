/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode uring: reads and writes of a file from registered buffers, by a ring that makes
 * its own system calls and by one with a kernel thread, beside the same with buffers that
 * are not registered (plain), and beside pread and pwrite. The file is short and stays in
 * the page cache: what is measured is the way there. Give it one lcore (-l 0): the kernel
 * thread then runs on another.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "bench.h"
#include "weir_error.h"
#include "weir_uring.h"

#define FILE_BYTES (8u << 20)
#define ENTRIES 64
#define BYTES_MAX 65536
#define BATCH_MAX 32

enum contender { FIXED, PLAIN, THREAD_FIXED, THREAD_PLAIN, CALLS, N_CONTENDERS };

static const char *const contender_names[N_CONTENDERS] = {"fixed", "plain", "thread fixed",
							  "thread plain", "calls"};

struct end {
	enum contender contender;
	int file;
	const struct weir_uring *with; /* whose kernel thread is ours, too; or NULL */
	struct weir_uring *ring;       /* NULL: of CALLS, or io_uring is refused */
	struct weir_uring_pool *pool;
	uint8_t *memory; /* of CALLS */
};

struct shape {
	const char *what;
	bool writes;
	uint32_t len, batch;
};

static const struct shape shapes[] = {
	{"write 512 bytes, 1 a flush", true, 512, 1},
	{"write 512 bytes, 8 a flush", true, 512, 8},
	{"write 512 bytes, 32 a flush", true, 512, 32},
	{"write 64 KB, 8 a flush", true, 65536, 8},
	{"read 512 bytes, 1 a flush", false, 512, 1},
	{"read 512 bytes, 8 a flush", false, 512, 8},
	{"read 512 bytes, 32 a flush", false, 512, 32},
	{"read 64 KB, 8 a flush", false, 65536, 8},
};

static const struct bench_table rates = {
	.mode = "uring",
	.title = "File in the page cache, rate",
	.unit = "thousand/s",
	.more_is_better = true,
	.contenders = contender_names,
	.n_contenders = N_CONTENDERS,
};
static const struct bench_table costs = {
	.mode = "uring",
	.title = "File in the page cache, the submitting thread's time a request",
	.unit = "ns",
	.contenders = contender_names,
	.n_contenders = N_CONTENDERS,
};

/** A kernel thread runs where its maker may: not on the lcore that is measured. */
static void *
ring_make(void *arg)
{
	struct end *end = arg;

	end->ring = weir_uring_create(&(struct weir_uring_conf){
		.owner = "uring",
		.entries = ENTRIES,
		.sqpoll_idle_ms = end->contender >= THREAD_FIXED ? 50 : 0,
		.sqpoll_with = end->with,
	});
	if (end->ring == NULL)
		fprintf(stderr, "weir-bench: %s\n", weir_error_text());
	return NULL;
}

static int
end_open(struct end *end, enum contender contender, int file, const struct weir_uring *with)
{
	const struct weir_uring_pool_conf conf = {
		.buffer_bytes = BYTES_MAX,
		.n_buffers = ENTRIES,
		.numa_node = SOCKET_ID_ANY,
		.unregistered = contender == PLAIN || contender == THREAD_PLAIN,
	};
	pthread_t control;

	*end = (struct end){.contender = contender, .file = file, .with = with};
	if (contender == CALLS) {
		end->memory = calloc(1, BYTES_MAX);
		return end->memory != NULL ? 0 : weir_error(ENOMEM, "uring: no memory");
	}
	if (rte_ctrl_thread_create(&control, "bench-control", NULL, ring_make, end) != 0)
		return weir_error(EAGAIN, "uring: no thread to make a ring with");
	pthread_join(control, NULL);
	if (end->ring == NULL)
		return 0;
	end->pool = weir_uring_pool_create(end->ring, &conf);
	return end->pool != NULL ? 0 : -rte_errno;
}

static void
end_close(struct end *end)
{
	if (end->ring != NULL)
		weir_uring_cancel_all(end->ring, 1000000);
	weir_uring_pool_free(end->pool);
	weir_uring_free(end->ring);
	free(end->memory);
}

/** Places in the file one after the other, and round. */
static inline uint64_t
place(uint64_t n, uint32_t len)
{
	return n * len % FILE_BYTES;
}

/** A turn of calls. @return Requests done. */
static uint32_t
calls_turn(struct end *end, const struct shape *shape, uint64_t n)
{
	uint32_t i;
	ssize_t got;

	for (i = 0; i < shape->batch; i++) {
		if (shape->writes)
			got = pwrite(end->file, end->memory, shape->len, place(n + i, shape->len));
		else
			got = pread(end->file, end->memory, shape->len, place(n + i, shape->len));
		if (got != shape->len)
			break;
	}
	return i;
}

/** A turn of a ring: what is done comes home, as much goes out. */
static uint32_t
ring_turn(struct end *end, const struct shape *shape, uint64_t n, bool *moved)
{
	struct weir_uring_completion done[BATCH_MAX];
	uint32_t i, n_done = weir_uring_reap(end->ring, done, BATCH_MAX), ok = 0;
	int64_t rc = 0;
	uint16_t index;

	for (i = 0; i < n_done; i++) {
		ok += done[i].result == (int32_t)shape->len;
		weir_uring_release(end->pool, done[i].index);
	}
	/* No more on their way than two batches, so that one is there and one comes. */
	for (i = 0;
	     i < shape->batch && rc >= 0 && weir_uring_in_flight(end->ring) < 2 * shape->batch;
	     i++) {
		if (weir_uring_try_acquire(end->pool, &index) == NULL)
			break;
		if (shape->writes)
			rc = weir_uring_submit_write_fixed(end->pool, end->file, index,
							   place(n + i, shape->len), shape->len);
		else
			rc = weir_uring_submit_read_fixed(end->pool, end->file, index,
							  place(n + i, shape->len), shape->len);
		if (rc < 0)
			weir_uring_release(end->pool, index);
	}
	if (i > 0)
		weir_uring_flush(end->ring);
	*moved = i + n_done > 0;
	return ok;
}

static void
measure(struct end *end, const struct bench_options *options, const struct shape *shape,
	double *rate, double *cost)
{
	const double hz = rte_get_tsc_hz();
	const uint64_t slice = hz / 1000000 * options->slice_us;
	uint64_t start = rte_rdtsc(), now = start, before, busy = 0, n = 0;
	bool moved = true;

	*rate = *cost = NAN;
	if (end->contender != CALLS && end->ring == NULL)
		return;
	while (now - start < slice) {
		before = rte_rdtsc();
		n += end->ring != NULL ? ring_turn(end, shape, n, &moved)
				       : calls_turn(end, shape, n);
		now = rte_rdtsc();
		if (moved)
			busy += now - before;
	}
	if (end->ring != NULL)
		weir_uring_cancel_all(end->ring, 1000000);
	while (end->pool != NULL && weir_uring_acquired_count(end->pool) > 0)
		for (uint16_t i = 0; i < ENTRIES; i++)
			weir_uring_release(end->pool, i);
	if (n > 0) {
		*rate = n / ((now - start) / hz) / 1e3;
		*cost = busy / hz * 1e9 / n;
	}
}

static void
shape_measure(const struct bench_options *options, struct end *ends, const struct shape *shape,
	      double *rate, double *cost)
{
	double r[N_CONTENDERS][100], c[N_CONTENDERS][100];
	uint32_t round, n[N_CONTENDERS] = {0};
	enum contender i;

	for (round = 0; bench_round(options, shape->what, round); round++) {
		for (i = 0; i < N_CONTENDERS; i++) {
			measure(&ends[i], options, shape, &r[i][n[i]], &c[i][n[i]]);
			n[i] += !isnan(r[i][n[i]]);
		}
	}
	for (i = 0; i < N_CONTENDERS; i++) {
		rate[i] = bench_best(&rates, r[i], n[i]);
		cost[i] = bench_best(&costs, c[i], n[i]);
	}
}

static int
file_make(void)
{
	char path[] = "/tmp/weir-bench.XXXXXX";
	int file = mkstemp(path);

	if (file < 0)
		return weir_error(errno, "uring: no file in /tmp: %s", strerror(errno));
	unlink(path);
	if (posix_fallocate(file, 0, FILE_BYTES) == 0)
		return file;
	close(file);
	return weir_error(ENOSPC, "uring: no room in /tmp for %u MB", FILE_BYTES >> 20);
}

static int
uring_run(const struct bench_options *options)
{
	double rate[RTE_DIM(shapes)][N_CONTENDERS], cost[RTE_DIM(shapes)][N_CONTENDERS];
	struct end ends[N_CONTENDERS];
	int file = file_make(), rc = 0;
	unsigned int n = 0;
	size_t i;

	if (file < 0)
		return file;
	for (; n < N_CONTENDERS && rc == 0; n++)
		/* One kernel thread: it looks for work for a while, and would be in the other's
		 * way. */
		rc = end_open(&ends[n], n, file,
			      n == THREAD_PLAIN ? ends[THREAD_FIXED].ring : NULL);
	for (i = 0; i < RTE_DIM(shapes) && rc == 0; i++)
		shape_measure(options, ends, &shapes[i], rate[i], cost[i]);
	if (rc == 0) {
		bench_table_head(options, &rates);
		for (i = 0; i < RTE_DIM(shapes); i++)
			bench_table_row(options, &rates, shapes[i].what, rate[i]);
		bench_table_head(options, &costs);
		for (i = 0; i < RTE_DIM(shapes); i++)
			bench_table_row(options, &costs, shapes[i].what, cost[i]);
	}
	while (n > 0)
		end_close(&ends[--n]);
	close(file);
	return rc;
}

static const struct bench_mode uring_mode = {
	.name = "uring",
	.usage = "uring           registered buffers beside pread and pwrite; -l 0 only",
	.run = uring_run,
};

BENCH_MODE_REGISTER(uring_mode);
