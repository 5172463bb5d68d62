/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of methods, with the exit status that follows from what became of them. */
#ifndef CONTROL_CLI_ASK_H
#define CONTROL_CLI_ASK_H

#include <stdbool.h>

#include "pontlevis/client.h"

/* Connects; NULL after having said why not. The caller closes. */
struct pontlevis *ask_connect(const char *socket, int timeout_ms);
/* Calls a method. Says on standard error what went wrong; *answer is NULL then, else the result, which is the caller's.
 */
int ask(struct pontlevis *connection, const char *method, json_t *params, int timeout_ms, json_t **answer);
/* Whether an error object says what is over by itself: too many clients, or no dataplane. */
bool ask_will_pass(const json_t *refusal);

#endif
