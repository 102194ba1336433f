/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode bufpool: contiguous buffers beside general allocators, and how long mixed use
 * leaves a pool's memory.
 *
 * Nanoseconds of one allocation with its free. jemalloc and mimalloc are loaded here, and
 * by nobody else, where they are installed. A general allocator has no limit; what one
 * costs is in the last table, where the peer is what the seed does: a mutex, a condition,
 * and malloc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_ring.h>

#include "bench.h"
#include "weir_bufpool.h"
#include "weir_error.h"
#include "weir_lock.h"

#define BUFFER_BYTES 2048u
#define LIMIT_BYTES (1ULL << 30)
#define RING_SIZE 256
/** Bytes on their way from thread to thread, at most. */
#define WAY_BYTES (32u << 20)
#define BULK 16

/** An allocator. */
struct kind {
	void *(*alloc)(size_t n);
	void (*free)(void *mem);
	void *(*malloc)(size_t bytes);
};

static struct weir_bufpool *pool;

static void *
weir_kind_alloc(size_t n)
{
	return weir_bufpool_try_alloc(pool, n);
}

static void
weir_kind_free(void *mem)
{
	weir_bufs_free(mem);
}

static const char *const names[] = {"weir", "malloc", "jemalloc", "mimalloc"};
#define N_KINDS RTE_DIM(names)
static struct kind kinds[N_KINDS] = {{weir_kind_alloc, weir_kind_free, NULL}, {NULL, free, malloc}};

/** Into no namespace but ours: the program goes on with its own malloc. */
static void
kind_load(struct kind *kind, const char *library, const char *alloc_name, const char *free_name)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (handle == NULL) {
		fprintf(stderr, "weir-bench: %s\n", dlerror());
		return;
	}
	/* As POSIX wants a function's address to be taken. */
	*(void **)&kind->malloc = dlsym(handle, alloc_name);
	*(void **)&kind->free = dlsym(handle, free_name);
}

static inline void *
kind_alloc(const struct kind *kind, uint32_t n)
{
	return kind->alloc != NULL ? kind->alloc(n) : kind->malloc((size_t)n * BUFFER_BYTES);
}

static void
mem_touch(const struct kind *kind, void *mem, uint32_t n)
{
	char *buffer = kind->alloc != NULL ? weir_bufs_first(mem) : mem;

	for (; n > 0; n--, buffer += BUFFER_BYTES)
		*(volatile uint64_t *)buffer = n;
}

struct work {
	const struct kind *kind;
	uint32_t n;
	bool touch;
	uint64_t cycles; /* how long */
	struct rte_ring *ring;
	uint32_t *ready, n_lcores;
	bool *done;
	double figure; /* ns */
};

static void
work_line_up(struct work *work)
{
	__atomic_fetch_add(work->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(work->ready, __ATOMIC_ACQUIRE) < work->n_lcores)
		rte_pause();
}

static double
ns_each(uint64_t cycles, uint64_t n)
{
	return n > 0 ? (double)cycles * 1e9 / rte_get_tsc_hz() / n : NAN;
}

static int
work_own(void *arg)
{
	struct work *work = arg;
	uint64_t start, now, n = 0;
	void *mem;
	int i;

	work_line_up(work);
	start = rte_rdtsc();
	do {
		for (i = 0; i < 32; i++) {
			mem = kind_alloc(work->kind, work->n);
			if (mem == NULL) {
				work->figure = NAN;
				return 0;
			}
			if (work->touch)
				mem_touch(work->kind, mem, work->n);
			/* Else the compiler sees through malloc and free. */
			__asm__ volatile("" : "+r"(mem) : : "memory");
			work->kind->free(mem);
		}
		n += 32;
		now = rte_rdtsc();
	} while (now < start + work->cycles);
	work->figure = ns_each(now - start, n);
	return 0;
}

