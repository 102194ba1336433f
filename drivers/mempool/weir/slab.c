/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slabs: objects beyond those that a pool was populated with.
 *
 * A slab is one piece of the DPDK heap: its head, the array of its free objects, and
 * the objects. They have to be what the program's own callbacks would have made of
 * them (an mbuf pool's rte_pktmbuf_init, Open vSwitch's marks in the private area), but
 * the library can run those over populated objects only. So one populated object, the
 * witness, is never handed out: it stays as the callbacks left it, and new objects are
 * copies of it, with every pointer into itself moved along. Callbacks that number the
 * objects are beyond this.
 *
 * In a slab's objects the header's list link, which the library uses for populated
 * ones, holds the slab's address with the lowest bit set.
 */
#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "pool.h"

/** The memory thread works no further ahead than so many slabs. */
#define AHEAD_SLABS_MAX 8

uint64_t
slab_price(const struct pool *pool, uint32_t n_objs)
{
	/* One more: the witness. */
	return ((uint64_t)RTE_MAX(n_objs, pool->kept_objs) + pool->elastic) * pool->obj_bytes;
}

/** Bytes of an object that say something before it is used: not an mbuf's data room. */
static uint32_t
witness_len(const struct rte_mempool *mp)
{
	const struct rte_pktmbuf_pool_private *private;
	uint32_t len;

	if (mp->private_data_size <
	    RTE_ALIGN_CEIL(sizeof(struct rte_pktmbuf_pool_private), RTE_MEMPOOL_ALIGN))
		return mp->elt_size;
	private = rte_mempool_get_priv((struct rte_mempool *)(uintptr_t)mp);
	len = sizeof(struct rte_mbuf) + private->mbuf_priv_size;
	if (private->mbuf_data_room_size == 0 || len + private->mbuf_data_room_size > mp->elt_size)
		return mp->elt_size;
	return mp->elt_size - private->mbuf_data_room_size;
}

static rte_iova_t
obj_iova(const struct pool *pool, void *obj)
{
	return pool->mp->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG ? RTE_BAD_IOVA : weir_slab_iova(obj);
}

/** Make @p obj what the witness is. Of @p len bytes. */
static void
obj_clone(const struct pool *pool, void *obj, rte_iova_t iova, uint32_t len)
{
	const uint32_t size = pool->mp->elt_size;
	const uint64_t from = (uintptr_t)pool->witness;
	const uint64_t from_iova = rte_mempool_virt2iova(pool->witness);
	const uint64_t *src = pool->witness;
	uint64_t *dst = obj;
	uint32_t i;

	for (i = 0; i < len / sizeof(*src); i++) {
		if (src[i] - from < size)
			dst[i] = src[i] - from + (uintptr_t)obj;
		else if (src[i] - from_iova < size)
			dst[i] = src[i] - from_iova + iova;
		else
			dst[i] = src[i];
	}
}

/** Carve the objects; those that would not be contiguous for a device are left out. */
static void
slab_fill(struct pool *pool, struct slab *slab, char *mem, uint32_t n)
{
	const bool contiguous = rte_eal_iova_mode() == RTE_IOVA_VA ||
				(pool->mp->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG) != 0;
	const uint32_t len = witness_len(pool->mp);
	struct rte_mempool_objhdr *header;
	rte_iova_t iova;
	uint32_t i;
	void *obj;

	slab->mem = mem;
	slab->n_places = n;
	slab->n_objs = 0;
	for (i = 0; i < n; i++, mem += pool->obj_bytes) {
		obj = mem + pool->mp->header_size;
		iova = obj_iova(pool, obj);
		if (!contiguous && obj_iova(pool, mem + pool->obj_bytes - 1) !=
					   iova + pool->obj_bytes - pool->mp->header_size - 1)
			continue;
		obj_clone(pool, obj, iova, len);
		memset(mem, 0, pool->mp->header_size);
		header = rte_mempool_get_header(obj);
		header->mp = pool->mp;
		header->iova = iova;
		STAILQ_NEXT(header, next) = (void *)((uintptr_t)slab | 1);
		slab->objs[slab->n_objs++] = obj;
	}
	slab->n_free = slab->n_objs;
	slab->idle_since = rte_rdtsc();
}

/** Promise up to @p n more objects, and pay for them. @return how many, 0 with *rc */
static uint32_t
promise(struct pool *pool, uint32_t n, int *rc)
{
	struct depot *depot = &pool->depot;
	uint64_t price;

	weir_lock_take(&depot->lock);
	n = RTE_MIN(n, pool->max_objs - depot->n_promised);
	price = slab_price(pool, depot->n_promised + n);
	*rc = n == 0 ? -ENOBUFS : 0;
	if (n > 0 && price > depot->paid_bytes && pool->budget != NULL)
		*rc = weir_budget_try_reserve(pool->budget, price - depot->paid_bytes);
	if (*rc == 0) {
		depot_set_promised(depot, depot->n_promised + n);
		depot->paid_bytes = RTE_MAX(price, depot->paid_bytes);
	}
	weir_lock_give(&depot->lock);
	return *rc == 0 ? n : 0;
}

