/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "tap_end.h"
#include "weir_error.h"

#define IDS 512
#define ETHER_TYPE 0x88b5
#define PACKET_QDISC_BYPASS_OPTION 20
#define PACKET_VNET_HDR_OPTION 15

const char *const tap_contender_names[TAP_CONTENDERS] = {"inline", "thread", "sqpoll", "net_tap",
							 "af_packet"};

uint8_t tap_frame[TAP_FRAME_MAX] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5};

/* The least guest: its buffers are an array. */

static uint8_t *
guest_buffer(struct weir_access *access, uint16_t id)
{
	struct tap_end *end = container_of(access, struct tap_end, access);

	return end->memory + id * end->buffer_bytes;
}

static uint32_t
guest_capacity(struct weir_access *access, uint16_t id)
{
	return container_of(access, struct tap_end, access)->buffer_bytes;
}

static unsigned int
guest_addresses(struct weir_access *access, uint16_t id, struct iovec *iov, unsigned int n)
{
	iov[0] = (struct iovec){guest_buffer(access, id), guest_capacity(access, id)};
	return 1;
}

static int
guest_write_data(struct weir_access *access, uint16_t id, uint32_t offset, const void *data,
		 uint32_t len)
{
	if (offset + len > guest_capacity(access, id))
		return -EMSGSIZE;
	memcpy(guest_buffer(access, id) + offset, data, len);
	return 0;
}

static void
guest_write_header(struct weir_access *access, uint16_t id, const struct weir_rx_meta *meta)
{
	struct tap_end *end = container_of(access, struct tap_end, access);

	end->n_frames += meta->offload.gso_size == 0
				 ? 1
				 : (meta->len - TAP_UNCUT_HEADERS) / meta->offload.gso_size;
}

static int
guest_write_packet(struct weir_access *access, uint16_t id, const struct weir_rx_meta *meta,
		   const void *data)
{
	memcpy(guest_buffer(access, id), data, RTE_MIN(meta->len, guest_capacity(access, id)));
	guest_write_header(access, id, meta);
	return 0;
}

static const struct weir_access_ops guest_ops = {
	.capacity = guest_capacity,
	.guest_addresses = guest_addresses,
	.write_data = guest_write_data,
	.write_header = guest_write_header,
	.write_packet = guest_write_packet,
};

