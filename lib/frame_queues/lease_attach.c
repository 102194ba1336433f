/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a host side comes and goes, on the owner's side.
 *
 * It comes by a request over DPDK's channel between processes (rte_mp), or by a call
 * in the same process. It goes when its end of a pair of sockets closes, which the kernel
 * sees to in every case; a process id would not do, since a process may be in
 * another container. One thread an attached host side waits for that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "lease_owner.h"
#include "weir_error.h"
#include "weir_log.h"

WEIR_LOG_REGISTER(frame_queues);

/** How long a host side has to detach once the endpoint goes. */
#define LEAVE_MS 2000

static pthread_mutex_t leases_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, weir_frame_lease) leases = TAILQ_HEAD_INITIALIZER(leases);
static bool leases_served; /* requests are answered */

static bool
is_hung_up(int life_fd, int timeout_ms)
{
	struct pollfd fd = {.fd = life_fd};
	int rc;

	do {
		rc = poll(&fd, 1, timeout_ms);
	} while (rc < 0 && errno == EINTR);
	return rc > 0;
}

/* Until the host side is gone, or has been told to leave and has not. */
static void *
watcher_main(void *arg)
{
	struct weir_frame_lease *lease = arg;
	struct pollfd fds[2] = {{.fd = lease->life_fd}, {.fd = lease->leave_fds[0]}};
	bool has_said;
	char byte;

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[0].revents == 0 && !is_hung_up(lease->life_fd, LEAVE_MS))
		return NULL;
	has_said = read(lease->life_fd, &byte, sizeof(byte)) == sizeof(byte);
	lease->conf.run(lease->conf.arg, lease_reclaim, lease);
	pthread_mutex_lock(&lease->lock);
	close(lease->life_fd);
	lease->life_fd = -1;
	pthread_mutex_unlock(&lease->lock);
	WEIR_LOG(frame_queues, INFO, "the host side of '%s' has %s", lease->name,
		 has_said ? "detached" : "gone without detaching");
	return NULL;
}

/* Collect a watcher that has done its work. The lease's lock is held. */
static void
watcher_join(struct weir_frame_lease *lease)
{
	if (!lease->watched)
		return;
	pthread_join(lease->watcher, NULL);
	close(lease->leave_fds[0]);
	if (lease->leave_fds[1] >= 0)
		close(lease->leave_fds[1]);
	lease->watched = false;
}

static int
watcher_start(struct weir_frame_lease *lease)
{
	int rc;

	if (pipe2(lease->leave_fds, O_CLOEXEC) != 0)
		return -errno;
	rc = rte_ctrl_thread_create(&lease->watcher, "weir-frames", NULL, watcher_main, lease);
	if (rc != 0) {
		close(lease->leave_fds[0]);
		close(lease->leave_fds[1]);
		return rc;
	}
	lease->watched = true;
	return 0;
}

static int
grant_make(struct weir_frame_lease *lease, struct lease_grant *grant)
{
	struct weir_frame_queues_export export;
	unsigned int i;

	weir_frame_queues_export(lease->fq, &export);
	grant->shared = lease->shared;
	for (i = 0; i < RTE_DIM(grant->fds); i++) {
		grant->fds[i] = fcntl(export.fds[i], F_DUPFD_CLOEXEC, 0);
		if (grant->fds[i] < 0) {
			int rc = -errno;

			while (i-- > 0)
				close(grant->fds[i]);
			return rc;
		}
	}
	return 0;
}

static void
grant_close(struct lease_grant *grant)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(grant->fds); i++)
		close(grant->fds[i]);
}

static int
attach_locked(struct weir_frame_lease *lease, int life_fd, struct lease_grant *grant)
{
	int rc;

	if (lease->life_fd >= 0)
		return is_hung_up(lease->life_fd, 0)
			       ? weir_error(EAGAIN, "frames '%s': the host side before is leaving",
					    lease->name)
			       : weir_error(EBUSY, "frames '%s': a host side is attached already",
					    lease->name);
	watcher_join(lease);
	rc = grant_make(lease, grant);
	if (rc != 0)
		return weir_error(-rc, "frames '%s': no descriptors: %s", lease->name,
				  strerror(-rc));
	lease->life_fd = life_fd;
	/* Before the watcher, which may find it gone already. */
	lease->conf.run(lease->conf.arg, lease_begin, lease);
	rc = watcher_start(lease);
	if (rc != 0) {
		lease->conf.run(lease->conf.arg, lease_reclaim, lease);
		lease->life_fd = -1;
		grant_close(grant);
		return weir_error(-rc, "frames '%s': no thread: %s", lease->name, strerror(-rc));
	}
	__atomic_fetch_add(&lease->n_attaches, 1, __ATOMIC_RELAXED);
	return 0;
}