static int
work_produce(void *arg)
{
	struct work *work = arg;
	uint32_t room = WAY_BYTES / (work->n * BUFFER_BYTES), bulk, i;
	uint64_t start, now, n = 0;
	uint32_t spins = 0;
	void *mem[BULK];

	room = RTE_MIN(room, RING_SIZE / 2u);
	bulk = RTE_MIN(room / 2, (uint32_t)BULK);
	work_line_up(work);
	start = rte_rdtsc();
	do {
		while (rte_ring_count(work->ring) + bulk > room)
			weir_lock_relax(&spins);
		for (i = 0; i < bulk; i++) {
			mem[i] = kind_alloc(work->kind, work->n);
			if (mem[i] == NULL)
				break;
			if (work->touch)
				mem_touch(work->kind, mem[i], work->n);
		}
		rte_ring_sp_enqueue_bulk(work->ring, mem, i, NULL);
		n += i;
		now = rte_rdtsc();
	} while (now < start + work->cycles);
	work->figure = ns_each(now - start, n);
	__atomic_store_n(work->done, true, __ATOMIC_RELEASE);
	return 0;
}

static int
work_consume(void *arg)
{
	struct work *work = arg;
	void *mem[BULK];
	uint32_t n, i, spins = 0;
	bool done;

	work_line_up(work);
	do {
		done = __atomic_load_n(work->done, __ATOMIC_ACQUIRE);
		while ((n = rte_ring_sc_dequeue_burst(work->ring, mem, BULK, NULL)) > 0)
			for (i = 0; i < n; i++)
				work->kind->free(mem[i]);
		weir_lock_relax(&spins);
	} while (!done);
	return 0;
}

struct shape {
	int (*main)(void *arg);
	int (*worker)(void *arg);
	bool touch;
};

static double
shape_run(const struct bench_options *options, const struct shape *shape, const struct kind *kind,
	  uint32_t n, struct rte_ring *ring)
{
	uint32_t ready = 0;
	bool done = false;
	struct work mine = {
		.kind = kind,
		.n = n,
		.touch = shape->touch,
		.cycles = rte_get_tsc_hz() / 1000000 * options->slice_us,
		.ring = ring,
		.ready = &ready,
		.n_lcores = shape->worker != NULL ? 2 : 1,
		.done = &done,
	};
	struct work other = mine;

	if (kind->free == NULL || (kind->alloc == NULL && kind->malloc == NULL))
		return NAN;
	if (shape->worker != NULL)
		rte_eal_remote_launch(shape->worker, &other, options->worker);
	shape->main(&mine);
	if (shape->worker == NULL)
		return mine.figure;
	rte_eal_wait_lcore(options->worker);
	return shape->worker == work_own ? (mine.figure + other.figure) / 2 : mine.figure;
}

static void
shape_measure(const struct bench_options *options, const struct bench_table *table,
	      const char *what, const struct shape *shape, uint32_t n, struct rte_ring *ring)
{
	double figures[N_KINDS][100], row[N_KINDS];
	char text[64];
	uint32_t round;
	size_t i;

	if (shape->worker != NULL && options->worker == RTE_MAX_LCORE)
		return;
	snprintf(text, sizeof(text), "%s, %u%s", what, n, shape->touch ? ", touched" : "");
	for (round = 0; bench_round(options, text, round); round++)
		for (i = 0; i < N_KINDS; i++)
			figures[i][round] = shape_run(options, shape, &kinds[i], n, ring);
	for (i = 0; i < N_KINDS; i++)
		/* What one allocates the other has to free: there the best missed nothing. */
		row[i] = shape->worker == work_own ? bench_median(figures[i], round)
						   : bench_best(table, figures[i], round);
	bench_table_row(options, table, text, row);
}

