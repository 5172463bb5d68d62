/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a method of the controller socket is: a record in a table, from which calls are checked and dispatched, and
 * help (rpc.discover) is made.
 */
#ifndef CONTROL_RPC_METHOD_H
#define CONTROL_RPC_METHOD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "control/error.h"

enum rpc_code {
	RPC_LATER = 0, /* no answer yet, nothing has been done: see rpc_who.can_wait. Never sent */
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_UNKNOWN_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602, /* data.pointer: into the params */
	RPC_INTERNAL = -32603,
	RPC_SYSTEM = -32000,
	RPC_ACCESS = -32001,
	RPC_INVALID_CONFIG = -32002, /* data.pointer: into the configuration, here and in the next two */
	RPC_FENCE_DENIES = -32003,
	RPC_DATAPLANE = -32004,
	RPC_CONFLICT = -32005,
	RPC_NOT_FOUND = -32006,
};

struct rpc_failure {
	enum rpc_code code;
	struct error error;
	json_t *errors; /* array of {"errno", "pointer", "message"}: all of them, the first one included; NULL: only it
			 */
};

/* What somebody may do; a set of them is their sum. Who may change anything may read too. */
enum rpc_role {
	RPC_ROLE_READ = 1,    /* "reader" */
	RPC_ROLE_OPERATE = 2, /* "operator": configuration and fence */
	RPC_ROLE_KEYS = 4,    /* "key_officer": keys, and who may do what */
	RPC_ROLE_ALL = 7,
};

struct rpc_client;

/* The client, as the kernel describes it. */
struct rpc_who {
	uid_t uid;
	pid_t pid;
	unsigned int roles;        /* a set of enum rpc_role, 0: none */
	char user[64];             /* name of the uid, "" if it has none */
	struct rpc_client *client; /* its connection, for rpc_subscribe(); NULL: none */
	/*
	 * A handler that would take long may fail with RPC_LATER, having changed nothing, and is called again with the
	 * same call after rpc_server_resume().
	 */
	bool can_wait;
};

enum rpc_type { RPC_STRING, RPC_INTEGER, RPC_OBJECT, RPC_STRINGS };

struct rpc_param {
	const char *name;
	enum rpc_type type;
	bool required;
	json_int_t minimum, maximum; /* of an integer, or how many strings; both 0: any */
	const char *description;
};

/*
 * Carries a call out. params is an object that fits the method's description. Returns the result (a new reference) or
 * NULL with the failure set.
 */
typedef json_t *rpc_handler(
	void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure);

struct rpc_method {
	const char *name;   /* NULL: end of a table */
	enum rpc_role role; /* that is needed */
	const char *description;
	const struct rpc_param *params; /* ends with a record without a name; NULL: none */
	rpc_handler *handle;
};

/* Tables of methods, ended by NULL. */
struct rpc_registry {
	const struct rpc_method *const *tables;
	void *context; /* for the handlers */
	/* Told of who asks without having a role, or the right one; may be NULL. */
	void (*refused)(void *context, const struct rpc_who *who, const char *text);
};

/* Fails with a code and a place; returns NULL, so that a failing handler is one statement. */
#define rpc_fail(failure, rpc_code, errno_value, pointer, ...)                                                         \
	((failure)->code = (rpc_code), (void)error_set(&(failure)->error, errno_value, pointer, __VA_ARGS__),          \
		(json_t *)NULL)

/* Name of one role. */
const char *rpc_role_name(enum rpc_role role);

/* The result of rpc.discover. */
json_t *rpc_describe(const struct rpc_registry *registry);

#endif
