/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/cgroup.h"

#include <fcntl.h>
#include <fts.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' &&
			text[3] >= '0' && text[3] <= '7') {
			*out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNT_POINT OPTIONS [OPTIONAL...] - TYPE SOURCE OPTIONS": the mount point if v2. */
static char *cgroup2_of_line(char *line)
{
	char *separator = strstr(line, " - "), *save = NULL, *word = NULL;
	int i;

	if (!separator || strncmp(separator + 3, "cgroup2 ", 8) != 0)
		return NULL;
	*separator = '\0';
	for (i = 0; i < 5; i++) {
		word = strtok_r(i ? NULL : line, " ", &save);
		if (!word)
			return NULL;
	}
	unescape(word);
	return strdup(word);
}

char *cgroup_mount_point(const char *mountinfo)
{
	FILE *file = fopen(mountinfo, "re");
	char *line = NULL, *found = NULL;
	size_t room = 0;

	if (!file)
		return NULL;
	while (!found && getline(&line, &room, file) > 0)
		found = cgroup2_of_line(line);
	free(line);
	(void)fclose(file);
	return found;
}

int cgroup_open(const char *path, char **found, uint64_t *id, struct error *error)
{
	struct statfs file_system;
	struct stat status;
	int fd;

	*found = path ? strdup(path) : cgroup_mount_point("/proc/self/mountinfo");
	if (!*found)
		return error_set(error, ENODEV, NULL,
			"fence: no cgroup v2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup)");
	fd = open(*found, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstatfs(fd, &file_system) || fstat(fd, &status)) {
		(void)error_set(error, errno, NULL, "fence: cgroup %.300s: %s", *found, strerror(errno));
		goto undo;
	}
	if ((unsigned long)file_system.f_type != CGROUP2_SUPER_MAGIC) {
		(void)error_set(error, EINVAL, NULL, "fence: %.300s is not a cgroup v2 directory", *found);
		goto undo;
	}
	/* cgroupfs numbers its directories with the cgroup's id. */
	*id = status.st_ino;
	return fd;
undo:
	if (fd >= 0)
		(void)close(fd);
	free(*found);
	*found = NULL;
	return -1;
}

/* Directories looked at in one walk, so that a huge hierarchy costs no more than that. */
enum { WALK_MAX = 4096, REMEMBERED = 64 };

static void walk(const char *root, uint64_t id, char path[CGROUP_PATH_SIZE])
{
	char *const roots[] = {(char *)(uintptr_t)root, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	size_t root_length = strlen(root);
	unsigned int seen = 0;
	FTSENT *entry;

	while (tree && seen < WALK_MAX && (entry = fts_read(tree))) {
		if (entry->fts_info != FTS_D)
			continue;
		seen++;
		if (entry->fts_statp->st_ino != id)
			continue;
		(void)snprintf(path, CGROUP_PATH_SIZE, "%s", entry->fts_path + root_length);
		if (!path[0])
			(void)snprintf(path, CGROUP_PATH_SIZE, "/");
		break;
	}
	if (tree)
		(void)fts_close(tree);
}

void cgroup_path_of(const char *root, uint64_t id, char path[CGROUP_PATH_SIZE])
{
	static struct {
		uint64_t id;
		char path[CGROUP_PATH_SIZE];
	} remembered[REMEMBERED];
	size_t at = id % REMEMBERED;

	path[0] = '\0';
	if (!id)
		return;
	if (remembered[at].id != id) {
		walk(root, id, path);
		remembered[at].id = id;
		(void)snprintf(remembered[at].path, sizeof(remembered[at].path), "%s", path);
	}
	(void)snprintf(path, CGROUP_PATH_SIZE, "%s", remembered[at].path);
}
