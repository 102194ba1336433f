/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GUEST_H
#define GUEST_H

/*
 * What the files of this room share.
 *
 *   guest.c      keys, life, telemetry
 *   front_end.c  what the vhost library tells of the front-end
 *   session.c    coming up and going down
 *   change.c     a pair to another lcore, another endpoint behind a live guest
 *   pair.c       one queue pair's loop between its rings and its queue
 *   engine.c     rings by our own engine, one copy; and the buffer access over them
 *   finish.c     packets that the guest does not take unfinished, by the engine
 *   library.c    rings by the library's burst calls, and the buffer access over them
 *   kick.c       the descriptors that guest and back-end wake each other by
 *   call.c       calling the guest, and getting back who waits in it
 *   fault.c      guest memory that is not there: SIGBUS
 *   rarp.c       the announcement after a live migration
 *   capture.c    what captures see of a pair
 *   socket.c     is the socket path usable, stale or in use
 *   numa.c       where the guest's memory lives
 */

#include <pthread.h>
#include <stdatomic.h>

#include <rte_mbuf.h>

#include "weir_capture.h"
#include "weir_error.h"
#include "weir_frame.h"
#include "weir_guest.h"
#include "weir_log.h"
#include "weir_offload.h"
#include "weir_vring.h"

WEIR_LOG_DECLARE(guest);

/* The library copies at most 32 frames a call (rte_vhost, 22.11: MAX_PKT_BURST). */
#define PAIR_BURST 32
/* Tx ids: what may be held by the endpoint, and one burst on its way. */
#define PAIR_TX_IDS 512
/* Rx ids: frames on their way to a guest that does not take them; a power of two. */
#define PAIR_RX_IDS 256
/* Sleeps in a row that a kick ends for nothing, before it is not heard any more. */
#define PAIR_FALSE_WAKES_MAX 1000
/* Segments a tx burst can have, before frames wait for the next. */
#define PAIR_TX_SEGMENTS 2048

struct pair_stats;

/**
 * A data path: how a pair's rings are read and written. The pair's lcore, unless said
 * otherwise.
 */
struct pair_path {
	const char *name;
	const struct weir_access_ops *access;
	/** Vhost thread, nobody polls: 0, or negative errno with the reason. */
	int (*open)(struct weir_pair *pair);
	/** Vhost thread, everybody has let go: give up what is held, and the rings. */
	void (*close)(struct weir_pair *pair);
	/** Take a burst from the guest into segments[]. */
	void (*take)(struct weir_pair *pair);
	/**
	 * Control side, nobody polls, the endpoint has stopped: packets that it took and
	 * never finished are the guest's again, frames it has written are delivered, and no
	 * rx id is out. What waits to be handed over stays.
	 */
	void (*let_go)(struct weir_pair *pair);
	/** Packets that the endpoint is done with. */
	void (*done)(struct weir_pair *pair, const uint16_t *ids, uint16_t n);
	/** Let the guest have frames written; ids of which it has taken: a prefix. */
	uint16_t (*deliver)(struct weir_pair *pair, const uint16_t *ids, uint16_t n);
	/** Ask the guest to kick: true when there is work already. Or not to, any more. */
	bool (*arm)(struct weir_pair *pair, enum weir_pair_wake ring, bool arm);
	/** Whether buffers of the guest are what rx waits for. */
	bool (*rx_blocked)(struct weir_pair *pair);
	/** Changes when an rx frame, the one of this id, was written for the guest. */
	uint64_t (*rx_written)(const struct weir_pair *pair, uint16_t rx_id);
	/** Add what the path counts itself. Any thread. */
	void (*stats)(const struct weir_pair *pair, struct pair_stats *sum);
};

/* Counters, written by the pair's lcore only; each a uint64_t. */
struct pair_stats {
	uint64_t tx_packets, tx_bytes;
	uint64_t rx_packets, rx_bytes;
	uint64_t tx_waits;		/* bursts of which the endpoint left something */
	uint64_t rx_waits;		/* bursts of which the guest's ring left something */
	uint64_t rx_dropped_too_long;	/* no buffer the guest posts can hold it */
	uint64_t rx_dropped_no_offload; /* the guest does not take it, and it cannot be finished */
	uint64_t rx_dropped_no_buffers; /* of a packet cut: more frames than the guest posts for */
	uint64_t rx_finished;		/* packets that were finished for the guest */
	uint64_t rx_dropped_stopped;	/* on their way when the guest's rings stopped */
	uint64_t tx_dropped_stopped;
	uint64_t calls; /* times the guest was told, by a system call; the engine's */
	uint64_t tx_dropped_malformed; /* too short, or a header that asks for what cannot be */
	uint64_t tx_dropped_too_long;  /* more segments than we hold */
};

