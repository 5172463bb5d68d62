/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that live as long as a test. */
#ifndef TESTS_UNIT_CONTROL_FENCE_SCRATCH_H
#define TESTS_UNIT_CONTROL_FENCE_SCRATCH_H

#include <stddef.h>

/* Writes a file of these bytes and returns its path, removed when the process ends. */
const char *scratch_file(const void *bytes, size_t size);

#endif
