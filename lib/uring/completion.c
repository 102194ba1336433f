/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes to the kernel and what comes back, whatever it is about. */
#include <errno.h>
#include <time.h>

#include <rte_atomic.h>
#include <rte_common.h>
#include <rte_debug.h>
#include <rte_prefetch.h>

#include "uring.h"
#include "weir_error.h"

#define REAP_BURST 32u
/** How long cancel_all waits before it asks again. */
#define CANCEL_AGAIN_US 10000

/** Have a kernel thread see what was submitted. */
static int
thread_flush(struct weir_uring *ring)
{
	struct io_uring_sq *sq = &ring->io.sq;
	int rc;

	ring_unstage(ring);
	if (sq->sqe_head == sq->sqe_tail && !ring->unheard)
		return 0;
	sq->sqe_head = sq->sqe_tail;
	/* The requests first. Partner: the kernel's load-acquire of the tail. */
	__atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
	/* Either it sees them, or we that it sleeps. Partner: its fence before it sleeps. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (likely((__atomic_load_n(sq->kflags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP) == 0)) {
		ring->unheard = false;
		return 0;
	}
	rc = io_uring_submit(&ring->io);
	ring->unheard = rc < 0;
	return rc < 0 ? rc : 0;
}

int
weir_uring_flush(struct weir_uring *ring)
{
	int rc;

	if (ring->plain)
		return 0;
	if (ring->io.flags & IORING_SETUP_SQPOLL)
		return thread_flush(ring);
	ring_unstage(ring);
	if (io_uring_sq_ready(&ring->io) == 0)
		return 0;
	rc = io_uring_submit(&ring->io);
	if (rc < 0)
		return rc;
	return io_uring_sq_ready(&ring->io) > 0 ? -EAGAIN : 0;
}

/** Have the lines here that are used next: what was read is, what was written is filled again. */
static inline void
data_fetch(const struct weir_uring_pool *pool, uint16_t index, bool is_write)
{
	const uint8_t *data = buffer_data(pool, index);

	if (is_write) {
		rte_prefetch0_write(data);
		rte_prefetch0_write(data + RTE_CACHE_LINE_SIZE);
	} else {
		rte_prefetch0(data);
		rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
	}
}

/** @return Whether it is told: of a request of the caller's. */
static bool
completion_set(struct weir_uring *ring, uint64_t user_data, int32_t result,
	       struct weir_uring_completion *completion)
{
	uint16_t number = user_data >> 48, index = user_data >> 32;

	*completion = (struct weir_uring_completion){.user_data = user_data, .result = result};
	if (user_data == 0)
		return false; /* the cancel of cancel_all() */
	tally(&ring->stats.completed, 1);
	number_set(&ring->n_in_flight, ring->n_in_flight - 1);
	if (number > 0) {
		struct weir_uring_pool *pool = ring->pools[number - 1];
		struct slot *slot = &pool->slots[index];

		/* The kernel completes each request once; what else came would free one twice. */
		RTE_VERIFY(slot->state == SLOT_SUBMITTED && slot->sequence == (uint32_t)user_data);
		data_fetch(pool, index, slot->is_write);
		completion->pool = pool;
		completion->index = index;
		completion->left = request_over(pool, slot, result);
	} else if (result < 0) {
		tally(&ring->stats.failed, 1);
	}
	return true;
}

static unsigned int
plain_reap(struct weir_uring *ring, struct weir_uring_completion *completions, unsigned int n)
{
	const struct plain_done *done;
	unsigned int i;

	for (i = 0; i < n && ring->done_n > 0; i++) {
		done = &ring->done[ring->done_first];
		ring->done_first = (ring->done_first + 1) % ring->done_size;
		ring->done_n--;
		completion_set(ring, done->user_data, done->result, &completions[i]);
	}
	return i;
}

unsigned int
weir_uring_reap(struct weir_uring *ring, struct weir_uring_completion *completions, unsigned int n)
{
	struct io_uring_cq *cq = &ring->io.cq;
	const struct io_uring_cqe *cqe;
	unsigned int taken = 0;
	uint32_t head, tail;

	if (ring->plain)
		return plain_reap(ring, completions, n);
	if (unlikely(io_uring_cq_has_overflow(&ring->io))) {
		tally(&ring->stats.overflows, 1);
		io_uring_get_events(&ring->io);
	}
	head = *cq->khead;
	/* Acquire: the completions. Partner: the kernel's release of the tail. */
	tail = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE);
	if (head == tail)
		return 0;
	while (head != tail && taken < n) {
		cqe = &cq->cqes[head++ & cq->ring_mask];
		taken += completion_set(ring, cqe->user_data, cqe->res, &completions[taken]);
	}
	/* Release: we are done with them. Partner: the kernel's look for room. */
	__atomic_store_n(cq->khead, head, __ATOMIC_RELEASE);
	return taken;
}

