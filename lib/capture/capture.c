/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_debug.h>
#include <rte_errno.h>

#include "capture.h"
#include "weir_budget.h"
#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_sanitize.h"

RTE_LOG_REGISTER(weir_capture_logtype, weir.capture, INFO);

static struct weir_budget *host_budget; /* under the registry's lock */

/* Telemetry. */

static void
capture_info(struct weir_object *object, struct rte_tel_data *dict)
{
	static const char *const directions[] = {
		[WEIR_CAPTURE_TX] = "tx",
		[WEIR_CAPTURE_RX] = "rx",
		[WEIR_CAPTURE_TX | WEIR_CAPTURE_RX] = "both",
	};
	struct capture *capture = container_of(object, struct capture, object);
	const struct capture_keys *keys = &capture->keys;

	pthread_mutex_lock(&capture->lock);
	rte_tel_data_add_dict_string(dict, "name", object->name);
	rte_tel_data_add_dict_string(dict, "state",
				     capture->ended[0]			? "ended"
				     : capture_writer_is_asked(capture) ? "stopping"
									: "running");
	rte_tel_data_add_dict_string(dict, "reason", capture->ended);
	rte_tel_data_add_dict_string(dict, keys->of_endpoint ? "endpoint" : "guest", keys->of);
	rte_tel_data_add_dict_string(dict, "file", capture->shown_path);
	rte_tel_data_add_dict_string(dict, "io",
				     capture->shown_io != NULL ? capture->shown_io : "");
	rte_tel_data_add_dict_string(dict, "direction", directions[keys->sides]);
	rte_tel_data_add_dict_string(dict, "filter", keys->filter != NULL ? keys->filter : "");
	rte_tel_data_add_dict_u64(dict, "snaplen_bytes", keys->snaplen);
	rte_tel_data_add_dict_u64(dict, "rotate_bytes", keys->rotate_bytes);
	rte_tel_data_add_dict_u64(dict, "files_kept", keys->n_files);
	rte_tel_data_add_dict_u64(dict, "staging_bytes", keys->staging_bytes);
	rte_tel_data_add_dict_u64(dict, "interfaces", capture->n_interfaces);
	pthread_mutex_unlock(&capture->lock);
}

