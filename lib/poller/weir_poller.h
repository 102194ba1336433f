/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_POLLER_H
#define WEIR_POLLER_H

/**
 * Poller: an lcore's loop over the queue pairs it owns, a bounded burst each.
 *
 * When nothing has moved for a while an lcore asks guests and endpoints to tell when
 * there is something, looks once more, and sleeps until one of them does. How long
 * the while is follows what the lcore sees: a sleep that was over as soon as it began
 * was not worth it, and the next one comes later.
 *
 * A pair belongs to exactly one poller at a time. Handing over, to and from, is one
 * mechanism: the control side asks (weir_target.run), the lcore answers from its
 * loop, between two polls, that it has done so, then the control side proceeds.
 *
 * All calls: control threads. Any number of them may ask the same poller.
 */

#include "weir_guest.h"

struct weir_pollers;

/** How long an lcore looks for work before it sleeps, unless told otherwise. */
#define WEIR_POLLER_IDLE_US_DEFAULT 500

/**
 * Start a poller on every worker lcore of EAL.
 *
 * @param idle_us
 *   Microseconds without a frame after which an lcore sleeps, to begin with; it adapts
 *   from a quarter to eight times that. 0: never.
 * @return
 *   NULL with rte_errno and weir_error_text(): EINVAL when EAL has no worker lcore,
 *   ENOMEM, EBUSY when an lcore runs something else.
 */
struct weir_pollers *weir_pollers_start(uint32_t idle_us);

/** End the loops and free; accepts NULL. No pair is attached any more. */
void weir_pollers_stop(struct weir_pollers *pollers);

/** The scheduler that spreads pairs over these pollers, for weir_guest_create(). */
struct weir_scheduler *weir_pollers_scheduler(struct weir_pollers *pollers);

/** How long a pair stays where it has come to, by default. */
#define WEIR_POLLER_REST_MS_DEFAULT 10000

/**
 * Move a pair to another lcore when that makes the busier of the two a good deal less
 * so, or brings the pair to its guest's memory. At most one at a time, and none that has
 * not been on its lcore for @p rest_ms. Call it often: it looks five times in that time.
 */
void weir_pollers_spread(struct weir_pollers *pollers, uint32_t rest_ms);

/** How many there are. */
unsigned int weir_pollers_count(const struct weir_pollers *pollers);

#endif
