/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host side of a lease. All of its own state is in its own process's memory:
 * what it shares are rings, of which it is the one consumer or the one producer.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "lease.h"
#include "weir_error.h"
#include "weir_flow.h"
#include "weir_frame_host.h"
#include "weir_log.h"

WEIR_LOG_DECLARE(frame_queues);

/** While the host side before is being cleaned up. */
#define ATTACH_TRIES 100
#define ATTACH_PAUSE_MS 20
#define ANSWER_SECONDS 2

struct weir_frame_host {
	struct weir_frame_queues *fq;
	struct weir_frame_ring *empty, *done;
	const struct lease_shared *shared;
	int life_fd;	  /* closes with this process, if not before */
	uint32_t relayed; /* set by any thread, taken by the one that waits */
};

/** What lease_attach() does, asked of the process that can. */
static int
attach_remote(const char *name, int life_fd, struct lease_grant *grant)
{
	const struct timespec limit = {.tv_sec = ANSWER_SECONDS};
	struct rte_mp_msg msg = {.len_param = sizeof(struct lease_request), .num_fds = 1};
	struct lease_request request = {0};
	struct lease_answer answer;
	struct rte_mp_reply reply = {0};
	int rc;

	strncpy(request.name, name, sizeof(request.name) - 1);
	snprintf(msg.name, sizeof(msg.name), "%s", LEASE_MP_NAME);
	memcpy(msg.param, &request, sizeof(request));
	msg.fds[0] = life_fd;
	if (rte_mp_request_sync(&msg, &reply, &limit) != 0 || reply.nb_received != 1) {
		rc = weir_error(rte_errno == ENOTSUP ? ENOTSUP : ETIMEDOUT,
				"frames '%s': no answer from the primary process: %s", name,
				rte_strerror(rte_errno));
		free(reply.msgs);
		return rc;
	}
	memcpy(&answer, reply.msgs[0].param, sizeof(answer));
	if (answer.rc == 0 && reply.msgs[0].num_fds != RTE_DIM(grant->fds))
		answer.rc = -EPROTO;
	if (answer.rc == 0) {
		grant->shared = answer.shared;
		memcpy(grant->fds, reply.msgs[0].fds, sizeof(grant->fds));
		rc = 0;
	} else {
		answer.text[sizeof(answer.text) - 1] = '\0';
		rc = weir_error(-answer.rc, "%s", answer.text);
	}
	free(reply.msgs);
	return rc;
}

static int
host_attach(struct weir_frame_host *host, const char *name, int *life_fd)
{
	bool is_owner = rte_eal_process_type() == RTE_PROC_PRIMARY;
	struct weir_frame_queues_export export;
	struct lease_grant grant;
	int rc, tries;

	for (tries = 0; tries < ATTACH_TRIES; tries++) {
		rc = is_owner ? lease_attach(name, *life_fd, &grant)
			      : attach_remote(name, *life_fd, &grant);
		if (rc != -EAGAIN)
			break;
		usleep(ATTACH_PAUSE_MS * 1000);
	}
	if (rc != 0)
		return rc;
	if (is_owner)
		*life_fd = -1; /* the lease's now; another process has got a copy */
	export.shared = grant.shared->queues;
	memcpy(export.fds, grant.fds, sizeof(export.fds));
	host->fq = weir_frame_queues_import(&export);
	if (host->fq == NULL)
		return -rte_errno;
	host->shared = grant.shared;
	host->empty = grant.shared->empty;
	host->done = grant.shared->done;
	return 0;
}

struct weir_frame_host *
weir_frame_host_attach(const char *endpoint, uint16_t pair)
{
	struct weir_frame_host *host = calloc(1, sizeof(*host));
	char name[LEASE_NAMESIZE];
	int life[2], rc;

	lease_name(name, endpoint, pair);
	if (host == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life) != 0) {
		rc = weir_error(errno, "frames '%s': %s", name, strerror(errno));
	} else {
		/* However this fails, the pair closes and the owner knows. */
		rc = host_attach(host, name, &life[0]);
		if (life[0] >= 0)
			close(life[0]);
		host->life_fd = life[1];
		if (rc == 0)
			return host;
		close(life[1]);
		if (rc == -ENOENT && pair > 0)
			weir_error(ENOENT, "endpoint '%s' of type frames has no queue pair %u",
				   endpoint, pair);
	}
	free(host);
	rte_errno = -rc;
	return NULL;
}

void
weir_frame_host_detach(struct weir_frame_host *host)
{
	if (host == NULL)
		return;
	weir_frame_queues_unref(host->fq);
	/* Last: the owner takes everything back. The byte tells leaving from dying. */
	if (send(host->life_fd, "", 1, MSG_NOSIGNAL) < 0)
		WEIR_LOG(frame_queues, DEBUG, "a host side detaches after its owner has gone");
	close(host->life_fd);
	free(host);
}

