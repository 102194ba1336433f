/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ethdev behind a port: found by name or plugged in, ours as ethdevs know owners,
 * set up anew for each guest and stopped when it goes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>

#include "weir_error.h"

#include "port.h"

/* What a device is asked for; it may round. */
#define RX_DESCRIPTORS 256
#define TX_DESCRIPTORS 256
/* Frames of a queue: in its descriptors, and on their way. */
#define RX_FRAMES (RX_DESCRIPTORS + 2 * PORT_BURST)
#define TX_FRAMES (TX_DESCRIPTORS + 2 * PORT_PENDING_MAX)
/* Bytes that drivers count on in an rx buffer, whatever the MTU is. */
#define RX_ROOM_MIN 2048
/* Frames left in a queue by the guest before, at most: a device may never run empty. */
#define STALE_MAX 8192

/* Tx offloads that complete what a guest leaves undone. */
#define TX_CSUM (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define TX_TSO                                                                                     \
	(RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)

static int
device_find(struct port_device *device, const char *name)
{
	snprintf(device->name, sizeof(device->name), "%s", name);
	if (rte_eth_dev_get_port_by_name(name, &device->id) == 0)
		return 0;
	return weir_error(ENODEV,
			  "endpoint '%s': there is no port %s: name one that EAL was given (-a, "
			  "--vdev), or plug one in by devargs=\"...\"",
			  device->owner, name);
}

static int
device_plug(struct port_device *device, const char *devargs)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	uint16_t id;
	int rc;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(devargs, ","), devargs);
	if (rte_eth_dev_get_port_by_name(name, &id) == 0)
		return weir_error(EEXIST,
				  "endpoint '%s': there is a port %s already: use it by dev=%s, or "
				  "give the new one another number",
				  device->owner, name, name);
	rc = rte_dev_probe(devargs);
	if (rc < 0)
		return weir_error(-rc,
				  "endpoint '%s': EAL cannot plug in devargs=\"%s\": its own lines "
				  "above say why",
				  device->owner, devargs);
	rc = device_find(device, name);
	device->plugged = rc == 0;
	return rc;
}

static int
device_take(struct port_device *device)
{
	struct rte_eth_dev_owner owner = {.id = RTE_ETH_DEV_NO_OWNER};
	int rc = rte_eth_dev_owner_new(&owner.id);

	if (rc != 0)
		return weir_error(-rc, "endpoint '%s': ethdev knows no further owner",
				  device->owner);
	snprintf(owner.name, sizeof(owner.name), "weir endpoint %s", device->owner);
	rc = rte_eth_dev_owner_set(device->id, &owner);
	if (rc == 0) {
		device->owner_id = owner.id;
		return 0;
	}
	if (rte_eth_dev_owner_get(device->id, &owner) != 0)
		owner.name[0] = '\0';
	return weir_error(
		EBUSY,
		"endpoint '%s': the port %s is taken by %s: each endpoint needs a port of "
		"its own",
		device->owner, device->name, owner.name[0] != '\0' ? owner.name : "somebody else");
}

static int
link_changed(uint16_t id, enum rte_eth_event_type event, void *arg, void *ret)
{
	struct port_device *device = arg;

	port_look_at_link(container_of(device, struct port, device));
	return 0;
}

