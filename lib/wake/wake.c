/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The word and the descriptor
 * ---------------------------
 * One 32-bit state: how many are armed, and whether the descriptor has been
 * written since the last drain (SIGNALLED). A signaller writes the descriptor only
 * if it was the one to set SIGNALLED, and sets it only while someone is armed.
 *
 * Three orders carry the proof; tests/model/wake.pml fails when any is dropped:
 *
 * 1. publish, then read the state | arm, then look. Each side writes one thing and
 *    reads the other's (Dekker): of a signaller that saw nobody and a sleeper that
 *    saw nothing, one must see the other. Both need a full fence; see
 *    weir_wake_order() for who executes it.
 * 2. drain: read the descriptor, then clear SIGNALLED, then look. Cleared first,
 *    a signaller could set it again and write, and the read would eat the write:
 *    SIGNALLED with nothing to read, and every later signal taken for sent.
 *    Between the read and the clear a signaller stays silent, and is covered by
 *    the look that follows. So the descriptor is readable only while SIGNALLED is
 *    set, and whoever disarms knows from the state alone whether to drain.
 * 3. drain: not while another is armed, whose look may be over: the last to disarm
 *    drains, and when by the time of its clear someone has armed, or the wake has
 *    been closed, it writes again instead. So a signal reaches all who sleep.
 *
 * A sleeper that dies stays counted: signals find SIGNALLED set after the first
 * and stop writing, so it costs its peers one system call, until weir_wake_reset().
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "weir_error.h"
#include "weir_wake.h"

static pthread_once_t wake_once = PTHREAD_ONCE_INIT;
static bool wake_membarrier; /* the kernel does it, for this process and for others */

static void
wake_membarrier_register(void)
{
	/* Being registered is what makes this process's signallers reachable. */
	wake_membarrier =
		syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
		syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

int
weir_wake_init(struct weir_wake *wake, struct weir_wake_word *word, unsigned int flags)
{
	pthread_once(&wake_once, wake_membarrier_register);
	if (!wake_membarrier)
		flags |= WEIR_WAKE_FENCED;
	wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake->fd < 0)
		return weir_error(errno, "wake: no descriptor: %s", strerror(errno));
	memset(word, 0, sizeof(*word));
	word->flags = flags;
	word->state = (flags & WEIR_WAKE_FENCED) ? WEIR_WAKE_STATE_FENCED : 0;
	wake->word = word;
	return 0;
}

int
weir_wake_attach(struct weir_wake *wake, struct weir_wake_word *word, int fd)
{
	pthread_once(&wake_once, wake_membarrier_register);
	if (!wake_membarrier && !(word->flags & WEIR_WAKE_FENCED))
		return weir_error(ENOTSUP, "wake: the other process relies on membarrier(), "
					   "which this one is denied: allow it");
	wake->word = word;
	wake->fd = fd;
	return 0;
}

void
weir_wake_fini(struct weir_wake *wake)
{
	close(wake->fd);
	wake->fd = -1;
	wake->word = NULL;
}

static void
wake_write(const struct weir_wake *wake)
{
	static const uint64_t one = 1;

	/*
	 * Cannot block (EFD_NONBLOCK); EAGAIN means a counter at its end, which is
	 * readable, all that is wanted. EINTR does not occur for a call that does
	 * not sleep.
	 */
	if (write(wake->fd, &one, sizeof(one)) == sizeof(one))
		__atomic_fetch_add(&wake->word->n_writes, 1, __ATOMIC_RELAXED);
}

