/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FORBID_URING_H
#define FORBID_URING_H

/**
 * Have io_uring refused to this process and its children from here on, as container
 * run-times do: by a seccomp filter. @return 0, or negative errno.
 */
int forbid_uring(void);

#endif
