/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int durable_write(int directory, const char *name, const void *data, size_t length)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	const char *next = data;
	int code = 0;

	if (fd < 0)
		return -1;
	while (length != 0 && code == 0) {
		ssize_t written = write(fd, next, length);

		if (written < 0 && errno != EINTR)
			code = errno;
		if (written > 0) {
			next += written;
			length -= (size_t)written;
		}
	}
	if (code == 0 && fsync(fd) != 0)
		code = errno;
	if (close(fd) != 0 && code == 0)
		code = errno;
	if (code != 0)
		(void)unlinkat(directory, name, 0);
	errno = code;
	return code == 0 ? 0 : -1;
}

int durable_replace(int directory, const char *name, const void *data, size_t length)
{
	char beside[NAME_MAX + 1];

	if ((size_t)snprintf(beside, sizeof(beside), "%s.new", name) >= sizeof(beside)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (durable_write(directory, beside, data, length) != 0 || renameat(directory, beside, directory, name) != 0)
		return -1;
	return fsync(directory);
}
