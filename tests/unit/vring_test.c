/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir_vring.h promises beside moving frames. */
#include <errno.h>
#include <string.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "harness.h"
#include "vring_guest.h"
#include "weir_error.h"

#define REGION 0x40000ULL
#define DATA (GUEST_BASE + 0x20000)
#define HEADER 12
#define FRAME 100
#define SIZE 16

#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define EVENT BIT(VIRTIO_RING_F_EVENT_IDX)
#define IN_ORDER BIT(VIRTIO_F_IN_ORDER)
#define MRG BIT(VIRTIO_NET_F_MRG_RXBUF)

struct ring {
	struct guest guest;
	struct driver driver;
	struct weir_vring *vr;
	struct weir_tx_segment segments[512];
};

static void
ring_open_at(struct ring *ring, uint64_t features, uint32_t size, bool rx,
	     const struct weir_vring_base *base)
{
	struct weir_vring_config config;

	guest_init(&ring->guest, 3, REGION);
	driver_init(&ring->driver, &ring->guest, GUEST_BASIC | features, size, rx, GUEST_BASE);
	if (base != NULL)
		driver_rebase(&ring->driver, *base);
	config = driver_config(&ring->driver);
	ring->vr = weir_vring_create(&config);
	assert_non_null(ring->vr);
}

static void
ring_open(struct ring *ring, uint64_t features, bool rx)
{
	ring_open_at(ring, features, SIZE, rx, NULL);
}

static void
ring_close(struct ring *ring)
{
	assert_int_equal(weir_vring_error(ring->vr), WEIR_VRING_OK);
	weir_vring_free(ring->vr);
	driver_fini(&ring->driver);
	guest_fini(&ring->guest);
}

/* Post @p n chains of one buffer, @p len bytes each, 2048 apart. */
static void
post(struct ring *ring, uint32_t n, uint32_t len)
{
	for (uint32_t i = 0; i < n; i++) {
		struct guest_buf buf = {DATA + 2048ULL * i, len};

		assert_true(driver_add(&ring->driver, &buf, 1, false, i));
	}
	driver_publish(&ring->driver);
}

static uint32_t
reap(struct ring *ring)
{
	uint32_t token, len, n = 0;

	while (driver_used(&ring->driver, &token, &len))
		n++;
	return n;
}

static uint16_t
take(struct ring *ring, uint16_t n)
{
	return weir_vring_tx_take(ring->vr, ring->segments, RTE_DIM(ring->segments), n);
}

/* Memory table */

static void
memory_table_is_sorted_and_found(void **state)
{
	static uint8_t a[4096], b[4096], c[4096];
	const struct weir_vring_region regions[] = {
		{0x9000, 4096, c},
		{0x1000, 4096, a},
		{0x2000, 4096, b},
	};
	struct weir_vring_memory memory;
	uint64_t len = 100;

	assert_int_equal(weir_vring_memory_init(&memory, regions, 3), 0);
	assert_ptr_equal(weir_vring_memory_host(&memory, 0x1010, &len), a + 16);
	assert_int_equal(len, 100);
	assert_ptr_equal(weir_vring_memory_host(&memory, 0x1ff0, &len), a + 4080);
	assert_int_equal(len, 16);
	assert_ptr_equal(weir_vring_memory_host(&memory, 0x2000, &len), b);
	assert_ptr_equal(weir_vring_memory_host(&memory, 0x9fff, &len), c + 4095);
	assert_int_equal(len, 1);
	assert_null(weir_vring_memory_host(&memory, 0xfff, &len));
	assert_null(weir_vring_memory_host(&memory, 0x3000, &len));
	assert_null(weir_vring_memory_host(&memory, 0xa000, &len));
	assert_null(weir_vring_memory_host(&memory, UINT64_MAX, &len));
	assert_int_equal(weir_vring_memory_init(&memory, NULL, 0), 0);
	assert_null(weir_vring_memory_host(&memory, 0x1010, &len));
}

