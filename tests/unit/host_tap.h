/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HOST_TAP_H
#define HOST_TAP_H

/** The host's end of a tap, in a network namespace of the test's own. */

#include <stdint.h>

/** The frames of the tests: local experimental, IEEE 802. */
#define HOST_TAP_ETHER_TYPE 0x88b5

/** Enter the namespace, in which the kernel says nothing by itself; or why not. */
const char *host_tap_missing(void);

/** A packet socket that sends and receives whole frames of one type on an interface. */
int host_tap_socket(const char *iface, uint16_t ether_type);

#endif
