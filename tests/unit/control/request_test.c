/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/request.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

static int calls;

static json_t *echo(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)context;
	(void)who;
	calls++;
	if (json_object_get(params, "count") != NULL && json_integer_value(json_object_get(params, "count")) == 13)
		return rpc_fail(failure, RPC_NOT_FOUND, ENOENT, "/count", "unlucky \xff number");
	return json_deep_copy(params);
}

static const struct rpc_param echo_params[] = {
	{"text", RPC_STRING, true, 0, 0, "Text"},
	{"count", RPC_INTEGER, false, 1, 100, "Count"},
	{"tree", RPC_OBJECT, false, 0, 0, "Tree"},
	{0},
};

static const struct rpc_method methods[] = {
	{"echo", RPC_ROLE_READ, "Says it again", echo_params, echo},
	{"change", RPC_ROLE_OPERATE, "Changes something", NULL, echo},
	{0},
};

static const struct rpc_method *const tables[] = {methods, NULL};
static const struct rpc_registry registry = {.tables = tables};
static const struct rpc_who reader = {.uid = 1000, .roles = RPC_ROLE_READ, .user = "auditor"};
static const struct rpc_who writer = {.roles = RPC_ROLE_ALL, .user = "root"};

static json_t *ask(const struct rpc_who *who, const char *message)
{
	struct rpc_effect effect;

	return rpc_answer(&registry, who, message, strlen(message), &effect);
}

struct row {
	char message[200];
	int code; /* 0: a result */
	char pointer[32];
};

ParameterizedTestParameters(request, every_way_to_be_wrong_has_its_code)
{
	static struct row rows[] = {
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\"}}", 0, ""},
		{"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"echo\",\"params\":{\"text\":\"a\"}}", 0, ""},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"change\"}", 0, ""},
		{"", RPC_PARSE_ERROR, ""},
		{"{", RPC_PARSE_ERROR, ""},
		{"{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\"}", RPC_PARSE_ERROR, ""},
		{"{\"a\":\"\\u0000\"}", RPC_PARSE_ERROR, ""},
		{"{\"a\":99999999999999999999}", RPC_PARSE_ERROR, ""},
		{"\"\xff\"", RPC_PARSE_ERROR, ""},
		{"{} {}", RPC_PARSE_ERROR, ""},
		{"42", RPC_INVALID_REQUEST, ""},
		{"null", RPC_INVALID_REQUEST, ""},
		{"[]", RPC_INVALID_REQUEST, ""},
		{"{\"id\":1,\"method\":\"echo\"}", RPC_INVALID_REQUEST, "/jsonrpc"},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}", RPC_INVALID_REQUEST, "/jsonrpc"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}", RPC_INVALID_REQUEST, "/method"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", RPC_INVALID_REQUEST, "/method"},
		{"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}", RPC_INVALID_REQUEST, "/id"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"parms\":{}}", RPC_INVALID_REQUEST, ""},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}", RPC_UNKNOWN_METHOD, ""},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}", RPC_INVALID_PARAMS, ""},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[\"a\"]}", RPC_INVALID_PARAMS, ""},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":1}}", RPC_INVALID_PARAMS,
			"/text"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\",\"count\":0}}",
			RPC_INVALID_PARAMS, "/count"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\",\"count\":101}}",
			RPC_INVALID_PARAMS, "/count"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\",\"count\":1.5}}",
			RPC_INVALID_PARAMS, "/count"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\",\"tree\":[]}}",
			RPC_INVALID_PARAMS, "/tree"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\",\"o/o\":1}}",
			RPC_INVALID_PARAMS, "/o~1o"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\",\"count\":13}}",
			RPC_NOT_FOUND, "/count"},
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct row *row, request, every_way_to_be_wrong_has_its_code)
{
	json_t *answer = ask(&writer, row->message);
	const json_t *error = json_object_get(answer, "error");

	cr_assert_not_null(answer, "%s", row->message);
	cr_assert_str_eq(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
	cr_assert_not_null(json_object_get(answer, "id"));
	cr_assert_eq(json_integer_value(json_object_get(error, "code")), row->code, "%s", row->message);
	if (row->code == 0) {
		cr_assert_not_null(json_object_get(answer, "result"));
	} else {
		const json_t *data = json_object_get(error, "data");

		cr_assert_str_eq(json_string_value(json_object_get(data, "pointer")), row->pointer);
		cr_assert_neq(json_string_length(json_object_get(data, "errno")), 0);
		cr_assert_neq(json_string_length(json_object_get(error, "message")), 0);
	}
	json_decref(answer);
}

Test(request, id_is_repeated_as_it_was)
{
	json_t *answer = ask(&writer, "{\"jsonrpc\":\"2.0\",\"id\":\"abc\",\"method\":\"nothing\"}");

	cr_assert_str_eq(json_string_value(json_object_get(answer, "id")), "abc");
	json_decref(answer);
}

Test(request, notification_is_carried_out_and_not_answered)
{
	calls = 0;
	cr_assert_null(ask(&writer, "{\"jsonrpc\":\"2.0\",\"method\":\"change\"}"));
	cr_assert_null(ask(&writer, "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}"));
	cr_assert_eq(calls, 1);
}

Test(request, reader_may_ask_but_not_change)
{
	json_t *answer = ask(&reader, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"change\"}");

	calls = 0;
	cr_assert_eq(json_integer_value(json_object_get(json_object_get(answer, "error"), "code")), RPC_ACCESS);
	cr_assert_not_null(
		strstr(json_string_value(json_object_get(json_object_get(answer, "error"), "message")), "auditor"));
	cr_assert_eq(calls, 0);
	json_decref(answer);
	answer = ask(&reader, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\"}}");
	cr_assert_not_null(json_object_get(answer, "result"));
	json_decref(answer);
}

Test(request, batch_is_answered_by_an_array_without_its_notifications)
{
	json_t *answer = ask(&writer, "[{\"jsonrpc\":\"2.0\",\"method\":\"change\"},"
				      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"change\"}, 1,"
				      "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"nothing\"}]");

	cr_assert_eq(json_array_size(answer), 3);
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(answer, 0), "id")), 2);
	cr_assert(json_is_null(json_object_get(json_array_get(answer, 1), "id")));
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(answer, 2), "id")), 3);
	json_decref(answer);
	cr_assert_null(ask(&writer, "[{\"jsonrpc\":\"2.0\",\"method\":\"change\"}]"));
}

