/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any memory table: what is accepted is sorted and apart, and what is found in it is
 * what looking at every region finds. Nothing is read through the addresses.
 */
#include "fuzz.h"
#include "weir_vring.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_vring_region regions[WEIR_VRING_REGIONS_MAX + 1];
	struct weir_vring_memory memory;
	struct fuzz in = {data, size};
	uint32_t n = fuzz_number(&in, 1) % (WEIR_VRING_REGIONS_MAX + 2), i;

	for (i = 0; i < n; i++) {
		uint8_t how = fuzz_number(&in, 1);

		regions[i].guest_addr = fuzz_number(&in, how & 1 ? 8 : 2);
		regions[i].size = fuzz_number(&in, how & 2 ? 8 : 1);
		regions[i].host = (uint8_t *)(uintptr_t)fuzz_number(&in, how & 4 ? 8 : 3);
	}
	if (weir_vring_memory_init(&memory, regions, n) != 0)
		return 0;
	FUZZ_CLAIM(memory.n_regions == n);
	for (i = 0; i < n; i++) {
		const struct weir_vring_region *r = &memory.regions[i];

		FUZZ_CLAIM(r->size > 0 && r->guest_addr + r->size > r->guest_addr);
		FUZZ_CLAIM(i == 0 || r[-1].guest_addr + r[-1].size <= r->guest_addr);
	}
	while (in.left > 0) {
		uint64_t addr = fuzz_number(&in, fuzz_number(&in, 1) & 1 ? 8 : 2);
		uint64_t want = fuzz_number(&in, 4), len = want;
		uintptr_t host = (uintptr_t)weir_vring_memory_host(&memory, addr, &len);
		uintptr_t expected = 0;
		uint64_t expected_len = want;

		for (i = 0; i < n; i++)
			if (addr >= regions[i].guest_addr &&
			    addr - regions[i].guest_addr < regions[i].size) {
				uint64_t offset = addr - regions[i].guest_addr;

				expected = (uintptr_t)regions[i].host + offset;
				expected_len = RTE_MIN(want, regions[i].size - offset);
			}
		FUZZ_CLAIM(host == expected);
		FUZZ_CLAIM(host == 0 || len == expected_len);
	}
	return 0;
}
