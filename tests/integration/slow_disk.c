/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To be preloaded: a disk that takes nothing for as long as there is /run/slow_disk. For
 * programs that write by pwrite(), which io_uring is refused to.
 */
#include <dlfcn.h>
#include <unistd.h>

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset);

ssize_t
pwrite64(int fd, const void *data, size_t n, off64_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");

	while (access("/run/slow_disk", F_OK) == 0)
		usleep(1000);
	return real(fd, data, n, offset);
}
