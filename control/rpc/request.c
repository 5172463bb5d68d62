/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/request.h"

#include <stdint.h>
#include <string.h>

#include "control/audit.h"
#include "control/model/pointer.h"

static const char *const type_names[] = {[RPC_STRING] = "string",
	[RPC_INTEGER] = "integer",
	[RPC_OBJECT] = "object",
	[RPC_STRINGS] = "array of strings"};

static json_t *error_answer(const json_t *id, const struct rpc_failure *failure)
{
	const char *name = strerrorname_np(failure->error.code);
	json_t *message = audit_text(failure->error.text), *pointer = audit_text(failure->error.pointer);

	return json_pack("{s:s, s:O?, s:{s:i, s:o, s:{s:s, s:o, s:O*}}}", "jsonrpc", "2.0", "id", id, "error", "code",
		(int)failure->code, "message", message, "data", "errno", name != NULL ? name : "", "pointer", pointer,
		"errors", failure->errors);
}

json_t *rpc_refusal(const struct rpc_failure *failure)
{
	return error_answer(NULL, failure);
}

static const struct rpc_method *find_method(const struct rpc_registry *registry, const char *name)
{
	for (size_t i = 0; registry->tables[i] != NULL; i++) {
		for (const struct rpc_method *method = registry->tables[i]; method->name != NULL; method++) {
			if (strcmp(method->name, name) == 0)
				return method;
		}
	}
	return NULL;
}

static const struct rpc_param *find_param(const struct rpc_method *method, const char *name)
{
	for (const struct rpc_param *param = method->params; param != NULL && param->name != NULL; param++) {
		if (strcmp(param->name, name) == 0)
			return param;
	}
	return NULL;
}

static bool are_strings(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		if (!json_is_string(item))
			return false;
	}
	return json_is_array(list);
}

static bool has_type(const json_t *value, enum rpc_type type)
{
	switch (type) {
	case RPC_STRING:
		return json_is_string(value);
	case RPC_INTEGER:
		return json_is_integer(value);
	case RPC_OBJECT:
		return json_is_object(value);
	case RPC_STRINGS:
		return are_strings(value);
	}
	return false;
}

static int check_param(const struct rpc_param *param, const json_t *value, struct rpc_failure *failure)
{
	struct pointer at = pointer_name(NULL, param->name);
	char place[sizeof(failure->error.pointer)];

	pointer_text(&at, place, sizeof(place));
	failure->code = RPC_INVALID_PARAMS;
	if (!has_type(value, param->type))
		return error_set(&failure->error, EINVAL, place, "parameter \"%s\" must be of type %s", param->name,
			type_names[param->type]);
	if (param->type == RPC_INTEGER && (param->minimum != 0 || param->maximum != 0) &&
		(json_integer_value(value) < param->minimum || json_integer_value(value) > param->maximum))
		return error_set(&failure->error, ERANGE, place,
			"parameter \"%s\" must be %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT, param->name,
			param->minimum, param->maximum);
	if (param->type == RPC_STRINGS && param->maximum != 0 && json_array_size(value) > (size_t)param->maximum)
		return error_set(&failure->error, ERANGE, place,
			"parameter \"%s\" has at most %" JSON_INTEGER_FORMAT " strings", param->name, param->maximum);
	return 0;
}

static int check_params(const struct rpc_method *method, const json_t *params, struct rpc_failure *failure)
{
	const char *name;
	json_t *value;

	failure->code = RPC_INVALID_PARAMS;
	if (!json_is_object(params))
		return error_set(&failure->error, EINVAL, NULL, "parameters are passed by name: params is an object");
	json_object_foreach ((json_t *)(uintptr_t)params, name, value) {
		const struct rpc_param *param = find_param(method, name);
		struct pointer at = pointer_name(NULL, name);
		char place[sizeof(failure->error.pointer)];

		pointer_text(&at, place, sizeof(place));
		if (param == NULL)
			return error_set(
				&failure->error, EINVAL, place, "%s has no parameter \"%.64s\"", method->name, name);
		if (check_param(param, value, failure) != 0)
			return -1;
	}
	for (const struct rpc_param *param = method->params; param != NULL && param->name != NULL; param++) {
		if (param->required && json_object_get(params, param->name) == NULL)
			return error_set(&failure->error, EINVAL, NULL, "parameter \"%s\" is missing", param->name);
	}
	return 0;
}

/* Finds, checks and calls. NULL with the failure set. */
static json_t *call(const struct rpc_registry *registry, const struct rpc_who *who, const char *name,
	const json_t *params, struct rpc_failure *failure)
{
	const struct rpc_method *method = find_method(registry, name);
	json_t *none = NULL, *result;

	if (method == NULL)
		return rpc_fail(failure, RPC_UNKNOWN_METHOD, ENOSYS, NULL,
			"unknown method \"%.64s\"; rpc.discover lists them", name);
	if ((who->roles & method->role) == 0) {
		(void)rpc_fail(failure, RPC_ACCESS, EACCES, NULL,
			"user \"%s\" (uid %u) may not use %s: that takes the role %s", who->user,
			(unsigned int)who->uid, method->name, rpc_role_name(method->role));
		if (registry->refused != NULL)
			registry->refused(registry->context, who, failure->error.text);
		return NULL;
	}
	if (params == NULL)
		params = none = json_object();
	result = check_params(method, params, failure) == 0 ? method->handle(registry->context, who, params, failure)
							    : NULL;
	json_decref(none);
	return result;
}

