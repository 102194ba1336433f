/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calling the guest: the lcore writes an eventfd that is the front-end's too. The
 * write waits when the counter is full and the descriptor blocking. We make it
 * non-blocking (kick.c), but the front-end can undo that at any moment, and there is
 * no write that would not mind.
 *
 * So an lcore says when it is in such a call. The control side looks: the same call
 * still, and its thread asleep, is a front-end that holds our lcore. A signal, which
 * does nothing, ends the wait; the guest is not called again and its session ends. It
 * has to wait for the next one, twice as long each time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

/* Ignored by default, so that it is harmless wherever it comes late. */
#define CALL_SIGNAL SIGURG
/* Between two looks at a call. */
#define CALL_LOOK_US 2000
/* Seconds that a guest waits after its first session that held an lcore; doubled each time. */
#define CALL_WAIT_S 4
#define CALL_WAIT_DOUBLED_MAX 4

static pthread_once_t call_once = PTHREAD_ONCE_INIT;

static void
call_signal(int number)
{
}

static void
call_install(void)
{
	/* No SA_RESTART: the write is to end. */
	struct sigaction action = {.sa_handler = call_signal};

	sigemptyset(&action.sa_mask);
	sigaction(CALL_SIGNAL, &action, NULL);
}

void
call_catch(void)
{
	pthread_once(&call_once, call_install);
}

void
call_begin(struct weir_pair *pair)
{
	static __thread int tid;

	if (unlikely(tid == 0))
		tid = syscall(SYS_gettid);
	atomic_store_explicit(&pair->caller, tid, memory_order_relaxed);
	/* Release: the caller beside it. Partner: the acquire in call_free(). */
	atomic_store_explicit(&pair->call_turn, pair->call_turn + 1, memory_order_release);
}

void
call_end(struct weir_pair *pair)
{
	atomic_store_explicit(&pair->call_turn, pair->call_turn + 1, memory_order_release);
}

bool
call_write(struct weir_pair *pair, enum weir_pair_wake ring)
{
	const uint64_t one = 1;
	bool written;

	if (unlikely(atomic_load_explicit(&pair->broken, memory_order_relaxed) != NULL))
		return false;
	call_begin(pair);
	/* EAGAIN: its counter is full, so it has been told already. */
	written = write(pair->call_fd[ring], &one, sizeof(one)) == sizeof(one);
	call_end(pair);
	return written;
}

/** Whether a thread of ours sleeps; not when it is only kept from running. */
static bool
thread_sleeps(int tid)
{
	char path[64], text[256], *state;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	state = strrchr(text, ')'); /* proc(5): TID (NAME) STATE */
	return state != NULL && state[1] == ' ' && state[2] == 'S';
}

/** Whether the lcore has been asleep in one call for a while. */
static bool
call_is_held(struct weir_pair *pair, uint32_t turn)
{
	unsigned int looks;

	for (looks = 0; looks < 3; looks++) {
		if (atomic_load_explicit(&pair->call_turn, memory_order_acquire) != turn ||
		    !thread_sleeps(pair->caller))
			return false;
		usleep(CALL_LOOK_US);
	}
	return true;
}

/** With guest->lock held. */
static bool
call_free(struct weir_pair *pair)
{
	uint32_t turn = atomic_load_explicit(&pair->call_turn, memory_order_acquire);
	struct weir_guest *guest = pair->guest;
	struct timespec now;

	if (turn % 2 == 0 || !call_is_held(pair, turn))
		return false;
	/* First, so that it is not called again. */
	pair->broken = "its call descriptor blocks: it was made blocking, and its counter is full";
	clock_gettime(CLOCK_MONOTONIC, &now);
	guest->refused_until = now.tv_sec + (CALL_WAIT_S << guest->n_held);
	if (guest->n_held < CALL_WAIT_DOUBLED_MAX)
		guest->n_held++;
	/* Again: the first may come before it waits. */
	while (atomic_load_explicit(&pair->call_turn, memory_order_acquire) == turn) {
		syscall(SYS_tgkill, getpid(), pair->caller, CALL_SIGNAL);
		usleep(CALL_LOOK_US);
	}
	return true;
}

bool
weir_pair_free_lcore(struct weir_pair *pair)
{
	bool freed;

	pthread_mutex_lock(&pair->guest->lock);
	freed = call_free(pair);
	pthread_mutex_unlock(&pair->guest->lock);
	return freed;
}

void
call_tend(struct weir_guest *guest)
{
	uint16_t i;

	/* Not the session's lock: whoever has that may be waiting for the lcore. */
	pthread_mutex_lock(&guest->lock);
	for (i = 0; i < guest->n_pairs; i++)
		if (guest->pairs[i] != NULL)
			call_free(guest->pairs[i]);
	pthread_mutex_unlock(&guest->lock);
}

int
call_check_refused(const struct weir_guest *guest)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec >= guest->refused_until)
		return 0;
	return weir_error(EAGAIN,
			  "its call descriptor blocked before: it is not served for the next %d s",
			  (int)(guest->refused_until - now.tv_sec));
}
