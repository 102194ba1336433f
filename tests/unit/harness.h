/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HARNESS_H
#define HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/**
 * Start EAL as the tests want it: no huge pages, no devices, nothing left on
 * disk; lcore 0 and worker lcores 1 to 3, floating over the machine's cores.
 * Ends the program when it does not start. Once a program.
 */
void harness_eal(void);

/** The time of day. */
uint64_t harness_now_ns(void);

#endif
