/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>

#include "host_tap.h"
#include "plain_guest.h"

const char *
host_tap_missing(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return "/dev/net/tun cannot be opened";
	close(fd);
	if (unshare(CLONE_NEWNET) != 0)
		return "no right to make a network namespace";
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		plain_check(write(fd, "1", 1) == 1);
		close(fd);
	}
	return NULL;
}

int
host_tap_socket(const char *iface)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(HOST_TAP_ETHER_TYPE),
		.sll_ifindex = if_nametoindex(iface),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(HOST_TAP_ETHER_TYPE));

	plain_check(fd >= 0 && addr.sll_ifindex != 0);
	plain_check(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

void
host_tap_wait(const char *iface)
{
	struct ifreq request = {.ifr_flags = 0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned int ms;

	strncpy(request.ifr_name, iface, IFNAMSIZ - 1);
	for (ms = 0; ms < 10000; ms++) {
		plain_check(ioctl(fd, SIOCGIFFLAGS, &request) == 0);
		if (request.ifr_flags & IFF_RUNNING)
			break;
		usleep(1000);
	}
	/* Takes the lock under which the kernel does the rest. */
	plain_check(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
	close(fd);
}
