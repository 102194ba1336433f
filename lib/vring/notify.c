/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who wakes whom. Both sides tell the other when not to bother (virtio 1.1, 2.6.7,
 * 2.6.10, 2.7.10), both write first, then look: a full barrier between the two, on
 * both sides, is what keeps a wake-up from being lost.
 */
#include <rte_atomic.h>

#include "ring.h"

/* The split rings' event fields follow the rings (2.6.6, 2.6.8). */
static inline uint16_t
notify_used_event(const struct weir_vring *vr)
{
	return load_16(&vr->avail->ring[vr->size]);
}

static inline uint16_t *
notify_avail_event(const struct weir_vring *vr)
{
	return (uint16_t *)(void *)&vr->used->ring[vr->size];
}

/* Whether going from old to now passed event, all free-running. */
static inline bool
notify_passed(uint16_t event, uint16_t now, uint32_t steps)
{
	return steps > UINT16_MAX || (uint16_t)(now - event - 1) < (uint16_t)steps;
}

static bool
notify_wanted_split(struct weir_vring *vr, uint32_t steps)
{
	if (!vr->event_idx)
		return !(load_16(&vr->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return notify_passed(notify_used_event(vr), vr->used_idx, steps);
}

static bool
notify_wanted_packed(struct weir_vring *vr, uint32_t steps)
{
	uint16_t flags = load_16(&vr->driver_event->flags) & 3, off_wrap;
	uint32_t event, behind;

	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !vr->event_idx)
		return true;
	/* Its flags were written after its offset (2.7.14). */
	rte_smp_rmb();
	off_wrap = load_16(&vr->driver_event->off_wrap);
	event = off_wrap & 0x7fff;
	if (event >= vr->size)
		return true;
	/* Was the event's descriptor among the last steps ones, counted back from here? */
	behind = vr->used_idx;
	if ((off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR) != vr->used_wrap)
		behind += vr->size;
	return behind > event && behind - event <= steps;
}

bool
weir_vring_should_notify(struct weir_vring *vr)
{
	uint32_t steps = vr->unsignalled;

	if (steps == 0 || vr->error != WEIR_VRING_OK)
		return false;
	/* Between what was used and the guest's wish; pairs with the driver's (2.6.14, 2.7.22). */
	rte_smp_mb();
	vr->unsignalled = 0;
	/* What came before us was not counted: an event index may have been passed then. */
	if (!vr->notified) {
		vr->notified = true;
		return true;
	}
	return vr->packed ? notify_wanted_packed(vr, steps) : notify_wanted_split(vr, steps);
}

bool
weir_vring_has_work(const struct weir_vring *vr)
{
	if (vr->error != WEIR_VRING_OK)
		return false;
	if (vr->fifo_head != vr->fifo_tail)
		return true;
	if (!vr->packed)
		return load_acquire_16(&vr->avail->idx) != vr->avail_idx;
	return ring_is_posted(vr, 0);
}

/* A wish is a hint that costs nothing when it is read torn or late; stores need be single. */
static void
notify_store(struct weir_vring *vr, uint16_t *guest, uint16_t value)
{
	*(volatile guest_16 *)guest = value;
	if (vr->log != NULL)
		dirty_mark(vr, guest, sizeof(*guest));
}

bool
weir_vring_arm(struct weir_vring *vr)
{
	if (vr->error != WEIR_VRING_OK)
		return false;
	if (vr->packed)
		notify_store(vr, &vr->device_event->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	else if (vr->event_idx)
		notify_store(vr, notify_avail_event(vr), vr->avail_idx);
	else
		notify_store(vr, &vr->used->flags, 0);
	/* The guest posts, then reads the wish; we wish, then look (2.6.13.4, 2.7.21.3). */
	rte_smp_mb();
	return weir_vring_has_work(vr);
}

void
weir_vring_disarm(struct weir_vring *vr)
{
	if (vr->error != WEIR_VRING_OK)
		return;
	if (vr->packed)
		notify_store(vr, &vr->device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	else if (!vr->event_idx)
		notify_store(vr, &vr->used->flags, VRING_USED_F_NO_NOTIFY);
	/* An event index that has been passed is silent by itself. */
}
