/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A candidate policy that runs in shadow: asked about every packet beside the policy in force, in the kernel and in the
 * dataplane, and without any effect but counters. It lives as long as the control process; a dataplane that comes later
 * is told of it.
 */
#ifndef CONTROL_SHADOW_H
#define CONTROL_SHADOW_H

#include "control/control.h"
#include "control/rpc/method.h"

/* fence: the fence section of a configuration, NULL: the committed one, with its files as they are now. */
json_t *shadow_start(struct control *control, json_t *fence, const struct rpc_who *who, struct rpc_failure *failure);
json_t *shadow_status(struct control *control, struct rpc_failure *failure);
json_t *shadow_stop(struct control *control, const struct rpc_who *who, struct rpc_failure *failure);

/* Tells a dataplane that has just been configured. */
void shadow_replay(struct control *control);
/* Takes out of the kernel what an earlier control process may have left. */
void shadow_forget(struct control *control);

#endif
