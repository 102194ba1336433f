/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode tap: the endpoint `tap` by each of its modes beside DPDK's own drivers, net_tap on
 * a tap and net_af_packet on a veth, all in a network namespace of its own. The main
 * lcore is the poll lcore, which writes frames, or reads those that wait in the
 * interface's queue: filled before each measurement, so that no generator is measured.
 * What the host's TCP sends is filled in as 64 KB to be cut: the kernel cuts it for who
 * takes no segmentation (net_tap), and counted are frames either way.
 *
 * Give it one lcore (-l 0): the host thread and the kernel thread then run on the others.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "bench.h"
#include "tap_end.h"
#include "weir_error.h"

#define BURST 32
/** Of them read before the clock starts: more than any contender has read ahead. */
#define AHEAD 1024

/* One burst each way, as a poll lcore does it. */

static __rte_always_inline uint16_t
port_write(struct tap_end *end, uint32_t len)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t i, n;

	if (rte_pktmbuf_alloc_bulk(end->pool, mbufs, BURST) != 0)
		return 0;
	for (i = 0; i < BURST; i++)
		mbufs[i]->data_len = mbufs[i]->pkt_len = len;
	n = rte_eth_tx_burst(end->port, 0, mbufs, BURST);
	rte_pktmbuf_free_bulk(mbufs + n, BURST - n);
	return n;
}

static __rte_always_inline uint16_t
port_read(struct tap_end *end)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = rte_eth_rx_burst(end->port, 0, mbufs, BURST);

	rte_pktmbuf_free_bulk(mbufs, n);
	return n;
}

static __rte_always_inline uint16_t
weir_read(struct tap_end *end)
{
	uint64_t before = end->n_frames;
	uint16_t ids[BURST];
	int n = end->queue->ops->rx_poll(end->queue, &end->access, ids, BURST);

	if (n > 0)
		end->queue->ops->rx_avail(end->queue, &end->access, ids, n);
	return end->n_frames - before;
}

static __rte_always_inline uint16_t
weir_write(struct tap_end *end, const struct weir_tx_segment *segments)
{
	bool done;
	uint16_t n = end->queue->ops->tx_avail(end->queue, &end->access, segments, BURST, &done);

	weir_read(end);
	return n;
}

struct shape {
	const char *what;
	uint32_t len;
	bool reads;
	bool uncut;
};

struct figures {
	double mpps, ns;
};

static struct figures
figures_of(uint64_t n, uint64_t cycles, uint64_t busy)
{
	const double hz = rte_get_tsc_hz();

	if (n == 0)
		return (struct figures){NAN, NAN};
	return (struct figures){n / (cycles / hz) / 1e6, busy / hz * 1e9 / n};
}

static struct figures
write_measure(struct tap_end *end, const struct bench_options *options, uint32_t len)
{
	const uint64_t slice = rte_get_tsc_hz() / 1000000 * options->slice_us;
	uint64_t start = rte_rdtsc(), now = start, before, busy = 0, n = 0;
	struct weir_tx_segment segments[BURST] = {0};
	uint16_t i, taken;

	for (i = 0; i < BURST; i++)
		segments[i] = (struct weir_tx_segment){
			.addr = tap_frame, .len = len, .frame_len = len, .n_segments = 1};
	while (now - start < slice) {
		before = rte_rdtsc();
		taken = end->queue != NULL ? weir_write(end, segments) : port_write(end, len);
		now = rte_rdtsc();
		if (taken > 0)
			busy += now - before;
		n += taken;
	}
	return figures_of(n, now - start, busy);
}

