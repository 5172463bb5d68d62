/* SPDX-License-Identifier: BSD-3-Clause */
/* fence.shadow.*: what another policy would do with the packets that really pass. */
#include "control/methods/methods.h"
#include "control/shadow.h"

static json_t *start(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	return shadow_start(context, json_object_get(params, "fence"), who, failure);
}

static json_t *status(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)who;
	(void)params;
	return shadow_status(context, failure);
}

static json_t *stop(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)params;
	return shadow_stop(context, who, failure);
}

static const struct rpc_param start_params[] = {
	{"fence", RPC_OBJECT, false, 0, 0,
		"The fence section of a configuration (default: the committed one, with its files as they are now)"},
	{0},
};

const struct rpc_method methods_fence_shadow[] = {
	{"fence.shadow.start", RPC_ROLE_OPERATE, "Asks a candidate policy beside the one in force, without any effect",
		start_params, start},
	{"fence.shadow.status", RPC_ROLE_READ, "What the candidate would have blocked or let out", NULL, status},
	{"fence.shadow.stop", RPC_ROLE_OPERATE, "Asks no candidate any more", NULL, stop},
	{0},
};
