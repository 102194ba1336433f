/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's side of a tap: Documentation/networking/tuntap.rst. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if_arp.h>

#include <rte_ether.h>

#include "weir_error.h"

#include "tap.h"

#define TUN_DEVICE "/dev/net/tun"
/** Frames left in the kernel by the guest before, at most: far above a tx queue length. */
#define STALE_MAX 65536

/** One %d at most, which the kernel makes the first free number. */
static bool
template_is_sound(const char *iface)
{
	const char *percent = strchr(iface, '%');

	return percent == NULL || (percent[1] == 'd' && strchr(percent + 1, '%') == NULL);
}

static int
name_check(const struct tap_link *link, const char *iface)
{
	size_t len = strlen(iface);

	/* As dev_valid_name() in the kernel has it, told before it says EINVAL. */
	if (len >= IFNAMSIZ)
		return weir_error(EINVAL,
				  "endpoint '%s': iface=%s has %zu characters: an interface's "
				  "name has %d at most",
				  link->owner, iface, len, IFNAMSIZ - 1);
	if (strcmp(iface, ".") == 0 || strcmp(iface, "..") == 0 ||
	    strpbrk(iface, "/: \t") != NULL || !template_is_sound(iface))
		return weir_error(EINVAL,
				  "endpoint '%s': iface=%s cannot name an interface: leave out "
				  "'/', ':' and spaces, and '%%' but for one %%d",
				  link->owner, iface);
	return 0;
}

/** A file descriptor that is not a queue of anything yet. */
static int
device_open(const struct tap_link *link)
{
	int own = -1, fd = tap_netns_enter(link, &own), err;

	if (fd < 0)
		return fd;
	fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	err = errno;
	tap_netns_leave(own);
	if (fd >= 0)
		return fd;
	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return weir_error(err,
				  "endpoint '%s': there is no " TUN_DEVICE
				  ": load the module (modprobe tun), or give the container the "
				  "device",
				  link->owner);
	case EACCES:
	case EPERM:
		return weir_error(err,
				  "endpoint '%s': " TUN_DEVICE
				  " may not be opened: run as root, or with CAP_NET_ADMIN and "
				  "access to it",
				  link->owner);
	default:
		return weir_error(err, "endpoint '%s': cannot open " TUN_DEVICE ": %s", link->owner,
				  strerror(err));
	}
}

static int
queue_attach(struct tap_link *link, int fd)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	if (link->multiqueue)
		request.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(request.ifr_name, link->iface, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &request) != 0)
		return -errno;
	memcpy(link->iface, request.ifr_name, IFNAMSIZ); /* a template has become a name */
	return 0;
}

static int
attach_error(const struct tap_link *link, int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		return weir_error(err,
				  "endpoint '%s': no right to make the interface %s: run as root "
				  "or with CAP_NET_ADMIN, or have it made for this user (ip tuntap "
				  "add %s mode tap user NAME)",
				  link->owner, link->iface, link->iface);
	case EBUSY:
		return weir_error(err,
				  "endpoint '%s': the interface %s is in use by another program: "
				  "choose another iface=",
				  link->owner, link->iface);
	case EINVAL:
		return weir_error(err,
				  "endpoint '%s': there is an interface %s that is no tap: choose "
				  "another iface=",
				  link->owner, link->iface);
	default:
		return weir_error(err, "endpoint '%s': cannot make the interface %s: %s",
				  link->owner, link->iface, strerror(err));
	}
}

/**
 * Another program on the same interface: the kernel refuses it for a single queue
 * only, and shares the frames out among those who ask for several.
 */
static bool
has_other_users(const struct tap_link *link)
{
	char pattern[64];
	glob_t queues;
	bool others;

	if (link->netns >= 0)
		return false; /* our sysfs does not show it */
	snprintf(pattern, sizeof(pattern), "/sys/class/net/%s/queues/tx-*", link->iface);
	others = glob(pattern, GLOB_NOSORT, NULL, &queues) == 0 && queues.gl_pathc > 1;
	globfree(&queues);
	return others;
}

