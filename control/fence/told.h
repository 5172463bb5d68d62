/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many denials have been told as events, by place and verdict, pinned beside the counters: so that a control
 * process that comes after another one knows what nobody has told.
 */
#ifndef CONTROL_FENCE_TOLD_H
#define CONTROL_FENCE_TOLD_H

#include "control/fence/fence.h"

int fence_told_read(const struct fence *fence, struct fence_counters *out);
void fence_told_add(const struct fence *fence, unsigned int place, unsigned int verdict, uint64_t packets);

#endif
