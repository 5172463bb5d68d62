/* SPDX-License-Identifier: BSD-3-Clause */
/* An explanation as JSON: the result of fence.explain, and what `pontlevis fence explain --bundle` prints. */
#ifndef CONTROL_FENCE_EXPLAIN_H
#define CONTROL_FENCE_EXPLAIN_H

#include <jansson.h>

#include "control/fence/fence.h"

/* NULL if out of memory. */
json_t *explain_json(const struct pont_address *destination, const struct fence_explanation *explanation);

#endif
