/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode vhost: the guest side of any vhost-user back-end that gives frames back.
 *
 * Speaks through the one ethdev that the EAL options name, a virtio_user port as a
 * rule. Sends a frame, polls until it is back, and waits a while before the next: so
 * a back-end that sleeps when it is idle has the time to fall asleep. A frame is the
 * next in its sequence, or the measurement ends with an error.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "bench.h"
#include "weir_error.h"

#define RING_SIZE 256
#define FRAME_LEN 64
#define COUNT_MAX 1000000
#define GAP_US_MAX 1000000
/* A frame that is not back by then is lost. */
#define LOST_US 2000000

struct vhost_words {
	uint32_t count;
	uint32_t gap_us;
};

static int
words_parse(const struct bench_options *options, struct vhost_words *words)
{
	int i;

	for (i = 0; i < options->argc; i++) {
		const char *word = options->argv[i];
		unsigned int used = 0;

		if (sscanf(word, "count=%" SCNu32 "%n", &words->count, &used) == 1 &&
		    word[used] == '\0' && words->count >= 1 && words->count <= COUNT_MAX)
			continue;
		if (sscanf(word, "gap_us=%" SCNu32 "%n", &words->gap_us, &used) == 1 &&
		    word[used] == '\0' && words->gap_us <= GAP_US_MAX)
			continue;
		return weir_error(EINVAL, "vhost: '%s': count=1..%d and gap_us=0..%d are the words",
				  word, COUNT_MAX, GAP_US_MAX);
	}
	return 0;
}

static int
port_start(uint16_t port, struct rte_mempool *mp)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_link link = {0};
	int rc = rte_eth_dev_configure(port, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(port, 0, RING_SIZE, SOCKET_ID_ANY, NULL, mp);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port, 0, RING_SIZE, SOCKET_ID_ANY, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(port);
	if (rc != 0)
		return weir_error(-rc, "vhost: the port does not start: %s", strerror(-rc));
	rte_eth_link_get(port, &link);
	return 0;
}

/** Send frame @p number and poll until it is back: cycles, or 0 when it is lost. */
static uint64_t
round_trip(uint16_t port, struct rte_mempool *mp, uint64_t number)
{
	uint64_t start, limit = LOST_US * rte_get_tsc_hz() / 1000000, seen;
	struct rte_mbuf *frame = rte_pktmbuf_alloc(mp), *back;
	uint8_t *data;

	if (frame == NULL)
		return 0;
	data = rte_pktmbuf_mtod(frame, uint8_t *);
	frame->data_len = frame->pkt_len = FRAME_LEN;
	memset(data, 0, FRAME_LEN);
	memset(data, 0xff, 6);
	data[6] = 0x02; /* a local address */
	data[12] = 0x88;
	data[13] = 0xb5; /* local experimental, IEEE 802 */
	memcpy(data + 14, &number, sizeof(number));
	start = rte_rdtsc();
	if (rte_eth_tx_burst(port, 0, &frame, 1) != 1) {
		rte_pktmbuf_free(frame);
		return 0;
	}
	while (rte_rdtsc() - start < limit) {
		uint64_t cycles;

		if (rte_eth_rx_burst(port, 0, &back, 1) == 0)
			continue;
		cycles = rte_rdtsc() - start;
		memcpy(&seen, rte_pktmbuf_mtod_offset(back, uint8_t *, 14), sizeof(seen));
		rte_pktmbuf_free(back);
		if (seen == number)
			return cycles;
	}
	return 0;
}

static int
cycles_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(const struct bench_options *options, const struct vhost_words *words, uint64_t *cycles)
{
	static const char *const contenders[] = {"back-end"};
	static const struct {
		const char *name;
		double part;
	} rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
	char title[96];
	struct bench_table table = {
		.mode = "vhost",
		.title = title,
		.unit = "ns",
		.contenders = contenders,
		.n_contenders = 1,
	};
	size_t i;

	snprintf(title, sizeof(title), "round trip of one 64-byte frame, %u us between two",
		 words->gap_us);
	qsort(cycles, words->count, sizeof(*cycles), cycles_compare);
	bench_table_head(options, &table);
	for (i = 0; i < RTE_DIM(rows); i++) {
		uint32_t at = RTE_MIN((uint32_t)(rows[i].part * words->count), words->count - 1);
		double ns = cycles[at] * 1e9 / rte_get_tsc_hz();

		bench_table_row(options, &table, rows[i].name, &ns);
	}
}

static int
measure(const struct bench_options *options, const struct vhost_words *words, uint16_t port,
	struct rte_mempool *mp)
{
	uint64_t *cycles = calloc(words->count, sizeof(*cycles)), number;
	int rc = 0;

	if (cycles == NULL)
		return weir_error(ENOMEM, "vhost: no memory for %u figures", words->count);
	/* The first ones find every cache cold. */
	for (number = 0; number < 16 && rc == 0; number++)
		if (round_trip(port, mp, number) == 0)
			rc = weir_error(ETIMEDOUT, "vhost: no frame comes back: is the back-end "
						   "one that gives them back?");
	for (; number < 16 + (uint64_t)words->count && rc == 0; number++) {
		if (words->gap_us > 0)
			rte_delay_us_sleep(words->gap_us);
		cycles[number - 16] = round_trip(port, mp, number);
		if (cycles[number - 16] == 0)
			rc = weir_error(EIO, "vhost: frame %" PRIu64 " is lost", number - 16);
	}
	if (rc == 0)
		report(options, words, cycles);
	free(cycles);
	return rc;
}

static int
vhost_run(const struct bench_options *options)
{
	struct vhost_words words = {.count = 1000};
	uint16_t port = rte_eth_find_next(0);
	struct rte_mempool *mp;
	int rc = words_parse(options, &words);

	if (rc != 0)
		return rc;
	if (port == RTE_MAX_ETHPORTS)
		return weir_error(ENODEV, "vhost: no port: give EAL "
					  "--vdev=net_virtio_user0,path=SOCKET");
	mp = rte_pktmbuf_pool_create("bench_vhost", 4 * RING_SIZE - 1, 32, 0,
				     RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (mp == NULL)
		return weir_error(ENOMEM, "vhost: no memory for frames: give EAL more with -m");
	rc = port_start(port, mp);
	if (rc == 0)
		rc = measure(options, &words, port, mp);
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
	rte_mempool_free(mp);
	return rc;
}

static const struct bench_mode vhost_mode = {
	.name = "vhost",
	.usage = "vhost [count=N] [gap_us=N]   round trips through a back-end, by a virtio_user "
		 "port",
	.run = vhost_run,
};

BENCH_MODE_REGISTER(vhost_mode);
