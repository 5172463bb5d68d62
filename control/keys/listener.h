/* SPDX-License-Identifier: BSD-3-Clause */
/* A listening TCP socket on one of the site's own addresses. */
#ifndef CONTROL_KEYS_LISTENER_H
#define CONTROL_KEYS_LISTENER_H

#include <stdbool.h>

#include "control/error.h"
#include "control/keys/endpoint.h"

struct event_base;
struct listener;

/* A connection came in; fd is non-blocking and belongs to the callee. */
typedef void listener_accepted_fn(void *context, int fd, const struct endpoint *remote);

/* Listens; the error names the address. The address must be one of the machine's (no IP_FREEBIND). */
struct listener *listener_open(struct event_base *base, const struct endpoint *endpoint, listener_accepted_fn *accepted,
	void *context, struct error *error);
const struct endpoint *listener_endpoint(const struct listener *listener);
/* Held, nobody is accepted: who connects waits in the kernel's queue, or gives up. */
void listener_hold(struct listener *listener, bool hold);
/* NULL is allowed. */
void listener_close(struct listener *listener);

#endif
