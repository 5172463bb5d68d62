/* SPDX-License-Identifier: BSD-3-Clause */
/* What the programs in this folder have in common: a policy from a JSON file, and how they end when they cannot go on.
 */
#ifndef TESTS_FENCE_POLICY_H
#define TESTS_FENCE_POLICY_H

#include <stdint.h>

#include "control/fence/fence.h"

/* Ends the process with a message. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* Compiles the policy of a file with a fence section, under a revision; *ms: how long that took. Dies of any error. */
struct fence_policy *policy_load(const char *path, uint64_t revision, double *ms);

#endif
