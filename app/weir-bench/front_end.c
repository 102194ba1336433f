/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_vhost.h>

#include "front_end.h"
#include "weir_error.h"

#define WAIT_MS 3000

/* The vhost-user messages it takes; numbers and layout as in the protocol's text. */
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
	uint32_t request;
	uint32_t flags; /* version 1 */
	uint32_t size;
	union {
		uint64_t number;
		struct {
			uint32_t index;
			uint32_t number;
		} state;
		struct {
			uint32_t index;
			uint32_t flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t n, padding;
			uint64_t guest_addr, size, user_addr, offset;
		} memory;
	} payload;
} __rte_packed;

#define MESSAGE_HEAD offsetof(struct message, payload)

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
message_send(int fd, struct message *message, uint32_t request, uint32_t size, int passed)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = message, .iov_len = MESSAGE_HEAD + size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	message->request = request;
	message->flags = 1;
	message->size = size;
	if (passed >= 0) {
		struct cmsghdr *head = (void *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &passed, sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)iov.iov_len)
		return weir_error(EIO, "the vhost library does not take message %u", request);
	return 0;
}

/* Ask for the features: answered when everything before it was. */
static int
message_features(int fd, uint64_t *features)
{
	struct message message = {0};
	int rc = message_send(fd, &message, GET_FEATURES, 0, -1);

	if (rc < 0)
		return rc;
	if (recv(fd, &message, sizeof(message), 0) < (ssize_t)(MESSAGE_HEAD + sizeof(uint64_t)))
		return weir_error(EIO, "the vhost library does not answer");
	*features = message.payload.number;
	return 0;
}

static int
front_end_ring(struct front_end *front_end, const struct plain_guest *guest, uint32_t index)
{
	const struct plain_ring *ring = &guest->rings[index];
	uint32_t base = ring->packed ? 1U << 15 : 0;
	struct message message;
	int rc;

	message.payload.state.index = index;
	message.payload.state.number = PLAIN_GUEST_RING;
	rc = message_send(front_end->fd, &message, SET_VRING_NUM, 8, -1);
	message.payload.state.number = base;
	rc = rc < 0 ? rc : message_send(front_end->fd, &message, SET_VRING_BASE, 8, -1);
	message.payload.addr.index = index;
	message.payload.addr.flags = 0;
	message.payload.addr.desc = (uintptr_t)ring->desc;
	message.payload.addr.avail = (uintptr_t)ring->avail;
	message.payload.addr.used = (uintptr_t)ring->used;
	message.payload.addr.log = 0;
	rc = rc < 0 ? rc : message_send(front_end->fd, &message, SET_VRING_ADDR, 40, -1);
	message.payload.number = index;
	rc = rc < 0 ? rc
		    : message_send(front_end->fd, &message, SET_VRING_CALL, 8,
				   front_end->calls[index]);
	message.payload.number = index;
	rc = rc < 0 ? rc
		    : message_send(front_end->fd, &message, SET_VRING_KICK, 8,
				   front_end->kicks[index]);
	return rc;
}

static int
front_end_session(struct front_end *front_end, const struct plain_guest *guest, uint64_t features)
{
	struct message message = {0};
	uint64_t offered = 0;
	int rc = message_features(front_end->fd, &offered);
	uint32_t i;

	if (rc < 0)
		return rc;
	if ((features & offered) != features)
		return weir_error(ENOTSUP, "the vhost library does not offer features 0x%lx",
				  features & ~offered);
	rc = message_send(front_end->fd, &message, SET_OWNER, 0, -1);
	message.payload.number = features;
	rc = rc < 0 ? rc : message_send(front_end->fd, &message, SET_FEATURES, 8, -1);
	message.payload.memory.n = 1;
	message.payload.memory.padding = 0;
	message.payload.memory.guest_addr = 0;
	message.payload.memory.size = guest->size;
	message.payload.memory.user_addr = (uintptr_t)guest->memory;
	message.payload.memory.offset = 0;
	rc = rc < 0 ? rc : message_send(front_end->fd, &message, SET_MEM_TABLE, 40, guest->fd);
	for (i = 0; i < 2 && rc == 0; i++)
		rc = front_end_ring(front_end, guest, i);
	return rc < 0 ? rc : message_features(front_end->fd, &offered);
}

int
front_end_open(struct front_end *front_end, struct plain_guest *guest, uint64_t features)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
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
	front_end->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(addr.sun_path, front_end->path);
	if (connect(front_end->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return weir_error(errno, "no connection to %s", front_end->path);
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
