/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transaction as the link speaks it: BEGIN, changes, COMMIT. Until COMMIT nothing outside the candidate changes;
 * COMMIT either puts all of it in force on every worker or leaves everything as it was. Main lcore only.
 */
#ifndef DATAPLANE_SNAPSHOT_TRANSACTION_H
#define DATAPLANE_SNAPSHOT_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/snapshot/lifetime.h"
#include "dataplane/snapshot/state.h"
#include "dataplane/worker.h"

/* The part of the dataplane that configuration changes. */
struct configuration {
	struct plane *plane;
	struct state *state;             /* in force */
	IMB_MGR *gcm;                    /* expands keys */
	struct transaction *transaction; /* open one, or NULL */
	uint64_t full_revision;          /* of the last FULL transaction, 0: none */
	struct lifetimes lifetimes;      /* of the SAs in use */
};

/* Starts with an empty state. -1 if memory is short. */
int configuration_start(struct configuration *configuration, struct plane *plane);
/* Erases all SAs; the workers have stopped. */
void configuration_stop(struct configuration *configuration);

/*
 * Takes one message of a transaction (type PONT_LINK_BEGIN to PONT_LINK_SA_OUT_DEL), whose length was checked to be
 * that of its type. fd is owned by the call. Returns 0 or an errno value with the error set; then the transaction is
 * undone already. *committed is set when a COMMIT is in force.
 */
int transaction_message(struct configuration *configuration, const struct pont_link_header *message, int fd,
	bool *committed, struct state_error *error);
/* Undoes an open transaction, if there is one. */
void transaction_abort(struct configuration *configuration);

/* Every few milliseconds: finds SAs that reached a limit, and stops those past the hard one. */
void configuration_watch(struct configuration *configuration);
/* Once a second: forgets aged MAC addresses. */
void configuration_age(struct configuration *configuration);
/* Enters one address, whose place must live; false if the tenant's limit or the table's size is reached. */
bool configuration_teach(struct configuration *configuration, const struct fdb_lesson *lesson);
/* Every few milliseconds: enters what the workers learnt. */
void configuration_learn(struct configuration *configuration);

#endif
