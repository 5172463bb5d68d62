/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/patch.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

struct row {
	char from[96];
	char change[96]; /* a patch, or the document to compare with */
	char result[400];
};

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	cr_assert_not_null(json, "%s", text);
	return json;
}

/* RFC 7396, appendix A. */
ParameterizedTestParameters(patch, merges_as_in_rfc_7396)
{
	static struct row rows[] = {
		{"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
		{"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
		{"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
		{"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
		{"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
		{"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
		{"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
		{"{\"a\":\"foo\"}", "null", "null"},
		{"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
		{"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
		{"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
		{"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct row *row, patch, merges_as_in_rfc_7396)
{
	json_t *from = parse(row->from), *change = parse(row->change), *before = json_deep_copy(from);
	json_t *wanted = parse(row->result), *merged = patch_merge(from, change);

	cr_assert(json_equal(merged, wanted), "%s with %s", row->from, row->change);
	cr_assert(json_equal(from, before), "the target stays as it is");
	json_decref(from);
	json_decref(change);
	json_decref(before);
	json_decref(wanted);
	json_decref(merged);
}

ParameterizedTestParameters(patch, differences_are_named)
{
	static struct row rows[] = {
		{"{\"a\":1}", "{\"a\":1}", "[]"},
		{"{\"a\":1}", "{\"a\":2}",
			"[{\"op\":\"replace\",\"pointer\":\"/a\",\"new\":2,\"old_pointer\":\"/a\",\"old\":1}]"},
		{"{\"a\":1}", "{\"b/c\":2}",
			"[{\"op\":\"remove\",\"old_pointer\":\"/a\",\"old\":1},"
			"{\"op\":\"add\",\"pointer\":\"/b~1c\",\"new\":2}]"},
		{"[{\"name\":\"x\",\"v\":1},{\"name\":\"y\"}]", "[{\"name\":\"y\"},{\"name\":\"x\",\"v\":2}]",
			"[{\"op\":\"replace\",\"pointer\":\"/1/v\",\"new\":2,\"old_pointer\":\"/0/v\",\"old\":1}]"},
		{"[{\"name\":\"x\"},{\"name\":\"y\"}]", "[{\"name\":\"y\"}]",
			"[{\"op\":\"remove\",\"old_pointer\":\"/0\",\"old\":{\"name\":\"x\"}}]"},
		{"[1,2]", "[2,1]",
			"[{\"op\":\"replace\",\"pointer\":\"\",\"new\":[2,1],\"old_pointer\":\"\",\"old\":[1,2]}]"},
		{"[1,1,2]", "[1,2]", "[{\"op\":\"remove\",\"old_pointer\":\"/1\",\"old\":1}]"},
		{"[{\"port\":\"a\",\"vlan\":1}]", "[{\"port\":\"a\",\"vlan\":2}]",
			"[{\"op\":\"remove\",\"old_pointer\":\"/0\",\"old\":{\"port\":\"a\",\"vlan\":1}},"
			"{\"op\":\"add\",\"pointer\":\"/0\",\"new\":{\"port\":\"a\",\"vlan\":2}}]"},
		{"{\"a\":[]}", "{\"a\":{}}",
			"[{\"op\":\"replace\",\"pointer\":\"/a\",\"new\":{},\"old_pointer\":\"/a\",\"old\":[]}]"},
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct row *row, patch, differences_are_named)
{
	json_t *from = parse(row->from), *to = parse(row->change), *wanted = parse(row->result);
	json_t *changes = patch_diff(from, to);
	char *text = json_dumps(changes, JSON_COMPACT);

	cr_assert(json_equal(changes, wanted), "%s against %s: %s", row->from, row->change, text);
	free(text);
	json_decref(from);
	json_decref(to);
	json_decref(wanted);
	json_decref(changes);
}