static void
memory_table_that_cannot_be_is_refused(void **state)
{
	static uint8_t a[8192];
	struct weir_vring_region regions[WEIR_VRING_REGIONS_MAX + 1] = {
		{0x1000, 4096, a},
		{0x1fff, 4096, a + 4096},
	};
	struct weir_vring_memory memory;

	assert_int_equal(weir_vring_memory_init(&memory, regions, 2), -EINVAL);
	assert_non_null(strstr(weir_error_text(), "overlaps"));
	regions[1] = (struct weir_vring_region){0x5000, 0, a};
	assert_int_equal(weir_vring_memory_init(&memory, regions, 2), -EINVAL);
	regions[1] = (struct weir_vring_region){0x5000, 4096, NULL};
	assert_int_equal(weir_vring_memory_init(&memory, regions, 2), -EINVAL);
	regions[1] = (struct weir_vring_region){UINT64_MAX - 100, 4096, a};
	assert_int_equal(weir_vring_memory_init(&memory, regions, 2), -EINVAL);
	assert_int_equal(weir_vring_memory_init(&memory, regions, RTE_DIM(regions)), -E2BIG);
}

/* Create */

static void
ring_that_cannot_be_is_refused(void **state)
{
	struct weir_vring_config good, c;
	struct ring ring;

	ring_open(&ring, 0, false);
	good = driver_config(&ring.driver);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		c = good;                                                                          \
		change;                                                                            \
		rte_errno = 0;                                                                     \
		assert_null(weir_vring_create(&c));                                                \
		assert_int_equal(rte_errno, EINVAL);                                               \
	} while (0)
	REFUSED(c.size = 0);
	REFUSED(c.size = 3);
	REFUSED(c.size = 65536);
	REFUSED(c.desc = NULL);
	REFUSED(c.driver = NULL);
	REFUSED(c.device = NULL);
	REFUSED(c.memory = NULL);
	REFUSED(c.desc = (uint8_t *)c.desc + 8);
	REFUSED(c.driver = (uint8_t *)c.driver + 1);
	REFUSED(c.device = (uint8_t *)c.device + 2);
	good.features |= PACKED;
	REFUSED(c.size = 32769);
	REFUSED(c.base.avail = SIZE);
	REFUSED(c.base.used = 0x8000 | SIZE);
	REFUSED(c.driver = (uint8_t *)c.driver + 2);
	ring_close(&ring);
}

static void
every_reason_has_a_name_and_a_clause(void **state)
{
	for (int i = WEIR_VRING_OK + 1; i < WEIR_VRING_N_ERRORS; i++) {
		assert_non_null(strstr(weir_vring_error_text(i), "virtio 1.1, "));
		assert_null(strchr(weir_vring_error_name(i), ' '));
		for (int j = WEIR_VRING_OK; j < i; j++)
			assert_string_not_equal(weir_vring_error_name(i), weir_vring_error_name(j));
	}
	assert_non_null(weir_vring_error_text(WEIR_VRING_N_ERRORS));
	assert_non_null(weir_vring_error_name(WEIR_VRING_N_ERRORS));
}

static void
header_is_12_bytes_but_for_a_legacy_guest(void **state)
{
	const struct {
		uint64_t features;
		uint32_t len;
	} cases[] = {{GUEST_BASIC, 12}, {MRG, 12}, {GUEST_BASIC | MRG, 12}, {0, 10}};
	struct weir_vring_config config;
	struct weir_vring *vr;
	struct ring ring;

	ring_open(&ring, 0, false);
	config = driver_config(&ring.driver);
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		config.features = cases[i].features;
		vr = weir_vring_create(&config);
		assert_int_equal(weir_vring_header_len(vr), cases[i].len);
		weir_vring_free(vr);
	}
	weir_vring_free(NULL);
	ring_close(&ring);
}

/* Stop and resume */

static const uint64_t both[] = {0, PACKED, IN_ORDER, PACKED | IN_ORDER};