static void
allocators_measure(const struct bench_options *options, struct rte_ring *ring)
{
	static const uint32_t lengths[] = {1, 16, 64, 1024};
	static const char *const what[] = {"1 thread", "2 threads", "freed on the other"};
	static const struct shape shapes[] = {
		{work_own, NULL, false},
		{work_own, work_own, false},
		{work_produce, work_consume, false},
		{work_own, NULL, true},
		{work_own, work_own, true},
		{work_produce, work_consume, true},
	};
	static const struct bench_table table = {
		.mode = "bufpool",
		.title = "allocate and free, buffers of 2 KB",
		.unit = "ns",
		.contenders = names,
		.n_contenders = N_KINDS,
	};
	size_t i, j;

	bench_table_head(options, &table);
	for (i = 0; i < RTE_DIM(shapes); i++)
		for (j = 0; j < RTE_DIM(lengths); j++)
			shape_measure(options, &table, what[i % RTE_DIM(what)], &shapes[i],
				      lengths[j], ring);
}

/* A limit that has room for one: as the seed does it, and as weir does. */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t room = PTHREAD_COND_INITIALIZER;
static bool is_out;

static void *
plain_alloc(size_t n)
{
	pthread_mutex_lock(&mutex);
	while (is_out)
		pthread_cond_wait(&room, &mutex);
	is_out = true;
	pthread_mutex_unlock(&mutex);
	return malloc(n * BUFFER_BYTES);
}

static void
plain_free(void *mem)
{
	free(mem);
	pthread_mutex_lock(&mutex);
	is_out = false;
	pthread_cond_signal(&room);
	pthread_mutex_unlock(&mutex);
}

static struct weir_bufpool *narrow;

static void *
narrow_alloc(size_t n)
{
	return weir_bufpool_alloc(narrow, n);
}

static const char *const contended_names[] = {"weir", "as the seed"};
static const struct kind contended[] = {{narrow_alloc, weir_kind_free, NULL},
					{plain_alloc, plain_free, NULL}};

static int
contended_measure(const struct bench_options *options)
{
	static const struct bench_table table = {
		.mode = "bufpool",
		.title = "a limit of one allocation, 16 buffers",
		.unit = "ns",
		.contenders = contended_names,
		.n_contenders = RTE_DIM(contended),
	};
	static const char *const what[] = {"1 thread", "2 threads, waiting"};
	const struct shape shapes[] = {{work_own, NULL, false}, {work_own, work_own, false}};
	double figures[RTE_DIM(contended)][100], row[RTE_DIM(contended)];
	uint32_t round;
	size_t i, j;

	narrow = weir_bufpool_create("narrow",
				     &(struct weir_bufpool_conf){.buffer_bytes = BUFFER_BYTES,
								 .limit_bytes = 16 * BUFFER_BYTES,
								 .numa_node = SOCKET_ID_ANY});
	if (narrow == NULL)
		return -rte_errno;
	bench_table_head(options, &table);
	for (j = 0; j < (options->worker < RTE_MAX_LCORE ? 2 : 1); j++) {
		for (round = 0; bench_round(options, what[j], round); round++)
			for (i = 0; i < RTE_DIM(contended); i++)
				figures[i][round] =
					shape_run(options, &shapes[j], &contended[i], 16, NULL);
		for (i = 0; i < RTE_DIM(contended); i++)
			row[i] = bench_median(figures[i], round);
		bench_table_row(options, &table, what[j], row);
	}
	return weir_bufpool_free(narrow, 0);
}

#define CURVE_BUFFER_BYTES 64u
#define CURVE_LIMIT_BYTES (64ULL << 20)
#define CURVE_HELD 1024
#define CURVE_POINTS 10

/** Lengths from 1 to 65535, each power of two as often as the next. */
static uint32_t
curve_length(unsigned int *seed)
{
	uint32_t bits = rand_r(seed) % 17;

	return RTE_MIN(1 + (uint32_t)rand_r(seed) % (1u << bits), WEIR_BUFPOOL_N_MAX);
}

/**
 * Replace allocations at random for a long time, with three quarters of the limit out, and
 * see what is held for them.
 */
