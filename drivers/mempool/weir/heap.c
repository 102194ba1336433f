/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include "weir_sanitize.h"
#include "weir_slab.h"

/** How long a heap that had nothing is left alone. */
#define RETRY_MS 10

/** Only a memzone can be asked to be contiguous for devices. */
static void *
contig_alloc(const struct weir_slab_source *source, size_t bytes, size_t align)
{
	static uint64_t n_zones;
	const struct rte_memzone *zone;
	char name[RTE_MEMZONE_NAMESIZE];

	snprintf(name, sizeof(name), "weir_slab_%" PRIx64,
		 __atomic_fetch_add(&n_zones, 1, __ATOMIC_RELAXED));
	/* Room before the piece, for what frees it to find the zone. */
	zone = rte_memzone_reserve_aligned(name, bytes + align, source->numa_node,
					   RTE_MEMZONE_IOVA_CONTIG, align);
	if (zone == NULL)
		return NULL;
	*(const struct rte_memzone **)zone->addr = zone;
	return RTE_PTR_ADD(zone->addr, align);
}

static bool
needs_zone(const struct weir_slab_source *source)
{
	return source->iova_contig && rte_eal_iova_mode() != RTE_IOVA_VA;
}

bool
weir_slab_is_dry(const struct weir_slab_source *source)
{
	return rte_rdtsc() < __atomic_load_n(&source->retry_at, __ATOMIC_RELAXED);
}

void *
weir_slab_alloc(struct weir_slab_source *source, size_t bytes, size_t align)
{
	void *mem;

	align = RTE_MAX(align, (size_t)RTE_CACHE_LINE_SIZE);
	mem = needs_zone(source) ? contig_alloc(source, bytes, align)
				 : rte_malloc_socket("weir_slab", bytes, align, source->numa_node);
	weir_sanitize_alloc();
	if (mem == NULL)
		__atomic_store_n(&source->retry_at,
				 rte_rdtsc() + rte_get_tsc_hz() / 1000 * RETRY_MS,
				 __ATOMIC_RELAXED);
	return mem;
}

void
weir_slab_free(const struct weir_slab_source *source, void *mem, size_t align)
{
	weir_sanitize_free();
	if (mem != NULL && needs_zone(source))
		rte_memzone_free(*(const struct rte_memzone **)RTE_PTR_SUB(
			mem, RTE_MAX(align, (size_t)RTE_CACHE_LINE_SIZE)));
	else
		rte_free(mem);
}

uint64_t
weir_slab_iova(const void *mem)
{
	const struct rte_memseg *segment;

	if (rte_eal_iova_mode() == RTE_IOVA_VA)
		return (uintptr_t)mem;
	segment = rte_mem_virt2memseg(mem, NULL);
	if (segment == NULL || segment->iova == RTE_BAD_IOVA)
		return RTE_BAD_IOVA;
	return segment->iova + RTE_PTR_DIFF(mem, segment->addr);
}
