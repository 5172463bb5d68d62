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
	RPC_MESSAGE_MAX = 16 << 20,     /* bytes of one message, newline excluded */
	RPC_OUTPUT_MAX = 64 << 20,      /* bytes of answers waiting for a client: more, and it is closed */
	RPC_SUBSCRIBED_MAX = 256 << 10, /* bytes of notifications waiting for a client: more wait where they are from */
	RPC_CLIENTS_MAX = 64,
	RPC_READERS_MAX = 48, /* of them who may but read: they never lock out who may do more */
};

struct event_base;
struct rpc_server;

struct rpc_server_config {
	int fd; /* listening, non-blocking; stays the caller's */
	struct rpc_roles roles;
	struct rpc_registry registry;
};

/*
 * What a client gets without asking for each piece: notifications, taken from the source one by one as the client takes
 * them, so that at most RPC_SUBSCRIBED_MAX bytes of them wait. A client has one source at most.
 */
struct rpc_source {
	/* Text of the next notification without newline, NULL if there is none now. Valid until the next call. */
	const char *(*next)(void *state, size_t *length);
	void (*end)(void *state); /* the source is not needed any more */
	void *state;
};

/* Begins after the answer to the present request. -1: the client has a source already. */
int rpc_subscribe(struct rpc_client *client, const struct rpc_source *source);
/* Ends it; false if there was none. */
bool rpc_unsubscribe(struct rpc_client *client);
/* Sources may have something new. May be called from a handler and from within a source's owner alike. */
void rpc_server_news(struct rpc_server *server);

/* What handlers waited for (RPC_LATER) is there, or somebody else's: the calls are made again. NULL is allowed. */
void rpc_server_resume(struct rpc_server *server);

struct rpc_server *rpc_server_start(
	struct event_base *base, const struct rpc_server_config *config, struct error *error);
/* Other roles from now on, also for those who are connected: who has none any more is closed. The grants stay the
 * caller's. */
void rpc_server_set_roles(struct rpc_server *server, const struct rpc_roles *roles);
/* Closes every client. */
void rpc_server_stop(struct rpc_server *server);

#endif