static void
stopped_tx_ring_gives_all_back_and_goes_on(void **state)
{
	for (size_t k = 0; k < RTE_DIM(both); k++) {
		struct weir_vring_config config;
		struct weir_vring_base base;
		struct ring ring;
		uint16_t id;

		ring_open(&ring, both[k], false);
		post(&ring, 10, HEADER + FRAME);
		assert_int_equal(take(&ring, 7), 7);
		id = ring.segments[4].id;
		weir_vring_tx_done(ring.vr, &id, 1);
		base = weir_vring_stop(ring.vr);
		assert_int_equal(base.avail, base.used);
		assert_int_equal(base.avail & 0x7fff, 7);
		assert_int_equal(reap(&ring), 7);
		weir_vring_free(ring.vr);

		config = driver_config(&ring.driver);
		config.base = base;
		ring.vr = weir_vring_create(&config);
		assert_int_equal(take(&ring, 100), 3);
		weir_vring_tx_done_packets(ring.vr, ring.segments, 3);
		assert_int_equal(reap(&ring), 3);
		ring_close(&ring);
	}
}

static void
stopped_rx_ring_rewinds_over_unused_buffers(void **state)
{
	static const uint8_t frame[FRAME];
	struct weir_rx_meta meta = {.len = FRAME};

	for (size_t k = 0; k < RTE_DIM(both); k++) {
		struct weir_vring_base base, start = {.avail = SIZE - 2, .used = SIZE - 2};
		struct weir_vring_config config;
		struct ring ring;

		if (both[k] & PACKED)
			start = (struct weir_vring_base){(SIZE - 2) | 1 << 15,
							 (SIZE - 2) | 1 << 15};
		ring_open_at(&ring, both[k], SIZE, true, &start);
		post(&ring, SIZE, 2048);
		assert_int_equal(weir_vring_rx_posted(ring.vr, 300), SIZE);
		assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
		base = weir_vring_stop(ring.vr); /* commits as well */
		assert_int_equal(base.avail, base.used);
		assert_int_equal(base.used, start.used + 1);
		assert_int_equal(reap(&ring), 1);
		weir_vring_free(ring.vr);

		config = driver_config(&ring.driver);
		config.base = base;
		ring.vr = weir_vring_create(&config);
		assert_int_equal(weir_vring_rx_posted(ring.vr, 300), SIZE - 1);
		for (int i = 1; i < SIZE; i++)
			assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
		weir_vring_rx_commit(ring.vr);
		assert_int_equal(reap(&ring), SIZE - 1);
		ring_close(&ring);
	}
}

static void
id_that_is_not_taken_is_ignored(void **state)
{
	const uint16_t wrong[] = {SIZE, 65535, 3};
	struct ring ring;

	ring_open(&ring, 0, false);
	post(&ring, 1, HEADER + FRAME);
	assert_int_equal(take(&ring, 8), 1);
	weir_vring_tx_done(ring.vr, wrong, RTE_DIM(wrong));
	assert_int_equal(reap(&ring), 0);
	weir_vring_tx_done_packets(ring.vr, ring.segments, 1);
	weir_vring_tx_done_packets(ring.vr, ring.segments, 1);
	assert_int_equal(reap(&ring), 1);
	ring_close(&ring);
}

static void
in_order_guest_sees_nothing_past_what_is_held(void **state)
{
	for (size_t k = 2; k < RTE_DIM(both); k++) {
		struct ring ring;
		uint16_t ids[4], twice[4];

		ring_open(&ring, both[k], false);
		/* Several times around: what was marked does not stay so for the next ones. */
		for (int round = 0; round < 2 * SIZE; round++) {
			post(&ring, 4, HEADER + FRAME);
			assert_int_equal(take(&ring, 8), 4);
			for (int i = 0; i < 4; i++)
				ids[i] = ring.segments[i].id;
			memcpy(twice, (uint16_t[]){ids[2], ids[2], ids[0], ids[2]}, sizeof(twice));
			weir_vring_tx_done(ring.vr, &ids[2], 2);
			assert_int_equal(reap(&ring), 0);
			weir_vring_tx_done(ring.vr, twice, 4);
			assert_int_equal(reap(&ring), 1);
			weir_vring_tx_done(ring.vr, (uint16_t[]){ids[1], ids[2]}, 2);
			assert_int_equal(reap(&ring), 3);
		}
		ring_close(&ring);
	}
}

