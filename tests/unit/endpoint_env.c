/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "endpoint_env.h"
#include "host_tap.h"
#include "weir_error.h"
#include "weir_frame_host.h"
#include "weir_uring.h"

#define TAP_IFACE "weir-test0"

/** A guest's own frames, given back. */
static uint16_t
loopback_feed(struct env *env, uint16_t n, uint32_t len)
{
	return plain_pair_send(&env->guest->pairs[0], n, len, 1 + n % 3, NULL);
}

static void
tap_env_open(struct env *env)
{
	env->socket = host_tap_socket(TAP_IFACE, HOST_TAP_ETHER_TYPE);
}

static void
tap_env_close(struct env *env)
{
	close(env->socket);
}

/** The way by io_uring has its test where io_uring is allowed; elsewhere inline serves. */
static const char *
sqpoll_missing(void)
{
	struct weir_uring *ring = weir_uring_create(
		&(struct weir_uring_conf){.owner = "test", .entries = 1, .sqpoll_idle_ms = 1});

	if (ring == NULL)
		return weir_error_text();
	weir_uring_free(ring);
	return host_tap_missing();
}

/** Frames that a program of the host sends on the interface. */
static uint16_t
tap_feed(struct env *env, uint16_t n, uint32_t len)
{
	uint8_t frame[2048];
	uint16_t i;

	for (i = 0; i < n; i++) {
		plain_frame_write(frame, len, 0, 0, ++env->sequence);
		plain_check(send(env->socket, frame, len, 0) == len);
	}
	return n;
}

static void
patch_env_open(struct env *env)
{
	struct plain_target *target = &env->here;

	env->peer = plain_guest_new("g1", 2, 1, &target, 1);
	plain_check(plain_guest_attach(env->peer, env->endpoint) == 0);
}

static void
patch_env_close(struct env *env)
{
	plain_guest_detach(env->peer);
	plain_guest_free(env->peer);
	env->peer = NULL;
}

static uint16_t
patch_feed(struct env *env, uint16_t n, uint32_t len)
{
	return plain_pair_send(&env->peer->pairs[0], n, len, 1 + n % 3, NULL);
}

/** The other guest is polled by a lcore of its own. */
static void
lcores_env_open(struct env *env)
{
	struct plain_target *target = &env->there;

	plain_target_start(target, 1, false);
	env->peer = plain_guest_new("g1", 2, 1, &target, 1);
	plain_check(plain_guest_attach(env->peer, env->endpoint) == 0);
	plain_target_poll(env->peer);
}

static void
lcores_env_close(struct env *env)
{
	plain_target_unpoll(env->peer);
	patch_env_close(env);
	plain_target_stop(&env->there);
}

struct feed_order {
	struct env *env;
	uint16_t n;
	uint32_t len;
	uint16_t taken;
};

static void
feed_there(void *arg)
{
	struct feed_order *order = arg;

	order->taken = patch_feed(order->env, order->n, order->len);
}

static uint16_t
lcores_feed(struct env *env, uint16_t n, uint32_t len)
{
	struct feed_order order = {.env = env, .n = n, .len = len};

	env->there.target.run(&env->there.target, feed_there, &order);
	return order.taken;
}

/** Host sides in threads, one a pair: each reads what the guest sends, and gives it back. */
#define FAR_PAIRS 4
static struct far_pair {
	struct weir_frame_host *host;
	pthread_t thread;
} far_pairs[FAR_PAIRS];
static bool far_ends;

static void *
far_main(void *arg)
{
	struct weir_frame_host *host = arg;
	struct rte_mbuf *frames[PLAIN_BURST];
	uint16_t n;

	while (!__atomic_load_n(&far_ends, __ATOMIC_RELAXED)) {
		n = weir_frame_host_receive(host, frames, PLAIN_BURST);
		weir_frame_host_put(host, frames, n);
		if (n == 0)
			weir_frame_host_wait(host, WEIR_FRAME_HOST_FRAMES, -1);
	}
	return NULL;
}

