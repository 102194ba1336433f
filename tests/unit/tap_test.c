/* SPDX-License-Identifier: BSD-3-Clause */
/* What tap promises beyond any endpoint: the kernel is behind it. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <net/if.h>
#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "harness.h"
#include "host_tap.h"
#include "plain_guest.h"
#include "weir_error.h"

#define IFACE "weir-test1"
#define HEADERS_LEN 54 /* Ethernet, IPv4, TCP */

static struct weir_endpoint *tap;
static struct plain_target here;
static struct plain_guest *guest;
static int host = -1;
static const char *io; /* of the mode under test */

static void
guest_attach(uint16_t n_queues, uint32_t rx_size, uint32_t rx_offloads)
{
	struct plain_target *target = &here;

	guest = plain_guest_new("g0", 1, n_queues, &target, 1);
	guest->client.rx_offloads = rx_offloads;
	guest->pairs[0].rx_size = rx_size;
	assert_int_equal(plain_guest_attach(guest, tap), 0);
	plain_pair_post(&guest->pairs[0], PLAIN_IDS);
}

static void
guest_detach(void)
{
	plain_guest_detach(guest);
	plain_guest_free(guest);
	guest = NULL;
}

/** Poll the first pair until @p value is what it has to become. */
static void
poll_until(const uint64_t *value, uint64_t wanted)
{
	uint64_t end = rte_get_timer_cycles() + 5 * rte_get_timer_hz();

	while (*value != wanted && rte_get_timer_cycles() < end)
		plain_pair_poll(&guest->pairs[0]);
	assert_int_equal(*value, wanted);
}

static int
setup(void **state)
{
	char keys[128];

	io = *state;
	snprintf(keys, sizeof(keys), "type=tap,name=up,iface=" IFACE ",mac=02:00:00:00:00:aa,io=%s",
		 io);
	tap = weir_endpoint_create(keys);
	if (tap == NULL)
		return -1;
	plain_target_here(&here);
	host = host_tap_socket(IFACE, HOST_TAP_ETHER_TYPE);
	return 0;
}

static int
teardown(void **state)
{
	if (guest != NULL)
		guest_detach();
	close(host);
	weir_endpoint_free(tap);
	return 0;
}

static int
iface_flags(unsigned long code, int flags)
{
	struct ifreq request = {.ifr_name = IFACE, .ifr_flags = flags};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), rc = ioctl(fd, code, &request);

	close(fd);
	assert_int_equal(rc, 0);
	return request.ifr_flags;
}

