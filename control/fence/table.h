/* SPDX-License-Identifier: BSD-3-Clause */
/* From intervals of addresses to the flat table of pontlevis/fence_map.h, in a BPF map of its own. */
#ifndef CONTROL_FENCE_TABLE_H
#define CONTROL_FENCE_TABLE_H

#include <stdint.h>

#include "control/error.h"
#include "control/fence/sequence.h"

/*
 * Builds the table of what holds from address to address: intervals of IPv4 and of IPv6, and for each of their values
 * the table's entry (entries[0] is that of value 0). On success *fd is the map, frozen, owned by the caller, and *size
 * its bytes. -1 with the error set: out of memory, more ranges than a table holds, or no right to make maps.
 */
int table_build(const struct sequence intervals[2], const uint32_t *entries, uint64_t revision, int *fd, uint64_t *size,
	struct error *error);

#endif
