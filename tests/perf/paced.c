/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two guests at a steady rate: sends on the first port, counts on the last one. testpmd
 * sends as fast as it can, which tells nothing about "1 Mpps".
 *
 *   paced [EAL options with --vdev=net_virtio_user0,... and 1] -- RATE SECONDS BYTES
 *
 * RATE in frames a second, 0: as fast as it goes. One line of JSON.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 32
#define RING 1024
/* Frames that may have come due meanwhile: more are not sent later, the rate is missed. */
#define BEHIND_MAX 100000
/* How long the last frames may take. */
#define DRAIN_MS 300

struct paced {
	struct rte_mempool *pool;
	uint16_t last; /* port */
	uint32_t bytes;
	uint64_t sent, received, skipped;
};

static void
die(const char *what)
{
	fprintf(stderr, "paced: %s\n", what);
	exit(EXIT_FAILURE);
}

static void
port_start(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_link link;
	unsigned int tries;

	if (rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup(port, 0, RING, SOCKET_ID_ANY, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(port, 0, RING, SOCKET_ID_ANY, NULL) != 0 ||
	    rte_eth_dev_start(port) != 0)
		die("cannot start a port");
	for (tries = 0; tries < 1000; tries++, rte_delay_ms(10))
		if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status)
			return;
	die("a port has no link");
}

/** An Ethernet frame of a type for experiments. */
static void
fill(struct rte_mempool *pool, void *arg, void *object, unsigned int i)
{
	static const uint8_t header[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
	struct rte_mbuf *mbuf = object;

	memset((uint8_t *)mbuf->buf_addr + RTE_PKTMBUF_HEADROOM, 0x5a,
	       mbuf->buf_len - RTE_PKTMBUF_HEADROOM);
	memcpy((uint8_t *)mbuf->buf_addr + RTE_PKTMBUF_HEADROOM, header, sizeof(header));
}

static void
take(struct paced *paced)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = rte_eth_rx_burst(paced->last, 0, mbufs, BURST);

	paced->received += n;
	if (n > 0)
		rte_pktmbuf_free_bulk(mbufs, n);
}

static void
give(struct paced *paced, uint32_t n)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t i, sent;

	if (rte_pktmbuf_alloc_bulk(paced->pool, mbufs, n) != 0)
		return;
	for (i = 0; i < n; i++)
		mbufs[i]->data_len = mbufs[i]->pkt_len = paced->bytes;
	sent = rte_eth_tx_burst(0, 0, mbufs, n);
	paced->sent += sent;
	if (sent < n)
		rte_pktmbuf_free_bulk(&mbufs[sent], n - sent);
}

static void
run(struct paced *paced, uint64_t rate, uint64_t seconds)
{
	const uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc(), end = start + seconds * hz;
	uint64_t now, due;

	while ((now = rte_rdtsc()) < end) {
		take(paced);
		due = rate == 0 ? BURST
				: (uint64_t)((__uint128_t)(now - start) * rate / hz) - paced->sent -
					  paced->skipped;
		if (due > BEHIND_MAX && rate != 0) {
			paced->skipped += due - BEHIND_MAX;
			due = BEHIND_MAX;
		}
		if (due >= BURST)
			give(paced, BURST);
		else
			sched_yield(); /* the core may be somebody else's as well */
	}
}

int
main(int argc, char **argv)
{
	struct paced paced = {0};
	uint64_t rate, seconds, end;
	int n = rte_eal_init(argc, argv);

	if (n < 0 || argc - n != 4)
		die("paced [EAL options] -- RATE SECONDS BYTES");
	rate = strtoull(argv[n + 1], NULL, 10);
	seconds = strtoull(argv[n + 2], NULL, 10);
	paced.bytes = strtoul(argv[n + 3], NULL, 10);
	paced.last = rte_eth_dev_count_avail() - 1;
	paced.pool = rte_pktmbuf_pool_create("paced", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					     SOCKET_ID_ANY);
	if (paced.pool == NULL || paced.last > 1)
		die("no memory, or not one or two ports");
	rte_mempool_obj_iter(paced.pool, fill, NULL);
	port_start(0, paced.pool);
	if (paced.last > 0)
		port_start(paced.last, paced.pool);
	run(&paced, rate, seconds);
	for (end = rte_rdtsc() + DRAIN_MS * rte_get_tsc_hz() / 1000; rte_rdtsc() < end;)
		take(&paced);
	printf("{\"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"skipped\": %" PRIu64 "}\n",
	       paced.sent, paced.received, paced.skipped);
	return EXIT_SUCCESS;
}