/** What the host gets, on a busy machine after a while; 0 when nothing. */
static ssize_t
host_receive(uint8_t *frame, size_t size)
{
	struct timeval patience = {.tv_sec = 10};
	ssize_t len;

	setsockopt(host, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	len = recv(host, frame, size, 0);
	return len < 0 ? 0 : len;
}

/** Sends and receives IPv4 from here on. */
static void
host_speaks_ip(void)
{
	close(host);
	host = host_tap_socket(IFACE, 0x0800);
}

static void
wrong_words_are_named(void **state)
{
	static const char *const wrong[][2] = {
		{"type=tap,name=x", "'iface' is missing"},
		{"type=tap,name=x,iface=sixteen-letters0", "16 characters"},
		{"type=tap,name=x,iface=a/b", "cannot name an interface"},
		{"type=tap,name=x,iface=weir-x,mac=01:00:00:00:00:01", "mac=01:00:00:00:00:01"},
		{"type=tap,name=x,iface=weir-x,up=perhaps", "one of off, on"},
		{"type=tap,name=x,iface=lo", "that is no tap"},
		{"type=tap,name=x,iface=a%s", "cannot name an interface"},
		{"type=tap,name=x,iface=a%d%d", "cannot name an interface"},
		{"type=tap,name=x,iface=weir-x,io=magic", "one of inline, thread, sqpoll, auto"},
		{"type=tap,name=x,iface=weir-x,mtu=20", "mtu=20"},
		{"type=tap,name=x,iface=weir-x,netns=a/b", "netns=a/b"},
		{"type=tap,name=x,iface=weir-x,netns=nowhere", "ip netns add nowhere"},
		{"type=tap,name=x,iface=weir-x,netns=4194305", "/proc/4194305/ns/net"},
	};
	size_t i;

	for (i = 0; i < RTE_DIM(wrong); i++) {
		assert_null(weir_endpoint_create(wrong[i][0]));
		assert_non_null(strstr(weir_error_text(), wrong[i][1]));
	}
	assert_int_equal(if_nametoindex("weir-x"), 0);
}

static void
two_endpoints_do_not_share_an_interface(void **state)
{
	if (access("/sys/class/net/" IFACE, F_OK) != 0)
		skip(); /* the mounted sysfs shows another network namespace */
	assert_null(weir_endpoint_create("type=tap,name=x,iface=" IFACE));
	assert_non_null(strstr(weir_error_text(), "in use by another program"));
	guest_attach(1, 2048, 0);
}

static void
an_interface_made_for_one_queue_serves_one(void **state)
{
	struct weir_endpoint *single;
	struct plain_target *target = &here;

	if (system("ip tuntap add weir-single mode tap") != 0)
		skip();
	single = weir_endpoint_create("type=tap,name=x,iface=weir-single");
	assert_non_null(single);
	guest = plain_guest_new("g0", 1, 2, &target, 1);
	assert_int_equal(plain_guest_attach(guest, single), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "made for one queue"));
	plain_guest_free(guest);
	guest = plain_guest_new("g0", 1, 1, &target, 1);
	assert_int_equal(plain_guest_attach(guest, single), 0);
	guest_detach();
	weir_endpoint_free(single);
	/* It was there before, so it stays. */
	assert_int_not_equal(if_nametoindex("weir-single"), 0);
	assert_int_equal(system("ip link del weir-single"), 0);
}

static void
the_host_gets_what_the_guest_sent(void **state)
{
	uint8_t frame[2048], expected[2048];
	uint64_t first;
	uint32_t len;

	guest_attach(1, 2048, 0);
	first = guest->pairs[0].sequence;
	for (len = 60; len <= 1514; len += 97) {
		assert_int_equal(plain_pair_send(&guest->pairs[0], 1, len, 1 + len % 9, NULL), 1);
		plain_frame_write(expected, len, 1, 0, ++first);
		assert_int_equal(host_receive(frame, sizeof(frame)), len);
		assert_memory_equal(frame, expected, len);
	}
	assert_int_equal(guest->queues[0]->stats.tx_dropped, 0);
}

static void
the_carrier_follows_the_guest(void **state)
{
	unsigned int index = if_nametoindex(IFACE), round;

	for (round = 0; round < 5; round++) {
		assert_false(iface_flags(SIOCGIFFLAGS, 0) & IFF_RUNNING);
		guest_attach(1, 2048, 0);
		assert_true(iface_flags(SIOCGIFFLAGS, 0) & IFF_RUNNING);
		guest_detach();
		assert_int_equal(if_nametoindex(IFACE), index);
	}
}

static void
the_next_guest_gets_no_stale_frames(void **state)
{
	uint8_t frame[64];
	unsigned int i;

	guest_attach(1, 2048, 0);
	for (i = 0; i < 50; i++) {
		plain_frame_write(frame, sizeof(frame), 0, 0, i + 1);
		assert_int_equal(send(host, frame, sizeof(frame), 0), sizeof(frame));
	}
	guest_detach();
	guest_attach(1, 2048, 0);
	for (i = 0; i < 10; i++)
		plain_pair_poll(&guest->pairs[0]);
	assert_int_equal(guest->pairs[0].received, 0);
}

