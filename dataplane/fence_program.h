/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fence inside the dataplane: the program of ebpf/egress_fence.bpf.c, run by DPDK's librte_bpf, over the policy
 * table that the control process compiled (pontlevis/fence_map.h), mapped read-only.
 */
#ifndef DATAPLANE_FENCE_PROGRAM_H
#define DATAPLANE_FENCE_PROGRAM_H

#include <stdint.h>

#include "pontlevis/fence_map.h"

/* Bytes of a frame that fence_program_run() may read, whatever the frame's own length. */
enum { FENCE_PROGRAM_READABLE = 128 };

struct fence_table;

/*
 * Loads, validates and compiles the embedded program. 0, or -1 with a message on stderr; among the reasons is that
 * librte_bpf has no JIT for this machine, as the interpreter is too slow for the path. Not thread-safe; EAL is up.
 */
int fence_program_load(void);
/* Frees it; no lcore may be in fence_program_run(). Harmless if nothing is loaded. */
void fence_program_unload(void);

/*
 * Maps a policy table. fd: the array map, or any file with its bytes; stays with the caller. size: bytes, as the
 * control process says. Every number in the table that a lookup follows is checked here. NULL with errno: EINVAL for a
 * table that is not whole and sane, else of mmap().
 */
struct fence_table *fence_table_map(int fd, uint64_t size);
/* No lcore may use the table any more. NULL is allowed. */
void fence_table_unmap(struct fence_table *table);
/* Policy revision of the table, > 0. */
uint64_t fence_table_revision(const struct fence_table *table);

/*
 * The verdict on an Ethernet frame. frame points to at least FENCE_PROGRAM_READABLE readable bytes, of which the first
 * length are the frame's. table NULL: no policy yet. May run on any number of lcores at once, also with different
 * tables. The program must be loaded.
 */
enum pont_verdict fence_program_run(const struct fence_table *table, const uint8_t *frame, uint32_t length);

#endif
