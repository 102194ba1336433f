/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ways of copying a long frame. */
#include <string.h>

#include "../../lib/vring/copy.h"
#include "harness.h"

/* Every length that a loop of lines, pieces and their ends meets, wherever both sides lie. */
static void
copy_is_of_every_byte_and_no_other(copy_lines_fn *copy)
{
	enum { ROOM = 64, LEN_MAX = 1100 };
	uint8_t src[LEN_MAX + ROOM], dst[LEN_MAX + 3 * ROOM], right[sizeof(dst)];
	uint32_t len, to, i;

	for (i = 0; i < sizeof(src); i++)
		src[i] = i * 7 + (i >> 8);
	for (len = 129; len <= LEN_MAX; len++)
		for (to = 0; to < ROOM; to++) {
			uint32_t from = (len + to) % ROOM;

			memset(dst, 0xa5, sizeof(dst));
			memset(right, 0xa5, sizeof(right));
			memcpy(right + ROOM + to, src + from, len);
			copy(dst + ROOM + to, src + from, len);
			assert_memory_equal(dst, right, sizeof(dst));
		}
}

static void
plain_registers_copy_every_byte_and_no_other(void **state)
{
	copy_is_of_every_byte_and_no_other(copy_lines_plain);
}

static void
widest_registers_copy_every_byte_and_no_other(void **state)
{
	/* Without wide ones the plain ones are the widest. */
	assert_ptr_equal(copy_lines,
			 copy_lines_wide() != NULL ? copy_lines_wide() : copy_lines_plain);
	copy_is_of_every_byte_and_no_other(copy_lines);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_registers_copy_every_byte_and_no_other),
		cmocka_unit_test(widest_registers_copy_every_byte_and_no_other),
	};

	return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