bool
weir_uring_is_ready(const struct weir_uring *ring)
{
	if (ring->plain)
		return ring->done_n > 0;
	return io_uring_cq_ready(&ring->io) > 0 || io_uring_cq_has_overflow(&ring->io);
}

int
weir_uring_wait(struct weir_uring *ring, int64_t timeout_us)
{
	struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000,
					  .tv_nsec = timeout_us % 1000000 * 1000};
	struct io_uring_cqe *cqe;
	int rc;

	if (weir_uring_is_ready(ring))
		return 1;
	rc = weir_uring_flush(ring);
	if (rc != 0)
		return rc;
	if (ring->plain || ring->n_in_flight == 0)
		return weir_uring_is_ready(ring);
	rc = io_uring_wait_cqes(&ring->io, &cqe, 1, timeout_us < 0 ? NULL : &limit, NULL);
	if (rc == -ETIME)
		return 0;
	return rc < 0 ? rc : 1;
}

/** @return User data, or -EAGAIN, -ENOTSUP. */
static int64_t
control_submit(struct weir_uring *ring, struct io_uring_sqe **sqe)
{
	if (ring->plain)
		return -ENOTSUP;
	if (!ring_has_room(ring)) {
		tally(&ring->stats.full, 1);
		return -EAGAIN;
	}
	*sqe = ring_submission(ring);
	number_set(&ring->n_in_flight, ring->n_in_flight + 1);
	tally(&ring->stats.submitted, 1);
	/* A number alone may come round to 0, which is nobody's. */
	if (++ring->sequence == 0)
		ring->sequence++;
	return user_data_of(0, 0, ring->sequence);
}

int64_t
weir_uring_submit_poll(struct weir_uring *ring, int fd, uint32_t events)
{
	struct io_uring_sqe *sqe;
	int64_t user_data = control_submit(ring, &sqe);

	if (user_data >= 0) {
		io_uring_prep_poll_add(sqe, fd, events);
		sqe->user_data = user_data;
	}
	return user_data;
}

int64_t
weir_uring_submit_cancel(struct weir_uring *ring, uint64_t target)
{
	struct io_uring_sqe *sqe;
	int64_t user_data = control_submit(ring, &sqe);

	if (user_data >= 0) {
		io_uring_prep_cancel64(sqe, target, 0);
		sqe->user_data = user_data;
	}
	return user_data;
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

int
weir_uring_cancel_all(struct weir_uring *ring, int64_t timeout_us)
{
	struct weir_uring_completion dropped[REAP_BURST];
	int64_t end = now_us() + timeout_us;
	struct io_uring_sqe *sqe;

	for (;;) {
		while (weir_uring_reap(ring, dropped, REAP_BURST) > 0)
			;
		if (ring->n_in_flight == 0)
			return 0;
		if (now_us() >= end)
			return weir_error(ETIMEDOUT,
					  "%s: %u requests are still with the kernel, %d ms after "
					  "they were cancelled",
					  ring->owner, ring->n_in_flight, (int)(timeout_us / 1000));
		weir_uring_flush(ring);
		/* Again and again: what a kernel thread was about to start is not found. */
		if (ring_has_room(ring)) {
			sqe = ring_submission(ring);
			io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
			sqe->user_data = 0;
		}
		weir_uring_wait(ring, CANCEL_AGAIN_US);
	}
}

uint32_t
weir_uring_in_flight(const struct weir_uring *ring)
{
	return number_get(&ring->n_in_flight);
}