static int
first_queue_attach(struct tap_link *link)
{
	const int header_size = WEIR_OFFLOAD_VNET_SIZE;
	int rc;

	link->multiqueue = true;
	rc = queue_attach(link, link->fd);
	if (rc == -EINVAL) {
		/* It may have been made before, for one queue. */
		link->multiqueue = false;
		rc = queue_attach(link, link->fd);
	}
	if (rc == 0 && link->multiqueue && has_other_users(link))
		rc = -EBUSY;
	if (rc != 0)
		return attach_error(link, -rc);
	/* Who used the interface before may have left another size. */
	if (ioctl(link->fd, TUNSETVNETHDRSZ, &header_size) != 0)
		return weir_error(errno,
				  "endpoint '%s': the interface %s takes no frames with offloads: "
				  "%s",
				  link->owner, link->iface, strerror(errno));
	return 0;
}

static int
control_open(struct tap_link *link)
{
	int own = -1, rc = tap_netns_enter(link, &own);

	if (rc != 0)
		return rc;
	link->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = link->control >= 0
		     ? 0
		     : weir_error(errno, "endpoint '%s': no socket to set %s up with: %s",
				  link->owner, link->iface, strerror(errno));
	tap_netns_leave(own);
	return rc;
}

int
tap_link_open(struct tap_link *link, const char *owner, const char *iface, const char *netns)
{
	int rc;

	*link = (struct tap_link){.owner = owner, .control = -1, .fd = -1, .netns = -1};
	rc = name_check(link, iface);
	if (rc != 0)
		return rc;
	snprintf(link->iface, sizeof(link->iface), "%s", iface);
	if (netns != NULL)
		rc = tap_netns_open(link, netns);
	if (rc == 0)
		rc = control_open(link);
	if (rc == 0)
		link->fd = rc = device_open(link);
	if (rc >= 0)
		rc = first_queue_attach(link);
	if (rc != 0)
		tap_link_close(link);
	return rc;
}

void
tap_link_close(struct tap_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	if (link->control >= 0)
		close(link->control);
	if (link->netns >= 0)
		close(link->netns);
	link->fd = link->control = link->netns = -1;
}

int
tap_link_add_queue(struct tap_link *link)
{
	int fd = device_open(link), rc;

	if (fd < 0)
		return fd;
	rc = queue_attach(link, fd);
	if (rc != 0) {
		close(fd);
		return weir_error(-rc, "endpoint '%s': the interface %s takes no further queue: %s",
				  link->owner, link->iface, strerror(-rc));
	}
	tap_link_use_queue(fd, false);
	return fd;
}

static int
link_request(struct tap_link *link, unsigned long code, struct ifreq *request, const char *what)
{
	memcpy(request->ifr_name, link->iface, IFNAMSIZ);
	if (ioctl(link->control, code, request) == 0)
		return 0;
	return weir_error(errno, "endpoint '%s': the interface %s cannot be given %s: %s",
			  link->owner, link->iface, what, strerror(errno));
}

static int
link_ask(const struct tap_link *link, unsigned long code, struct ifreq *request)
{
	memcpy(request->ifr_name, link->iface, IFNAMSIZ);
	return ioctl(link->control, code, request) == 0 ? 0 : -errno;
}

int
tap_link_set_mac(struct tap_link *link, const struct rte_ether_addr *addr)
{
	struct ifreq request = {.ifr_flags = 0};

	/* What is so already needs no privilege. */
	if (link_ask(link, SIOCGIFHWADDR, &request) == 0 &&
	    memcmp(request.ifr_hwaddr.sa_data, addr->addr_bytes, sizeof(addr->addr_bytes)) == 0)
		return 0;
	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, addr->addr_bytes, sizeof(addr->addr_bytes));
	return link_request(link, SIOCSIFHWADDR, &request, "this MAC address");
}