/** What the device can do, and what that is for a guest. */
static int
device_look(struct port_device *device)
{
	struct rte_eth_dev_info info;
	uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
	int rc = rte_eth_dev_info_get(device->id, &info);

	if (rc != 0)
		return weir_error(-rc, "endpoint '%s': the port %s does not tell what it is: %s",
				  device->owner, device->name, strerror(-rc));
	device->max_queues = RTE_MIN(info.max_rx_queues, info.max_tx_queues);
	if (device->max_queues == 0)
		return weir_error(EINVAL,
				  "endpoint '%s': the port %s has %u rx queues and %u tx queues: "
				  "one of each is needed",
				  device->owner, device->name, info.max_rx_queues,
				  info.max_tx_queues);
	/* As rte_eth_dev_set_mtu() will (ethdev 22.11, eth_dev_get_overhead_len()). */
	if (info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu)
		overhead = info.max_rx_pktlen - info.max_mtu;
	device->max_mtu = info.max_mtu;
	if (info.max_rx_pktlen > overhead)
		device->max_mtu = RTE_MIN(device->max_mtu, info.max_rx_pktlen - overhead);
	device->max_mtu = RTE_MIN(device->max_mtu, (uint32_t)WEIR_FRAME_MTU_MAX);
	device->tells_link = *info.dev_flags & RTE_ETH_DEV_INTR_LSC;

	device->tx_offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if ((info.tx_offload_capa & TX_CSUM) == TX_CSUM) {
		device->tx_offloads |= TX_CSUM;
		device->capabilities |= WEIR_OFFLOAD_CAP_CSUM;
		if ((info.tx_offload_capa & TX_TSO) == TX_TSO) {
			device->tx_offloads |= TX_TSO;
			device->capabilities = WEIR_OFFLOAD_CAP_ALL;
		}
	}
	return 0;
}

static void
device_release(struct port_device *device)
{
	struct rte_eth_dev_info info;

	if (device->owner_id != RTE_ETH_DEV_NO_OWNER)
		rte_eth_dev_owner_unset(device->id, device->owner_id);
	device->owner_id = RTE_ETH_DEV_NO_OWNER;
	if (device->plugged && rte_eth_dev_info_get(device->id, &info) == 0 &&
	    rte_dev_remove(info.device) != 0)
		WEIR_LOG(port, WARNING, "endpoint %s: EAL does not let go of %s", device->owner,
			 device->name);
	device->plugged = false;
}

int
port_device_open(struct port_device *device, const char *owner, const char *name,
		 const char *devargs)
{
	int rc;

	device->owner = owner;
	rc = name != NULL ? device_find(device, name) : device_plug(device, devargs);
	if (rc == 0)
		rc = device_take(device);
	if (rc == 0)
		rc = device_look(device);
	if (rc != 0) {
		device_release(device);
		return rc;
	}
	if (device->tells_link)
		rte_eth_dev_callback_register(device->id, RTE_ETH_EVENT_INTR_LSC, link_changed,
					      device);
	return 0;
}

static int
pools_free(struct port_device *device)
{
	int rc = weir_frame_pool_free(device->tx_frames);

	if (rc == 0) {
		device->tx_frames = NULL;
		rc = weir_frame_pool_free(device->rx_frames);
	}
	if (rc == 0)
		device->rx_frames = NULL;
	return rc;
}

void
port_device_close(struct port_device *device)
{
	if (device->tells_link)
		rte_eth_dev_callback_unregister(device->id, RTE_ETH_EVENT_INTR_LSC, link_changed,
						device);
	device_release(device);
	/* A ring that another program shares with the device may hold frames for ever. */
	if (pools_free(device) != 0)
		WEIR_LOG(port, WARNING, "endpoint %s: its frames stay: %s", device->owner,
			 weir_error_text());
}

uint16_t
port_device_n_rx(const struct port_device *device, uint16_t n_queues)
{
	/* A device of a few queues may spread over all of them, whatever it is set up for:
	 * net_af_packet's are one group of sockets from the start. */
	return RTE_MAX(n_queues, device->max_queues <= WEIR_QUEUES_MAX ? device->max_queues : 0);
}

/** Frames for @p n_queues of them, of @p mtu and of what drivers count on. */
static int
pools_make(struct port_device *device, uint16_t mtu, uint16_t n_queues, int numa_node)
{
	struct weir_frame_pool_conf conf = {.numa_node = numa_node};
	char name[WEIR_OBJECT_NAMESIZE];
	int rc;

	if (device->tx_frames != NULL && device->pool_queues >= n_queues &&
	    weir_frame_pool_mtu(device->tx_frames) >= mtu)
		return 0;
	rc = pools_free(device);
	if (rc != 0)
		return weir_error(-rc, "endpoint '%s': its frames cannot be made longer: %s",
				  device->owner, weir_error_text());
	conf.mtu = mtu;
	conf.capacity = n_queues * TX_FRAMES;
	snprintf(name, sizeof(name), "%.20s.ptx", device->owner);
	device->tx_frames = weir_frame_pool_create(name, &conf);
	if (device->tx_frames == NULL)
		return -rte_errno;
	conf.mtu = RTE_MAX(mtu, RX_ROOM_MIN);
	conf.capacity = n_queues * RX_FRAMES;
	snprintf(name, sizeof(name), "%.20s.prx", device->owner);
	device->rx_frames = weir_frame_pool_create(name, &conf);
	if (device->rx_frames == NULL) {
		rc = -rte_errno;
		pools_free(device);
		return rc;
	}
	device->pool_queues = n_queues;
	return 0;
}

