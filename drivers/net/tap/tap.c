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
#include <stdio.h>
#include <unistd.h>

#include <rte_ether.h>

#include "weir_error.h"
#include "weir_log.h"

#include "tap.h"

/** What the kernel states for every tap, see tun_get_link_ksettings(). */
#define LINK_SPEED_MBPS 10000

struct tap {
	struct tap_link link;
	char owner[64];	    /* the endpoint, as sentences name it */
	bool up;	    /* set up with the endpoint */
	uint64_t fixed_mtu; /* 0: the guest's */
	const struct tap_mode *mode;

	/* Of the guest that is there. */
	int fds[WEIR_QUEUES_MAX]; /* the first is the link's own */
	uint16_t n_queues;
	uint16_t mtu;
};

static const char *const mode_words[] = {"inline", "thread", "sqpoll", "auto", NULL};
static const struct tap_mode *const modes[] = {&tap_inline, &tap_thread, &tap_sqpoll, NULL};

WEIR_LOG_REGISTER(tap);

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

/**
 * The way that was asked for, or the plainest where it cannot be had: a container that
 * forbids io_uring still has its guests.
 */
static void
mode_set(struct tap *tap, const struct tap_mode *mode)
{
	if (mode->check != NULL && mode->check(tap->owner) != 0) {
		WEIR_LOG(tap, WARNING, "%s; io=inline serves instead", weir_error_text());
		mode = &tap_inline;
	}
	tap->mode = mode;
}

static int
keys_read(struct weir_endpoint *endpoint, const struct weir_keys *keys, unsigned int *io,
	  struct rte_ether_addr *addr)
{
	const char *mac = weir_keys_get(keys, "mac");
	struct tap *tap = tap_of(endpoint);
	int rc;

	tap->up = true;
	rc = weir_keys_switch(keys, "up", &tap->up);
	if (rc == 0)
		rc = weir_keys_choice(keys, "io", mode_words, io);
	if (rc == 0)
		rc = weir_keys_number(keys, "mtu", RTE_ETHER_MIN_MTU, UINT16_MAX, &tap->fixed_mtu);
	if (rc == 0 && mac != NULL)
		rc = mac_parse(endpoint, mac, addr);
	return rc;
}