uint16_t
weir_frame_host_n_pairs(const struct weir_frame_host *host)
{
	return host->shared->n_pairs;
}

uint16_t
weir_frame_host_pick(const struct weir_frame_host *host, const struct rte_mbuf *frame)
{
	uint32_t active = __atomic_load_n(&host->shared->active, __ATOMIC_RELAXED);
	uint16_t skip;

	if (active == 0)
		return 0; /* no guest */
	skip = weir_flow_pick(
		weir_flow_hash(rte_pktmbuf_mtod(frame, const uint8_t *), frame->data_len),
		__builtin_popcount(active));
	for (; skip > 0; skip--)
		active &= active - 1;
	return __builtin_ctz(active);
}

uint16_t
weir_frame_host_mtu(const struct weir_frame_host *host)
{
	return __atomic_load_n(&host->shared->mtu, __ATOMIC_RELAXED);
}

uint16_t
weir_frame_host_frame_bytes(const struct weir_frame_host *host)
{
	return host->shared->frame_bytes;
}

uint16_t
weir_frame_host_receive(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n)
{
	return weir_frame_queues_pop(host->fq, WEIR_GUEST_TO_HOST, frames, n);
}

uint16_t
weir_frame_host_get(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n)
{
	return weir_frame_ring_pop(host->empty, frames, n);
}

uint16_t
weir_frame_host_send(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n)
{
	return weir_frame_queues_push(host->fq, WEIR_HOST_TO_GUEST, frames, n);
}

void
weir_frame_host_put(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n)
{
	if (n == 0)
		return;
	/* It holds all there are. */
	weir_frame_ring_push(host->done, frames, n);
	/* As weir_frame_queues_pop(): the owner may be out of frames, and asleep. */
	rte_compiler_barrier();
	if (unlikely(__atomic_load_n(&host->fq->shared->n_wanting_room[WEIR_GUEST_TO_HOST],
				     __ATOMIC_RELAXED) != 0))
		weir_wake_signal(&host->fq->host_wake);
}

static bool
is_worth_a_look(const struct weir_frame_host *host, unsigned int wants)
{
	const struct weir_frame_queues *fq = host->fq;

	return __atomic_load_n(&host->relayed, __ATOMIC_ACQUIRE) != 0 ||
	       ((wants & WEIR_FRAME_HOST_FRAMES) &&
		weir_frame_queues_count(fq, WEIR_GUEST_TO_HOST) > 0) ||
	       ((wants & WEIR_FRAME_HOST_ROOM) &&
		weir_frame_queues_room(fq, WEIR_HOST_TO_GUEST) > 0) ||
	       ((wants & WEIR_FRAME_HOST_EMPTY) && weir_frame_ring_count(host->empty) > 0) ||
	       weir_frame_queues_is_shutting_down(fq);
}

/** Asleep, between arm and disarm. */
static int
host_sleep(struct weir_frame_host *host, int64_t timeout_us)
{
	struct pollfd fds[] = {
		{.fd = weir_wake_fd(&host->fq->guest_wake), .events = POLLIN},
		{.fd = weir_wake_fd(&host->fq->relay_wake), .events = POLLIN},
		/* Reports the end of the process that holds the other end. */
		{.fd = host->life_fd},
	};
	const struct timespec limit = {
		.tv_sec = timeout_us / 1000000,
		.tv_nsec = timeout_us % 1000000 * 1000,
	};
	int rc = ppoll(fds, RTE_DIM(fds), timeout_us < 0 ? NULL : &limit, NULL);

	if (rc < 0)
		return -errno;
	return fds[2].revents != 0 ? -ESHUTDOWN : rc > 0;
}

int
weir_frame_host_wait(struct weir_frame_host *host, unsigned int wants, int64_t timeout_us)
{
	const struct weir_frame_queues *fq = host->fq;
	int rc = 1;

	if (wants & WEIR_FRAME_HOST_ROOM)
		weir_frame_queues_want_room(fq, WEIR_HOST_TO_GUEST);
	weir_wake_arm_unordered(&fq->guest_wake);
	weir_wake_arm_unordered(&fq->relay_wake);
	weir_wake_order();
	if (!is_worth_a_look(host, wants))
		rc = host_sleep(host, timeout_us);
	weir_wake_disarm(&fq->guest_wake);
	weir_wake_disarm(&fq->relay_wake);
	if (wants & WEIR_FRAME_HOST_ROOM)
		weir_frame_queues_unwant_room(fq, WEIR_HOST_TO_GUEST);
	if (__atomic_exchange_n(&host->relayed, 0, __ATOMIC_ACQUIRE) != 0 && rc == 0)
		rc = 1;
	return weir_frame_queues_is_shutting_down(fq) ? -ESHUTDOWN : rc;
}

void
weir_frame_host_relay(struct weir_frame_host *host)
{
	__atomic_store_n(&host->relayed, 1, __ATOMIC_RELEASE);
	weir_wake_signal(&host->fq->relay_wake);
}
