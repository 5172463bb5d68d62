/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel programs: loaded with the maps that an earlier process left pinned, and put in the place of its programs
 * without a gap, so that after a restart this build's programs run with the policy and the counters as they were.
 */
#ifndef CONTROL_FENCE_PROGRAMS_H
#define CONTROL_FENCE_PROGRAMS_H

#include <stdint.h>

#include "control/error.h"

struct egress_fence;

/* Loads them and pins their maps; nothing is attached yet. NULL on error. */
struct egress_fence *programs_load(const char *pin_directory, struct error *error);

/* Attaches k2 to the cgroup and pins the links; what is attached there already is replaced in one step. */
int programs_guard_cgroup(const struct egress_fence *programs, const char *pin_directory, int cgroup_fd,
	uint64_t cgroup_id, struct error *error);

/* Revision of the policy in force, 0 if there is none. */
uint64_t programs_policy_revision(const struct egress_fence *programs);

/* Lets go of them; what is attached or pinned stays. NULL is allowed. */
void programs_close(struct egress_fence *programs);

#endif
