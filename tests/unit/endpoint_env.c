/* SPDX-License-Identifier: BSD-3-Clause */
#include "endpoint_env.h"

/** A guest's own frames, given back. */
static uint16_t
loopback_feed(struct env *env, uint16_t n, uint32_t len)
{
	return plain_pair_send(&env->guest->pairs[0], n, len, 1 + n % 3, NULL);
}

struct env envs[] = {
	{.title = "null", .keys = "type=null,name=c"},
	{.title = "loopback",
	 .keys = "type=loopback,name=c",
	 .feed = loopback_feed,
	 .feeds_itself = true},
	{.title = NULL},
};
