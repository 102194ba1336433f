/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The debug option: objects that come back twice, or from another pool, are told and
 * left out instead of ruining the lists.
 *
 * The word at the very start of an object's header, which the library leaves unused
 * where objects are cache-aligned, tells whether the object is out.
 */
#include <rte_cycles.h>

#include "pool.h"

#define CHECK_OUT 0x6f7574206f662069ULL
#define CHECK_HOME 0x61742068606d6521ULL

static uint64_t *
check_word(const struct pool *pool, void *obj)
{
	return (uint64_t *)((char *)obj - pool->mp->header_size);
}

/** Whether an address is one of this pool's objects, without touching it. The lock is held. */
static bool
check_mine(const struct pool *pool, const char *obj)
{
	const struct rte_mempool *mp = pool->mp;
	const struct rte_mempool_memhdr *chunk;
	const struct slab *slab;
	const char *first;
	uint32_t i;

	STAILQ_FOREACH(chunk, &mp->mem_list, next)
		if (obj >= (char *)chunk->addr + mp->header_size &&
		    obj < (char *)chunk->addr + chunk->len)
			return rte_mempool_from_obj((void *)(uintptr_t)obj) == mp;
	for (i = 0; i < pool->depot.slabs_end; i++) {
		slab = pool->depot.slabs[i];
		if (slab == NULL)
			continue;
		first = slab->mem + mp->header_size;
		if (obj >= first && obj < first + (uint64_t)slab->n_places * pool->obj_bytes)
			return (obj - first) % pool->obj_bytes == 0;
	}
	return false;
}

void
check_new(struct pool *pool, void *const *objs, uint32_t n)
{
	while (n-- > 0)
		*check_word(pool, objs[n]) = CHECK_HOME;
}

void
check_get(struct pool *pool, void *const *objs, uint32_t n)
{
	while (n-- > 0)
		__atomic_store_n(check_word(pool, objs[n]), CHECK_OUT, __ATOMIC_RELAXED);
}

void
check_put(struct pool *pool, void *const *objs, uint32_t n)
{
	struct depot *depot = &pool->depot;
	const char *what;
	uint64_t *counter;
	uint32_t i;

	for (i = 0; i < n; i++) {
		what = NULL;
		weir_lock_take(&depot->lock);
		if (!check_mine(pool, objs[i])) {
			what = "is not of this pool";
			counter = &depot->foreign;
		} else if (__atomic_exchange_n(check_word(pool, objs[i]), CHECK_HOME,
					       __ATOMIC_RELAXED) != CHECK_OUT) {
			what = "is at home already";
			counter = &depot->double_frees;
		}
		if (what == NULL)
			depot_put(pool, &objs[i], 1);
		else
			++*counter;
		weir_lock_give(&depot->lock);
		if (what != NULL)
			WEIR_LOG(pool, ERR, "pool '%s': object %p, given back by lcore %d, %s",
				 pool->mp->name, objs[i], (int)rte_lcore_id(), what);
	}
}
