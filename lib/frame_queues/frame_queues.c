/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is shared is one piece of DPDK memory, the struct and then the two rings;
 * each process has a hold of its own, with its own descriptors of the wakes.
 *
 * Shutting down needs no order of its own with the frames: the flag is set, then
 * each wake closed, and a sleeper that arms looks at the flag once more. Who has
 * seen the flag may leave frames behind: the last reference frees them, when by
 * definition nobody pushes or pops.
 */
#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_ring.h>
#include <rte_string_fns.h>

#include "weir_error.h"
#include "weir_frame_queues.h"

static void frame_queues_info(struct weir_object *object, struct rte_tel_data *dict);
static void frame_queues_stats(struct weir_object *object, struct rte_tel_data *dict);

static struct weir_class frame_queues_class = {
	.room = "frame_queues",
	.info = frame_queues_info,
	.stats = frame_queues_stats,
};

static struct weir_frame_queues *
from_object(struct weir_object *object)
{
	return RTE_PTR_SUB(object, offsetof(struct weir_frame_queues, object));
}

#define MULTI (WEIR_FRAME_QUEUES_MULTI_GUEST | WEIR_FRAME_QUEUES_MULTI_HOST)

/* Bytes of one way's ring; an rte_ring keeps a slot more, a power of two. */
static size_t
ring_bytes(uint32_t capacity, unsigned int flags)
{
	if (flags & MULTI)
		return RTE_ALIGN_CEIL(rte_ring_get_memsize(rte_align32pow2(capacity + 1)),
				      WEIR_FRAME_RING_ALIGN);
	return weir_frame_ring_bytes(capacity);
}

static int
rings_init(struct weir_frame_queues_shared *shared, const char *name, uint32_t capacity,
	   unsigned int flags)
{
	bool multi_guest = flags & WEIR_FRAME_QUEUES_MULTI_GUEST;
	bool multi_host = flags & WEIR_FRAME_QUEUES_MULTI_HOST;
	const unsigned int single[WEIR_FRAME_WAYS] = {
		[WEIR_GUEST_TO_HOST] =
			(multi_guest ? 0 : RING_F_SP_ENQ) | (multi_host ? 0 : RING_F_SC_DEQ),
		[WEIR_HOST_TO_GUEST] =
			(multi_host ? 0 : RING_F_SP_ENQ) | (multi_guest ? 0 : RING_F_SC_DEQ),
	};
	char *place = RTE_PTR_ALIGN_CEIL((char *)(shared + 1), WEIR_FRAME_RING_ALIGN);
	char ring_name[RTE_RING_NAMESIZE];
	unsigned int way;
	int ret = 0;

	shared->capacity = capacity;
	/* For whoever looks with a debugger: these rings are in no list. */
	rte_strscpy(ring_name, name, sizeof(ring_name));
	for (way = 0; way < WEIR_FRAME_WAYS && ret == 0; way++) {
		if (flags & MULTI) {
			shared->multi[way] = (struct rte_ring *)place;
			ret = rte_ring_init(shared->multi[way], ring_name, capacity,
					    single[way] | RING_F_EXACT_SZ);
		} else {
			shared->ring[way] = (struct weir_frame_ring *)place;
			weir_frame_ring_init(shared->ring[way], capacity);
		}
		place += ring_bytes(capacity, flags);
	}
	return ret;
}

/* The three of a hold beside their words and keys. */
struct wakes {
	struct weir_wake *wake[3];
	struct weir_wake_word *word[3];
};

static struct wakes
wakes_of(struct weir_frame_queues *fq)
{
	return (struct wakes){
		.wake = {&fq->guest_wake, &fq->host_wake, &fq->relay_wake},
		.word = {&fq->shared->guest_word, &fq->shared->host_word, &fq->shared->relay_word},
	};
}

static int
wakes_init(struct weir_frame_queues *fq, unsigned int flags)
{
	unsigned int wake_flags = (flags & WEIR_FRAME_QUEUES_SHARED ? WEIR_WAKE_SHARED : 0) |
				  (flags & WEIR_FRAME_QUEUES_FENCED ? WEIR_WAKE_FENCED : 0);
	struct wakes wakes = wakes_of(fq);
	unsigned int i;
	int ret;

	for (i = 0; i < RTE_DIM(wakes.wake); i++) {
		ret = weir_wake_init(wakes.wake[i], wakes.word[i], wake_flags);
		if (ret != 0) {
			while (i-- > 0)
				weir_wake_fini(wakes.wake[i]);
			return ret;
		}
	}
	return 0;
}

static void
wakes_fini(struct weir_frame_queues *fq)
{
	struct wakes wakes = wakes_of(fq);
	unsigned int i;

	for (i = 0; i < RTE_DIM(wakes.wake); i++)
		weir_wake_fini(wakes.wake[i]);
}

static void
room_reset(struct weir_frame_queues_shared *shared)
{
	uint32_t n = shared->guest_word.flags & WEIR_WAKE_FENCED ? 1 : 0;

	shared->n_wanting_room[WEIR_GUEST_TO_HOST] = n;
	shared->n_wanting_room[WEIR_HOST_TO_GUEST] = n;
}