static void
an_interface_that_is_down_drops_and_counts(void **state)
{
	struct weir_queue_stats *stats;
	uint8_t frame[2048];
	int flags;

	guest_attach(1, 2048, 0);
	stats = &guest->queues[0]->stats;
	flags = iface_flags(SIOCGIFFLAGS, 0);
	iface_flags(SIOCSIFFLAGS, flags & ~IFF_UP);
	assert_false(weir_endpoint_ops(tap)->link_up(tap));
	assert_int_equal(plain_pair_send(&guest->pairs[0], 3, 60, 1, NULL), 3);
	poll_until(&stats->tx_dropped, 3);
	assert_int_equal(stats->tx_packets, 0);
	assert_int_equal(plain_pair_poll(&guest->pairs[0]), 0);
	iface_flags(SIOCSIFFLAGS, flags | IFF_UP);
	host_receive(frame, sizeof(frame)); /* tells that the interface was down */
	assert_int_equal(plain_pair_send(&guest->pairs[0], 1, 60, 1, NULL), 1);
	assert_int_equal(host_receive(frame, sizeof(frame)), 60);
}

static void
a_deleted_interface_ends_the_queue(void **state)
{
	struct weir_queue *queue;
	uint16_t ids[4];
	uint64_t end;

	guest_attach(1, 2048, 0);
	queue = guest->queues[0];
	if (system("ip link del " IFACE) != 0)
		skip();
	end = rte_get_timer_cycles() + 5 * rte_get_timer_hz();
	while (queue->ops->rx_poll(queue, &guest->pairs[0].access, ids, 4) != WEIR_QUEUE_FATAL)
		assert_true(rte_get_timer_cycles() < end);
	assert_int_equal(queue->ops->tx_poll(queue, &guest->pairs[0].access, ids, 4),
			 WEIR_QUEUE_FATAL);
}

/** An IPv4 TCP frame whose payload was not cut and whose checksum is not complete. */
static uint32_t
tcp_frame(uint8_t *frame, uint32_t payload, struct weir_offload *offload)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(frame + 34);

	memset(frame, 0, HEADERS_LEN + payload);
	memcpy(frame, "\x02\0\0\0\0\xaa\x02\0\0\0\0\xbb\x08", 13);
	ip->version_ihl = 0x45;
	ip->total_length = htons(40 + payload);
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_TCP;
	ip->src_addr = htonl(0x0a000001);
	ip->dst_addr = htonl(0x0a000002);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->src_port = htons(1);
	tcp->dst_port = htons(2);
	tcp->data_off = 0x50;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG;
	tcp->cksum = rte_ipv4_phdr_cksum(ip, 0);
	*offload = (struct weir_offload){.flags = WEIR_OFFLOAD_NEEDS_CSUM,
					 .gso_type = payload > 1460 ? WEIR_GSO_TCPV4 : 0,
					 .hdr_len = payload > 1460 ? HEADERS_LEN : 0,
					 .gso_size = payload > 1460 ? 1460 : 0,
					 .csum_start = 34,
					 .csum_offset = 16};
	return HEADERS_LEN + payload;
}

static void
an_uncut_frame_goes_to_the_host_whole(void **state)
{
	static uint8_t frame[70000], got[70000];
	struct weir_tx_segment segments[3];
	struct weir_offload offload;
	uint32_t len = tcp_frame(frame, 60000, &offload);
	struct weir_queue *queue;
	bool done;

	host_speaks_ip();
	guest_attach(1, 2048, 0);
	queue = guest->queues[0];
	memset(segments, 0, sizeof(segments));
	segments[0] = (struct weir_tx_segment){.addr = frame, .len = 40, .frame_len = len, .id = 7};
	segments[0].n_segments = 3;
	segments[0].offload = offload;
	segments[1].addr = frame + 40;
	segments[1].len = 30000;
	segments[2].addr = frame + 30040;
	segments[2].len = len - 30040;
	assert_int_equal(queue->ops->tx_avail(queue, &guest->pairs[0].access, segments, 1, &done),
			 1);
	assert_true(done);
	assert_int_equal(queue->stats.tx_dropped, 0);
	assert_int_equal(host_receive(got, sizeof(got)), len);
	assert_memory_equal(got, frame, len);
}