static uint64_t
read_count(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void
capture_stats(struct weir_object *object, struct rte_tel_data *dict)
{
	struct capture *capture = container_of(object, struct capture, object);
	uint64_t seen = 0, rejected = 0, captured = 0, bytes = 0, missed = 0, unwritten = 0;
	const struct capture_interface *interface;

	pthread_mutex_lock(&capture->lock);
	TAILQ_FOREACH(interface, &capture->interfaces, next) {
		seen += read_count(&interface->seen);
		rejected += read_count(&interface->rejected);
		captured += read_count(&interface->captured);
		bytes += read_count(&interface->captured_bytes);
		missed += read_count(&interface->missed);
		unwritten += read_count(&interface->unwritten);
	}
	pthread_mutex_unlock(&capture->lock);
	rte_tel_data_add_dict_u64(dict, "seen_packets", seen);
	rte_tel_data_add_dict_u64(dict, "rejected_by_filter", rejected);
	rte_tel_data_add_dict_u64(dict, "captured_packets", captured - unwritten);
	rte_tel_data_add_dict_u64(dict, "captured_bytes", bytes);
	rte_tel_data_add_dict_u64(dict, "missed_no_staging", missed);
	rte_tel_data_add_dict_u64(dict, "missed_not_written", unwritten);
	rte_tel_data_add_dict_u64(dict, "written_bytes", read_count(&capture->written_bytes));
	rte_tel_data_add_dict_u64(dict, "writes", read_count(&capture->n_writes));
	rte_tel_data_add_dict_u64(dict, "files", read_count(&capture->n_files));
	rte_tel_data_add_dict_u64(dict, "blocks_empty", rte_ring_count(capture->empty));
	rte_tel_data_add_dict_u64(dict, "blocks", capture->n_blocks);
}

static struct weir_class capture_class = {
	.room = "capture",
	.info = capture_info,
	.stats = capture_stats,
};

WEIR_CLASS_REGISTER(capture_class);

/* Staging. */

/* Relaxed rings: no lcore waits for another that was stopped inside of one. */
#ifndef WEIR_SANITIZE_THREAD
#define RING_MANY_ENQ RING_F_MP_RTS_ENQ
#define RING_MANY_DEQ RING_F_MC_RTS_DEQ
#else
/* They store eight bytes of which the other side loads four: to the sanitizer, others. */
#define RING_MANY_ENQ 0
#define RING_MANY_DEQ 0
#endif

static struct rte_ring *
ring_create(uint32_t n, unsigned int flags)
{
	unsigned int size = rte_align32pow2(n + 1);
	struct rte_ring *ring;

	ring = aligned_alloc(RTE_CACHE_LINE_SIZE,
			     RTE_CACHE_LINE_ROUNDUP(rte_ring_get_memsize(size)));
	if (ring != NULL && rte_ring_init(ring, "capture", size, flags) != 0) {
		free(ring);
		ring = NULL;
	}
	return ring;
}

/** Blocks side by side, of a pool within the host's budget. */
static int
staging_allocate(struct capture *capture, uint32_t n)
{
	const struct weir_bufpool_conf conf = {
		.buffer_bytes = CAPTURE_BLOCK_BYTES,
		.limit_bytes = (uint64_t)n * CAPTURE_BLOCK_BYTES,
		.budget = host_budget,
		.numa_node = SOCKET_ID_ANY,
	};
	char name[WEIR_OBJECT_NAMESIZE];

	snprintf(name, sizeof(name), "capture.%.23s", capture->keys.name);
	capture->staging = weir_bufpool_create(name, &conf);
	if (capture->staging == NULL)
		return weir_error(rte_errno, "--capture: %s", weir_error_text());
	capture->memory = weir_bufpool_try_alloc(capture->staging, n);
	if (capture->memory != NULL)
		return 0;
	return weir_error(rte_errno,
			  "--capture: staging=%lu bytes do not fit %s: less staging, or "
			  "more of that",
			  (unsigned long)conf.limit_bytes,
			  rte_errno == ENOMEM ? "EAL's memory (-m)" : "--budget");
}

static int
staging_create(struct capture *capture)
{
	uint32_t i, n = capture->keys.staging_bytes / CAPTURE_BLOCK_BYTES;
	int rc = staging_allocate(capture, n);

	if (rc != 0)
		return rc;
	capture->empty = ring_create(n, RING_F_SP_ENQ | RING_MANY_DEQ);
	capture->full = ring_create(n, RING_MANY_ENQ | RING_F_SC_DEQ);
	capture->blocks = aligned_alloc(RTE_CACHE_LINE_SIZE, n * sizeof(*capture->blocks));
	if (capture->empty == NULL || capture->full == NULL || capture->blocks == NULL)
		return weir_error(ENOMEM, "--capture: no memory");
	/* A page that is touched for the first time would be the lcore's time. */
	memset(weir_bufs_first(capture->memory), 0, weir_bufs_bytes(capture->memory));
	memset(capture->blocks, 0, n * sizeof(*capture->blocks));
	capture->n_blocks = n;
	for (i = 0; i < n; i++) {
		capture->blocks[i].data = weir_bufs_at(capture->memory, i);
		rte_ring_enqueue(capture->empty, &capture->blocks[i]);
	}
	return weir_wake_init(&capture->wake, &capture->wake_word, WEIR_WAKE_FENCED);
}

static void
staging_free(struct capture *capture)
{
	if (capture->wake.word != NULL)
		weir_wake_fini(&capture->wake);
	free(capture->blocks);
	free(capture->full);
	free(capture->empty);
	weir_bufs_free(capture->memory);
	weir_bufpool_free(capture->staging, WEIR_BUFPOOL_FOREVER);
}

/* Life. */

/** Free what capture_open() made; the writer has ended, or never began. */
static void
capture_free(struct capture *capture)
{
	struct capture_interface *interface;

	while ((interface = TAILQ_FIRST(&capture->interfaces)) != NULL) {
		TAILQ_REMOVE(&capture->interfaces, interface, next);
		free(interface);
	}
	staging_free(capture);
	capture_filter_free(capture->filter);
	capture_keys_free(&capture->keys);
	pthread_mutex_destroy(&capture->lock);
	free(capture);
}

/** What it is of must be there; a guest need not be up. */
static int
capture_check(const struct capture *capture)
{
	const struct capture_keys *keys = &capture->keys;

	if (capture_find(keys->name) != NULL)
		return weir_error(EEXIST, "--capture: there is already a capture '%s'", keys->name);
	if (keys->of_endpoint ? weir_endpoint_find(keys->of) == NULL
			      : !capture_guest_is_known(keys->of))
		return weir_error(ENOENT,
				  "--capture: %s=%s: there is no such %s: see /weir/%s/list",
				  keys->of_endpoint ? "endpoint" : "guest", keys->of,
				  keys->of_endpoint ? "endpoint" : "guest",
				  keys->of_endpoint ? "endpoint" : "guest");
	return 0;
}

static int
capture_open(struct capture *capture)
{
	int rc = capture_check(capture);

	if (rc == 0 && capture->keys.filter != NULL) {
		capture->filter = capture_filter_create(capture->keys.filter);
		rc = capture->filter != NULL ? 0 : -rte_errno;
	}
	if (rc == 0)
		rc = staging_create(capture);
	if (rc != 0)
		return rc;
	capture_clock_sync();
	rc = capture_file_open(capture);
	if (rc != 0)
		return rc;
	rc = weir_object_add(&capture_class, &capture->object, capture->keys.name);
	if (rc == 0) {
		rc = capture_writer_start(capture);
		if (rc == 0)
			return 0;
		weir_object_remove(&capture_class, &capture->object);
	}
	capture_file_close(capture);
	return rc;
}

int
weir_capture_start(const char *text)
{
	struct capture *capture =
		aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(sizeof(*capture)));
	int rc;

	if (capture == NULL)
		return weir_error(ENOMEM, "--capture: no memory");
	memset(capture, 0, sizeof(*capture));
	pthread_mutex_init(&capture->lock, NULL);
	TAILQ_INIT(&capture->interfaces);
	TAILQ_INIT(&capture->tees);
	rc = capture_keys_read(&capture->keys, text);
	capture_registry_lock();
	if (rc == 0)
		rc = capture_open(capture);
	if (rc == 0) {
		WEIR_LOG(capture, INFO, "capture %s: started: %s %s to %s", capture->keys.name,
			 capture->keys.of_endpoint ? "endpoint" : "guest", capture->keys.of,
			 capture->keys.path);
		capture_attach_all(capture);
	}
	capture_registry_unlock();
	if (rc != 0)
		capture_free(capture);
	return rc;
}

