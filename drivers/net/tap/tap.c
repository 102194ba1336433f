/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap: the host kernel, by a tap interface. Frames cross whole: a frame of 64 KB
 * that the guest or the kernel has not cut yet is one system call, and checksums
 * are left to whoever needs them.
 *
 * The interface shows a carrier while a guest is there. Frames a guest sends while
 * it is down (ip link set down) are dropped by the kernel and counted as tx_dropped;
 * frames that wait for a guest that posts no buffers wait in the kernel's own queue.
 */
#include <errno.h>
#include <unistd.h>

#include <rte_ether.h>

#include "weir_error.h"

#include "tap.h"

/** What the kernel states for every tap, see tun_get_link_ksettings(). */
#define LINK_SPEED_MBPS 10000

struct tap {
	struct tap_link link;
	bool up; /* set up with the endpoint */

	/* Of the guest that is there. */
	int fds[WEIR_QUEUES_MAX]; /* the first is the link's own */
	uint16_t n_queues;
	uint16_t mtu;
};

static struct tap *
tap_of(const struct weir_endpoint *endpoint)
{
	return weir_endpoint_state(endpoint);
}

static int
mac_parse(const struct weir_endpoint *endpoint, const char *mac, struct rte_ether_addr *addr)
{
	if (rte_ether_unformat_addr(mac, addr) == 0 && rte_is_valid_assigned_ether_addr(addr))
		return 0;
	return weir_error(EINVAL,
			  "endpoint '%s': mac=%s: the address of one station is needed, such as "
			  "02:00:00:00:00:01",
			  weir_endpoint_name(endpoint), mac);
}

static int
tap_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	struct tap *tap = tap_of(endpoint);
	const char *iface, *mac = weir_keys_get(keys, "mac");
	struct rte_ether_addr addr;
	int rc;

	tap->up = true;
	rc = weir_keys_need(keys, "iface", &iface);
	if (rc == 0)
		rc = weir_keys_switch(keys, "up", &tap->up);
	if (rc == 0 && mac != NULL)
		rc = mac_parse(endpoint, mac, &addr);
	if (rc == 0)
		rc = tap_link_open(&tap->link, weir_endpoint_name(endpoint), iface);
	if (rc != 0)
		return rc;
	if (mac != NULL)
		rc = tap_link_set_mac(&tap->link, &addr);
	if (rc == 0 && tap->up)
		rc = tap_link_set_up(&tap->link);
	if (rc != 0) {
		tap_link_close(&tap->link);
		return rc;
	}
	tap_link_set_carrier(&tap->link, false);
	return 0;
}

static void
tap_close(struct weir_endpoint *endpoint)
{
	tap_link_close(&tap_of(endpoint)->link);
}

static void
queue_files_close(struct tap *tap, uint16_t n)
{
	while (n > 1)
		close(tap->fds[--n]);
}

static int
queue_files_open(struct tap *tap, uint16_t n_queues)
{
	uint16_t i;

	if (n_queues > 1 && !tap->link.multiqueue)
		return weir_error(EINVAL,
				  "endpoint '%s': the interface %s was made for one queue: make it "
				  "with 'multi_queue', delete it, or give the guest queues=1",
				  tap->link.owner, tap->link.iface);
	tap->fds[0] = tap->link.fd;
	for (i = 1; i < n_queues; i++) {
		tap->fds[i] = tap_link_add_queue(&tap->link);
		if (tap->fds[i] < 0) {
			int rc = tap->fds[i];

			queue_files_close(tap, i);
			return rc;
		}
	}
	return 0;
}

static void
queues_free(struct weir_queue **queues, uint16_t n_queues)
{
	uint16_t i;

	for (i = 0; i < n_queues; i++)
		tap_queue_close(queues[i]);
	weir_queues_free(queues, n_queues);
}

static int
queues_make(struct weir_endpoint *endpoint, struct tap *tap, uint16_t n_queues,
	    struct weir_queue **queues)
{
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, &tap_queue_ops, tap_queue_size, queues, n_queues);
	for (i = 0; rc == 0 && i < n_queues; i++) {
		rc = tap_queue_open(queues[i], tap->fds[i], tap->link.multiqueue);
		if (rc != 0)
			queues_free(queues, n_queues);
	}
	return rc;
}

static int
tap_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	       struct weir_queue **queues)
{
	struct tap *tap = tap_of(endpoint);
	int rc;

	rc = tap_link_set_mtu(&tap->link, client->mtu);
	if (rc == 0)
		rc = tap_link_set_offloads(&tap->link, client->rx_offloads);
	if (rc == 0)
		rc = queue_files_open(tap, client->n_queues);
	if (rc != 0)
		return rc;
	rc = queues_make(endpoint, tap, client->n_queues, queues);
	if (rc != 0) {
		queue_files_close(tap, client->n_queues);
		return rc;
	}
	tap->n_queues = client->n_queues;
	tap->mtu = client->mtu;
	/* The others follow as the guest takes them into use. */
	tap_queue_ops.set_active(queues[0], true);
	tap_link_set_carrier(&tap->link, true);
	return 0;
}

static void
tap_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	 struct weir_queue **queues)
{
	struct tap *tap = tap_of(endpoint);

	tap_link_set_carrier(&tap->link, false);
	if (tap->link.multiqueue)
		tap_link_use_queue(tap->link.fd, true); /* it keeps the interface there */
	queue_files_close(tap, client->n_queues);
	queues_free(queues, client->n_queues);
	tap->n_queues = 0;
}

static uint32_t
tap_tx_offloads(const struct weir_endpoint *endpoint)
{
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
tap_link_speed(const struct weir_endpoint *endpoint)
{
	return LINK_SPEED_MBPS;
}

static bool
tap_link_up(const struct weir_endpoint *endpoint)
{
	return tap_link_is_up(&tap_of(endpoint)->link);
}

static void
tap_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
	const struct tap *tap = tap_of(endpoint);

	rte_tel_data_add_dict_string(dict, "iface", tap->link.iface);
	rte_tel_data_add_dict_u64(dict, "queues", tap->n_queues);
	rte_tel_data_add_dict_string(dict, "multiqueue", tap->link.multiqueue ? "yes" : "no");
	rte_tel_data_add_dict_u64(dict, "mtu", tap->mtu);
}

static const char *const tap_keys[] = {"iface", "mac", "up", NULL};

static const struct weir_endpoint_ops tap_ops = {
	.type = "tap",
	.usage = "iface=NAME  the interface's name, 15 characters at most\n"
		 "mac=ADDR    the host's address on it; random when not given\n"
		 "up=on|off   set the interface up (on)\n",
	.keys = tap_keys,
	.state_size = sizeof(struct tap),
	.max_clients = 1,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = true,
	.open = tap_open,
	.close = tap_close,
	.get_queues = tap_get_queues,
	.stop = tap_stop,
	.tx_offloads = tap_tx_offloads,
	.link_speed = tap_link_speed,
	.link_up = tap_link_up,
	.inspect = tap_inspect,
};

WEIR_ENDPOINT_REGISTER(tap_ops);
