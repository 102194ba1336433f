/* SPDX-License-Identifier: BSD-3-Clause */
/* What the data path of a pair does with a ring, of a guest that is this test. */
#include <string.h>

#include "guest.h"
#include "harness.h"
#include "vring_guest.h"

#define SIZE 64
#define FRAME 100
#define HEADER 12
#define DATA (GUEST_BASE + 0x20000)
#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define FOR_EVER UINT64_MAX

static struct weir_pair pair;
static struct guest guest;
static struct driver driver;

static void
pair_open(uint64_t features, uint64_t wait)
{
	struct weir_vring_config config;

	memset(&pair, 0, sizeof(pair));
	guest_init(&guest, 1, 0x100000);
	driver_init(&driver, &guest, GUEST_BASIC | features, SIZE, false, GUEST_BASE);
	config = driver_config(&driver);
	pair.path = &engine_path;
	pair.packed = features & PACKED;
	pair.tx_wait = wait;
	pair.call_fd[WEIR_PAIR_WAKE_TX] = -1;
	pair.ring[WEIR_PAIR_WAKE_TX] = weir_vring_create(&config);
	assert_non_null(pair.ring[WEIR_PAIR_WAKE_TX]);
}

static void
pair_end(void)
{
	assert_null(pair.broken);
	weir_vring_free(pair.ring[WEIR_PAIR_WAKE_TX]);
	driver_fini(&driver);
	guest_fini(&guest);
}

static void
post(uint32_t n)
{
	const struct guest_buf buf = {DATA, HEADER + FRAME};

	for (; n > 0; n--)
		assert_true(driver_add(&driver, &buf, 1, false, 0));
	driver_publish(&driver);
}

/** Look once; packets taken, which are given back. */
static uint16_t
look(void)
{
	uint16_t ids[PAIR_BURST], n, i;
	uint32_t token, len;

	pair.path->take(&pair);
	n = pair.n_pending;
	for (i = 0; i < n; i++)
		ids[i] = pair.segments[i].id;
	pair.n_pending = 0;
	pair.path->done(&pair, ids, n);
	while (driver_used(&driver, &token, &len))
		;
	return n;
}

static void
burst_that_is_being_written_is_left_alone(void **state)
{
	pair_open(PACKED, FOR_EVER);
	post(8);
	assert_int_equal(look(), 8);
	assert_int_equal(look(), 0);
	post(3);
	assert_int_equal(look(), 0);
	post(4);
	assert_int_equal(look(), 0);
	post(1);
	assert_int_equal(look(), 8);
	pair_end();
}

static void
burst_that_stays_short_is_not_waited_for_long(void **state)
{
	pair_open(PACKED, 0);
	post(8);
	assert_int_equal(look(), 8);
	post(3);
	assert_int_equal(look(), 3);
	pair_end();
}

/* A kick that seems to be for nothing is one of those that are not heard for ever. */
static void
who_kicks_an_armed_ring_is_taken_from_at_once(void **state)
{
	pair_open(PACKED, FOR_EVER);
	post(8);
	assert_int_equal(look(), 8);
	assert_false(pair.path->arm(&pair, WEIR_PAIR_WAKE_TX, true));
	post(1);
	assert_int_equal(look(), 1);
	pair.path->arm(&pair, WEIR_PAIR_WAKE_TX, false);
	pair_end();
}

/* Its bursts are shown whole. */
static void
split_ring_is_not_waited_for(void **state)
{
	pair_open(0, FOR_EVER);
	post(8);
	assert_int_equal(look(), 8);
	post(3);
	assert_int_equal(look(), 3);
	pair_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_that_is_being_written_is_left_alone),
		cmocka_unit_test(burst_that_stays_short_is_not_waited_for_long),
		cmocka_unit_test(who_kicks_an_armed_ring_is_taken_from_at_once),
		cmocka_unit_test(split_ring_is_not_waited_for),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