static void
rx_is_shown_by_commit_and_not_before(void **state)
{
	static const uint8_t frame[FRAME];
	struct weir_rx_meta meta = {.len = FRAME};

	for (size_t k = 0; k < RTE_DIM(both); k++) {
		struct ring ring;

		ring_open(&ring, both[k], true);
		post(&ring, 8, 2048);
		for (int i = 0; i < 5; i++)
			assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
		assert_int_equal(reap(&ring), 0);
		weir_vring_rx_commit(ring.vr);
		assert_int_equal(reap(&ring), 5);
		ring_close(&ring);
	}
}

static void
burst_needs_no_limit_of_32(void **state)
{
	struct ring ring;

	ring_open_at(&ring, 0, 512, false, NULL);
	for (int i = 0; i < 512; i++) {
		struct guest_buf buf = {DATA, HEADER + FRAME};

		assert_true(driver_add(&ring.driver, &buf, 1, false, i));
	}
	driver_publish(&ring.driver);
	assert_int_equal(take(&ring, 65535), 512);
	assert_int_equal(weir_vring_tx_held(ring.vr), 512);
	weir_vring_tx_done_packets(ring.vr, ring.segments, 512);
	assert_int_equal(reap(&ring), 512);
	ring_close(&ring);
}

static void
frame_without_room_for_its_segments_waits(void **state)
{
	const struct guest_buf plain = {DATA, HEADER + FRAME};
	struct guest_buf bufs[10];
	struct ring ring;

	ring_open(&ring, 0, false);
	for (int i = 0; i < 10; i++)
		bufs[i] = (struct guest_buf){DATA + 64 * i, 40};
	assert_true(driver_add(&ring.driver, &plain, 1, false, 0));
	assert_true(driver_add(&ring.driver, bufs, 10, false, 1));
	driver_publish(&ring.driver);
	assert_int_equal(weir_vring_tx_take(ring.vr, ring.segments, 10, 8), 1);
	assert_int_equal(weir_vring_tx_take(ring.vr, ring.segments, 10, 8), 1);
	assert_int_equal(ring.segments[0].n_segments, 10);
	assert_int_equal(ring.segments[0].frame_len, 10 * 40 - HEADER);
	ring_close(&ring);
}

static void
mergeable_frame_takes_as_many_buffers_as_it_needs(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint8_t frame[1000], header[HEADER], back[1000];
		struct weir_rx_meta meta = {.len = sizeof(frame)};
		uint32_t token, len, at = 0;
		struct ring ring;

		ring_open(&ring, MRG | (packed ? PACKED : 0), true);
		post(&ring, 8, 256);
		for (size_t i = 0; i < sizeof(frame); i++)
			frame[i] = i * 7;
		assert_int_equal(weir_vring_rx_capacity(ring.vr), 8 * 256 - HEADER);
		assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
		weir_vring_rx_commit(ring.vr);
		guest_read(&ring.guest, DATA, header, HEADER);
		assert_int_equal(header[10] | header[11] << 8, 4); /* 1012 bytes in 256 each */
		for (uint32_t i = 0; driver_used(&ring.driver, &token, &len); i++) {
			uint32_t skip = i == 0 ? HEADER : 0;

			assert_int_equal(token, i);
			assert_int_equal(len, i < 3 ? 256 : 1012 - 3 * 256);
			guest_read(&ring.guest, DATA + 2048 * i + skip, back + at, len - skip);
			at += len - skip;
		}
		assert_int_equal(at, sizeof(frame));
		assert_memory_equal(frame, back, sizeof(frame));
		ring_close(&ring);
	}
}

