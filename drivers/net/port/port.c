/* SPDX-License-Identifier: BSD-3-Clause */
/* The endpoint: its keys, and a guest that comes and goes. See port.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weir_error.h"

#include "port.h"

WEIR_LOG_REGISTER(port);

static struct port *
port_of(const struct weir_endpoint *endpoint)
{
	return weir_endpoint_state(endpoint);
}

/** Of a device that is started; with the lock held. */
static void
link_look(struct port *port)
{
	const struct port_device *device = &port->device;
	uint32_t speed_mbps;
	bool up = port_device_link(device, &speed_mbps);

	if (up == port->link_up && (!up || speed_mbps == port->link_speed_mbps))
		return;
	if (up && speed_mbps != 0)
		WEIR_LOG(port, INFO, "endpoint %s: the link of %s is up, at %u Mbit/s",
			 device->owner, device->name, speed_mbps);
	else
		WEIR_LOG(port, INFO, "endpoint %s: the link of %s is %s", device->owner,
			 device->name, up ? "up" : "down");
	if (up != port->link_up && port->client->action != NULL)
		port->client->action(port->client, WEIR_ENDPOINT_LINK, up);
	port->link_up = up;
	port->link_speed_mbps = speed_mbps;
	__atomic_store_n(&port->link_changes, port->link_changes + 1, __ATOMIC_RELAXED);
}

void
port_look_at_link(struct port *port)
{
	pthread_mutex_lock(&port->lock);
	if (port->client != NULL)
		link_look(port);
	pthread_mutex_unlock(&port->lock);
}

/** Whose guest has come or gone. */
static void
client_set(struct port *port, struct weir_endpoint_client *client)
{
	pthread_mutex_lock(&port->lock);
	port->client = client;
	port->link_up = port_device_link(&port->device, &port->link_speed_mbps);
	pthread_mutex_unlock(&port->lock);
}

static int
port_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	const char *dev = weir_keys_get(keys, "dev"), *devargs = weir_keys_get(keys, "devargs");
	struct port *port = port_of(endpoint);
	int rc;

	port->device.promiscuous = true;
	rc = weir_keys_switch(keys, "promiscuous", &port->device.promiscuous);
	if (rc != 0)
		return rc;
	if ((dev == NULL) == (devargs == NULL))
		return weir_error(EINVAL,
				  "endpoint '%s': either dev=NAME, of a port that EAL has, or "
				  "devargs=\"NAME,...\", of one to plug in, is needed",
				  weir_endpoint_name(endpoint));
	pthread_mutex_init(&port->lock, NULL);
	return port_device_open(&port->device, weir_endpoint_name(endpoint), dev, devargs);
}

static void
port_close(struct weir_endpoint *endpoint)
{
	port_device_close(&port_of(endpoint)->device);
	pthread_mutex_destroy(&port_of(endpoint)->lock);
}

static int
port_accept(const struct weir_endpoint *endpoint, const struct weir_endpoint_client *client)
{
	const struct port_device *device = &port_of(endpoint)->device;

	if (client->n_queues > device->max_queues)
		return weir_error(EINVAL,
				  "endpoint '%s': the port %s has %u queue pair%s, guest '%s' asks "
				  "for %u: give the guest queues=%u, or the port more",
				  device->owner, device->name, device->max_queues,
				  device->max_queues == 1 ? "" : "s", client->name,
				  client->n_queues, device->max_queues);
	if (client->mtu > device->max_mtu)
		return weir_error(EINVAL,
				  "endpoint '%s': the port %s takes an MTU of %u at most, guest "
				  "'%s' has %u: give the guest mtu=%u",
				  device->owner, device->name, device->max_mtu, client->name,
				  client->mtu, device->max_mtu);
	return 0;
}

static void
queues_free(struct port *port, struct weir_queue **queues, uint16_t n_queues)
{
	uint16_t i;

	free(port->rx);
	port->rx = NULL;

	for (i = 0; i < n_queues; i++)
		weir_rx_ids_fini(&port_queue(queues[i])->rx);
	weir_queues_free(queues, n_queues);
}

static int
queues_make(struct weir_endpoint *endpoint, struct port *port, uint16_t n_queues,
	    struct weir_queue **queues)
{
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, &port_queue_ops, sizeof(struct port_queue), queues,
			       n_queues);
	if (rc != 0)
		return rc;
	port->n_rx = port_device_n_rx(&port->device, n_queues);
	port->rx = aligned_alloc(RTE_CACHE_LINE_SIZE, port->n_rx * sizeof(*port->rx));
	if (port->rx != NULL)
		memset(port->rx, 0, port->n_rx * sizeof(*port->rx));
	else
		rc = -ENOMEM;
	for (i = 0; i < n_queues && rc == 0; i++) {
		struct port_queue *q = port_queue(queues[i]);

		q->port = port;
		q->index = i;
		q->base.polled = true;
		rc = weir_rx_ids_init(&q->rx);
	}
	if (rc == 0)
		return 0;
	queues_free(port, queues, n_queues);
	return weir_error(ENOMEM, "endpoint '%s': no memory for its queues",
			  weir_endpoint_name(endpoint));
}

