/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_GUEST_H
#define WEIR_GUEST_H

/**
 * Guest port: one vhost-user connection and its queue pairs.
 *
 * Life: weir_guest_create() checks the keys and makes the frame pools,
 * weir_guest_start() serves the socket. From then on the front-end (QEMU, a
 * virtio-user process) comes, goes, crashes and comes back as it likes; each time
 * its rings are ready the guest is *up*: it has queues from its endpoint and its
 * pairs are polled. weir_guest_free() ends all of it.
 *
 * create, start, free: control threads, one at a time. Coming up and going down
 * happens on the vhost library's thread. weir_pair_poll(): the lcore the pair is
 * attached to, and nobody else.
 */

#include <stdbool.h>
#include <stdint.h>

#include "weir_budget.h"
#include "weir_endpoint.h"

struct weir_guest;
struct weir_pair;

/** What an lcore that sleeps can be woken by, on behalf of a pair. */
enum weir_pair_wake {
	WEIR_PAIR_WAKE_TX,	 /* the guest kicked: it sent something */
	WEIR_PAIR_WAKE_RX,	 /* the guest kicked: it posted buffers */
	WEIR_PAIR_WAKE_ENDPOINT, /* the endpoint has something */
	WEIR_PAIR_WAKES,
};

/**
 * Who decides which lcore polls a pair, and makes it do so.
 *
 * Provided from above (lib/poller); called on control threads.
 */
struct weir_scheduler {
	/**
	 * Choose an lcore for a pair that is about to come up.
	 * @param numa_node Where the guest's memory lives, or SOCKET_ID_ANY.
	 * @return Its target; NULL when there is none left, with the reason.
	 */
	struct weir_target *(*place)(struct weir_scheduler *scheduler, const char *guest,
				     uint16_t index, int numa_node);
	/**
	 * Likewise, the lcore of this number.
	 * @return NULL with rte_errno and the reason: EINVAL it polls nothing; EBUSY it is
	 *	   full.
	 */
	struct weir_target *(*place_on)(struct weir_scheduler *scheduler, unsigned int lcore);
	/** Poll the pair from now on. */
	void (*attach)(struct weir_scheduler *scheduler, struct weir_target *target,
		       struct weir_pair *pair);
	/** Poll it no longer; on return its lcore has let go of it. */
	void (*detach)(struct weir_scheduler *scheduler, struct weir_target *target,
		       struct weir_pair *pair);
	/** Undo place() and place_on(). */
	void (*leave)(struct weir_scheduler *scheduler, struct weir_target *target);
	/**
	 * Wake the pair's lcore from its sleep when @p fd becomes readable: a guest's
	 * kick, an endpoint's wake. Also while the lcore sleeps; never waits for it.
	 * @return 0, or negative errno: such a descriptor cannot be waited for.
	 */
	int (*watch)(struct weir_scheduler *scheduler, struct weir_target *target,
		     struct weir_pair *pair, enum weir_pair_wake wake, int fd);
	/** Undo watch(), before the descriptor is closed. */
	void (*unwatch)(struct weir_scheduler *scheduler, struct weir_target *target, int fd);
};

/** The keys of --guest, one "key=VALUE  what" a line. */
const char *weir_guest_usage(void);

/**
 * Create from `name=g0,socket=/run/weir/g0.sock,endpoint=up,...`.
 *
 * @param scheduler
 *   Outlives the guest.
 * @param host
 *   The budget that all guests share, or NULL: every byte of the guest's frames is
 *   reserved from its own budget (the key `budget`) and from this one. Outlives it.
 * @return
 *   The guest, or NULL with rte_errno and weir_error_text(): EINVAL a wrong word;
 *   ENOENT no such endpoint; EEXIST name or socket is taken by another guest;
 *   EBUSY the endpoint is; ENAMETOOLONG; ENOMEM.
 */
struct weir_guest *weir_guest_create(const char *keys, struct weir_scheduler *scheduler,
				     struct weir_budget *host);

/**
 * Serve the socket. Handles SIGBUS and SIGURG from the first time on: the one comes of
 * memory that a front-end has truncated, and goes to whom it went before when it does
 * not; the other ends a call that blocks. A stale socket file is taken over, a live one is not.
 *
 * @return 0, or negative errno with weir_error_text(): EADDRINUSE, EACCES, ENOENT...
 */
int weir_guest_start(struct weir_guest *guest);

/** Count from zero again. Any thread; the lcores that count do not notice. */
void weir_guest_clear_stats(struct weir_guest *guest);

/**
 * Act on what the lcores found: a guest that broke its rings is taken down with the
 * reason, an endpoint that asked for it gets its queues made anew.
 *
 * A control thread, now and then.
 */
void weir_guest_tend(struct weir_guest *guest);

