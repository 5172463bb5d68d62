/* SPDX-License-Identifier: BSD-3-Clause */
/* A directory of one test's own, and files in it. */
#ifndef TESTS_UNIT_CONTROL_SCRATCH_H
#define TESTS_UNIT_CONTROL_SCRATCH_H

#include <limits.h>

/* Makes the directory; scratch_remove() takes it away with everything in it. */
void scratch_make(void);
void scratch_remove(void);
/* Path of a name in it; valid until the fourth call after this one. */
const char *scratch_path(const char *name);
/* Writes a file with these permissions; returns its path as above. */
const char *scratch_file(const char *name, const char *text, unsigned int mode);
/* Reads a whole file into a buffer of the caller's; NUL-terminated. Length, or -1. */
long scratch_read(const char *path, char *text, unsigned long size);

#endif