static int
tap_open(struct weir_endpoint *endpoint, const struct weir_keys *keys)
{
	const char *iface, *mac = weir_keys_get(keys, "mac");
	struct tap *tap = tap_of(endpoint);
	struct rte_ether_addr addr;
	unsigned int io = 0;
	int rc;

	snprintf(tap->owner, sizeof(tap->owner), "endpoint '%s'", weir_endpoint_name(endpoint));
	rc = weir_keys_need(keys, "iface", &iface);
	if (rc == 0)
		rc = keys_read(endpoint, keys, &io, &addr);
	if (rc == 0)
		rc = tap_link_open(&tap->link, weir_endpoint_name(endpoint), iface,
				   weir_keys_get(keys, "netns"));
	if (rc != 0)
		return rc;
	if (mac != NULL)
		rc = tap_link_set_mac(&tap->link, &addr);
	if (rc == 0 && tap->fixed_mtu != 0)
		rc = tap_link_set_mtu(&tap->link, tap->fixed_mtu);
	if (rc == 0 && tap->up)
		rc = tap_link_set_up(&tap->link);
	if (rc != 0) {
		tap_link_close(&tap->link);
		return rc;
	}
	tap_link_set_carrier(&tap->link, false);
	mode_set(tap, modes[io] != NULL ? modes[io] : tap_auto(tap->owner));
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
queues_free(const struct tap *tap, struct weir_queue **queues, uint16_t n_queues)
{
	uint16_t i;

	/* The first last: the others may share what is its. */
	for (i = n_queues; i > 0; i--)
		tap->mode->close(queues[i - 1]);
	weir_queues_free(queues, n_queues);
}

static int
queues_make(struct weir_endpoint *endpoint, struct tap *tap,
	    const struct weir_endpoint_client *client, struct weir_queue **queues)
{
	struct tap_queue_conf conf = {
		.owner = tap->owner,
		.multiqueue = tap->link.multiqueue,
		.mtu = RTE_MAX(client->mtu, tap->fixed_mtu),
		.rx_offloads = client->rx_offloads,
		.numa_node = client->numa_node,
	};
	uint16_t i;
	int rc;

	rc = weir_queues_alloc(endpoint, tap->mode->ops, tap->mode->queue_size, queues,
			       client->n_queues);
	if (rc != 0)
		return rc;
	for (i = 0; i < client->n_queues; i++) {
		conf.fd = tap->fds[i];
		conf.first = i > 0 ? queues[0] : NULL;
		queues[i]->endpoint = endpoint;
		rc = tap->mode->open(queues[i], &conf);
		if (rc == 0)
			continue;
		while (i > 0)
			tap->mode->close(queues[--i]);
		weir_queues_free(queues, client->n_queues);
		return rc;
	}
	return 0;
}

/** Likewise; where there is no memory to lock, or no thread, by the plainest way. */
static int
queues_make_somehow(struct weir_endpoint *endpoint, struct tap *tap,
		    const struct weir_endpoint_client *client, struct weir_queue **queues)
{
	int rc = queues_make(endpoint, tap, client, queues);

	if (rc == 0 || tap->mode == &tap_inline)
		return rc;
	WEIR_LOG(tap, WARNING, "%s; io=inline serves instead of io=%s", weir_error_text(),
		 tap->mode->name);
	tap->mode = &tap_inline;
	return queues_make(endpoint, tap, client, queues);
}

static int
tap_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	       struct weir_queue **queues)
{
	struct tap *tap = tap_of(endpoint);
	int rc;

	rc = tap_link_set_mtu(&tap->link, tap->fixed_mtu != 0 ? tap->fixed_mtu : client->mtu);
	if (rc == 0)
		rc = tap_link_set_offloads(&tap->link, client->rx_offloads);
	if (rc == 0)
		rc = queue_files_open(tap, client->n_queues);
	if (rc != 0)
		return rc;
	rc = queues_make_somehow(endpoint, tap, client, queues);
	if (rc != 0) {
		queue_files_close(tap, client->n_queues);
		return rc;
	}
	tap->n_queues = client->n_queues;
	tap->mtu = client->mtu;
	/* The others follow as the guest takes them into use. */
	queues[0]->ops->set_active(queues[0], true);
	tap_link_set_carrier(&tap->link, true);
	return 0;
}

static void
tap_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
	 struct weir_queue **queues)
{
	struct tap *tap = tap_of(endpoint);

	tap_link_set_carrier(&tap->link, false);
	queues_free(tap, queues, client->n_queues);
	if (tap->link.multiqueue)
		tap_link_use_queue(tap->link.fd, true); /* it keeps the interface there */
	queue_files_close(tap, client->n_queues);
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
	rte_tel_data_add_dict_string(dict, "io", tap->mode->name);
	rte_tel_data_add_dict_u64(dict, "queues", tap->n_queues);
	rte_tel_data_add_dict_string(dict, "multiqueue", tap->link.multiqueue ? "yes" : "no");
	rte_tel_data_add_dict_u64(dict, "mtu", tap->mtu);
}

static const char *const tap_keys[] = {"iface", "io", "mac", "mtu", "netns", "up", NULL};

static const struct weir_endpoint_ops tap_ops = {
	.type = "tap",
	.usage = "iface=NAME  the interface's name, 15 characters at most; a number for %d\n"
		 "io=inline|thread|sqpoll|auto  who makes the system calls: the poll lcore\n"
		 "            (inline), a host thread, a kernel thread, or who is best here\n"
		 "mac=ADDR    the host's address on it; random when not given\n"
		 "mtu=N       its MTU; the guest's when not given\n"
		 "netns=NAME|PID  the network namespace that it is in\n"
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
