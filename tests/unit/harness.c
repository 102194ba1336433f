/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "harness.h"

void
harness_eal(void)
{
	char lcores[64];
	long last = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	char *args[] = {"test",	    "--no-huge", "--no-shconf",
			"--no-pci", "-m",	 "256",
			"--lcores", lcores,	 "--log-level=lib.eal:warning",
			NULL};

	snprintf(lcores, sizeof(lcores), "(0-3)@(0-%ld)", last);
	if (rte_eal_init(9, args) < 0) {
		fprintf(stderr, "harness: EAL does not start: %s\n", rte_strerror(rte_errno));
		exit(1);
	}
}

uint64_t
harness_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}
