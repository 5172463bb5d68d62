/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compiles policies in a thread of its own, one at a time, so that the event loop goes on: a million prefixes take
 * a second. The thread knows nothing but what it is given, and nobody knows it but this file.
 */
#ifndef CONTROL_COMPILER_H
#define CONTROL_COMPILER_H

#include <jansson.h>
#include <stdint.h>

#include "control/error.h"
#include "control/fence/fence.h"

struct compiler;
struct event_base;
struct policy_stamp;

/* finished: called from the event loop when a policy is ready, or cannot be. */
struct compiler *compiler_start(
	struct event_base *base, void (*finished)(void *context), void *context, struct error *error);
/* Waits for what is being compiled, and drops it. NULL is allowed. */
void compiler_stop(struct compiler *compiler);

/*
 * The policy of a fence section (as the schema allows it) under a revision, from files as the stamp describes them. A
 * policy that was asked for with the very same three is handed out once and becomes the caller's. NULL with the error
 * set: EINPROGRESS if it is being compiled from now on, or another one is: ask again when finished() was called; else
 * why it cannot be compiled.
 */
struct fence_policy *compiler_take(struct compiler *compiler, const json_t *fence, uint64_t revision,
	const struct policy_stamp *stamp, struct error *error);

#endif
