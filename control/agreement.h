/* SPDX-License-Identifier: BSD-3-Clause */
/* The document as key agreement wants it, and its callbacks: SAs into the dataplane, what happens into the
 * stream of events. */
#ifndef CONTROL_AGREEMENT_H
#define CONTROL_AGREEMENT_H

#include <stdbool.h>

#include "control/control.h"
#include "control/keys/keys.h"

/*
 * Gives key agreement a document (NULL: nobody to talk to). only (may be NULL): of it, what this other document has
 * too; whatever it has not is withdrawn at the peers.
 */
int agreement_apply(
	struct control *control, const struct document *document, const struct document *only, struct error *error);

/*
 * Tells key agreement of the dataplane that is connected, and of the SAs which an earlier control process left in it;
 * false if it knows already.
 */
bool agreement_dataplane(struct control *control);

/* Tells the audit log how many steps SAs have made since the last time, if any. */
void agreement_summarize(struct control *control);

/* The callbacks, with control as their context. */
struct keys_callbacks agreement_callbacks(struct control *control);

#endif
