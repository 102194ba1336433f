/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end, as the vhost library tells of it.
 *
 * new_connection     a front-end is there        waiting   -> connected
 * new_device         its rings are ready         connected -> up
 * destroy_device     the rings stop              up        -> connected
 * destroy_connection it is gone                  connected -> waiting
 *
 * All run on the library's thread, or on a control thread inside
 * rte_vhost_driver_unregister(). destroy_device must not return before the poll
 * lcores have let go: the library unmaps the guest's memory next. vring_state_changed
 * and the message hooks run with the rings' locks held. With the library's data path
 * an lcore may be waiting for those inside a burst call, so there they wait for
 * nobody; the engine takes none of them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_vhost.h>

#include "guest.h"

#define FEATURE(name) (1ULL << (name))

/* Host: what the guest may send unfinished. Guest: what it takes. */
#define FEATURES_CSUM (FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_CSUM))
#define FEATURES_TSO                                                                               \
	(FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6) |                       \
	 FEATURE(VIRTIO_NET_F_HOST_ECN) | FEATURE(VIRTIO_NET_F_GUEST_TSO4) |                       \
	 FEATURE(VIRTIO_NET_F_GUEST_TSO6) | FEATURE(VIRTIO_NET_F_GUEST_ECN) |                      \
	 FEATURE(VIRTIO_NET_F_GSO))
/* The library would cut or lose these (rte_vhost 22.11: no UDP fragmentation on receive). */
#define FEATURES_NEVER (FEATURE(VIRTIO_NET_F_HOST_UFO) | FEATURE(VIRTIO_NET_F_GUEST_UFO))

/* virtio 1.1, 5.1.3 and 6; and vhost-user's own two. */
static const char *const feature_names[64] = {
	[VIRTIO_NET_F_CSUM] = "csum",
	[VIRTIO_NET_F_GUEST_CSUM] = "guest_csum",
	[2] = "ctrl_guest_offloads",
	[VIRTIO_NET_F_MTU] = "mtu",
	[VIRTIO_NET_F_MAC] = "mac",
	[6] = "gso",
	[VIRTIO_NET_F_GUEST_TSO4] = "guest_tso4",
	[VIRTIO_NET_F_GUEST_TSO6] = "guest_tso6",
	[VIRTIO_NET_F_GUEST_ECN] = "guest_ecn",
	[VIRTIO_NET_F_GUEST_UFO] = "guest_ufo",
	[VIRTIO_NET_F_HOST_TSO4] = "host_tso4",
	[VIRTIO_NET_F_HOST_TSO6] = "host_tso6",
	[VIRTIO_NET_F_HOST_ECN] = "host_ecn",
	[VIRTIO_NET_F_HOST_UFO] = "host_ufo",
	[VIRTIO_NET_F_MRG_RXBUF] = "mrg_rxbuf",
	[VIRTIO_NET_F_STATUS] = "status",
	[VIRTIO_NET_F_CTRL_VQ] = "ctrl_vq",
	[VIRTIO_NET_F_CTRL_RX] = "ctrl_rx",
	[VIRTIO_NET_F_CTRL_VLAN] = "ctrl_vlan",
	[20] = "ctrl_rx_extra",
	[VIRTIO_NET_F_GUEST_ANNOUNCE] = "guest_announce",
	[VIRTIO_NET_F_MQ] = "mq",
	[VIRTIO_NET_F_CTRL_MAC_ADDR] = "ctrl_mac_addr",
	[24] = "notify_on_empty",
	[VHOST_F_LOG_ALL] = "log_all",
	[VIRTIO_F_ANY_LAYOUT] = "any_layout",
	[28] = "indirect_desc",
	[29] = "event_idx",
	[30] = "protocol_features",
	[VIRTIO_F_VERSION_1] = "version_1",
	[33] = "access_platform",
	[34] = "ring_packed",
	[35] = "in_order",
	[36] = "order_platform",
	[37] = "sr_iov",
	[38] = "notification_data",
};

const char *
front_end_feature_name(unsigned int bit)
{
	return bit < RTE_DIM(feature_names) && feature_names[bit] != NULL ? feature_names[bit]
									  : "unknown";
}

/** The guest of a socket, locked, or NULL. */
static struct weir_guest *
guest_lock(int vid)
{
	char socket[sizeof(((struct weir_guest *)0)->socket)];
	struct weir_guest *guest;

	if (rte_vhost_get_ifname(vid, socket, sizeof(socket)) != 0)
		return NULL;
	guest = guest_of_socket(socket);
	if (guest != NULL)
		pthread_mutex_lock(&guest->session);
	return guest;
}

