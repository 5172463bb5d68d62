/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/schema.h"

#include <math.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/model/pointer.h"

enum type {
	TYPE_OBJECT = 1,
	TYPE_ARRAY = 2,
	TYPE_STRING = 4,
	TYPE_INTEGER = 8,
	TYPE_NUMBER = 16,
	TYPE_BOOLEAN = 32,
	TYPE_NULL = 64,
};

static const struct {
	const char *name;
	enum type type;
} types[] = {
	{"object", TYPE_OBJECT},
	{"array", TYPE_ARRAY},
	{"string", TYPE_STRING},
	{"integer", TYPE_INTEGER},
	{"number", TYPE_NUMBER},
	{"boolean", TYPE_BOOLEAN},
	{"null", TYPE_NULL},
};

/* One (sub)schema, compiled. Limits that are absent hold the widest value. */
struct node {
	unsigned int types; /* enum type; 0: any */
	const struct node *ref;
	struct property {
		const char *name; /* in the schema's JSON */
		struct node *node;
	} * properties;
	size_t property_count;
	const json_t *required;    /* array of names, may be NULL */
	const json_t *enumeration; /* array, may be NULL */
	bool closed;               /* additionalProperties: false */
	struct node *items;
	double minimum, maximum;
	size_t min_length, max_length; /* in code points */
	size_t min_items, max_items;
	bool unique;
	regex_t *pattern;
	const char *pattern_text;
};

struct schema {
	json_t *json;
	struct property *definitions; /* $defs */
	size_t definition_count;
	struct node *root;
};

static void node_free(struct node *node);

static void properties_free(struct property *properties, size_t count)
{
	for (size_t i = 0; i < count; i++)
		node_free(properties[i].node);
	free(properties);
}

static void node_free(struct node *node)
{
	if (node == NULL)
		return;
	properties_free(node->properties, node->property_count);
	node_free(node->items);
	if (node->pattern != NULL) {
		regfree(node->pattern);
		free(node->pattern);
	}
	free(node);
}

static struct node *compile(
	const struct schema *schema, const json_t *json, const struct pointer *at, struct error *error);

static int bad_schema(const struct pointer *at, const char *what, struct error *error)
{
	char place[sizeof(error->pointer)];

	pointer_text(at, place, sizeof(place));
	return error_set(error, EINVAL, place, "schema: %s", what);
}

/* A keyword's value and the node it belongs to. */
struct keyword {
	const struct schema *schema;
	struct node *node;
	const json_t *value;
	const struct pointer *at;
};

static int one_type(const struct keyword *keyword, const json_t *name, struct error *error)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (json_is_string(name) && strcmp(json_string_value(name), types[i].name) == 0) {
			keyword->node->types |= types[i].type;
			return 0;
		}
	}
	return bad_schema(keyword->at, "unknown type", error);
}

static int set_type(const struct keyword *keyword, struct error *error)
{
	const json_t *name;
	size_t i;

	if (!json_is_array(keyword->value))
		return one_type(keyword, keyword->value, error);
	json_array_foreach (keyword->value, i, name) {
		if (one_type(keyword, name, error) != 0)
			return -1;
	}
	return 0;
}

/* Compiles an object of named schemas: "properties" and "$defs". */
static int compile_named(const struct schema *schema, const json_t *json, const struct pointer *at,
	struct property **out, size_t *count, struct error *error)
{
	const char *name;
	json_t *value;

	if (!json_is_object(json))
		return bad_schema(at, "must be an object", error);
	*out = calloc(json_object_size(json) + 1, sizeof(**out));
	if (*out == NULL)
		return error_set(error, ENOMEM, NULL, "out of memory");
	json_object_foreach ((json_t *)(uintptr_t)json, name, value) {
		struct pointer here = pointer_name(at, name);

		(*out)[*count].name = name;
		(*out)[*count].node = compile(schema, value, &here, error);
		if ((*out)[*count].node == NULL)
			return -1;
		(*count)++;
	}
	return 0;
}

static int set_properties(const struct keyword *keyword, struct error *error)
{
	return compile_named(keyword->schema, keyword->value, keyword->at, &keyword->node->properties,
		&keyword->node->property_count, error);
}

static int set_required(const struct keyword *keyword, struct error *error)
{
	const json_t *name;
	size_t i;

	if (!json_is_array(keyword->value))
		return bad_schema(keyword->at, "must be an array", error);
	json_array_foreach (keyword->value, i, name) {
		if (!json_is_string(name))
			return bad_schema(keyword->at, "must be an array of strings", error);
	}
	keyword->node->required = keyword->value;
	return 0;
}

static int set_closed(const struct keyword *keyword, struct error *error)
{
	if (!json_is_false(keyword->value))
		return bad_schema(keyword->at, "only false is understood", error);
	keyword->node->closed = true;
	return 0;
}