/** Have the host's stack send a frame of TCP by a packet socket with metadata. */
static void
host_sends_uncut(uint32_t payload)
{
	static uint8_t frame[70010];
	struct weir_offload offload;
	uint32_t len = tcp_frame(frame + WEIR_OFFLOAD_VNET_SIZE, payload, &offload);
	const int on = 1, packet_vnet_hdr = 15;

	memcpy(frame, &offload, WEIR_OFFLOAD_VNET_SIZE);
	assert_int_equal(setsockopt(host, 263 /* SOL_PACKET */, packet_vnet_hdr, &on, sizeof(on)),
			 0);
	assert_int_equal(send(host, frame, len + WEIR_OFFLOAD_VNET_SIZE, 0),
			 len + WEIR_OFFLOAD_VNET_SIZE);
}

static void
an_uncut_frame_comes_whole_to_a_guest_that_takes_it(void **state)
{
	struct plain_pair *pair;

	host_speaks_ip();
	guest_attach(1, 70000, WEIR_OFFLOAD_CAP_ALL);
	pair = &guest->pairs[0];
	host_sends_uncut(40000);
	poll_until(&pair->queue->stats.rx_packets, 1);
	assert_int_equal(pair->last_meta.len, HEADERS_LEN + 40000);
	assert_int_equal(pair->last_meta.offload.gso_type, WEIR_GSO_TCPV4);
	assert_int_equal(pair->last_meta.offload.gso_size, 1460);
	assert_int_equal(pair->last_meta.offload.flags, WEIR_OFFLOAD_NEEDS_CSUM);
	assert_int_equal(pair->last_meta.offload.csum_start, 34);
}

static void
a_guest_that_takes_no_offloads_gets_finished_frames(void **state)
{
	struct plain_pair *pair;

	host_speaks_ip();
	guest_attach(1, 2048, 0);
	pair = &guest->pairs[0];
	host_sends_uncut(14600);
	poll_until(&pair->queue->stats.rx_packets, 10);
	assert_int_equal(pair->queue->stats.rx_bytes, 14600 + 10 * HEADERS_LEN);
	assert_int_equal(pair->last_meta.offload.gso_type, WEIR_GSO_NONE);
	assert_false(pair->last_meta.offload.flags & WEIR_OFFLOAD_NEEDS_CSUM);
}

static void
flows_spread_over_the_pairs_in_use(void **state)
{
	static uint8_t frame[2048];
	struct weir_offload offload;
	unsigned int flow, used = 0;
	uint64_t end, n;
	uint16_t i;

	host_speaks_ip();
	guest_attach(4, 2048, 0);
	for (i = 0; i < 4; i++) {
		guest->queues[i]->ops->set_active(guest->queues[i], i != 2);
		plain_pair_post(&guest->pairs[i], PLAIN_IDS);
	}
	for (flow = 0; flow < 200; flow++) {
		uint32_t len = tcp_frame(frame, 100, &offload);

		frame[35] = flow; /* the source port */
		assert_int_equal(send(host, frame, len, 0), len);
		for (i = 0; i < 4; i++)
			plain_pair_poll(&guest->pairs[i]);
	}
	end = rte_get_timer_cycles() + 5 * rte_get_timer_hz();
	do {
		for (i = 0, n = 0; i < 4; i++) {
			plain_pair_poll(&guest->pairs[i]);
			n += guest->queues[i]->stats.rx_packets;
		}
	} while (n < 200 && rte_get_timer_cycles() < end);
	assert_true(n >= 200);
	for (i = 0; i < 4; i++)
		used += guest->queues[i]->stats.rx_packets > 10;
	assert_int_equal(used, 3);
	assert_int_equal(guest->queues[2]->stats.rx_packets, 0);
}