static int
port_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		struct weir_queue **queues)
{
	struct port *port = port_of(endpoint);
	int rc = port_accept(endpoint, client);

	if (rc == 0)
		rc = queues_make(endpoint, port, client->n_queues, queues);
	if (rc != 0)
		return rc;
	rc = port_device_start(&port->device, client);
	if (rc != 0) {
		queues_free(port, queues, client->n_queues);
		return rc;
	}
	port->mtu = client->mtu;
	port->frame_len_max = client->mtu + WEIR_FRAME_L2_BYTES;
	port->n_queues = client->n_queues;
	/* The others follow as the guest takes them into use. */
	port->active = 1;
	client_set(port, client);
	return 0;
}

static void
port_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	  struct weir_queue **queues)
{
	struct port *port = port_of(endpoint);
	uint16_t i;

	client_set(port, NULL);
	port->active = 0;
	for (i = 0; i < client->n_queues; i++)
		port_queue_drop(port_queue(queues[i]));
	for (i = 0; i < port->n_rx; i++)
		port_rx_drop(&port->rx[i]);
	port_device_stop(&port->device);
	queues_free(port, queues, client->n_queues);
	port->n_queues = 0;
}

/** Most drivers have no interrupt for the link. */
static void
port_tend(struct weir_endpoint *endpoint)
{
	struct port *port = port_of(endpoint);

	if (++port->n_tends % PORT_TENDS_A_LOOK == 0)
		port_look_at_link(port);
}

static uint32_t
port_tx_offloads(const struct weir_endpoint *endpoint)
{
	/* What the device does not do is done here. */
	return WEIR_OFFLOAD_CAP_ALL;
}

static uint32_t
port_link_speed(const struct weir_endpoint *endpoint)
{
	uint32_t speed_mbps;

	port_device_link(&port_of(endpoint)->device, &speed_mbps);
	return speed_mbps;
}

static bool
port_link_up(const struct weir_endpoint *endpoint)
{
	uint32_t speed_mbps;

	return port_device_link(&port_of(endpoint)->device, &speed_mbps);
}

static void
port_inspect(const struct weir_endpoint *endpoint, struct rte_tel_data *dict)
{
	const struct port *port = port_of(endpoint);
	const struct port_device *device = &port->device;

	rte_tel_data_add_dict_string(dict, "port", device->name);
	rte_tel_data_add_dict_u64(dict, "port_id", device->id);
	rte_tel_data_add_dict_u64(dict, "link_changes",
				  __atomic_load_n(&port->link_changes, __ATOMIC_RELAXED));
	rte_tel_data_add_dict_u64(dict, "queues", port->n_queues);
	rte_tel_data_add_dict_u64(dict, "max_queues", device->max_queues);
	rte_tel_data_add_dict_u64(dict, "mtu", port->n_queues > 0 ? port->mtu : 0);
	rte_tel_data_add_dict_u64(dict, "max_mtu", device->max_mtu);
	rte_tel_data_add_dict_string(dict, "checksums",
				     device->capabilities & WEIR_OFFLOAD_CAP_CSUM ? "device"
										  : "software");
	rte_tel_data_add_dict_string(dict, "segmentation",
				     device->capabilities & WEIR_OFFLOAD_CAP_TSO4 ? "device"
										  : "software");
}

static const char *const port_keys[] = {"dev", "devargs", "promiscuous", NULL};

static const struct weir_endpoint_ops port_ops = {
	.type = "port",
	.usage = "dev=NAME            a port that EAL has: 0000:01:00.0, net_af_packet0\n"
		 "devargs=\"NAME,...\"  one to plug in: \"net_af_packet0,iface=veth0\"\n"
		 "promiscuous=on|off  take frames to any address (on)\n",
	.keys = port_keys,
	.state_size = sizeof(struct port),
	.max_clients = 1,
	.is_ordered = true,
	.fast_completions = true,
	.multiqueue = true,
	.open = port_open,
	.close = port_close,
	.accept = port_accept,
	.get_queues = port_get_queues,
	.stop = port_stop,
	.tend = port_tend,
	.tx_offloads = port_tx_offloads,
	.link_speed = port_link_speed,
	.link_up = port_link_up,
	.inspect = port_inspect,
};

WEIR_ENDPOINT_REGISTER(port_ops);