static void
frames_env_open(struct env *env)
{
	struct far_pair *far;

	__atomic_store_n(&far_ends, false, __ATOMIC_RELAXED);
	for (far = far_pairs; far < &far_pairs[FAR_PAIRS]; far++) {
		far->host = weir_frame_host_attach("c", far - far_pairs);
		plain_check(far->host != NULL);
		plain_check(pthread_create(&far->thread, NULL, far_main, far->host) == 0);
	}
}

static void
frames_env_close(struct env *env)
{
	struct weir_queue *queue = env->guest->queues[0];
	struct far_pair *far;

	__atomic_store_n(&far_ends, true, __ATOMIC_RELAXED);
	for (far = far_pairs; far < &far_pairs[FAR_PAIRS]; far++) {
		weir_frame_host_relay(far->host);
		pthread_join(far->thread, NULL);
	}
	/* From here on the queue's lcore is whoever cleans up behind the far end. */
	queue->ops->update_target(queue);
	for (far = far_pairs; far < &far_pairs[FAR_PAIRS]; far++)
		weir_frame_host_detach(far->host);
}

static uint16_t
frames_feed(struct env *env, uint16_t n, uint32_t len)
{
	struct weir_frame_host *host = far_pairs[0].host;
	struct rte_mbuf *frames[PLAIN_BURST];
	uint16_t i;

	n = weir_frame_host_get(host, frames, RTE_MIN(n, PLAIN_BURST));
	for (i = 0; i < n; i++)
		plain_frame_write((uint8_t *)rte_pktmbuf_append(frames[i], len), len, 0, 0,
				  ++env->sequence);
	plain_check(weir_frame_host_send(host, frames, n) == n);
	return n;
}

/** An ethdev on one end of a pair of interfaces; the host is the other. */
#define PORT_IFACE "weir-veth0"
#define PORT_PEER "weir-veth1"
/** Net_pcap would read what it has sent itself. */
#define PORT_SINK "weir-veth2"

static const char *
veth_missing(void)
{
	const char *missing = host_tap_missing();

	if (missing != NULL)
		return missing;
	if (system("ip link add " PORT_IFACE " type veth peer name " PORT_PEER
		   " && ip link add " PORT_SINK " type veth peer name weir-veth3"
		   " && for i in 0 1 2 3; do ip link set weir-veth$i up || exit; done") != 0)
		return "no pair of interfaces can be made (ip, veth)";
	return NULL;
}

static void
veth_env_open(struct env *env)
{
	env->socket = host_tap_socket(PORT_PEER, HOST_TAP_ETHER_TYPE);
}

/** A socket that frames go to, read by a thread, and that frames come from. */
static char dgram_dir[] = "/tmp/weir-dgram-XXXXXX";
static char dgram_keys[256];
static struct sockaddr_un dgram_path, dgram_peer;

static void
dgram_clean(void)
{
	rmdir(dgram_dir);
}

static const char *
dgram_missing(void)
{
	if (mkdtemp(dgram_dir) == NULL)
		return "no directory for sockets can be made in /tmp";
	atexit(dgram_clean);
	dgram_path.sun_family = dgram_peer.sun_family = AF_UNIX;
	snprintf(dgram_path.sun_path, sizeof(dgram_path.sun_path), "%s/guest", dgram_dir);
	snprintf(dgram_peer.sun_path, sizeof(dgram_peer.sun_path), "%s/far", dgram_dir);
	snprintf(dgram_keys, sizeof(dgram_keys), "type=dgram,name=c,path=%s,peer=%s",
		 dgram_path.sun_path, dgram_peer.sun_path);
	return NULL;
}

static void *
dgram_far_main(void *arg)
{
	struct env *env = arg;
	uint8_t frame[2048];

	while (recv(env->socket, frame, sizeof(frame), 0) > 0)
		;
	return NULL;
}

