/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The owner's part in lending frames.
 *
 * Where a frame is that the host side has, nobody keeps book of. There is no need:
 * all frames are in one array, made once, and when the host side is gone each of
 * them is home, whatever the rings say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "lease_owner.h"
#include "weir_error.h"
#include "weir_log.h"

/* Of the frames there are, in units of a queue's capacity: each queue full, as many lent
   empty, as many in the hands of the host side. */
#define FRAMES_PER_CAPACITY 4
#define CAPACITY_MAX 16384

static struct weir_frame_ring *
ring_new(uint32_t capacity, int numa_node)
{
	struct weir_frame_ring *ring =
		rte_zmalloc_socket("weir_frame_lease", weir_frame_ring_bytes(capacity),
				   WEIR_FRAME_RING_ALIGN, numa_node);

	if (ring != NULL)
		weir_frame_ring_init(ring, capacity);
	return ring;
}

static void
lease_destroy(struct weir_frame_lease *lease)
{
	if (lease->n_all > 0)
		rte_pktmbuf_free_bulk(lease->all, lease->n_all);
	rte_mempool_free(lease->pool);
	rte_free(lease->done);
	rte_free(lease->empty);
	rte_free(lease->shared);
	weir_frame_queues_unref(lease->fq);
	free(lease->home);
	free(lease->all);
	free(lease);
}

static int
lease_memory(struct weir_frame_lease *lease, const struct weir_frame_lease_conf *conf)
{
	uint32_t n_all = conf->capacity * FRAMES_PER_CAPACITY;
	static uint32_t n_pools;
	char pool_name[RTE_MEMPOOL_NAMESIZE];

	lease->shared = rte_zmalloc_socket("weir_frame_lease", sizeof(*lease->shared),
					   RTE_CACHE_LINE_SIZE, conf->numa_node);
	lease->empty = ring_new(conf->capacity, conf->numa_node);
	lease->done = ring_new(n_all, conf->numa_node);
	lease->all = calloc(n_all, sizeof(*lease->all));
	lease->home = calloc(n_all, sizeof(*lease->home));
	if (lease->shared == NULL || lease->empty == NULL || lease->done == NULL ||
	    lease->all == NULL || lease->home == NULL)
		return -ENOMEM;
	/* The pool is emptied at once: of its driver only that it works is wanted. */
	/* Unlike names, numbers stay different when they are cut. */
	snprintf(pool_name, sizeof(pool_name), "%u_%.14s",
		 __atomic_fetch_add(&n_pools, 1, __ATOMIC_RELAXED), conf->name);
	lease->pool = rte_pktmbuf_pool_create_by_ops(pool_name, n_all, 0, 0,
						     RTE_PKTMBUF_HEADROOM + conf->frame_bytes,
						     conf->numa_node, "ring_mp_mc");
	if (lease->pool == NULL)
		return -rte_errno;
	if (rte_pktmbuf_alloc_bulk(lease->pool, lease->all, n_all) != 0)
		return -ENOMEM;
	lease->n_all = n_all;
	return 0;
}

