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

	data += slot->done;
	if (slot->offset == WEIR_URING_STREAM)
		n = slot->is_write ? write(slot->fd, data, len) : read(slot->fd, data, len);
	else if (slot->is_write)
		n = pwrite(slot->fd, data, len, slot->offset + slot->done);
	else
		n = pread(slot->fd, data, len, slot->offset + slot->done);
	return n < 0 ? -errno : (int32_t)n;
}

static bool
plain_submit(struct weir_uring *ring, const struct slot *slot, uint8_t *data, uint64_t user_data)
{
	struct plain_done *done;

	if (ring->done_n == ring->done_size)
		return false;
	done = &ring->done[(ring->done_first + ring->done_n++) % ring->done_size];
	done->user_data = user_data;
	done->result = plain_execute(slot, data);
	return true;
}

static bool
kernel_submit(struct weir_uring *ring, const struct slot *slot, uint8_t *data, uint64_t user_data)
{
	struct io_uring_sqe *sqe = ring_submission(ring);
	uint64_t offset =
		slot->offset == WEIR_URING_STREAM ? slot->offset : slot->offset + slot->done;
	uint32_t len = slot->len - slot->done;

	if (sqe == NULL)
		return false;
	data += slot->done;
	if (slot->region == REGION_NONE && slot->is_write)
		io_uring_prep_write(sqe, slot->fd, data, len, offset);
	else if (slot->region == REGION_NONE)
		io_uring_prep_read(sqe, slot->fd, data, len, offset);
	else if (slot->is_write)
		io_uring_prep_write_fixed(sqe, slot->fd, data, len, offset, slot->region);
	else
		io_uring_prep_read_fixed(sqe, slot->fd, data, len, offset, slot->region);
	sqe->rw_flags = ring->rw_flags;
	sqe->user_data = user_data;
	return true;
}

static int64_t
request_submit(struct weir_uring_pool *pool, uint16_t index)
{
	struct weir_uring *ring = pool->ring;
	struct slot *slot = &pool->slots[index];
	uint8_t *data = buffer_data(pool, index);
	int64_t user_data = user_data_of(pool->number + 1, index, ring->sequence + 1);
	bool taken = ring->plain ? plain_submit(ring, slot, data, user_data)
				 : kernel_submit(ring, slot, data, user_data);

	if (!taken) {
		tally(&ring->stats.full, 1);
		return -EAGAIN;
	}
	slot->sequence = ++ring->sequence;
	slot->state = SLOT_SUBMITTED;
	number_set(&ring->n_in_flight, ring->n_in_flight + 1);
	number_set(&pool->n_in_flight, pool->n_in_flight + 1);
	tally(&ring->stats.submitted, 1);
	tally(slot->is_write ? &pool->writes : &pool->reads, 1);
	return user_data;
}

static int
acquired_check(const struct weir_uring_pool *pool, uint16_t index)
{
	if (index >= pool->n_buffers || pool->slots[index].state == SLOT_FREE)
		return -EINVAL;
	return pool->slots[index].state == SLOT_ACQUIRED ? 0 : -EBUSY;
}

static int64_t
submit(struct weir_uring_pool *pool, bool is_write, int fd, uint16_t index, uint64_t offset,
       uint32_t len)
{
	struct slot *slot, before;
	int64_t user_data = acquired_check(pool, index);

	if (user_data != 0)
		return user_data;
	if (len > buffer_room(pool, index))
		return -EMSGSIZE;
	slot = &pool->slots[index];
	before = *slot;
	slot->is_write = is_write;
	slot->fd = fd;
	slot->offset = offset;
	slot->len = len;
	slot->done = 0;
	user_data = request_submit(pool, index);
	if (user_data < 0)
		*slot = before;
	return user_data;
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
	int rc = acquired_check(pool, index);

	if (rc != 0)
		return rc;
	if (pool->slots[index].done == pool->slots[index].len)
		return -ENODATA;
	return request_submit(pool, index);
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
