/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs patch to spread flows: bursts of 32 from a guest of one pair to one of one
 * pair, which needs no spread, and to one of four, in one flow and in as many as frames.
 * Nothing is copied. Lanes are written and read by the same lcore: no cache line moves.
 *
 *   spread_perf [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "harness.h"
#include "weir_endpoint.h"

#define BURST 32
#define BURSTS 2000
#define RX_IDS 256
#define PAIRS_MAX 4

struct end {
	struct weir_endpoint_client client;
	struct weir_access access[PAIRS_MAX];
	struct weir_queue *queues[PAIRS_MAX];
};

static struct weir_endpoint *patch;
static uint8_t frames[BURST][64];
static struct weir_tx_segment segments[BURST];

static uint16_t
write_nothing(struct weir_access *access, const uint16_t *rx_ids, struct weir_access *source,
	      const struct weir_tx_segment *packets, uint16_t n_packets)
{
	return n_packets;
}

static const struct weir_access_ops nothing_ops = {.write_packet_segments = write_nothing};

static void
run_here(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

static struct weir_target here = {.run = run_here}, there = {.run = run_here};

static void
end_open(struct end *end, const char *name, uint16_t n_pairs, struct weir_target *target)
{
	uint16_t ids[RX_IDS], i;

	*end = (struct end){.client = {.name = name, .n_queues = n_pairs, .mtu = 1500}};
	for (i = 0; i < n_pairs; i++) {
		end->access[i].ops = &nothing_ops;
		end->client.access[i] = &end->access[i];
		end->client.target[i] = target;
	}
	assert_int_equal(weir_endpoint_get_queues(patch, &end->client, end->queues), 0);
	for (i = 0; i < RX_IDS; i++)
		ids[i] = i;
	for (i = 0; i < n_pairs; i++) {
		struct weir_queue *queue = end->queues[i];

		queue->ops->set_active(queue, true);
		queue->ops->rx_avail(queue, &end->access[i], ids, RX_IDS);
		queue->ops->rx_poll(queue, &end->access[i], ids, 0);
	}
}

static void
burst_send(struct end *from, struct end *to)
{
	struct weir_queue *queue = from->queues[0];
	uint16_t ids[BURST], i;
	bool done;
	int n;

	n = queue->ops->tx_avail(queue, &from->access[0], segments, BURST, &done);
	assert_int_equal(n, BURST);
	for (i = 0; i < to->client.n_queues; i++) {
		n = to->queues[i]->ops->rx_poll(to->queues[i], &to->access[i], ids, BURST);
		to->queues[i]->ops->rx_avail(to->queues[i], &to->access[i], ids, n);
	}
	if (!done)
		queue->ops->tx_poll(queue, &from->access[0], ids, BURST);
}

static double
cycles_a_frame(uint16_t n_pairs, bool lanes, bool many_flows)
{
	struct end from, to;
	uint64_t start;
	uint32_t i;

	/* The ports of UDP, by which its frames are told apart. */
	for (i = 0; i < BURST; i++)
		frames[i][35] = many_flows ? i : 0;
	end_open(&from, "from", 1, &here);
	end_open(&to, "to", n_pairs, lanes ? &there : &here);
	start = rte_rdtsc_precise();
	for (i = 0; i < BURSTS; i++)
		burst_send(&from, &to);
	start = rte_rdtsc_precise() - start;
	weir_endpoint_stop(patch, &from.client, from.queues);
	weir_endpoint_stop(patch, &to.client, to.queues);
	return (double)start / BURSTS / BURST;
}

static int
compare(const void *a, const void *b)
{
	double one = *(const double *)a, other = *(const double *)b;

	return one < other ? -1 : one > other;
}

int
main(int argc, char **argv)
{
	static const char *const names[] = {"one pair", "four pairs, one flow",
					    "four pairs, many flows"};
	unsigned int rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 99, round, i;
	double(*cycles)[6] = calloc(rounds, sizeof(*cycles)), sorted[2];
	double *column = calloc(rounds, sizeof(*column));

	harness_eal();
	patch = weir_endpoint_create("type=patch,name=cable");
	assert_non_null(patch);
	assert_true(cycles != NULL && column != NULL && rounds > 0);
	for (i = 0; i < BURST; i++) {
		frames[i][12] = 8;
		frames[i][14] = 0x45;
		frames[i][23] = 17;
		segments[i] = (struct weir_tx_segment){
			.addr = frames[i], .len = 60, .frame_len = 60, .id = i, .n_segments = 1};
	}
	for (round = 0; round < rounds; round++)
		for (i = 0; i < 6; i++)
			cycles[round][i] = cycles_a_frame(i / 2 > 0 ? 4 : 1, i % 2, i / 2 == 2);
	printf("cycles a frame, median of %u      direct   lanes\n", rounds);
	for (i = 0; i < 6; i++) {
		for (round = 0; round < rounds; round++)
			column[round] = cycles[round][i];
		qsort(column, rounds, sizeof(*column), compare);
		sorted[i % 2] = column[rounds / 2];
		if (i % 2 == 1)
			printf("to %-30s %6.1f  %6.1f\n", names[i / 2], sorted[0], sorted[1]);
	}
	weir_endpoint_free(patch);
	return 0;
}
