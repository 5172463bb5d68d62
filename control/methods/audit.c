/* SPDX-License-Identifier: BSD-3-Clause */
/* audit.tail: the last events. */
#include "control/audit.h"

#include "control/control.h"
#include "control/methods/methods.h"

enum { COUNT_DEFAULT = 20 };

static json_t *tail(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const json_t *count = json_object_get(params, "count");

	(void)who;
	(void)failure;
	return json_pack("{s:o}", "events",
		audit_tail(control->audit, count != NULL ? (size_t)json_integer_value(count) : COUNT_DEFAULT, NULL));
}

static const struct rpc_param tail_params[] = {
	{"count", RPC_INTEGER, false, 1, AUDIT_KEPT, "How many events, 20 by default"},
	{0},
};

const struct rpc_method methods_audit[] = {
	{"audit.tail", RPC_ROLE_READ, "The last events of the audit log", tail_params, tail},
	{0},
};
