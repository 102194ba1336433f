/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "uring.h"
#include "weir_error.h"

WEIR_LOG_REGISTER(uring);

static bool
conf_is_sound(const struct weir_uring_conf *conf)
{
	return conf->owner != NULL && conf->entries > 0 &&
	       conf->entries <= WEIR_URING_ENTRIES_MAX &&
	       conf->completions <= 4 * WEIR_URING_ENTRIES_MAX;
}

/** What the administrator's switch says; empty where there is none. */
static void
switch_read(char *text, size_t size)
{
	FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	int value;

	*text = '\0';
	if (file == NULL)
		return;
	if (fscanf(file, "%d", &value) == 1 && value != 0)
		snprintf(text, size, "kernel.io_uring_disabled is %d", value);
	fclose(file);
}

static int
setup_error(const struct weir_uring_conf *conf, int err)
{
	char reason[64];

	switch (err) {
	case ENOSYS:
	case EPERM:
	case EACCES:
		switch_read(reason, sizeof(reason));
		return weir_error(err, "%s: io_uring is refused (%s): %s: allow it, or do without",
				  conf->owner, strerror(err),
				  *reason ? reason : "no kernel for it, or a seccomp filter");
	case ENOTSUP:
		return weir_error(err, "%s: io_uring is too old here: Linux 5.19 is needed",
				  conf->owner);
	default:
		return weir_error(err, "%s: no io_uring of %u entries: %s", conf->owner,
				  conf->entries, strerror(err));
	}
}

/** @return 0, or negative errno. */
static int
kernel_setup(struct weir_uring *ring, const struct weir_uring_conf *conf)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SUBMIT_ALL};
	int rc;

	if (conf->completions > 0) {
		params.flags |= IORING_SETUP_CQSIZE;
		params.cq_entries = RTE_MAX(conf->completions, rte_align32pow2(conf->entries));
	}
	if (conf->sqpoll_idle_ms > 0) {
		params.flags |= IORING_SETUP_SQPOLL;
		params.sq_thread_idle = conf->sqpoll_idle_ms;
	}
	if (conf->sqpoll_with != NULL && !conf->sqpoll_with->plain) {
		params.flags |= IORING_SETUP_ATTACH_WQ;
		params.wq_fd = conf->sqpoll_with->io.ring_fd;
	}
	rc = io_uring_queue_init_params(conf->entries, &ring->io, &params);
	if (rc != 0)
		return rc == -EINVAL ? -ENOTSUP : rc; /* flags that it does not know */
	rc = io_uring_register_buffers_sparse(&ring->io, REGIONS_MAX);
	if (rc != 0) {
		io_uring_queue_exit(&ring->io);
		return rc == -EINVAL ? -ENOTSUP : rc;
	}
	return 0;
}

static int
plain_setup(struct weir_uring *ring, uint32_t completions)
{
	ring->done_size = completions;
	ring->done = calloc(ring->done_size, sizeof(*ring->done));
	if (ring->done == NULL)
		return weir_error(ENOMEM, "%s: no memory for %u completions", ring->owner,
				  ring->done_size);
	ring->plain = true;
	return 0;
}

/** Said once for all rings: the machine will not have changed its mind. */
static void
plain_say(void)
{
	static bool said;

	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		WEIR_LOG(uring, NOTICE, "%s; plain system calls serve instead", weir_error_text());
}

struct weir_uring *
weir_uring_create(const struct weir_uring_conf *conf)
{
	struct weir_uring *ring;
	int rc;

	if (!conf_is_sound(conf)) {
		rte_errno = -weir_error(EINVAL, "%s: a ring of %u entries: 1 to %u are allowed",
					conf->owner != NULL ? conf->owner : "io_uring",
					conf->entries, WEIR_URING_ENTRIES_MAX);
		return NULL;
	}
	ring = calloc(1, sizeof(*ring));
	if (ring == NULL) {
		rte_errno = -weir_error(ENOMEM, "%s: no memory for a ring", conf->owner);
		return NULL;
	}
	ring->owner = conf->owner;
	ring->plain_allowed = conf->plain_allowed;
	ring->rw_flags = conf->no_wait ? RWF_NOWAIT : 0;
	ring->done_size = conf->completions > 0 ? conf->completions : 2 * conf->entries;
	rc = kernel_setup(ring, conf);
	if (rc != 0) {
		rc = setup_error(conf, -rc);
		if (ring->plain_allowed) {
			plain_say();
			rc = plain_setup(ring, ring->done_size);
		}
	}
	if (rc == 0)
		return ring;
	free(ring);
	rte_errno = -rc;
	return NULL;
}

