/* SPDX-License-Identifier: BSD-3-Clause */
/* version, rpc.discover: what this is, and what it can be asked. */
#include <unistd.h>

#include "control/control.h"
#include "control/methods/methods.h"

#ifdef PONT_MANUAL_KEYS
#define MANUAL_KEYS 1
#else
#define MANUAL_KEYS 0
#endif

static json_t *version(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)context;
	(void)who;
	(void)params;
	(void)failure;
	return json_pack("{s:s, s:s, s:s, s:i, s:b, s:i}", "name", "pontlevis-control", "version", PONT_VERSION,
		"schema", "urn:pontlevis:config:1", "link", PONT_LINK_VERSION, "manual_keys", MANUAL_KEYS, "pid",
		(int)getpid());
}

static json_t *discover(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct rpc_registry registry = {.tables = methods_all, .context = context};

	(void)who;
	(void)params;
	(void)failure;
	return rpc_describe(&registry);
}

const struct rpc_method methods_version[] = {
	{"version", RPC_ROLE_READ, "Version of the program and of its contracts", NULL, version},
	{"rpc.discover", RPC_ROLE_READ, "Lists the methods and their parameters", NULL, discover},
	{0},
};