static struct weir_frame_queues *
hold_new(struct weir_frame_queues_shared *shared)
{
	/* Lines of its own, which nobody writes once it is in use. */
	struct weir_frame_queues *fq =
		aligned_alloc(alignof(struct weir_frame_queues), sizeof(*fq));

	if (fq != NULL) {
		memset(fq, 0, sizeof(*fq));
		fq->shared = shared;
		fq->n_refs = 1;
	}
	return fq;
}

/* Once the rings are there: for the short way to them. */
static void
hold_rings(struct weir_frame_queues *fq)
{
	fq->ring[WEIR_GUEST_TO_HOST] = fq->shared->ring[WEIR_GUEST_TO_HOST];
	fq->ring[WEIR_HOST_TO_GUEST] = fq->shared->ring[WEIR_HOST_TO_GUEST];
}

struct weir_frame_queues *
weir_frame_queues_create(const char *name, uint32_t capacity, unsigned int flags, int numa_node)
{
	struct weir_frame_queues_shared *shared;
	struct weir_frame_queues *fq;
	int ret;

	ret = weir_object_check_name(name);
	if (ret != 0)
		goto fail;
	if (capacity == 0 || capacity > WEIR_FRAME_QUEUES_CAPACITY_MAX) {
		ret = weir_error(EINVAL, "frame queues '%s': capacity %u: 1 to %u are allowed",
				 name, capacity, WEIR_FRAME_QUEUES_CAPACITY_MAX);
		goto fail;
	}
	shared = rte_zmalloc_socket("weir_frame_queues",
				    RTE_ALIGN_CEIL(sizeof(*shared), WEIR_FRAME_RING_ALIGN) +
					    WEIR_FRAME_WAYS * ring_bytes(capacity, flags),
				    WEIR_FRAME_RING_ALIGN, numa_node);
	fq = hold_new(shared);
	if (shared == NULL || fq == NULL) {
		ret = weir_error(ENOMEM, "frame queues '%s': no memory for %u frames", name,
				 capacity);
		goto fail_free;
	}
	ret = rings_init(shared, name, capacity, flags);
	if (ret != 0) {
		weir_error(-ret, "frame queues '%s': no rings of %u frames", name, capacity);
		goto fail_free;
	}
	hold_rings(fq);
	ret = wakes_init(fq, flags);
	if (ret != 0)
		goto fail_free;
	room_reset(shared);
	fq->is_owner = true;
	ret = weir_object_add(&frame_queues_class, &fq->object, name);
	if (ret != 0)
		goto fail_wakes;
	return fq;

fail_wakes:
	wakes_fini(fq);
fail_free:
	free(fq);
	rte_free(shared);
fail:
	rte_errno = -ret;
	return NULL;
}

struct weir_frame_queues *
weir_frame_queues_ref(struct weir_frame_queues *fq)
{
	__atomic_fetch_add(&fq->n_refs, 1, __ATOMIC_RELAXED);
	return fq;
}

uint32_t
weir_frame_queues_push_multi(const struct weir_frame_queues *fq, enum weir_frame_way way,
			     struct rte_mbuf *const *frames, uint32_t n)
{
	return rte_ring_enqueue_burst(fq->shared->multi[way], (void *const *)frames, n, NULL);
}

uint32_t
weir_frame_queues_pop_multi(const struct weir_frame_queues *fq, enum weir_frame_way way,
			    struct rte_mbuf **frames, uint32_t n)
{
	return rte_ring_dequeue_burst(fq->shared->multi[way], (void **)frames, n, NULL);
}

uint32_t
weir_frame_queues_count_multi(const struct weir_frame_queues *fq, enum weir_frame_way way)
{
	/* As rte_ring_count(), which reads what others write without saying so to the compiler. */
	const struct rte_ring *ring = fq->shared->multi[way];
	uint32_t cons = __atomic_load_n(&ring->cons.tail, __ATOMIC_ACQUIRE);
	uint32_t prod = __atomic_load_n(&ring->prod.tail, __ATOMIC_ACQUIRE);
	uint32_t count = (prod - cons) & ring->mask;

	return RTE_MIN(count, ring->capacity);
}

static void
free_frames(struct weir_frame_queues *fq, enum weir_frame_way way)
{
	struct rte_mbuf *frames[64];
	uint16_t n;

	while ((n = weir_frame_queues_pop(fq, way, frames, RTE_DIM(frames))) > 0)
		rte_pktmbuf_free_bulk(frames, n);
}

