/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "guests.h"
#include "test_frame.h"
#include "weir_error.h"

#define RING_DEFAULT 256 /* virtio-user's own */
#define RING_MAX 1024
#define CACHE 512
#define MTU_DEFAULT 1500
#define LINK_WAIT_MS 10000

static uint32_t
ring_size(const char *keys)
{
	const char *word = keys != NULL ? strstr(keys, "queue_size=") : NULL;

	return word != NULL ? strtoul(strchr(word, '=') + 1, NULL, 10) : RING_DEFAULT;
}

static int
port_make(struct guests *guests, const char *keys, unsigned int n)
{
	struct guest_port *port = &guests->ports[n];
	char name[32], all[256];

	snprintf(name, sizeof(name), "net_virtio_user_bench%u", n);
	/* An address of our own, which a switch can tell apart. */
	if (strstr(keys, "mac=") != NULL)
		snprintf(all, sizeof(all), "%s", keys);
	else
		snprintf(all, sizeof(all), "%s,mac=52:54:00:be:00:%02x", keys, n + 1);
	if (rte_eal_hotplug_add("vdev", name, all) != 0 ||
	    rte_eth_dev_get_port_by_name(name, &port->id) != 0)
		return weir_error(ENODEV,
				  "--port %s: virtio-user does not make it: is the "
				  "back-end there, and EAL's memory shared (not --no-huge "
				  "with too many pieces: --single-file-segments)?",
				  keys);
	port->is_ours = true;
	guests->n_ports++;
	return 0;
}

static int
ports_find(struct guests *guests)
{
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id)
	{
		if (guests->n_ports == VHOST_PORTS_MAX)
			break;
		guests->ports[guests->n_ports++].id = id;
	}
	return guests->n_ports > 0 ? 0
				   : weir_error(ENODEV, "no port: give --port path=SOCKET, or EAL "
							"--vdev=net_virtio_user0,path=SOCKET");
}

static int
port_start(struct guest_port *port, const struct guests *guests,
	   const struct vhost_options *options)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	struct rte_eth_link link = {0};
	unsigned int waited;
	uint16_t q;
	int rc = rte_eth_dev_info_get(port->id, &info);

	port->n_queues = rc == 0 ? RTE_MIN(info.max_rx_queues, info.max_tx_queues) : 0;
	if (options->len_max > MTU_DEFAULT + RTE_ETHER_HDR_LEN)
		conf.rxmode.mtu = options->len_max - RTE_ETHER_HDR_LEN;
	if (rc == 0)
		rc = rte_eth_dev_configure(port->id, port->n_queues, port->n_queues, &conf);
	/* More than any ring has: the driver takes all of it. */
	for (q = 0; q < port->n_queues && rc == 0; q++)
		rc = rte_eth_rx_queue_setup(port->id, q, 32768, SOCKET_ID_ANY, NULL,
					    guests->frames);
	for (q = 0; q < port->n_queues && rc == 0; q++)
		rc = rte_eth_tx_queue_setup(port->id, q, 32768, SOCKET_ID_ANY, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(port->id);
	if (rc == 0)
		rc = rte_eth_macaddr_get(port->id, &port->mac);
	if (rc != 0)
		return weir_error(-rc, "port %u does not start: %s", port->id, strerror(-rc));
	for (waited = 0; waited < LINK_WAIT_MS; waited += 10) {
		rte_eth_link_get_nowait(port->id, &link);
		if (link.link_status == RTE_ETH_LINK_UP)
			return 0;
		rte_delay_us_sleep(10000);
	}
	return weir_error(ENOLINK,
			  "port %u: the link is not up after %d s: does the back-end "
			  "serve it?",
			  port->id, LINK_WAIT_MS / 1000);
}

int
guests_open(struct guests *guests, const struct vhost_options *options)
{
	uint32_t rings = 0, data_room = RTE_MAX(options->len_max + 64, 2048);
	unsigned int i;
	int rc = 0;

	memset(guests, 0, sizeof(*guests));
	for (i = 0; i < options->n_ports && rc == 0; i++)
		rc = port_make(guests, options->ports[i], i);
	if (rc == 0 && options->n_ports == 0)
		rc = ports_find(guests);
	for (i = 0; i < guests->n_ports && rc == 0; i++) {
		struct rte_eth_dev_info info;

		rc = rte_eth_dev_info_get(guests->ports[i].id, &info);
		rings += 2 * info.max_rx_queues *
			 (options->n_ports > 0 ? ring_size(options->ports[i]) : RING_MAX);
	}
	if (rc < 0)
		return rc;
	guests->frames = rte_pktmbuf_pool_create("bench_vhost", rings + 2 * CACHE + 1023, CACHE, 0,
						 RTE_PKTMBUF_HEADROOM + data_room, SOCKET_ID_ANY);
	if (guests->frames == NULL)
		return weir_error(rte_errno, "no memory for %u frames of %u bytes: give EAL more",
				  rings + 2 * CACHE + 1023, data_room);
	for (i = 0; i < guests->n_ports && rc == 0; i++)
		rc = port_start(&guests->ports[i], guests, options);
	return rc;
}

void
guests_close(struct guests *guests)
{
	unsigned int i;

	for (i = 0; i < guests->n_ports; i++) {
		struct rte_eth_dev_info info;

		rte_eth_dev_stop(guests->ports[i].id);
		if (rte_eth_dev_info_get(guests->ports[i].id, &info) != 0)
			continue;
		rte_eth_dev_close(guests->ports[i].id);
		if (guests->ports[i].is_ours)
			rte_dev_remove(info.device);
	}
	rte_mempool_free(guests->frames);
}
