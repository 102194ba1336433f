/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What segmentation that is left to the kernel is worth: TCP payload from a guest's ring
 * to a tap in a second of the lcore, in frames of 64 KB and in frames of the MTU, in turn.
 * The lcore's own time is counted, and only while there is something to send: neither the
 * guest nor the rest of the machine is measured.
 *
 *   build/tests/perf/tso_perf        root; makes a network namespace of its own
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "harness.h"
#include "place.h"

#define ROUNDS 9
#define ROUND_SECONDS 0.1
#define HEADERS                                                                                    \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))
#define MSS 1460

/** A TCP segment of @p payload bytes, unfinished, behind its virtio-net header. */
static struct guest_buf
frame_write(const struct vhost_guest *guest, uint64_t addr, uint32_t payload)
{
	struct virtio_net_hdr_mrg_rxbuf vnet = {
		.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.hdr.csum_start = HEADERS - sizeof(struct rte_tcp_hdr),
		.hdr.csum_offset = offsetof(struct rte_tcp_hdr, cksum),
	};
	uint8_t headers[HEADERS] = {0};
	struct rte_ether_hdr *ether = (void *)headers;
	struct rte_ipv4_hdr *ip = (void *)(ether + 1);
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);

	if (payload > MSS) {
		vnet.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		vnet.hdr.gso_size = MSS;
		vnet.hdr.hdr_len = HEADERS;
	}
	/* To nobody's address: the kernel takes the frame in, and is done with it. */
	ether->dst_addr.addr_bytes[0] = 2;
	ether->src_addr.addr_bytes[0] = 2;
	ether->src_addr.addr_bytes[5] = 1;
	ether->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_TCP;
	ip->total_length = rte_cpu_to_be_16(HEADERS - sizeof(*ether) + payload);
	ip->src_addr = RTE_BE32(RTE_IPV4(10, 0, 0, 2));
	ip->dst_addr = RTE_BE32(RTE_IPV4(10, 0, 0, 9));
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->data_off = sizeof(*tcp) / 4 << 4;
	guest_write(&guest->guest, addr, &vnet, sizeof(vnet));
	guest_write(&guest->guest, addr + sizeof(vnet), headers, sizeof(headers));
	return (struct guest_buf){addr, sizeof(vnet) + HEADERS + payload};
}

/* The lcore is this thread: it polls when the guest has filled its ring. */

static struct weir_pair *polled;

static void
run_here(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

static struct weir_target here = {.run = run_here};

static struct weir_target *
place_here(struct weir_scheduler *scheduler, const char *name, uint16_t index, int numa_node)
{
	return &here;
}

static struct weir_target *
place_on_here(struct weir_scheduler *scheduler, unsigned int lcore)
{
	return &here;
}

static void
attach_here(struct weir_scheduler *scheduler, struct weir_target *target, struct weir_pair *pair)
{
	polled = pair;
}

static void
detach_here(struct weir_scheduler *scheduler, struct weir_target *target, struct weir_pair *pair)
{
	polled = NULL;
}

static void
leave_here(struct weir_scheduler *scheduler, struct weir_target *target)
{
}

static int
watch_here(struct weir_scheduler *scheduler, struct weir_target *target, struct weir_pair *pair,
	   enum weir_pair_wake wake, int fd)
{
	return 0;
}

static void
unwatch_here(struct weir_scheduler *scheduler, struct weir_target *target, int fd)
{
}

static struct weir_scheduler scheduler = {
	.place = place_here,
	.place_on = place_on_here,
	.attach = attach_here,
	.detach = detach_here,
	.leave = leave_here,
	.watch = watch_here,
	.unwatch = unwatch_here,
};

/** Of this thread alone: others on the machine do not count. */
static double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/** Gbit of payload in a second of the lcore. */
static double
round_run(struct vhost_guest *guest, uint32_t payload)
{
	uint64_t full, first = vhost_guest_count(&guest->done);
	double spent = 0, start;

	/* At the end of its memory, where no buffer is. */
	guest->fixed = frame_write(guest, guest->guest.end - (128 << 10), payload);
	while (spent < ROUND_SECONDS) {
		full = vhost_guest_count(&guest->done) + VHOST_GUEST_RING;
		vhost_guest_set(&guest->sending, true);
		place_wait_past(&guest->sent, full);
		vhost_guest_set(&guest->sending, false);
		start = cpu_seconds();
		for (unsigned int moved = 0; moved < VHOST_GUEST_RING;)
			moved += weir_pair_poll(polled);
		spent += cpu_seconds() - start;
		place_wait_past(&guest->done, full);
	}
	return (vhost_guest_count(&guest->done) - first) * payload * 8.0 / spent / 1e9;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
tso_is_worth_its_while(void **state)
{
	const uint32_t lengths[] = {MSS, 8 * MSS, 65535 - 40};
	double rates[RTE_DIM(lengths)][ROUNDS], ratios[RTE_DIM(lengths)][ROUNDS];
	struct weir_queue_stats stats;
	static struct vhost_guest guest;
	struct weir_guest *port;
	unsigned int round, i;

	port = weir_guest_create("name=g,socket=/tmp/weir-tso.sock,endpoint=up", &scheduler, NULL);
	assert_non_null(port);
	assert_int_equal(weir_guest_start(port), 0);
	vhost_guest_open(&guest, "/tmp/weir-tso.sock", 0,
			 GUEST_BASIC | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4));
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < RTE_DIM(lengths); i++) {
			rates[i][round] = round_run(&guest, lengths[i]);
			ratios[i][round] = rates[i][round] / rates[0][round];
		}
	weir_endpoint_stats(place_endpoint("up"), &stats);
	assert_int_equal(stats.tx_dropped, 0);
	for (i = 0; i < RTE_DIM(lengths); i++) {
		qsort(rates[i], ROUNDS, sizeof(double), compare);
		qsort(ratios[i], ROUNDS, sizeof(double), compare);
		printf("%6u bytes of payload a frame: %7.2f Gbit/s, %5.1f times one MTU's "
		       "(medians of %d)\n",
		       lengths[i], rates[i][ROUNDS / 2], ratios[i][ROUNDS / 2], ROUNDS);
	}
	vhost_guest_close(&guest);
	weir_guest_free(port);
}

static int
setup(void **state)
{
	if (unshare(CLONE_NEWNET) != 0)
		return -1;
	harness_eal();
	return weir_endpoint_create("name=up,type=tap,iface=weir-tso") == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	weir_endpoint_free(place_endpoint("up"));
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tso_is_worth_its_while)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
