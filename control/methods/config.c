/* SPDX-License-Identifier: BSD-3-Clause */
/* config.*: the declarative document and its revisions. */
#include "control/commit.h"
#include "control/methods/methods.h"
#include "control/model/revisions.h"

static json_t *validate(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)who;
	return commit_validate(context, json_object_get(params, "config"), failure);
}

static json_t *commit(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const json_t *expect = json_object_get(params, "expect_revision");

	return commit_run(context, json_object_get(params, "config"),
		expect != NULL ? json_integer_value(expect) : COMMIT_ANY_REVISION, who, failure);
}

static json_t *read_revision(const struct control *control, uint64_t revision, struct rpc_failure *failure)
{
	json_t *record = revisions_read(control->revisions, revision, &failure->error);

	if (record == NULL)
		failure->code = failure->error.code == ENOENT ? RPC_NOT_FOUND : RPC_SYSTEM;
	return record;
}

static json_t *get(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const json_t *wanted = json_object_get(params, "revision");
	uint64_t current = revisions_current(control->revisions);
	json_t *record;

	(void)who;
	if (wanted == NULL && current == 0)
		return json_pack("{s:i, s:n, s:n, s:n}", "revision", 0, "time", "who", "config");
	record = read_revision(control, wanted != NULL ? (uint64_t)json_integer_value(wanted) : current, failure);
	if (record != NULL)
		(void)json_object_del(record, "peer_numbers"); /* our own bookkeeping */
	return record;
}

static json_t *history(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	uint64_t numbers[REVISIONS_KEPT];
	size_t count = revisions_list(control->revisions, numbers, REVISIONS_KEPT);
	json_t *list = json_array();

	(void)who;
	(void)params;
	while (count-- != 0) {
		json_t *record = read_revision(control, numbers[count], failure);

		if (record == NULL) {
			json_decref(list);
			return NULL;
		}
		(void)json_object_del(record, "peer_numbers");
		(void)json_object_del(record, "config");
		(void)json_object_set_new(
			record, "current", json_boolean(numbers[count] == revisions_current(control->revisions)));
		(void)json_array_append_new(list, record);
	}
	return json_pack("{s:o}", "revisions", list);
}

static const struct rpc_param validate_params[] = {
	{"config", RPC_OBJECT, true, 0, 0, "The configuration document"},
	{0},
};

static const struct rpc_param commit_params[] = {
	{"config", RPC_OBJECT, true, 0, 0, "The configuration document"},
	{"expect_revision", RPC_INTEGER, false, 0, INT64_MAX, "Refuse unless this is the current revision"},
	{0},
};

static const struct rpc_param get_params[] = {
	{"revision", RPC_INTEGER, false, 1, INT64_MAX, "The revision to read, the current one by default"},
	{0},
};

const struct rpc_method methods_config[] = {
	{"config.validate", RPC_ROLE_WRITE, "Makes all checks of a commit and nothing more", validate_params, validate},
	{"config.commit", RPC_ROLE_WRITE, "Puts a configuration in force everywhere, or nowhere", commit_params,
		commit},
	{"config.get", RPC_ROLE_READ, "The committed configuration", get_params, get},
	{"config.history", RPC_ROLE_READ, "The revisions kept: when, and by whom", NULL, history},
	{0},
};
