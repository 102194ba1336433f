/* SPDX-License-Identifier: BSD-3-Clause */
/* Points and captures, and the tees that connect them. */
#include <stdlib.h>
#include <string.h>

#include "capture.h"

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, weir_capture_point) points = TAILQ_HEAD_INITIALIZER(points);
static TAILQ_HEAD(, capture) captures = TAILQ_HEAD_INITIALIZER(captures);

void
capture_registry_lock(void)
{
	pthread_mutex_lock(&registry);
}

void
capture_registry_unlock(void)
{
	pthread_mutex_unlock(&registry);
}

bool
capture_guest_is_known(const char *guest)
{
	const struct weir_capture_point *point;

	TAILQ_FOREACH(point, &points, next)
		if (strcmp(point->guest, guest) == 0)
			return true;
	return false;
}

struct capture *
capture_find(const char *name)
{
	struct capture *capture;

	TAILQ_FOREACH(capture, &captures, next)
		if (strcmp(capture->keys.name, name) == 0)
			return capture;
	return NULL;
}

struct capture *
capture_first(void)
{
	return TAILQ_FIRST(&captures);
}

void
capture_unlist(struct capture *capture)
{
	TAILQ_REMOVE(&captures, capture, next);
}

/** The pair's interface in the capture's file: the one it had, or a new one. */
static struct capture_interface *
interface_of(struct capture *capture, const struct weir_capture_point *point)
{
	struct capture_interface *interface;

	TAILQ_FOREACH(interface, &capture->interfaces, next)
		if (interface->index == point->index && strcmp(interface->guest, point->guest) == 0)
			return interface;
	interface = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*interface));
	if (interface == NULL)
		return NULL;
	memset(interface, 0, sizeof(*interface));
	snprintf(interface->guest, sizeof(interface->guest), "%s", point->guest);
	interface->index = point->index;
	pthread_mutex_lock(&capture->lock);
	interface->id = capture->n_interfaces++;
	TAILQ_INSERT_TAIL(&capture->interfaces, interface, next);
	pthread_mutex_unlock(&capture->lock);
	return interface;
}

static struct weir_capture_tee *
tee_create(struct capture *capture, struct weir_capture_point *point)
{
	struct capture_interface *interface = interface_of(capture, point);
	struct weir_capture_tee *tee = NULL;

	if (interface != NULL)
		tee = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*tee));
	if (tee == NULL) {
		WEIR_LOG(capture, ERR, "capture %s: no memory for guest %s pair %u: not captured",
			 capture->keys.name, point->guest, point->index);
		return NULL;
	}
	memset(tee, 0, sizeof(*tee));
	tee->capture = capture;
	tee->point = point;
	tee->interface = interface;
	tee->filter = capture->filter;
	tee->sides = capture->keys.sides;
	/* A record fits in a block, whatever comes. */
	tee->snaplen = RTE_MIN(capture->keys.snaplen, CAPTURE_BLOCK_ROOM - pcapng_packet_len(0));
	TAILQ_INSERT_TAIL(&capture->tees, tee, of_capture);
	return tee;
}

static void
tee_free(struct weir_capture_tee *tee)
{
	TAILQ_REMOVE(&tee->capture->tees, tee, of_capture);
	free(tee);
}

static bool
names(const struct capture *capture, const struct weir_capture_point *point)
{
	return !capture->detached && point->target != NULL &&
	       strcmp(capture->keys.of,
		      capture->keys.of_endpoint ? point->endpoint : point->guest) == 0;
}

static void
link_there(void *arg)
{
	tee_link(arg);
}

static void
unlink_there(void *arg)
{
	tee_unlink(arg);
}

/** List a capture, and begin at every point that it names. */
void
capture_attach_all(struct capture *capture)
{
	struct weir_capture_point *point;
	struct weir_capture_tee *tee;

	TAILQ_INSERT_TAIL(&captures, capture, next);
	TAILQ_FOREACH(point, &points, next) {
		tee = names(capture, point) ? tee_create(capture, point) : NULL;
		if (tee != NULL)
			point->target->run(point->target, link_there, tee);
	}
}

/** End at every point; on return no lcore has anything of the capture. */
void
capture_detach_all(struct capture *capture)
{
	struct weir_capture_tee *tee;

	capture->detached = true;
	while ((tee = TAILQ_FIRST(&capture->tees)) != NULL) {
		tee->point->target->run(tee->point->target, unlink_there, tee);
		tee_free(tee);
	}
}

void
weir_capture_point_add(struct weir_capture_point *point)
{
	point->target = NULL;
	point->tees = NULL;
	capture_registry_lock();
	TAILQ_INSERT_TAIL(&points, point, next);
	capture_registry_unlock();
}

void
weir_capture_point_remove(struct weir_capture_point *point)
{
	capture_registry_lock();
	TAILQ_REMOVE(&points, point, next);
	capture_registry_unlock();
}

void
weir_capture_point_up(struct weir_capture_point *point, const char *endpoint,
		      struct weir_target *target)
{
	struct weir_capture_tee *tee;
	struct capture *capture;

	capture_registry_lock();
	point->endpoint = endpoint;
	point->target = target;
	TAILQ_FOREACH(capture, &captures, next) {
		tee = names(capture, point) ? tee_create(capture, point) : NULL;
		if (tee != NULL)
			tee_link(tee);
	}
	capture_registry_unlock();
}

void
weir_capture_point_move(struct weir_capture_point *point, struct weir_target *target)
{
	capture_registry_lock();
	if (point->target != NULL)
		point->target = target;
	capture_registry_unlock();
}

void
weir_capture_point_down(struct weir_capture_point *point)
{
	struct weir_capture_tee *tee;

	capture_registry_lock();
	point->target = NULL;
	while ((tee = point->tees) != NULL) {
		tee_unlink(tee);
		tee_free(tee);
	}
	capture_registry_unlock();
}
