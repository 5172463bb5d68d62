/* SPDX-License-Identifier: BSD-3-Clause */
/* fence.lock, fence.unlock, fence.confirm: the emergency, and the way back from it. */
#include "control/lock.h"
#include "control/methods/methods.h"

static json_t *lock(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const char *reason = json_string_value(json_object_get(params, "reason"));
	json_int_t confirm_s = json_integer_value(json_object_get(params, "confirm_timeout"));

	return lock_set(context, reason, (unsigned int)confirm_s, who, failure);
}

static json_t *unlock(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)params;
	return lock_clear(context, who, failure);
}

static json_t *confirm(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)params;
	return lock_confirm(context, who, failure);
}

static const struct rpc_param lock_params[] = {
	{"reason", RPC_STRING, false, 0, 0, "For whoever reads the log"},
	{"confirm_timeout", RPC_INTEGER, false, 1, LOCK_CONFIRM_MAX_S,
		"Unlock again after so many seconds unless fence.confirm comes"},
	{0},
};

const struct rpc_method methods_fence_lock[] = {
	{"fence.lock", RPC_ROLE_OPERATE, "Lets nothing leave any more, at any place, whatever the policy says",
		lock_params, lock},
	{"fence.unlock", RPC_ROLE_OPERATE, "Lets the policy decide again", NULL, unlock},
	{"fence.confirm", RPC_ROLE_OPERATE, "Keeps the lock or the policy that waits for its confirmation", NULL,
		confirm},
	{0},
};
