/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint_env.h"
#include "host_tap.h"

#define TAP_IFACE "weir-test0"

/** A guest's own frames, given back. */
static uint16_t
loopback_feed(struct env *env, uint16_t n, uint32_t len)
{
	return plain_pair_send(&env->guest->pairs[0], n, len, 1 + n % 3, NULL);
}

static void
tap_env_open(struct env *env)
{
	env->socket = host_tap_socket(TAP_IFACE);
}

static void
tap_env_close(struct env *env)
{
	close(env->socket);
}

/** Frames that a program of the host sends on the interface. */
static uint16_t
tap_feed(struct env *env, uint16_t n, uint32_t len)
{
	uint8_t frame[2048];
	uint16_t i;

	for (i = 0; i < n; i++) {
		plain_frame_write(frame, len, 0, 0, ++env->sequence);
		plain_check(send(env->socket, frame, len, 0) == len);
	}
	return n;
}

struct env envs[] = {
	{.title = "null", .keys = "type=null,name=c"},
	{.title = "loopback",
	 .keys = "type=loopback,name=c",
	 .feed = loopback_feed,
	 .feeds_itself = true},
	{.title = "tap",
	 .keys = "type=tap,name=c,iface=" TAP_IFACE,
	 .missing = host_tap_missing,
	 .open = tap_env_open,
	 .close = tap_env_close,
	 .feed = tap_feed},
	{.title = NULL},
};
