/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An endpoint that fails on request: it gives frames back as loopback does, but holds
 * the ids of what was sent for a while, and its queues ask for a restart, or are gone.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "place.h"
#include "weir_rx_ids.h"

/* Ids held, at least, while more comes. */
#define HELD 32
/* Polls without anything sent, after which all are done. */
#define QUIET 100

struct fault_queue {
	struct weir_queue base;
	struct weir_rx_ids rx;
	uint16_t held[2 * VHOST_GUEST_RING];
	unsigned int n_held, quiet;
};

static _Atomic int fault;	    /* the next rx_poll answers with it */
static _Atomic bool refuses;	    /* get_queues fails */
static _Atomic unsigned int n_gets; /* queues were made */
static _Atomic(struct weir_endpoint_client *) client;

static struct fault_queue *
fault_queue(struct weir_queue *queue)
{
	return container_of(queue, struct fault_queue, base);
}

static bool
fault_poll_ready(struct weir_queue *queue, struct weir_access *access, bool arm)
{
	return fault_queue(queue)->n_held > 0 ||
	       weir_rx_ids_n_filled(&fault_queue(queue)->rx) > 0 || fault != 0;
}

static void
fault_rx_avail(struct weir_queue *queue, struct weir_access *access, const uint16_t *ids,
	       uint16_t n)
{
	weir_rx_ids_post(&fault_queue(queue)->rx, ids, n);
}

static int
fault_rx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	/* Only with ids to lose. */
	if (fault_queue(queue)->n_held >= HELD && fault != 0)
		return atomic_exchange(&fault, 0);
	return weir_rx_ids_take(&fault_queue(queue)->rx, ids, n);
}

static uint16_t
fault_tx_avail(struct weir_queue *queue, struct weir_access *access,
	       const struct weir_tx_segment *segments, uint16_t n_packets, bool *done)
{
	struct fault_queue *q = fault_queue(queue);
	uint16_t i, n = RTE_MIN(n_packets, weir_rx_ids_n_empty(&q->rx));

	*done = false;
	n = RTE_MIN(n, RTE_DIM(q->held) - q->n_held);
	if (n > 0)
		n = access->ops->write_packet_segments(access, weir_rx_ids_empty(&q->rx), NULL,
						       segments, n);
	weir_rx_ids_fill(&q->rx, n);
	for (i = 0; i < n; i++, segments += segments->n_segments)
		q->held[q->n_held++] = segments->id;
	q->quiet = 0;
	return n;
}

static int
fault_tx_poll(struct weir_queue *queue, struct weir_access *access, uint16_t *ids, uint16_t n)
{
	struct fault_queue *q = fault_queue(queue);
	unsigned int keep = ++q->quiet > QUIET ? 0 : HELD;

	n = q->n_held > keep ? RTE_MIN(n, q->n_held - keep) : 0;
	memcpy(ids, q->held, n * sizeof(*ids));
	q->n_held -= n;
	memmove(q->held, q->held + n, q->n_held * sizeof(*q->held));
	return n;
}

static void
fault_update_target(struct weir_queue *queue)
{
}

static void
fault_set_active(struct weir_queue *queue, bool active)
{
}

static void
fault_queue_inspect(const struct weir_queue *queue, struct rte_tel_data *dict)
{
}

static const struct weir_queue_ops fault_queue_ops = {
	.poll_ready = fault_poll_ready,
	.rx_avail = fault_rx_avail,
	.rx_poll = fault_rx_poll,
	.tx_avail = fault_tx_avail,
	.tx_poll = fault_tx_poll,
	.update_target = fault_update_target,
	.set_active = fault_set_active,
	.inspect = fault_queue_inspect,
};

static int
fault_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	return 0;
}

static void
fault_close(struct weir_endpoint *endpoint)
{
}

static int
fault_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *new_client,
		 struct weir_queue **queues)
{
	int rc;

	if (refuses)
		return weir_error(ENODEV, "endpoint '%s': its device is unplugged",
				  weir_endpoint_name(endpoint));
	rc = weir_queues_alloc(endpoint, &fault_queue_ops, sizeof(struct fault_queue), queues, 1);
	if (rc != 0)
		return rc;
	client = new_client;
	n_gets++;
	return weir_rx_ids_init(&fault_queue(queues[0])->rx);
}

static void
fault_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *old_client,
	   struct weir_queue **queues)
{
	weir_rx_ids_fini(&fault_queue(queues[0])->rx);
	weir_queues_free(queues, 1);
}

static uint32_t
fault_tx_offloads(const struct weir_endpoint *endpoint)
{
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
fault_link_speed(const struct weir_endpoint *endpoint)
{
	return 0;
}

static bool
fault_link_up(const struct weir_endpoint *endpoint)
{
	return true;
}

static void
fault_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
}

static const char *const fault_keys[] = {NULL};

