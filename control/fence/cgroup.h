/* SPDX-License-Identifier: BSD-3-Clause */
/* The cgroup v2 directory that k2 guards. */
#ifndef CONTROL_FENCE_CGROUP_H
#define CONTROL_FENCE_CGROUP_H

#include <stdint.h>

#include "control/error.h"

/*
 * Opens the directory; path NULL: the root of the cgroup v2 hierarchy, wherever it is mounted, alone or beside v1.
 * Returns a file descriptor, and in *found the path (malloc) and in *id the kernel's number of the cgroup.
 */
int cgroup_open(const char *path, char **found, uint64_t *id, struct error *error);

/*
 * Path of the cgroup with this id under a cgroup v2 directory, relative to it: "/" for itself, "" if it is not there
 * (any more). Remembers the last ones, as finding one is a walk through the hierarchy.
 */
enum { CGROUP_PATH_SIZE = 256 };
void cgroup_path_of(const char *root, uint64_t id, char path[CGROUP_PATH_SIZE]);

/* Mount point of the first cgroup v2 file system in a mountinfo file (proc(5)), malloc; NULL if there is none. */
char *cgroup_mount_point(const char *mountinfo);

#endif