static int set_items(const struct keyword *keyword, struct error *error)
{
	keyword->node->items = compile(keyword->schema, keyword->value, keyword->at, error);
	return keyword->node->items != NULL ? 0 : -1;
}

static int set_enum(const struct keyword *keyword, struct error *error)
{
	if (!json_is_array(keyword->value) || json_array_size(keyword->value) == 0)
		return bad_schema(keyword->at, "must be an array of values", error);
	keyword->node->enumeration = keyword->value;
	return 0;
}

static int set_number(const struct keyword *keyword, double *out, struct error *error)
{
	if (!json_is_number(keyword->value))
		return bad_schema(keyword->at, "must be a number", error);
	*out = json_number_value(keyword->value);
	return 0;
}

static int set_minimum(const struct keyword *keyword, struct error *error)
{
	return set_number(keyword, &keyword->node->minimum, error);
}

static int set_maximum(const struct keyword *keyword, struct error *error)
{
	return set_number(keyword, &keyword->node->maximum, error);
}

static int set_size(const struct keyword *keyword, size_t *out, struct error *error)
{
	if (!json_is_integer(keyword->value) || json_integer_value(keyword->value) < 0)
		return bad_schema(keyword->at, "must be a number of things", error);
	*out = (size_t)json_integer_value(keyword->value);
	return 0;
}

static int set_min_length(const struct keyword *keyword, struct error *error)
{
	return set_size(keyword, &keyword->node->min_length, error);
}

static int set_max_length(const struct keyword *keyword, struct error *error)
{
	return set_size(keyword, &keyword->node->max_length, error);
}

static int set_min_items(const struct keyword *keyword, struct error *error)
{
	return set_size(keyword, &keyword->node->min_items, error);
}

static int set_max_items(const struct keyword *keyword, struct error *error)
{
	return set_size(keyword, &keyword->node->max_items, error);
}

static int set_unique(const struct keyword *keyword, struct error *error)
{
	if (!json_is_boolean(keyword->value))
		return bad_schema(keyword->at, "must be true or false", error);
	keyword->node->unique = json_is_true(keyword->value);
	return 0;
}

/* Whether a pattern stays within what POSIX ERE and ECMA-262 both understand in the same way. */
static bool is_common_pattern(const char *pattern)
{
	for (const char *c = pattern; *c != '\0'; c++) {
		if (*c == '\\' && strchr("^$.*+?()[]{}|/\\", c[1]) == NULL)
			return false; /* \d, \w, \b, \1 ... */
		if (*c == '\\' && *++c == '\0')
			return false;
		if (*c == '[' && c[1] == ':')
			return false; /* [[:alpha:]] */
		if (*c == '(' && c[1] == '?')
			return false; /* groups with a meaning, look-ahead */
		if ((*c == '*' || *c == '+' || *c == '?' || *c == '}') && (c[1] == '?' || c[1] == '+'))
			return false; /* lazy or possessive */
	}
	return true;
}

static int set_pattern(const struct keyword *keyword, struct error *error)
{
	const char *pattern = json_string_value(keyword->value);
	regex_t *compiled;

	if (pattern == NULL)
		return bad_schema(keyword->at, "must be a string", error);
	if (!is_common_pattern(pattern))
		return bad_schema(keyword->at, "pattern means different things in POSIX ERE and ECMA-262", error);
	compiled = malloc(sizeof(*compiled));
	if (compiled == NULL)
		return error_set(error, ENOMEM, NULL, "out of memory");
	if (regcomp(compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
		free(compiled);
		return bad_schema(keyword->at, "pattern is no POSIX ERE", error);
	}
	keyword->node->pattern = compiled;
	keyword->node->pattern_text = pattern;
	return 0;
}

static int set_ref(const struct keyword *keyword, struct error *error)
{
	static const char prefix[] = "#/$defs/";
	const char *target = json_string_value(keyword->value);

	if (target == NULL || strncmp(target, prefix, sizeof(prefix) - 1) != 0)
		return bad_schema(keyword->at, "must be \"#/$defs/NAME\"", error);
	for (size_t i = 0; i < keyword->schema->definition_count; i++) {
		if (strcmp(keyword->schema->definitions[i].name, target + sizeof(prefix) - 1) == 0) {
			keyword->node->ref = keyword->schema->definitions[i].node;
			return 0;
		}
	}
	return bad_schema(keyword->at, "names a definition that does not exist (yet)", error);
}

static int set_nothing(const struct keyword *keyword, struct error *error)
{
	(void)keyword;
	(void)error;
	return 0;
}

static const struct {
	const char *name;
	int (*set)(const struct keyword *keyword, struct error *error);
} keywords[] = {
	{"type", set_type},
	{"properties", set_properties},
	{"required", set_required},
	{"additionalProperties", set_closed},
	{"items", set_items},
	{"enum", set_enum},
	{"minimum", set_minimum},
	{"maximum", set_maximum},
	{"minLength", set_min_length},
	{"maxLength", set_max_length},
	{"minItems", set_min_items},
	{"maxItems", set_max_items},
	{"uniqueItems", set_unique},
	{"pattern", set_pattern},
	{"$ref", set_ref},
	{"$schema", set_nothing},
	{"$id", set_nothing},
	{"$defs", set_nothing},
	{"title", set_nothing},
	{"description", set_nothing},
	{"default", set_nothing},
};

static int apply_keyword(const struct keyword *keyword, const char *name, struct error *error)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strcmp(keywords[i].name, name) == 0)
			return keywords[i].set(keyword, error);
	}
	return bad_schema(keyword->at, "unknown keyword", error);
}

