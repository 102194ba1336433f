/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/O thread of a pair: the only one that makes system calls on its tap queue. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "tap_thread.h"

/** Frames of one turn, each way. */
#define BURST 64
/** How long to look for more before a sleep, which costs both sides a system call. */
#define LOOK_US 20

/** @return 0, or negative errno. */
static int
frame_write(struct thread_queue *q, struct rte_mbuf *head)
{
	struct note *note = piece_note(head);
	struct rte_mbuf *piece = head;
	uint16_t i, n = note->n_pieces;
	ssize_t len;

	if (likely(n == 1)) {
		len = write(q->file.fd, note->header, WEIR_OFFLOAD_VNET_SIZE + note->len);
		return len < 0 ? -errno : 0;
	}
	for (i = 0; i < n; i++, piece = piece_note(piece)->next)
		q->io.iov[i] = (struct iovec){piece_data(piece), piece_note(piece)->len};
	q->io.iov[0].iov_base = note->header;
	q->io.iov[0].iov_len += WEIR_OFFLOAD_VNET_SIZE;
	return writev(q->file.fd, q->io.iov, n) < 0 ? -errno : 0;
}

static void
frame_unchain(struct pieces *to, struct rte_mbuf *head)
{
	uint16_t n = piece_note(head)->n_pieces;

	for (; n > 0; n--) {
		struct rte_mbuf *next = n > 1 ? piece_note(head)->next : NULL;

		pieces_add(to, head);
		head = next;
	}
}

/** Write what is to be written. @return Frames that are done with. */
static unsigned int
frames_write(struct thread_queue *q)
{
	uint32_t n_changes = tap_file_n_changes(&q->file);
	unsigned int n;

	for (n = 0; n < BURST && q->io.todo.n > 0; n++) {
		struct rte_mbuf *head = piece_queue_first(&q->io.todo);
		int rc = frame_write(q, head);

		if (unlikely(rc != 0)) {
			/* What waits here keeps its order, and its guest from sending more. */
			if (tap_write_is_busy(-rc))
				break;
			if (rc == -EBADFD)
				tap_file_lost(&q->file, n_changes);
			weir_count(&q->io.tx_dropped, 1);
		}
		frame_unchain(&q->io.emptied, piece_queue_take(&q->io.todo));
	}
	return n;
}

/** Chain the last pieces of what is spare. @return Whether there were enough. */
static bool
chain_make(struct thread_queue *q)
{
	uint16_t i;

	if (q->io.spare.n < q->rx_pieces)
		return false;
	for (i = 0; i < q->rx_pieces; i++)
		q->io.iov[i] = (struct iovec){piece_data(q->io.spare.list[q->io.spare.n - 1 - i]),
					      PIECE_BYTES};
	q->io.iov[0].iov_base = piece_note(q->io.spare.list[q->io.spare.n - 1])->header;
	q->io.iov[0].iov_len += WEIR_OFFLOAD_VNET_SIZE;
	return true;
}

/** The first pieces of the chain hold a frame of @p len bytes. */
static void
chain_take(struct thread_queue *q, uint32_t len)
{
	struct rte_mbuf *head = q->io.spare.list[q->io.spare.n - 1], *piece = head;
	struct note *note = piece_note(head);
	uint32_t left = len;

	note->frame_len = len;
	note->n_pieces = 0;
	do {
		struct note *at;

		q->io.spare.n--;
		note->n_pieces++;
		at = piece_note(piece);
		at->len = RTE_MIN(left, (uint32_t)PIECE_BYTES);
		left -= at->len;
		if (left > 0)
			at->next = piece = q->io.spare.list[q->io.spare.n - 1];
	} while (left > 0);
	pieces_add(&q->io.read, head);
}

