/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lock of the fence as people use it: with a reason, kept over restarts of process and machine, and with a time
 * after which what was not confirmed is undone, so that nobody locks himself out for good. A note in the state
 * directory says that it is locked; one that cannot be read counts as locked.
 */
#ifndef CONTROL_LOCK_H
#define CONTROL_LOCK_H

#include "control/control.h"
#include "control/rpc/method.h"

/* At most a week. */
enum { LOCK_CONFIRM_MAX_S = 7 * 86400 };

/* Puts back into force what the note says; the fence has started and nothing else has. */
int lock_restore(struct control *control, struct error *error);

/*
 * confirm_s: unlocked again after so many seconds without lock_confirm(); 0: stays. The lock is in force first and
 * noted then: "durable" in the result says whether that could be done. Locking again replaces reason and time.
 */
json_t *lock_set(struct control *control, const char *reason, unsigned int confirm_s, const struct rpc_who *who,
	struct rpc_failure *failure);
json_t *lock_clear(struct control *control, const struct rpc_who *who, struct rpc_failure *failure);

/* Whether a note of a lock, readable or not, lies in the state directory. */
bool lock_is_noted(const char *state);

/* What is waiting for its confirmation stays. */
json_t *lock_confirm(struct control *control, const struct rpc_who *who, struct rpc_failure *failure);

/*
 * Makes a new policy wait for its confirmation: `previous`, which is taken over, comes back in force after so many
 * seconds without. Held in memory only: a control process that restarts puts in force what its configuration says.
 */
void lock_await_policy(struct control *control, struct fence_policy *previous, const struct policy_stamp *stamp,
	unsigned int confirm_s);
/* A newer policy has come: nothing waits any more. */
void lock_forget_policy(struct control *control);

/* {"locked", "since", "who", "reason", "confirm_by", "policy_confirm_by"}. */
json_t *lock_describe(const struct control *control);

void lock_stop(struct control *control);

/*
 * The same note, and the switch at the pins, without a control process: for `pontlevis-control --lock`. The note is
 * written even where there is no fence yet.
 */
int lock_offline(const struct control_options *options, const char *reason, bool locked, struct error *error);

#endif
