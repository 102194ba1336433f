/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CAPTURE_H
#define CAPTURE_H

/*
 * What the files of this room share.
 *
 *   capture.c  captures: life, telemetry
 *   keys.c     the words of --capture
 *   point.c    points, and what is attached to them
 *   tee.c      an lcore copies a frame into the staging
 *   filter.c   libpcap's language to code that runs on a frame
 *   writer.c   the thread that takes full blocks to the file
 *   disk.c     blocks as registered buffers: several are written at once
 *   file.c     the file: rotation, and a whole end whatever happens
 *   pcapng.c   records
 *   clock.c    time stamps
 *
 * Locks: capture_registry_lock() is of captures and points, and of which tee is at which
 * point; whoever holds it may wait for an lcore, no lcore waits for it. Under it,
 * capture->lock is of what telemetry shows.
 */

#include <limits.h>
#include <pthread.h>

#include <rte_ring.h>

#include "pcapng.h"
#include "weir_bufpool.h"
#include "weir_capture.h"
#include "weir_log.h"
#include "weir_object.h"
#include "weir_uring.h"
#include "weir_wake.h"

WEIR_LOG_DECLARE(capture);

/* A block is written at once; it holds any frame. */
#define CAPTURE_BLOCK_BYTES (256U << 10)
#define CAPTURE_SNAPLEN_MAX 262144
/* Records in a block, at most: the writer pads what it writes past the page cache. */
#define CAPTURE_BLOCK_ROOM (CAPTURE_BLOCK_BYTES - PCAPNG_PADDING_MIN)
/* A block that does not fill is written after so long. */
#define CAPTURE_PARTIAL_MS 200

struct capture_filter;

/* One queue pair of a guest as the file has it; lives as long as the capture. */
struct capture_interface {
	TAILQ_ENTRY(capture_interface) next;
	uint32_t id;
	char guest[WEIR_OBJECT_NAMESIZE];
	uint16_t index;

	/* Written by the lcore of its point. */
	uint64_t seen; /* frames that went the way that is captured */
	uint64_t rejected, captured, captured_bytes;
	uint64_t missed; /* no empty block */

	uint64_t unwritten __rte_cache_aligned; /* the writer's: staged, and the file had ended */
};

/* Staging: records of one interface. Whoever has it owns it: ring, tee or writer. */
struct capture_block {
	struct capture_interface *interface;
	uint8_t *data;
	uint32_t tail;	   /* bytes of whole records; stored by the tee, read by the writer */
	uint32_t written;  /* the writer's: of them in the file */
	uint32_t snapshot; /* the writer's: the tail as it saw it */
	uint32_t length;   /* the writer's: bytes of its request, padding and all */
	int32_t result;	   /* the writer's: what it came to */
} __rte_cache_aligned;

/* What the words say. */
struct capture_keys {
	char name[WEIR_OBJECT_NAMESIZE];
	char of[WEIR_OBJECT_NAMESIZE]; /* guest or endpoint */
	bool of_endpoint;
	char path[PATH_MAX];
	unsigned int sides; /* WEIR_CAPTURE_* */
	uint32_t snaplen;
	uint64_t rotate_bytes; /* 0: one file */
	uint64_t n_files;      /* 0: all are kept */
	uint64_t staging_bytes;
	char *filter; /* NULL: everything */
};

struct capture_file {
	const struct capture_keys *keys;
	int fd;
	int direct;	       /* the same, past the page cache; or -1 */
	uint64_t number;       /* of the file, from 1, when they rotate */
	uint64_t size;	       /* bytes, all of them whole records */
	uint64_t flying;       /* bytes behind those, of requests */
	uint32_t n_interfaces; /* that it has heard of */
	bool has_packets;
	char path[PATH_MAX + 16];
};

struct capture {
	struct weir_object object;
	struct capture_keys keys;
	struct capture_filter *filter; /* or NULL */

