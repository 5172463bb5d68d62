/* SPDX-License-Identifier: BSD-3-Clause */
/* A policy with every kind of source and rule. */
#ifndef TESTS_UNIT_CONTROL_FENCE_POLICIES_H
#define TESTS_UNIT_CONTROL_FENCE_POLICIES_H

#include "control/fence/model.h"
#include "control/fence/section.h"

struct pont_address parse_address(const char *text);

/* Writes the files, and the policy that names them; "jurisdiction_fallback none" or "... location". */
struct model compile_policy(const char *fallback);
/* The same as a section, valid up to the next call. */
const struct fence_policy_source *write_policy(const char *fallback);

#endif