/**
 * Have another lcore poll a pair, under traffic: no frame is lost, none overtakes
 * another. On return it has taken effect.
 *
 * The pair stays there while its guest goes and comes, as long as the guest's memory
 * lives on the same node. Of a guest that is not up it is where the pair will be.
 *
 * A control thread.
 *
 * @return
 *   0 (also when it is there already), or negative errno with weir_error_text():
 *   -ENOENT no such pair; -EINVAL the lcore polls nothing; -EBUSY it is full; -ENOTSUP
 *   the guest is up with datapath=library.
 */
int weir_guest_move(struct weir_guest *guest, uint16_t pair, unsigned int lcore);

/**
 * Put another endpoint behind a guest, which may be up and goes on.
 *
 * Frames that the old endpoint holds get a moment to finish; those of a peer that is
 * stuck go back to the guest as sent, and count as tx_dropped_stopped. Frames that it
 * has written to the guest are delivered, those not handed over to it go to the new one.
 * On return it has taken effect, or nothing has changed.
 *
 * A control thread.
 *
 * @return
 *   0, or negative errno with weir_error_text(): -EALREADY it is the guest's already;
 *   -EBUSY it has no place; -EINVAL too few queue pairs; -EOPNOTSUPP it does not take
 *   what the front-end was offered; -ENOTSUP the guest is up with datapath=library; or
 *   what the endpoint met (get_queues), with the old one back in its place.
 */
int weir_guest_swap(struct weir_guest *guest, struct weir_endpoint *endpoint);

/**
 * Disconnect the front-end and stop serving the socket; its file is removed.
 *
 * Frames of two guests that are patched together lie in each other's hands: stop
 * all of them before the first is freed. Twice does nothing.
 */
void weir_guest_stop(struct weir_guest *guest);

/**
 * Stop, and have all frames home, so that nothing is left behind by weir_guest_free().
 *
 * A control thread; waits a moment for a peer.
 *
 * @return
 *   0, or -EBUSY with weir_error_text(): a peer that was handed frames over
 *   (datapath=library) holds them still. The guest is stopped, and stays.
 */
int weir_guest_finish(struct weir_guest *guest);

/** Stop and free; accepts NULL. */
void weir_guest_free(struct weir_guest *guest);

/** Valid as long as the guest. Control threads. */
const char *weir_guest_name(const struct weir_guest *guest);
/** Where its frames go to and come from now. Control threads. */
struct weir_endpoint *weir_guest_endpoint(const struct weir_guest *guest);

/** "g0 pair 1", for log lines; valid as long as the guest is up. */
const char *weir_pair_name(const struct weir_pair *pair);
/** Whose pair it is and which, and where the guest's memory lives; likewise. */
struct weir_guest *weir_pair_guest(const struct weir_pair *pair);
uint16_t weir_pair_index(const struct weir_pair *pair);
int weir_pair_numa_node(const struct weir_pair *pair);

/**
 * Move a bounded burst each way between the pair's rings and its queue.
 *
 * @return
 *   Frames moved; 0 when there was nothing to do.
 */
unsigned int weir_pair_poll(struct weir_pair *pair);

/**
 * If the pair's lcore has been waiting in a call of the guest, let it go on; the guest
 * is not called any more, and weir_guest_tend() ends its session.
 *
 * A control thread, while the pair is attached: who waits for an lcore that does not
 * answer. weir_guest_tend() does it by itself.
 *
 * @return Whether that was so. Takes 6 ms then.
 */
bool weir_pair_free_lcore(struct weir_pair *pair);

/** How a pair can be left alone. */
enum weir_pair_sleep {
	WEIR_PAIR_BUSY,	 /* there is something to do already: do not sleep */
	WEIR_PAIR_TIMED, /* look again after a moment: not everything it waits for can wake us */
	WEIR_PAIR_SLEEP, /* until one of its descriptors tells */
};

/**
 * Ask the guest to kick when there is something. Whoever sleeps polls the pair once
 * more after this and a full fence, and then calls weir_pair_arm_endpoint().
 */
enum weir_pair_sleep weir_pair_arm(struct weir_pair *pair);

/**
 * Ask the endpoint to tell when there is something, and see whether there is. Nobody
 * polls the pair between this and the sleep: a queue that is polled need not tell.
 */
enum weir_pair_sleep weir_pair_arm_endpoint(struct weir_pair *pair);

/** Undo weir_pair_arm(): we poll again. */
void weir_pair_disarm(struct weir_pair *pair);

/**
 * A descriptor of the pair ended its lcore's sleep, and @p moved frames came of it. A
 * guest's kick that is for nothing again and again is not heard any more: the pair is
 * looked at every now and then, and weir_guest_tend() closes the descriptor.
 */
void weir_pair_woken(struct weir_pair *pair, enum weir_pair_wake wake, unsigned int moved);

#endif