struct weir_frame_lease *
weir_frame_lease_create(const struct weir_frame_lease_conf *conf)
{
	struct weir_frame_lease *lease;
	int rc;

	if (conf->capacity == 0 || conf->capacity > CAPACITY_MAX) {
		rte_errno = EINVAL;
		weir_error(EINVAL, "frames '%s': capacity %u: 1 to %u are allowed", conf->name,
			   conf->capacity, CAPACITY_MAX);
		return NULL;
	}
	lease = calloc(1, sizeof(*lease));
	if (lease == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	lease->conf = *conf;
	lease_name(lease->name, conf->name, conf->pair);
	lease->life_fd = -1;
	lease->fq = weir_frame_queues_create(lease->name, conf->capacity, WEIR_FRAME_QUEUES_SHARED,
					     conf->numa_node);
	if (lease->fq == NULL) {
		free(lease);
		return NULL;
	}
	rc = lease_memory(lease, conf);
	if (rc != 0) {
		weir_error(-rc, "frames '%s': no memory for %u frames of %u bytes: %s", lease->name,
			   conf->capacity * FRAMES_PER_CAPACITY, conf->frame_bytes, strerror(-rc));
		lease_destroy(lease);
		rte_errno = -rc;
		return NULL;
	}
	lease->frame_bytes = conf->frame_bytes;
	lease->n_empty = conf->capacity;
	memcpy(lease->home, lease->all, lease->n_all * sizeof(*lease->all));
	lease->n_home = lease->n_all;
	*lease->shared = (struct lease_shared){
		.queues = lease->fq->shared,
		.empty = lease->empty,
		.done = lease->done,
		.frame_bytes = conf->frame_bytes,
		.n_pairs = conf->n_pairs,
	};
	pthread_mutex_init(&lease->lock, NULL);
	lease_register(lease);
	return lease;
}

static void
lease_begin_shutdown(void *arg)
{
	struct weir_frame_lease *lease = arg;

	weir_frame_queues_begin_shutdown(lease->fq);
}

void
weir_frame_lease_shut_down(struct weir_frame_lease *lease)
{
	/* Not while a reclaim resets the queues, which would lose it. */
	lease->conf.run(lease->conf.arg, lease_begin_shutdown, lease);
	lease_unregister(lease);
}

void
weir_frame_lease_free(struct weir_frame_lease *lease)
{
	if (lease == NULL)
		return;
	if (lease->registered)
		weir_frame_lease_shut_down(lease);
	if (lease_has_left(lease))
		lease_destroy(lease);
}

bool
weir_frame_lease_is_attached(const struct weir_frame_lease *lease)
{
	return __atomic_load_n(&lease->attached, __ATOMIC_RELAXED);
}

struct mtu_order {
	struct weir_frame_lease *lease;
	uint16_t mtu;
};

static void
mtu_set(void *arg)
{
	struct mtu_order *order = arg;

	__atomic_store_n(&order->lease->shared->mtu, order->mtu, __ATOMIC_RELAXED);
	weir_wake_signal(&order->lease->fq->guest_wake);
}

void
weir_frame_lease_set_mtu(struct weir_frame_lease *lease, uint16_t mtu)
{
	struct mtu_order order = {.lease = lease, .mtu = mtu};

	lease->conf.run(lease->conf.arg, mtu_set, &order);
}

void
weir_frame_lease_set_active(struct weir_frame_lease *lease, uint16_t pair, bool active)
{
	if (active)
		__atomic_fetch_or(&lease->shared->active, RTE_BIT32(pair), __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&lease->shared->active, ~RTE_BIT32(pair), __ATOMIC_RELAXED);
}

void
weir_frame_lease_stats(const struct weir_frame_lease *lease, struct weir_frame_lease_stats *stats)
{
	*stats = (struct weir_frame_lease_stats){
		.n_frames = lease->n_all,
		.n_home = __atomic_load_n(&lease->n_home, __ATOMIC_RELAXED),
		.n_attaches = __atomic_load_n(&lease->n_attaches, __ATOMIC_RELAXED),
		.n_reclaimed = __atomic_load_n(&lease->n_reclaimed, __ATOMIC_RELAXED),
	};
}

const struct weir_frame_queues *
weir_frame_lease_queues(const struct weir_frame_lease *lease)
{
	return lease->fq;
}

static inline void
home_set(struct weir_frame_lease *lease, uint32_t n)
{
	__atomic_store_n(&lease->n_home, n, __ATOMIC_RELAXED); /* stats read it */
}

static void
home_collect(struct weir_frame_lease *lease)
{
	home_set(lease,
		 lease->n_home + weir_frame_ring_pop(lease->done, &lease->home[lease->n_home],
						     lease->n_all - lease->n_home));
}

static void
lease_disarm(struct weir_frame_lease *lease)
{
	lease->armed = false;
	weir_wake_disarm(&lease->fq->host_wake);
	if (lease->armed_for_room) {
		lease->armed_for_room = false;
		weir_frame_queues_unwant_room(lease->fq, WEIR_GUEST_TO_HOST);
	}
}

uint16_t
weir_frame_lease_take(struct weir_frame_lease *lease, struct rte_mbuf **frames, uint16_t n)
{
	if (unlikely(lease->armed))
		lease_disarm(lease);
	n = weir_frame_ring_admits(lease->fq->ring[WEIR_GUEST_TO_HOST], n);
	if (lease->n_home < n) {
		home_collect(lease);
		n = RTE_MIN(n, lease->n_home);
	}
	home_set(lease, lease->n_home - n);
	memcpy(frames, &lease->home[lease->n_home], n * sizeof(*frames));
	return n;
}

void
weir_frame_lease_send(struct weir_frame_lease *lease, struct rte_mbuf **frames, uint16_t n)
{
	/* There is room: the lcore is the only one to push. */
	weir_frame_queues_push(lease->fq, WEIR_GUEST_TO_HOST, frames, n);
}

void
weir_frame_lease_untake(struct weir_frame_lease *lease, struct rte_mbuf **frames, uint16_t n)
{
	memcpy(&lease->home[lease->n_home], frames, n * sizeof(*frames));
	home_set(lease, lease->n_home + n);
}

/** Lend empty frames once half of them are used up. */
static void
lease_supply(struct weir_frame_lease *lease)
{
	uint32_t n = lease->n_empty - weir_frame_ring_count(lease->empty), i;

	if (likely(n <= lease->n_empty / 2))
		return;
	if (lease->n_home < n)
		home_collect(lease);
	n = RTE_MIN(n, lease->n_home);
	for (i = lease->n_home - n; i < lease->n_home; i++)
		rte_pktmbuf_reset(lease->home[i]);
	n = weir_frame_ring_push(lease->empty, &lease->home[lease->n_home - n], n);
	home_set(lease, lease->n_home - n);
	if (n > 0)
		weir_wake_signal(&lease->fq->guest_wake);
}

uint16_t
weir_frame_lease_receive(struct weir_frame_lease *lease, struct rte_mbuf ***frames)
{
	if (unlikely(lease->armed))
		lease_disarm(lease);
	if (likely(lease->attached))
		lease_supply(lease);
	if (lease->n_received == 0) {
		lease->received_first = 0;
		lease->n_received = weir_frame_queues_pop(lease->fq, WEIR_HOST_TO_GUEST,
							  lease->received, LEASE_BURST);
	}
	*frames = &lease->received[lease->received_first];
	return lease->n_received;
}

void
weir_frame_lease_consume(struct weir_frame_lease *lease, uint16_t n)
{
	memcpy(&lease->home[lease->n_home], &lease->received[lease->received_first],
	       n * sizeof(lease->received[0]));
	home_set(lease, lease->n_home + n);
	lease->received_first += n;
	lease->n_received -= n;
}

void
weir_frame_lease_discard(void *arg)
{
	struct weir_frame_lease *lease = arg;
	struct rte_mbuf **frames;
	uint16_t n;

	while ((n = weir_frame_lease_receive(lease, &frames)) > 0)
		weir_frame_lease_consume(lease, n);
}

static bool
something_is_ready(const struct weir_frame_lease *lease, bool wants_frames, bool wants_room)
{
	if (wants_frames &&
	    (lease->n_received > 0 || weir_frame_queues_count(lease->fq, WEIR_HOST_TO_GUEST) > 0))
		return true;
	return wants_room && weir_frame_queues_room(lease->fq, WEIR_GUEST_TO_HOST) > 0 &&
	       (lease->n_home > 0 || weir_frame_ring_count(lease->done) > 0);
}

bool
weir_frame_lease_is_ready(struct weir_frame_lease *lease, bool wants_frames, bool wants_room,
			  bool arm)
{
	if (something_is_ready(lease, wants_frames, wants_room))
		return true;
	if (!arm)
		return false;
	if (lease->armed)
		lease_disarm(lease);
	if (wants_room)
		weir_frame_queues_want_room(lease->fq, WEIR_GUEST_TO_HOST);
	lease->armed_for_room = wants_room;
	lease->armed = true;
	weir_wake_arm(&lease->fq->host_wake);
	if (!something_is_ready(lease, wants_frames, wants_room))
		return false;
	lease_disarm(lease);
	return true;
}

void
lease_begin(void *arg)
{
	struct weir_frame_lease *lease = arg;

	__atomic_store_n(&lease->attached, true, __ATOMIC_RELAXED);
	lease_supply(lease);
}

void
lease_reclaim(void *arg)
{
	struct weir_frame_lease *lease = arg;
	bool was_shutting_down = weir_frame_queues_is_shutting_down(lease->fq);

	if (lease->armed)
		lease_disarm(lease);
	lease->n_received = 0;
	__atomic_fetch_add(&lease->n_reclaimed, lease->n_all - lease->n_home, __ATOMIC_RELAXED);
	memcpy(lease->home, lease->all, lease->n_all * sizeof(*lease->all));
	home_set(lease, lease->n_all);
	weir_frame_ring_reset(lease->empty);
	weir_frame_ring_reset(lease->done);
	weir_frame_queues_reset(lease->fq);
	if (was_shutting_down)
		weir_frame_queues_begin_shutdown(lease->fq);
	__atomic_store_n(&lease->attached, false, __ATOMIC_RELAXED);
}