static void
guest_unlock(struct weir_guest *guest)
{
	pthread_mutex_unlock(&guest->session);
}

/** The guest whose front-end @p vid is, locked, or NULL. */
static struct weir_guest *
guest_lock_own(int vid)
{
	struct weir_guest *guest = guest_lock(vid);

	if (guest == NULL || guest->vid == vid)
		return guest;
	guest_unlock(guest);
	return NULL;
}

static void
set_waiting(struct weir_guest *guest)
{
	guest_set_state(guest, GUEST_WAITING,
			guest->client ? "nobody serves %s yet: tried again every second"
				      : "no front-end has connected to %s",
			guest->socket);
}

static void
set_failed(struct weir_guest *guest)
{
	/* Tried again with every message: said once. */
	if (guest->state == GUEST_FAILED && strcmp(guest->reason, weir_error_text()) == 0)
		return;
	guest_set_state(guest, GUEST_FAILED, "%s", weir_error_text());
	WEIR_LOG(guest, ERR, "guest %s: not up: %s", guest->object.name, weir_error_text());
}

/* Messages that change what the engine holds of a guest that is up. */

/* vhost-user, "Front-end message types". */
enum {
	MESSAGE_SET_FEATURES = 2,
	MESSAGE_SET_MEM_TABLE = 5,
	MESSAGE_SET_LOG_BASE = 6,
	MESSAGE_SET_VRING_NUM = 8,
	MESSAGE_SET_VRING_ADDR = 9,
	MESSAGE_SET_VRING_BASE = 10,
	MESSAGE_SEND_RARP = 19,
};

/* vhost-user, "Message specification"; of the payload, what we look at. */
struct message {
	uint32_t request, flags, size;
	union {
		uint32_t index; /* of a ring */
		uint8_t mac[RTE_ETHER_ADDR_LEN];
	};
};

static bool
message_changes(const struct weir_guest *guest, const struct message *message)
{
	switch (message->request) {
	case MESSAGE_SET_FEATURES:
	case MESSAGE_SET_MEM_TABLE:
	case MESSAGE_SET_LOG_BASE:
		return true;
	case MESSAGE_SET_VRING_NUM:
	case MESSAGE_SET_VRING_ADDR:
	case MESSAGE_SET_VRING_BASE:
		return message->size >= sizeof(message->index) &&
		       message->index < 2 * WEIR_QUEUES_MAX && engine_holds(guest, message->index);
	default:
		return false;
	}
}

