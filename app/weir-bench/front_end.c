/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_vhost.h>

#include "front_end.h"
#include "handshake.h"
#include "weir_error.h"

#define WAIT_MS 3000

/* The library's thread tells of a device; one session is started at a time. */
static int new_vid;

static int
device_new(int vid)
{
	__atomic_store_n(&new_vid, vid, __ATOMIC_RELEASE);
	return 0;
}

static void
device_destroy(int vid)
{
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = device_new,
	.destroy_device = device_destroy,
};

static int
front_end_session(struct front_end *front_end, const struct plain_guest *guest, uint64_t features)
{
	const struct handshake_region region = {
		.size = guest->size,
		.user_addr = (uintptr_t)guest->memory,
		.fd = guest->fd,
	};
	struct handshake_ring rings[2];
	int i;

	for (i = 0; i < 2; i++) {
		const struct plain_ring *ring = &guest->rings[i];

		rings[i] = (struct handshake_ring){
			.size = PLAIN_GUEST_RING,
			.packed = ring->packed,
			.desc = ring->desc,
			.avail = ring->avail,
			.used = ring->used,
			.kick = front_end->kicks[i],
			.call = front_end->calls[i],
		};
	}
	return handshake_run(front_end->fd, features, &region, 1, rings, 2);
}

int
front_end_open(struct front_end *front_end, struct plain_guest *guest, uint64_t features)
{
	static unsigned int count;
	int rc, i, waited;

	front_end->fd = -1;
	snprintf(front_end->path, sizeof(front_end->path), "/tmp/weir-bench-%d-%u.sock", getpid(),
		 count++);
	unlink(front_end->path);
	for (i = 0; i < 2; i++) {
		front_end->kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		front_end->calls[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	new_vid = -1;
	if (rte_vhost_driver_register(front_end->path, 0) < 0 ||
	    rte_vhost_driver_callback_register(front_end->path, &device_ops) < 0 ||
	    rte_vhost_driver_start(front_end->path) < 0)
		return weir_error(EIO, "the vhost library does not open %s", front_end->path);
	front_end->fd = handshake_connect(front_end->path);
	if (front_end->fd < 0)
		return front_end->fd;
	rc = front_end_session(front_end, guest, features);
	if (rc < 0)
		return rc;
	for (waited = 0; waited < WAIT_MS; waited++) {
		front_end->vid = __atomic_load_n(&new_vid, __ATOMIC_ACQUIRE);
		if (front_end->vid >= 0)
			return 0;
		rte_delay_us_sleep(1000);
	}
	return weir_error(ETIMEDOUT, "the vhost library does not start the guest");
}

void
front_end_close(struct front_end *front_end)
{
	int i;

	if (front_end->fd >= 0)
		close(front_end->fd);
	if (front_end->path[0] != '\0') {
		rte_vhost_driver_unregister(front_end->path);
		unlink(front_end->path);
	}
	for (i = 0; i < 2; i++) {
		if (front_end->kicks[i] > 0)
			close(front_end->kicks[i]);
		if (front_end->calls[i] > 0)
			close(front_end->calls[i]);
	}
}
