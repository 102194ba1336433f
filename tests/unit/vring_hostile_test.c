/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs the hostile cases, each a test of its own. */
#include <errno.h>
#include <string.h>

#include <rte_common.h>

#include "vring_hostile.h"

static void
ring_open(struct ring *ring, uint64_t features, bool rx)
{
	struct weir_vring_region regions[WEIR_VRING_REGIONS_MAX];
	struct weir_vring_config config;
	uint32_t i;

	guest_init(&ring->guest, 3, REGION);
	for (i = 0; i < 3; i++)
		regions[i] = ring->guest.memory.regions[i];
	regions[2].guest_addr += REGION;
	assert_int_equal(weir_vring_memory_init(&ring->guest.memory, regions, 3), 0);
	driver_init(&ring->driver, &ring->guest, GUEST_BASIC | features, SIZE, rx, GUEST_BASE);
	config = driver_config(&ring->driver);
	ring->vr = weir_vring_create(&config);
	assert_non_null(ring->vr);
}

static void
ring_close(struct ring *ring)
{
	weir_vring_free(ring->vr);
	driver_fini(&ring->driver);
	guest_fini(&ring->guest);
}

/* Of a stopped ring nothing is read, written or asked for any more. */
static void
ring_is_stopped(struct ring *ring, bool rx)
{
	static const uint8_t frame[FRAME];
	struct weir_rx_meta meta = {.len = FRAME};
	struct vring_desc before[SIZE];
	uint16_t used = ring->driver.used->idx, id;
	struct weir_vring_base base;

	memcpy(before, ring->driver.desc, sizeof(before));
	if (rx) {
		assert_int_equal(weir_vring_rx_posted(ring->vr, 8), 0);
		assert_int_equal(weir_vring_rx_capacity(ring->vr), 0);
		assert_int_equal(weir_vring_rx_write_packet(ring->vr, &meta, frame), -EIO);
		assert_int_equal(weir_vring_rx_write_header(ring->vr, &meta), -EIO);
		assert_int_equal(weir_vring_rx_write_data(ring->vr, 0, frame, 1), -EIO);
		weir_vring_rx_commit(ring->vr);
	} else {
		assert_int_equal(weir_vring_tx_take(ring->vr, ring->segments, 512, 64), 0);
		for (id = 0; id < SIZE; id++)
			weir_vring_tx_done(ring->vr, &id, 1);
	}
	assert_false(weir_vring_has_work(ring->vr));
	assert_false(weir_vring_should_notify(ring->vr));
	assert_false(weir_vring_arm(ring->vr));
	weir_vring_disarm(ring->vr);
	base = weir_vring_stop(ring->vr);
	if (ring->driver.packed) {
		assert_in_range(base.avail & 0x7fff, 0, SIZE - 1);
		assert_in_range(base.used & 0x7fff, 0, SIZE - 1);
	}
	assert_memory_equal(before, ring->driver.desc, sizeof(before));
	assert_int_equal(ring->driver.used->idx, used);
}

static void
hostile_case(void **state)
{
	const struct hostile *c = *state;
	static const uint8_t frame[FRAME];
	struct weir_rx_meta meta = {.len = FRAME};
	struct weir_vring_stats stats;
	struct ring ring = {0};
	uint16_t n;

	ring_open(&ring, c->features, c->rx);
	c->arrange(&ring);
	if (c->rx && c->error != WEIR_VRING_OK) {
		assert_int_equal(weir_vring_rx_write_packet(ring.vr, &meta, frame), -EIO);
	} else if (c->rx) {
		assert_int_equal(weir_vring_rx_posted(ring.vr, SIZE), SIZE);
	} else {
		n = weir_vring_tx_take(ring.vr, ring.segments, RTE_DIM(ring.segments), 64);
		assert_int_equal(n, c->packets);
	}
	assert_string_equal(weir_vring_error_name(weir_vring_error(ring.vr)),
			    weir_vring_error_name(c->error));
	weir_vring_stats(ring.vr, &stats);
	assert_int_equal(stats.tx_dropped_short, c->short_);
	assert_int_equal(stats.tx_dropped_long, c->long_);
	assert_int_equal(stats.tx_dropped_offload, c->offload);
	if (c->short_ + c->long_ + c->offload > 0) {
		/* A dropped frame's descriptor is the guest's again. */
		assert_int_equal(weir_vring_tx_held(ring.vr), 0);
		if (!(c->features & PACKED)) {
			assert_int_equal(ring.driver.used->idx, 1);
		} else {
			assert_int_equal(ring.driver.ring[0].id, 3);
			assert_int_equal(ring.driver.ring[0].flags & 0x8080, 0x8080);
		}
	}
	if (c->check != NULL)
		c->check(&ring);
	if (weir_vring_error(ring.vr) != WEIR_VRING_OK)
		ring_is_stopped(&ring, c->rx);
	ring_close(&ring);
}

int
main(void)
{
	const struct hostile_set *const sets[] = {&hostile_split, &hostile_header, &hostile_rx,
						  &hostile_packed};
	struct CMUnitTest tests[256];
	size_t n = 0, i, s;

	for (s = 0; s < RTE_DIM(sets); s++)
		for (i = 0; i < sets[s]->n; i++) {
			assert_true(n < RTE_DIM(tests));
			tests[n++] = (struct CMUnitTest){
				.name = sets[s]->cases[i].name,
				.test_func = hostile_case,
				.initial_state = (void *)(uintptr_t)&sets[s]->cases[i],
			};
		}
	return _cmocka_run_group_tests("hostile", tests, n, NULL, NULL);
}
