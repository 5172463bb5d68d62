/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The clients of the controller socket: newline-delimited JSON-RPC over libevent's buffered sockets. Every client has
 * its turn: a few messages, then the next one.
 */
#ifndef CONTROL_RPC_SERVER_H
#define CONTROL_RPC_SERVER_H

#include "control/error.h"
#include "control/rpc/credentials.h"
#include "control/rpc/method.h"

enum {
	RPC_MESSAGE_MAX = 16 << 20, /* bytes of one message, newline excluded */
	RPC_OUTPUT_MAX = 64 << 20,  /* bytes of answers waiting for a client: more, and it is closed */
	RPC_CLIENTS_MAX = 64,
	RPC_READERS_MAX = 48, /* of them with the role READ: readers never lock a writer out */
};

struct event_base;
struct rpc_server;

struct rpc_server_config {
	int fd; /* listening, non-blocking; stays the caller's */
	struct rpc_roles roles;
	struct rpc_registry registry;
	/* Told of clients that have no business here; may be NULL. */
	void (*refused)(void *context, const struct rpc_who *who, const char *text);
};

struct rpc_server *rpc_server_start(
	struct event_base *base, const struct rpc_server_config *config, struct error *error);
/* Closes every client. */
void rpc_server_stop(struct rpc_server *server);

#endif
