/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/cgroup.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/control_fence/scratch.h"

struct mount_case {
	const char *text, *found;
};

static const struct mount_case mount_cases[] = {
	{"", NULL},
	{"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw\n", NULL},
	/* alone, and beside v1 */
	{"31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n", "/sys/fs/cgroup"},
	{"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	 "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 none rw\n",
		"/sys/fs/cgroup/unified"},
	{"41 31 0:38 / /mnt/a\\040b\\134 rw master:1 propagate_from:2 - cgroup2 none rw\n", "/mnt/a b\\"},
	/* nothing that only looks so */
	{"41 31 0:38 / /cgroup2 rw - tmpfs cgroup2 rw\n", NULL},
	{"41 31 0:38 / /x rw - cgroup2x none rw\n", NULL},
	{"41 31 - cgroup2 none rw\n", NULL},
	{"garbage\n - cgroup2 \n", NULL},
};

Test(cgroup, finds_the_mount_point_of_the_unified_hierarchy)
{
	size_t i;

	for (i = 0; i < sizeof(mount_cases) / sizeof(mount_cases[0]); i++) {
		const struct mount_case *test = &mount_cases[i];
		char *found = cgroup_mount_point(scratch_file(test->text, strlen(test->text)));

		if (test->found)
			cr_expect(found && !strcmp(found, test->found), "case %zu: %s", i, found ? found : "none");
		else
			cr_expect_null(found, "case %zu: %s", i, found);
		free(found);
	}
	cr_expect_null(cgroup_mount_point("/nonexistent"));
}
