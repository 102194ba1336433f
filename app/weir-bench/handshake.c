/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>

#include "handshake.h"
#include "weir_error.h"

#define ANSWER_SECONDS 20

/* vhost-user, "Front-end message types", and the layouts there. */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
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
			struct {
				uint64_t guest_addr, size, user_addr, offset;
			} regions[HANDSHAKE_REGIONS_MAX];
		} memory;
	} payload;
} __rte_packed;

#define MESSAGE_HEAD offsetof(struct message, payload)

static int
message_send(int fd, struct message *message, uint32_t request, uint32_t size, const int *passed,
	     uint32_t n_passed)
{
	char control[CMSG_SPACE(HANDSHAKE_REGIONS_MAX * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = message, .iov_len = MESSAGE_HEAD + size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	message->request = request;
	message->flags = 1;
	message->size = size;
	if (n_passed > 0) {
		struct cmsghdr *head = (void *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_passed * sizeof(int));
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(n_passed * sizeof(int));
		memcpy(CMSG_DATA(head), passed, n_passed * sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)iov.iov_len)
		return weir_error(EIO, "the back-end does not take message %u", request);
	return 0;
}

static int
number_send(int fd, uint32_t request, uint64_t number, const int *passed)
{
	struct message message = {.payload.number = number};

	return message_send(fd, &message, request, sizeof(number), passed, passed != NULL);
}

static int
state_send(int fd, uint32_t request, uint32_t index, uint32_t number)
{
	struct message message = {.payload.state = {index, number}};

	return message_send(fd, &message, request, sizeof(message.payload.state), NULL, 0);
}

static int
memory_send(int fd, const struct handshake_region *regions, uint32_t n)
{
	struct message message = {.payload.memory.n = n};
	int fds[HANDSHAKE_REGIONS_MAX];
	uint32_t i;

	for (i = 0; i < n; i++) {
		message.payload.memory.regions[i].guest_addr = regions[i].guest_addr;
		message.payload.memory.regions[i].size = regions[i].size;
		message.payload.memory.regions[i].user_addr = regions[i].user_addr;
		message.payload.memory.regions[i].offset = regions[i].offset;
		fds[i] = regions[i].fd;
	}
	return message_send(fd, &message, SET_MEM_TABLE,
			    offsetof(struct message, payload.memory.regions[n]) - MESSAGE_HEAD, fds,
			    n);
}

static int
ring_send(int fd, uint32_t index, const struct handshake_ring *ring)
{
	struct message addr = {.payload.addr = {
				       .index = index,
				       .desc = (uintptr_t)ring->desc,
				       .avail = (uintptr_t)ring->avail,
				       .used = (uintptr_t)ring->used,
			       }};
	int rc;

	rc = state_send(fd, SET_VRING_NUM, index, ring->size);
	/* A packed ring begins with its wrap counter at 1. */
	rc = rc < 0 ? rc : state_send(fd, SET_VRING_BASE, index, ring->packed ? 1U << 15 : 0);
	rc = rc < 0 ? rc
		    : message_send(fd, &addr, SET_VRING_ADDR, sizeof(addr.payload.addr), NULL, 0);
	rc = rc < 0 ? rc : number_send(fd, SET_VRING_CALL, index, &ring->call);
	return rc < 0 ? rc : number_send(fd, SET_VRING_KICK, index, &ring->kick);
}

int
handshake_connect(const char *path)
{
	const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return weir_error(ENAMETOOLONG, "%s: at most %zu characters are a socket's path",
				  path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return weir_error(errno, "no socket for %s: %s", path, strerror(errno));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = weir_error(errno, "no connection to %s: %s: is the back-end there?", path,
				strerror(errno));
		close(fd);
		return rc;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/** Send a message that has an answer of eight bytes, which takes its place. */
static int
message_ask(int fd, struct message *message, uint32_t request, uint32_t size)
{
	int rc = message_send(fd, message, request, size, NULL, 0);

	if (rc < 0)
		return rc;
	if (recv(fd, message, sizeof(*message), 0) < (ssize_t)(MESSAGE_HEAD + sizeof(uint64_t)))
		return weir_error(EIO, "the back-end does not answer message %u", request);
	return 0;
}

int
handshake_features(int fd, uint64_t *features)
{
	struct message message = {0};
	int rc = message_ask(fd, &message, GET_FEATURES, 0);

	if (rc == 0)
		*features = message.payload.number;
	return rc;
}

int
handshake_stop(int fd, uint32_t n_rings)
{
	uint32_t i;
	int rc = 0;

	for (i = 0; i < n_rings && rc == 0; i++) {
		struct message message = {.payload.state.index = i};

		rc = message_ask(fd, &message, GET_VRING_BASE, sizeof(message.payload.state));
	}
	return rc;
}

int
handshake_run(int fd, uint64_t features, const struct handshake_region *regions, uint32_t n_regions,
	      const struct handshake_ring *rings, uint32_t n_rings)
{
	uint64_t offered = 0;
	int rc = handshake_features(fd, &offered);
	uint32_t i;

	if (rc < 0)
		return rc;
	if ((features & offered) != features)
		return weir_error(ENOTSUP, "the back-end does not offer features 0x%lx",
				  features & ~offered);
	rc = number_send(fd, SET_OWNER, 0, NULL);
	rc = rc < 0 ? rc : number_send(fd, SET_FEATURES, features, NULL);
	rc = rc < 0 ? rc : memory_send(fd, regions, n_regions);
	for (i = 0; i < n_rings && rc == 0; i++)
		rc = ring_send(fd, i, &rings[i]);
	/* Answered when everything before it was done. */
	return rc < 0 ? rc : handshake_features(fd, &offered);
}