/** Read what there is. @return Frames. */
static unsigned int
frames_read(struct thread_queue *q)
{
	uint32_t n_changes = tap_file_n_changes(&q->file);
	unsigned int n;
	ssize_t len;

	if (!tap_file_is_active(&q->file))
		return 0;
	for (n = 0; n < BURST && chain_make(q); n++) {
		if (q->rx_pieces == 1)
			len = read(q->file.fd, q->io.iov[0].iov_base, q->io.iov[0].iov_len);
		else
			len = readv(q->file.fd, q->io.iov, q->rx_pieces);
		if (len <= WEIR_OFFLOAD_VNET_SIZE) {
			if (len < 0 && errno == EBADFD)
				tap_file_lost(&q->file, n_changes);
			break;
		}
		len -= WEIR_OFFLOAD_VNET_SIZE;
		/* The kernel cuts a frame short in silence; nothing else fills all of it. */
		if (unlikely(len == q->rx_pieces * PIECE_BYTES))
			weir_count(&q->io.rx_dropped, 1);
		else
			chain_take(q, len);
	}
	return n;
}

/** Take over what the lcore has sent. @return Pieces. */
static unsigned int
pieces_pop(struct thread_queue *q)
{
	struct rte_mbuf *pieces[BURST];
	unsigned int i, n;

	n = weir_frame_queues_pop(q->fq, WEIR_GUEST_TO_HOST, pieces, BURST);
	for (i = 0; i < n; i++) {
		if (piece_note(pieces[i])->kind == PIECE_RX)
			pieces_add(&q->io.spare, pieces[i]);
		else
			piece_queue_add(&q->io.todo, pieces[i]);
	}
	return n;
}

static bool
io_ends(const struct thread_queue *q)
{
	return __atomic_load_n(&q->io.ends, __ATOMIC_ACQUIRE);
}

/** Until the lcore sends something, the tap has something, or somebody rings. */
static void
io_sleep(struct thread_queue *q)
{
	const struct weir_wake *wake = &q->fq->guest_wake;
	bool reads = tap_file_is_active(&q->file) && q->io.spare.n >= q->rx_pieces;
	uint32_t n_changes = tap_file_n_changes(&q->file);
	struct pollfd fds[2] = {
		{.fd = weir_wake_fd(wake), .events = POLLIN},
		{.fd = q->file.fd,
		 .events = (reads ? POLLIN : 0) | (q->io.todo.n > 0 ? POLLOUT : 0)},
	};

	/* A queue that was put aside always has an error to tell. */
	if (!tap_file_is_active(&q->file) || q->file.gone)
		fds[1].fd = -1;
	weir_wake_arm(wake);
	if (weir_frame_queues_count(q->fq, WEIR_GUEST_TO_HOST) == 0 && !io_ends(q) &&
	    tap_file_n_changes(&q->file) == n_changes)
		poll(fds, 2, q->io.todo.n > 0 ? 1 : -1);
	weir_wake_disarm(wake);
	if (fds[1].revents & POLLERR)
		tap_file_lost(&q->file, n_changes);
}

void *
tap_io_main(void *arg)
{
	const uint64_t look = rte_get_tsc_hz() / 1000000 * LOOK_US;
	uint64_t idle_since = rte_rdtsc();
	struct thread_queue *q = arg;

	while (!io_ends(q)) {
		unsigned int moved = pieces_pop(q) + frames_write(q);

		if (!q->file.gone)
			moved += frames_read(q);
		pieces_push(q, WEIR_HOST_TO_GUEST, &q->io.read);
		if (q->io.emptied.n >= BATCH)
			pieces_push(q, WEIR_HOST_TO_GUEST, &q->io.emptied);
		if (q->file.gone)
			weir_wake_signal(&q->fq->host_wake);
		if (moved > 0)
			idle_since = rte_rdtsc();
		else if (rte_rdtsc() - idle_since > look)
			io_sleep(q);
	}
	/* What the guest was told is done is written, as far as the kernel takes it now. */
	while (pieces_pop(q) + frames_write(q) > 0)
		q->io.emptied.n = 0;
	return NULL;
}
