/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLAIN_GUEST_H
#define PLAIN_GUEST_H

/**
 * A guest port over plain memory: what an endpoint sees of a guest, without one.
 *
 * Every rule of the contract that an endpoint could break is checked where it
 * would be broken: an id that was not posted is written, an id comes back twice,
 * the access is used on another lcore than the one that polls its pair, a frame is
 * damaged or overtakes an earlier one of its flow. A breach ends the program with
 * a sentence, on whatever thread it shows.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_endpoint.h"

#define PLAIN_IDS 512	   /* rx ids, and tx ids, of a pair */
#define PLAIN_GUESTS_MAX 8 /* senders told apart */
#define PLAIN_BURST 32
#define PLAIN_FLOWS_MAX 256 /* of all senders together */

/** Lengths of frames that carry their check pattern. */
#define PLAIN_FRAME_MIN 60

#define plain_check(condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			plain_breach(__FILE__, __LINE__, #condition);                              \
	} while (0)

void plain_breach(const char *file, int line, const char *condition) __attribute__((noreturn));

enum plain_state { PLAIN_FREE, PLAIN_POSTED, PLAIN_FILLED, PLAIN_HELD };

/** A queue pair. After attaching, everything is of the lcore that polls it. */
struct plain_pair {
	struct weir_access access;
	struct plain_guest *guest;
	struct weir_queue *queue;
	struct plain_target *target;
	uint16_t index;
	uint32_t rx_size;     /* bytes of frame an rx buffer takes */
	uint32_t chunk;	      /* bytes of one entry of guest_addresses() */
	bool memory_is_short; /* nothing can be written now */

	/* What plain_pair_work() sends by itself. */
	bool sending;
	uint16_t send_len, send_pieces;
	uint16_t n_flows; /* that its frames are of, in turn; told apart by their addresses */

	uint8_t *rx_memory, *tx_memory;
	uint8_t rx_state[PLAIN_IDS], tx_state[PLAIN_IDS];
	struct weir_rx_meta rx_meta[PLAIN_IDS];
	uint64_t sequence; /* of the last frame sent and taken */
	uint64_t seen[PLAIN_GUESTS_MAX][WEIR_QUEUES_MAX][PLAIN_FLOWS_MAX];
	uint32_t seen_of_flow[PLAIN_FLOWS_MAX]; /* frames that came */

	uint64_t taken, done, received, refused;
	struct weir_rx_meta last_meta;
};

struct plain_guest {
	struct weir_endpoint_client client;
	struct weir_endpoint *endpoint;
	struct weir_queue *queues[WEIR_QUEUES_MAX];
	struct plain_pair pairs[WEIR_QUEUES_MAX];
	uint16_t number; /* names it in its frames */
};

/** A poll lcore, or the test's own thread in its place. */
struct plain_target {
	struct weir_target target;
	unsigned int lcore;
	bool sleeps; /* when idle, in poll(2) on the queues' wake_fd */
	bool started;
	int kick;

	pthread_mutex_t lock; /* of those who run something */
	void (*fn)(void *arg);
	void *arg;
	bool asked, quit, ended;

	struct plain_pair *pairs[2 * WEIR_QUEUES_MAX];
	uint16_t n_pairs;
};

/** The calling thread is the lcore: run() calls at once. */
void plain_target_here(struct plain_target *target);
/** Start polling on a worker lcore. */
void plain_target_start(struct plain_target *target, unsigned int lcore, bool sleeps);
void plain_target_stop(struct plain_target *target);
/** Have a started lcore poll the pairs of @p guest that are its own, or no longer. */
void plain_target_poll(struct plain_guest *guest);
void plain_target_unpoll(struct plain_guest *guest);

/** Pairs go to the @p n targets in turn. */
struct plain_guest *plain_guest_new(const char *name, uint16_t number, uint16_t n_queues,
				    struct plain_target **targets, uint16_t n);
/** Not attached; what is freed here must not be held any more. */
void plain_guest_free(struct plain_guest *guest);
int plain_guest_attach(struct plain_guest *guest, struct weir_endpoint *endpoint);
/** To another lcore, while none polls the pair: the control side of update_target(). */
void plain_guest_move(struct plain_guest *guest, uint16_t index, struct plain_target *to);
/** All ids are the guest's again, whatever was in flight. */
void plain_guest_detach(struct plain_guest *guest);

/* On the pair's lcore. */

/** Post up to @p n free rx ids; says how many. */
uint16_t plain_pair_post(struct plain_pair *pair, uint16_t n);
/** One tx_avail of @p n packets in @p pieces segments each; says how many were taken. */
uint16_t plain_pair_send(struct plain_pair *pair, uint16_t n, uint32_t len, uint16_t pieces,
			 const struct weir_offload *offload);
/** One rx_poll, one tx_poll; says how many frames came. A negative answer is a breach. */
uint16_t plain_pair_poll(struct plain_pair *pair);
/** A turn of a poll loop: poll, post all, send a burst; says whether anything moved. */
bool plain_pair_work(struct plain_pair *pair);

uint16_t plain_pair_n_tx(const struct plain_pair *pair, enum plain_state state);
uint16_t plain_pair_n_rx(const struct plain_pair *pair, enum plain_state state);

/** Write the frame number @p sequence of a sender, and check one. */
void plain_frame_write(uint8_t *frame, uint32_t len, uint16_t number, uint16_t index,
		       uint64_t sequence);
bool plain_frame_is_ours(const uint8_t *frame, uint32_t len);

#endif
