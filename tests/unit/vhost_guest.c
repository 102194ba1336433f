/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "harness.h"
#include "handshake.h"
#include "vhost_guest.h"

#define MEMORY_BYTES (4UL << 20)
#define BUFFER_BYTES 2048
#define HEADER_LEN 12
#define FRAME_LEN 100
#define BURST 16

static void
session_open(struct vhost_guest *guest, const char *path, uint64_t features)
{
	const struct handshake_region region = {
		.guest_addr = GUEST_BASE,
		.size = MEMORY_BYTES,
		.user_addr = (uintptr_t)guest->memory,
		.fd = guest->memory_fd,
	};
	struct handshake_ring rings[2];
	uint32_t i;

	for (i = 0; i < 2; i++) {
		const struct driver *driver = &guest->rings[i];

		rings[i] = (struct handshake_ring){
			.size = driver->size,
			.packed = driver->packed,
			.desc = driver->desc,
			.avail = driver->avail,
			.used = driver->used,
			.kick = guest->kicks[i],
			.call = guest->calls[i],
		};
	}
	guest->fd = handshake_connect(path);
	assert_true(guest->fd >= 0);
	assert_int_equal(handshake_run(guest->fd, features, &region, 1, rings, 2), 0);
}

/* The guest's CPU. */

static void
count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELEASE);
}

static void
publish(struct vhost_guest *guest, uint32_t index)
{
	const uint64_t one = 1;

	driver_publish(&guest->rings[index]);
	if (write(guest->kicks[index], &one, sizeof(one)) != sizeof(one))
		abort();
}

struct frame {
	uint8_t header[HEADER_LEN], ether[14];
	uint16_t from;
	uint64_t number;
	uint8_t rest[FRAME_LEN - 24];
} __rte_packed;

/** Write a frame of this number into a buffer. */
static struct guest_buf
number_frame(struct vhost_guest *guest, uint32_t token, uint64_t number)
{
	struct guest_buf buf = {guest->buffers[1] + token * BUFFER_BYTES, sizeof(struct frame)};
	struct frame frame = {.from = guest->number, .number = number};

	memset(frame.rest, (uint8_t)number, sizeof(frame.rest));
	guest_write(&guest->guest, buf.addr, &frame, sizeof(frame));
	return buf;
}

static bool
send_some(struct vhost_guest *guest)
{
	struct driver *tx = &guest->rings[1];
	uint32_t token, len, n = 0;

	while (driver_used(tx, &token, &len)) {
		guest->buffer_is_free[token] = true;
		count(&guest->done, 1);
	}
	if (!__atomic_load_n(&guest->sending, __ATOMIC_ACQUIRE))
		return false;
	for (token = 0; token < VHOST_GUEST_RING && n < BURST; token++) {
		struct guest_buf buf = guest->fixed;

		if (!guest->buffer_is_free[token])
			continue;
		if (buf.len == 0)
			buf = number_frame(guest, token, guest->sent + n + 1);
		if (!driver_add(tx, &buf, 1, false, token))
			break;
		guest->buffer_is_free[token] = false;
		n++;
	}
	if (n == 0)
		return false;
	/* Counted before it can come back. */
	count(&guest->sent, n);
	publish(guest, 1);
	return true;
}

static void
look_at(struct vhost_guest *guest, uint32_t token, uint32_t len)
{
	struct frame frame = {0}, whole;
	uint64_t *last;

	guest_read(&guest->guest, guest->buffers[0] + token * BUFFER_BYTES, &frame, sizeof(frame));
	memset(whole.rest, (uint8_t)frame.number, sizeof(whole.rest));
	last = &guest->last[frame.from % RTE_DIM(guest->last)];
	if (len != sizeof(frame) || memcmp(frame.rest, whole.rest, sizeof(whole.rest)) != 0 ||
	    frame.number <= *last) {
		count(&guest->disorders, 1);
		return;
	}
	count(&guest->lost, frame.number - *last - 1);
	*last = frame.number;
	count(&guest->received, 1);
}