static void
dgram_env_open(struct env *env)
{
	env->socket = socket(AF_UNIX, SOCK_DGRAM, 0);
	plain_check(bind(env->socket, (struct sockaddr *)&dgram_peer, sizeof(dgram_peer)) == 0);
	plain_check(pthread_create(&far_pairs[0].thread, NULL, dgram_far_main, env) == 0);
}

static void
dgram_env_close(struct env *env)
{
	shutdown(env->socket, SHUT_RDWR);
	pthread_join(far_pairs[0].thread, NULL);
	close(env->socket);
	unlink(dgram_peer.sun_path);
}

static uint16_t
dgram_feed(struct env *env, uint16_t n, uint32_t len)
{
	uint8_t frame[2048];
	uint16_t i;

	for (i = 0; i < n; i++) {
		plain_frame_write(frame, len, 0, 0, env->sequence + 1);
		if (sendto(env->socket, frame, len, MSG_DONTWAIT, (struct sockaddr *)&dgram_path,
			   sizeof(dgram_path)) < 0)
			break; /* the kernel's queue has few places */
		env->sequence++;
	}
	return i;
}

struct env envs[] = {
	{.title = "null", .keys = "type=null,name=c"},
	{.title = "loopback",
	 .keys = "type=loopback,name=c",
	 .feed = loopback_feed,
	 .feeds_itself = true},
	{.title = "patch, one lcore",
	 .keys = "type=patch,name=c",
	 .open = patch_env_open,
	 .close = patch_env_close,
	 .feed = patch_feed},
	{.title = "patch, two lcores",
	 .keys = "type=patch,name=c",
	 .open = lcores_env_open,
	 .close = lcores_env_close,
	 .feed = lcores_feed},
	{.title = "tap",
	 .keys = "type=tap,name=c,iface=" TAP_IFACE,
	 .missing = host_tap_missing,
	 .open = tap_env_open,
	 .close = tap_env_close,
	 .feed = tap_feed},
	{.title = "tap, io=thread",
	 .keys = "type=tap,name=c,io=thread,iface=" TAP_IFACE,
	 .missing = host_tap_missing,
	 .open = tap_env_open,
	 .close = tap_env_close,
	 .feed = tap_feed},
	{.title = "tap, io=sqpoll",
	 .keys = "type=tap,name=c,io=sqpoll,iface=" TAP_IFACE,
	 .missing = sqpoll_missing,
	 .open = tap_env_open,
	 .close = tap_env_close,
	 .feed = tap_feed},
	{.title = "frames",
	 .keys = "type=frames,name=c,queues=4",
	 .open = frames_env_open,
	 .close = frames_env_close,
	 .feed = frames_feed,
	 .n_queues_max = FAR_PAIRS},
	{.title = "port, net_af_packet",
	 .keys = "type=port,name=c,devargs=\"net_af_packet0,iface=" PORT_IFACE
		 ",qpairs=4,framecnt=256\"",
	 .missing = veth_missing,
	 .open = veth_env_open,
	 .close = tap_env_close,
	 .feed = tap_feed,
	 .n_queues_max = 4},
	{.title = "port, net_pcap",
	 .keys = "type=port,name=c,devargs=\"net_pcap0,rx_iface=" PORT_IFACE ",tx_iface=" PORT_SINK
		 "\"",
	 .missing = veth_missing,
	 .open = veth_env_open,
	 .close = tap_env_close,
	 .feed = tap_feed,
	 .n_queues_max = 1},
	{.title = "port, net_ring",
	 .keys = "type=port,name=c,devargs=net_ring0",
	 .feed = loopback_feed,
	 .feeds_itself = true},
	{.title = "port, net_null", .keys = "type=port,name=c,devargs=\"net_null0,no-rx=1\""},
	{.title = "dgram",
	 .keys = dgram_keys,
	 .missing = dgram_missing,
	 .open = dgram_env_open,
	 .close = dgram_env_close,
	 .feed = dgram_feed},
	{.title = NULL},
};
