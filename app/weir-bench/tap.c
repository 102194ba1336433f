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
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "bench.h"
#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_rx_ids.h"

#define BURST 32
#define IDS 512
#define FRAME_MAX 2048
#define ETHER_TYPE 0x88b5
/** Frames that an interface's queue is made to hold. */
#define WAITING 8000
/** Of them read before the clock starts: more than any contender has read ahead. */
#define AHEAD 1024
#define PACKET_QDISC_BYPASS_OPTION 20
#define PACKET_VNET_HDR_OPTION 15
/** A packet that TCP leaves to be cut: its headers, and so many frames' payload. */
#define UNCUT_HEADERS (14 + 20 + 20)
#define UNCUT_MSS 1460
#define UNCUT_FRAMES 44
#define UNCUT_BYTES (UNCUT_HEADERS + UNCUT_FRAMES * UNCUT_MSS)

enum contender { INLINE, THREAD, SQPOLL, NET_TAP, ON_PACKET, N_CONTENDERS };
#define N_MODES NET_TAP

static const char *const contender_names[N_CONTENDERS] = {"inline", "thread", "sqpoll", "net_tap",
							  "af_packet"};

/** One end that is measured, whichever it is. */
struct end {
	enum contender contender;
	const char *iface; /* the host's side of it */
	int host;	   /* a packet socket there, or -1 */
	int host_uncut;	   /* one that takes what is to be cut */
	bool missing;

	/* A tap endpoint of ours. */
	struct weir_endpoint *endpoint;
	struct weir_endpoint_client client;
	struct weir_access access;
	struct weir_target target;
	struct weir_queue *queue;
	uint8_t *memory; /* IDS buffers */
	size_t buffer_bytes;
	uint64_t n_frames; /* read, what is uncut counted as what it is cut to */

	/* A port of DPDK's. */
	uint16_t port;
	struct rte_mempool *pool;
};

static uint8_t frame[FRAME_MAX] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5};

/* The least guest: its buffers are an array. */

static uint8_t *
guest_buffer(struct weir_access *access, uint16_t id)
{
	struct end *end = container_of(access, struct end, access);

	return end->memory + id * end->buffer_bytes;
}

static uint32_t
guest_capacity(struct weir_access *access, uint16_t id)
{
	return container_of(access, struct end, access)->buffer_bytes;
}

static unsigned int
guest_addresses(struct weir_access *access, uint16_t id, struct iovec *iov, unsigned int n)
{
	iov[0] = (struct iovec){guest_buffer(access, id), guest_capacity(access, id)};
	return 1;
}

static int
guest_write_data(struct weir_access *access, uint16_t id, uint32_t offset, const void *data,
		 uint32_t len)
{
	if (offset + len > guest_capacity(access, id))
		return -EMSGSIZE;
	memcpy(guest_buffer(access, id) + offset, data, len);
	return 0;
}

static void
guest_write_header(struct weir_access *access, uint16_t id, const struct weir_rx_meta *meta)
{
	struct end *end = container_of(access, struct end, access);

	end->n_frames += meta->offload.gso_size == 0
				 ? 1
				 : (meta->len - UNCUT_HEADERS) / meta->offload.gso_size;
}

static int
guest_write_packet(struct weir_access *access, uint16_t id, const struct weir_rx_meta *meta,
		   const void *data)
{
	memcpy(guest_buffer(access, id), data, RTE_MIN(meta->len, guest_capacity(access, id)));
	guest_write_header(access, id, meta);
	return 0;
}

static const struct weir_access_ops guest_ops = {
	.capacity = guest_capacity,
	.guest_addresses = guest_addresses,
	.write_data = guest_write_data,
	.write_header = guest_write_header,
	.write_packet = guest_write_packet,
};

