/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
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
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
		return "no right to make a network namespace";
	/* A sysfs that shows it. Where that is not allowed, the old one shows other interfaces. */
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("sysfs", "/sys", "sysfs", 0, NULL) != 0)
		printf("no sysfs of the namespace\n");
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		plain_check(write(fd, "1", 1) == 1);
		close(fd);
	}
	return NULL;
}

int
host_tap_socket(const char *iface, uint16_t ether_type)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ether_type),
		.sll_ifindex = if_nametoindex(iface),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ether_type));

	plain_check(fd >= 0 && addr.sll_ifindex != 0);
	plain_check(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}