/** Fill the interface's queue; how many went in. */
static uint32_t
queue_fill(struct tap_end *end, uint32_t len)
{
	struct mmsghdr messages[BURST];
	struct iovec iov = {tap_frame, len};
	uint32_t n = 0;
	int i, sent;

	memset(messages, 0, sizeof(messages));
	for (i = 0; i < BURST; i++) {
		messages[i].msg_hdr.msg_iov = &iov;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (n < TAP_WAITING) {
		sent = sendmmsg(end->host, messages, BURST, MSG_DONTWAIT);
		if (sent <= 0)
			break;
		n += sent;
	}
	return n;
}

/** Likewise, with what TCP leaves to be cut; how many frames that is. */
static uint32_t
queue_fill_uncut(struct tap_end *end)
{
	static uint8_t payload[TAP_UNCUT_FRAMES * TAP_UNCUT_MSS];
	uint8_t ether[] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00};
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .tot_len = htons(TAP_UNCUT_BYTES - sizeof(ether)),
			   .ttl = 64,
			   .protocol = IPPROTO_TCP};
	struct tcphdr tcp = {.doff = 5, .ack = 1};
	struct weir_offload offload = {.flags = WEIR_OFFLOAD_NEEDS_CSUM,
				       .gso_type = WEIR_GSO_TCPV4,
				       .hdr_len = TAP_UNCUT_HEADERS,
				       .gso_size = TAP_UNCUT_MSS,
				       .csum_start = sizeof(ether) + sizeof(ip),
				       .csum_offset = offsetof(struct tcphdr, check)};
	struct iovec iov[] = {{&offload, WEIR_OFFLOAD_VNET_SIZE},
			      {ether, sizeof(ether)},
			      {&ip, sizeof(ip)},
			      {&tcp, sizeof(tcp)},
			      {payload, sizeof(payload)}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = RTE_DIM(iov)};
	uint32_t n = 0;

	while (n < TAP_WAITING && sendmsg(end->host_uncut, &message, MSG_DONTWAIT) > 0)
		n += TAP_UNCUT_FRAMES;
	return n;
}

static struct figures
read_measure(struct tap_end *end, const struct shape *shape)
{
	const uint64_t patience = rte_get_tsc_hz() / 10;
	uint64_t start = 0, last, now, before, busy = 0, n = 0, total;
	uint16_t got;

	if (end->host < 0)
		return (struct figures){NAN, NAN};
	total = shape->uncut ? queue_fill_uncut(end) : queue_fill(end, shape->len);
	last = now = rte_rdtsc();
	while (n < total && now - last < patience) {
		before = rte_rdtsc();
		got = end->queue != NULL ? weir_read(end) : port_read(end);
		now = rte_rdtsc();
		if (got == 0)
			continue;
		last = now;
		if (n >= AHEAD) {
			start = start != 0 ? start : before;
			busy += now - before;
		}
		n += got;
	}
	return n > AHEAD ? figures_of(n - AHEAD, last - start, busy) : (struct figures){NAN, NAN};
}

/* Tables. */

static const char *const mode_names[] = {"inline", "thread", "sqpoll"};
static const char *const tap_peer[] = {"weir", "net_tap"};
static const char *const packet_peer[] = {"weir", "net_af_packet"};

static const struct bench_table rates = {
	.mode = "tap",
	.title = "Tap, rate by mode",
	.unit = "Mpps",
	.more_is_better = true,
	.contenders = mode_names,
	.n_contenders = RTE_DIM(mode_names),
};
static const struct bench_table costs = {
	.mode = "tap",
	.title = "Tap, the poll lcore's time a frame by mode",
	.unit = "ns",
	.contenders = mode_names,
	.n_contenders = RTE_DIM(mode_names),
};
static const struct bench_table beside_tap = {
	.mode = "tap",
	.title = "Tap, the best mode beside net_tap",
	.unit = "Mpps",
	.more_is_better = true,
	.contenders = tap_peer,
	.n_contenders = RTE_DIM(tap_peer),
};
static const struct bench_table beside_packet = {
	.mode = "tap",
	.title = "Tap, the best mode beside net_af_packet on a veth",
	.unit = "Mpps",
	.more_is_better = true,
	.contenders = packet_peer,
	.n_contenders = RTE_DIM(packet_peer),
};

static const struct shape shapes[] = {
	{"write 64 bytes", 64, false, false},
	{"write 1514 bytes", 1514, false, false},
	{"read 64 bytes", 64, true, false},
	{"read 1514 bytes", 1514, true, false},
	{"read 64 KB of TCP, as frames", TAP_UNCUT_BYTES, true, true},
};

