/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLACE_H
#define PLACE_H

/**
 * Guests in place: real guest ports on real pollers, and on each a guest by vhost-user
 * that checks what it gets.
 */

#include "guest.h"
#include "vhost_guest.h"
#include "weir_poller.h"

#define PLACE_PATIENCE_MS 10000

/** A guest port, of one queue pair, and the guest on it. */
struct place {
	struct weir_guest *port;
	struct vhost_guest guest;
	char socket[64];
};

extern struct place places[2];
extern struct weir_pollers *place_pollers;

/** EAL, pollers, a directory for sockets, and endpoints by their keys, NULL-ended. */
int places_open(const char *const *endpoints);
/** For cmocka: undo places_open(). */
int places_end(void **state);
/** For cmocka: what a claim that failed has left. */
int places_close(void **state);
#define PLACES_CLAIM(test) cmocka_unit_test_teardown(test, places_close)

/** Make port @p n with @p more keys, and its guest, up. */
void place_open(unsigned int n, const char *endpoint, const char *more, uint64_t features);
void place_close(unsigned int n);
/** The guest goes, and its port is ready for the next. */
void place_hang_up(unsigned int n);

enum guest_state place_state(struct weir_guest *guest);
unsigned int place_lcore(struct weir_guest *guest);
struct pair_stats place_stats(struct weir_guest *guest);
struct weir_endpoint *place_endpoint(const char *name);

uint64_t place_now_ms(void);
/** Until a counter of a guest is there; or further by @p more. */
void place_wait_past(const uint64_t *counter, uint64_t wanted);
void place_wait_more(const uint64_t *counter, uint64_t more);
/** Until all that the guest can send is out, and nothing comes back. */
void place_wait_until_stuck(struct vhost_guest *guest);
/** End sending: all descriptors come back, and what was sent was received by @p to. */
void place_settle(struct place *from, struct place *to, bool lossless);

#endif
