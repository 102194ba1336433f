/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONT_END_H
#define FRONT_END_H

/*
 * A vhost-user front-end in the same process: gives a plain guest to the vhost
 * library, so that its burst calls can be measured beside the engine.
 */

#include "plain_guest.h"

struct front_end {
	int fd;
	int kicks[2], calls[2];
	int vid; /* what the library calls the guest */
	char path[108];
};

/**
 * Start a session. Blocks until the library has the device.
 *
 * @return
 *   0, or a negative errno with its sentence in weir_error_text().
 */
int front_end_open(struct front_end *front_end, struct plain_guest *guest, uint64_t features);
void front_end_close(struct front_end *front_end);

#endif
