/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a configuration comes into force, all or nothing. The order of a commit, and its undoing in reverse:
 *
 *	1 the document makes sense, its policy compiles and allows every peer	(nothing touched yet)
 *	2 the record is on disk under a name that counts for nothing		remove it
 *	3 the dataplane has taken configuration and policy in one transaction	tell it the earlier ones
 *	4 the policy is in force in the kernel					publish the earlier one
 *	5 the mirror follows the peers						follow the earlier ones
 *	6 key agreement has taken it						give it the earlier one
 *	7 the record is the current one, durably				-
 *
 * The dataplane comes first because it is the one that may well say no, and it undoes itself; key agreement comes after
 * it because SAs need their tenants and peers. Every place swaps its policy atomically, so at every moment each of them
 * enforces the old one or the new one, never none. A crash before 7 leaves the old configuration on disk, which the
 * next start puts in force everywhere.
 */
#ifndef CONTROL_COMMIT_H
#define CONTROL_COMMIT_H

#include <jansson.h>

#include "control/control.h"
#include "control/model/problems.h"
#include "control/rpc/method.h"

enum { COMMIT_ANY_REVISION = -1 };

/* Why there is a new revision; what its record calls "reason". */
enum commit_reason { COMMIT_ASKED, COMMIT_PATCH, COMMIT_ROLLBACK, COMMIT_TIMEOUT };

struct commit_request {
	json_t *config;             /* in canonical form, stays the caller's */
	json_int_t expect_revision; /* COMMIT_ANY_REVISION: any */
	uint32_t confirm_timeout_s; /* 0: not on trial */
	enum commit_reason reason;
	uint64_t from; /* revision gone back to, 0: none */
};

/* All checks of a commit. The result of config.validate; NULL with the failure set. */
json_t *commit_validate(
	struct control *control, json_t *config, const struct rpc_who *who, struct rpc_failure *failure);

/* Commits. The result of config.commit; NULL with the failure set, and everything is as before. */
json_t *commit_run(struct control *control, const struct commit_request *request, const struct rpc_who *who,
	struct rpc_failure *failure);

/* Ends the trial of the current revision. The result of config.confirm. */
json_t *commit_confirm(
	struct control *control, json_int_t expect_revision, const struct rpc_who *who, struct rpc_failure *failure);

/*
 * The time to confirm is over: goes back. A peer that the policy denies by now does not stop that, nor does a disk that
 * takes no new record: then the configuration in force is gone back all the same, and the record follows when it can.
 */
void commit_expire(struct control *control);

/*
 * Compiles the committed configuration's policy again and puts it in force. The result of fence.reload. confirm_s: the
 * policy before comes back after so many seconds without a confirmation; 0: it does not.
 */
json_t *commit_reload(
	struct control *control, unsigned int confirm_s, const struct rpc_who *who, struct rpc_failure *failure);
/* Puts a policy back in force that was not confirmed; takes it over. */
void commit_revert_policy(struct control *control, struct fence_policy *previous, const struct policy_stamp *stamp);

/*
 * Puts what was committed in force (at the start, and again while something is in the way). A peer that the policy
 * denies now does not stop it: the fence blocks the peer, and it is reported. Problems are left in control->problem.
 */
void commit_restore(struct control *control);

/* Tells a dataplane that has just said HELLO everything. Problems are left in control->dataplane_problem. */
void commit_replay(struct control *control);

/* Fails with all problems; the first one stands for them where there is room for one only. Returns -1. */
int commit_fail(struct rpc_failure *failure, enum rpc_code code, const struct problems *problems);

/* {"uid": ..., "pid": ..., "user": ...} */
json_t *commit_who(const struct rpc_who *who);

#endif