static void
frame_that_never_fits_is_dropped_and_one_that_may_waits(void **state)
{
	static const uint8_t frame[9000];
	struct weir_rx_meta meta = {.len = sizeof(frame)};
	struct weir_vring_stats stats;
	struct ring ring;

	/* One buffer a frame: the buffer decides. */
	ring_open(&ring, 0, true);
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), -ENOBUFS);
	post(&ring, 1, 2048);
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), -EMSGSIZE);
	meta.len = 2048 - HEADER + 1;
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), -EMSGSIZE);
	meta.len = 2048 - HEADER;
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
	weir_vring_stats(ring.vr, &stats);
	assert_int_equal(stats.rx_dropped_long, 2);
	ring_close(&ring);

	/* Many: it waits for more until half the ring is posted. */
	ring_open(&ring, MRG, true);
	meta.len = sizeof(frame);
	post(&ring, 7, 1024);
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), -ENOBUFS);
	post(&ring, 1, 1024);
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), -EMSGSIZE);
	post(&ring, 1, 1024);
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
	ring_close(&ring);
}

/* The header is left alone where it is right already: so it must be told in every byte. */
static void
header_is_right_whatever_lies_in_the_buffer(void **state)
{
	static const uint8_t frame[FRAME], plain[HEADER] = {[10] = 1};
	const struct weir_tx_segment segment = {
		.addr = frame, .len = FRAME, .frame_len = FRAME, .n_segments = 1};
	const uint64_t data = DATA + 64 - HEADER; /* the frame at the start of a line */
	uint8_t header[HEADER];
	struct ring ring;

	ring_open_at(&ring, 0, 64, true, NULL);
	for (unsigned int i = 0; i < 4 * HEADER; i++) {
		const struct guest_buf buf = {data, 2048};

		memcpy(header, plain, sizeof(header));
		header[i % HEADER] ^= i / HEADER; /* as it is, and each byte wrong */
		guest_write(&ring.guest, data, header, sizeof(header));
		assert_true(driver_add(&ring.driver, &buf, 1, false, i));
		driver_publish(&ring.driver);
		assert_int_equal(weir_vring_rx_write_packets(ring.vr, &segment, 1), 1);
		guest_read(&ring.guest, data, header, sizeof(header));
		assert_memory_equal(header, plain, sizeof(header));
	}
	ring_close(&ring);
}

/* Offloads towards the guest */

static int
write_offload(uint64_t features, struct weir_offload offload, uint8_t header[HEADER])
{
	static const uint8_t frame[FRAME];
	struct weir_rx_meta meta = {.len = FRAME, .offload = offload};
	struct ring ring;
	int ret;

	ring_open(&ring, features, true);
	post(&ring, 1, 2048);
	ret = weir_vring_rx_write_packet(ring.vr, &meta, frame);
	guest_read(&ring.guest, DATA, header, HEADER);
	ring_close(&ring);
	return ret;
}