enum rarp_state {
	RARP_NONE,
	RARP_ASKED,
	RARP_SENT,
};

/* Its tx id: one that no ring has (virtio 1.1, 2.6: at most 32768 descriptors). */
#define RARP_ID UINT16_MAX

struct weir_pair {
	struct weir_access access; /* first: the queue hands it back to us */

	/* Set on the control side, before the pair is attached. */
	struct weir_guest *guest;
	const struct pair_path *path;
	struct weir_target *target;
	struct weir_queue *queue;
	struct rte_mempool *tx_pool;
	struct weir_frame_pool *rx_frames;
	int vid;
	uint16_t index;
	uint16_t rx_vring, tx_vring;
	bool mergeable, packed;
	uint32_t max_frames; /* mbufs that one frame can take from the tx pool */
	uint32_t rx_room;    /* bytes of frame in one mbuf of the rx pool */
	uint32_t rx_len_max; /* longest frame that the guest takes */
	char name[WEIR_OBJECT_NAMESIZE + 16];

	/* Written by the vhost thread, read by the lcore. */
	_Atomic bool rx_enabled, tx_enabled;
	/* Whether the lcore is told of a kick: not when the front-end gave no eventfd. */
	_Atomic bool kicked[WEIR_PAIR_WAKES];
	/* Written by the lcore, read by the control side: a kick is not to be heard any more. */
	_Atomic bool ignored[WEIR_PAIR_WAKE_ENDPOINT];
	int kick_fd[WEIR_PAIR_WAKE_ENDPOINT]; /* our own copies, the vhost thread's; -1 */

	/* Written by the lcore, read by the control side: see call.c. */
	_Atomic uint32_t call_turn; /* odd: it may be writing a call descriptor */
	_Atomic int caller;	    /* its thread */

	/* The engine's, changed by the control side while the lcore has let go. */
	struct weir_vring *ring[WEIR_PAIR_WAKE_ENDPOINT]; /* by WEIR_PAIR_WAKE_*; NULL: not ready */
	int call_fd[WEIR_PAIR_WAKE_ENDPOINT];		  /* our own copies; -1 */

	/* The lcore's, from here on. */
	uint32_t false_wakes[WEIR_PAIR_WAKE_ENDPOINT]; /* in a row, for nothing */
	bool armed_rx;		      /* the guest was asked to kick when it posts buffers */
	_Atomic(const char *) broken; /* why the pair is not polled any more; NULL */
	int endpoint_error;	      /* beside broken: WEIR_QUEUE_*; 0 when the guest broke it */
	struct pair_stats stats;
	struct weir_capture_tee *tees; /* captures that see its frames; NULL: none */

	/* The announcement after a migration: see rarp.c. */
	_Atomic enum rarp_state rarp_state;
	uint8_t rarp[60]; /* an Ethernet frame at its shortest, without its check sum */

	/* Tx: a burst being handed over, and the frames behind the ids out. */
	uint32_t seg_first;  /* next segment to hand over */
	uint16_t n_pending;  /* packets from there on */
	uint16_t n_out;	     /* ids out, those pending among them */
	uint16_t tx_burst;   /* packets that the next burst is expected to have; or 0 */
	uint16_t n_free_ids; /* stack of ids not in use */
	uint64_t tx_since;   /* since when it is waited for; 0: it is not */
	uint64_t tx_wait;    /* cycles: how long at most */
	uint16_t free_ids[PAIR_TX_IDS];
	struct rte_mbuf *tx_frame[PAIR_TX_IDS];
	struct weir_tx_segment segments[PAIR_TX_SEGMENTS];

