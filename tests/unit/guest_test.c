/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_errno.h>

#include "harness.h"
#include "guest.h"

static char dir[] = "/tmp/weir-guest-test-XXXXXX";

static const char *
path_in_dir(const char *name)
{
	static char path[100];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/** Create from keys that must be refused; the error. */
static int
refused(const char *keys)
{
	assert_null(weir_guest_create(keys, NULL, NULL));
	return rte_errno;
}

static void
assert_text(const char *part)
{
	if (strstr(weir_error_text(), part) == NULL)
		fail_msg("'%s' does not say '%s'", weir_error_text(), part);
}

/* Keys. */

static void
missing_keys_are_named(void **state)
{
	assert_int_equal(refused("socket=/tmp/s,endpoint=sink"), EINVAL);
	assert_text("'name' is missing");
	assert_int_equal(refused("name=g,endpoint=sink"), EINVAL);
	assert_text("'socket' is missing");
	assert_int_equal(refused("name=g,socket=/tmp/s"), EINVAL);
	assert_text("'endpoint' is missing");
}

static void
wrong_values_are_named_with_what_is_right(void **state)
{
	assert_int_equal(refused("name=g,socket=/tmp/s,endpoint=sink,queues=0"), EINVAL);
	assert_text("queues=0: a whole number from 1 to 16");
	assert_int_equal(refused("name=g,socket=/tmp/s,endpoint=sink,queues=17"), EINVAL);
	assert_int_equal(refused("name=g,socket=/tmp/s,endpoint=sink,mtu=67"), EINVAL);
	assert_int_equal(refused("name=g,socket=/tmp/s,endpoint=sink,mode=sever"), EINVAL);
	assert_text("one of server, client");
	assert_int_equal(refused("name=g,socket=/tmp/s,endpoint=sink,tso=1"), EINVAL);
	assert_int_equal(refused("name=g,socket=/tmp/s,endpoint=snik"), ENOENT);
	assert_text("no such endpoint");
	assert_int_equal(refused("name=g,socket=/tmp/,endpoint=sink"), EINVAL);
	assert_text("is a directory");
}

static void
socket_path_has_the_length_of_sun_path(void **state)
{
	char path[109] = "/tmp/", keys[256];

	memset(path + 5, 'x', 103);
	path[108] = '\0';
	snprintf(keys, sizeof(keys), "name=g,socket=%s,endpoint=sink", path);
	assert_int_equal(refused(keys), ENAMETOOLONG);
	assert_text("has 108 characters: a unix socket's path has at most 107");
}

static void
two_guests_do_not_share_name_or_socket(void **state)
{
	struct weir_guest *guest =
		weir_guest_create("name=g,socket=/tmp/s,endpoint=sink", NULL, NULL);

	assert_non_null(guest);
	assert_int_equal(refused("name=h,socket=/tmp/s,endpoint=sink"), EEXIST);
	assert_text("is guest 'g' already");
	assert_int_equal(refused("name=g,socket=/tmp/t,endpoint=sink"), EEXIST);
	weir_guest_free(guest);
	guest = weir_guest_create("name=g,socket=/tmp/s,endpoint=sink", NULL, NULL);
	assert_non_null(guest);
	weir_guest_free(guest);
	weir_guest_free(NULL);
}

static void
guest_is_refused_that_its_budget_cannot_hold(void **state)
{
	struct weir_budget *host = weir_budget_create("host", NULL, 100 << 10);

	assert_null(weir_guest_create("name=g,socket=/tmp/s,endpoint=sink", NULL, host));
	assert_text("guest 'g'");
	weir_budget_set_limit(host, 64 << 20);
	assert_null(
		weir_guest_create("name=g,socket=/tmp/s,endpoint=sink,budget=100K", NULL, host));
	assert_int_equal(weir_budget_used_bytes(host), 0);
	assert_int_equal(weir_budget_free(host), 0);
}

/* Socket files. */

static int
listen_on(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void
stale_socket_is_removed_and_a_live_one_left(void **state)
{
	const char *path = path_in_dir("socket");
	int fd = listen_on(path);

	assert_int_equal(socket_check(path, false), -EADDRINUSE);
	assert_text("another process serves it");
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	assert_int_equal(socket_check(path, false), 0);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void
file_that_is_no_socket_is_left(void **state)
{
	const char *path = path_in_dir("file");
	FILE *file = fopen(path, "w");

	fclose(file);
	assert_int_equal(socket_check(path, false), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void
missing_directory_is_named(void **state)
{
	assert_int_equal(socket_check(path_in_dir("no/socket"), false), -ENOENT);
	assert_text("/no: No such file or directory: create it first");
	/* A client waits for whoever will make it. */
	assert_int_equal(socket_check(path_in_dir("no/socket"), true), 0);
}

/* Metadata to and from the library's mbuf flags. */

static struct rte_mempool *pool;

static struct rte_mbuf *
frame_of_type(uint16_t ether_type)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	uint8_t *data = (uint8_t *)rte_pktmbuf_append(mbuf, 200);

	memset(data, 0, 200);
	data[12] = ether_type >> 8;
	data[13] = ether_type & 0xff;
	data[14 + 20 + 12] = 0x80; /* a TCP header of 32 bytes behind 20 of IPv4 */
	return mbuf;
}

static void
offload_survives_the_way_through_an_mbuf(void **state)
{
	static const struct weir_offload offloads[] = {
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 8},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM,
		 .gso_type = WEIR_GSO_TCPV4,
		 .hdr_len = 66,
		 .gso_size = 1448,
		 .csum_start = 34,
		 .csum_offset = 16},
		{0},
	};
	struct weir_offload back;
	size_t i;

	for (i = 0; i < RTE_DIM(offloads); i++) {
		struct rte_mbuf *mbuf = frame_of_type(0x0800);

		assert_int_equal(weir_offload_to_mbuf(&offloads[i], mbuf), 0);
		weir_offload_from_mbuf(mbuf, &back);
		assert_memory_equal(&back, &offloads[i], sizeof(back));
		rte_pktmbuf_free(mbuf);
	}
}

static void
offload_outside_the_frame_is_refused(void **state)
{
	static const struct weir_offload offloads[] = {
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 199, .csum_offset = 16},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 14, .csum_offset = 16},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 12},
		{.gso_type = WEIR_GSO_TCPV4, .gso_size = 1448},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM,
		 .gso_type = WEIR_GSO_TCPV4,
		 .csum_start = 34,
		 .csum_offset = 16},
		{.flags = WEIR_OFFLOAD_NEEDS_CSUM,
		 .gso_type = WEIR_GSO_UDP,
		 .gso_size = 1448,
		 .csum_start = 34,
		 .csum_offset = 6},
	};
	size_t i;

	for (i = 0; i < RTE_DIM(offloads); i++) {
		struct rte_mbuf *mbuf = frame_of_type(0x0800);

		assert_int_equal(weir_offload_to_mbuf(&offloads[i], mbuf), -EINVAL);
		rte_pktmbuf_free(mbuf);
	}
}