static void
guest_gets_no_offload_it_did_not_negotiate(void **state)
{
	const uint64_t csum = BIT(VIRTIO_NET_F_GUEST_CSUM), tso4 = BIT(VIRTIO_NET_F_GUEST_TSO4);
	const uint64_t tso6 = BIT(VIRTIO_NET_F_GUEST_TSO6), ecn = BIT(VIRTIO_NET_F_GUEST_ECN);
	const struct weir_offload partial = {
		.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	const struct weir_offload valid = {.flags = WEIR_OFFLOAD_DATA_VALID};
	struct weir_offload gso = partial;
	uint8_t header[HEADER];

	assert_int_equal(write_offload(0, partial, header), -EOPNOTSUPP);
	assert_int_equal(write_offload(csum, partial, header), 0);
	assert_memory_equal(header, &partial, WEIR_OFFLOAD_VNET_SIZE);
	/* A checksum known to be right is only a hint: left out. */
	assert_int_equal(write_offload(0, valid, header), 0);
	assert_int_equal(header[0], 0);
	assert_int_equal(write_offload(csum, valid, header), 0);
	assert_int_equal(header[0], VIRTIO_NET_HDR_F_DATA_VALID);
	gso.gso_type = WEIR_GSO_TCPV4;
	gso.gso_size = 1448;
	gso.hdr_len = 54;
	assert_int_equal(write_offload(csum | tso6, gso, header), -EOPNOTSUPP);
	assert_int_equal(write_offload(csum | tso4, gso, header), 0);
	assert_memory_equal(header, &gso, WEIR_OFFLOAD_VNET_SIZE);
	assert_int_equal(header[10] | header[11] << 8, 1);
	gso.gso_type = WEIR_GSO_TCPV6 | WEIR_GSO_ECN;
	assert_int_equal(write_offload(csum | tso6, gso, header), -EOPNOTSUPP);
	assert_int_equal(write_offload(csum | tso6 | ecn, gso, header), 0);
	gso.gso_type = WEIR_GSO_UDP;
	assert_int_equal(write_offload(csum | tso4 | tso6, gso, header), -EOPNOTSUPP);
}

static void
tag_beside_the_frame_goes_into_it(void **state)
{
	uint8_t frame[FRAME], back[HEADER + FRAME + 4];
	struct weir_tx_segment segments[] = {
		{.addr = frame,
		 .len = 5,
		 .frame_len = FRAME,
		 .n_segments = 3,
		 .offload = {.flags = WEIR_OFFLOAD_VLAN | WEIR_OFFLOAD_NEEDS_CSUM,
			     .csum_start = 34,
			     .csum_offset = 16,
			     .vlan_tci = 0x6123}},
		{.addr = frame + 5, .len = 7},
		{.addr = frame + 12, .len = FRAME - 12},
	};
	struct weir_offload *offload = (void *)back;
	struct ring ring;

	for (int i = 0; i < FRAME; i++)
		frame[i] = i;
	ring_open(&ring, BIT(VIRTIO_NET_F_GUEST_CSUM), true);
	post(&ring, 1, 2048);
	assert_int_equal(weir_vring_rx_write_packets(ring.vr, segments, 1), 1);
	guest_read(&ring.guest, DATA, back, sizeof(back));
	assert_int_equal(offload->flags, WEIR_OFFLOAD_NEEDS_CSUM);
	assert_int_equal(offload->csum_start, 38);
	assert_memory_equal(back + HEADER, frame, 12);
	assert_memory_equal(back + HEADER + 12, "\x81\x00\x61\x23", 4);
	assert_memory_equal(back + HEADER + 16, frame + 12, FRAME - 12);
	ring_close(&ring);
}

/* Dirty log */

static void
written_pages_are_logged_and_no_others(void **state)
{
	const uint64_t first = GUEST_BASE / 4096, n_pages = 3 * REGION / 4096;

	for (int packed = 0; packed < 2; packed++) {
		uint8_t bitmap[64] = {0}, frame[4000] = {0};
		const struct weir_vring_log log = {bitmap, sizeof(bitmap)};
		struct weir_rx_meta meta = {.len = sizeof(frame)};
		struct guest_buf bufs[2] = {{DATA + 4096 * 3 + 4000, 96 + 4096},
					    {GUEST_BASE + REGION - 1000, 2000}};
		uint64_t ring_page, page;
		struct ring ring;

		ring_open(&ring, packed ? PACKED : 0, true);
		assert_true(driver_add(&ring.driver, bufs, 2, false, 0));
		driver_publish(&ring.driver);
		weir_vring_set_log(ring.vr, &log);
		assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
		weir_vring_rx_commit(ring.vr);
		/* 4012 bytes: 96, then 3916 of the page behind. And the ring's own. */
		ring_page = GUEST_BASE / 4096;
		for (page = 0; page < n_pages; page++) {
			bool written = page + first == ring_page ||
				       page + first == DATA / 4096 + 3 ||
				       page + first == DATA / 4096 + 4;

			assert_int_equal(bitmap[(page + first) / 8] >> ((page + first) % 8) & 1,
					 written);
		}
		/* A page past the bitmap is not written anywhere. */
		weir_vring_set_log(ring.vr, NULL);
		ring_close(&ring);
	}
}

static void
log_that_is_too_small_is_not_overrun(void **state)
{
	uint8_t bitmap[40], frame[FRAME] = {0};
	const struct weir_vring_log log = {bitmap, 33};
	struct weir_rx_meta meta = {.len = FRAME};
	struct ring ring;

	memset(bitmap, 0, sizeof(bitmap));
	ring_open(&ring, 0, true);
	weir_vring_set_log(ring.vr, &log);
	post(&ring, 1, 2048); /* at page 288, of 264 in the log */
	assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), 0);
	weir_vring_rx_commit(ring.vr);
	assert_int_equal(bitmap[32], 1); /* the ring, at page 256 */
	for (size_t i = 33; i < sizeof(bitmap); i++)
		assert_int_equal(bitmap[i], 0);
	ring_close(&ring);
}

