/* SPDX-License-Identifier: BSD-3-Clause */
/* From prefixes to the flat table of pontlevis/fence_map.h, in a BPF map of its own. */
#ifndef CONTROL_FENCE_TABLE_H
#define CONTROL_FENCE_TABLE_H

#include <stdint.h>

#include "control/error.h"
#include "control/fence/dataset.h"

/*
 * Builds the table. entries[i] is the table's entry for label i of the dataset: its number and verdict. On success *fd
 * is the map, frozen, owned by the caller, and *size its bytes. -1 with the error set: out of memory, more ranges than
 * a table holds, or no right to make maps.
 */
int table_build(const struct dataset *dataset, const uint32_t *entries, uint64_t revision, int *fd, uint64_t *size,
	struct error *error);

#endif