int
weir_uring_free(struct weir_uring *ring)
{
	if (ring == NULL)
		return 0;
	if (ring->n_pools > 0 || ring->n_in_flight > 0)
		return weir_error(EBUSY,
				  "%s: the ring has %u pools and %u requests in flight: cancel "
				  "these, free those first",
				  ring->owner, ring->n_pools, ring->n_in_flight);
	if (!ring->plain)
		io_uring_queue_exit(&ring->io);
	free(ring->done);
	free(ring);
	return 0;
}

int
weir_uring_helpers_here(struct weir_uring *ring)
{
	cpu_set_t cores;

	if (ring->plain)
		return 0;
	if (sched_getaffinity(0, sizeof(cores), &cores) != 0)
		return -errno;
	return io_uring_register_iowq_aff(&ring->io, sizeof(cores), &cores);
}

bool
ring_turn_plain(struct weir_uring *ring, int rc)
{
	if (rc == 0 || !ring->plain_allowed || ring->plain || ring->n_in_flight > 0)
		return false;
	plain_say();
	if (plain_setup(ring, ring->done_size) != 0)
		return false;
	io_uring_queue_exit(&ring->io); /* with what was registered */
	return true;
}

bool
weir_uring_is_plain(const struct weir_uring *ring)
{
	return ring->plain;
}

int
weir_uring_fd(const struct weir_uring *ring)
{
	return ring->plain ? -1 : ring->io.ring_fd;
}

int
weir_uring_check_file(const struct weir_uring *ring, int fd)
{
	char path[64], name[128] = "";
	struct stat info;
	ssize_t len;

	if (fstat(fd, &info) != 0)
		return weir_error(errno, "%s: file descriptor %d: %s", ring->owner, fd,
				  strerror(errno));
	switch (info.st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	case S_IFDIR:
		return weir_error(EISDIR,
				  "%s: file descriptor %d is a directory: a file, a device, a "
				  "pipe or a socket is needed",
				  ring->owner, fd);
	default:
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, name, sizeof(name) - 1);
		return weir_error(EINVAL,
				  "%s: file descriptor %d is of an unknown type (%s): a file, a "
				  "device, a pipe or a socket is needed",
				  ring->owner, fd, len > 0 ? name : "no name");
	}
}

int
ring_region_add(struct weir_uring *ring, void *base, size_t bytes)
{
	struct iovec iov = {base, bytes};
	struct rlimit limit = {0};
	unsigned int region = 0;
	__u64 tag = 0;
	int rc;

	while (region < REGIONS_MAX && ring->region_used[region])
		region++;
	if (region == REGIONS_MAX)
		return weir_error(ENOSPC, "%s: more than %d pieces of memory are to be registered",
				  ring->owner, REGIONS_MAX);
	rc = io_uring_register_buffers_update_tag(&ring->io, region, &iov, &tag, 1);
	if (rc == 1) {
		ring->region_used[region] = true;
		return region;
	}
	if (rc != -ENOMEM)
		return weir_error(rc < 0 ? -rc : EFAULT, "%s: %zu KB cannot be registered: %s",
				  ring->owner, bytes >> 10, strerror(rc < 0 ? -rc : EFAULT));
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return weir_error(ENOMEM,
			  "%s: %zu KB of buffers cannot be locked: the limit is %llu KB: raise it "
			  "(ulimit -l, LimitMEMLOCK=), or give CAP_IPC_LOCK",
			  ring->owner, bytes >> 10, (unsigned long long)limit.rlim_cur >> 10);
}

void
ring_region_remove(struct weir_uring *ring, uint16_t region)
{
	struct iovec none = {NULL, 0};
	__u64 tag = 0;

	if (ring->plain || region == REGION_NONE)
		return;
	io_uring_register_buffers_update_tag(&ring->io, region, &none, &tag, 1);
	ring->region_used[region] = false;
}

int
ring_pool_add(struct weir_uring *ring, struct weir_uring_pool *pool)
{
	uint16_t i = 0;

	while (i < POOLS_MAX && ring->pools[i] != NULL)
		i++;
	if (i == POOLS_MAX)
		return weir_error(ENOSPC, "%s: a ring has %d pools at most", ring->owner,
				  POOLS_MAX);
	ring->pools[i] = pool;
	ring->n_pools++;
	pool->number = i;
	return 0;
}

void
ring_pool_remove(struct weir_uring *ring, struct weir_uring_pool *pool)
{
	ring->pools[pool->number] = NULL;
	ring->n_pools--;
}

static uint64_t
counter_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void
weir_uring_stats(const struct weir_uring *ring, struct weir_uring_stats *stats)
{
	stats->submitted = counter_get(&ring->stats.submitted);
	stats->completed = counter_get(&ring->stats.completed);
	stats->failed = counter_get(&ring->stats.failed);
	stats->shortened = counter_get(&ring->stats.shortened);
	stats->full = counter_get(&ring->stats.full);
	stats->overflows = counter_get(&ring->stats.overflows);
}