static void
guest_run(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

/* Ends. */

static void *
queues_get(void *arg)
{
	struct tap_end *end = arg;

	end->missing = weir_endpoint_get_queues(end->endpoint, &end->client, &end->queue) != 0;
	if (end->missing)
		fprintf(stderr, "weir-bench: %s\n", weir_error_text());
	return NULL;
}

static int
weir_end_open(struct tap_end *end, bool uncut)
{
	uint16_t ids[IDS], i;
	char keys[96];
	pthread_t control;

	snprintf(keys, sizeof(keys), "name=%s,type=tap,iface=%s,io=%s", end->iface, end->iface,
		 tap_contender_names[end->contender]);
	end->buffer_bytes = uncut ? WEIR_FRAME_LEN_MAX : TAP_FRAME_MAX;
	end->endpoint = weir_endpoint_create(keys);
	if (end->endpoint == NULL)
		return -EIO;
	end->memory = calloc(IDS, end->buffer_bytes);
	end->access.ops = &guest_ops;
	end->target.run = guest_run;
	end->client = (struct weir_endpoint_client){
		.name = "bench",
		.n_queues = 1,
		.mtu = 1500,
		.numa_node = SOCKET_ID_ANY,
		.rx_offloads = uncut ? WEIR_OFFLOAD_CAP_CSUM | WEIR_OFFLOAD_CAP_TSO4 : 0,
		.access = {&end->access},
		.target = {&end->target},
	};
	/* As in weir: a thread that the kernel makes runs where its maker may. */
	if (end->memory == NULL ||
	    rte_ctrl_thread_create(&control, "bench-control", NULL, queues_get, end) != 0)
		return weir_error(ENOMEM, "tap: no memory or thread for a guest");
	pthread_join(control, NULL);
	if (end->missing)
		return 0;
	for (i = 0; i < IDS; i++)
		ids[i] = i;
	end->queue->ops->rx_avail(end->queue, &end->access, ids, IDS);
	return 0;
}

static void
mbuf_fill(struct rte_mempool *pool, void *arg, void *object, unsigned int index)
{
	struct rte_mbuf *mbuf = object;

	memcpy((uint8_t *)mbuf->buf_addr + RTE_PKTMBUF_HEADROOM, tap_frame, sizeof(tap_frame));
}

/** A port of DPDK's, or a missing one: not every machine has every driver. */
static int
port_open(struct tap_end *end, const char *device, const char *args)
{
	const struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE};
	char name[32];

	snprintf(name, sizeof(name), "bench_%s", tap_contender_names[end->contender]);
	end->pool = rte_pktmbuf_pool_create(
		name, 4095, 256, 0, TAP_FRAME_MAX + 2 * RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	if (end->pool == NULL)
		return weir_error(ENOMEM, "tap: no memory for %s's mbufs", device);
	rte_mempool_obj_iter(end->pool, mbuf_fill, NULL);
	end->missing =
		rte_eal_hotplug_add("vdev", device, args) != 0 ||
		rte_eth_dev_get_port_by_name(device, &end->port) != 0 ||
		rte_eth_dev_configure(end->port, 1, 1, &conf) != 0 ||
		rte_eth_rx_queue_setup(end->port, 0, 1024, SOCKET_ID_ANY, NULL, end->pool) != 0 ||
		rte_eth_tx_queue_setup(end->port, 0, 1024, SOCKET_ID_ANY, NULL) != 0 ||
		rte_eth_dev_start(end->port) != 0;
	if (end->missing)
		fprintf(stderr, "weir-bench: tap: %s cannot be had here\n", device);
	return 0;
}

/** A packet socket on the host's side, and a queue there that is long enough. */
static void
host_open(struct tap_end *end)
{
	struct ifreq request = {.ifr_qlen = 2 * TAP_WAITING};
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = 0};
	const int on = 1;

	end->host = end->host_uncut = -1;
	if (end->missing || end->contender == TAP_ON_PACKET)
		return;
	snprintf(request.ifr_name, IFNAMSIZ, "%s", end->iface);
	addr.sll_ifindex = if_nametoindex(end->iface);
	end->host = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	ioctl(end->host, SIOCSIFTXQLEN, &request);
	setsockopt(end->host, SOL_PACKET, PACKET_QDISC_BYPASS_OPTION, &on, sizeof(on));
	bind(end->host, (struct sockaddr *)&addr, sizeof(addr));
	/* Not past the queueing discipline, where a packet that is cut would be dropped. */
	end->host_uncut = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	setsockopt(end->host_uncut, SOL_PACKET, PACKET_VNET_HDR_OPTION, &on, sizeof(on));
	bind(end->host_uncut, (struct sockaddr *)&addr, sizeof(addr));
}

int
tap_end_open(struct tap_end *end, enum tap_contender contender, bool uncut)
{
	static const char *const ifaces[2][TAP_CONTENDERS] = {
		{"bench0", "bench1", "bench2", "bench3", "bench4"},
		{"bench6", "bench7", "bench8"},
	};
	int rc;

	*end = (struct tap_end){.contender = contender,
				.iface = ifaces[uncut][contender],
				.host = -1,
				.host_uncut = -1};
	switch (contender) {
	case TAP_NET_TAP:
		rc = port_open(end, "net_tap9", "iface=bench3");
		break;
	case TAP_ON_PACKET:
		end->missing = system("ip link add bench4 type veth peer name bench5 &&"
				      "ip link set bench4 up && ip link set bench5 up") != 0;
		rc = end->missing ? 0 : port_open(end, "net_af_packet9", "iface=bench4");
		break;
	default:
		rc = weir_end_open(end, uncut);
	}
	if (rc == 0)
		host_open(end);
	return rc;
}

void
tap_end_close(struct tap_end *end)
{
	if (end->host >= 0) {
		close(end->host);
		close(end->host_uncut);
	}
	if (end->queue != NULL)
		weir_endpoint_stop(end->endpoint, &end->client, &end->queue);
	weir_endpoint_free(end->endpoint);
	free(end->memory);
	if (end->contender >= TAP_NET_TAP && !end->missing) {
		rte_eth_dev_stop(end->port);
		rte_eth_dev_close(end->port);
	}
	rte_mempool_free(end->pool);
}