/** A long frame each way, again and again: every buffer of the mode is used. */
static void
uncut_frames_in_a_row_lose_nothing(void **state)
{
	static uint8_t frame[70000], got[70000];
	struct weir_tx_segment segment;
	struct plain_pair *pair;
	struct weir_offload offload;
	uint32_t len = tcp_frame(frame, 64000, &offload), i;
	bool done;

	host_speaks_ip();
	guest_attach(1, 70000, WEIR_OFFLOAD_CAP_ALL);
	pair = &guest->pairs[0];
	for (i = 0; i < len - HEADERS_LEN; i++)
		frame[HEADERS_LEN + i] = i * 7 + i / 1000;
	memset(&segment, 0, sizeof(segment));
	segment = (struct weir_tx_segment){
		.addr = frame, .len = len, .frame_len = len, .n_segments = 1, .offload = offload};
	host_sends_uncut(64000); /* from here on its frames have a header, both ways */
	poll_until(&pair->queue->stats.rx_packets, 1);
	plain_pair_post(pair, 1);
	for (i = 0; i < 100; i++) {
		while (pair->queue->ops->tx_avail(pair->queue, &pair->access, &segment, 1, &done) ==
		       0)
			plain_pair_poll(pair);
		assert_int_equal(host_receive(got, sizeof(got)), len + WEIR_OFFLOAD_VNET_SIZE);
		assert_memory_equal(got + WEIR_OFFLOAD_VNET_SIZE, frame, len);
		host_sends_uncut(64000 - i);
		poll_until(&pair->queue->stats.rx_packets, i + 2);
		assert_int_equal(pair->last_meta.len, HEADERS_LEN + 64000 - i);
		plain_pair_post(pair, 1);
	}
	assert_int_equal(pair->queue->stats.tx_dropped + pair->queue->stats.rx_dropped, 0);
}

/* What the endpoint does with its interface: the same in all modes. */

static void
a_template_becomes_the_first_free_name(void **state)
{
	struct weir_endpoint *first = weir_endpoint_create("type=tap,name=t0,iface=weir-t%d");
	struct weir_endpoint *second = weir_endpoint_create("type=tap,name=t1,iface=weir-t%d");

	assert_non_null(first);
	assert_non_null(second);
	assert_int_not_equal(if_nametoindex("weir-t0"), 0);
	assert_int_not_equal(if_nametoindex("weir-t1"), 0);
	weir_endpoint_free(first);
	assert_int_equal(if_nametoindex("weir-t0"), 0);
	assert_int_not_equal(if_nametoindex("weir-t1"), 0);
	weir_endpoint_free(second);
}

static int
iface_mtu(const char *name)
{
	struct ifreq request = {.ifr_name = ""};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), rc;

	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	rc = ioctl(fd, SIOCGIFMTU, &request);
	close(fd);
	assert_int_equal(rc, 0);
	return request.ifr_mtu;
}

static void
the_mtu_is_the_guests_or_the_one_that_was_given(void **state)
{
	struct weir_endpoint *fixed, *usual = tap;

	guest_attach(1, 2048, 0);
	assert_int_equal(iface_mtu(IFACE), 1500);
	guest_detach();
	tap = fixed = weir_endpoint_create("type=tap,name=f,iface=weir-f,mtu=1280");
	assert_non_null(fixed);
	assert_int_equal(iface_mtu("weir-f"), 1280);
	guest_attach(1, 2048, 0);
	assert_int_equal(iface_mtu("weir-f"), 1280);
	guest_detach();
	tap = usual;
	weir_endpoint_free(fixed);
}

static void
an_interface_of_another_user_is_used_and_stays(void **state)
{
	struct weir_endpoint *usual = tap;

	if (system("ip tuntap add weir-owned mode tap user 65534 multi_queue") != 0)
		skip();
	tap = weir_endpoint_create("type=tap,name=o,iface=weir-owned");
	assert_non_null(tap);
	guest_attach(2, 2048, 0);
	guest_detach();
	weir_endpoint_free(tap);
	tap = usual;
	assert_int_not_equal(if_nametoindex("weir-owned"), 0);
	assert_int_equal(system("ip link del weir-owned"), 0);
}

