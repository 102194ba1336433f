/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets for a guest that takes no offload: what is in its buffers in the end. */
#include <string.h>

#include "guest.h"
#include "harness.h"
#include "tso_packet.h"
#include "vring_guest.h"

#define SIZE 64
#define HEADER 12
#define DATA (GUEST_BASE + 0x20000)
struct rig {
	struct guest guest;
	struct driver driver;
	struct weir_vring *vr;
	uint32_t n_posted;
};

static struct weir_pair pair;
static struct tso_packet packet;
static void
rig_open(struct rig *rig, uint64_t features, uint32_t size)
{
	struct weir_vring_config config;

	memset(&pair, 0, sizeof(pair));
	rig->n_posted = 0;
	guest_init(&rig->guest, 2, 0x100000);
	driver_init(&rig->driver, &rig->guest, GUEST_BASIC | features, size, true, GUEST_BASE);
	config = driver_config(&rig->driver);
	rig->vr = weir_vring_create(&config);
	assert_non_null(rig->vr);
	tso_packet_make(&packet);
}

static void
rig_close(struct rig *rig)
{
	assert_int_equal(weir_vring_error(rig->vr), WEIR_VRING_OK);
	weir_vring_free(rig->vr);
	driver_fini(&rig->driver);
	guest_fini(&rig->guest);
}

static void
post(struct rig *rig, uint32_t n)
{
	for (; n > 0; n--, rig->n_posted++) {
		struct guest_buf buf = {DATA + 2048ULL * rig->n_posted, 2048};

		assert_true(driver_add(&rig->driver, &buf, 1, false, rig->n_posted));
	}
	driver_publish(&rig->driver);
}

/** Frames the guest has got; their payload is the packet's from @p offset on. */
static uint32_t
reap(struct rig *rig, uint32_t offset)
{
	uint32_t token, len, n = 0, part;
	uint8_t got[2048];

	weir_vring_rx_commit(rig->vr);
	for (; driver_used(&rig->driver, &token, &len); n++) {
		guest_read(&rig->guest, DATA + 2048ULL * token, got, len);
		/* flags and gso_type: nothing is left to be done */
		assert_int_equal(got[0] | got[1], 0);
		part = len - HEADER - TSO_HEADERS;
		assert_memory_equal(got + HEADER + TSO_HEADERS, packet.bytes + TSO_HEADERS + offset,
				    part);
		offset += part;
	}
	return n;
}

static uint64_t
lost(void)
{
	return pair.stats.rx_dropped_no_buffers;
}

static void
a_packet_is_cut_into_the_guests_buffers(void **state)
{
	static const uint64_t kinds[] = {0, BIT(VIRTIO_F_RING_PACKED), BIT(VIRTIO_NET_F_MRG_RXBUF)};
	struct rig rig;
	size_t i;

	for (i = 0; i < RTE_DIM(kinds); i++) {
		rig_open(&rig, kinds[i], SIZE);
		post(&rig, SIZE);
		assert_int_equal(finish_write_packets(&pair, rig.vr, packet.segments, 1), 1);
		assert_int_equal(reap(&rig, 0), TSO_FRAMES);
		assert_int_equal(pair.stats.rx_finished, 1);
		assert_int_equal(lost(), 0);
		rig_close(&rig);
	}
}

static void
a_packet_waits_for_buffers_for_all_of_it(void **state)
{
	struct rig rig;
	int i;

	rig_open(&rig, 0, SIZE);
	post(&rig, SIZE / 4 - 1);
	/* A guest that does not read: nothing is lost however long it takes. */
	for (i = 0; i < 5000; i++)
		assert_int_equal(finish_write_packets(&pair, rig.vr, packet.segments, 1), 0);
	assert_int_equal(reap(&rig, 0), 0);
	post(&rig, TSO_FRAMES);
	assert_int_equal(finish_write_packets(&pair, rig.vr, packet.segments, 1), 1);
	assert_int_equal(reap(&rig, 0), TSO_FRAMES);
	assert_int_equal(lost(), 0);
	rig_close(&rig);
}