	/* Rx: frames behind ids, and the filled ids in order of arrival. */
	uint32_t fill_head, fill_tail;
	uint32_t rx_stalls;   /* deliveries in a row that moved nothing */
	uint32_t short_posts; /* looks in a row at too few buffers for a long frame */
	uint32_t short_cuts;  /* and at too few for the frames of a packet */
	uint16_t filled[PAIR_RX_IDS];
	struct rte_mbuf *rx_frame[PAIR_RX_IDS];
	bool rx_cut[PAIR_RX_IDS]; /* the library's: rx_frame is the first of a list */

	/* Empty mbufs that guest_addresses() lent, kept for the next call. */
	uint32_t n_stage;
	struct rte_mbuf *stage[WEIR_FRAME_LEN_MAX / 64 + 2];
};

enum guest_state {
	GUEST_CREATED,	 /* not started */
	GUEST_WAITING,	 /* no front-end */
	GUEST_CONNECTED, /* a front-end, whose rings are not ready */
	GUEST_UP,
	GUEST_FAILED, /* rings are ready, but we could not serve them */
};

/* Where a pair was moved to: it comes up there again, as long as its memory is there. */
struct lcore_wish {
	bool is_set;
	unsigned int lcore;
	int numa_node; /* of the memory, then; SOCKET_ID_ANY: wherever it is */
};

/* Why the pairs of a guest whose memory is gone are not polled. */
#define FAULT_TEXT "its memory is gone: the front-end truncated the file behind it"

/** What the front-end has mapped here: memory, and the log of a migration. */
struct guest_fault {
	struct fault_range {
		uintptr_t start;
		size_t size;
	} ranges[WEIR_VRING_REGIONS_MAX + 1];
	uint32_t n_ranges;
	_Atomic bool happened;
};

struct weir_guest {
	struct weir_object object;
	struct weir_scheduler *scheduler;
	struct weir_endpoint *endpoint;

	/* Keys. */
	char socket[108]; /* sizeof(sun_path) */
	bool client;
	uint16_t n_pairs, mtu;
	bool csum, tso, mrg_rxbuf;
	const struct pair_path *path;
	uint64_t budget_bytes;

	bool started;		   /* the library serves the socket */
	uint64_t features_known;   /* what the library could offer */
	uint64_t features_offered; /* to the front-end, or the next one */
	struct lcore_wish wishes[WEIR_QUEUES_MAX];

	pthread_mutex_t session; /* of coming up and going down */

	/* Changed under the lock as well, shown by telemetry. */
	pthread_mutex_t lock;
	enum guest_state state;
	int vid;			  /* -1: no front-end */
	bool revivable;			  /* its rings are ready, and it has not broken them */
	char reason[WEIR_ERROR_TEXTSIZE]; /* why it is not up */
	uint64_t features;
	int numa_node;
	uint64_t n_connects, n_ups;
	struct pair_stats past; /* of sessions that are over, less what was cleared */

	struct weir_budget *budget;
	struct weir_frame_pool *rx_frames, *tx_frames;
	int pool_node;
	int numa_seen;	      /* where its memory was at the last look */
	uint64_t numa_looked; /* when */
	_Atomic bool rx_enabled[WEIR_QUEUES_MAX], tx_enabled[WEIR_QUEUES_MAX];
	struct weir_endpoint_client client_view;
	struct weir_pair *pairs[WEIR_QUEUES_MAX]; /* while up */
	bool paused;				  /* down for the time of one message */
	_Atomic bool restart_asked;		  /* by the endpoint, of session_tend() */
	struct weir_vring_memory memory;	  /* the engine's, while up */
	struct weir_vring_log log;
	struct weir_queue *queues[WEIR_QUEUES_MAX];
	struct weir_capture_point points[WEIR_QUEUES_MAX]; /* of the pairs, up or not */

	struct guest_fault fault; /* its ranges: while up */

	/* Sessions that held an lcore in a call, and the time before the next: see call.c. */
	unsigned int n_held;
	_Atomic int64_t refused_until; /* seconds, CLOCK_MONOTONIC */
};

extern struct weir_class guest_class;

/** Up, and not down for the time of a message. With guest->session held. */
static inline bool
guest_is_up(const struct weir_guest *guest)
{
	return guest->state == GUEST_UP && !guest->paused;
}

