/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/schema.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct check {
	char schema[256];
	char document[192];
	char pointer[64]; /* of the error */
	bool valid;
};

static int check(const char *schema_text, const char *document, struct error *error)
{
	struct schema *schema = schema_compile(schema_text, strlen(schema_text), error);
	json_t *json = json_loads(document, JSON_DECODE_ANY, NULL);
	struct problems problems = {0};
	int result;

	cr_assert_not_null(schema, "%s: %s", schema_text, error->text);
	cr_assert_not_null(json, "%s", document);
	result = schema_check(schema, json, &problems);
	cr_assert_eq(result, problems.count == 0 ? 0 : -1);
	if (problems.count != 0)
		*error = problems.list[0];
	json_decref(json);
	schema_free(schema);
	return result;
}

ParameterizedTestParameters(schema, every_keyword_accepts_and_refuses)
{
	static struct check checks[] = {
		{"{}", "[1, \"x\", null]", "", true},
		{"{\"type\":\"object\"}", "{}", "", true},
		{"{\"type\":\"object\"}", "[]", "", false},
		{"{\"type\":[\"string\",\"null\"]}", "null", "", true},
		{"{\"type\":[\"string\",\"null\"]}", "1", "", false},
		{"{\"type\":\"integer\"}", "1", "", true},
		{"{\"type\":\"integer\"}", "1.0", "", true},
		{"{\"type\":\"integer\"}", "1.5", "", false},
		{"{\"type\":\"integer\"}", "true", "", false},
		{"{\"type\":\"integer\"}", "\"1\"", "", false},
		{"{\"type\":\"number\"}", "1.5", "", true},
		{"{\"minimum\":1,\"maximum\":4094}", "1", "", true},
		{"{\"minimum\":1,\"maximum\":4094}", "4094", "", true},
		{"{\"minimum\":1,\"maximum\":4094}", "0", "", false},
		{"{\"minimum\":1,\"maximum\":4094}", "4095", "", false},
		{"{\"minimum\":1}", "\"not a number: ignored\"", "", true},
		{"{\"minLength\":2,\"maxLength\":3}", "\"a\"", "", false},
		{"{\"minLength\":2,\"maxLength\":3}", "\"\\u00e9\\u00e9\\u00e9\"", "", true},
		{"{\"minLength\":2,\"maxLength\":3}", "\"abcd\"", "", false},
		{"{\"pattern\":\"^[A-Z]{2}$\"}", "\"FR\"", "", true},
		{"{\"pattern\":\"^[A-Z]{2}$\"}", "\"FRA\"", "", false},
		{"{\"pattern\":\"^[A-Z]{2}$\"}", "\"fr\"", "", false},
		{"{\"enum\":[\"a\",1]}", "1", "", true},
		{"{\"enum\":[\"a\",1]}", "2", "", false},
		{"{\"minItems\":1,\"maxItems\":2}", "[]", "", false},
		{"{\"minItems\":1,\"maxItems\":2}", "[1,2]", "", true},
		{"{\"minItems\":1,\"maxItems\":2}", "[1,2,3]", "", false},
		{"{\"uniqueItems\":true}", "[1,2,1]", "/2", false},
		{"{\"uniqueItems\":true}", "[{\"a\":1},{\"a\":2}]", "", true},
		{"{\"uniqueItems\":false}", "[1,1]", "", true},
		{"{\"items\":{\"type\":\"string\"}}", "[\"a\",1]", "/1", false},
		{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", "/a", false},
		{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"b\":1}", "", true},
		{"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", "", true},
		{"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"b/c\":1}", "/b~1c", false},
		{"{\"required\":[\"a\"]}", "{\"b\":1}", "", false},
		{"{\"required\":[\"a\"]}", "{\"a\":null}", "", true},
		{"{\"items\":{\"$ref\":\"#/$defs/n\"},\"$defs\":{\"n\":{\"type\":\"integer\"}}}", "[1]", "", true},
		{"{\"items\":{\"$ref\":\"#/$defs/n\"},\"$defs\":{\"n\":{\"type\":\"integer\"}}}", "[1,{}]", "/1",
			false},
		{"{\"$ref\":\"#/$defs/n\",\"maximum\":5,\"$defs\":{\"n\":{\"minimum\":3}}}", "6", "", false},
		{"{\"title\":\"t\",\"description\":\"d\",\"default\":1}", "2", "", true},
	};

	return cr_make_param_array(struct check, checks, sizeof(checks) / sizeof(checks[0]));
}

ParameterizedTest(struct check *row, schema, every_keyword_accepts_and_refuses)
{
	struct error error = {0};
	int result = check(row->schema, row->document, &error);

	cr_assert_eq(result, row->valid ? 0 : -1, "%s with %s: %s", row->schema, row->document, error.text);
	if (!row->valid) {
		cr_assert_str_eq(error.pointer, row->pointer, "%s with %s: %s", row->schema, row->document, error.text);
		cr_assert_eq(error.code, EINVAL);
		cr_assert_neq(error.text[0], '\0');
	}
}

struct bad_schema {
	char text[160];
};

ParameterizedTestParameters(schema, what_is_not_understood_is_an_error)
{
	static struct bad_schema rows[] = {
		{"{\"exclusiveMinimum\": 1}"},
		{"{\"properties\": {\"a\": {\"oneOf\": []}}}"},
		{"{\"type\": \"thing\"}"},
		{"{\"additionalProperties\": {\"type\": \"string\"}}"},
		{"{\"$ref\": \"#/$defs/nowhere\"}"},
		{"{\"$ref\": \"other.json\"}"},
		{"{\"pattern\": \"^\\\\d+$\"}"},
		{"{\"pattern\": \"a(?=b)\"}"},
		{"{\"pattern\": \"a+?\"}"},
		{"{\"pattern\": \"[[:alpha:]]\"}"},
		{"{\"pattern\": \"a(\"}"},
		{"{\"pattern\": 1}"},
		{"{\"minLength\": -1}"},
		{"{\"maxItems\": 1.5}"},
		{"{\"required\": [1]}"},
		{"{\"items\": true}"},
		{"{\"type\": \"object\", \"type\": \"array\"}"},
		{"{"},
	};

	return cr_make_param_array(struct bad_schema, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct bad_schema *row, schema, what_is_not_understood_is_an_error)
{
	struct error error = {0};

	cr_assert_null(schema_compile(row->text, strlen(row->text), &error), "%s", row->text);
	cr_assert_eq(strncmp(error.text, "schema: ", 8), 0, "%s", error.text);
}

Test(schema, published_schema_is_understood)
{
	struct error error = {0};
	struct schema *schema = schema_published(&error);

	cr_assert_not_null(schema, "%s: %s", error.pointer, error.text);
	schema_free(schema);
}

Test(schema, unknown_field_is_named_with_those_that_are_known)
{
	struct error error = {0};

	cr_assert_eq(check("{\"properties\":{\"name\":{},\"vni\":{}},\"additionalProperties\":false}", "{\"vxlan\":1}",
			     &error),
		-1);
	cr_assert_str_eq(error.text, "unknown field \"vxlan\"; known are: name, vni");
}

Test(schema, everything_that_is_wrong_is_named_up_to_a_limit)
{
	static const char text[] = "{\"items\":{\"type\":\"integer\",\"maximum\":5},\"uniqueItems\":true}";
	struct error error = {0};
	struct schema *schema = schema_compile(text, strlen(text), &error);
	json_t *json = json_loads("[1, \"a\", 9, 1, {}]", 0, NULL);
	struct problems problems = {0};
	static const char *const pointers[] = {"/1", "/2", "/4", "/3"};

	cr_assert_eq(schema_check(schema, json, &problems), -1);
	cr_assert_eq(problems.count, 4);
	for (size_t i = 0; i < problems.count; i++)
		cr_assert_str_eq(problems.list[i].pointer, pointers[i]);
	json_decref(json);
	json = json_array();
	for (int i = 0; i < 3 * PROBLEMS_MAX; i++)
		(void)json_array_append_new(json, json_string("x"));
	problems.count = 0;
	cr_assert_eq(schema_check(schema, json, &problems), -1);
	cr_assert_eq(problems.count, PROBLEMS_MAX);
	json_decref(json);
	schema_free(schema);
}
