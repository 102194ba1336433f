/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>

#include "harness.h"
#include "vhost_guest.h"

#define MEMORY_BYTES (4UL << 20)
#define BUFFER_BYTES 2048
#define HEADER_LEN 12
#define FRAME_LEN 100
#define BURST 16

/* vhost-user, "Front-end message types", and the layouts there. */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
};

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct {
			uint32_t index, number;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t n, padding;
			uint64_t guest_addr, size, user_addr, offset;
		} memory;
	} payload;
} __rte_packed;

#define MESSAGE_HEAD offsetof(struct message, payload)

static void
message_send(int fd, uint32_t request, struct message *message, uint32_t size, int passed)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = message, .iov_len = MESSAGE_HEAD + size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *head = (void *)control;

	message->request = request;
	message->flags = 1; /* the version */
	message->size = size;
	if (passed >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &passed, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), iov.iov_len);
}

static void
number_send(int fd, uint32_t request, uint64_t number, int passed)
{
	struct message message = {.payload.number = number};

	message_send(fd, request, &message, sizeof(number), passed);
}

static void
state_send(int fd, uint32_t request, uint32_t index, uint32_t number)
{
	struct message message = {.payload.state = {index, number}};

	message_send(fd, request, &message, sizeof(message.payload.state), -1);
}

/** Ask for the features: answered when everything before it was. */
static uint64_t
features_get(int fd)
{
	struct message message = {0};

	message_send(fd, GET_FEATURES, &message, 0, -1);
	assert_int_equal(recv(fd, &message, sizeof(message), 0), MESSAGE_HEAD + sizeof(uint64_t));
	return message.payload.number;
}

static void
ring_send(struct vhost_guest *guest, uint32_t index)
{
	const struct driver *driver = &guest->rings[index];
	struct message addr = {.payload.addr = {
				       .index = index,
				       .desc = (uintptr_t)driver->desc,
				       .avail = (uintptr_t)driver->avail,
				       .used = (uintptr_t)driver->used,
			       }};

	state_send(guest->fd, SET_VRING_NUM, index, driver->size);
	state_send(guest->fd, SET_VRING_BASE, index, driver->packed ? 1U << 15 : 0);
	message_send(guest->fd, SET_VRING_ADDR, &addr, sizeof(addr.payload.addr), -1);
	number_send(guest->fd, SET_VRING_CALL, index, guest->calls[index]);
	number_send(guest->fd, SET_VRING_KICK, index, guest->kicks[index]);
}

static void
session_start(struct vhost_guest *guest, uint64_t features)
{
	struct message table = {.payload.memory = {
					.n = 1,
					.guest_addr = GUEST_BASE,
					.size = MEMORY_BYTES,
					.user_addr = (uintptr_t)guest->memory,
				}};

	assert_int_equal(features & ~features_get(guest->fd), 0);
	number_send(guest->fd, SET_OWNER, 0, -1);
	number_send(guest->fd, SET_FEATURES, features, -1);
	message_send(guest->fd, SET_MEM_TABLE, &table, sizeof(table.payload.memory),
		     guest->memory_fd);
	ring_send(guest, 0);
	ring_send(guest, 1);
	features_get(guest->fd);
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
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	*guest = (struct vhost_guest){.fd = -1};
	memory_open(guest);
	rings_open(guest, features);
	if (path == NULL)
		return;
	guest->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(guest->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	session_start(guest, features);
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