Test(request, batch_has_a_limit)
{
	json_t *batch = json_array(), *answer;
	char *text;

	for (int i = 0; i <= RPC_BATCH_MAX; i++)
		(void)json_array_append_new(batch, json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", "change"));
	text = json_dumps(batch, 0);
	calls = 0;
	answer = ask(&writer, text);
	cr_assert_eq(
		json_integer_value(json_object_get(json_object_get(answer, "error"), "code")), RPC_INVALID_REQUEST);
	cr_assert_eq(calls, 0);
	json_decref(answer);
	json_decref(batch);
	free(text);
}

Test(request, deep_nesting_is_a_parse_error)
{
	enum { DEPTH = 100000 };
	char *text = malloc(DEPTH + 1);
	json_t *answer;

	memset(text, '[', DEPTH);
	text[DEPTH] = '\0';
	answer = ask(&writer, text);
	cr_assert_eq(json_integer_value(json_object_get(json_object_get(answer, "error"), "code")), RPC_PARSE_ERROR);
	json_decref(answer);
	free(text);
}

Test(request, discovery_lists_methods_with_their_parameters)
{
	json_t *description = rpc_describe(&registry);
	const json_t *list = json_object_get(description, "methods");
	const json_t *param = json_array_get(json_object_get(json_array_get(list, 0), "params"), 1);

	cr_assert_eq(json_array_size(list), 2);
	cr_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 1), "role")), "operator");
	cr_assert_str_eq(json_string_value(json_object_get(param, "name")), "count");
	cr_assert_str_eq(json_string_value(json_object_get(param, "type")), "integer");
	cr_assert(json_is_false(json_object_get(param, "required")));
	cr_assert_eq(json_integer_value(json_object_get(param, "maximum")), 100);
	json_decref(description);
}
