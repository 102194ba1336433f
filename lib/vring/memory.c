/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "vring.h"
#include "weir_error.h"

static int
memory_compare(const void *a, const void *b)
{
	const struct weir_vring_region *ra = a, *rb = b;

	return (ra->guest_addr > rb->guest_addr) - (ra->guest_addr < rb->guest_addr);
}

int
weir_vring_memory_init(struct weir_vring_memory *memory, const struct weir_vring_region *regions,
		       uint32_t n_regions)
{
	const struct weir_vring_region *last = NULL, *region;
	uint32_t i;

	if (n_regions > WEIR_VRING_REGIONS_MAX)
		return weir_error(E2BIG, "memory table: %u regions: at most %u are served",
				  n_regions, WEIR_VRING_REGIONS_MAX);
	memory->n_regions = n_regions;
	for (i = 0; i < n_regions; i++)
		memory->regions[i] = regions[i];
	qsort(memory->regions, n_regions, sizeof(*regions), memory_compare);
	for (i = 0; i < n_regions; i++) {
		region = &memory->regions[i];
		/* So that no end of a region, and no host address, ever wraps around. */
		if (region->size == 0 || region->host == NULL ||
		    region->guest_addr + region->size < region->guest_addr ||
		    (uintptr_t)region->host + region->size < (uintptr_t)region->host)
			return weir_error(EINVAL,
					  "memory table: region 0x%" PRIx64 "+0x%" PRIx64
					  " is empty, not mapped or wraps around",
					  region->guest_addr, region->size);
		if (last != NULL && last->guest_addr + last->size > region->guest_addr)
			return weir_error(EINVAL,
					  "memory table: region 0x%" PRIx64 "+0x%" PRIx64
					  " overlaps the one at 0x%" PRIx64,
					  last->guest_addr, last->size, region->guest_addr);
		last = region;
	}
	return 0;
}

/* The region that holds an address, or NULL. */
static const struct weir_vring_region *
memory_find(const struct weir_vring_memory *memory, uint64_t guest_addr)
{
	uint32_t low = 0, high = memory->n_regions;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct weir_vring_region *region = &memory->regions[middle];

		if (guest_addr < region->guest_addr)
			high = middle;
		else if (guest_addr - region->guest_addr >= region->size)
			low = middle + 1;
		else
			return region;
	}
	return NULL;
}

void *
weir_vring_memory_host(const struct weir_vring_memory *memory, uint64_t guest_addr, uint64_t *len)
{
	const struct weir_vring_region *region = memory_find(memory, guest_addr);
	uint64_t offset;

	if (region == NULL)
		return NULL;
	offset = guest_addr - region->guest_addr;
	*len = RTE_MIN(*len, region->size - offset);
	return region->host + offset;
}

uint8_t *
vring_host_lookup(struct weir_vring *vr, uint64_t guest_addr, uint64_t *len)
{
	const struct weir_vring_region *region = memory_find(vr->memory, guest_addr);
	uint64_t offset;

	if (region == NULL)
		return NULL;
	vr->cache_guest = region->guest_addr;
	vr->cache_size = region->size;
	vr->cache_host = region->host;
	offset = guest_addr - region->guest_addr;
	*len = RTE_MIN(*len, region->size - offset);
	return region->host + offset;
}
