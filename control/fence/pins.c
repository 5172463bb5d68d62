/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Cuts the last component off a path; "/" and names without a slash end the way up. */
static int parent_of(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || (slash == path && !slash[1]))
		return -1;
	if (slash == path)
		slash[1] = '\0';
	else
		*slash = '\0';
	return 0;
}

static int make_directories(char *path, struct error *error)
{
	char *slash;

	for (slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			return error_set(error, errno, NULL, "fence: pin directory %.300s: %s", path, strerror(errno));
		if (!slash)
			return 0;
		*slash = '/';
	}
}

int pins_open(const char *directory, struct error *error)
{
	char path[PIN_PATH_SIZE];
	struct statfs status;

	if (directory[0] != '/' || strlen(directory) >= sizeof(path) - 64)
		return error_set(error, EINVAL, NULL, "fence: pin directory %.300s is not an absolute path", directory);
	(void)snprintf(path, sizeof(path), "%s", directory);
	while (statfs(path, &status)) {
		if (errno != ENOENT || parent_of(path))
			return error_set(error, errno, NULL, "fence: pin directory %.300s: %s", path, strerror(errno));
	}
	if ((unsigned long)status.f_type != BPF_FS_MAGIC)
		return error_set(error, ENODEV, NULL,
			"fence: pin directory %.300s is not on a BPF file system (mount -t bpf bpf /sys/fs/bpf)",
			directory);
	(void)snprintf(path, sizeof(path), "%s", directory);
	return make_directories(path, error);
}

int pins_path(const char *directory, const char *name, char path[PIN_PATH_SIZE], struct error *error)
{
	int length = snprintf(path, PIN_PATH_SIZE, "%s/%s", directory, name);

	if (length < 0 || length >= PIN_PATH_SIZE)
		return error_set(error, ENAMETOOLONG, NULL, "fence: pin directory %.300s: path too long", directory);
	return 0;
}

int pins_get(const char *directory, const char *name, struct error *error)
{
	char path[PIN_PATH_SIZE];
	int fd;

	if (pins_path(directory, name, path, error))
		return -1;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return error_set(error, errno, NULL, "fence: pin %.300s: %s", path, strerror(errno));
	return fd;
}

int pins_set(const char *directory, const char *name, int fd, struct error *error)
{
	char path[PIN_PATH_SIZE], prepared[PIN_PATH_SIZE], prepared_name[64];

	(void)snprintf(prepared_name, sizeof(prepared_name), "%s_new", name);
	if (pins_path(directory, name, path, error) || pins_path(directory, prepared_name, prepared, error))
		return -1;
	/* Left over if a process died just here. */
	(void)unlink(prepared);
	if (bpf_obj_pin(fd, prepared))
		return error_set(error, errno, NULL, "fence: pinning %.300s: %s", prepared, strerror(errno));
	if (rename(prepared, path)) {
		(void)error_set(error, errno, NULL, "fence: pinning %.300s: %s", path, strerror(errno));
		(void)unlink(prepared);
		return -1;
	}
	return 0;
}

/* Detaches a pinned link at once: when its last reference goes, the kernel does it only some time later. */
static void detach_link(const char *directory, const char *name)
{
	struct error ignored;
	int fd = pins_get(directory, name, &ignored);

	if (fd < 0)
		return;
	/* Fails for what is no link, which has nothing to detach. */
	(void)bpf_link_detach(fd);
	(void)close(fd);
}

int pins_remove(const char *directory, struct error *error)
{
	struct statfs status;
	struct dirent *entry;
	DIR *pins;
	int result = 0;

	if (statfs(directory, &status))
		return errno == ENOENT ? 0
				       : error_set(error, errno, NULL, "fence: pin directory %.300s: %s", directory,
						 strerror(errno));
	if ((unsigned long)status.f_type != BPF_FS_MAGIC)
		return error_set(
			error, ENODEV, NULL, "fence: pin directory %.300s is not on a BPF file system", directory);
	pins = opendir(directory);
	if (!pins)
		return error_set(error, errno, NULL, "fence: pin directory %.300s: %s", directory, strerror(errno));
	while ((entry = readdir(pins))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		detach_link(directory, entry->d_name);
		if (unlinkat(dirfd(pins), entry->d_name, 0))
			result = error_set(error, errno, NULL, "fence: pin %.200s/%.100s: %s", directory, entry->d_name,
				strerror(errno));
	}
	(void)closedir(pins);
	if (!result && rmdir(directory) && errno != EBUSY)
		result = error_set(error, errno, NULL, "fence: pin directory %.300s: %s", directory, strerror(errno));
	return result;
}
