/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC 2.0: from the text of one message to the answer; knows nothing of sockets. */
#ifndef CONTROL_RPC_REQUEST_H
#define CONTROL_RPC_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/rpc/method.h"

enum { RPC_BATCH_MAX = 1024 };

struct rpc_effect {
	bool later;      /* a handler wants to be called again: there is no answer yet */
	size_t requests; /* that were looked at: 1, or the members of a batch */
};

/*
 * Carries out the request (or batch) in a message. Returns the answer (a new reference), NULL if there is none to give:
 * notifications, or out of memory.
 */
json_t *rpc_answer(const struct rpc_registry *registry, const struct rpc_who *who, const char *message, size_t length,
	struct rpc_effect *effect);

/* An error object as the answer to a message whose id is not known. */
json_t *rpc_refusal(const struct rpc_failure *failure);

#endif