static void
a_ring_too_short_gets_what_it_holds(void **state)
{
	struct rig rig;
	int i, looks = 0;

	rig_open(&rig, 0, 16);
	post(&rig, 16);
	for (i = 0; i < 5000 && finish_write_packets(&pair, rig.vr, packet.segments, 1) == 0; i++)
		looks++;
	assert_in_range(looks, 100, 4999);
	assert_int_equal(reap(&rig, 0), 16);
	assert_int_equal(lost(), TSO_FRAMES - 16);
	rig_close(&rig);
}

static void
packets_that_are_finished_keep_their_places(void **state)
{
	struct weir_tx_segment three[4] = {
		{.addr = packet.bytes, .len = 60, .frame_len = 60, .n_segments = 1},
	};
	uint32_t token, len, lens[TSO_FRAMES + 2], n = 0;
	struct rig rig;

	rig_open(&rig, 0, SIZE);
	memcpy(three + 1, packet.segments, sizeof(packet.segments));
	three[3] = three[0];
	three[3].len = three[3].frame_len = 61;
	post(&rig, 10);
	/* The first goes, the second holds the third back. */
	assert_int_equal(finish_write_packets(&pair, rig.vr, three, 3), 1);
	post(&rig, SIZE - 10);
	assert_int_equal(finish_write_packets(&pair, rig.vr, three + 1, 2), 2);
	weir_vring_rx_commit(rig.vr);
	while (driver_used(&rig.driver, &token, &len) && n < RTE_DIM(lens))
		lens[n++] = len - HEADER;
	assert_int_equal(n, TSO_FRAMES + 2);
	assert_int_equal(lens[0], 60);
	assert_int_equal(lens[1], TSO_HEADERS + TSO_MSS);
	assert_int_equal(lens[TSO_FRAMES], TSO_HEADERS + TSO_PAYLOAD % TSO_MSS);
	assert_int_equal(lens[TSO_FRAMES + 1], 61);
	rig_close(&rig);
}

static void
what_the_guest_takes_is_left_to_it(void **state)
{
	struct rig rig;
	uint32_t token, len, n = 0;
	uint8_t got[HEADER];

	rig_open(&rig, BIT(VIRTIO_NET_F_GUEST_CSUM), SIZE);
	pair.access.rx_offloads = WEIR_OFFLOAD_CAP_CSUM;
	post(&rig, SIZE);
	assert_int_equal(finish_write_packets(&pair, rig.vr, packet.segments, 1), 1);
	weir_vring_rx_commit(rig.vr);
	for (; driver_used(&rig.driver, &token, &len); n++) {
		guest_read(&rig.guest, DATA + 2048ULL * token, got, sizeof(got));
		assert_int_equal(got[0], VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(got[1], VIRTIO_NET_HDR_GSO_NONE);
	}
	assert_int_equal(n, TSO_FRAMES);
	rig_close(&rig);
}

static void
what_cannot_be_finished_is_counted(void **state)
{
	struct rig rig;

	rig_open(&rig, 0, SIZE);
	post(&rig, SIZE);
	packet.segments[0].offload.gso_type = WEIR_GSO_TCPV6;
	assert_int_equal(finish_write_packets(&pair, rig.vr, packet.segments, 1), 1);
	assert_int_equal(reap(&rig, 0), 0);
	assert_int_equal(pair.stats.rx_dropped_no_offload, 1);
	rig_close(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_cut_into_the_guests_buffers),
		cmocka_unit_test(a_packet_waits_for_buffers_for_all_of_it),
		cmocka_unit_test(a_ring_too_short_gets_what_it_holds),
		cmocka_unit_test(packets_that_are_finished_keep_their_places),
		cmocka_unit_test(what_the_guest_takes_is_left_to_it),
		cmocka_unit_test(what_cannot_be_finished_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