static struct node *compile(
	const struct schema *schema, const json_t *json, const struct pointer *at, struct error *error)
{
	struct node *node = calloc(1, sizeof(*node));
	const char *name;
	json_t *value;

	if (node == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	node->minimum = -HUGE_VAL;
	node->maximum = HUGE_VAL;
	node->max_length = node->max_items = SIZE_MAX;
	if (!json_is_object(json)) {
		(void)bad_schema(at, "must be an object", error);
		goto undo;
	}
	json_object_foreach ((json_t *)(uintptr_t)json, name, value) {
		struct pointer here = pointer_name(at, name);
		struct keyword keyword = {.schema = schema, .node = node, .value = value, .at = &here};

		if (apply_keyword(&keyword, name, error) != 0)
			goto undo;
	}
	return node;
undo:
	node_free(node);
	return NULL;
}

struct schema *schema_compile(const char *text, size_t length, struct error *error)
{
	struct schema *schema = calloc(1, sizeof(*schema));
	const json_t *definitions;
	json_error_t problem;

	if (schema == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	schema->json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
	if (schema->json == NULL) {
		(void)error_set(error, EINVAL, NULL, "schema: line %d: %s", problem.line, problem.text);
		goto undo;
	}
	definitions = json_object_get(schema->json, "$defs");
	if (definitions != NULL) {
		struct pointer at = pointer_name(NULL, "$defs");

		if (compile_named(schema, definitions, &at, &schema->definitions, &schema->definition_count, error) !=
			0)
			goto undo;
	}
	schema->root = compile(schema, schema->json, NULL, error);
	if (schema->root == NULL)
		goto undo;
	return schema;
undo:
	schema_free(schema);
	return NULL;
}

void schema_free(struct schema *schema)
{
	if (schema == NULL)
		return;
	node_free(schema->root);
	properties_free(schema->definitions, schema->definition_count);
	json_decref(schema->json);
	free(schema);
}

static unsigned int types_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return TYPE_OBJECT;
	case JSON_ARRAY:
		return TYPE_ARRAY;
	case JSON_STRING:
		return TYPE_STRING;
	case JSON_INTEGER:
		return TYPE_INTEGER | TYPE_NUMBER;
	case JSON_REAL: /* 1.0 is an integer to JSON Schema */
		return TYPE_NUMBER | (json_real_value(value) == floor(json_real_value(value)) ? TYPE_INTEGER : 0u);
	case JSON_TRUE:
	case JSON_FALSE:
		return TYPE_BOOLEAN;
	case JSON_NULL:
		break;
	}
	return TYPE_NULL;
}

static void check_type(
	const struct node *node, const json_t *value, const struct pointer *at, struct problems *problems)
{
	char names[96] = "";
	size_t used = 0;

	if (node->types == 0 || (types_of(value) & node->types) != 0)
		return;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && used < sizeof(names); i++) {
		if ((node->types & types[i].type) != 0)
			used += (size_t)snprintf(
				names + used, sizeof(names) - used, "%s%s", used != 0 ? " or " : "", types[i].name);
	}
	(void)problems_say(problems, EINVAL, at, "must be of type %s", names);
}