	/* Staging. */
	struct weir_bufpool *staging;
	struct weir_bufs *memory;
	struct capture_block *blocks;
	uint32_t n_blocks;
	struct rte_ring *empty, *full;
	struct weir_wake_word wake_word;
	struct weir_wake wake; /* the writer's: a block is full, or it is to stop */

	/* Under the registry's lock. */
	TAILQ_HEAD(, weir_capture_tee) tees;
	TAILQ_ENTRY(capture) next;
	bool closing;  /* somebody stops it */
	bool detached; /* no tee is attached any more */

	pthread_mutex_t lock;
	TAILQ_HEAD(, capture_interface) interfaces; /* by id */
	uint32_t n_interfaces;
	char ended[512]; /* why it ended by itself; empty while it runs */
	char shown_path[PATH_MAX + 16];
	const char *shown_io; /* how it is written */

	/* The writer's. */
	pthread_t writer;
	bool stop;     /* atomic: nothing comes any more, end */
	bool finished; /* atomic: the file is closed, and joining does not wait */
	struct capture_file file;
	struct weir_uring *ring; /* NULL: there is none, plain system calls serve */
	struct weir_uring_pool *registered;
	uint64_t written_bytes, n_writes, n_files;
};

/* One capture at one point. */
struct weir_capture_tee {
	TAILQ_ENTRY(weir_capture_tee) of_capture; /* under the registry's lock */
	struct weir_capture_point *point;

	/* The lcore's. */
	struct weir_capture_tee *next; /* at the same point */
	struct capture *capture;
	struct capture_interface *interface;
	const struct capture_filter *filter;
	struct capture_block *block; /* or NULL */
	uint32_t tail;		     /* of the block, as kept */
	uint32_t end;		     /* with the frame that is staged */
	uint32_t snaplen;
	uint32_t staged_bytes;
	unsigned int sides;
	enum tee_outcome {
		TEE_NOTHING, /* not its side */
		TEE_REJECTED,
		TEE_MISSED,
		TEE_STAGED,
	} outcome;
	uint64_t starved_ns; /* there was no block in this burst */
} __rte_cache_aligned;

/* keys.c */
int capture_keys_read(struct capture_keys *keys, const char *text);
void capture_keys_free(struct capture_keys *keys);

/* point.c; with the registry's lock held, but for the first two */
void capture_registry_lock(void);
void capture_registry_unlock(void);
bool capture_guest_is_known(const char *guest);
void capture_attach_all(struct capture *capture);
void capture_detach_all(struct capture *capture);
struct capture *capture_find(const char *name);
struct capture *capture_first(void);
void capture_unlist(struct capture *capture);

/* tee.c */
void tee_link(struct weir_capture_tee *tee);
void tee_unlink(struct weir_capture_tee *tee);

/* filter.c */
struct capture_filter *capture_filter_create(const char *text);
void capture_filter_free(struct capture_filter *filter);
bool capture_filter_match(const struct capture_filter *filter,
			  const struct weir_tx_segment *segments);

/* writer.c */
int capture_writer_start(struct capture *capture);
void capture_writer_ask(struct capture *capture);
bool capture_writer_is_asked(const struct capture *capture);
bool capture_writer_has_ended(const struct capture *capture, unsigned int timeout_ms);
void capture_writer_join(struct capture *capture);

/* file.c */
int capture_file_open(struct capture *capture);
int capture_file_write(struct capture *capture, const struct capture_interface *interface,
		       const uint8_t *records, uint32_t len, uint32_t *written);
void capture_file_close(struct capture *capture);

bool capture_file_submit(struct capture *capture, struct capture_block *block, uint32_t len);
int capture_file_settle(struct capture *capture, const struct capture_block *block, uint32_t len,
			uint32_t *written);

/* disk.c; the writer */
void disk_open(struct capture *capture);
void disk_close(struct capture *capture);
bool disk_submit(struct capture *capture, const struct capture_block *block, int fd,
		 uint64_t offset, uint32_t len);
void disk_wait(struct capture *capture);

/* clock.c */
void capture_clock_sync(void);

#endif
