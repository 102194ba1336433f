/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_errno.h>

#include "harness.h"
#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_keys.h"
#include "weir_object.h"

static const char *const known[] = {"mtu", "tso", "mode", NULL};
static const char *const more[] = {"name", NULL};

static void
unknown_key_is_named_with_the_known_ones(void **state)
{
	assert_null(weir_keys_parse("--guest", "name=a,mut=1500", known, more));
	assert_int_equal(rte_errno, EINVAL);
	assert_string_equal(weir_error_text(),
			    "--guest: unknown key 'mut': the keys are name, mtu, tso, mode");
}

static void
doubled_and_empty_keys_are_refused(void **state)
{
	assert_null(weir_keys_parse("--guest", "mtu=1,mtu=2", known, more));
	assert_non_null(strstr(weir_error_text(), "more than once"));
	assert_null(weir_keys_parse("--guest", "mtu", known, more));
	assert_non_null(strstr(weir_error_text(), "has no value"));
}

static void
quoted_values_keep_their_marks(void **state)
{
	struct weir_keys *keys;

	keys = weir_keys_parse("--guest", "name=\"a,mtu=1[2],,\",mtu=\"15\"00,mode=x", known, more);
	assert_non_null(keys);
	assert_string_equal(weir_keys_get(keys, "name"), "a,mtu=1[2],,");
	assert_string_equal(weir_keys_get(keys, "mtu"), "1500");
	assert_string_equal(weir_keys_get(keys, "mode"), "x");
	weir_keys_free(keys);
	assert_null(weir_keys_parse("--guest", "name=\"a,mtu=1500", known, more));
	assert_int_equal(rte_errno, EINVAL);
	assert_non_null(strstr(weir_error_text(), "quote"));
	assert_null(weir_endpoint_create("name=\"c,type=null\""));
	assert_non_null(strstr(weir_error_text(), "'type' is missing"));
}

static void
numbers_are_whole_and_in_range(void **state)
{
	static const char *const wrong[] = {"mtu=67",	"mtu=65536", "mtu=-1",
					    "mtu=15OO", "mtu=0x5",   "mtu= 100",
					    "mtu=1e3",	"mtu=1K",    "mtu=99999999999999999999"};
	struct weir_keys *keys;
	uint64_t mtu = 1500;
	size_t i;

	for (i = 0; i < RTE_DIM(wrong); i++) {
		keys = weir_keys_parse("--guest", wrong[i], known, more);
		assert_non_null(keys);
		assert_int_equal(weir_keys_number(keys, "mtu", 68, 65535, &mtu), -EINVAL);
		assert_non_null(strstr(weir_error_text(), "from 68 to 65535"));
		weir_keys_free(keys);
	}
	assert_int_equal(mtu, 1500);
	keys = weir_keys_parse("--guest", "mtu=9000", known, more);
	assert_int_equal(weir_keys_number(keys, "mtu", 68, 65535, &mtu), 0);
	assert_int_equal(mtu, 9000);
	weir_keys_free(keys);
}

static void
bytes_take_a_suffix_and_do_not_overflow(void **state)
{
	struct weir_keys *keys = weir_keys_parse("--guest", "mtu=512M", known, more);
	uint64_t bytes = 0;

	assert_int_equal(weir_keys_bytes(keys, "mtu", 1, UINT64_MAX, &bytes), 0);
	assert_int_equal(bytes, 512ULL << 20);
	weir_keys_free(keys);
	keys = weir_keys_parse("--guest", "mtu=99999999999G", known, more);
	assert_int_equal(weir_keys_bytes(keys, "mtu", 1, UINT64_MAX, &bytes), -EINVAL);
	weir_keys_free(keys);
}

static void
values_without_keys_are_read_likewise(void **state)
{
	uint64_t value = 7;

	assert_int_equal(weir_keys_parse_bytes("2K", &value), 0);
	assert_int_equal(value, 2048);
	assert_int_equal(weir_keys_parse_number("2K", &value), -EINVAL);
	assert_int_equal(weir_keys_parse_number("-1", &value), -EINVAL);
	assert_int_equal(weir_keys_parse_number("", &value), -EINVAL);
	assert_int_equal(value, 2048);
	assert_int_equal(weir_keys_parse_number("500", &value), 0);
	assert_int_equal(value, 500);
}