/** Take back what was promised, or what has been given back to the heap. */
static void
unpromise(struct pool *pool, uint32_t n)
{
	struct depot *depot = &pool->depot;
	uint64_t surplus;

	if (n == 0)
		return;
	weir_lock_take(&depot->lock);
	depot_set_promised(depot, depot->n_promised - n);
	surplus = depot->paid_bytes - slab_price(pool, depot->n_promised);
	depot->paid_bytes -= surplus;
	weir_lock_give(&depot->lock);
	if (pool->budget != NULL && surplus > 0)
		weir_budget_release(pool->budget, surplus);
}

/** From now on its objects can be had. @return false: no slot is free */
static bool
slab_attach(struct pool *pool, struct slab *slab, bool in_datapath)
{
	struct depot *depot = &pool->depot;
	uint32_t i;

	weir_lock_take(&depot->lock);
	for (i = 0; i < depot->slabs_end && depot->slabs[i] != NULL; i++)
		;
	if (i == SLABS_MAX) {
		weir_lock_give(&depot->lock);
		return false;
	}
	slab->index = i;
	depot->slabs[i] = slab;
	depot->slabs_free[i / 64] |= RTE_BIT64(i % 64);
	depot->slabs_end = RTE_MAX(depot->slabs_end, i + 1);
	depot->n_slabs++;
	depot_set_free(depot, depot->n_free + slab->n_objs);
	depot_set_objs(depot, depot->n_objs + slab->n_objs);
	depot->grown++;
	if (in_datapath) {
		depot->grown_in_datapath++;
		depot->ahead_objs =
			RTE_MIN(depot->ahead_objs * 2, AHEAD_SLABS_MAX * pool->slab_objs);
	}
	weir_lock_give(&depot->lock);
	return true;
}

int
slab_grow(struct pool *pool, bool in_datapath)
{
	struct slab *slab = NULL;
	uint32_t n, made;
	size_t head;
	int rc;

	if (in_datapath && weir_slab_is_dry(&pool->source))
		return -ENOMEM;
	n = promise(pool, pool->slab_objs, &rc);
	if (n == 0)
		return rc;
	head = RTE_ALIGN_CEIL(sizeof(*slab) + n * sizeof(slab->objs[0]), RTE_CACHE_LINE_SIZE);
	slab = weir_slab_alloc(&pool->source, head + (size_t)n * pool->obj_bytes,
			       RTE_CACHE_LINE_SIZE);
	if (slab == NULL)
		goto fail;
	slab_fill(pool, slab, (char *)slab + head, n);
	made = slab->n_objs;
	if (made == 0 || !slab_attach(pool, slab, in_datapath))
		goto fail;
	/* From here on the slab may be gone again. */
	unpromise(pool, n - made);
	if (in_datapath)
		keeper_wake(pool,
			    WANT_SOON); /* which has to look after slabs until they are returned */
	return 0;
fail:
	weir_slab_free(&pool->source, slab, RTE_CACHE_LINE_SIZE);
	unpromise(pool, n);
	return -ENOMEM;
}

/** Of the highest index, so that the low ones stay full. The lock is held. */
static struct slab *
slab_idle(const struct pool *pool, uint64_t now)
{
	const struct depot *depot = &pool->depot;
	struct slab *slab;
	uint32_t i;

	for (i = depot->slabs_end; i-- > 0;) {
		slab = depot->slabs[i];
		if (slab != NULL && slab->n_free == slab->n_objs &&
		    now >= slab->idle_since + pool->keep_cycles &&
		    depot->n_objs - slab->n_objs >= pool->kept_objs &&
		    depot->n_free - slab->n_objs >= depot->ahead_objs + pool->low_objs)
			return slab;
	}
	return NULL;
}

bool
slab_return(struct pool *pool, uint64_t now)
{
	struct depot *depot = &pool->depot;
	struct slab *slab;
	uint32_t n;

	weir_lock_take(&depot->lock);
	slab = slab_idle(pool, now);
	if (slab == NULL) {
		weir_lock_give(&depot->lock);
		return false;
	}
	depot->slabs[slab->index] = NULL;
	depot->slabs_free[slab->index / 64] &= ~RTE_BIT64(slab->index % 64);
	while (depot->slabs_end > 0 && depot->slabs[depot->slabs_end - 1] == NULL)
		depot->slabs_end--;
	depot->n_slabs--;
	depot_set_free(depot, depot->n_free - slab->n_objs);
	depot_set_objs(depot, depot->n_objs - slab->n_objs);
	depot->returned++;
	weir_lock_give(&depot->lock);
	n = slab->n_objs;
	weir_slab_free(&pool->source, slab, RTE_CACHE_LINE_SIZE);
	unpromise(pool, n);
	return true;
}

void
slabs_free(struct pool *pool)
{
	uint32_t i;

	for (i = 0; i < pool->depot.slabs_end; i++)
		weir_slab_free(&pool->source, pool->depot.slabs[i], RTE_CACHE_LINE_SIZE);
}