/* guest.c */
int guest_pools_create(struct weir_guest *guest, int numa_node);
int guest_pools_free(struct weir_guest *guest);
void guest_set_state(struct weir_guest *guest, enum guest_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
struct weir_guest *guest_of_socket(const char *socket);

/* front_end.c */
int front_end_start(struct weir_guest *guest);
void front_end_stop(struct weir_guest *guest);
const char *front_end_feature_name(unsigned int bit);
int front_end_accepts(struct weir_guest *guest, const struct weir_endpoint *endpoint);
void front_end_offer(struct weir_guest *guest, const struct weir_endpoint *one,
		     const struct weir_endpoint *other);
void front_end_promise(struct weir_guest *guest);

/* session.c; with guest->session held, but tend, which takes it */
#define SESSION_FEATURE_LOG_ALL RTE_BIT64(26) /* vhost-user: a live migration is on its way */
#define SESSION_FEATURE_PACKED RTE_BIT64(34)  /* virtio 1.1, 6: VIRTIO_F_RING_PACKED */
int session_up(struct weir_guest *guest);
void session_down(struct weir_guest *guest);
int session_join(struct weir_guest *guest);
void session_leave(struct weir_guest *guest);
void session_follow(struct weir_guest *guest, int numa_node);
void session_move(struct weir_pair *pair, struct weir_target *target);
void session_fail(struct weir_guest *guest, const char *reason);
void session_announce(struct weir_guest *guest, const uint8_t *mac);
void session_tend(struct weir_guest *guest);

/* pair.c */
void pair_use_pools(struct weir_pair *pair);
struct weir_pair *pair_create(struct weir_guest *guest, uint16_t index, int vid);
void pair_free(struct weir_pair *pair);
void pair_stats_add(struct pair_stats *sum, const struct pair_stats *stats);
void pair_stats_take(struct pair_stats *sum, const struct pair_stats *stats);

/* library.c */
extern const struct pair_path library_path;

/* engine.c */
extern const struct pair_path engine_path;
int engine_memory(struct weir_guest *guest);
void engine_ring_ready(struct weir_pair *pair, enum weir_pair_wake ring);
void engine_set_call(struct weir_pair *pair, enum weir_pair_wake ring, int fd);
bool engine_holds(const struct weir_guest *guest, uint16_t vring);

/* finish.c */
/** As weir_vring_rx_write_packets(), for a guest that does not take every offload. */
uint16_t finish_write_packets(struct weir_pair *pair, struct weir_vring *ring,
			      const struct weir_tx_segment *segments, uint16_t n_packets);

/* kick.c */
void kick_refresh(struct weir_pair *pair, enum weir_pair_wake wake);
void kick_forget(struct weir_pair *pair);
void kick_watch(struct weir_pair *pair);
void kick_unwatch(struct weir_pair *pair);
void kick_tend(struct weir_pair *pair);

/* call.c */
void call_catch(void);
bool call_write(struct weir_pair *pair, enum weir_pair_wake ring);
void call_tend(struct weir_guest *guest);
int call_check_refused(const struct weir_guest *guest);
/** The lcore, around what may write a call descriptor. */
void call_begin(struct weir_pair *pair);
void call_end(struct weir_pair *pair);

/* fault.c */
/** Handle SIGBUS, from now on. */
void fault_catch(void);
/** The calling thread works on this guest's memory, if it is nobody else's; NULL: on no one's. */
void fault_suspect_guest(struct weir_guest *guest);
void fault_find_ranges(struct weir_guest *guest);
/** Between watch and forget neither the ranges change nor a pair goes that is to be told. */
void fault_watch(struct weir_guest *guest);
void fault_forget(struct weir_guest *guest);

/* rarp.c */
void rarp_ask(struct weir_pair *pair, const uint8_t *mac);
bool rarp_take(struct weir_pair *pair);
void rarp_done(struct weir_pair *pair);

/* capture.c */
void guest_points_add(struct weir_guest *guest);
void guest_points_remove(struct weir_guest *guest);
void pair_capture_tx(struct weir_pair *pair);

/* socket.c */
int socket_check(const char *path, bool client);

/* numa.c */
int numa_of_guest(int vid);
int numa_moved_to(struct weir_guest *guest);

#endif
