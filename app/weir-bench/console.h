/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "bench.h"
#include "traffic.h"

/**
 * Take commands from standard input until `quit` or its end; traffic runs on the second
 * lcore meanwhile.
 *
 * @return 0, or -EINVAL with its sentence without a second lcore.
 */
int console_run(const struct bench_options *bench, struct traffic *traffic,
		struct vhost_options *options);

#endif
