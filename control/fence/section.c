/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/section.h"

#include <stdlib.h>
#include <string.h>

#include "control/fence/source.h"

enum { FALLBACK_NONE, FALLBACK_LOCATION };

static const char *const fallbacks[] = {[FALLBACK_NONE] = "none", [FALLBACK_LOCATION] = "location"};

static int fail(struct error *error, const char *pointer, const char *text)
{
	return error_set(error, EINVAL, pointer, "%s", text);
}

/* A text that may stand in a log. */
static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((uint8_t)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* A text that may be absent; everything else is an error. */
static int read_text(const json_t *object, const char *name, const char *above, const char **out, struct error *error)
{
	const json_t *value = json_object_get(object, name);
	char pointer[128];

	*out = json_string_value(value);
	(void)snprintf(pointer, sizeof(pointer), "%s/%s", above, name);
	if (value && !*out)
		return fail(error, pointer, "must be of type string");
	if (*out && (strlen(*out) != json_string_length(value) || !is_printable(*out)))
		return error_set(error, EINVAL, pointer, "%s has control characters",
			!strcmp(name, "path") || !strcmp(name, "dataset") || !strcmp(name, "bundle") ? "path" : name);
	return 0;
}

static int read_texts(const json_t *object, const char *name, const char *above, const char ***out, size_t *count,
	struct error *error)
{
	const json_t *array = json_object_get(object, name), *value;
	char pointer[128];
	size_t i;

	(void)snprintf(pointer, sizeof(pointer), "%s/%s", above, name);
	if (array && !json_is_array(array))
		return fail(error, pointer, "must be of type array");
	*out = calloc(json_array_size(array) + 1, sizeof(**out));
	if (!*out)
		return error_set(error, ENOMEM, pointer, "out of memory");
	json_array_foreach (array, i, value) {
		const char *text = json_string_value(value);

		(void)snprintf(pointer, sizeof(pointer), "%s/%s/%zu", above, name, i);
		if (!text || strlen(text) != json_string_length(value) || !is_printable(text))
			return fail(error, pointer, "has control characters");
		(*out)[i] = text;
	}
	*count = json_array_size(array);
	return 0;
}

static int read_files(struct section *section, const json_t *fence, struct error *error)
{
	const json_t *array = json_object_get(fence, "sources"), *value;
	size_t i;

	section->files = calloc(json_array_size(array) + 1, sizeof(*section->files));
	if (!section->files)
		return error_set(error, ENOMEM, "/fence/sources", "out of memory");
	json_array_foreach (array, i, value) {
		struct fence_source_file *file = &section->files[i];
		char pointer[64];

		(void)snprintf(pointer, sizeof(pointer), "/fence/sources/%zu", i);
		if (read_text(value, "format", pointer, &file->format, error) ||
			read_text(value, "path", pointer, &file->path, error) ||
			read_text(value, "origin", pointer, &file->origin, error) ||
			read_text(value, "date", pointer, &file->date, error))
			return -1;
		if (!file->format || !source_format_of(file->format))
			return fail(error, pointer, "no known format");
		if (!file->path)
			return fail(error, pointer, "\"path\" is missing");
	}
	section->source.files = section->files;
	section->source.file_count = json_array_size(array);
	return 0;
}

static int read_rule(const json_t *value, const char *pointer, struct fence_rule *rule, struct error *error)
{
	const json_t *asn = json_object_get(value, "asn");
	const char *action;

	if (read_text(value, "action", pointer, &action, error) ||
		read_text(value, "prefix", pointer, &rule->prefix, error) ||
		read_text(value, "operator", pointer, &rule->operator_name, error) ||
		read_text(value, "reason", pointer, &rule->reason, error))
		return -1;
	if (!action || (strcmp(action, "allow") != 0 && strcmp(action, "deny") != 0))
		return fail(error, pointer, "\"action\" is neither \"allow\" nor \"deny\"");
	if (!rule->reason || !rule->reason[0])
		return fail(error, pointer, "\"reason\" is missing");
	if (asn && (!json_is_number(asn) || json_number_value(asn) < 1 || json_number_value(asn) > UINT32_MAX))
		return fail(error, pointer, "\"asn\" is no AS number");
	if (!!rule->prefix + !!asn + !!rule->operator_name != 1)
		return fail(error, pointer, "a rule names exactly one of \"prefix\", \"asn\", \"operator\"");
	rule->allow = !strcmp(action, "allow");
	rule->asn = asn ? (uint32_t)json_number_value(asn) : 0;
	return 0;
}

static int read_rules(struct section *section, const json_t *fence, struct error *error)
{
	const json_t *array = json_object_get(fence, "rules"), *value;
	size_t i;

	section->rules = calloc(json_array_size(array) + 1, sizeof(*section->rules));
	if (!section->rules)
		return error_set(error, ENOMEM, "/fence/rules", "out of memory");
	json_array_foreach (array, i, value) {
		char pointer[64];

		(void)snprintf(pointer, sizeof(pointer), "/fence/rules/%zu", i);
		if (read_rule(value, pointer, &section->rules[i], error))
			return -1;
	}
	section->source.rules = section->rules;
	section->source.rule_count = json_array_size(array);
	return 0;
}

static int read_fallback(struct section *section, const json_t *fence, struct error *error)
{
	const char *text;

	if (read_text(fence, "jurisdiction_fallback", "/fence", &text, error))
		return -1;
	if (!text || !strcmp(text, fallbacks[FALLBACK_NONE]))
		return 0;
	section->source.location_is_jurisdiction = true;
	return !strcmp(text, fallbacks[FALLBACK_LOCATION])
		       ? 0
		       : fail(error, "/fence/jurisdiction_fallback", "is neither \"none\" nor \"location\"");
}

/* A bundle says everything but whom to trust; a policy of files has no signature to trust. */
static int check_shape(const json_t *fence, struct error *error)
{
	static const char *const of_files[] = {
		"dataset", "sources", "allow", "deny_operators", "rules", "jurisdiction_fallback"};
	const bool has_bundle = json_object_get(fence, "bundle");
	size_t i;

	if (!json_is_object(fence))
		return fail(error, "/fence", "must be of type object");
	if (!has_bundle) {
		if (json_object_get(fence, "trusted_keys"))
			return fail(error, "/fence/trusted_keys", "only a bundle is signed");
		if (json_object_get(fence, "dataset") && json_object_get(fence, "sources"))
			return fail(error, "/fence/sources", "there is a \"dataset\" already");
		return 0;
	}
	for (i = 0; i < sizeof(of_files) / sizeof(of_files[0]); i++) {
		char pointer[64];

		if (!json_object_get(fence, of_files[i]))
			continue;
		(void)snprintf(pointer, sizeof(pointer), "/fence/%s", of_files[i]);
		return fail(error, pointer, "a bundle has its own");
	}
	if (json_array_size(json_object_get(fence, "trusted_keys")) == 0)
		return fail(error, "/fence", "\"trusted_keys\" is missing: who may sign the bundle?");
	return 0;
}

static int read_all(struct section *section, const json_t *fence, struct error *error)
{
	struct fence_policy_source *source = &section->source;
	const json_t *allow = json_object_get(fence, "allow");
	int result;

	if (check_shape(fence, error) || read_text(fence, "dataset", "/fence", &source->dataset, error) ||
		read_text(fence, "bundle", "/fence", &source->bundle, error) || read_fallback(section, fence, error) ||
		read_files(section, fence, error) || read_rules(section, fence, error))
		return -1;
	result = read_texts(allow, "locations", "/fence/allow", &section->locations, &source->location_count, error) ||
				 read_texts(allow, "jurisdictions", "/fence/allow", &section->jurisdictions,
					 &source->jurisdiction_count, error) ||
				 read_texts(fence, "deny_operators", "/fence", &section->denied_operators,
					 &source->denied_operator_count, error) ||
				 read_texts(fence, "trusted_keys", "/fence", &section->trusted, &source->trusted_count,
					 error)
			 ? -1
			 : 0;
	source->locations = section->locations;
	source->jurisdictions = section->jurisdictions;
	source->denied_operators = section->denied_operators;
	source->trusted = section->trusted;
	return result;
}

int section_read(struct section *section, const json_t *fence, struct error *error)
{
	memset(section, 0, sizeof(*section));
	if (read_all(section, fence, error) == 0)
		return 0;
	section_free(section);
	return -1;
}

void section_free(struct section *section)
{
	free(section->files);
	free(section->rules);
	free(section->locations);
	free(section->jurisdictions);
	free(section->denied_operators);
	free(section->trusted);
	memset(section, 0, sizeof(*section));
}

static json_t *texts(const char *const *list, size_t count)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < count; i++)
		(void)json_array_append_new(array, json_string(list[i]));
	return array;
}

static json_t *rule_json(const struct fence_rule *rule)
{
	json_t *object = json_pack(
		"{s:s, s:s}", "action", rule->allow ? "allow" : "deny", "reason", rule->reason ? rule->reason : "");

	if (rule->prefix)
		(void)json_object_set_new(object, "prefix", json_string(rule->prefix));
	else if (rule->asn)
		(void)json_object_set_new(object, "asn", json_integer(rule->asn));
	else
		(void)json_object_set_new(object, "operator", json_string(rule->operator_name));
	return object;
}

json_t *section_rules(const struct fence_policy_source *source)
{
	json_t *rules = json_array();
	size_t i;

	for (i = 0; i < source->rule_count; i++)
		(void)json_array_append_new(rules, rule_json(&source->rules[i]));
	return json_pack("{s:{s:o, s:o}, s:o, s:o, s:s}", "allow", "locations",
		texts(source->locations, source->location_count), "jurisdictions",
		texts(source->jurisdictions, source->jurisdiction_count), "deny_operators",
		texts(source->denied_operators, source->denied_operator_count), "rules", rules, "jurisdiction_fallback",
		fallbacks[source->location_is_jurisdiction ? FALLBACK_LOCATION : FALLBACK_NONE]);
}
