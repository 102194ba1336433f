/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mempool.h>

#include "weir_error.h"
#include "weir_frame.h"
#include "weir_mempool.h"
#include "weir_object.h"

/** Frames are made in slabs of so many, or of a quarter of a larger pool's capacity. */
#define FRAME_SLAB_MIN 16u
/** Nobody needs more at once, and what one late frame holds back stays small. */
#define FRAME_SLAB_MAX 256u

struct weir_frame_pool {
	struct rte_mempool *mempool;
	char name[WEIR_OBJECT_NAMESIZE];
	uint32_t capacity;
	uint32_t room;
	uint16_t mtu;
};

/** A DPDK pool's name is shorter than an object's: keep the head, and make it unique. */
static void
frame_mempool_name(const char *name, char *out)
{
	static uint32_t n_shortened;
	uint32_t id;

	if (strlen(name) < RTE_MEMPOOL_NAMESIZE) {
		strcpy(out, name);
		return;
	}
	id = __atomic_fetch_add(&n_shortened, 1, __ATOMIC_RELAXED);
	snprintf(out, RTE_MEMPOOL_NAMESIZE, "%.14s-%u", name, id);
}

static int
frame_conf_check(const char *name, const struct weir_frame_pool_conf *conf)
{
	int rc = weir_object_check_name(name);

	if (rc != 0)
		return rc;
	if (conf->mtu < RTE_ETHER_MIN_MTU || conf->mtu > WEIR_FRAME_MTU_MAX)
		return weir_error(EINVAL, "frame pool '%s': mtu %u: %d to %d are allowed", name,
				  conf->mtu, RTE_ETHER_MIN_MTU, (int)WEIR_FRAME_MTU_MAX);
	if (conf->capacity == 0 || conf->burst > UINT32_MAX / 2 - conf->capacity)
		return weir_error(EINVAL,
				  "frame pool '%s': capacity %u and burst %u: at least 1 frame, "
				  "and together at most %u",
				  name, conf->capacity, conf->burst, UINT32_MAX / 2);
	return 0;
}

/** How the driver is to make the frames: the first few now, the others on need. */
static void
frame_mempool_conf(const struct weir_frame_pool_conf *conf, uint32_t room,
		   struct weir_mempool_conf *mempool_conf)
{
	uint32_t frame_bytes = RTE_CACHE_LINE_SIZE + sizeof(struct rte_mbuf) + room;
	uint32_t n = RTE_MAX(conf->capacity / 4, FRAME_SLAB_MIN);

	n = RTE_MIN(n, FRAME_SLAB_MAX);
	*mempool_conf = (struct weir_mempool_conf){
		.budget = conf->budget,
		.populate = RTE_MIN(n, conf->capacity),
		.keep = conf->capacity,
		.slab_bytes = WEIR_MEMPOOL_SLAB_HEAD_BYTES + n * (frame_bytes + sizeof(void *)),
	};
}

/** The mempool of frames with @p room bytes each; NULL with rte_errno and a sentence. */
static struct rte_mempool *
frame_mempool_create(const char *name, const struct weir_frame_pool_conf *conf, uint32_t room)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = room};
	struct weir_mempool_conf mempool_conf;
	char mempool_name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;
	int rc;

	frame_mempool_conf(conf, room, &mempool_conf);
	frame_mempool_name(name, mempool_name);
	/* Padding frames over memory channels would cost up to a cache line each. */
	mp = rte_mempool_create_empty(mempool_name, conf->capacity + conf->burst,
				      sizeof(struct rte_mbuf) + room, 0, sizeof(private),
				      conf->numa_node, RTE_MEMPOOL_F_NO_SPREAD);
	if (mp == NULL) {
		rte_errno = -weir_error(rte_errno, "frame pool '%s': cannot create its mempool: %s",
					name, rte_strerror(rte_errno));
		return NULL;
	}
	rc = rte_mempool_set_ops_byname(mp, WEIR_MEMPOOL_OPS_NAME, &mempool_conf);
	if (rc != 0) {
		weir_error(-rc, "frame pool '%s': the mempool driver '%s' is not there", name,
			   WEIR_MEMPOOL_OPS_NAME);
		goto fail;
	}
	rte_pktmbuf_pool_init(mp, &private);
	weir_error(ENOMEM, "frame pool '%s': no memory for %u frames of %u bytes", name,
		   conf->capacity, room);
	rc = rte_mempool_populate_default(mp);
	if (rc < 0)
		goto fail;
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
fail:
	rte_mempool_free(mp);
	rte_errno = -rc;
	return NULL;
}

struct weir_frame_pool *
weir_frame_pool_create(const char *name, const struct weir_frame_pool_conf *conf)
{
	struct weir_frame_pool *pool;
	int rc = frame_conf_check(name, conf);

	if (rc != 0) {
		rte_errno = -rc;
		return NULL;
	}
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL) {
		rte_errno = -weir_error(ENOMEM, "frame pool '%s': no memory", name);
		return NULL;
	}
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	pool->mtu = conf->mtu;
	pool->capacity = conf->capacity;
	pool->room =
		RTE_ALIGN_CEIL((uint32_t)(RTE_PKTMBUF_HEADROOM + conf->mtu + WEIR_FRAME_L2_BYTES),
			       RTE_CACHE_LINE_SIZE);
	pool->mempool = frame_mempool_create(name, conf, pool->room);
	if (pool->mempool == NULL) {
		free(pool);
		return NULL;
	}
	return pool;
}

int
weir_frame_pool_free(struct weir_frame_pool *pool)
{
	uint32_t n_out;

	if (pool == NULL)
		return 0;
	n_out = rte_mempool_in_use_count(pool->mempool);
	if (n_out > 0)
		return weir_error(EBUSY, "frame pool '%s': %u frames are still out", pool->name,
				  n_out);
	rte_mempool_free(pool->mempool);
	free(pool);
	return 0;
}

struct rte_mempool *
weir_frame_pool_mempool(const struct weir_frame_pool *pool)
{
	return pool->mempool;
}

uint32_t
weir_frame_pool_capacity(const struct weir_frame_pool *pool)
{
	return pool->capacity;
}

uint16_t
weir_frame_pool_mtu(const struct weir_frame_pool *pool)
{
	return pool->mtu;
}

uint32_t
weir_frame_pool_room(const struct weir_frame_pool *pool)
{
	return pool->room;
}

uint32_t
weir_frame_pool_free_count(const struct weir_frame_pool *pool)
{
	return rte_mempool_avail_count(pool->mempool);
}
