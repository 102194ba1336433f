/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One queue pair's turn: a burst from the guest to its queue, a burst back. What the
 * queue does not take stays in segments[], and while something is there the guest's
 * ring is not read: waiting in the guest's own ring is the back-pressure.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

/** Stop using the queue; the control side finds the reason in telemetry. */
static void
pair_break(struct weir_pair *pair, int error)
{
	pair->endpoint_error = error;
	/* Release: the error. Partner: the acquire in session_tend(). */
	atomic_store_explicit(&pair->broken,
			      error == WEIR_QUEUE_RESTART ? "the endpoint asks for a restart"
							  : "the endpoint is gone",
			      memory_order_release);
}

/** Hand pending packets over; packets taken. */
static unsigned int
tx_hand_over(struct weir_pair *pair)
{
	const struct weir_tx_segment *segments = &pair->segments[pair->seg_first];
	struct weir_queue *queue = pair->queue;
	uint16_t ids[PAIR_BURST], n, i;
	bool done = false;

	n = queue->ops->tx_avail(queue, &pair->access, segments, pair->n_pending, &done);
	for (i = 0; i < n; i++) {
		ids[i] = segments->id;
		segments = weir_tx_next(segments);
	}
	if (likely(done))
		pair->path->done(pair, ids, n);
	pair->n_pending -= n;
	pair->seg_first = segments - pair->segments;
	weir_count(&pair->stats.tx_waits, pair->n_pending != 0);
	return n;
}

static void
tx_take(struct weir_pair *pair)
{
	pair->path->take(pair);
	if (unlikely(pair->tees != NULL))
		pair_capture_tx(pair);
}

static unsigned int
tx_turn(struct weir_pair *pair)
{
	struct weir_queue *queue = pair->queue;
	uint16_t ids[PAIR_BURST];
	unsigned int moved = 0;
	int n;

	if (pair->n_pending == 0 && atomic_load_explicit(&pair->tx_enabled, memory_order_relaxed))
		tx_take(pair);
	if (pair->n_pending > 0)
		moved += tx_hand_over(pair);
	/* Only a queue that keeps packets has some to give back. */
	if (pair->n_out > pair->n_pending) {
		n = queue->ops->tx_poll(queue, &pair->access, ids, PAIR_BURST);
		if (likely(n > 0)) {
			pair->path->done(pair, ids, n);
		} else if (unlikely(n < 0)) {
			pair_break(pair, n);
		}
	}
	return moved;
}

static unsigned int
rx_turn(struct weir_pair *pair)
{
	struct weir_queue *queue = pair->queue;
	uint32_t waiting = pair->fill_tail - pair->fill_head;
	uint16_t ids[PAIR_BURST], done, i;
	int n;

	/* Asked for nothing when much waits, but asked: a queue may have to hand over. */
	n = queue->ops->rx_poll(queue, &pair->access, ids, waiting < PAIR_BURST ? PAIR_BURST : 0);
	if (unlikely(n < 0)) {
		pair_break(pair, n);
		return 0;
	}
	for (i = 0; i < n; i++)
		pair->filled[(pair->fill_tail + i) & (PAIR_RX_IDS - 1)] = ids[i];
	pair->fill_tail += n;
	waiting += n;
	if (waiting == 0 || !atomic_load_explicit(&pair->rx_enabled, memory_order_relaxed))
		return 0;
	waiting = RTE_MIN(waiting, (uint32_t)PAIR_BURST);
	for (i = 0; i < waiting; i++)
		ids[i] = pair->filled[(pair->fill_head + i) & (PAIR_RX_IDS - 1)];
	done = pair->path->deliver(pair, ids, waiting);
	pair->fill_head += done;
	if (done > 0)
		queue->ops->rx_avail(queue, &pair->access, ids, done);
	weir_count(&pair->stats.rx_waits, done < waiting);
	return done;
}