/** One that somebody stops; NULL, and why not. */
static struct capture *
stop_begin(const char *name)
{
	struct capture *capture;

	capture_registry_lock();
	capture = capture_find(name);
	if (capture == NULL) {
		rte_errno = -weir_error(ENOENT, "there is no capture '%s': see /weir/capture/list",
					name);
	} else if (capture->closing) {
		rte_errno = -weir_error(EBUSY, "capture '%s' is being stopped", name);
		capture = NULL;
	} else {
		capture->closing = true;
		capture_detach_all(capture);
		capture_writer_ask(capture);
	}
	capture_registry_unlock();
	return capture;
}

/** Wait for the writer to end, and forget the capture. */
static void
stop_end(struct capture *capture)
{
	capture_writer_join(capture);
	weir_object_remove(&capture_class, &capture->object);
	capture_registry_lock();
	capture_unlist(capture);
	capture_registry_unlock();
	WEIR_LOG(capture, INFO, "capture %s: stopped", capture->keys.name);
	capture_free(capture);
}

int
weir_capture_stop_begin(const char *name)
{
	return stop_begin(name) != NULL ? 0 : -rte_errno;
}

int
weir_capture_stop_end(const char *name, unsigned int timeout_ms)
{
	struct capture *capture;

	/* It stays until we free it: nobody else ends what we have begun. */
	capture_registry_lock();
	capture = capture_find(name);
	capture_registry_unlock();
	RTE_VERIFY(capture != NULL && capture->closing);
	/* Not under the lock: the disk may be slow, or the writer want the lock to end. */
	if (!capture_writer_has_ended(capture, timeout_ms))
		return -EAGAIN;
	stop_end(capture);
	return 0;
}

int
weir_capture_stop(const char *name)
{
	struct capture *capture = stop_begin(name);

	if (capture == NULL)
		return -rte_errno;
	stop_end(capture);
	return 0;
}

void
weir_capture_stop_all(void)
{
	char name[WEIR_OBJECT_NAMESIZE];
	struct capture *capture;

	for (;;) {
		capture_registry_lock();
		capture = capture_first();
		if (capture != NULL)
			strcpy(name, capture->keys.name);
		capture_registry_unlock();
		if (capture == NULL)
			return;
		/* Somebody else does: wait until it is gone. */
		if (weir_capture_stop(name) == -EBUSY)
			usleep(1000);
	}
}

void
weir_capture_set_budget(struct weir_budget *host)
{
	capture_registry_lock();
	host_budget = host;
	capture_registry_unlock();
}