static const struct weir_endpoint_ops fault_ops = {
	.type = "fault",
	.usage = "",
	.keys = fault_keys,
	.max_clients = 1,
	.is_ordered = true,
	.open = fault_open,
	.close = fault_close,
	.get_queues = fault_get_queues,
	.stop = fault_stop,
	.tx_offloads = fault_tx_offloads,
	.link_speed = fault_link_speed,
	.link_up = fault_link_up,
	.inspect = fault_inspect,
};

WEIR_ENDPOINT_REGISTER(fault_ops);

/** Look after the guest, as weir does, until it has its queues anew. */
static void
tend_until_made_anew(struct weir_guest *guest)
{
	uint64_t end = place_now_ms() + PLACE_PATIENCE_MS;
	unsigned int before = n_gets;

	while (n_gets == before && place_now_ms() < end) {
		weir_guest_tend(guest);
		usleep(500);
	}
	assert_int_equal(n_gets, before + 1);
}

static void
tend_until_failed(struct weir_guest *guest)
{
	uint64_t end = place_now_ms() + PLACE_PATIENCE_MS;

	while (place_state(guest) != GUEST_FAILED && place_now_ms() < end) {
		weir_guest_tend(guest);
		usleep(500);
	}
	assert_int_equal(place_state(guest), GUEST_FAILED);
}

static void
restarted_queue_loses_no_held_id(void **state)
{
	const uint64_t rings[] = {0, BIT(VIRTIO_F_RING_PACKED), BIT(VIRTIO_F_IN_ORDER)};
	unsigned int i;

	for (i = 0; i < 30; i++) {
		if (i % 10 == 0) {
			place_open(0, "fault", "", rings[i / 10]);
			vhost_guest_set(&places[0].guest.sending, true);
		}
		place_wait_more(&places[0].guest.received, 10);
		fault = WEIR_QUEUE_RESTART;
		tend_until_made_anew(places[0].port);
		place_wait_more(&places[0].guest.done, 10);
		if (i % 10 != 9)
			continue;
		assert_true(place_stats(places[0].port).tx_dropped_stopped >= HELD);
		/* Every descriptor came back, and what the queues had written was delivered. */
		place_settle(&places[0], &places[0], true);
		assert_int_equal(places[0].port->n_ups, 1);
		place_close(0);
	}
}

static void
restart_that_an_endpoint_asks_for_is_made(void **state)
{
	struct weir_endpoint_client *asking;
	unsigned int i;

	place_open(0, "fault", "", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	asking = client;
	for (i = 0; i < 10; i++) {
		place_wait_more(&places[0].guest.received, 10);
		asking->action(asking, WEIR_ENDPOINT_RESTART, true);
		tend_until_made_anew(places[0].port);
		/* Once. */
		weir_guest_tend(places[0].port);
		assert_int_equal(places[0].port->restart_asked, false);
	}
	place_settle(&places[0], &places[0], true);
	place_close(0);
}

static void
endpoint_that_is_gone_fails_its_guest_and_another_revives_it(void **state)
{
	place_open(0, "fault", "", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	place_wait_more(&places[0].guest.received, 100);
	fault = WEIR_QUEUE_FATAL;
	tend_until_failed(places[0].port);
	assert_string_equal(places[0].port->reason, "the endpoint is gone");
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("loop")), 0);
	assert_int_equal(place_state(places[0].port), GUEST_UP);
	place_wait_more(&places[0].guest.received, 1000);
	place_settle(&places[0], &places[0], false);
	place_close(0);
}

static void
restart_that_fails_says_why_and_a_later_endpoint_revives(void **state)
{
	place_open(0, "fault", "", 0);
	vhost_guest_set(&places[0].guest.sending, true);
	place_wait_more(&places[0].guest.received, 100);
	refuses = true;
	fault = WEIR_QUEUE_RESTART;
	tend_until_failed(places[0].port);
	assert_string_equal(places[0].port->reason, "endpoint 'fault': its device is unplugged");
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("loop")), 0);
	place_wait_more(&places[0].guest.received, 1000);
	/* Still unplugged: refused, and the guest stays where it is. */
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("fault")), -ENODEV);
	place_wait_more(&places[0].guest.received, 1000);
	refuses = false;
	assert_int_equal(weir_guest_swap(places[0].port, place_endpoint("fault")), 0);
	place_wait_more(&places[0].guest.received, 1000);
	place_settle(&places[0], &places[0], false);
	place_close(0);
}

static int
setup(void **state)
{
	return places_open(
		(const char *const[]){"name=fault,type=fault", "name=loop,type=loopback", NULL});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PLACES_CLAIM(restarted_queue_loses_no_held_id),
		PLACES_CLAIM(restart_that_an_endpoint_asks_for_is_made),
		PLACES_CLAIM(endpoint_that_is_gone_fails_its_guest_and_another_revives_it),
		PLACES_CLAIM(restart_that_fails_says_why_and_a_later_endpoint_revives),
	};

	return cmocka_run_group_tests(tests, setup, places_end);
}