/* Notification */

static void
guest_without_event_index_is_notified_unless_it_says_no(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct ring ring;

		ring_open(&ring, packed ? PACKED : 0, false);
		assert_false(weir_vring_should_notify(ring.vr));
		for (int round = 0; round < 4; round++) {
			bool quiet = round & 1;

			if (packed)
				ring.driver.driver_event->flags =
					quiet ? VRING_PACKED_EVENT_FLAG_DISABLE : 0;
			else
				ring.driver.avail->flags = quiet ? VRING_AVAIL_F_NO_INTERRUPT : 0;
			post(&ring, 1, HEADER + FRAME);
			assert_int_equal(take(&ring, 8), 1);
			assert_false(weir_vring_should_notify(ring.vr));
			weir_vring_tx_done_packets(ring.vr, ring.segments, 1);
			assert_int_equal(weir_vring_should_notify(ring.vr), !quiet);
			assert_false(weir_vring_should_notify(ring.vr));
			assert_int_equal(reap(&ring), 1);
		}
		ring_close(&ring);
	}
}

/*
 * The rule, counted out: of the used entries since the last look, is one the event's?
 * All positions are counted from the start, free of wraps.
 */
static void
event_index_is_heard_exactly_when_it_is_passed(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		const struct weir_vring_base start = {65530, 65530};
		uint64_t used = packed ? 0 : 65530, looked, event;
		uint64_t seed = 7;
		struct ring ring;

		ring_open_at(&ring, EVENT | (packed ? PACKED : 0), SIZE, false,
			     packed ? NULL : &start);
		for (int round = 0; round < 200000; round++) {
			uint32_t n = 1 + guest_pick(&seed, SIZE);
			bool expected;

			looked = used;
			/* Where a driver may put it: at what comes next or later. */
			event = used + guest_pick(&seed, 2 * SIZE);
			if (packed && event >= used + SIZE)
				event = used + SIZE - 1;
			if (packed) {
				ring.driver.driver_event->off_wrap =
					event % SIZE | (event / SIZE % 2 == 0) << 15;
				ring.driver.driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
			} else {
				ring.driver.avail->ring[SIZE] = event;
			}
			post(&ring, n, HEADER + FRAME);
			assert_int_equal(take(&ring, SIZE), n);
			weir_vring_tx_done_packets(ring.vr, ring.segments, n);
			used += n;
			expected = event >= looked && event < used;
			/* The first time always: who knows what was before. */
			if (weir_vring_should_notify(ring.vr) != (expected || round == 0))
				fail_msg("event %lu, used %lu to %lu", event, looked, used);
			assert_int_equal(reap(&ring), n);
		}
		ring_close(&ring);
	}
}

