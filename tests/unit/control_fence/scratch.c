/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/control_fence/scratch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void remove_file(void)
{
	(void)unlink(path);
}

const char *scratch_file(const void *bytes, size_t size)
{
	FILE *file;

	if (!path[0]) {
		strcpy(path, "/tmp/pont-dataset-XXXXXX");
		file = fdopen(mkstemp(path), "w");
		(void)atexit(remove_file);
	} else {
		file = fopen(path, "w");
	}
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(bytes, 1, size, file), size);
	cr_assert_eq(fclose(file), 0);
	return path;
}