static int
curve_measure(const struct bench_options *options, uint32_t n_kops)
{
	static const char *const curve_names[] = {"held/out"};
	static const struct bench_table table = {
		.mode = "bufpool",
		.title = "long mixed use, lengths 1 to 65535",
		.unit = "memory held for a byte out",
		.contenders = curve_names,
		.n_contenders = RTE_DIM(curve_names),
	};
	static struct weir_bufs *held[CURVE_HELD];
	struct weir_bufpool_stats stats;
	struct weir_bufpool *mixed;
	unsigned int seed = 1;
	uint64_t out = 0;
	char what[64];
	double worst;
	uint32_t i, k, n, point;

	mixed = weir_bufpool_create("mixed",
				    &(struct weir_bufpool_conf){.buffer_bytes = CURVE_BUFFER_BYTES,
								.limit_bytes = CURVE_LIMIT_BYTES,
								.numa_node = SOCKET_ID_ANY});
	if (mixed == NULL)
		return -rte_errno;
	bench_table_head(options, &table);
	for (point = 1; point <= CURVE_POINTS && !bench_stopped(); point++) {
		worst = 0;
		for (i = 0; i < n_kops * 1000 / CURVE_POINTS; i++) {
			k = rand_r(&seed) % CURVE_HELD;
			if (held[k] != NULL) {
				out -= weir_bufs_bytes(held[k]);
				weir_bufs_free(held[k]);
				held[k] = NULL;
			}
			n = curve_length(&seed);
			if (out + (uint64_t)n * CURVE_BUFFER_BYTES > CURVE_LIMIT_BYTES / 4 * 3)
				continue;
			held[k] = weir_bufpool_try_alloc(mixed, n);
			if (held[k] != NULL)
				out += weir_bufs_bytes(held[k]);
			if (i % 64 == 0 && out > CURVE_LIMIT_BYTES / 2) {
				weir_bufpool_stats(mixed, &stats);
				worst = RTE_MAX(worst, (double)stats.held_bytes / out);
			}
		}
		snprintf(what, sizeof(what), "worst of the %u thousand up to %u",
			 n_kops / CURVE_POINTS, n_kops / CURVE_POINTS * point);
		bench_table_row(options, &table, what, &worst);
	}
	for (k = 0; k < CURVE_HELD; k++)
		weir_bufs_free(held[k]);
	return weir_bufpool_free(mixed, 0);
}

static int
bufpool_run(const struct bench_options *options)
{
	struct rte_ring *ring;
	int rc;

	if (options->argc > 0 && strcmp(options->argv[0], "curve") == 0)
		return curve_measure(options, options->argc > 1 ? atoi(options->argv[1]) : 1000);
	if (options->argc > 0)
		return weir_error(EINVAL, "bufpool %s: 'curve' or nothing is needed",
				  options->argv[0]);
	kind_load(&kinds[2], "libjemalloc.so.2", "malloc", "free");
	kind_load(&kinds[3], "libmimalloc.so.2.0", "mi_malloc", "mi_free");
	ring = rte_ring_create("bench", RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (ring == NULL)
		return weir_error(rte_errno, "no memory for a ring");
	pool = weir_bufpool_create("bench",
				   &(struct weir_bufpool_conf){.buffer_bytes = BUFFER_BYTES,
							       .limit_bytes = LIMIT_BYTES,
							       .numa_node = SOCKET_ID_ANY});
	if (pool == NULL) {
		rte_ring_free(ring);
		return -rte_errno;
	}
	allocators_measure(options, ring);
	rc = weir_bufpool_free(pool, 1000000);
	rte_ring_free(ring);
	return rc == 0 ? contended_measure(options) : rc;
}

static void
bufpool_help(FILE *out)
{
	fprintf(out,
		"  curve [KOPS]    instead: memory held for a byte out, in long mixed use of KOPS\n"
		"                  thousand operations (1000)\n\n"
		"jemalloc has more thread-local memory than a program leaves room for: set\n"
		"GLIBC_TUNABLES=glibc.rtld.optional_static_tls=65536 to have it loaded.\n");
}

static const struct bench_mode bufpool_mode = {
	.name = "bufpool",
	.usage = "bufpool [curve]  contiguous buffers beside malloc, jemalloc and mimalloc",
	.help = bufpool_help,
	.run = bufpool_run,
};

BENCH_MODE_REGISTER(bufpool_mode);
