/* SPDX-License-Identifier: BSD-3-Clause */
/* From the document's fence section to a compiled policy, and who is denied by it. */
#ifndef CONTROL_POLICY_H
#define CONTROL_POLICY_H

#include <jansson.h>

#include "control/control.h"
#include "control/fence/fence.h"
#include "control/rpc/method.h"

/*
 * Compiles a document's policy under a revision. stamp: what to compare with policy_is_current(). A bundle that is
 * older than one that was in force is refused. can_wait: not here and now, but aside; then the error is EINPROGRESS
 * until it is there (see control/compiler.h): see policy_put_off().
 */
struct fence_policy *policy_compile(const struct control *control, const struct document *document, uint64_t revision,
	bool can_wait, struct policy_stamp *stamp, struct error *error);
/*
 * Of a failure whose error policy_compile() has set: whether the policy is only being compiled still. Then the call
 * behind it has to be made again, and the failure's code says so (RPC_LATER).
 */
bool policy_put_off(struct rpc_failure *failure);
/* A revision for a policy; given again until policy_number_used(). 0 on error. */
uint64_t policy_number(struct control *control, struct error *error);
/* The same when the disk does not take it. */
uint64_t policy_number_unwritten(struct control *control);
void policy_number_used(struct control *control);
/* The policy came into force: if it is of a bundle, no older one is accepted from now on. */
void policy_accepted(struct control *control);
/* Whether the policy in force is what compiling the document's would give: same rules, files not touched. */
bool policy_is_current(const struct control *control, const struct document *document);
/* A policy that allows nothing, for undoing the very first one. */
struct fence_policy *policy_of_nothing(struct control *control, struct error *error);

static inline bool policy_denies(const struct fence_explanation *explanation)
{
	return explanation->verdict >= PONT_VERDICT_DENY;
}

/* One line for people: what the destination's label is, and the rule that decided. */
void policy_say(const struct fence_explanation *explanation, char *text, size_t size);
/* Names of the document's peers that a policy denies (JSON array). */
json_t *policy_denied_peers(const struct document *document, const struct fence_policy *policy);
/* {"ipv4": n, "ipv6": n}; null without a policy. */
json_t *policy_prefixes(const struct fence_policy *policy);
/* {"path", "version", "sha256"} of the bundle it comes from; null if it is from none. */
json_t *policy_bundle(const struct control *control);
/* What it was made from: [{"format", "name", "origin", "date", "sha256", "ipv4", "ipv6"}]. */
json_t *policy_sources(const struct fence_policy *policy);

#endif
