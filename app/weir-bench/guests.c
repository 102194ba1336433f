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
#include "weir_keys.h"

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

/** An address of the port's own, which a switch can tell apart. */
static struct rte_ether_addr
mac_of(unsigned int n)
{
	return (struct rte_ether_addr){{0x52, 0x54, 0, 0xbe, (n + 1) >> 8, (n + 1) & 0xff}};
}

static int
port_make(struct guests *guests, const char *keys, unsigned int n)
{
	struct guest_port *port = &guests->ports[n];
	char name[32], all[256], mac[RTE_ETHER_ADDR_FMT_SIZE];

	snprintf(name, sizeof(name), "net_virtio_user_bench%u", n);
	port->mac = mac_of(n);
	rte_ether_format_addr(mac, sizeof(mac), &port->mac);
	if (strstr(keys, "mac=") != NULL)
		snprintf(all, sizeof(all), "%s", keys);
	else
		snprintf(all, sizeof(all), "%s,mac=%s", keys, mac);
	if (rte_eal_hotplug_add("vdev", name, all) != 0 ||
	    rte_eth_dev_get_port_by_name(name, &port->id) != 0)
		return weir_error(ENODEV,
				  "--port %s: virtio-user does not make it: is the "
				  "back-end there, and EAL's memory shared (not --no-huge "
				  "with too many pieces: --single-file-segments)?",
				  keys);
	port->is_ours = true;
	port->ring_size = ring_size(keys);
	guests->n_ports++;
	return 0;
}

static int
light_make(struct guests *guests, const char *pattern, uint32_t number, uint32_t size)
{
	struct guest_port *port = &guests->ports[guests->n_ports];
	const char *percent = strstr(pattern, "%u");
	int len;

	if (percent == NULL)
		len = snprintf(port->path, sizeof(port->path), "%s", pattern);
	else
		len = snprintf(port->path, sizeof(port->path), "%.*s%u%s", (int)(percent - pattern),
			       pattern, number, percent + 2);
	if (len >= (int)sizeof(port->path))
		return weir_error(ENAMETOOLONG, "--light path=%s: at most %zu characters", pattern,
				  sizeof(port->path) - 1);
	port->mac = mac_of(guests->n_ports);
	port->n_queues = 1;
	port->ring_size = size;
	port->light = light_port_new(size);
	if (port->light == NULL)
		return -ENOMEM;
	guests->n_ports++;
	return 0;
}

static int
light_make_all(struct guests *guests, const char *text)
{
	static const char *const known[] = {"path", "guests", "first", "queue_size", NULL};
	struct weir_keys *keys = weir_keys_parse("--light", text, known, NULL);
	uint64_t n = 1, first = 0, size = RING_DEFAULT, i;
	const char *path;
	int rc;

	if (keys == NULL)
		return -rte_errno;
	rc = weir_keys_need(keys, "path", &path);
	rc = rc < 0 ? rc
		    : weir_keys_number(keys, "guests", 1, VHOST_GUESTS_MAX - VHOST_PORTS_MAX, &n);
	rc = rc < 0 ? rc : weir_keys_number(keys, "first", 0, UINT16_MAX, &first);
	rc = rc < 0 ? rc : weir_keys_number(keys, "queue_size", 1, UINT16_MAX, &size);
	if (rc == 0 && n > 1 && strstr(path, "%u") == NULL)
		rc = weir_error(EINVAL, "--light path=%s: %%u, a guest's number, is needed in it",
				path);
	for (i = 0; i < n && rc == 0; i++)
		rc = light_make(guests, path, first + i, size);
	weir_keys_free(keys);
	return rc;
}

static int
ports_find(struct guests *guests)
{
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id)
	{
		if (guests->n_ports == VHOST_PORTS_MAX)
			break;
		guests->ports[guests->n_ports].id = id;
		guests->ports[guests->n_ports++].ring_size = RING_MAX;
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

/** What the rings of all ports hold, and a burst of each queue that waits for room. */
static uint32_t
buffers_of(const struct guests *guests, uint32_t burst)
{
	struct rte_eth_dev_info info;
	uint32_t n = 0;
	unsigned int i;

	for (i = 0; i < guests->n_ports; i++) {
		const struct guest_port *port = &guests->ports[i];

		if (port->light != NULL)
			n += 2 * port->ring_size + burst;
		else if (rte_eth_dev_info_get(port->id, &info) == 0)
			n += info.max_rx_queues * (2 * port->ring_size + burst);
	}
	return n;
}

static int
ports_make(struct guests *guests, const struct vhost_options *options)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < options->n_ports && rc == 0; i++)
		rc = port_make(guests, options->ports[i], i);
	if (rc == 0 && options->light != NULL)
		rc = light_make_all(guests, options->light);
	if (rc == 0 && guests->n_ports == 0)
		rc = ports_find(guests);
	return rc;
}

int
guests_open(struct guests *guests, const struct vhost_options *options)
{
	uint32_t n, data_room = RTE_MAX(options->len_max + 64, 2048);
	struct light_memory memory;
	unsigned int i;
	int rc;

	memset(guests, 0, sizeof(*guests));
	rc = ports_make(guests, options);
	if (rc < 0)
		return rc;
	n = buffers_of(guests, options->burst) + 2 * CACHE + 1023;
	guests->frames = rte_pktmbuf_pool_create("bench_vhost", n, CACHE, 0,
						 RTE_PKTMBUF_HEADROOM + data_room, SOCKET_ID_ANY);
	if (guests->frames == NULL)
		return weir_error(rte_errno, "no memory for %u frames of %u bytes: give EAL more",
				  n, data_room);
	if (options->light != NULL)
		rc = light_memory_find(&memory);
	for (i = 0; i < guests->n_ports && rc == 0; i++) {
		struct guest_port *port = &guests->ports[i];

		rc = port->light != NULL
			     ? light_port_start(port->light, port->path, &memory, guests->frames)
			     : port_start(port, guests, options);
	}
	return rc;
}

int
guests_check(const struct guests *guests)
{
	unsigned int i;

	for (i = 0; i < guests->n_ports; i++)
		if (guests->ports[i].light != NULL && guests->ports[i].light->is_broken)
			return weir_error(EPROTO,
					  "%s: the back-end used a buffer that it was not given, "
					  "or filled it with less than a header",
					  guests->ports[i].path);
	return 0;
}

void
guests_close(struct guests *guests)
{
	unsigned int i;

	for (i = 0; i < guests->n_ports; i++) {
		const struct guest_port *port = &guests->ports[i];
		struct rte_eth_dev_info info;

		light_port_free(port->light);
		if (port->light != NULL)
			continue;
		rte_eth_dev_stop(port->id);
		if (rte_eth_dev_info_get(port->id, &info) != 0)
			continue;
		rte_eth_dev_close(port->id);
		if (port->is_ours)
			rte_dev_remove(info.device);
	}
	rte_mempool_free(guests->frames);
}
