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
	static const enum rpc_role all[] = {RPC_ROLE_READ, RPC_ROLE_OPERATE, RPC_ROLE_KEYS};
	json_t *roles = json_array();

	(void)context;
	(void)params;
	(void)failure;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if ((who->roles & all[i]) != 0)
			(void)json_array_append_new(roles, json_string(rpc_role_name(all[i])));
	}
	return json_pack("{s:s, s:s, s:s, s:i, s:b, s:i, s:o}", "name", "pontlevis-control", "version", PONT_VERSION,
		"schema", "urn:pontlevis:config:1", "link", PONT_LINK_VERSION, "manual_keys", MANUAL_KEYS, "pid",
		(int)getpid(), "roles", roles);
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
