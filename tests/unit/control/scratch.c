/* SPDX-License-Identifier: BSD-3-Clause */
#include "scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

void scratch_make(void)
{
	(void)strcpy(directory, "/tmp/control-test-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void scratch_remove(void)
{
	(void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, PATH_MAX, "%s/%s", directory, name);
	return path;
}

const char *scratch_file(const char *name, const char *text, unsigned int mode)
{
	const char *path = scratch_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	(void)close(fd);
	return path;
}

long scratch_read(const char *path, char *text, unsigned long size)
{
	FILE *file = fopen(path, "r");
	size_t length;

	if (file == NULL)
		return -1;
	length = fread(text, 1, size - 1, file);
	text[length] = '\0';
	(void)fclose(file);
	return (long)length;
}