struct results {
	double mpps[RTE_DIM(shapes)][TAP_CONTENDERS], ns[RTE_DIM(shapes)][TAP_CONTENDERS];
};

static void
shape_measure(const struct bench_options *options, struct tap_end *ends, struct tap_end *uncut,
	      size_t shape, struct results *results)
{
	double mpps[TAP_CONTENDERS][100], ns[TAP_CONTENDERS][100];
	uint32_t round, n[TAP_CONTENDERS] = {0};
	enum tap_contender contender;

	for (round = 0; bench_round(options, shapes[shape].what, round); round++) {
		for (contender = 0; contender < TAP_CONTENDERS; contender++) {
			struct tap_end *end = shapes[shape].uncut && contender < TAP_MODES
						      ? &uncut[contender]
						      : &ends[contender];
			struct figures figures = {NAN, NAN};

			if (!end->missing && shapes[shape].reads)
				figures = read_measure(end, &shapes[shape]);
			else if (!end->missing)
				figures = write_measure(end, options, shapes[shape].len);
			/* On a loaded machine a thread may not have run at all. */
			if (isnan(figures.mpps))
				continue;
			mpps[contender][n[contender]] = figures.mpps;
			ns[contender][n[contender]++] = figures.ns;
		}
	}
	for (contender = 0; contender < TAP_CONTENDERS; contender++) {
		results->mpps[shape][contender] = bench_best(&rates, mpps[contender], n[contender]);
		results->ns[shape][contender] = bench_best(&costs, ns[contender], n[contender]);
	}
}

static void
peer_rows(const struct bench_options *options, const struct bench_table *table,
	  const struct results *results, enum tap_contender peer)
{
	size_t i;

	bench_table_head(options, table);
	for (i = 0; i < RTE_DIM(shapes); i++) {
		const double *mpps = results->mpps[i];
		const double pair[] = {
			fmax(mpps[TAP_INLINE], fmax(mpps[TAP_THREAD], mpps[TAP_SQPOLL])),
			mpps[peer]};

		if (!isnan(pair[1]))
			bench_table_row(options, table, shapes[i].what, pair);
	}
}

static void
results_print(const struct bench_options *options, const struct results *results)
{
	size_t i;

	bench_table_head(options, &rates);
	for (i = 0; i < RTE_DIM(shapes); i++)
		bench_table_row(options, &rates, shapes[i].what, results->mpps[i]);
	bench_table_head(options, &costs);
	for (i = 0; i < RTE_DIM(shapes); i++)
		bench_table_row(options, &costs, shapes[i].what, results->ns[i]);
	peer_rows(options, &beside_tap, results, TAP_NET_TAP);
	peer_rows(options, &beside_packet, results, TAP_ON_PACKET);
}

static int
tap_run(const struct bench_options *options)
{
	struct tap_end ends[TAP_CONTENDERS], uncut[TAP_MODES];
	struct results results;
	unsigned int n = 0, n_uncut = 0;
	size_t i;
	int rc = 0;

	if (unshare(CLONE_NEWNET) != 0)
		return weir_error(errno,
				  "tap: no network namespace to measure in (%s): run as root",
				  strerror(errno));
	for (; n < TAP_CONTENDERS && rc == 0; n++)
		rc = tap_end_open(&ends[n], n, false);
	for (; n_uncut < TAP_MODES && rc == 0; n_uncut++)
		rc = tap_end_open(&uncut[n_uncut], n_uncut, true);
	for (i = 0; i < RTE_DIM(shapes) && rc == 0; i++)
		shape_measure(options, ends, uncut, i, &results);
	if (rc == 0)
		results_print(options, &results);
	while (n_uncut > 0)
		tap_end_close(&uncut[--n_uncut]);
	while (n > 0)
		tap_end_close(&ends[--n]);
	return rc;
}

static const struct bench_mode tap_mode = {
	.name = "tap",
	.usage = "tap             the tap's modes beside net_tap and net_af_packet; -l 0 only",
	.run = tap_run,
};

BENCH_MODE_REGISTER(tap_mode);
