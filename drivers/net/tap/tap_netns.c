/* SPDX-License-Identifier: BSD-3-Clause */
/* Network namespaces: a tap is made in the one that its opener is in. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_debug.h>

#include "weir_error.h"

#include "tap.h"

/** Where ip netns keeps them. */
#define NETNS_DIR "/run/netns"

static bool
is_number(const char *text)
{
	size_t n = 0;

	while (isdigit((unsigned char)text[n]))
		n++;
	return n > 0 && text[n] == '\0';
}

int
tap_netns_open(struct tap_link *link, const char *netns)
{
	char path[128];

	if (strchr(netns, '/') != NULL || strlen(netns) > 64)
		return weir_error(EINVAL,
				  "endpoint '%s': netns=%s: the name of a network namespace (ip "
				  "netns list) or the number of a process is needed",
				  link->owner, netns);
	snprintf(path, sizeof(path), is_number(netns) ? "/proc/%s/ns/net" : NETNS_DIR "/%s", netns);
	link->netns = open(path, O_RDONLY | O_CLOEXEC);
	if (link->netns >= 0)
		return 0;
	return weir_error(errno,
			  "endpoint '%s': netns=%s: no %s is to be had (%s): ip netns add %s, or "
			  "give the number of a process",
			  link->owner, netns, path, strerror(errno), netns);
}

int
tap_netns_enter(const struct tap_link *link, int *own)
{
	int err;

	*own = -1;
	if (link->netns < 0)
		return 0;
	*own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (*own >= 0 && setns(link->netns, CLONE_NEWNET) == 0)
		return 0;
	err = errno;
	if (*own >= 0)
		close(*own);
	*own = -1;
	return weir_error(err,
			  "endpoint '%s': the network namespace cannot be entered (%s): run as "
			  "root, or with CAP_SYS_ADMIN",
			  link->owner, strerror(err));
}

void
tap_netns_leave(int own)
{
	if (own < 0)
		return;
	/* Who was there may go back; whoever cannot would serve the wrong network. */
	RTE_VERIFY(setns(own, CLONE_NEWNET) == 0);
	close(own);
}
