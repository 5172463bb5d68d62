/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pin directory on a BPF file system: what is pinned there stays loaded and attached while no process has it. A
 * new object takes the name of the old one in one step (rename), so there is no moment without.
 */
#ifndef CONTROL_FENCE_PINS_H
#define CONTROL_FENCE_PINS_H

#include "control/error.h"

enum { PIN_PATH_SIZE = 4096 };

/* Checks that the directory is, or would be, on a bpffs, and makes what is missing of it (0700). */
int pins_open(const char *directory, struct error *error);

/* Path of a pin. */
int pins_path(const char *directory, const char *name, char path[PIN_PATH_SIZE], struct error *error);

/* The pinned object as a new file descriptor, -1 (ENOENT) if there is none. */
int pins_get(const char *directory, const char *name, struct error *error);

/* Pins the object under the name, in place of what was there. */
int pins_set(const char *directory, const char *name, int fd, struct error *error);

/* Detaches every pinned link, removes every pin and the directory itself; no error if it does not exist. */
int pins_remove(const char *directory, struct error *error);

#endif
