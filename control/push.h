/* SPDX-License-Identifier: BSD-3-Clause */
/* What the dataplane is told: the whole configuration, and afterwards what next hops and key agreement change. */
#ifndef CONTROL_PUSH_H
#define CONTROL_PUSH_H

#include "control/control.h"

/*
 * Tells the dataplane everything in one FULL transaction: the document (NULL: nothing exists) and the policy (NULL: it
 * keeps the one it has). On error it has what it had before; the pointer names the place in the document.
 */
int push_all(struct control *control, const struct document *document, const struct fence_policy *policy,
	struct error *error);
/* Tells it the candidate policy, or that there is none (NULL). */
int push_shadow(struct control *control, const struct fence_policy *candidate, struct error *error);
/* Tells it a new policy, the switches beside it, and nothing else. */
int push_policy(struct control *control, const struct fence_policy *policy, struct error *error);
/* Brings adjacencies and members up to date soon (push_sync() from the event loop). */
void push_sync_later(struct control *control);
int push_sync(struct control *control, struct error *error);

/* Makes the mirror follow the endpoints of the document's peers (NULL: none). */
int push_follow(struct control *control, const struct document *document, struct error *error);
/* Number among those followed, SIZE_MAX if it is not. */
size_t push_followed(const struct control *control, const struct document *document, const struct document_peer *peer);

/* Forgets what the dataplane was told. */
void push_forget(struct control *control);

/* Whether flooded frames of a tenant go to the peer: both sites have it and name each other for it. */
bool push_is_member(const struct control *control, uint32_t vni, uint16_t peer);

#endif
