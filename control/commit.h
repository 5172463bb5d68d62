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
 *next start puts in force everywhere.
 */
#ifndef CONTROL_COMMIT_H
#define CONTROL_COMMIT_H

#include <jansson.h>

#include "control/control.h"
#include "control/rpc/method.h"

enum { COMMIT_ANY_REVISION = -1 };

/* All checks of a commit. The result of config.validate; NULL with the failure set. */
json_t *commit_validate(struct control *control, json_t *config, struct rpc_failure *failure);

/* Commits. The result of config.commit; NULL with the failure set, and everything is as before. */
json_t *commit_run(struct control *control, json_t *config, json_int_t expect_revision, const struct rpc_who *who,
	struct rpc_failure *failure);

/* Compiles the committed configuration's policy again and puts it in force. The result of fence.reload. */
json_t *commit_reload(struct control *control, struct rpc_failure *failure);

/*
 * Puts what was committed in force (at the start, and again while something is in the way). A peer that the policy
 * denies now does not stop it: the fence blocks the peer, and it is reported. Problems are left in control->problem.
 */
void commit_restore(struct control *control);

/* Tells a dataplane that has just said HELLO everything. Problems are left in control->dataplane_problem. */
void commit_replay(struct control *control);

/* {"uid": ..., "pid": ..., "user": ...} */
json_t *commit_who(const struct rpc_who *who);

#endif
