/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_URING_H
#define WEIR_URING_H

/**
 * Registered buffers: reads and writes that another takes off the calling thread,
 * from and to memory that the kernel was told of once.
 *
 * A ring carries requests to the kernel (io_uring) and their completions back. Its
 * pools are the memory: buffers of one size, or the frames of a frame pool. Each
 * buffer is in one of three states, and what does not fit its state is refused:
 *
 *   free ──acquire──▶ acquired ──submit, mark_in_flight──▶ in flight
 *        ◀──release──          ◀──reap, complete_in_flight──
 *
 *   weir_uring_try_acquire()   fill it
 *   weir_uring_submit_write_fixed()
 *   weir_uring_flush()         once a burst
 *   weir_uring_reap()          what has been done
 *   weir_uring_release()
 *
 * Where the kernel or a container refuses io_uring and the caller allows it, the
 * same calls execute plain system calls, on the calling thread, inside submit.
 *
 * create and free: control threads. All else: one thread at a time, which for a
 * ring and its pools is the same one. Nothing blocks but weir_uring_wait(),
 * weir_uring_cancel_all(), and a plain call on a file that blocks.
 *
 * @see seeds: RegisteredBufferPool
 */

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct weir_budget;
struct weir_frame_pool;
struct weir_uring;
struct weir_uring_pool;

/** Submissions that a ring holds before a flush, at most. */
#define WEIR_URING_ENTRIES_MAX 4096
/** Buffers of one pool, at most. */
#define WEIR_URING_BUFFERS_MAX 65535
/** Of a file that has no position: a pipe, a socket, a tap. */
#define WEIR_URING_STREAM UINT64_MAX

struct weir_uring_conf {
	/** Whom sentences and log lines name, as in "endpoint 'up'"; outlives the ring. */
	const char *owner;
	/** Submissions held before a flush: 1 to WEIR_URING_ENTRIES_MAX. */
	uint32_t entries;
	/** Completions held for reap; 0: twice entries. The kernel keeps what does not fit. */
	uint32_t completions;
	/**
	 * Have a kernel thread look for submissions, until it has seen none for so long;
	 * 0: flush executes them in a system call. The thread may run where the caller may.
	 */
	uint32_t sqpoll_idle_ms;
	/** Whose kernel thread to share, or NULL. */
	const struct weir_uring *sqpoll_with;
	/**
	 * Complete with -EAGAIN what a file has nothing to read for, or no room to write;
	 * otherwise the kernel waits, whether the file has O_NONBLOCK or not. A file that
	 * cannot tell answers -EOPNOTSUPP. Of no meaning to plain calls.
	 */
	bool no_wait;
	/** Make do with plain system calls where io_uring is refused; logged once. */
	bool plain_allowed;
};

/**
 * @return
 *   NULL with rte_errno and weir_error_text(): ENOSYS, EPERM or EACCES there is no
 *   io_uring here, or it is forbidden; ENOTSUP the kernel is older than 5.19; EINVAL
 *   a word out of range; ENOMEM.
 */
struct weir_uring *weir_uring_create(const struct weir_uring_conf *conf);

/**
 * Free a ring; accepts NULL.
 *
 * @return
 *   - 0: gone
 *   - -EBUSY: it has pools, or requests in flight; nothing changed, and
 *     weir_error_text() tells how many
 */
int weir_uring_free(struct weir_uring *ring);

/**
 * Have the kernel's own threads, which execute what would block, run where the calling
 * thread may run, and not on any core of the machine. The thread that made the ring,
 * before its first request.
 *
 * @return 0, or negative errno: they run anywhere.
 */
int weir_uring_helpers_here(struct weir_uring *ring);

/** Whether requests are plain system calls. */
bool weir_uring_is_plain(const struct weir_uring *ring);

/** Readable while completions wait, for poll and epoll; -1 of a plain ring. */
int weir_uring_fd(const struct weir_uring *ring);

/**
 * Whether requests can be made on this file.
 *
 * @return 0, or -EINVAL, -EISDIR, -EBADF with a sentence that names what it is.
 */
int weir_uring_check_file(const struct weir_uring *ring, int fd);

/**
 * Hand what was submitted to the kernel, with one system call, or with none where a
 * kernel thread is awake.
 *
 * @return
 *   - 0
 *   - -EAGAIN, -EBUSY, -ENOMEM, -EINTR: not all of it now; it stays submitted, call again
 */
int weir_uring_flush(struct weir_uring *ring);

