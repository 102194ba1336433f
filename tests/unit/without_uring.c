/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * without_uring PROGRAM [ARGUMENTS]: run a program that io_uring is refused to. Also
 * for the whole suite: scripts/test.sh without-uring
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "forbid_uring.h"

int
main(int argc, char **argv)
{
	int rc;

	if (argc < 2) {
		fprintf(stderr, "Usage: without_uring PROGRAM [ARGUMENTS]\n");
		return 2;
	}
	rc = forbid_uring();
	if (rc != 0) {
		fprintf(stderr, "without_uring: no seccomp filter here: %s\n", strerror(-rc));
		return 77;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 1;
}