int
lease_attach(const char *name, int life_fd, struct lease_grant *grant)
{
	struct weir_frame_lease *lease;
	int rc = 0;

	pthread_mutex_lock(&leases_lock);
	TAILQ_FOREACH(lease, &leases, next)
		if (strcmp(lease->name, name) == 0)
			break;
	if (lease == NULL) {
		rc = weir_error(ENOENT, "no endpoint of type frames is named '%s'", name);
	} else {
		pthread_mutex_lock(&lease->lock);
		rc = attach_locked(lease, life_fd, grant);
		pthread_mutex_unlock(&lease->lock);
	}
	pthread_mutex_unlock(&leases_lock);
	if (rc == 0)
		WEIR_LOG(frame_queues, INFO, "a host side has attached to '%s'", name);
	return rc;
}

/* On DPDK's thread for requests. */
static int
request_serve(const struct rte_mp_msg *msg, const void *peer)
{
	struct lease_answer answer = {.rc = -EINVAL};
	struct lease_grant grant = {0};
	struct rte_mp_msg reply = {.len_param = sizeof(answer)};
	struct lease_request request;
	int i;

	if (msg->len_param == sizeof(request) && msg->num_fds == 1) {
		memcpy(&request, msg->param, sizeof(request));
		request.name[sizeof(request.name) - 1] = '\0';
		answer.rc = lease_attach(request.name, msg->fds[0], &grant);
		if (answer.rc != 0)
			snprintf(answer.text, sizeof(answer.text), "%s", weir_error_text());
	}
	if (answer.rc == 0) {
		answer.shared = grant.shared;
		reply.num_fds = RTE_DIM(grant.fds);
		memcpy(reply.fds, grant.fds, sizeof(grant.fds));
	} else {
		for (i = 0; i < msg->num_fds; i++)
			close(msg->fds[i]);
	}
	memcpy(reply.param, &answer, sizeof(answer));
	snprintf(reply.name, sizeof(reply.name), "%s", LEASE_MP_NAME);
	/* An answer that is lost leaves a host side that gives up, and hangs up. */
	rte_mp_reply(&reply, peer);
	if (answer.rc == 0)
		grant_close(&grant);
	return 0;
}

void
lease_register(struct weir_frame_lease *lease)
{
	pthread_mutex_lock(&leases_lock);
	if (!leases_served) {
		leases_served = rte_mp_action_register(LEASE_MP_NAME, request_serve) == 0;
		if (!leases_served && lease->conf.pair == 0)
			WEIR_LOG(frame_queues, NOTICE,
				 "no other process can attach to '%s': %s (EAL runs without "
				 "shared configuration?)",
				 lease->name, rte_strerror(rte_errno));
	}
	TAILQ_INSERT_TAIL(&leases, lease, next);
	lease->registered = true;
	pthread_mutex_unlock(&leases_lock);
}

void
lease_unregister(struct weir_frame_lease *lease)
{
	pthread_mutex_lock(&leases_lock);
	TAILQ_REMOVE(&leases, lease, next);
	lease->registered = false;
	pthread_mutex_unlock(&leases_lock);
	/* From here on only the watcher uses the lease beside us. */
	if (lease->watched) {
		close(lease->leave_fds[1]);
		lease->leave_fds[1] = -1;
	}
}

bool
lease_has_left(struct weir_frame_lease *lease)
{
	bool left;

	watcher_join(lease);
	left = lease->life_fd < 0;
	if (!left)
		WEIR_LOG(frame_queues, WARNING,
			 "the host side of '%s' does not detach: its memory is kept", lease->name);
	return left;
}