unsigned int
weir_pair_poll(struct weir_pair *pair)
{
	if (unlikely(atomic_load_explicit(&pair->broken, memory_order_relaxed) != NULL))
		return 0;
	return tx_turn(pair) + rx_turn(pair);
}

/** Arm one ring: busy when there is work already, timed when its kick cannot reach us. */
static enum weir_pair_sleep
ring_arm(struct weir_pair *pair, enum weir_pair_wake ring)
{
	if (pair->path->arm(pair, ring, true))
		return WEIR_PAIR_BUSY;
	return atomic_load_explicit(&pair->kicked[ring], memory_order_relaxed) ? WEIR_PAIR_SLEEP
									       : WEIR_PAIR_TIMED;
}

enum weir_pair_sleep
weir_pair_arm(struct weir_pair *pair)
{
	enum weir_pair_sleep rx = WEIR_PAIR_SLEEP, tx = WEIR_PAIR_SLEEP;
	struct weir_queue *queue = pair->queue;

	if (pair->broken != NULL)
		return WEIR_PAIR_SLEEP;
	/* New buffers matter only when they are what is missing. */
	pair->armed_rx = atomic_load_explicit(&pair->rx_enabled, memory_order_relaxed) &&
			 pair->path->rx_blocked(pair);
	if (pair->armed_rx)
		rx = ring_arm(pair, WEIR_PAIR_WAKE_RX);
	else if (queue->ops->poll_ready(queue, &pair->access, false))
		return WEIR_PAIR_BUSY;
	if (queue->polled && rx == WEIR_PAIR_SLEEP)
		rx = WEIR_PAIR_TIMED;
	if (atomic_load_explicit(&pair->tx_enabled, memory_order_relaxed))
		tx = ring_arm(pair, WEIR_PAIR_WAKE_TX);
	/* Packets that the endpoint did not take: not every endpoint can tell when it does. */
	if (pair->n_pending > 0)
		tx = WEIR_PAIR_TIMED;
	return RTE_MIN(rx, tx);
}

enum weir_pair_sleep
weir_pair_arm_endpoint(struct weir_pair *pair)
{
	struct weir_queue *queue = pair->queue;

	if (pair->broken != NULL || !queue->ops->poll_ready(queue, &pair->access, true))
		return WEIR_PAIR_SLEEP;
	if (!pair->armed_rx)
		return WEIR_PAIR_BUSY;
	/* Its frames wait for the guest's buffers, and it does not tell of anything else. */
	return pair->n_out > pair->n_pending ? WEIR_PAIR_TIMED : WEIR_PAIR_SLEEP;
}

void
weir_pair_disarm(struct weir_pair *pair)
{
	if (pair->broken != NULL)
		return;
	pair->path->arm(pair, WEIR_PAIR_WAKE_TX, false);
	if (pair->armed_rx)
		pair->path->arm(pair, WEIR_PAIR_WAKE_RX, false);
}

void
weir_pair_woken(struct weir_pair *pair, enum weir_pair_wake wake, unsigned int moved)
{
	if (wake == WEIR_PAIR_WAKE_ENDPOINT)
		return;
	if (moved > 0)
		pair->false_wakes[wake] = 0;
	else if (++pair->false_wakes[wake] == PAIR_FALSE_WAKES_MAX) {
		atomic_store_explicit(&pair->kicked[wake], false, memory_order_relaxed);
		atomic_store_explicit(&pair->ignored[wake], true, memory_order_relaxed);
	}
}

const char *
weir_pair_name(const struct weir_pair *pair)
{
	return pair->name;
}

struct weir_guest *
weir_pair_guest(const struct weir_pair *pair)
{
	return pair->guest;
}

uint16_t
weir_pair_index(const struct weir_pair *pair)
{
	return pair->index;
}

int
weir_pair_numa_node(const struct weir_pair *pair)
{
	return pair->guest->numa_node;
}

