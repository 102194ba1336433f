/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One of the processes that share an elastic pool: the primary creates it, a secondary
 * finds it. Each takes a command a line from its standard input, and answers in a line.
 *
 *   get N, put N   one by one, and the objects are written and read
 *   count          what the library and the driver say
 *   end            free the pool, and say what is still paid for; end
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#include "weir_budget.h"
#include "weir_error.h"
#include "weir_mempool.h"

#define POOL "shared"
#define BUDGET "shared"
#define N_OBJS 16384
#define POPULATED 1024
#define OBJ_BYTES 2048
#define BUDGET_BYTES (64u << 20)

static void *held[N_OBJS];
static uint32_t n_held;

static struct rte_mempool *
pool_create(void)
{
	struct weir_mempool_conf conf = {
		.populate = POPULATED,
		.slab_bytes = 512 << 10,
		.keep_ms = 20,
		.budget = weir_budget_create(BUDGET, NULL, BUDGET_BYTES),
	};
	struct rte_mempool *mp;

	if (conf.budget == NULL)
		return NULL;
	mp = rte_mempool_create_empty(POOL, N_OBJS, OBJ_BYTES, 0, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL || rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, &conf) != 0 ||
	    rte_mempool_populate_default(mp) < 0)
		return NULL;
	return mp;
}

/** Each object has who got it in its first and last word. */
static uint32_t
pool_get(struct rte_mempool *mp, uint32_t n)
{
	const uint64_t mine = getpid();
	uint32_t got;
	uint64_t *words;

	for (got = 0; got < n && n_held < N_OBJS; got++) {
		if (rte_mempool_get(mp, &held[n_held]) != 0)
			break;
		words = held[n_held++];
		words[0] = words[OBJ_BYTES / 8 - 1] = mine;
	}
	return got;
}

static uint32_t
pool_put(struct rte_mempool *mp, uint32_t n)
{
	const uint64_t mine = getpid();
	uint32_t put;
	uint64_t *words;

	for (put = 0; put < n && n_held > 0; put++) {
		words = held[--n_held];
		if (words[0] != mine || words[OBJ_BYTES / 8 - 1] != mine)
			rte_exit(1, "an object was somebody else's as well\n");
		rte_mempool_put(mp, words);
	}
	return put;
}

static void
pool_count(const struct rte_mempool *mp)
{
	struct weir_mempool_stats stats;

	weir_mempool_stats(mp, &stats);
	printf("available=%u out=%u made=%u bytes=%" PRIu64 "\n", rte_mempool_avail_count(mp),
	       stats.out, stats.made, stats.bytes);
}

static void
pool_end(struct rte_mempool *mp)
{
	struct weir_budget *budget = weir_budget_find(BUDGET);

	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		rte_mempool_free(mp);
		printf("used=%" PRIu64 "\n", weir_budget_used_bytes(budget));
	} else {
		printf("bye\n");
	}
}

int
main(int argc, char **argv)
{
	struct rte_mempool *mp;
	char line[64];
	uint32_t n;

	if (rte_eal_init(argc, argv) < 0)
		return 1;
	setlinebuf(stdout);
	mp = rte_eal_process_type() == RTE_PROC_PRIMARY ? pool_create() : rte_mempool_lookup(POOL);
	if (mp == NULL)
		rte_exit(1, "no pool: %s\n", weir_error_text());
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "get %u", &n) == 1)
			printf("%u\n", pool_get(mp, n));
		else if (sscanf(line, "put %u", &n) == 1)
			printf("%u\n", pool_put(mp, n));
		else if (strcmp(line, "count\n") == 0)
			pool_count(mp);
		else
			break;
	}
	pool_end(mp);
	rte_eal_cleanup();
	return 0;
}
