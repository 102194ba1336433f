/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes of registered buffers. A buffer remembers its request until the
 * next one, so that what a short one left can be submitted again.
 */
#include <errno.h>
#include <unistd.h>

#include "uring.h"

/** The same by a system call, here and now. */
static int32_t
plain_execute(const struct slot *slot, uint8_t *data)
{
	uint32_t len = slot->len - slot->done;
	ssize_t n;

	if (slot->offset == WEIR_URING_STREAM)
		n = slot->is_write ? write(slot->fd, data, len) : read(slot->fd, data, len);
	else if (slot->is_write)
		n = pwrite(slot->fd, data, len, slot->offset + slot->done);
	else
		n = pread(slot->fd, data, len, slot->offset + slot->done);
	return n < 0 ? -errno : (int32_t)n;
}

static void
plain_submit(struct weir_uring *ring, const struct slot *slot, uint8_t *data, uint64_t user_data)
{
	struct plain_done *done =
		&ring->done[(ring->done_first + ring->done_n++) % ring->done_size];

	done->user_data = user_data;
	done->result = plain_execute(slot, data);
}

static __rte_always_inline void
kernel_submit(struct weir_uring *ring, const struct slot *slot, uint8_t *data, uint64_t user_data)
{
	static const uint8_t opcodes[2][2] = {{IORING_OP_READ, IORING_OP_WRITE},
					      {IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED}};
	bool fixed = slot->region != REGION_NONE;

	*ring_submission(ring) = (struct io_uring_sqe){
		.opcode = opcodes[fixed][slot->is_write],
		.fd = slot->fd,
		.off = slot->offset == WEIR_URING_STREAM ? slot->offset : slot->offset + slot->done,
		.addr = (uintptr_t)data,
		.len = slot->len - slot->done,
		.rw_flags = ring->rw_flags,
		.user_data = user_data,
		.buf_index = fixed ? slot->region : 0,
	};
}

/** What the slot says; there is room for it. */
static __rte_always_inline int64_t
request_submit(struct weir_uring_pool *pool, uint16_t index)
{
	struct weir_uring *ring = pool->ring;
	struct slot *slot = &pool->slots[index];
	uint8_t *data = (uint8_t *)buffer_data(pool, index) + slot->done;
	int64_t user_data = user_data_of(pool->number + 1, index, ++ring->sequence);

	slot->sequence = ring->sequence;
	slot->state = SLOT_SUBMITTED;
	if (unlikely(ring->plain))
		plain_submit(ring, slot, data, user_data);
	else
		kernel_submit(ring, slot, data, user_data);
	number_set(&ring->n_in_flight, ring->n_in_flight + 1);
	number_set(&pool->n_in_flight, pool->n_in_flight + 1);
	tally(&ring->stats.submitted, 1);
	tally(slot->is_write ? &pool->writes : &pool->reads, 1);
	return user_data;
}

/** Whether a request can be made of this buffer: 0, or the errno of submit. */
static __rte_always_inline int
request_check(const struct weir_uring_pool *pool, uint16_t index)
{
	if (unlikely(index >= pool->n_buffers || pool->slots[index].state == SLOT_FREE))
		return -EINVAL;
	if (unlikely(pool->slots[index].state != SLOT_ACQUIRED))
		return -EBUSY;
	return 0;
}

static __rte_always_inline int
room_check(struct weir_uring *ring)
{
	if (likely(ring->plain ? ring->done_n < ring->done_size : ring_has_room(ring)))
		return 0;
	tally(&ring->stats.full, 1);
	return -EAGAIN;
}

static __rte_always_inline int64_t
submit(struct weir_uring_pool *pool, bool is_write, int fd, uint16_t index, uint64_t offset,
       uint32_t len)
{
	struct slot *slot = &pool->slots[index];
	int rc = request_check(pool, index);

	if (unlikely(rc != 0))
		return rc;
	if (unlikely(len > buffer_room(pool, index)))
		return -EMSGSIZE;
	rc = room_check(pool->ring);
	if (unlikely(rc != 0))
		return rc;
	slot->is_write = is_write;
	slot->fd = fd;
	slot->offset = offset;
	slot->len = len;
	slot->done = 0;
	return request_submit(pool, index);
}

int64_t
weir_uring_submit_read_fixed(struct weir_uring_pool *pool, int fd, uint16_t index, uint64_t offset,
			     uint32_t len)
{
	return submit(pool, false, fd, index, offset, len);
}

int64_t
weir_uring_submit_write_fixed(struct weir_uring_pool *pool, int fd, uint16_t index, uint64_t offset,
			      uint32_t len)
{
	return submit(pool, true, fd, index, offset, len);
}

int64_t
weir_uring_submit_rest(struct weir_uring_pool *pool, uint16_t index)
{
	int rc = request_check(pool, index);

	if (rc != 0)
		return rc;
	if (pool->slots[index].done == pool->slots[index].len)
		return -ENODATA;
	rc = room_check(pool->ring);
	return rc != 0 ? rc : request_submit(pool, index);
}

uint32_t
request_over(struct weir_uring_pool *pool, struct slot *slot, int32_t result)
{
	struct weir_uring_stats *stats = &pool->ring->stats;

	slot->state = SLOT_ACQUIRED;
	number_set(&pool->n_in_flight, pool->n_in_flight - 1);
	if (result < 0) {
		tally(&stats->failed, 1);
	} else {
		slot->done += result;
		if (slot->done < slot->len)
			tally(&stats->shortened, 1);
	}
	return slot->len - slot->done;
}
