/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "plain_guest.h"
#include "weir_error.h"

#define RING PLAIN_GUEST_RING
#define AVAIL_AT (16 * RING)
#define USED_AT (AVAIL_AT + 4096)
#define RING_BYTES (USED_AT + 4096)
#define PACKED_AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED (1U << VRING_PACKED_DESC_F_USED)

int
plain_guest_open(struct plain_guest *guest, bool packed)
{
	const uint64_t buffers = (uint64_t)RING * PLAIN_GUEST_BUFFER;
	uint32_t i;

	guest->size = RTE_ALIGN_CEIL(2 * (RING_BYTES + buffers), 2UL << 20);
	guest->fd = memfd_create("weir-bench", MFD_CLOEXEC);
	if (guest->fd < 0 || ftruncate(guest->fd, guest->size) < 0)
		return weir_error(errno, "no memory file of %lu bytes", guest->size);
	guest->memory = mmap(NULL, guest->size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
	if (guest->memory == MAP_FAILED)
		return weir_error(errno, "no memory of %lu bytes", guest->size);
	memset(guest->memory, 0, guest->size);
	for (i = 0; i < 2; i++) {
		uint8_t *at = guest->memory + i * RING_BYTES;
		struct plain_ring *ring = &guest->rings[i];

		*ring = (struct plain_ring){
			.packed = packed,
			.rx = i == 0,
			.desc = (void *)at,
			.avail = (void *)(at + AVAIL_AT),
			.used = (void *)(at + USED_AT),
			.buffers = 2 * RING_BYTES + i * buffers,
		};
		/* Polls, and never wants to be notified. */
		if (packed)
			ring->driver_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		else
			ring->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	}
	return 0;
}

void
plain_guest_close(struct plain_guest *guest)
{
	if (guest->memory != NULL && guest->memory != MAP_FAILED)
		munmap(guest->memory, guest->size);
	if (guest->fd > 0)
		close(guest->fd);
}

void
plain_ring_post(struct plain_ring *ring, uint16_t n, uint32_t len)
{
	const uint16_t write = ring->rx ? VRING_DESC_F_WRITE : 0;

	for (; n > 0; n--, ring->posted++) {
		uint16_t i = ring->posted % RING;
		uint64_t addr = ring->buffers + (uint64_t)i * PLAIN_GUEST_BUFFER;

		if (ring->packed) {
			bool wrap = ring->posted / RING % 2 == 0;

			ring->ring[i].addr = addr;
			ring->ring[i].len = len;
			ring->ring[i].id = i;
			__atomic_store_n(&ring->ring[i].flags,
					 write | (wrap ? PACKED_AVAIL : PACKED_USED),
					 __ATOMIC_RELEASE);
		} else {
			ring->desc[i] =
				(struct vring_desc){.addr = addr, .len = len, .flags = write};
			ring->avail->ring[i] = i;
		}
	}
	if (!ring->packed)
		__atomic_store_n(&ring->avail->idx, ring->posted, __ATOMIC_RELEASE);
}

uint16_t
plain_ring_reap(struct plain_ring *ring)
{
	uint16_t before = ring->reaped;

	if (!ring->packed) {
		ring->reaped = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
		return ring->reaped - before;
	}
	for (; ring->reaped != ring->posted; ring->reaped++) {
		bool wrap = ring->reaped / RING % 2 == 0;
		uint16_t flags =
			__atomic_load_n(&ring->ring[ring->reaped % RING].flags, __ATOMIC_ACQUIRE);

		if (!!(flags & PACKED_AVAIL) != wrap || !!(flags & PACKED_USED) != wrap)
			break;
	}
	return ring->reaped - before;
}