static int
queues_setup(struct port_device *device, uint16_t n_queues)
{
	uint16_t i, n_rx = RX_DESCRIPTORS, n_tx = TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(device->id), rc;

	rc = rte_eth_dev_adjust_nb_rx_tx_desc(device->id, &n_rx, &n_tx);
	for (i = 0; rc == 0 && i < device->n_rx; i++)
		rc = rte_eth_rx_queue_setup(device->id, i, n_rx, socket, NULL,
					    weir_frame_pool_mempool(device->rx_frames));
	for (i = 0; rc == 0 && i < n_queues; i++)
		rc = rte_eth_tx_queue_setup(device->id, i, n_tx, socket, NULL);
	return rc;
}

/** Read away what nobody there is waits for. */
static void
queues_drain(const struct port_device *device)
{
	struct rte_mbuf *frames[PORT_BURST];
	uint16_t i, n;
	uint32_t had;

	for (i = 0; i < device->n_rx; i++) {
		for (had = 0; had < STALE_MAX; had += n) {
			n = rte_eth_rx_burst(device->id, i, frames, PORT_BURST);
			if (n == 0)
				break;
			rte_pktmbuf_free_bulk(frames, n);
		}
	}
}

int
port_device_start(struct port_device *device, const struct weir_endpoint_client *client)
{
	struct rte_eth_conf conf = {
		.rxmode.mtu = client->mtu,
		.txmode.offloads = device->tx_offloads,
		.intr_conf.lsc = device->tells_link,
	};
	uint16_t n = client->n_queues;
	int rc;

	device->n_rx = port_device_n_rx(device, n);
	rc = pools_make(device, client->mtu, device->n_rx, client->numa_node);
	if (rc != 0)
		return rc;
	rc = rte_eth_dev_configure(device->id, device->n_rx, n, &conf);
	if (rc == 0)
		rc = queues_setup(device, n);
	/* Drivers that have no MTU to set go by what they were configured with. */
	if (rc == 0)
		rc = rte_eth_dev_set_mtu(device->id, client->mtu);
	if (rc == 0 || rc == -ENOTSUP)
		rc = rte_eth_dev_start(device->id);
	if (rc != 0)
		return weir_error(-rc,
				  "endpoint '%s': the port %s cannot be set up for %u queue pair%s "
				  "and an MTU of %u: %s",
				  device->owner, device->name, n, n == 1 ? "" : "s", client->mtu,
				  strerror(-rc));
	/* A guest has an address of its own. */
	rc = device->promiscuous ? rte_eth_promiscuous_enable(device->id) : 0;
	if (rc != 0 && rc != -ENOTSUP)
		WEIR_LOG(port, WARNING, "endpoint %s: %s cannot be made promiscuous: %s",
			 device->owner, device->name, strerror(-rc));
	queues_drain(device);
	return 0;
}

void
port_device_stop(struct port_device *device)
{
	queues_drain(device);
	rte_eth_dev_stop(device->id);
}

bool
port_device_link(const struct port_device *device, uint32_t *speed_mbps)
{
	struct rte_eth_link link = {.link_status = RTE_ETH_LINK_DOWN};

	*speed_mbps = 0;
	if (rte_eth_link_get_nowait(device->id, &link) != 0)
		return false;
	if (link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		*speed_mbps = link.link_speed;
	return link.link_status == RTE_ETH_LINK_UP;
}