static void
offload_fits_only_what_was_negotiated(void **state)
{
	struct weir_offload csum = {.flags = WEIR_OFFLOAD_NEEDS_CSUM};
	struct weir_offload tso = {.flags = WEIR_OFFLOAD_NEEDS_CSUM,
				   .gso_type = WEIR_GSO_TCPV6 | WEIR_GSO_ECN};
	struct weir_offload ufo = {.flags = WEIR_OFFLOAD_NEEDS_CSUM, .gso_type = WEIR_GSO_UDP};

	assert_true(weir_offload_fits(&csum, WEIR_OFFLOAD_CAP_CSUM));
	assert_false(weir_offload_fits(&csum, WEIR_OFFLOAD_CAP_ALL & ~WEIR_OFFLOAD_CAP_CSUM));
	assert_true(weir_offload_fits(&tso, WEIR_OFFLOAD_CAP_ALL));
	assert_false(weir_offload_fits(&tso, WEIR_OFFLOAD_CAP_ALL & ~WEIR_OFFLOAD_CAP_TSO6));
	assert_false(weir_offload_fits(&tso, WEIR_OFFLOAD_CAP_ALL & ~WEIR_OFFLOAD_CAP_ECN));
	assert_false(weir_offload_fits(&ufo, WEIR_OFFLOAD_CAP_ALL));
}

static int
setup(void **state)
{
	harness_eal();
	if (mkdtemp(dir) == NULL || weir_endpoint_create("name=sink,type=null") == NULL)
		return -1;
	pool = rte_pktmbuf_pool_create("test", 31, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return pool == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	rte_mempool_free(pool);
	weir_endpoint_free(weir_endpoint_find("sink"));
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_keys_are_named),
		cmocka_unit_test(wrong_values_are_named_with_what_is_right),
		cmocka_unit_test(socket_path_has_the_length_of_sun_path),
		cmocka_unit_test(two_guests_do_not_share_name_or_socket),
		cmocka_unit_test(guest_is_refused_that_its_budget_cannot_hold),
		cmocka_unit_test(stale_socket_is_removed_and_a_live_one_left),
		cmocka_unit_test(file_that_is_no_socket_is_left),
		cmocka_unit_test(missing_directory_is_named),
		cmocka_unit_test(offload_survives_the_way_through_an_mbuf),
		cmocka_unit_test(offload_outside_the_frame_is_refused),
		cmocka_unit_test(offload_fits_only_what_was_negotiated),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
