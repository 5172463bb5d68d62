/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands around policies that need no control process. Each takes its arguments, gives a result to print, and
 * returns an exit status (command.h); STATUS_ASK means that the question is one for the control process.
 */
#ifndef CONTROL_CLI_POLICY_H
#define CONTROL_CLI_POLICY_H

#include <jansson.h>

int policy_compile(const json_t *arguments, json_t **result); /* {"policy", "version", "output"} */
int policy_sign(const json_t *arguments, json_t **result);    /* {"bundle", "key", "output"?} */
int policy_verify(const json_t *arguments, json_t **result);  /* {"bundle", "trust": [...]} */
int policy_explain(const json_t *arguments, json_t **result); /* {"address", "bundle"?} */
int policy_diff(const json_t *arguments, json_t **result);    /* {"bundle", "after"?, "limit"?} */

#endif