static bool
receive_some(struct vhost_guest *guest)
{
	struct driver *rx = &guest->rings[0];
	uint32_t token, len, n;

	if (!__atomic_load_n(&guest->receiving, __ATOMIC_ACQUIRE))
		return false;
	for (n = 0; n < BURST && driver_used(rx, &token, &len); n++) {
		struct guest_buf buf = {guest->buffers[0] + token * BUFFER_BYTES, BUFFER_BYTES};

		look_at(guest, token, len);
		driver_add(rx, &buf, 1, false, token);
	}
	if (n > 0)
		publish(guest, 0);
	return n > 0;
}

static void *
guest_main(void *arg)
{
	struct vhost_guest *guest = arg;

	while (!__atomic_load_n(&guest->ends, __ATOMIC_ACQUIRE)) {
		bool sent = send_some(guest);

		count(&guest->laps, 1);
		if (!receive_some(guest) && !sent)
			sched_yield();
	}
	return NULL;
}

static void
memory_open(struct vhost_guest *guest)
{
	struct weir_vring_region region = {.guest_addr = GUEST_BASE, .size = MEMORY_BYTES};

	guest->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(guest->memory_fd >= 0);
	assert_int_equal(ftruncate(guest->memory_fd, MEMORY_BYTES), 0);
	guest->memory =
		mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, guest->memory_fd, 0);
	assert_ptr_not_equal(guest->memory, MAP_FAILED);
	region.host = guest->memory;
	assert_int_equal(weir_vring_memory_init(&guest->guest.memory, &region, 1), 0);
	guest->guest.end = GUEST_BASE + MEMORY_BYTES;
}

static void
rings_open(struct vhost_guest *guest, uint64_t features)
{
	uint64_t bytes = RTE_ALIGN_CEIL(driver_bytes(VHOST_GUEST_RING), 4096), at = GUEST_BASE;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		driver_init(&guest->rings[i], &guest->guest, features, VHOST_GUEST_RING, i == 0,
			    at);
		guest->buffers[i] = at + bytes;
		at += bytes + VHOST_GUEST_RING * BUFFER_BYTES;
		guest->kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		guest->calls[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	assert_true(at <= guest->guest.end);
}

static void
buffers_post(struct vhost_guest *guest)
{
	uint32_t token;

	for (token = 0; token < VHOST_GUEST_RING; token++) {
		struct guest_buf buf = {guest->buffers[0] + token * BUFFER_BYTES, BUFFER_BYTES};

		guest->buffer_is_free[token] = true;
		assert_true(driver_add(&guest->rings[0], &buf, 1, false, token));
	}
	driver_publish(&guest->rings[0]);
}

void
vhost_guest_connect(struct vhost_guest *guest, const char *path, uint64_t features)
{
	*guest = (struct vhost_guest){.fd = -1};
	memory_open(guest);
	rings_open(guest, features);
	if (path != NULL)
		session_open(guest, path, features);
}

void
vhost_guest_open(struct vhost_guest *guest, const char *path, uint16_t number, uint64_t features)
{
	vhost_guest_connect(guest, path, features);
	guest->number = number;
	guest->receiving = true;
	buffers_post(guest);
	assert_int_equal(pthread_create(&guest->thread, NULL, guest_main, guest), 0);
}

void
vhost_guest_close(struct vhost_guest *guest)
{
	vhost_guest_set(&guest->ends, true);
	pthread_join(guest->thread, NULL);
	vhost_guest_disconnect(guest);
}

void
vhost_guest_disconnect(struct vhost_guest *guest)
{
	uint32_t i;

	if (guest->fd >= 0)
		close(guest->fd);
	for (i = 0; i < 2; i++) {
		close(guest->kicks[i]);
		close(guest->calls[i]);
		driver_fini(&guest->rings[i]);
	}
	munmap(guest->memory, MEMORY_BYTES);
	close(guest->memory_fd);
}