/** Another process's namespace, by its number: the interface is there and not here. */
static void
an_interface_can_be_in_another_namespace(void **state)
{
	struct weir_endpoint *usual = tap;
	char keys[96], command[96];
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		char byte = unshare(CLONE_NEWNET) == 0;

		if (write(ends[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ends[0], keys, 1), 1);
	assert_int_equal(keys[0], 1);
	snprintf(keys, sizeof(keys), "type=tap,name=n,iface=weir-n,io=%s,netns=%d", io, child);
	tap = weir_endpoint_create(keys);
	assert_non_null(tap);
	assert_int_equal(if_nametoindex("weir-n"), 0);
	snprintf(command, sizeof(command), "nsenter -n -t %d ip link show weir-n >/dev/null",
		 child);
	assert_int_equal(system(command), 0);
	guest_attach(4, 2048, 0); /* further queues are made there as well */
	assert_true(weir_endpoint_ops(tap)->link_up(tap));
	assert_int_equal(plain_pair_send(&guest->pairs[0], 3, 60, 1, NULL), 3);
	poll_until(&guest->queues[0]->stats.tx_packets, 3);
	guest_detach();
	weir_endpoint_free(tap);
	tap = usual;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(ends[0]);
	close(ends[1]);
}

static void
auto_picks_one_of_them(void **state)
{
	struct weir_endpoint *usual = tap;

	tap = weir_endpoint_create("type=tap,name=a,iface=weir-a,io=auto");
	assert_non_null(tap);
	guest_attach(1, 2048, 0);
	assert_int_equal(plain_pair_send(&guest->pairs[0], 3, 60, 1, NULL), 3);
	poll_until(&guest->queues[0]->stats.tx_packets, 3);
	guest_detach();
	weir_endpoint_free(tap);
	tap = usual;
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static char *const modes[] = {"inline", "thread", "sqpoll"};
	struct CMUnitTest tests[] = {
		CLAIM(wrong_words_are_named),
		CLAIM(two_endpoints_do_not_share_an_interface),
		CLAIM(an_interface_made_for_one_queue_serves_one),
		CLAIM(the_host_gets_what_the_guest_sent),
		CLAIM(the_carrier_follows_the_guest),
		CLAIM(the_next_guest_gets_no_stale_frames),
		CLAIM(an_interface_that_is_down_drops_and_counts),
		CLAIM(a_deleted_interface_ends_the_queue),
		CLAIM(an_uncut_frame_goes_to_the_host_whole),
		CLAIM(an_uncut_frame_comes_whole_to_a_guest_that_takes_it),
		CLAIM(a_guest_that_takes_no_offloads_gets_finished_frames),
		CLAIM(flows_spread_over_the_pairs_in_use),
		CLAIM(uncut_frames_in_a_row_lose_nothing),
		CLAIM(a_template_becomes_the_first_free_name),
		CLAIM(the_mtu_is_the_guests_or_the_one_that_was_given),
		CLAIM(an_interface_of_another_user_is_used_and_stays),
		CLAIM(an_interface_can_be_in_another_namespace),
		CLAIM(auto_picks_one_of_them),
	};
	const char *missing;
	int failed = 0;
	size_t i, k;

	harness_eal();
	missing = host_tap_missing();
	if (missing != NULL) {
		printf("skipped: %s\n", missing);
		return 77;
	}
	/* Where io_uring is forbidden, inline serves for sqpoll, and says so. */
	for (i = 0; i < RTE_DIM(modes); i++) {
		for (k = 0; k < RTE_DIM(tests); k++)
			tests[k].initial_state = modes[i];
		failed += _cmocka_run_group_tests(modes[i], tests, RTE_DIM(tests), NULL, NULL);
	}
	return failed != 0;
}
