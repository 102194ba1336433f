/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks are registered buffers of an io_uring, whose requests the kernel executes side
 * by side while the writer waits. It is made on the writer's own thread, so that the
 * kernel's helpers can be kept off the cores of the lcores as it is itself. Without
 * io_uring the same requests are plain system calls.
 *
 * Block i is buffer i.
 */
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "weir_error.h"

/* Blocks that are written at once, at most. */
#define DISK_ENTRIES 32

static void
disk_show(struct capture *capture, const char *io)
{
	pthread_mutex_lock(&capture->lock);
	capture->shown_io = io;
	pthread_mutex_unlock(&capture->lock);
}

static void
disk_say(struct capture *capture)
{
	disk_show(capture, "plain");
	WEIR_LOG(capture, WARNING, "capture %s: written block by block: %s", capture->keys.name,
		 weir_error_text());
}

void
disk_open(struct capture *capture)
{
	const struct weir_uring_conf conf = {
		.owner = "capture",
		.entries = DISK_ENTRIES,
		.plain_allowed = true,
	};
	const struct weir_uring_pool_conf pool_conf = {
		.buffer_bytes = CAPTURE_BLOCK_BYTES,
		.n_buffers = capture->n_blocks,
		.memory = weir_bufs_first(capture->memory),
	};
	uint16_t index;
	uint32_t i;
	int rc;

	capture->ring = weir_uring_create(&conf);
	if (capture->ring == NULL) {
		disk_say(capture);
		return;
	}
	rc = weir_uring_helpers_here(capture->ring);
	if (rc != 0)
		WEIR_LOG(capture, WARNING,
			 "capture %s: the kernel may write on a core of an lcore: %s",
			 capture->keys.name, strerror(-rc));
	capture->registered = weir_uring_pool_create(capture->ring, &pool_conf);
	if (capture->registered == NULL) {
		disk_say(capture);
		weir_uring_free(capture->ring);
		capture->ring = NULL;
		return;
	}
	for (i = 0; i < capture->n_blocks; i++)
		weir_uring_acquire(capture->registered, &index, NULL);
	disk_show(capture, weir_uring_is_plain(capture->ring) ? "plain" : "io_uring");
}

void
disk_close(struct capture *capture)
{
	if (capture->ring == NULL)
		return;
	weir_uring_pool_free(capture->registered);
	weir_uring_free(capture->ring);
}

/** Whether the first @p len bytes of a block are on their way. */
bool
disk_submit(struct capture *capture, const struct capture_block *block, int fd, uint64_t offset,
	    uint32_t len)
{
	return capture->ring != NULL &&
	       weir_uring_submit_write_fixed(capture->registered, fd, block - capture->blocks,
					     offset, len) >= 0;
}

/** Until all that were submitted have their result. */
void
disk_wait(struct capture *capture)
{
	struct weir_uring_completion completions[DISK_ENTRIES];
	unsigned int i, n;
	int rc;

	while (weir_uring_in_flight(capture->ring) > 0) {
		rc = weir_uring_wait(capture->ring, -1);
		/* Short of memory for the request: it stays submitted. */
		if (rc < 0)
			usleep(1000);
		n = weir_uring_reap(capture->ring, completions, DISK_ENTRIES);
		for (i = 0; i < n; i++)
			capture->blocks[completions[i].index].result = completions[i].result;
	}
}