/** A request that is over. */
struct weir_uring_completion {
	uint64_t user_data;	      /* what its submit returned */
	struct weir_uring_pool *pool; /* whose buffer, or NULL: of a poll or a cancel */
	uint16_t index;		      /* which buffer: acquired again, no longer in flight */
	int32_t result;		      /* bytes, or of a poll its events; or negative errno */
	uint32_t left;		      /* bytes asked for and not moved yet */
};

/** Take completions, in the order in which they came; how many were set. */
unsigned int weir_uring_reap(struct weir_uring *ring, struct weir_uring_completion *completions,
			     unsigned int n);

/** Whether weir_uring_reap() has something to take. */
bool weir_uring_is_ready(const struct weir_uring *ring);

/**
 * Flush, and block until there is something to reap.
 *
 * @param timeout_us
 *   At most this long; negative: no limit.
 * @return
 *   - 1: there is
 *   - 0: timed out, or nothing is in flight
 *   - -EINTR: a signal handler ran
 *   - another negative errno of weir_uring_flush()
 */
int weir_uring_wait(struct weir_uring *ring, int64_t timeout_us);

/**
 * Tell when @p fd has one of the poll(2) @p events; once.
 *
 * @return User data of the completion, or -EAGAIN, or -ENOTSUP of a plain ring.
 */
int64_t weir_uring_submit_poll(struct weir_uring *ring, int fd, uint32_t events);

/**
 * Ask for the end of a request. Both complete: the request with what it came to, or
 * -ECANCELED; this one with 0, -ENOENT (it was over) or -EALREADY (it is being done).
 *
 * @return User data of this one's completion, or -EAGAIN, or -ENOTSUP of a plain ring.
 */
int64_t weir_uring_submit_cancel(struct weir_uring *ring, uint64_t user_data);

/**
 * End all requests, and drop their completions: their buffers are acquired again.
 * Control threads, while nobody else uses the ring; blocks.
 *
 * @return
 *   0, or -ETIMEDOUT with a sentence: the kernel still has some after @p timeout_us.
 */
int weir_uring_cancel_all(struct weir_uring *ring, int64_t timeout_us);

/** Requests that were submitted and not reaped. */
uint32_t weir_uring_in_flight(const struct weir_uring *ring);

struct weir_uring_stats {
	uint64_t submitted; /* requests */
	uint64_t completed; /* of them reaped */
	uint64_t failed;    /* of them with an error */
	uint64_t shortened; /* of them with fewer bytes than asked for */
	uint64_t full;	    /* submits that found no room */
	uint64_t overflows; /* times that the kernel had to keep completions back */
};

void weir_uring_stats(const struct weir_uring *ring, struct weir_uring_stats *stats);

/* Pools. */

struct weir_uring_pool_conf {
	/** Of each buffer; they lie on cache lines of their own, on pages when a multiple. */
	uint32_t buffer_bytes;
	/** 1 to WEIR_URING_BUFFERS_MAX; all of them together at most 1 GB. */
	uint32_t n_buffers;
	/** Where the memory is, or SOCKET_ID_ANY. */
	int numa_node;
	/** NULL: not limited. It outlives the pool. */
	struct weir_budget *budget;
	/**
	 * The buffers, back to back, buffer_bytes a multiple of a cache line: the caller's,
	 * who has paid for it, and outlives the pool. NULL: memory of the pool's own.
	 */
	void *memory;
	/**
	 * Do not register them: the kernel looks up and pins each at each request. Nothing is
	 * locked. For the comparison.
	 */
	bool unregistered;
};

/**
 * Make buffers, and register them with the kernel, once.
 *
 * @return
 *   NULL with rte_errno and weir_error_text(): EINVAL; ENOMEM no memory, or more of it
 *   would be locked than the process may; EAGAIN, EMSGSIZE the budget; ENOSPC the ring
 *   has as many pools as it can.
 */
struct weir_uring_pool *weir_uring_pool_create(struct weir_uring *ring,
					       const struct weir_uring_pool_conf *conf);

/**
 * Register the memory of a frame pool, so that each of its frames is a buffer. All
 * frames are made now; a pool with frames beyond its capacity (burst) is refused,
 * because their memory comes and goes. The frame pool outlives this one.
 *
 * A buffer is what lies behind a frame's data pointer. Frames that were acquired from
 * the frame pool by others take part by weir_uring_adopt().
 *
 * @return
 *   NULL with rte_errno and weir_error_text(): ENOTSUP it has a burst; EBUSY frames
 *   of it are out; else as weir_uring_pool_create().
 */
struct weir_uring_pool *weir_uring_pool_of_frames(struct weir_uring *ring,
						  struct weir_frame_pool *frames);

