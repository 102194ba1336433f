/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To be preloaded into dpdk-test: its seconds are a twentieth of one. Its performance
 * suites measure for seconds by this clock, some of them for an hour altogether; here they
 * run to their ends, in minutes, and their figures are not to be read.
 */
#include <stdint.h>

#include <rte_cycles.h>

uint64_t
rte_get_tsc_hz(void)
{
	static uint64_t hz;

	if (hz == 0) {
		uint64_t start = rte_rdtsc();

		rte_delay_us_sleep(100000);
		hz = (rte_rdtsc() - start) * 10 / 20;
	}
	return hz;
}