void
weir_frame_queues_unref(struct weir_frame_queues *fq)
{
	/* Release: this user's pushes and pops are over; acquire: the last sees all of them. */
	if (fq == NULL || __atomic_sub_fetch(&fq->n_refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (fq->is_owner) {
		weir_object_remove(&frame_queues_class, &fq->object);
		free_frames(fq, WEIR_GUEST_TO_HOST);
		free_frames(fq, WEIR_HOST_TO_GUEST);
	}
	wakes_fini(fq);
	if (fq->is_owner)
		rte_free(fq->shared);
	free(fq);
}

struct weir_frame_queues *
weir_frame_queues_find(const char *name)
{
	struct weir_frame_queues *found = NULL;
	struct weir_object *object;
	uint32_t refs;

	/* The lock keeps weir_object_remove(), hence the memory, from passing. */
	pthread_mutex_lock(&frame_queues_class.lock);
	TAILQ_FOREACH(object, &frame_queues_class.objects, next) {
		if (strcmp(object->name, name) != 0)
			continue;
		found = from_object(object);
		refs = __atomic_load_n(&found->n_refs, __ATOMIC_RELAXED);
		/* Without references it is on its way out. */
		do {
			if (refs == 0) {
				found = NULL;
				break;
			}
		} while (!__atomic_compare_exchange_n(&found->n_refs, &refs, refs + 1, false,
						      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
		break;
	}
	pthread_mutex_unlock(&frame_queues_class.lock);
	if (found == NULL) {
		weir_error(ENOENT, "no frame queues are named '%s'", name);
		rte_errno = ENOENT;
	}
	return found;
}

void
weir_frame_queues_export(const struct weir_frame_queues *fq,
			 struct weir_frame_queues_export *export)
{
	*export = (struct weir_frame_queues_export){
		.shared = fq->shared,
		.fds = {fq->guest_wake.fd, fq->host_wake.fd, fq->relay_wake.fd},
	};
}

struct weir_frame_queues *
weir_frame_queues_import(const struct weir_frame_queues_export *export)
{
	struct weir_frame_queues *fq = hold_new(export->shared);
	struct wakes wakes;
	unsigned int i;
	int ret;

	if (fq == NULL) {
		ret = weir_error(ENOMEM, "frame queues: no memory to hold them");
		goto fail;
	}
	hold_rings(fq);
	wakes = wakes_of(fq);
	for (i = 0; i < RTE_DIM(wakes.wake); i++) {
		ret = weir_wake_attach(wakes.wake[i], wakes.word[i], export->fds[i]);
		if (ret != 0)
			goto fail;
	}
	return fq;

fail:
	free(fq);
	for (i = 0; i < RTE_DIM(export->fds); i++)
		close(export->fds[i]);
	rte_errno = -ret;
	return NULL;
}

void
weir_frame_queues_reset(struct weir_frame_queues *fq)
{
	struct wakes wakes = wakes_of(fq);
	unsigned int i;

	for (i = 0; i < RTE_DIM(wakes.wake); i++)
		weir_wake_reset(wakes.wake[i]);
	for (i = 0; i < WEIR_FRAME_WAYS; i++) {
		if (fq->ring[i] != NULL)
			weir_frame_ring_reset(fq->ring[i]);
		else
			rte_ring_reset(fq->shared->multi[i]);
	}
	room_reset(fq->shared);
	fq->shared->shutting_down = 0;
}

void
weir_frame_queues_begin_shutdown(struct weir_frame_queues *fq)
{
	__atomic_store_n(&fq->shared->shutting_down, 1, __ATOMIC_RELEASE);
	weir_wake_close(&fq->guest_wake);
	weir_wake_close(&fq->host_wake);
	weir_wake_close(&fq->relay_wake);
}

static void
frame_queues_info(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_frame_queues *fq = from_object(object);

	rte_tel_data_add_dict_u64(dict, "capacity_frames", weir_frame_queues_capacity(fq));
	rte_tel_data_add_dict_u64(dict, "references",
				  __atomic_load_n(&fq->n_refs, __ATOMIC_RELAXED));
	rte_tel_data_add_dict_string(dict, "shutting_down",
				     weir_frame_queues_is_shutting_down(fq) ? "yes" : "no");
}

static void
frame_queues_stats(struct weir_object *object, struct rte_tel_data *dict)
{
	static const char *const wakes[] = {"guest_wake", "host_wake", "relay_wake"};
	const struct weir_frame_queues *fq = from_object(object);
	const struct weir_wake_word *words[] = {&fq->shared->guest_word, &fq->shared->host_word,
						&fq->shared->relay_word};
	char key[RTE_TEL_MAX_STRING_LEN];
	unsigned int i;

	rte_tel_data_add_dict_u64(dict, "guest_to_host_frames",
				  weir_frame_queues_count(fq, WEIR_GUEST_TO_HOST));
	rte_tel_data_add_dict_u64(dict, "host_to_guest_frames",
				  weir_frame_queues_count(fq, WEIR_HOST_TO_GUEST));
	for (i = 0; i < RTE_DIM(wakes); i++) {
		snprintf(key, sizeof(key), "%s_arms", wakes[i]);
		rte_tel_data_add_dict_u64(dict, key,
					  __atomic_load_n(&words[i]->n_arms, __ATOMIC_RELAXED));
		snprintf(key, sizeof(key), "%s_writes", wakes[i]);
		rte_tel_data_add_dict_u64(dict, key,
					  __atomic_load_n(&words[i]->n_writes, __ATOMIC_RELAXED));
	}
}

WEIR_CLASS_REGISTER(frame_queues_class);
