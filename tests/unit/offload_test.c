/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that are cut and completed in software, checked byte by byte by sums of the
 * test's own, and against librte_gso where that cuts too.
 */
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "harness.h"
#include "weir_offload.h"

#define SEQUENCE 0xfffff000U /* wraps around within a long packet */

struct shape {
	const char *title;
	uint16_t tags;
	bool ipv6, udp;
	uint16_t extension; /* bytes of an IPv6 extension header, or of IPv4 options */
	uint16_t tcp_options;
	uint32_t payload;
	uint16_t gso_size; /* 0: a checksum only */
	uint32_t piece;	   /* the longest segment of the packet */
};

static const struct shape shapes[] = {
	{"IPv4 TCP", 0, false, false, 0, 12, 64000, 1448, 4096},
	{"IPv4 TCP in odd pieces", 0, false, false, 0, 12, 9000, 1447, 333},
	{"IPv4 TCP, one frame", 0, false, false, 0, 0, 100, 1448, 4096},
	{"IPv4 TCP, whole frames", 0, false, false, 0, 0, 4 * 1000, 1000, 4096},
	{"IPv4 TCP without payload", 0, false, false, 0, 0, 0, 1448, 4096},
	{"IPv4 TCP with all options", 0, false, false, 40, 40, 5000, 500, 77},
	{"VLAN IPv4 TCP", 1, false, false, 0, 12, 20000, 1444, 1500},
	{"QinQ IPv4 TCP", 2, false, false, 0, 12, 20000, 1440, 1500},
	{"IPv6 TCP", 0, true, false, 0, 12, 64000, 1428, 4096},
	{"IPv6 TCP, the longest", 0, true, false, 0, 0, 65000 + 483, 1, 65536},
	{"VLAN IPv6 TCP with an extension", 1, true, false, 24, 12, 20001, 1401, 501},
	{"QinQ IPv6 TCP", 2, true, false, 0, 12, 3000, 1399, 1},
	{"IPv4 TCP checksum", 0, false, false, 0, 12, 1448, 0, 4096},
	{"IPv4 UDP checksum", 0, false, true, 0, 0, 1001, 0, 4096},
	{"IPv4 UDP checksum in pieces", 0, false, true, 20, 0, 1001, 0, 3},
	{"IPv4 UDP checksum without payload", 0, false, true, 0, 0, 0, 0, 4096},
	{"VLAN IPv4 UDP checksum", 1, false, true, 0, 0, 77, 0, 4096},
	{"QinQ IPv6 UDP checksum", 2, true, true, 0, 0, 1400, 0, 13},
	{"IPv6 TCP checksum with an extension", 0, true, false, 48, 0, 999, 0, 100},
};

struct packet {
	const struct shape *shape;
	uint8_t bytes[WEIR_FRAME_LEN_MAX + 64];
	uint32_t len;
	uint16_t l3, l4, header_len;
	struct weir_tx_segment segments[WEIR_FRAME_LEN_MAX];
};

static struct packet packet;
static uint8_t frame[WEIR_FRAME_LEN_MAX + 64];