static void
guest_run(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

/* Ends. */

static void *
queues_get(void *arg)
{
	struct end *end = arg;

	end->missing = weir_endpoint_get_queues(end->endpoint, &end->client, &end->queue) != 0;
	if (end->missing)
		fprintf(stderr, "weir-bench: %s\n", weir_error_text());
	return NULL;
}

static int
weir_end_open(struct end *end, bool uncut)
{
	uint16_t ids[IDS], i;
	char keys[96];
	pthread_t control;

	snprintf(keys, sizeof(keys), "name=%s,type=tap,iface=%s,io=%s", end->iface, end->iface,
		 contender_names[end->contender]);
	end->buffer_bytes = uncut ? WEIR_FRAME_LEN_MAX : FRAME_MAX;
	end->endpoint = weir_endpoint_create(keys);
	if (end->endpoint == NULL)
		return -EIO;
	end->memory = calloc(IDS, end->buffer_bytes);
	end->access.ops = &guest_ops;
	end->target.run = guest_run;
	end->client = (struct weir_endpoint_client){
		.name = "bench",
		.n_queues = 1,
		.mtu = 1500,
		.numa_node = SOCKET_ID_ANY,
		.rx_offloads = uncut ? WEIR_OFFLOAD_CAP_CSUM | WEIR_OFFLOAD_CAP_TSO4 : 0,
		.access = {&end->access},
		.target = {&end->target},
	};
	/* As in weir: a thread that the kernel makes runs where its maker may. */
	if (end->memory == NULL ||
	    rte_ctrl_thread_create(&control, "bench-control", NULL, queues_get, end) != 0)
		return weir_error(ENOMEM, "tap: no memory or thread for a guest");
	pthread_join(control, NULL);
	if (end->missing)
		return 0;
	for (i = 0; i < IDS; i++)
		ids[i] = i;
	end->queue->ops->rx_avail(end->queue, &end->access, ids, IDS);
	return 0;
}

static void
mbuf_fill(struct rte_mempool *pool, void *arg, void *object, unsigned int index)
{
	struct rte_mbuf *mbuf = object;

	memcpy((uint8_t *)mbuf->buf_addr + RTE_PKTMBUF_HEADROOM, frame, sizeof(frame));
}

/** A port of DPDK's, or a missing one: not every machine has every driver. */
static int
port_open(struct end *end, const char *device, const char *args)
{
	const struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE};
	char name[32];

	snprintf(name, sizeof(name), "bench_%s", contender_names[end->contender]);
	end->pool = rte_pktmbuf_pool_create(name, 4095, 256, 0,
					    FRAME_MAX + 2 * RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	if (end->pool == NULL)
		return weir_error(ENOMEM, "tap: no memory for %s's mbufs", device);
	rte_mempool_obj_iter(end->pool, mbuf_fill, NULL);
	end->missing =
		rte_eal_hotplug_add("vdev", device, args) != 0 ||
		rte_eth_dev_get_port_by_name(device, &end->port) != 0 ||
		rte_eth_dev_configure(end->port, 1, 1, &conf) != 0 ||
		rte_eth_rx_queue_setup(end->port, 0, 1024, SOCKET_ID_ANY, NULL, end->pool) != 0 ||
		rte_eth_tx_queue_setup(end->port, 0, 1024, SOCKET_ID_ANY, NULL) != 0 ||
		rte_eth_dev_start(end->port) != 0;
	if (end->missing)
		fprintf(stderr, "weir-bench: tap: %s cannot be had here\n", device);
	return 0;
}

/** A packet socket on the host's side, and a queue there that is long enough. */
static void
host_open(struct end *end)
{
	struct ifreq request = {.ifr_qlen = 2 * WAITING};
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = 0};
	const int on = 1;

	end->host = end->host_uncut = -1;
	if (end->missing || end->contender == ON_PACKET)
		return;
	snprintf(request.ifr_name, IFNAMSIZ, "%s", end->iface);
	addr.sll_ifindex = if_nametoindex(end->iface);
	end->host = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	ioctl(end->host, SIOCSIFTXQLEN, &request);
	setsockopt(end->host, SOL_PACKET, PACKET_QDISC_BYPASS_OPTION, &on, sizeof(on));
	bind(end->host, (struct sockaddr *)&addr, sizeof(addr));
	/* Not past the queueing discipline, where a packet that is cut would be dropped. */
	end->host_uncut = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	setsockopt(end->host_uncut, SOL_PACKET, PACKET_VNET_HDR_OPTION, &on, sizeof(on));
	bind(end->host_uncut, (struct sockaddr *)&addr, sizeof(addr));
}