/** Let go of everything before the library changes it. */
static enum rte_vhost_msg_result
on_message_before(int vid, void *msg)
{
	struct weir_guest *guest = guest_lock_own(vid);
	const struct message *message = msg;

	if (guest == NULL)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	/* The library translates and reads rings before we know of them. */
	fault_suspect_guest(guest);
	if (message->request == MESSAGE_SET_MEM_TABLE)
		guest->fault.happened = false;
	if (guest->path == &engine_path && guest_is_up(guest) && message_changes(guest, message)) {
		session_down(guest);
		guest->paused = true;
	}
	guest_unlock(guest);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

/** And take it up again. */
static enum rte_vhost_msg_result
on_message_after(int vid, void *msg)
{
	struct weir_guest *guest = guest_lock_own(vid);
	const struct message *message = msg;

	fault_suspect_guest(NULL);
	if (guest == NULL)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	if (guest->path == &library_path && guest_is_up(guest) &&
	    message->request == MESSAGE_SET_LOG_BASE) {
		fault_forget(guest);
		fault_find_ranges(guest);
		fault_watch(guest);
	}
	if (guest->paused && session_up(guest) != 0)
		set_failed(guest);
	guest->paused = false;
	if (guest->path == &engine_path && guest_is_up(guest) &&
	    message->request == MESSAGE_SEND_RARP && message->size >= sizeof(message->mac))
		session_announce(guest, message->mac);
	guest_unlock(guest);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops message_ops = {
	.pre_msg_handle = on_message_before,
	.post_msg_handle = on_message_after,
};

/* The callbacks. */

static int
connect_front_end(struct weir_guest *guest, int vid)
{
	uint16_t i;

	if (guest->vid >= 0) {
		WEIR_LOG(guest, WARNING,
			 "guest %s: a second front-end on %s is turned away: one is connected",
			 guest->object.name, guest->socket);
		return -1;
	}
	if (rte_vhost_extern_callback_register(vid, &message_ops, NULL) != 0)
		return -1;
	guest->fault.happened = false;
	guest->vid = vid;
	/* Without multiqueue nobody tells that the first pair is enabled. */
	for (i = 0; i < WEIR_QUEUES_MAX; i++)
		guest->rx_enabled[i] = guest->tx_enabled[i] = i == 0;
	guest_set_state(guest, GUEST_CONNECTED,
			"connected, but its rings are not set up: no driver runs in the guest yet");
	guest->n_connects++;
	WEIR_LOG(guest, INFO, "guest %s: front-end connected on %s", guest->object.name,
		 guest->socket);
	return 0;
}

static int
on_new_connection(int vid)
{
	struct weir_guest *guest = guest_lock(vid);
	int rc;

	if (guest == NULL)
		return -1;
	rc = connect_front_end(guest, vid);
	guest_unlock(guest);
	return rc;
}

static int
on_new_device(int vid)
{
	struct weir_guest *guest = guest_lock_own(vid);
	uint16_t mtu = 0;
	int rc;

	if (guest == NULL)
		return -1;
	rc = session_up(guest);
	if (rc != 0) {
		set_failed(guest);
		guest_unlock(guest);
		return -1;
	}
	guest->revivable = true;
	guest->n_ups++;
	guest_set_state(guest, GUEST_UP, "up");
	if (rte_vhost_get_mtu(vid, &mtu) == 0 && mtu > guest->mtu)
		WEIR_LOG(guest, WARNING,
			 "guest %s: its front-end set an MTU of %u, weir serves %u: add mtu=%u",
			 guest->object.name, mtu, guest->mtu, mtu);
	WEIR_LOG(guest, INFO, "guest %s: up, %s rings, memory on node %d, features 0x%lx",
		 guest->object.name, guest->features & SESSION_FEATURE_PACKED ? "packed" : "split",
		 guest->numa_node, (unsigned long)guest->features);
	guest_unlock(guest);
	return 0;
}

static void
on_destroy_device(int vid)
{
	struct weir_guest *guest = guest_lock_own(vid);

	if (guest == NULL)
		return;
	/* Paused: the message that we were down for failed, and the session ends. */
	if (guest_is_up(guest))
		session_down(guest);
	guest->paused = false;
	guest->revivable = false;
	guest_set_state(guest, GUEST_CONNECTED,
			"its rings have stopped: the guest reset its "
			"device, or is paused or gone");
	WEIR_LOG(guest, INFO, "guest %s: rings stopped", guest->object.name);
	guest_unlock(guest);
}

static void
on_destroy_connection(int vid)
{
	struct weir_guest *guest = guest_lock_own(vid);

	/* A message that failed has no end. */
	fault_suspect_guest(NULL);
	if (guest == NULL)
		return;
	guest->vid = -1;
	guest->features = 0;
	set_waiting(guest);
	WEIR_LOG(guest, INFO, "guest %s: front-end gone", guest->object.name);
	guest_unlock(guest);
}

/** A ring of a guest that is up was enabled or disabled. */
static void
ring_changed(struct weir_pair *pair, enum weir_pair_wake ring, bool enable)
{
	/* The library disables a ring whose descriptors change, and enables it anew. */
	if (enable) {
		kick_refresh(pair, ring);
		if (pair->path == &engine_path)
			engine_ring_ready(pair, ring);
	}
	if (ring == WEIR_PAIR_WAKE_RX) {
		pair->rx_enabled = enable;
		pair->queue->ops->set_active(pair->queue, enable);
	} else {
		pair->tx_enabled = enable;
	}
}

static int
on_vring_state_changed(int vid, uint16_t vring, int enable)
{
	struct weir_guest *guest = guest_lock_own(vid);
	uint16_t index = vring / 2;
	bool rx = vring % 2 == 0;

	if (guest == NULL)
		return -1;
	if (index >= guest->n_pairs) {
		if (enable && rx)
			WEIR_LOG(guest, WARNING,
				 "guest %s: it uses queue pair %u, which is not served: raise "
				 "queues=%u to %u or more",
				 guest->object.name, index, guest->n_pairs, index + 1);
	} else {
		(rx ? guest->rx_enabled : guest->tx_enabled)[index] = enable;
		if (guest_is_up(guest))
			ring_changed(guest->pairs[index],
				     rx ? WEIR_PAIR_WAKE_RX : WEIR_PAIR_WAKE_TX, enable);
	}
	guest_unlock(guest);
	return 0;
}

static const struct rte_vhost_device_ops front_end_ops = {
	.new_device = on_new_device,
	.destroy_device = on_destroy_device,
	.vring_state_changed = on_vring_state_changed,
	.new_connection = on_new_connection,
	.destroy_connection = on_destroy_connection,
};

/* Serving the socket. */

/** What a guest on @p endpoint is not offered. */
static uint64_t
features_off(const struct weir_guest *guest, const struct weir_endpoint *endpoint)
{
	uint32_t takes = weir_endpoint_ops(endpoint)->tx_offloads(endpoint);
	uint64_t off = FEATURES_NEVER;

	if (!guest->csum)
		off |= FEATURES_CSUM | FEATURES_TSO;
	if (!guest->tso)
		off |= FEATURES_TSO;
	if (!guest->mrg_rxbuf)
		off |= FEATURE(VIRTIO_NET_F_MRG_RXBUF);
	if (!(takes & WEIR_OFFLOAD_CAP_CSUM))
		off |= FEATURE(VIRTIO_NET_F_CSUM);
	if (!(takes & WEIR_OFFLOAD_CAP_TSO4))
		off |= FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_GSO);
	if (!(takes & WEIR_OFFLOAD_CAP_TSO6))
		off |= FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_GSO);
	if (!(takes & WEIR_OFFLOAD_CAP_ECN))
		off |= FEATURE(VIRTIO_NET_F_HOST_ECN);
	return off;
}

