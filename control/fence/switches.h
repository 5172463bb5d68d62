/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fence's switches: the lock, which holds in the kernel and in the dataplane with one store, and the candidate
 * policy that is asked beside the one in force. Both outlive the process; the lock also a restart of the machine, for
 * which the control process keeps a note (control/lock.h).
 */
#ifndef CONTROL_FENCE_SWITCHES_H
#define CONTROL_FENCE_SWITCHES_H

#include "control/fence/fence.h"

/* While it is locked nothing leaves the machine at any place, whatever the policy says, not even housekeeping. */
void fence_lock(struct fence *fence, bool locked);
bool fence_is_locked(const struct fence *fence);
/* The same at the pins, without a fence of one's own: works also while a control process runs, or none can. */
int fence_lock_pinned(const struct fence_options *options, bool locked, struct error *error);

/* Descriptor of the map of switches, which stays the fence's, and the bytes to map: for PONT_LINK_SWITCHES_SET. */
int fence_switches_fd(const struct fence *fence);
enum { FENCE_SWITCHES_SIZE = 4096 };

/* Asks a candidate beside the policy in force from now on; its counters start at zero. The caller keeps the policy. */
int fence_shadow_start(struct fence *fence, const struct fence_policy *candidate, struct error *error);
/* No error if there is none. */
void fence_shadow_stop(struct fence *fence);

struct fence_shadow_totals {
	struct pont_fence_shadow_total of[PONT_PLACE_COUNT][PONT_WOULD_COUNT];
};

/* Totals in the kernel, exact, and each kind of difference, as far as there was room to tell them apart. */
int fence_shadow_read(const struct fence *fence, struct fence_shadow_totals *totals,
	void (*visit)(
		void *context, const struct pont_fence_shadow_key *key, const struct pont_fence_shadow_value *value),
	void *context, struct error *error);

#endif
