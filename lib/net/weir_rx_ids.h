/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_RX_IDS_H
#define WEIR_RX_IDS_H

/**
 * The rx ids that a queue holds: empty ones wait for a frame, filled ones wait
 * for rx_poll. What most drivers keep between the two calls.
 *
 * First in, first out, as a ring that promises order wants it. Every burst of
 * empty ids is one array without a break, ready for one call of the access.
 * Filling in order needs no second array: the border between the filled and the
 * empty ids moves on.
 *
 *   ids    . . . [ filled ids )[ empty ids ) . . . . .
 *               filled        empty       end     window
 *
 * Ids are taken at the left and posted at the right; when the window is full they
 * move back to its start. The window grows until at least half of it is free at
 * such a time, so that a move costs less than one copied id for each id posted,
 * and the cache holds little more than the ids there are.
 *
 * Not thread-safe: belongs to the lcore that polls the queue.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_debug.h>

/** Most ids at once: the longest ring there is (virtio 1.1, 2.6). */
#define WEIR_RX_IDS_MAX 32768

#define WEIR_RX_IDS_WINDOW_MIN 512

struct weir_rx_ids {
	uint16_t *ids;
	uint32_t filled; /* first filled id */
	uint32_t empty;	 /* first empty id */
	uint32_t end;
	uint32_t window;
};

/**
 * Control threads.
 *
 * The array has room for the longest ring; the kernel gives the pages that the
 * window reaches.
 *
 * @return 0, or -ENOMEM with nothing allocated.
 */
static inline int
weir_rx_ids_init(struct weir_rx_ids *rx)
{
	memset(rx, 0, sizeof(*rx));
	rx->window = WEIR_RX_IDS_WINDOW_MIN;
	rx->ids = calloc(2 * WEIR_RX_IDS_MAX, sizeof(*rx->ids));
	return rx->ids != NULL ? 0 : -ENOMEM;
}

/** Undo weir_rx_ids_init(); accepts what was only zeroed. */
static inline void
weir_rx_ids_fini(struct weir_rx_ids *rx)
{
	free(rx->ids);
	rx->ids = NULL;
}

static inline uint32_t
weir_rx_ids_n_empty(const struct weir_rx_ids *rx)
{
	return rx->end - rx->empty;
}

static inline uint32_t
weir_rx_ids_n_filled(const struct weir_rx_ids *rx)
{
	return rx->empty - rx->filled;
}

static inline void
weir_rx_ids_move(struct weir_rx_ids *rx, uint16_t n)
{
	uint32_t held = rx->end - rx->filled;

	RTE_VERIFY(held + n <= WEIR_RX_IDS_MAX);
	while (held + n > rx->window / 2)
		rx->window *= 2;
	memmove(rx->ids, rx->ids + rx->filled, held * sizeof(*rx->ids));
	rx->empty -= rx->filled;
	rx->end = held;
	rx->filled = 0;
}

/** Add empty ids: the whole of rx_avail. */
static inline void
weir_rx_ids_post(struct weir_rx_ids *rx, const uint16_t *ids, uint16_t n)
{
	if (unlikely(rx->end + n > rx->window))
		weir_rx_ids_move(rx, n);
	memcpy(rx->ids + rx->end, ids, n * sizeof(*ids));
	rx->end += n;
}

/** The empty ids, weir_rx_ids_n_empty() of them; valid until the next post. */
static inline const uint16_t *
weir_rx_ids_empty(const struct weir_rx_ids *rx)
{
	return rx->ids + rx->empty;
}

/** The first @p n empty ids hold a frame now. */
static inline void
weir_rx_ids_fill(struct weir_rx_ids *rx, uint16_t n)
{
	rx->empty += n;
}

/** Take filled ids out: the end of rx_poll. */
static inline uint16_t
weir_rx_ids_take(struct weir_rx_ids *rx, uint16_t *ids, uint16_t n)
{
	n = RTE_MIN(n, weir_rx_ids_n_filled(rx));
	memcpy(ids, rx->ids + rx->filled, n * sizeof(*ids));
	rx->filled += n;
	return n;
}

#endif