void
weir_wake_signal_sleepers(const struct weir_wake *wake)
{
	struct weir_wake_word *word = wake->word;
	uint32_t state = __atomic_load_n(&word->state, __ATOMIC_RELAXED);

	if (state & WEIR_WAKE_STATE_FENCED) {
		/* Orders the work before the state; partner: the one in weir_wake_order(). */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		state = __atomic_load_n(&word->state, __ATOMIC_RELAXED);
	}
	do {
		if ((state & WEIR_WAKE_STATE_SLEEPERS) == 0 ||
		    (state & (WEIR_WAKE_STATE_SIGNALLED | WEIR_WAKE_STATE_CLOSED)) != 0)
			return;
	} while (!__atomic_compare_exchange_n(&word->state, &state,
					      state | WEIR_WAKE_STATE_SIGNALLED, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	wake_write(wake);
}

void
weir_wake_order(void)
{
	/* For the wakes that are WEIR_WAKE_FENCED; partner: weir_wake_signal_sleepers(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/*
	 * For the others: a full fence on every core that runs a thread of a
	 * registered process, in between two of its instructions. Partner: the
	 * compiler barrier in weir_wake_signal(). GLOBAL covers other processes and
	 * costs within one what PRIVATE costs.
	 */
	if (wake_membarrier)
		syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

void
weir_wake_arm_unordered(const struct weir_wake *wake)
{
	__atomic_fetch_add(&wake->word->state, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&wake->word->n_arms, 1, __ATOMIC_RELAXED);
}

void
weir_wake_arm(const struct weir_wake *wake)
{
	weir_wake_arm_unordered(wake);
	if (wake->word->flags & WEIR_WAKE_FENCED)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else if (wake->word->flags & WEIR_WAKE_SHARED)
		weir_wake_order();
	else
		syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static void
wake_drain(const struct weir_wake *wake)
{
	struct weir_wake_word *word = wake->word;
	uint64_t count;
	uint32_t state;

	/*
	 * Nothing to read: the signaller has set SIGNALLED and not come to its write.
	 * It stays set, for the write would find nobody to drain it: the next sleep
	 * ends early and drains.
	 */
	if (read(wake->fd, &count, sizeof(count)) != sizeof(count))
		return;
	state = __atomic_load_n(&word->state, __ATOMIC_RELAXED);
	do {
		if ((state & (WEIR_WAKE_STATE_CLOSED | WEIR_WAKE_STATE_SLEEPERS)) != 0) {
			wake_write(wake);
			return;
		}
	} while (!__atomic_compare_exchange_n(&word->state, &state,
					      state & ~WEIR_WAKE_STATE_SIGNALLED, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

bool
weir_wake_disarm(const struct weir_wake *wake)
{
	uint32_t state = __atomic_sub_fetch(&wake->word->state, 1, __ATOMIC_SEQ_CST);

	if (state & WEIR_WAKE_STATE_CLOSED)
		return true;
	if ((state & WEIR_WAKE_STATE_SIGNALLED) == 0)
		return false;
	if ((state & WEIR_WAKE_STATE_SLEEPERS) == 0)
		wake_drain(wake);
	return true;
}

int
weir_wake_wait(const struct weir_wake *wake, int64_t timeout_us)
{
	struct pollfd poll_fd = {.fd = wake->fd, .events = POLLIN};
	struct timespec limit = {
		.tv_sec = timeout_us / 1000000,
		.tv_nsec = timeout_us % 1000000 * 1000,
	};
	int err = 0;

	if (ppoll(&poll_fd, 1, timeout_us < 0 ? NULL : &limit, NULL) < 0)
		err = -errno;
	/* A signal that came with the time-out, or before the handler, counts. */
	return weir_wake_disarm(wake) ? 1 : err;
}

void
weir_wake_close(const struct weir_wake *wake)
{
	__atomic_fetch_or(&wake->word->state, WEIR_WAKE_STATE_CLOSED, __ATOMIC_SEQ_CST);
	wake_write(wake);
}

void
weir_wake_reset(const struct weir_wake *wake)
{
	uint64_t count;

	while (read(wake->fd, &count, sizeof(count)) > 0)
		;
	wake->word->state = (wake->word->flags & WEIR_WAKE_FENCED) ? WEIR_WAKE_STATE_FENCED : 0;
}
