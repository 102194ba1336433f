/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TAP_THREAD_H
#define TAP_THREAD_H

/*
 * io=thread: the lcore's side is tap_thread.c, the I/O thread's tap_thread_io.c.
 *
 * A pair has a fixed number of pieces, frames of one frame pool: so many to send with,
 * so many to receive with. All of them go round through one pair of rings, which have
 * room for all, so that no push ever fails:
 *
 *   lcore ── frames to write, emptied rx pieces ──▶ I/O thread
 *         ◀── frames that were read, emptied tx pieces ──
 *
 * A frame longer than a piece is a chain of them. What one side tells the other stands
 * in a note in front of the data. The mbuf itself is never touched after the start: its
 * place tells where the data is.
 *
 * Emptied pieces are kept until there is a batch of them: pushing one wakes the other
 * side. What is kept so is less than the rest by far.
 */

#include <pthread.h>
#include <sys/uio.h>

#include <rte_common.h>
#include <rte_mbuf.h>

#include "weir_frame.h"
#include "weir_frame_queues.h"
#include "weir_rx_ids.h"

#include "tap.h"

#define PIECE_BYTES 2048
/** Of the longest frame, with a byte that tells when it is cut. */
#define PIECES_OF_FRAME (WEIR_FRAME_LEN_MAX / PIECE_BYTES + 1)
/** Fifteen of those; at 64 bytes a millisecond's worth of writing is far less. */
#define PIECES_WAY 512u
#define PIECES (2 * PIECES_WAY)
#define BATCH 32

/** Right in front of a piece's data: the header is where the kernel wants it. */
struct note {
	struct rte_mbuf *next;
	uint32_t len; /* of this piece */
	uint32_t frame_len;
	uint16_t n_pieces;
	uint8_t kind; /* enum piece_kind; written once */
	uint8_t pad[3];
	uint8_t header[WEIR_OFFLOAD_VNET_SIZE];
} __attribute__((packed));

enum piece_kind { PIECE_TX, PIECE_RX };

struct pieces {
	struct rte_mbuf *list[PIECES];
	uint32_t n;
};

/** In order: of frames the first pieces. */
struct piece_queue {
	uint32_t first, n;
	struct rte_mbuf *list[PIECES_WAY];
};

struct thread_queue {
	struct weir_queue base;
	struct tap_file file;
	struct weir_frame_queues *fq;
	bool receives_long; /* the kernel may leave segmentation to the guest */
	uint16_t rx_pieces; /* a read needs so many */

	/* The lcore's. */
	struct weir_rx_ids rx __rte_cache_aligned;
	bool armed, holds_back;
	uint64_t dropped_seen, rx_dropped_seen;
	struct piece_queue spare; /* to send with */
	struct pieces emptied;	  /* of the thread's, not yet sent back */
	struct piece_queue came;  /* frames that were read */

	/* The thread's. */
	struct {
		struct pieces spare; /* to receive with */
		struct pieces emptied;
		struct pieces read;	 /* frames for the lcore */
		struct piece_queue todo; /* frames to be written */
		struct iovec iov[PIECES_OF_FRAME + 1];
		pthread_t thread;
		uint64_t tx_dropped, rx_dropped; /* the lcore reads them */
		bool ends;
	} io __rte_cache_aligned;

	struct weir_frame_pool *pool;
	struct rte_mbuf *all[PIECES];
};

/** As pieces_make() has verified. */
static inline uint8_t *
piece_data(const struct rte_mbuf *piece)
{
	return (uint8_t *)(uintptr_t)(piece + 1) + RTE_PKTMBUF_HEADROOM;
}

static inline struct note *
piece_note(const struct rte_mbuf *piece)
{
	return (struct note *)(piece_data(piece) - sizeof(struct note));
}

static inline void
pieces_add(struct pieces *pieces, struct rte_mbuf *piece)
{
	pieces->list[pieces->n++] = piece;
}

static inline void
piece_queue_add(struct piece_queue *queue, struct rte_mbuf *piece)
{
	queue->list[(queue->first + queue->n++) % RTE_DIM(queue->list)] = piece;
}

static inline struct rte_mbuf *
piece_queue_first(const struct piece_queue *queue)
{
	return queue->list[queue->first];
}

static inline struct rte_mbuf *
piece_queue_take(struct piece_queue *queue)
{
	struct rte_mbuf *piece = piece_queue_first(queue);

	queue->first = (queue->first + 1) % RTE_DIM(queue->list);
	queue->n--;
	return piece;
}

/** Push what there is; the rings have room for every piece. */
static inline void
pieces_push(struct thread_queue *q, enum weir_frame_way way, struct pieces *pieces)
{
	if (pieces->n > 0)
		weir_frame_queues_push(q->fq, way, pieces->list, pieces->n);
	pieces->n = 0;
}

void *tap_io_main(void *arg);

#endif
