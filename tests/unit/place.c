/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "harness.h"
#include "place.h"

static char dir[] = "/tmp/weir-place-XXXXXX";
static struct weir_endpoint *endpoints[8];
static unsigned int n_endpoints;

struct weir_pollers *place_pollers;
struct place places[2];

uint64_t
place_now_ms(void)
{
	return rte_get_timer_cycles() * 1000 / rte_get_timer_hz();
}

void
place_open(unsigned int n, const char *endpoint, const char *more, uint64_t features)
{
	struct place *place = &places[n];
	char keys[256];

	snprintf(place->socket, sizeof(place->socket), "%s/g%u", dir, n);
	snprintf(keys, sizeof(keys), "name=g%u,socket=%s,endpoint=%s%s", n, place->socket, endpoint,
		 more);
	place->port = weir_guest_create(keys, weir_pollers_scheduler(place_pollers), NULL);
	if (place->port == NULL)
		fail_msg("%s", weir_error_text());
	assert_int_equal(weir_guest_start(place->port), 0);
	vhost_guest_open(&place->guest, place->socket, n, GUEST_BASIC | features);
}

void
place_close(unsigned int n)
{
	if (places[n].port == NULL)
		return;
	vhost_guest_close(&places[n].guest);
	weir_guest_free(places[n].port);
	places[n].port = NULL;
}

enum guest_state
place_state(struct weir_guest *guest)
{
	enum guest_state state;

	pthread_mutex_lock(&guest->lock);
	state = guest->state;
	pthread_mutex_unlock(&guest->lock);
	return state;
}

unsigned int
place_lcore(struct weir_guest *guest)
{
	unsigned int lcore;

	pthread_mutex_lock(&guest->lock);
	lcore = guest->pairs[0]->target->lcore;
	pthread_mutex_unlock(&guest->lock);
	return lcore;
}

struct pair_stats
place_stats(struct weir_guest *guest)
{
	struct pair_stats stats = {0};

	pthread_mutex_lock(&guest->lock);
	pair_stats_add(&stats, &guest->pairs[0]->stats);
	guest->path->stats(guest->pairs[0], &stats);
	pthread_mutex_unlock(&guest->lock);
	return stats;
}

void
place_hang_up(unsigned int n)
{
	vhost_guest_close(&places[n].guest);
	while (place_state(places[n].port) != GUEST_WAITING)
		usleep(1000);
}

void
place_wait_past(const uint64_t *counter, uint64_t wanted)
{
	uint64_t end = place_now_ms() + PLACE_PATIENCE_MS;

	while (vhost_guest_count(counter) < wanted && place_now_ms() < end)
		usleep(500);
	if (vhost_guest_count(counter) < wanted)
		fail_msg("%lu of %lu after %d ms", vhost_guest_count(counter), wanted,
			 PLACE_PATIENCE_MS);
}

void
place_wait_more(const uint64_t *counter, uint64_t more)
{
	place_wait_past(counter, vhost_guest_count(counter) + more);
}

void
place_wait_until_stuck(struct vhost_guest *guest)
{
	uint64_t end = place_now_ms() + PLACE_PATIENCE_MS;
	unsigned int still = 0;

	while (still < 10 && place_now_ms() < end) {
		uint64_t out = vhost_guest_count(&guest->sent) - vhost_guest_count(&guest->done);

		still = out == VHOST_GUEST_RING ? still + 1 : 0;
		usleep(1000);
	}
	assert_int_equal(still, 10);
}

struct weir_endpoint *
place_endpoint(const char *name)
{
	struct weir_endpoint *found = weir_endpoint_find(name);

	assert_non_null(found);
	return found;
}

void
place_settle(struct place *from, struct place *to, bool lossless)
{
	vhost_guest_set(&from->guest.sending, false);
	place_wait_more(&from->guest.laps, 2);
	place_wait_past(&from->guest.done, vhost_guest_count(&from->guest.sent));
	if (lossless) {
		place_wait_past(&to->guest.received, vhost_guest_count(&from->guest.sent));
		assert_int_equal(vhost_guest_count(&to->guest.lost), 0);
	}
	assert_int_equal(vhost_guest_count(&to->guest.disorders), 0);
}

int
places_open(const char *const *keys)
{
	harness_eal();
	place_pollers = weir_pollers_start(WEIR_POLLER_IDLE_US_DEFAULT);
	assert_non_null(place_pollers);
	assert_non_null(mkdtemp(dir));
	for (; *keys != NULL; keys++) {
		endpoints[n_endpoints] = weir_endpoint_create(*keys);
		if (endpoints[n_endpoints] == NULL) {
			fprintf(stderr, "%s\n", weir_error_text());
			return -1;
		}
		n_endpoints++;
	}
	return 0;
}

int
places_end(void **state)
{
	while (n_endpoints > 0)
		weir_endpoint_free(endpoints[--n_endpoints]);
	weir_pollers_stop(place_pollers);
	rmdir(dir);
	return 0;
}

int
places_close(void **state)
{
	place_close(0);
	place_close(1);
	return 0;
}
