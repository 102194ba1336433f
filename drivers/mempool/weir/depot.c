/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The depot: the free objects that no lcore has at hand.
 *
 * It keeps apart what was populated (base) and each slab, so that slabs fall idle: it
 * gives from base first, then from the slab of the lowest index, and so the highest
 * ones are left alone. While a pool has no slab, objects go in and out unseen.
 */
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "pool.h"

/** Headers to have on their way while sorting. */
#define PREFETCH_AHEAD 8u

/**
 * The slab that an object belongs to, or NULL when it was populated: the library links
 * populated objects through their headers, in the others the link is ours (slab.c).
 */
static struct slab *
slab_of(const struct pool *pool, void *obj)
{
	uintptr_t link;

	if ((char *)obj >= pool->base_start && (char *)obj < pool->base_end)
		return NULL;
	link = (uintptr_t)STAILQ_NEXT(rte_mempool_get_header(obj), next);
	return link & 1 ? (struct slab *)(link - 1) : NULL;
}

void
depot_put(struct pool *pool, void *const *objs, uint32_t n)
{
	struct depot *depot = &pool->depot;
	struct slab *slab;
	uint32_t i;

	depot_set_free(depot, depot->n_free + n);
	if (unlikely(pool->block > 1)) {
		block_put(pool, objs, n);
		return;
	}
	if (depot->n_slabs == 0) {
		memcpy(&depot->base[depot->n_base], objs, n * sizeof(*objs));
		depot->n_base += n;
		return;
	}
	for (i = 0; i < RTE_MIN(n, PREFETCH_AHEAD); i++)
		rte_prefetch0(rte_mempool_get_header(objs[i]));
	for (i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_mempool_get_header(objs[i + PREFETCH_AHEAD]));
		slab = slab_of(pool, objs[i]);
		if (slab == NULL) {
			depot->base[depot->n_base++] = objs[i];
			continue;
		}
		if (slab->n_free == 0)
			depot->slabs_free[slab->index / 64] |= RTE_BIT64(slab->index % 64);
		slab->objs[slab->n_free++] = objs[i];
		if (slab->n_free == slab->n_objs)
			slab->idle_since = rte_rdtsc();
	}
}

static uint32_t
slabs_take(struct depot *depot, void **objs, uint32_t n)
{
	uint32_t word, k, taken = 0;
	struct slab *slab;

	for (word = 0; word * 64 < depot->slabs_end && taken < n; word++) {
		while (depot->slabs_free[word] != 0 && taken < n) {
			slab = depot->slabs[word * 64 + rte_bsf64(depot->slabs_free[word])];
			k = RTE_MIN(n - taken, slab->n_free);
			slab->n_free -= k;
			memcpy(&objs[taken], &slab->objs[slab->n_free], k * sizeof(*objs));
			taken += k;
			if (slab->n_free == 0)
				depot->slabs_free[word] &= depot->slabs_free[word] - 1;
		}
	}
	return taken;
}

uint32_t
depot_take(struct pool *pool, void **objs, uint32_t n)
{
	struct depot *depot = &pool->depot;
	uint32_t k;

	if (unlikely(pool->block > 1)) {
		k = block_take(pool, objs, n);
		depot_set_free(depot, depot->n_free - k);
		return k;
	}
	k = RTE_MIN(n, depot->n_base);
	depot->n_base -= k;
	memcpy(objs, &depot->base[depot->n_base], k * sizeof(*objs));
	if (k < n && depot->n_slabs > 0)
		k += slabs_take(depot, &objs[k], n - k);
	depot_set_free(depot, depot->n_free - k);
	return k;
}
