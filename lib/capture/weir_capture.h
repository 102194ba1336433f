/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_CAPTURE_H
#define WEIR_CAPTURE_H

/**
 * Capture: frames of a guest, or of all guests of an endpoint, copied to a pcapng file.
 *
 *   lcore of a pair ─▶ staging blocks ─▶ rte_ring ─▶ writer thread ─▶ file
 *         ▲                                              │
 *         └─────────────────── empty blocks ◀────────────┘
 *
 * The lcore writes each frame as the record that it will be in the file. What does not
 * fit the staging is counted as missed, in telemetry and in the file, and goes on to or
 * from the guest all the same: nothing on the lcore waits.
 *
 * A *point* is a place where frames are seen: a queue pair of a guest. Its owner
 * (lib/guest) makes it known; captures are attached to the points they name, when they
 * start or when the guest comes up, and stay until they are stopped: a guest that goes
 * and comes back is captured again. A point without a capture costs its lcore one load.
 *
 * A capture that cannot write (the disk is full) ends by itself with its reason; the
 * file is whole up to there. It is shown until it is stopped.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "weir_access.h"
#include "weir_queue.h"

struct weir_budget;
struct weir_capture_tee;

/** Which way a frame goes, as the guest sees it. */
enum weir_capture_side {
	WEIR_CAPTURE_TX = 1 << 0, /* leaves it */
	WEIR_CAPTURE_RX = 1 << 1, /* enters it */
};

/* Control: any thread that may block, but no poll lcore. */

/** The keys of --capture, one "key=VALUE  what" a line. */
const char *weir_capture_usage(void);

/** Reserve staging from @p host from now on as well; NULL: no longer, before it is freed. */
void weir_capture_set_budget(struct weir_budget *host);

/**
 * Start from `name=c0,guest=g0,file=/var/log/g0.pcapng,...`. The file is there on
 * return; frames are captured from then on.
 *
 * @return
 *   0, or negative errno with weir_error_text(): -EINVAL a wrong word, or a filter with
 *   libpcap's own message; -ENOENT no such guest or endpoint; -EEXIST the name is taken;
 *   -EAGAIN, -EMSGSIZE the staging does not fit the budget; -ENOMEM; or what opening
 *   the file met.
 */
int weir_capture_start(const char *keys);

/**
 * Stop: what is staged is written, the file is finished and closed.
 *
 * Blocks while the disk takes what is staged.
 *
 * @return
 *   0; -ENOENT no such capture; -EBUSY another thread is stopping it.
 */
int weir_capture_stop(const char *name);

/**
 * The same in two steps, for who has other things to do while the disk is slow: begin, and
 * end until it has.
 *
 * @return
 *   begin as weir_capture_stop(), and never blocks for the disk.
 */
int weir_capture_stop_begin(const char *name);

/**
 * Who has begun must go on until it is not -EAGAIN.
 *
 * @param timeout_ms
 *   To wait, at most.
 * @return
 *   - 0: the file is finished and closed, and the capture is no more
 *   - -EAGAIN: the disk has not taken all yet
 */
int weir_capture_stop_end(const char *name, unsigned int timeout_ms);

/** Stop every capture there is. */
void weir_capture_stop_all(void);

/* Points: their owner. */

struct weir_capture_point {
	/** Set by the owner before weir_capture_point_add(). */
	const char *guest;
	uint16_t index; /* of the pair */
	/**
	 * Captures were attached or detached: @p tees are those there are, NULL: none.
	 * On the point's lcore, or inside up and down.
	 */
	void (*changed)(struct weir_capture_point *point, struct weir_capture_tee *tees);

	/* lib/capture's. */
	TAILQ_ENTRY(weir_capture_point) next;
	const char *endpoint;
	struct weir_target *target;
	struct weir_capture_tee *tees; /* the lcore's */
};

/** Make known: a capture can name its guest from now on. */
void weir_capture_point_add(struct weir_capture_point *point);
/** Undo weir_capture_point_add(); the point is down. */
void weir_capture_point_remove(struct weir_capture_point *point);

/**
 * The pair is about to be polled by @p target's lcore, attached to @p endpoint; nobody
 * uses it yet. A capture that cannot be attached is logged: the guest comes up.
 *
 * @param endpoint
 *   Its name; valid until down.
 */
void weir_capture_point_up(struct weir_capture_point *point, const char *endpoint,
			   struct weir_target *target);
/** Its lcore is another from now on. No lcore polls the pair. */
void weir_capture_point_move(struct weir_capture_point *point, struct weir_target *target);
/** Every lcore has let go of the pair. Twice does nothing. */
void weir_capture_point_down(struct weir_capture_point *point);

/*
 * Frames: the point's lcore. Never blocks; its one system call is to wake the writer, at
 * most once a block.
 *
 * First stage, then keep: a frame that is staged and not kept was none. A frame must be
 * staged before it is handed over, because then it may be gone, and only afterwards it
 * is known whether the guest took it.
 */

/** Nanoseconds since 1970, from the time stamp counter; once a burst is enough. */
uint64_t weir_capture_now(void);

/**
 * Copy a frame.
 *
 * @param segments
 *   Its head and tails; addr, len, frame_len, n_segments and the VLAN tag of offload
 *   count. Memory that somebody writes meanwhile gives a record of what was read. NULL:
 *   its bytes cannot be told, which counts as missed.
 */
void weir_capture_stage(struct weir_capture_tee *tees, enum weir_capture_side side, uint64_t now_ns,
			const struct weir_tx_segment *segments);

/** Whether one of them wants frames of this side. Any thread that has the point. */
bool weir_capture_sees(const struct weir_capture_tee *tees, enum weir_capture_side side);

/** Keep the frame staged last. */
void weir_capture_keep(struct weir_capture_tee *tees);

#endif