/** Take the guest's pools as they are now; nobody polls the pair. */
void
pair_use_pools(struct weir_pair *pair)
{
	const struct weir_guest *guest = pair->guest;

	pair->tx_pool = weir_frame_pool_mempool(guest->tx_frames);
	pair->rx_frames = guest->rx_frames;
	pair->rx_room = weir_frame_pool_room(guest->rx_frames) - RTE_PKTMBUF_HEADROOM;
}

struct weir_pair *
pair_create(struct weir_guest *guest, uint16_t index, int vid)
{
	struct weir_pair *pair;

	pair = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(sizeof(*pair)));
	if (pair == NULL) {
		weir_error(ENOMEM, "no memory for queue pair %u", index);
		return NULL;
	}
	memset(pair, 0, sizeof(*pair));
	pair->path = guest->path;
	pair->access.ops = pair->path->access;
	pair->guest = guest;
	pair->vid = vid;
	pair->kick_fd[WEIR_PAIR_WAKE_TX] = pair->kick_fd[WEIR_PAIR_WAKE_RX] = -1;
	pair->call_fd[WEIR_PAIR_WAKE_TX] = pair->call_fd[WEIR_PAIR_WAKE_RX] = -1;
	pair->index = index;
	/* virtio 1.1, 5.1.2: receiveq1 0, transmitq1 1, receiveq2 2, ... */
	pair->rx_vring = 2 * index;
	pair->tx_vring = 2 * index + 1;
	pair_use_pools(pair);
	snprintf(pair->name, sizeof(pair->name), "%s pair %u", guest->object.name, index);
	return pair;
}

void
pair_free(struct weir_pair *pair)
{
	free(pair);
}

/* The lcore goes on counting meanwhile: each counter is of one moment, all of them are not. */
void
pair_stats_add(struct pair_stats *sum, const struct pair_stats *stats)
{
	sum->tx_packets += __atomic_load_n(&stats->tx_packets, __ATOMIC_RELAXED);
	sum->tx_bytes += __atomic_load_n(&stats->tx_bytes, __ATOMIC_RELAXED);
	sum->rx_packets += __atomic_load_n(&stats->rx_packets, __ATOMIC_RELAXED);
	sum->rx_bytes += __atomic_load_n(&stats->rx_bytes, __ATOMIC_RELAXED);
	sum->tx_waits += __atomic_load_n(&stats->tx_waits, __ATOMIC_RELAXED);
	sum->rx_waits += __atomic_load_n(&stats->rx_waits, __ATOMIC_RELAXED);
	sum->rx_dropped_too_long += __atomic_load_n(&stats->rx_dropped_too_long, __ATOMIC_RELAXED);
	sum->rx_dropped_no_offload +=
		__atomic_load_n(&stats->rx_dropped_no_offload, __ATOMIC_RELAXED);
	sum->rx_dropped_no_buffers +=
		__atomic_load_n(&stats->rx_dropped_no_buffers, __ATOMIC_RELAXED);
	sum->rx_finished += __atomic_load_n(&stats->rx_finished, __ATOMIC_RELAXED);
	sum->rx_dropped_stopped += __atomic_load_n(&stats->rx_dropped_stopped, __ATOMIC_RELAXED);
	sum->tx_dropped_stopped += __atomic_load_n(&stats->tx_dropped_stopped, __ATOMIC_RELAXED);
	sum->calls += __atomic_load_n(&stats->calls, __ATOMIC_RELAXED);
	sum->tx_dropped_malformed +=
		__atomic_load_n(&stats->tx_dropped_malformed, __ATOMIC_RELAXED);
	sum->tx_dropped_too_long += __atomic_load_n(&stats->tx_dropped_too_long, __ATOMIC_RELAXED);
}

/** Below zero, a counter wraps, and back when what it owes is added. */
void
pair_stats_take(struct pair_stats *sum, const struct pair_stats *stats)
{
	const uint64_t *from = (const uint64_t *)stats;
	uint64_t *to = (uint64_t *)sum;
	size_t i;

	for (i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] -= from[i];
}
