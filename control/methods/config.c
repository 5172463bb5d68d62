/* SPDX-License-Identifier: BSD-3-Clause */
/* config.*: the declarative document and its revisions. */
#include "control/audit.h"
#include "control/commit.h"
#include "control/methods/methods.h"
#include "control/model/canonical.h"
#include "control/model/patch.h"
#include "control/model/revisions.h"
#include "control/model/schema.h"

/* The documents of params are compared, kept and given back in one form. */
static json_t *canonical(const json_t *config, struct rpc_failure *failure)
{
	json_t *copy = canonical_copy(config);

	return copy != NULL ? copy : rpc_fail(failure, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
}

/* The optional parameters that every change takes. */
static struct commit_request change_request(const json_t *params, enum commit_reason reason)
{
	const json_t *expect = json_object_get(params, "expect_revision");

	return (struct commit_request){
		.expect_revision = expect != NULL ? json_integer_value(expect) : COMMIT_ANY_REVISION,
		.confirm_timeout_s = (uint32_t)json_integer_value(json_object_get(params, "confirm_timeout")),
		.reason = reason,
	};
}

static json_t *validate(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	json_t *config = canonical(json_object_get(params, "config"), failure);
	json_t *result = config != NULL ? commit_validate(context, config, who, failure) : NULL;

	json_decref(config);
	return result;
}

static json_t *commit(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct commit_request request = change_request(params, COMMIT_ASKED);
	json_t *result = NULL;

	request.config = canonical(json_object_get(params, "config"), failure);
	if (request.config != NULL)
		result = commit_run(context, &request, who, failure);
	json_decref(request.config);
	return result;
}

static json_t *confirm(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	return commit_confirm(context, change_request(params, COMMIT_ASKED).expect_revision, who, failure);
}

static json_t *read_revision(const struct control *control, uint64_t revision, struct rpc_failure *failure)
{
	json_t *record = revisions_read(control->revisions, revision, &failure->error);

	if (record == NULL)
		failure->code = failure->error.code == ENOENT ? RPC_NOT_FOUND : RPC_SYSTEM;
	return record;
}

/* The configuration that a change starts from: the current revision's, {} before the first. */
static json_t *current_config(const struct control *control, struct rpc_failure *failure)
{
	uint64_t current = revisions_current(control->revisions);
	json_t *record, *config;

	if (current == 0)
		return json_object();
	record = read_revision(control, current, failure);
	config = json_incref(json_object_get(record, "config"));
	json_decref(record);
	return config;
}

static json_t *patch(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct commit_request request = change_request(params, COMMIT_PATCH);
	json_t *base = current_config(context, failure), *merged, *result = NULL;

	if (base == NULL)
		return NULL;
	merged = patch_merge(base, json_object_get(params, "patch"));
	json_decref(base);
	request.config = merged != NULL ? canonical(merged, failure)
					: rpc_fail(failure, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	json_decref(merged);
	if (request.config != NULL)
		result = commit_run(context, &request, who, failure);
	json_decref(request.config);
	return result;
}

/* The revision gone back to when none is named: that before the trial, or the one before the current one. 0: none. */
static uint64_t earlier_revision(const struct control *control)
{
	uint64_t numbers[REVISIONS_KEPT + 1], earlier = 0;
	size_t count = revisions_list(control->revisions, numbers, REVISIONS_KEPT + 1);

	if (control->confirm.revision != 0)
		return control->confirm.previous;
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] < revisions_current(control->revisions))
			earlier = numbers[i];
	}
	return earlier;
}