int
tap_link_set_mtu(struct tap_link *link, uint16_t mtu)
{
	struct ifreq request = {.ifr_mtu = 0};
	char what[32];

	if (link_ask(link, SIOCGIFMTU, &request) == 0 && request.ifr_mtu == mtu)
		return 0;
	request = (struct ifreq){.ifr_mtu = mtu};
	snprintf(what, sizeof(what), "an MTU of %u", mtu);
	return link_request(link, SIOCSIFMTU, &request, what);
}

static int
link_flags(const struct tap_link *link)
{
	struct ifreq request = {.ifr_flags = 0};

	return link_ask(link, SIOCGIFFLAGS, &request) == 0 ? request.ifr_flags : 0;
}

int
tap_link_set_up(struct tap_link *link)
{
	struct ifreq request = {.ifr_flags = link_flags(link) | IFF_UP};

	if (tap_link_is_up(link))
		return 0;
	return link_request(link, SIOCSIFFLAGS, &request, "the state up");
}

bool
tap_link_is_up(const struct tap_link *link)
{
	return (link_flags(link) & IFF_UP) != 0;
}

int
tap_link_set_offloads(struct tap_link *link, uint32_t offloads)
{
	unsigned long flags = 0;

	/* The kernel takes segmentation only beside checksums. */
	if (offloads & WEIR_OFFLOAD_CAP_CSUM) {
		flags |= TUN_F_CSUM;
		if (offloads & WEIR_OFFLOAD_CAP_TSO4)
			flags |= TUN_F_TSO4;
		if (offloads & WEIR_OFFLOAD_CAP_TSO6)
			flags |= TUN_F_TSO6;
		if ((offloads & WEIR_OFFLOAD_CAP_ECN) && (flags & (TUN_F_TSO4 | TUN_F_TSO6)))
			flags |= TUN_F_TSO_ECN;
	}
	if (ioctl(link->fd, TUNSETOFFLOAD, flags) == 0)
		return 0;
	return weir_error(errno, "endpoint '%s': the offloads of %s cannot be set: %s", link->owner,
			  link->iface, strerror(errno));
}

void
tap_link_set_carrier(struct tap_link *link, bool carrier)
{
	struct ethtool_value question = {.cmd = ETHTOOL_GLINK};
	struct ifreq request = {.ifr_data = (void *)&question};
	int value = carrier;

	/* Before Linux 5.0 there is no such call: frames then wait, and are read away. */
	if (ioctl(link->fd, TUNSETCARRIER, &value) != 0)
		return;
	/*
	 * The kernel starts its queues some time after the carrier came, and drops
	 * frames until then; whoever asks for the link has it done before the answer
	 * (ethtool_op_get_link()).
	 */
	memcpy(request.ifr_name, link->iface, IFNAMSIZ);
	ioctl(link->control, SIOCETHTOOL, &request);
}

void
tap_link_use_queue(int fd, bool use)
{
	struct ifreq request = {.ifr_flags = use ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	/* Fails where it is so already, or the interface is gone: rx_poll finds out. */
	ioctl(fd, TUNSETQUEUE, &request);
}

void
tap_file_open(struct tap_file *file, int fd, bool multiqueue)
{
	uint8_t start[64]; /* less than the header is refused */
	unsigned int i;

	*file = (struct tap_file){.fd = fd, .multiqueue = multiqueue};
	for (i = 0; i < STALE_MAX && read(fd, start, sizeof(start)) >= 0; i++)
		;
}

void
tap_file_set_active(struct tap_file *file, bool active)
{
	/* Attached before it is in use, counted before it is put aside: see tap_file_lost(). */
	if (active && file->multiqueue)
		tap_link_use_queue(file->fd, true);
	__atomic_store_n(&file->active, active, __ATOMIC_RELAXED);
	__atomic_add_fetch(&file->n_changes, 1, __ATOMIC_RELEASE);
	if (!active && file->multiqueue)
		tap_link_use_queue(file->fd, false);
}