/**
 * Unregister and free; accepts NULL. Acquired buffers go with it; of a pool of frames
 * the frames go home.
 *
 * @return
 *   - 0: gone
 *   - -EBUSY: buffers are in flight; nothing changed, weir_error_text() tells how many
 */
int weir_uring_pool_free(struct weir_uring_pool *pool);

/**
 * Acquire a buffer.
 *
 * @param data
 *   Where it lies; may be NULL.
 * @return
 *   0, or -ENOBUFS with a sentence: all are acquired.
 */
int weir_uring_acquire(struct weir_uring_pool *pool, uint16_t *index, void **data);

/** Likewise, for the data path: NULL says that all are acquired, and nothing else. */
void *weir_uring_try_acquire(struct weir_uring_pool *pool, uint16_t *index);

/** Give back. @return 0; -EBUSY it is in flight, -EINVAL it is not acquired: refused. */
int weir_uring_release(struct weir_uring_pool *pool, uint16_t index);

/**
 * For requests that are made elsewhere: nothing else is done with the buffer until
 * weir_uring_complete_in_flight(). Submit and reap do both themselves.
 *
 * @return 0; -EBUSY it is in flight, -EINVAL it is not acquired: refused.
 */
int weir_uring_mark_in_flight(struct weir_uring_pool *pool, uint16_t index);

/**
 * Undo weir_uring_mark_in_flight().
 *
 * @return 0; -EINVAL it is not in flight, -EBUSY the kernel has it: refused.
 */
int weir_uring_complete_in_flight(struct weir_uring_pool *pool, uint16_t index);

/** An acquired buffer, to be read; NULL when it is in flight or not acquired. */
const void *weir_uring_get(const struct weir_uring_pool *pool, uint16_t index);
/** Likewise, to be written. */
void *weir_uring_get_mut(struct weir_uring_pool *pool, uint16_t index);

/**
 * Read @p len bytes of @p fd, from @p offset or WEIR_URING_STREAM, into the buffer.
 * Seen by the kernel after weir_uring_flush().
 *
 * @return
 *   The user data of the completion; or -EAGAIN: no room, flush, or reap a plain
 *   ring; -EBUSY the buffer is in flight, -EINVAL it is not acquired, -EMSGSIZE it is
 *   shorter than @p len. Then it stays as it was.
 */
int64_t weir_uring_submit_read_fixed(struct weir_uring_pool *pool, int fd, uint16_t index,
				     uint64_t offset, uint32_t len);
/** Likewise, write. */
int64_t weir_uring_submit_write_fixed(struct weir_uring_pool *pool, int fd, uint16_t index,
				      uint64_t offset, uint32_t len);

/**
 * Submit again what a request left undone (completion.left > 0): after a short one,
 * -EINTR, -EAGAIN, -ENOSPC, -ECANCELED. Before the buffer is used otherwise.
 *
 * @return As weir_uring_submit_read_fixed(), or -ENODATA: nothing is left.
 */
int64_t weir_uring_submit_rest(struct weir_uring_pool *pool, uint16_t index);

/**
 * Have a frame of the frame pool, which the caller owns, be an acquired buffer.
 *
 * @return 0; -EINVAL it is not a frame of that pool, -EBUSY it is a buffer already.
 */
int weir_uring_adopt(struct weir_uring_pool *pool, struct rte_mbuf *frame, uint16_t *index);
/** The buffer's frame is the caller's; it is no longer acquired. NULL where refused. */
struct rte_mbuf *weir_uring_disown(struct weir_uring_pool *pool, uint16_t index);
/** The frame of a buffer, whose lengths are the caller's to set; NULL as weir_uring_get(). */
struct rte_mbuf *weir_uring_frame(const struct weir_uring_pool *pool, uint16_t index);

uint32_t weir_uring_buffer_size(const struct weir_uring_pool *pool);
uint32_t weir_uring_total_count(const struct weir_uring_pool *pool);
uint32_t weir_uring_available_count(const struct weir_uring_pool *pool);
/** Those in flight included. */
uint32_t weir_uring_acquired_count(const struct weir_uring_pool *pool);
/** Whether an acquire would be refused. */
bool weir_uring_is_exhausted(const struct weir_uring_pool *pool);

struct weir_uring_pool_stats {
	uint32_t total, available, acquired, in_flight;
	uint64_t bytes;	      /* registered */
	uint64_t acquires;    /* that succeeded */
	uint64_t exhaustions; /* that did not */
	uint64_t reads, writes;
};

void weir_uring_pool_stats(const struct weir_uring_pool *pool, struct weir_uring_pool_stats *stats);

#endif