static void
armed_ring_asks_for_a_kick_and_looks_again(void **state)
{
	for (int packed = 0; packed < 2; packed++)
		for (int event = 0; event < 2; event++) {
			struct ring ring;

			ring_open(&ring, (packed ? PACKED : 0) | (event ? EVENT : 0), false);
			weir_vring_disarm(ring.vr);
			if (packed)
				assert_int_equal(ring.driver.device_event->flags,
						 VRING_PACKED_EVENT_FLAG_DISABLE);
			else if (!event)
				assert_int_equal(ring.driver.used->flags, VRING_USED_F_NO_NOTIFY);
			assert_false(weir_vring_has_work(ring.vr));
			assert_false(weir_vring_arm(ring.vr));
			post(&ring, 3, HEADER + FRAME);
			assert_true(weir_vring_has_work(ring.vr));
			assert_true(weir_vring_arm(ring.vr));
			assert_int_equal(take(&ring, 8), 3);
			assert_false(weir_vring_arm(ring.vr));
			if (packed)
				assert_int_equal(ring.driver.device_event->flags,
						 VRING_PACKED_EVENT_FLAG_ENABLE);
			else if (event) /* the next one is the fourth */
				assert_memory_equal(&ring.driver.used->ring[SIZE], "\3\0", 2);
			else
				assert_int_equal(ring.driver.used->flags, 0);
			ring_close(&ring);
		}
}

static void
burst_is_there_when_its_last_one_is(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct ring ring;

		ring_open(&ring, packed ? PACKED : 0, false);
		/* Around the end of the ring, where the wrap counter turns. */
		for (int round = 0; round < 3 * SIZE; round++) {
			const struct guest_buf buf = {DATA, HEADER + FRAME};

			for (int i = 0; i < 5; i++) {
				assert_true(weir_vring_tx_has(ring.vr, i));
				assert_false(weir_vring_tx_has(ring.vr, i + 1));
				assert_true(driver_add(&ring.driver, &buf, 1, false, i));
				driver_publish(&ring.driver);
			}
			assert_true(weir_vring_tx_has(ring.vr, 5));
			assert_int_equal(take(&ring, 5), 5);
			weir_vring_tx_done_packets(ring.vr, ring.segments, 5);
			assert_int_equal(reap(&ring), 5);
			assert_false(weir_vring_tx_has(ring.vr, SIZE));
			assert_false(weir_vring_tx_has(ring.vr, SIZE + 1));
		}
		ring_close(&ring);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_table_is_sorted_and_found),
		cmocka_unit_test(memory_table_that_cannot_be_is_refused),
		cmocka_unit_test(ring_that_cannot_be_is_refused),
		cmocka_unit_test(every_reason_has_a_name_and_a_clause),
		cmocka_unit_test(header_is_12_bytes_but_for_a_legacy_guest),
		cmocka_unit_test(stopped_tx_ring_gives_all_back_and_goes_on),
		cmocka_unit_test(stopped_rx_ring_rewinds_over_unused_buffers),
		cmocka_unit_test(id_that_is_not_taken_is_ignored),
		cmocka_unit_test(in_order_guest_sees_nothing_past_what_is_held),
		cmocka_unit_test(rx_is_shown_by_commit_and_not_before),
		cmocka_unit_test(burst_needs_no_limit_of_32),
		cmocka_unit_test(burst_is_there_when_its_last_one_is),
		cmocka_unit_test(frame_without_room_for_its_segments_waits),
		cmocka_unit_test(mergeable_frame_takes_as_many_buffers_as_it_needs),
		cmocka_unit_test(frame_that_never_fits_is_dropped_and_one_that_may_waits),
		cmocka_unit_test(header_is_right_whatever_lies_in_the_buffer),
		cmocka_unit_test(guest_gets_no_offload_it_did_not_negotiate),
		cmocka_unit_test(tag_beside_the_frame_goes_into_it),
		cmocka_unit_test(written_pages_are_logged_and_no_others),
		cmocka_unit_test(log_that_is_too_small_is_not_overrun),
		cmocka_unit_test(guest_without_event_index_is_notified_unless_it_says_no),
		cmocka_unit_test(event_index_is_heard_exactly_when_it_is_passed),
		cmocka_unit_test(armed_ring_asks_for_a_kick_and_looks_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
