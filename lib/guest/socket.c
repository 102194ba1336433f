/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest.h"

/** Whether someone listens on the socket: the only difference between live and stale. */
static int
socket_probe(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, rc;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

static int
socket_check_directory(const char *path)
{
	char copy[108];
	const char *dir;
	struct stat st;

	snprintf(copy, sizeof(copy), "%s", path);
	dir = dirname(copy);
	if (stat(dir, &st) != 0)
		return weir_error(errno, "socket %s: directory %s: %s: create it first", path, dir,
				  strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return weir_error(ENOTDIR, "socket %s: %s is not a directory", path, dir);
	if (access(dir, W_OK | X_OK) != 0)
		return weir_error(errno,
				  "socket %s: directory %s: %s: run as a user who may write there",
				  path, dir, strerror(errno));
	return 0;
}

int
socket_check(const char *path, bool client)
{
	struct stat st;
	int rc;

	/* A client waits for its server's file to appear: nothing to check but the way to it. */
	if (client)
		return 0;
	rc = socket_check_directory(path);
	if (rc != 0)
		return rc;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0
				       : weir_error(errno, "socket %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return weir_error(EEXIST,
				  "socket %s: a file that is not a socket is there: name another "
				  "path, or remove it",
				  path);
	rc = socket_probe(path);
	if (rc == 0 || rc == -EAGAIN)
		return weir_error(EADDRINUSE,
				  "socket %s: another process serves it: end it, or name another "
				  "path",
				  path);
	if (rc != -ECONNREFUSED)
		return weir_error(-rc, "socket %s: cannot tell whether it is in use: %s", path,
				  strerror(-rc));
	if (unlink(path) != 0)
		return weir_error(errno, "socket %s: stale, but it cannot be removed: %s", path,
				  strerror(errno));
	WEIR_LOG(guest, NOTICE, "socket %s was left by a process that is gone: taken over", path);
	return 0;
}