static size_t code_points(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static void check_string(const struct node *node, const char *text, const struct pointer *at, struct problems *problems)
{
	size_t length = code_points(text);

	if (length < node->min_length)
		(void)problems_say(problems, EINVAL, at, "is shorter than %zu characters", node->min_length);
	else if (length > node->max_length)
		(void)problems_say(problems, EINVAL, at, "is longer than %zu characters", node->max_length);
	else if (node->pattern != NULL && regexec(node->pattern, text, 0, NULL, 0) != 0)
		(void)problems_say(problems, EINVAL, at, "\"%.64s\" does not match %s", text, node->pattern_text);
}

static void check_number(const struct node *node, double value, const struct pointer *at, struct problems *problems)
{
	if (value < node->minimum)
		(void)problems_say(problems, EINVAL, at, "%.17g is less than %.17g", value, node->minimum);
	else if (value > node->maximum)
		(void)problems_say(problems, EINVAL, at, "%.17g is more than %.17g", value, node->maximum);
}

static void check_node(
	const struct node *node, const json_t *value, const struct pointer *at, struct problems *problems);

/* By the items' text, as comparing each with each takes seconds for thousands. */
static void check_unique(const json_t *array, const struct pointer *at, struct problems *problems)
{
	json_t *seen = json_object();
	const json_t *item;
	size_t i;

	json_array_foreach (array, i, item) {
		char *text = json_dumps(item, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		const json_t *first = text != NULL ? json_object_get(seen, text) : NULL;
		struct pointer here = pointer_index(at, i);

		if (first != NULL)
			(void)problems_say(problems, EINVAL, &here, "repeats item %" JSON_INTEGER_FORMAT,
				json_integer_value(first));
		else if (text == NULL || json_object_set_new(seen, text, json_integer((json_int_t)i)) != 0)
			(void)problems_say(problems, ENOMEM, NULL, "out of memory");
		free(text);
		if (problems_full(problems))
			break;
	}
	json_decref(seen);
}

static void check_array(
	const struct node *node, const json_t *array, const struct pointer *at, struct problems *problems)
{
	const json_t *item;
	size_t i;

	/* Sizes first: they bound the work below. */
	if (json_array_size(array) < node->min_items)
		(void)problems_say(problems, EINVAL, at, "has fewer than %zu items", node->min_items);
	if (json_array_size(array) > node->max_items) {
		(void)problems_say(problems, EINVAL, at, "has more than %zu items", node->max_items);
		return;
	}
	json_array_foreach (array, i, item) {
		struct pointer here = pointer_index(at, i);

		if (node->items == NULL || problems_full(problems))
			break;
		check_node(node->items, item, &here, problems);
	}
	if (node->unique)
		check_unique(array, at, problems);
}

static const struct node *find_property(const struct node *node, const char *name)
{
	for (size_t i = 0; i < node->property_count; i++) {
		if (strcmp(node->properties[i].name, name) == 0)
			return node->properties[i].node;
	}
	return NULL;
}

static void unknown_field(
	const struct node *node, const char *name, const struct pointer *at, struct problems *problems)
{
	char known[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < node->property_count && used < sizeof(known); i++)
		used += (size_t)snprintf(
			known + used, sizeof(known) - used, "%s%s", i != 0 ? ", " : "", node->properties[i].name);
	(void)problems_say(problems, EINVAL, at, "unknown field \"%.64s\"; known are: %s", name, known);
}

static void check_object(
	const struct node *node, const json_t *object, const struct pointer *at, struct problems *problems)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
		const struct node *property = find_property(node, name);
		struct pointer here = pointer_name(at, name);

		if (problems_full(problems))
			return;
		if (property == NULL && node->closed)
			unknown_field(node, name, &here, problems);
		if (property != NULL)
			check_node(property, value, &here, problems);
	}
	json_array_foreach (node->required, i, value) {
		if (json_object_get(object, json_string_value(value)) == NULL)
			(void)problems_say(problems, EINVAL, at, "field \"%s\" is missing", json_string_value(value));
	}
}

static void check_enum(
	const struct node *node, const json_t *value, const struct pointer *at, struct problems *problems)
{
	const json_t *allowed;
	size_t i;

	json_array_foreach (node->enumeration, i, allowed) {
		if (json_equal(allowed, value))
			return;
	}
	(void)problems_say(problems, EINVAL, at, "is none of the allowed values");
}

static void check_node(
	const struct node *node, const json_t *value, const struct pointer *at, struct problems *problems)
{
	if (node->ref != NULL)
		check_node(node->ref, value, at, problems);
	check_type(node, value, at, problems);
	if (node->enumeration != NULL)
		check_enum(node, value, at, problems);
	if (json_is_object(value))
		check_object(node, value, at, problems);
	else if (json_is_array(value))
		check_array(node, value, at, problems);
	else if (json_is_string(value))
		check_string(node, json_string_value(value), at, problems);
	else if (json_is_number(value))
		check_number(node, json_number_value(value), at, problems);
}

int schema_check(const struct schema *schema, const json_t *document, struct problems *problems)
{
	const size_t before = problems->count;

	check_node(schema->root, document, NULL, problems);
	return problems->count == before ? 0 : -1;
}

int schema_check_property(const struct schema *schema, const char *name, const json_t *value, struct problems *problems)
{
	const size_t before = problems->count;
	struct pointer at = pointer_name(NULL, name);

	for (size_t i = 0; i < schema->root->property_count; i++) {
		if (strcmp(schema->root->properties[i].name, name) == 0)
			check_node(schema->root->properties[i].node, value, &at, problems);
	}
	return problems->count == before ? 0 : -1;
}