static int
end_open(struct end *end, enum contender contender, bool uncut)
{
	static const char *const ifaces[2][N_CONTENDERS] = {
		{"bench0", "bench1", "bench2", "bench3", "bench4"},
		{"bench6", "bench7", "bench8"},
	};
	int rc;

	*end = (struct end){.contender = contender,
			    .iface = ifaces[uncut][contender],
			    .host = -1,
			    .host_uncut = -1};
	switch (contender) {
	case NET_TAP:
		rc = port_open(end, "net_tap9", "iface=bench3");
		break;
	case ON_PACKET:
		end->missing = system("ip link add bench4 type veth peer name bench5 &&"
				      "ip link set bench4 up && ip link set bench5 up") != 0;
		rc = end->missing ? 0 : port_open(end, "net_af_packet9", "iface=bench4");
		break;
	default:
		rc = weir_end_open(end, uncut);
	}
	if (rc == 0)
		host_open(end);
	return rc;
}

static void
end_close(struct end *end)
{
	if (end->host >= 0) {
		close(end->host);
		close(end->host_uncut);
	}
	if (end->queue != NULL)
		weir_endpoint_stop(end->endpoint, &end->client, &end->queue);
	weir_endpoint_free(end->endpoint);
	free(end->memory);
	if (end->contender >= NET_TAP && !end->missing) {
		rte_eth_dev_stop(end->port);
		rte_eth_dev_close(end->port);
	}
	rte_mempool_free(end->pool);
}

/* One burst each way, as a poll lcore does it. */

static __rte_always_inline uint16_t
port_write(struct end *end, uint32_t len)
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
port_read(struct end *end)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = rte_eth_rx_burst(end->port, 0, mbufs, BURST);

	rte_pktmbuf_free_bulk(mbufs, n);
	return n;
}

static __rte_always_inline uint16_t
weir_read(struct end *end)
{
	uint64_t before = end->n_frames;
	uint16_t ids[BURST];
	int n = end->queue->ops->rx_poll(end->queue, &end->access, ids, BURST);

	if (n > 0)
		end->queue->ops->rx_avail(end->queue, &end->access, ids, n);
	return end->n_frames - before;
}

static __rte_always_inline uint16_t
weir_write(struct end *end, const struct weir_tx_segment *segments)
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
write_measure(struct end *end, const struct bench_options *options, uint32_t len)
{
	const uint64_t slice = rte_get_tsc_hz() / 1000000 * options->slice_us;
	uint64_t start = rte_rdtsc(), now = start, before, busy = 0, n = 0;
	struct weir_tx_segment segments[BURST] = {0};
	uint16_t i, taken;

	for (i = 0; i < BURST; i++)
		segments[i] = (struct weir_tx_segment){
			.addr = frame, .len = len, .frame_len = len, .n_segments = 1};
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
queue_fill(struct end *end, uint32_t len)
{
	struct mmsghdr messages[BURST];
	struct iovec iov = {frame, len};
	uint32_t n = 0;
	int i, sent;

	memset(messages, 0, sizeof(messages));
	for (i = 0; i < BURST; i++) {
		messages[i].msg_hdr.msg_iov = &iov;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (n < WAITING) {
		sent = sendmmsg(end->host, messages, BURST, MSG_DONTWAIT);
		if (sent <= 0)
			break;
		n += sent;
	}
	return n;
}

/** Likewise, with what TCP leaves to be cut; how many frames that is. */
static uint32_t
queue_fill_uncut(struct end *end)
{
	static uint8_t payload[UNCUT_FRAMES * UNCUT_MSS];
	uint8_t ether[] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00};
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .tot_len = htons(UNCUT_BYTES - sizeof(ether)),
			   .ttl = 64,
			   .protocol = IPPROTO_TCP};
	struct tcphdr tcp = {.doff = 5, .ack = 1};
	struct weir_offload offload = {.flags = WEIR_OFFLOAD_NEEDS_CSUM,
				       .gso_type = WEIR_GSO_TCPV4,
				       .hdr_len = UNCUT_HEADERS,
				       .gso_size = UNCUT_MSS,
				       .csum_start = sizeof(ether) + sizeof(ip),
				       .csum_offset = offsetof(struct tcphdr, check)};
	struct iovec iov[] = {{&offload, WEIR_OFFLOAD_VNET_SIZE},
			      {ether, sizeof(ether)},
			      {&ip, sizeof(ip)},
			      {&tcp, sizeof(tcp)},
			      {payload, sizeof(payload)}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = RTE_DIM(iov)};
	uint32_t n = 0;

	while (n < WAITING && sendmsg(end->host_uncut, &message, MSG_DONTWAIT) > 0)
		n += UNCUT_FRAMES;
	return n;
}

