/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread that takes staged records to the file: a full block as it comes; what lies
 * in a block that does not fill after CAPTURE_PARTIAL_MS, up to its tail, while its
 * tee goes on behind that.
 *
 * Records of one interface stay in order: a block is written only when no full one waits.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_lcore.h>

#include "capture.h"
#include "weir_error.h"

/* Blocks written in a row before the others are looked at. */
#define WRITER_BURST 16

static uint64_t
writer_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/** The file takes no more: let the lcores go, finish it, and say why. */
static void
writer_end(struct capture *capture)
{
	pthread_mutex_lock(&capture->lock);
	snprintf(capture->ended, sizeof(capture->ended), "%s", weir_error_text());
	pthread_mutex_unlock(&capture->lock);
	WEIR_LOG(capture, ERR, "capture %s: ended: %s", capture->keys.name, capture->ended);
	capture_registry_lock();
	capture_detach_all(capture);
	capture_registry_unlock();
}

/** Of @p len records' bytes of a block @p written are in the file; the others never will. */
static void
writer_account(struct capture *capture, struct capture_block *block, uint32_t len, uint32_t written,
	       int error)
{
	weir_count(&capture->written_bytes, written);
	weir_count(&capture->n_writes, 1);
	if (error != 0)
		weir_count(&block->interface->unwritten,
			   pcapng_count(block->data + block->written + written, len - written));
	block->written += len;
	if (error != 0 && capture->ended[0] == '\0')
		writer_end(capture);
}

/** Write what a block has up to @p tail; once the capture has ended, count it. */
static void
writer_put(struct capture *capture, struct capture_block *block, uint32_t tail)
{
	uint32_t len = tail - block->written, written = 0;
	int error = -ECANCELED;

	if (len == 0)
		return;
	if (capture->ended[0] == '\0')
		error = capture_file_write(capture, block->interface, block->data + block->written,
					   len, &written);
	writer_account(capture, block, len, written, error);
}

/** Wait for the blocks that are on their way. */
static void
writer_settle(struct capture *capture, void *const *blocks, unsigned int n)
{
	unsigned int i;

	if (n > 0)
		disk_wait(capture);
	for (i = 0; i < n; i++) {
		struct capture_block *block = blocks[i];
		uint32_t len = __atomic_load_n(&block->tail, __ATOMIC_RELAXED), written = 0;
		int error = -ECANCELED;

		/* What lies behind the end of a capture was cut off with it. */
		if (capture->ended[0] == '\0')
			error = capture_file_settle(capture, block, len, &written);
		writer_account(capture, block, len, written, error);
	}
}

/** Write full blocks; how many. */
static unsigned int
writer_drain(struct capture *capture)
{
	void *blocks[WRITER_BURST];
	unsigned int i, n, settled = 0;

	n = rte_ring_dequeue_burst(capture->full, blocks, WRITER_BURST, NULL);
	for (i = 0; i < n; i++) {
		struct capture_block *block = blocks[i];
		uint32_t tail = __atomic_load_n(&block->tail, __ATOMIC_RELAXED);

		if (tail > 0 && block->written == 0 && capture->ended[0] == '\0' &&
		    capture_file_submit(capture, block, tail))
			continue;
		writer_settle(capture, &blocks[settled], i - settled);
		writer_put(capture, block, tail);
		settled = i + 1;
	}
	writer_settle(capture, &blocks[settled], n - settled);
	for (i = 0; i < n; i++) {
		struct capture_block *block = blocks[i];

		block->written = 0;
		__atomic_store_n(&block->tail, 0, __ATOMIC_RELAXED);
		rte_ring_enqueue(capture->empty, block);
	}
	return n;
}

/**
 * Write what there is in the others. A block that came after one that was full in
 * between is not to overtake it: all tails are read before, and no full one is there then.
 */
static void
writer_flush(struct capture *capture)
{
	struct capture_block *block;
	uint32_t i;

	for (i = 0; i < capture->n_blocks; i++)
		/* Acquire: the records. Partner: the release in weir_capture_keep(). */
		capture->blocks[i].snapshot =
			__atomic_load_n(&capture->blocks[i].tail, __ATOMIC_ACQUIRE);
	if (!rte_ring_empty(capture->full))
		return;
	for (i = 0; i < capture->n_blocks; i++) {
		block = &capture->blocks[i];
		if (block->snapshot > block->written)
			writer_put(capture, block, block->snapshot);
	}
}

bool
capture_writer_is_asked(const struct capture *capture)
{
	/* Acquire: all that was handed over before. Partner: capture_writer_ask(). */
	return __atomic_load_n(&capture->stop, __ATOMIC_ACQUIRE);
}

static void
writer_sleep(struct capture *capture)
{
	weir_wake_arm(&capture->wake);
	if (rte_ring_empty(capture->full) && !capture_writer_is_asked(capture))
		weir_wake_wait(&capture->wake, CAPTURE_PARTIAL_MS * 1000);
	else
		weir_wake_disarm(&capture->wake);
}

static void *
writer_run(void *arg)
{
	struct capture *capture = arg;
	uint64_t now, flushed = writer_now_ms(), synced = flushed;
	bool stop;

	disk_open(capture);
	do {
		stop = capture_writer_is_asked(capture);
		while (writer_drain(capture) > 0)
			;
		now = writer_now_ms();
		if (now - flushed >= CAPTURE_PARTIAL_MS) {
			writer_flush(capture);
			flushed = now;
		}
		if (now - synced >= 1000) {
			capture_clock_sync();
			synced = now;
		}
		if (!stop && capture->ended[0] == '\0')
			writer_sleep(capture);
	} while (!stop && capture->ended[0] == '\0');
	/* What was let go of as it ended. */
	while (writer_drain(capture) > 0)
		;
	capture_file_close(capture);
	disk_close(capture);
	__atomic_store_n(&capture->finished, true, __ATOMIC_RELAXED);
	return NULL;
}

int
capture_writer_start(struct capture *capture)
{
	int rc =
		rte_ctrl_thread_create(&capture->writer, "weir-capture", NULL, writer_run, capture);

	if (rc != 0)
		return weir_error(-rc, "--capture: no thread for its file: %s", strerror(-rc));
	return 0;
}

/** Every tee is detached: write the rest, finish the file. */
void
capture_writer_ask(struct capture *capture)
{
	__atomic_store_n(&capture->stop, true, __ATOMIC_RELEASE);
	weir_wake_signal(&capture->wake);
}

/** It was asked to: whether it has, at the latest in @p timeout_ms. */
bool
capture_writer_has_ended(const struct capture *capture, unsigned int timeout_ms)
{
	uint64_t end = writer_now_ms() + timeout_ms;

	while (!__atomic_load_n(&capture->finished, __ATOMIC_RELAXED)) {
		if (writer_now_ms() >= end)
			return false;
		usleep(1000);
	}
	return true;
}

void
capture_writer_join(struct capture *capture)
{
	pthread_join(capture->writer, NULL);
}