/* Whether the members of a request are as JSON-RPC 2.0 wants them. */
static int check_request(const json_t *request, struct rpc_failure *failure)
{
	static const char *const known[] = {"jsonrpc", "id", "method", "params"};
	const json_t *id = json_object_get(request, "id");
	const char *version = json_string_value(json_object_get(request, "jsonrpc")), *name;
	json_t *value;

	failure->code = RPC_INVALID_REQUEST;
	if (!json_is_object(request))
		return error_set(&failure->error, EINVAL, NULL, "a request is an object");
	if (version == NULL || strcmp(version, "2.0") != 0)
		return error_set(&failure->error, EINVAL, "/jsonrpc", "\"jsonrpc\" must be \"2.0\"");
	if (!json_is_string(json_object_get(request, "method")))
		return error_set(&failure->error, EINVAL, "/method", "\"method\" must be a string");
	if (id != NULL && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return error_set(&failure->error, EINVAL, "/id", "\"id\" must be a string, a number or null");
	json_object_foreach ((json_t *)(uintptr_t)request, name, value) {
		bool found = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			found = found || strcmp(known[i], name) == 0;
		if (!found)
			return error_set(&failure->error, EINVAL, NULL, "a request has no member \"%.64s\"", name);
	}
	return 0;
}

static json_t *answer_one(
	const struct rpc_registry *registry, const struct rpc_who *who, const json_t *request, bool *later)
{
	struct rpc_failure failure = {.code = RPC_INTERNAL, .error = {.code = ENOMEM, .text = "out of memory"}};
	const json_t *id = json_object_get(request, "id");
	json_t *result, *answer;

	if (check_request(request, &failure) != 0)
		return error_answer(json_is_string(id) || json_is_number(id) ? id : NULL, &failure);
	result = call(registry, who, json_string_value(json_object_get(request, "method")),
		json_object_get(request, "params"), &failure);
	*later = result == NULL && failure.code == RPC_LATER;
	if (id == NULL || *later) /* a notification */
		answer = NULL;
	else if (result == NULL)
		answer = error_answer(id, &failure);
	else
		answer = json_pack("{s:s, s:O, s:O}", "jsonrpc", "2.0", "id", id, "result", result);
	json_decref(result);
	json_decref(failure.errors);
	return answer;
}

static json_t *answer_batch(
	const struct rpc_registry *registry, const struct rpc_who *who, const json_t *batch, struct rpc_effect *effect)
{
	struct rpc_failure failure = {.code = RPC_INVALID_REQUEST};
	struct rpc_who impatient = *who; /* what stands before it in the batch would be done twice */
	json_t *answers, *request;
	bool later;
	size_t i;

	impatient.can_wait = false;
	if (json_array_size(batch) == 0 || json_array_size(batch) > RPC_BATCH_MAX) {
		(void)error_set(&failure.error, EINVAL, NULL, "a batch has 1 to %d requests", RPC_BATCH_MAX);
		return error_answer(NULL, &failure);
	}
	effect->requests = json_array_size(batch);
	answers = json_array();
	json_array_foreach (batch, i, request) {
		json_t *one = answer_one(registry, &impatient, request, &later);

		if (one != NULL)
			(void)json_array_append_new(answers, one);
	}
	if (json_array_size(answers) != 0)
		return answers;
	json_decref(answers);
	return NULL;
}

json_t *rpc_answer(const struct rpc_registry *registry, const struct rpc_who *who, const char *message, size_t length,
	struct rpc_effect *effect)
{
	struct rpc_failure failure = {.code = RPC_PARSE_ERROR};
	json_error_t problem;
	json_t *request, *answer;

	*effect = (struct rpc_effect){.requests = 1};
	request = json_loadb(message, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
	if (request == NULL) {
		(void)error_set(
			&failure.error, EBADMSG, NULL, "no JSON text: column %d: %s", problem.column, problem.text);
		return error_answer(NULL, &failure);
	}
	answer = json_is_array(request) ? answer_batch(registry, who, request, effect)
					: answer_one(registry, who, request, &effect->later);
	json_decref(request);
	return answer;
}

const char *rpc_role_name(enum rpc_role role)
{
	switch (role) {
	case RPC_ROLE_OPERATE:
		return "operator";
	case RPC_ROLE_KEYS:
		return "key_officer";
	case RPC_ROLE_READ:
	case RPC_ROLE_ALL:
		break;
	}
	return "reader";
}

static json_t *describe_params(const struct rpc_method *method)
{
	json_t *list = json_array();

	for (const struct rpc_param *param = method->params; param != NULL && param->name != NULL; param++) {
		json_t *one = json_pack("{s:s, s:s, s:b, s:s}", "name", param->name, "type", type_names[param->type],
			"required", param->required, "description", param->description);

		if (param->minimum != 0 || param->maximum != 0) {
			(void)json_object_set_new(one, "minimum", json_integer(param->minimum));
			(void)json_object_set_new(one, "maximum", json_integer(param->maximum));
		}
		(void)json_array_append_new(list, one);
	}
	return list;
}

json_t *rpc_describe(const struct rpc_registry *registry)
{
	json_t *list = json_array();

	for (size_t i = 0; registry->tables[i] != NULL; i++) {
		for (const struct rpc_method *method = registry->tables[i]; method->name != NULL; method++)
			(void)json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:o}", "name", method->name, "role",
					      rpc_role_name(method->role), "description", method->description, "params",
					      describe_params(method)));
	}
	return json_pack("{s:o}", "methods", list);
}
