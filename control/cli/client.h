/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of methods over the controller socket: JSON-RPC 2.0, one message per line. */
#ifndef CONTROL_CLI_CLIENT_H
#define CONTROL_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "control/error.h"

enum client_outcome {
	CLIENT_ANSWERED,    /* *answer is the result */
	CLIENT_REFUSED,     /* *answer is the error object: code, message, perhaps data */
	CLIENT_UNREACHABLE, /* no sensible answer within the time limit; the error says why */
};

/* Longest answer accepted, in bytes. */
enum { CLIENT_ANSWER_MAX = 128 << 20 };

/* The caller owns *answer. params: object, stays with the caller. */
enum client_outcome client_call(const char *socket_path, unsigned int timeout_s, const char *method, json_t *params,
	json_t **answer, struct error *error);

/*
 * A call that subscribes: after the answer every notification that comes is given to take(), until that returns false
 * (CLIENT_ANSWERED) or the connection ends (CLIENT_UNREACHABLE). The time limit is that of the answer; notifications
 * may be awaited for ever.
 */
enum client_outcome client_subscribe(const char *socket_path, unsigned int timeout_s, const char *method,
	json_t *params, bool (*take)(void *context, const json_t *notification), void *context, json_t **answer,
	struct error *error);

#endif
