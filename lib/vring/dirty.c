/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty-page log. While a guest migrates, its front-end reads and clears a bitmap
 * of the pages it has to send again; bits are set by whoever writes the page.
 *
 * Only a migrating guest pays: ring and buffers are kept as host addresses, and
 * are translated back here.
 */
#include "vring.h"

#define DIRTY_PAGE 4096

void
dirty_mark(const struct weir_vring *vr, const void *host, uint64_t len)
{
	const struct weir_vring_log *log = vr->log;
	const uint8_t *addr = host;
	uint64_t page, last;
	uint32_t i;

	if (log == NULL || len == 0)
		return;
	for (i = 0; i < vr->memory->n_regions; i++) {
		const struct weir_vring_region *region = &vr->memory->regions[i];

		if ((uintptr_t)addr < (uintptr_t)region->host ||
		    (uintptr_t)addr - (uintptr_t)region->host >= region->size)
			continue;
		page = region->guest_addr + ((uintptr_t)addr - (uintptr_t)region->host);
		last = (page + len - 1) / DIRTY_PAGE;
		for (page /= DIRTY_PAGE; page <= last && page / 8 < log->size; page++)
			/*
			 * Always, and as a full barrier: the front-end clears the bit, then
			 * reads the page. Seeing it set and going on could be before our
			 * bytes are seen.
			 */
			__atomic_fetch_or(&log->base[page / 8], 1U << (page % 8), __ATOMIC_SEQ_CST);
		return;
	}
}