static json_t *rollback(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct commit_request request = change_request(params, COMMIT_ROLLBACK);
	const json_t *wanted = json_object_get(params, "revision");
	const struct control *control = context;
	json_t *record, *result;

	request.from = wanted != NULL ? (uint64_t)json_integer_value(wanted) : earlier_revision(control);
	if (request.from == 0)
		return rpc_fail(failure, RPC_NOT_FOUND, ENOENT, NULL, "there is no earlier revision to go back to");
	record = read_revision(control, request.from, failure);
	if (record == NULL)
		return NULL;
	request.config = canonical(json_object_get(record, "config"), failure);
	json_decref(record);
	result = request.config != NULL ? commit_run(context, &request, who, failure) : NULL;
	json_decref(request.config);
	return result;
}

/* The document on one side of a comparison. *revision: 0 for one that is not a revision, or before the first. */
static json_t *diff_side(const struct control *control, const json_t *wanted, const json_t *config, uint64_t *revision,
	struct rpc_failure *failure)
{
	struct problems problems = {0};
	json_t *record, *side;

	*revision = 0;
	if (config != NULL && schema_check(control->schema, config, &problems) != 0) {
		commit_fail(failure, RPC_INVALID_CONFIG, &problems);
		return NULL;
	}
	if (config != NULL)
		return canonical(config, failure);
	*revision = wanted != NULL ? (uint64_t)json_integer_value(wanted) : revisions_current(control->revisions);
	if (*revision == 0)
		return json_object();
	record = read_revision(control, *revision, failure);
	side = record != NULL ? canonical(json_object_get(record, "config"), failure) : NULL;
	json_decref(record);
	return side;
}

static json_t *diff(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const json_t *config = json_object_get(params, "config");
	json_t *from, *to, *changes = NULL;
	uint64_t from_revision, to_revision;

	(void)who;
	if (config != NULL && json_object_get(params, "to") != NULL)
		return rpc_fail(failure, RPC_INVALID_PARAMS, EINVAL, "/to",
			"either \"config\" or \"to\" is what is compared, not both");
	from = diff_side(control, json_object_get(params, "from"), NULL, &from_revision, failure);
	to = from != NULL ? diff_side(control, json_object_get(params, "to"), config, &to_revision, failure) : NULL;
	if (to != NULL) {
		failure->code = RPC_INTERNAL;
		(void)error_set(&failure->error, ENOMEM, NULL, "out of memory");
		changes = patch_diff(from, to);
	}
	json_decref(from);
	json_decref(to);
	if (changes == NULL)
		return NULL;
	return json_pack("{s:I, s:o, s:o}", "from", (json_int_t)from_revision, "to",
		config != NULL ? json_null() : json_integer((json_int_t)to_revision), "changes", changes);
}

/* What a record tells about itself, without the document and our own bookkeeping. */
static json_t *describe_record(const struct control *control, const json_t *record)
{
	const uint64_t revision = (uint64_t)json_integer_value(json_object_get(record, "revision"));
	const json_t *from = json_object_get(record, "from");

	return json_pack("{s:O, s:O, s:O, s:O, s:O?, s:b}", "revision", json_object_get(record, "revision"), "time",
		json_object_get(record, "time"), "who", json_object_get(record, "who"), "reason",
		json_object_get(record, "reason"), "from", from, "current",
		revision == revisions_current(control->revisions));
}

static json_t *get(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const json_t *wanted = json_object_get(params, "revision");
	uint64_t current = revisions_current(control->revisions);
	char digest[CANONICAL_DIGEST_SIZE];
	json_t *record, *config, *result = NULL;

	(void)who;
	if (wanted == NULL && current == 0)
		return json_pack("{s:i, s:n, s:n, s:n, s:n}", "revision", 0, "time", "who", "config", "digest");
	record = read_revision(control, wanted != NULL ? (uint64_t)json_integer_value(wanted) : current, failure);
	if (record == NULL)
		return NULL;
	config = canonical(json_object_get(record, "config"), failure);
	if (config != NULL && canonical_digest(config, digest) == 0)
		result = json_pack("{s:O, s:O, s:O, s:O, s:s}", "revision", json_object_get(record, "revision"), "time",
			json_object_get(record, "time"), "who", json_object_get(record, "who"), "config", config,
			"digest", digest);
	json_decref(config);
	json_decref(record);
	return result;
}