static void
choices_and_switches_name_what_is_right(void **state)
{
	static const char *const modes[] = {"server", "client", NULL};
	struct weir_keys *keys = weir_keys_parse("--guest", "mode=sever,tso=yes", known, more);
	unsigned int mode = 0;
	bool tso = true;

	assert_int_equal(weir_keys_choice(keys, "mode", modes, &mode), -EINVAL);
	assert_string_equal(weir_error_text(),
			    "--guest: mode=sever: one of server, client is needed");
	assert_int_equal(weir_keys_switch(keys, "tso", &tso), -EINVAL);
	assert_true(tso);
	weir_keys_free(keys);
}

static void
object_names_are_checked(void **state)
{
	assert_int_equal(weir_object_check_name("g0.a_b-C"), 0);
	assert_int_equal(weir_object_check_name(""), -EINVAL);
	assert_int_equal(weir_object_check_name("a b"), -EINVAL);
	assert_int_equal(weir_object_check_name("a/b"), -EINVAL);
	assert_int_equal(weir_object_check_name("0123456789012345678901234567890"), 0);
	assert_int_equal(weir_object_check_name("01234567890123456789012345678901"), -EINVAL);
}

static void
endpoints_are_found_by_name_and_unique(void **state)
{
	struct weir_endpoint *endpoint = weir_endpoint_create("type=null,name=sink");

	assert_non_null(endpoint);
	assert_ptr_equal(weir_endpoint_find("sink"), endpoint);
	assert_null(weir_endpoint_create("name=sink,type=null"));
	assert_int_equal(rte_errno, EEXIST);
	weir_endpoint_free(endpoint);
	assert_null(weir_endpoint_find("sink"));
	weir_endpoint_free(NULL);
}

static void
names_of_a_room_are_listed_in_order(void **state)
{
	struct weir_endpoint *b = weir_endpoint_create("type=null,name=b");
	struct weir_endpoint *a = weir_endpoint_create("type=null,name=a");
	char names[3][WEIR_OBJECT_NAMESIZE];

	assert_int_equal(weir_object_names("endpoint", names, 3), 2);
	assert_string_equal(names[0], "b");
	assert_string_equal(names[1], "a");
	assert_int_equal(weir_object_names("endpoint", names, 1), 1);
	assert_int_equal(weir_object_names("endpoin", names, 3), 0);
	weir_endpoint_free(a);
	weir_endpoint_free(b);
	assert_int_equal(weir_object_names("endpoint", names, 3), 0);
}

static void
endpoint_keys_are_checked(void **state)
{
	assert_null(weir_endpoint_create("name=x"));
	assert_non_null(strstr(weir_error_text(), "'type' is missing"));
	assert_null(weir_endpoint_create("name=x,type=nul"));
	assert_non_null(strstr(weir_error_text(), "unknown type 'nul'"));
	assert_null(weir_endpoint_create("type=null"));
	assert_non_null(strstr(weir_error_text(), "'name' is missing"));
	assert_null(weir_endpoint_create("name=x,type=null,iface=y"));
	assert_non_null(strstr(weir_error_text(), "unknown key 'iface'"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_key_is_named_with_the_known_ones),
		cmocka_unit_test(doubled_and_empty_keys_are_refused),
		cmocka_unit_test(quoted_values_keep_their_marks),
		cmocka_unit_test(numbers_are_whole_and_in_range),
		cmocka_unit_test(bytes_take_a_suffix_and_do_not_overflow),
		cmocka_unit_test(values_without_keys_are_read_likewise),
		cmocka_unit_test(choices_and_switches_name_what_is_right),
		cmocka_unit_test(object_names_are_checked),
		cmocka_unit_test(endpoints_are_found_by_name_and_unique),
		cmocka_unit_test(names_of_a_room_are_listed_in_order),
		cmocka_unit_test(endpoint_keys_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
