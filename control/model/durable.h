/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that outlive a crash of the process or of the machine: the one way in which the control process writes what it
 * must remember.
 */
#ifndef CONTROL_MODEL_DURABLE_H
#define CONTROL_MODEL_DURABLE_H

#include <stddef.h>

/*
 * Writes a file (mode 0600) in the directory and brings its bytes to disk; one of that name is overwritten. -1 and
 * errno on failure, and then there is no such file.
 */
int durable_write(int directory, const char *name, const void *data, size_t length);

/*
 * Puts a file in the place of the one of that name: at any moment, also after a crash, the old one or the new one is
 * there, whole. Written beside as NAME.new, renamed, and the directory brought to disk. -1 and errno on failure; the
 * old file is then still there, unless it is the directory's fsync that failed.
 */
int durable_replace(int directory, const char *name, const void *data, size_t length);

#endif