static json_t *history(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	uint64_t numbers[REVISIONS_KEPT + 1];
	size_t count = revisions_list(control->revisions, numbers, REVISIONS_KEPT + 1);
	json_t *list = json_array();

	(void)who;
	(void)params;
	(void)failure;
	while (count-- != 0) {
		struct error error;
		json_t *record = revisions_read(control->revisions, numbers[count], &error);

		(void)json_array_append_new(
			list, record != NULL ? describe_record(control, record)
					     : json_pack("{s:I, s:b, s:o}", "revision", (json_int_t)numbers[count],
						       "current", 0, "damage", audit_text(error.text)));
		json_decref(record);
	}
	return json_pack("{s:o, s:o}", "revisions", list, "confirm", confirm_describe(control));
}

#define PARAM_EXPECT                                                                                                   \
	{                                                                                                              \
		"expect_revision", RPC_INTEGER, false, 0, INT64_MAX, "Refuse unless this is the current revision"      \
	}
#define PARAM_TIMEOUT                                                                                                  \
	{                                                                                                              \
		"confirm_timeout", RPC_INTEGER, false, 1, CONFIRM_TIMEOUT_MAX_S,                                       \
			"Seconds to config.confirm in; then the revision before is in force again"                     \
	}

static const struct rpc_param validate_params[] = {
	{"config", RPC_OBJECT, true, 0, 0, "The configuration document"},
	{0},
};

static const struct rpc_param commit_params[] = {
	{"config", RPC_OBJECT, true, 0, 0, "The configuration document"},
	PARAM_EXPECT,
	PARAM_TIMEOUT,
	{0},
};

static const struct rpc_param patch_params[] = {
	{"patch", RPC_OBJECT, true, 0, 0, "JSON merge patch (RFC 7396) of the current configuration"},
	PARAM_EXPECT,
	PARAM_TIMEOUT,
	{0},
};

static const struct rpc_param rollback_params[] = {
	{"revision", RPC_INTEGER, false, 1, INT64_MAX, "The revision to go back to, the one before by default"},
	PARAM_EXPECT,
	PARAM_TIMEOUT,
	{0},
};

static const struct rpc_param confirm_params[] = {
	PARAM_EXPECT,
	{0},
};

static const struct rpc_param diff_params[] = {
	{"from", RPC_INTEGER, false, 0, INT64_MAX, "The earlier revision, the current one by default"},
	{"to", RPC_INTEGER, false, 0, INT64_MAX, "The later revision, the current one by default"},
	{"config", RPC_OBJECT, false, 0, 0, "A document to compare with instead of `to`"},
	{0},
};

static const struct rpc_param get_params[] = {
	{"revision", RPC_INTEGER, false, 1, INT64_MAX, "The revision to read, the current one by default"},
	{0},
};

const struct rpc_method methods_config[] = {
	{"config.validate", RPC_ROLE_OPERATE, "Makes all checks of a commit and nothing more", validate_params,
		validate},
	{"config.commit", RPC_ROLE_OPERATE, "Puts a configuration in force everywhere, or nowhere", commit_params,
		commit},
	{"config.patch", RPC_ROLE_OPERATE, "Commits the current configuration with a merge patch applied", patch_params,
		patch},
	{"config.confirm", RPC_ROLE_OPERATE, "Keeps the configuration on trial", confirm_params, confirm},
	{"config.rollback", RPC_ROLE_OPERATE, "Commits an earlier revision's configuration again", rollback_params,
		rollback},
	{"config.diff", RPC_ROLE_READ, "What is different between two revisions, or from a document", diff_params,
		diff},
	{"config.get", RPC_ROLE_READ, "The committed configuration", get_params, get},
	{"config.history", RPC_ROLE_READ, "The revisions kept: when, by whom, and why", NULL, history},
	{0},
};