static void
put16(uint8_t *at, uint32_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static uint32_t
get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

/** One's complement sum of bytes, the plain way. */
static uint32_t
sum_bytes(uint32_t sum, const uint8_t *bytes, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t
sum_pseudo(const struct shape *shape, const uint8_t *ip, uint32_t l4_len)
{
	uint8_t words[6] = {l4_len >> 24,
			    l4_len >> 16,
			    l4_len >> 8,
			    l4_len,
			    0,
			    shape->udp ? IPPROTO_UDP : IPPROTO_TCP};
	uint32_t sum = sum_bytes(0, words, sizeof(words));

	return shape->ipv6 ? sum_bytes(sum, ip + 8, 32) : sum_bytes(sum, ip + 12, 8);
}

static void
packet_make(const struct shape *shape)
{
	uint16_t l4_len = shape->udp ? 8 : 20 + shape->tcp_options;
	uint8_t *at = packet.bytes, *ip, *l4;
	uint32_t i, left, n = 0;

	packet.shape = shape;
	memset(packet.bytes, 0x5a, 12);
	at += 12;
	for (i = 0; i < shape->tags; i++, at += 4) {
		put16(at, shape->tags == 2 && i == 0 ? 0x88a8 : 0x8100);
		put16(at + 2, 100 + i);
	}
	put16(at, shape->ipv6 ? 0x86dd : 0x0800);
	ip = at + 2;
	l4 = ip + (shape->ipv6 ? 40 : 20) + shape->extension;
	packet.l3 = ip - packet.bytes;
	packet.l4 = l4 - packet.bytes;
	packet.header_len = packet.l4 + l4_len;
	packet.len = packet.header_len + shape->payload;
	memset(ip, 0, l4 + l4_len - ip);
	if (shape->ipv6) {
		ip[0] = 0x60;
		put16(ip + 4, packet.len - packet.l3 - 40);
		ip[6] = shape->extension > 0 ? 60 : shape->udp ? IPPROTO_UDP : IPPROTO_TCP;
		ip[40] = shape->udp ? IPPROTO_UDP : IPPROTO_TCP;
		if (shape->extension > 0)
			ip[41] = shape->extension / 8 - 1;
		for (i = 8; i < 40; i++)
			ip[i] = 0xfd + i;
	} else {
		ip[0] = 0x40 | (20 + shape->extension) / 4;
		put16(ip + 2, packet.len - packet.l3);
		put16(ip + 4, 0xfffe);
		ip[8] = 64;
		ip[9] = shape->udp ? IPPROTO_UDP : IPPROTO_TCP;
		memcpy(ip + 12, (uint8_t[]){10, 0, 0, 1, 192, 168, 255, 254}, 8);
		memset(ip + 20, 1, shape->extension);
		put16(ip + 10, ~sum_bytes(0, ip, 20 + shape->extension));
	}
	put16(l4, 4711);
	put16(l4 + 2, 80);
	if (shape->udp) {
		put16(l4 + 4, packet.len - packet.l4);
	} else {
		put16(l4 + 4, SEQUENCE >> 16);
		put16(l4 + 6, SEQUENCE & 0xffff);
		l4[12] = l4_len / 4 << 4;
		l4[13] = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_CWR_FLAG;
		memset(l4 + 20, 1, shape->tcp_options);
	}
	put16(l4 + (shape->udp ? 6 : 16), sum_pseudo(shape, ip, packet.len - packet.l4));
	for (i = 0; i < shape->payload; i++)
		packet.bytes[packet.header_len + i] = i * 7 + (i >> 8);
	for (left = packet.len; left > 0; left -= packet.segments[n++].len)
		packet.segments[n] = (struct weir_tx_segment){
			.addr = packet.bytes + packet.len - left,
			.len = RTE_MIN(left, shape->piece),
		};
	packet.segments[0].frame_len = packet.len;
	packet.segments[0].n_segments = n;
	packet.segments[0].id = 7;
	packet.segments[0].offload = (struct weir_offload){
		.flags = WEIR_OFFLOAD_NEEDS_CSUM,
		.gso_type = shape->gso_size == 0 ? WEIR_GSO_NONE
			    : shape->ipv6	 ? WEIR_GSO_TCPV6
						 : WEIR_GSO_TCPV4,
		.gso_size = shape->gso_size,
		.csum_start = packet.l4,
		.csum_offset = shape->udp ? 6 : 16,
	};
}

/** Put a frame's pieces together; its length. */
static uint32_t
frame_flatten(const struct weir_tx_segment *segments, uint16_t n)
{
	uint32_t at = 0;
	uint16_t i;

	assert_int_equal(segments->n_segments, n);
	assert_int_equal(segments->id, 7);
	for (i = 0; i < n; i++) {
		assert_true(segments[i].len > 0 && (i == 0 || segments[i].n_segments == 0));
		memcpy(frame + at, segments[i].addr, segments[i].len);
		at += segments[i].len;
	}
	assert_int_equal(at, segments->frame_len);
	return at;
}

/** Everything about one frame of @p n; its bytes of payload. */
static uint32_t
frame_check(uint32_t number, uint32_t n, uint32_t offset, uint32_t len)
{
	const struct shape *shape = packet.shape;
	uint32_t payload = len - packet.header_len, sequence = SEQUENCE + offset;
	const uint8_t *ip = frame + packet.l3, *l4 = frame + packet.l4;
	bool cut = shape->gso_size > 0;

	assert_memory_equal(frame, packet.bytes, packet.l3);
	assert_memory_equal(frame + packet.header_len, packet.bytes + packet.header_len + offset,
			    payload);
	if (cut)
		assert_int_equal(payload,
				 number + 1 < n ? shape->gso_size : shape->payload - offset);
	if (shape->ipv6) {
		assert_int_equal(get16(ip + 4), len - packet.l3 - 40);
	} else {
		assert_int_equal(get16(ip + 2), len - packet.l3);
		assert_int_equal(get16(ip + 4), (0xfffe + number) & 0xffff);
		assert_int_equal(sum_bytes(0, ip, packet.l4 - packet.l3), 0xffff);
	}
	if (!shape->udp) {
		assert_int_equal(get16(l4 + 4) << 16 | get16(l4 + 6), sequence);
		assert_true(l4[13] & RTE_TCP_ACK_FLAG);
		assert_int_equal(!!(l4[13] & RTE_TCP_CWR_FLAG), number == 0);
		assert_int_equal(!!(l4[13] & RTE_TCP_PSH_FLAG), number + 1 == n);
		assert_int_equal(!!(l4[13] & RTE_TCP_FIN_FLAG), number + 1 == n);
	}
	assert_int_equal(sum_bytes(sum_pseudo(shape, ip, len - packet.l4), l4, len - packet.l4),
			 0xffff);
	return payload;
}

static void
every_shape_is_finished(void **state)
{
	static struct weir_tx_segment segments[WEIR_FRAME_LEN_MAX + 1];
	struct weir_offload_cut cut;
	uint32_t number, offset;
	uint16_t n;
	size_t i;

	for (i = 0; i < RTE_DIM(shapes); i++) {
		print_message("%s\n", shapes[i].title);
		packet_make(&shapes[i]);
		assert_false(weir_offload_fits(&packet.segments[0].offload, 0));
		assert_int_equal(weir_offload_cut_begin(&cut, packet.segments, 0), 0);
		for (number = offset = 0; (n = weir_offload_cut_next(&cut, segments)) > 0;
		     number++) {
			assert_int_equal(segments->offload.flags | segments->offload.gso_type, 0);
			offset += frame_check(number, cut.n_frames, offset,
					      frame_flatten(segments, n));
		}
		assert_int_equal(number, cut.n_frames);
		assert_int_equal(offset, shapes[i].payload);
		assert_int_equal(number, shapes[i].gso_size == 0 || shapes[i].payload == 0
						 ? 1
						 : (shapes[i].payload + shapes[i].gso_size - 1) /
							   shapes[i].gso_size);
	}
}

/** Who takes checksums, and no segmentation, gets frames whose sum is begun. */
static void
a_checksum_is_left_to_who_takes_it(void **state)
{
	static struct weir_tx_segment segments[WEIR_FRAME_LEN_MAX + 1];
	static struct packet whole;
	struct weir_offload_cut cut, completed;
	uint32_t number, offset;
	uint16_t n;
	size_t i;

	for (i = 0; i < RTE_DIM(shapes); i++) {
		if (shapes[i].gso_size == 0)
			continue;
		packet_make(&shapes[i]);
		whole = packet;
		assert_int_equal(
			weir_offload_cut_begin(&cut, whole.segments, WEIR_OFFLOAD_CAP_CSUM), 0);
		for (number = offset = 0; (n = weir_offload_cut_next(&cut, segments)) > 0;
		     number++) {
			assert_int_equal(segments->offload.flags, WEIR_OFFLOAD_NEEDS_CSUM);
			assert_int_equal(segments->offload.gso_type, WEIR_GSO_NONE);
			assert_true(weir_offload_fits(&segments->offload, WEIR_OFFLOAD_CAP_CSUM));
			/* Completed, it must be right. */
			assert_int_equal(weir_offload_cut_begin(&completed, segments, 0), 0);
			assert_int_equal(completed.n_frames, 1);
			n = weir_offload_cut_next(&completed, packet.segments);
			offset += frame_check(number, cut.n_frames, offset,
					      frame_flatten(packet.segments, n));
		}
		assert_int_equal(offset, shapes[i].payload);
	}
}

/** A sum of zero would say that there is none. */
static void
a_udp_checksum_is_never_zero(void **state)
{
	static const struct shape shape = {"", 0, false, true, 0, 0, 2, 0, 4096};
	struct weir_tx_segment segments[3];
	struct weir_offload_cut cut;
	uint32_t sum;
	uint8_t *l4;

	packet_make(&shape);
	l4 = packet.bytes + packet.l4;
	put16(l4 + 8, 0);
	sum = sum_bytes(sum_pseudo(&shape, packet.bytes + packet.l3, 10), l4, 6);
	put16(l4 + 8, ~sum);
	assert_int_equal(weir_offload_cut_begin(&cut, packet.segments, 0), 0);
	assert_int_equal(weir_offload_cut_next(&cut, segments), 1 + 1);
	frame_flatten(segments, 2);
	assert_int_equal(get16(frame + packet.l4 + 6), 0xffff);
}

static void
a_cut_is_what_librte_gso_cuts(void **state)
{
	static struct weir_tx_segment segments[WEIR_FRAME_LEN_MAX + 1];
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create("gso", 255, 0, 0, UINT16_MAX, SOCKET_ID_ANY);
	struct rte_mbuf *mbuf, *frames[128];
	struct rte_gso_ctx context = {
		.direct_pool = pool,
		.indirect_pool = pool,
		.gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO,
	};
	struct weir_offload_cut cut;
	size_t i, compared = 0;
	uint32_t len;
	uint8_t *l4;
	int n, k;

	assert_non_null(pool);
	for (i = 0; i < RTE_DIM(shapes); i++) {
		if (shapes[i].ipv6 || shapes[i].gso_size == 0 ||
		    shapes[i].payload <= shapes[i].gso_size)
			continue;
		packet_make(&shapes[i]);
		/* librte_gso knows of FIN and PSH only. */
		packet.bytes[packet.l4 + 13] &= ~RTE_TCP_CWR_FLAG;
		mbuf = rte_pktmbuf_alloc(pool);
		memcpy(rte_pktmbuf_append(mbuf, packet.len), packet.bytes, packet.len);
		assert_int_equal(weir_offload_to_mbuf(&packet.segments->offload, mbuf), 0);
		context.gso_size = packet.header_len + shapes[i].gso_size;
		n = rte_gso_segment(mbuf, &context, frames, RTE_DIM(frames));
		assert_int_equal(weir_offload_cut_begin(&cut, packet.segments, 0), 0);
		assert_int_equal(cut.n_frames, n);
		for (k = 0; k < n; k++) {
			const uint8_t *theirs;
			uint8_t copy[4096];

			len = frame_flatten(segments, weir_offload_cut_next(&cut, segments));
			assert_int_equal(len, frames[k]->pkt_len);
			theirs = rte_pktmbuf_read(frames[k], 0, len, copy);
			/* It leaves checksums to the device. */
			l4 = frame + packet.l4;
			memcpy(l4 + 16, theirs + packet.l4 + 16, 2);
			memcpy(frame + packet.l3 + 10, theirs + packet.l3 + 10, 2);
			assert_memory_equal(frame, theirs, len);
			compared++;
		}
		rte_pktmbuf_free_bulk(frames, n);
		rte_pktmbuf_free(mbuf);
	}
	assert_true(compared > 50);
	rte_mempool_free(pool);
}

static void
headers_that_are_not_what_they_say_are_refused(void **state)
{
	static const struct shape tcp4 = {"", 1, false, false, 0, 12, 5000, 1000, 4096};
	struct weir_offload *o = &packet.segments[0].offload;
	struct weir_offload_cut cut;
	uint16_t i;

#define REFUSED(change, error)                                                                     \
	do {                                                                                       \
		packet_make(&tcp4);                                                                \
		change;                                                                            \
		assert_int_equal(weir_offload_cut_begin(&cut, packet.segments, 0), error);         \
	} while (0)
	REFUSED(o->gso_type = WEIR_GSO_TCPV6, -EINVAL);
	REFUSED(o->gso_type = WEIR_GSO_UDP, -EOPNOTSUPP);
	REFUSED(o->gso_size = 0, -EINVAL);
	REFUSED(o->flags = 0, -EINVAL);
	REFUSED(o->csum_start = packet.l4 - 4, -EINVAL);
	REFUSED(o->csum_start = packet.l3, -EINVAL);
	REFUSED(o->csum_start = 0, -EINVAL);
	REFUSED(o->csum_start = UINT16_MAX, -EINVAL);
	REFUSED(o->csum_offset = 6, -EINVAL);
	REFUSED(packet.bytes[packet.l4 + 12] = 0x40, -EINVAL);
	REFUSED(packet.bytes[packet.l3] = 0x4f, -EINVAL);
	REFUSED(packet.bytes[packet.l3 + 9] = IPPROTO_UDP, -EINVAL);
	REFUSED(put16(packet.bytes + packet.l3 - 2, 0x86dd), -EINVAL);
	REFUSED((o->gso_type = WEIR_GSO_NONE, o->csum_start = 4000), -EINVAL);
	REFUSED((o->gso_type = WEIR_GSO_NONE, o->csum_offset = UINT16_MAX), -EINVAL);
	/* A packet that ends anywhere in its headers. */
	for (i = 1; i < packet.header_len; i++)
		REFUSED((packet.segments[0].len = packet.segments[0].frame_len = i,
			 packet.segments[0].n_segments = 1),
			-EINVAL);
	REFUSED((void)0, 0);
}

static void
a_copy_is_whole_and_a_short_pool_holds_nothing(void **state)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		"copy", 31, 0, 0, RTE_PKTMBUF_HEADROOM + 1000, SOCKET_ID_ANY);
	struct rte_mbuf *mbuf;
	const uint8_t *bytes;

	assert_non_null(pool);
	packet_make(&shapes[1]);
	mbuf = weir_offload_copy(pool, packet.segments);
	assert_non_null(mbuf);
	assert_int_equal(mbuf->pkt_len, packet.len);
	assert_int_equal(mbuf->nb_segs, (packet.len + 999) / 1000);
	bytes = rte_pktmbuf_read(mbuf, 0, packet.len, frame);
	assert_memory_equal(bytes, packet.bytes, packet.len);
	rte_pktmbuf_free(mbuf);
	packet_make(&shapes[0]);
	assert_null(weir_offload_copy(pool, packet.segments));
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	rte_mempool_free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shape_is_finished),
		cmocka_unit_test(a_checksum_is_left_to_who_takes_it),
		cmocka_unit_test(a_udp_checksum_is_never_zero),
		cmocka_unit_test(a_cut_is_what_librte_gso_cuts),
		cmocka_unit_test(headers_that_are_not_what_they_say_are_refused),
		cmocka_unit_test(a_copy_is_whole_and_a_short_pool_holds_nothing),
	};

	harness_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