static struct figures
read_measure(struct end *end, const struct shape *shape)
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
	{"read 64 KB of TCP, as frames", UNCUT_BYTES, true, true},
};

struct results {
	double mpps[RTE_DIM(shapes)][N_CONTENDERS], ns[RTE_DIM(shapes)][N_CONTENDERS];
};

static void
shape_measure(const struct bench_options *options, struct end *ends, struct end *uncut,
	      size_t shape, struct results *results)
{
	double mpps[N_CONTENDERS][100], ns[N_CONTENDERS][100];
	uint32_t round, n[N_CONTENDERS] = {0};
	enum contender contender;

	for (round = 0; bench_round(options, shapes[shape].what, round); round++) {
		for (contender = 0; contender < N_CONTENDERS; contender++) {
			struct end *end = shapes[shape].uncut && contender < N_MODES
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
	for (contender = 0; contender < N_CONTENDERS; contender++) {
		results->mpps[shape][contender] = bench_best(&rates, mpps[contender], n[contender]);
		results->ns[shape][contender] = bench_best(&costs, ns[contender], n[contender]);
	}
}

static void
peer_rows(const struct bench_options *options, const struct bench_table *table,
	  const struct results *results, enum contender peer)
{
	size_t i;

	bench_table_head(options, table);
	for (i = 0; i < RTE_DIM(shapes); i++) {
		const double *mpps = results->mpps[i];
		const double pair[] = {fmax(mpps[INLINE], fmax(mpps[THREAD], mpps[SQPOLL])),
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
	peer_rows(options, &beside_tap, results, NET_TAP);
	peer_rows(options, &beside_packet, results, ON_PACKET);
}

static int
tap_run(const struct bench_options *options)
{
	struct end ends[N_CONTENDERS], uncut[N_MODES];
	struct results results;
	unsigned int n = 0, n_uncut = 0;
	size_t i;
	int rc = 0;

	if (unshare(CLONE_NEWNET) != 0)
		return weir_error(errno,
				  "tap: no network namespace to measure in (%s): run as root",
				  strerror(errno));
	for (; n < N_CONTENDERS && rc == 0; n++)
		rc = end_open(&ends[n], n, false);
	for (; n_uncut < N_MODES && rc == 0; n_uncut++)
		rc = end_open(&uncut[n_uncut], n_uncut, true);
	for (i = 0; i < RTE_DIM(shapes) && rc == 0; i++)
		shape_measure(options, ends, uncut, i, &results);
	if (rc == 0)
		results_print(options, &results);
	while (n_uncut > 0)
		end_close(&uncut[--n_uncut]);
	while (n > 0)
		end_close(&ends[--n]);
	return rc;
}

static const struct bench_mode tap_mode = {
	.name = "tap",
	.usage = "tap             the tap's modes beside net_tap and net_af_packet; -l 0 only",
	.run = tap_run,
};

BENCH_MODE_REGISTER(tap_mode);
