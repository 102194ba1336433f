/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a guest's memory lives: asked of the kernel for a sample of pages in each
 * region, and decided by the majority. rte_vhost_get_numa_node() tells where the
 * library's own bookkeeping lives, which is not the same.
 *
 * A page that nobody has touched has no node yet, and touching it would give it ours:
 * mincore() tells the two apart. A page that is there is read once, because the
 * kernel answers only for pages in our own page table.
 */
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_memory.h>
#include <rte_vhost.h>

#include "guest.h"

#define SAMPLES_A_REGION 16
/* How often it is asked whether memory has moved: more seldom than anybody moves it. */
#define LOOK_SECONDS 10

static int
node_of_page(uintptr_t addr)
{
	size_t page_size = sysconf(_SC_PAGESIZE);
	void *page = (void *)RTE_ALIGN_FLOOR(addr, page_size);
	unsigned char resident = 0;
	int node = SOCKET_ID_ANY;

	if (mincore(page, page_size, &resident) != 0 || !(resident & 1))
		return SOCKET_ID_ANY;
	(void)*(volatile uint8_t *)page;
	if (move_pages(0, 1, &page, NULL, &node, 0) != 0 || node < 0)
		return SOCKET_ID_ANY;
	return node;
}

int
numa_of_guest(int vid)
{
	unsigned int votes[RTE_MAX_NUMA_NODES] = {0}, best = 0, i, s;
	struct rte_vhost_memory *mem = NULL;
	int node = SOCKET_ID_ANY;

	if (numa_available() < 0 || rte_vhost_get_mem_table(vid, &mem) != 0)
		return SOCKET_ID_ANY;
	for (i = 0; i < mem->nregions; i++) {
		const struct rte_vhost_mem_region *region = &mem->regions[i];

		for (s = 0; s < SAMPLES_A_REGION; s++) {
			int of_page = node_of_page(region->host_user_addr +
						   s * (region->size / SAMPLES_A_REGION));

			if (of_page >= 0 && of_page < RTE_MAX_NUMA_NODES)
				votes[of_page]++;
		}
	}
	for (i = 0; i < RTE_MAX_NUMA_NODES; i++) {
		if (votes[i] > best) {
			best = votes[i];
			node = (int)i;
		}
	}
	free(mem);
	return node;
}

/**
 * The node where a guest that is up has its memory now, when that is another than when
 * it came up, and was so the last time as well; else SOCKET_ID_ANY. Asked often, it looks
 * seldom, and on a machine of one node never.
 */
int
numa_moved_to(struct weir_guest *guest)
{
	uint64_t now = rte_get_timer_cycles();
	int node, before = guest->numa_seen;

	if (numa_available() < 0 || numa_max_node() == 0 ||
	    now - guest->numa_looked < LOOK_SECONDS * rte_get_timer_hz())
		return SOCKET_ID_ANY;
	guest->numa_looked = now;
	node = guest->numa_seen = numa_of_guest(guest->vid);
	return node == before && node != guest->numa_node ? node : SOCKET_ID_ANY;
}