/** Whether all that the front-end which is there was offered stays true on @p endpoint. */
int
front_end_accepts(struct weir_guest *guest, const struct weir_endpoint *endpoint)
{
	uint64_t lost = features_off(guest, endpoint) & guest->features_offered;
	char names[160] = "";
	unsigned int bit;
	size_t used = 0;

	if (guest->vid < 0 || lost == 0)
		return 0;
	for (bit = 0; bit < 64 && used < sizeof(names); bit++)
		if (lost & FEATURE(bit))
			used += snprintf(names + used, sizeof(names) - used, "%s%s",
					 used > 0 ? ", " : "", front_end_feature_name(bit));
	return weir_error(EOPNOTSUPP,
			  "guest '%s' was offered %s, which endpoint '%s' (%s) does not take: make "
			  "the guest with csum=off or tso=off, or change its endpoint while no "
			  "front-end is connected",
			  guest->object.name, names, weir_endpoint_name(endpoint),
			  weir_endpoint_ops(endpoint)->type);
}

/**
 * Offer the next front-end what both endpoints take. Without guest->session: the
 * library calls back for it with the lock held that this takes.
 */
void
front_end_offer(struct weir_guest *guest, const struct weir_endpoint *one,
		const struct weir_endpoint *other)
{
	uint64_t off = features_off(guest, one) | features_off(guest, other);

	rte_vhost_driver_enable_features(guest->socket, guest->features_known & ~off);
	rte_vhost_driver_disable_features(guest->socket, off);
}

/** What it was offered at most, from now on. */
void
front_end_promise(struct weir_guest *guest)
{
	guest->features_offered = guest->features_known & ~features_off(guest, guest->endpoint);
}

int
front_end_start(struct weir_guest *guest)
{
	uint64_t flags = guest->client ? RTE_VHOST_USER_CLIENT : 0;

	if (rte_vhost_driver_register(guest->socket, flags) != 0)
		return weir_error(rte_errno ? rte_errno : ENOSPC,
				  "the vhost library refuses socket %s: it serves 1024 at most",
				  guest->socket);
	guest->started = true;
	set_waiting(guest);
	rte_vhost_driver_get_features(guest->socket, &guest->features_known);
	front_end_offer(guest, guest->endpoint, guest->endpoint);
	front_end_promise(guest);
	if (rte_vhost_driver_callback_register(guest->socket, &front_end_ops) != 0 ||
	    rte_vhost_driver_start(guest->socket) != 0) {
		int rc = weir_error(EADDRNOTAVAIL, "the vhost library cannot serve socket %s: %s",
				    guest->socket, strerror(errno));

		front_end_stop(guest);
		return rc;
	}
	return 0;
}

void
front_end_stop(struct weir_guest *guest)
{
	if (!guest->started)
		return;
	/* Runs on_destroy_device() for a guest that is up. */
	rte_vhost_driver_unregister(guest->socket);
	/* The last callback is behind us: under the lock, so is what it did. */
	pthread_mutex_lock(&guest->session);
	guest->started = false;
	guest->vid = -1;
	pthread_mutex_unlock(&guest->session);
}
