/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cycles that a frame costs its lcore to be captured, beside a writer thread that takes
 * it to the file: the least of all bursts, which is what a quiet machine shows, and the
 * median.
 *
 *   capture_perf DIRECTORY [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>

#include <rte_log.h>

#include "harness.h"
#include "weir_capture.h"
#include "weir_error.h"

#define BURST 32
#define FRAMES 512 /* in turn, so that they are not all in the nearest cache */
#define FRAME_MAX 2048

static struct weir_capture_tee *tees;
static uint8_t frames[FRAMES][FRAME_MAX];

static void
run_here(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

static void
changed(struct weir_capture_point *point, struct weir_capture_tee *now)
{
	tees = now;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static void
measure(const char *directory, uint32_t len, const char *more, unsigned int rounds)
{
	uint64_t *cycles = calloc(rounds, sizeof(*cycles)), start, now;
	struct weir_tx_segment segment = {.len = len, .frame_len = len, .n_segments = 1};
	unsigned int round, i, next = 0;
	char keys[512];

	snprintf(keys, sizeof(keys), "name=c,guest=g0,file=%s/capture_perf.pcapng,%s", directory,
		 more);
	if (cycles == NULL || weir_capture_start(keys) != 0) {
		fprintf(stderr, "capture_perf: %s\n", weir_error_text());
		exit(EXIT_FAILURE);
	}
	for (round = 0; round < rounds; round++) {
		start = rte_rdtsc();
		now = weir_capture_now();
		for (i = 0; i < BURST; i++, next = (next + 1) % FRAMES) {
			segment.addr = frames[next];
			weir_capture_stage(tees, WEIR_CAPTURE_TX, now, &segment);
			weir_capture_keep(tees);
		}
		cycles[round] = rte_rdtsc() - start;
		/* The writer keeps up: what is measured is not the missing. */
		if (round % 256 == 0)
			usleep(20000);
	}
	weir_capture_stop("c");
	qsort(cycles, rounds, sizeof(*cycles), by_value);
	printf("%6u %-34s %8.1f %8.1f\n", len, more, (double)cycles[0] / BURST,
	       (double)cycles[rounds / 2] / BURST);
	free(cycles);
}

int
main(int argc, char **argv)
{
	static const uint32_t lengths[] = {64, 512, 1518};
	struct weir_capture_point point = {.guest = "g0", .changed = changed};
	struct weir_target here = {.run = run_here};
	unsigned int i, rounds = argc > 2 ? atoi(argv[2]) : 4096;
	char path[256];

	if (argc < 2) {
		fprintf(stderr, "capture_perf DIRECTORY [ROUNDS]\n");
		return EXIT_FAILURE;
	}
	harness_eal();
	rte_log_set_level_pattern("weir.capture", RTE_LOG_WARNING);
	memset(frames, 0x5a, sizeof(frames));
	weir_capture_point_add(&point);
	weir_capture_point_up(&point, "up", &here);
	printf("%6s %-34s %8s %8s  cycles a frame\n", "bytes", "", "least", "median");
	for (i = 0; i < RTE_DIM(lengths); i++) {
		measure(argv[1], lengths[i], "staging=64M", rounds);
		measure(argv[1], lengths[i], "staging=64M,snaplen=128", rounds);
		measure(argv[1], lengths[i], "staging=64M,filter=tcp port 80", rounds);
	}
	weir_capture_point_down(&point);
	weir_capture_point_remove(&point);
	snprintf(path, sizeof(path), "%s/capture_perf.pcapng", argv[1]);
	unlink(path);
	return EXIT_SUCCESS;
}
