/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/policy.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/cli/command.h"
#include "control/cli/messages.h"
#include "control/cli/report.h"
#include "control/fence/bundle.h"
#include "control/fence/explain.h"
#include "control/fence/matrix.h"
#include "control/fence/model.h"
#include "control/fence/section.h"
#include "control/model/schema.h"

enum { ENTITIES_SHOWN = 50 };

static int complain(int status, const struct error *error)
{
	report_failure("%s", error->text);
	report_place(stderr, error->pointer);
	return status;
}

static const char *text(const json_t *arguments, const char *name)
{
	return json_string_value(json_object_get(arguments, name));
}

static json_t *sha256_text(const uint8_t sha256[LINES_SHA256_SIZE])
{
	char hexadecimal[2 * LINES_SHA256_SIZE + 1];

	(void)sodium_bin2hex(hexadecimal, sizeof(hexadecimal), sha256, LINES_SHA256_SIZE);
	return json_string(hexadecimal);
}

static json_t *describe_sources(const struct model *model)
{
	json_t *list = json_array();

	for (size_t i = 0; i < model->source_count; i++) {
		const struct source *source = &model->sources[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I}", "name", source->name, "format",
				      source_format_name(source->format), "origin", source->origin, "date",
				      source->date, "sha256", sha256_text(source->sha256), "ipv4",
				      (json_int_t)source->ranges[0].count, "ipv6", (json_int_t)source->ranges[1].count,
				      "contradictions", (json_int_t)source->contradictions));
	}
	return list;
}

static json_t *describe(const char *path, const struct bundle *bundle, const struct model *model)
{
	return json_pack("{s:s, s:I, s:o, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:I, s:I, s:o}", "bundle", path, "version",
		(json_int_t)bundle->version, "sha256", sha256_text(bundle->sha256), "bytes", (json_int_t)bundle->size,
		"prefixes", "ipv4", (json_int_t)model_ranges(model, false), "ipv6",
		(json_int_t)model_ranges(model, true), "intervals", "ipv4", (json_int_t)model->world.intervals[0].count,
		"ipv6", (json_int_t)model->world.intervals[1].count, "labels", (json_int_t)model->world.label_count,
		"rules", (json_int_t)model->rules.count, "sources", describe_sources(model));
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The schema's word first, then what it cannot say. */
static int read_section(const json_t *fence, struct section *section, struct error *error)
{
	struct schema *schema = schema_published(error);
	static struct problems problems;

	if (!schema)
		return -1;
	(void)schema_check_property(schema, "fence", fence, &problems);
	schema_free(schema);
	if (problems.count) {
		*error = problems.list[0];
		return -1;
	}
	if (section_read(section, fence, error))
		return -1;
	if (!section->source.bundle)
		return 0;
	section_free(section);
	return error_set(error, EINVAL, "/fence/bundle", "the policy is a bundle already");
}

int policy_compile(const json_t *arguments, json_t **result)
{
	const json_t *policy = json_object_get(arguments, "policy"), *fence = json_object_get(policy, "fence");
	const uint64_t version = (uint64_t)json_integer_value(json_object_get(arguments, "version"));
	const char *path = text(arguments, "output");
	const int64_t start = now_ms();
	struct section section;
	struct bundle bundle;
	struct model model;
	struct error error = {0};
	int status = STATUS_REFUSED;

	if (read_section(fence ? fence : policy, &section, &error))
		return complain(STATUS_REFUSED, &error);
	if (model_compile(&model, &section.source, &error)) {
		section_free(&section);
		return complain(STATUS_REFUSED, &error);
	}
	if (bundle_make(&bundle, &model, &section.source, version, &error)) {
		(void)complain(STATUS_REFUSED, &error);
	} else {
		if (bundle_save(&bundle, path, &error)) {
			(void)complain(STATUS_REFUSED, &error);
		} else {
			*result = describe(path, &bundle, &model);
			(void)json_object_set_new(*result, "milliseconds", json_integer(now_ms() - start));
			status = STATUS_OK;
		}
		bundle_free(&bundle);
	}
	model_free(&model);
	section_free(&section);
	return status;
}

int policy_sign(const json_t *arguments, json_t **result)
{
	const char *path = text(arguments, "bundle"), *output = text(arguments, "output");
	char key[BUNDLE_KEY_TEXT_SIZE];
	struct model model;
	struct bundle bundle;
	struct error error = {0};
	int status = STATUS_REFUSED;

	if (bundle_load(&bundle, path, NULL, &error))
		return complain(STATUS_USAGE, &error);
	/* Nobody should sign what nobody can read. */
	if (bundle_parse(&bundle, path, &model, &error)) {
		bundle_free(&bundle);
		return complain(STATUS_REFUSED, &error);
	}
	model_free(&model);
	if (bundle_sign(&bundle, text(arguments, "key"), &error) ||
		bundle_save(&bundle, output ? output : path, &error) ||
		bundle_public_key(text(arguments, "key"), key, &error)) {
		(void)complain(STATUS_REFUSED, &error);
	} else {
		*result = json_pack("{s:s, s:I, s:o, s:s}", "bundle", output ? output : path, "version",
			(json_int_t)bundle.version, "sha256", sha256_text(bundle.sha256), "signed_by", key);
		status = STATUS_OK;
	}
	bundle_free(&bundle);
	return status;
}

int policy_verify(const json_t *arguments, json_t **result)
{
	const json_t *keys = json_object_get(arguments, "trust"), *one;
	const char *path = text(arguments, "bundle"), *trusted[16];
	size_t count = 0, i;
	struct bundle bundle;
	struct model model;
	struct error error = {0};
	int status = STATUS_REFUSED;

	json_array_foreach (keys, i, one) {
		if (count < sizeof(trusted) / sizeof(trusted[0]))
			trusted[count++] = json_string_value(one);
	}
	if (bundle_load(&bundle, path, NULL, &error))
		return complain(STATUS_USAGE, &error);
	if (bundle_verify(&bundle, path, trusted, count, &error) || bundle_parse(&bundle, path, &model, &error)) {
		error.pointer[0] = '\0'; /* no configuration is at fault */
		(void)complain(STATUS_REFUSED, &error);
	} else {
		*result = describe(path, &bundle, &model);
		model_free(&model);
		status = STATUS_OK;
	}
	bundle_free(&bundle);
	return status;
}

/* A bundle for reading, whoever has signed it. */
static int open_bundle(const char *path, struct model *model)
{
	struct bundle bundle;
	struct error error = {0};
	int result;

	if (bundle_load(&bundle, path, NULL, &error))
		return complain(STATUS_USAGE, &error);
	result = bundle_parse(&bundle, path, model, &error);
	bundle_free(&bundle);
	error.pointer[0] = '\0';
	return result ? complain(STATUS_REFUSED, &error) : STATUS_OK;
}

int policy_explain(const json_t *arguments, json_t **result)
{
	const char *path = text(arguments, "bundle"), *name = text(arguments, "address");
	struct pont_address address = {.family = PONT_FAMILY_IPV4};
	struct fence_explanation explanation;
	struct model model;
	int status;

	if (!path)
		return STATUS_ASK;
	if (inet_pton(AF_INET, name, address.bytes) != 1) {
		address.family = PONT_FAMILY_IPV6;
		if (inet_pton(AF_INET6, name, address.bytes) != 1) {
			report_failure(_("\"%.64s\" is not an IPv4 or IPv6 address"), name);
			return STATUS_USAGE;
		}
	}
	status = open_bundle(path, &model);
	if (status != STATUS_OK)
		return status;
	model_explain(&model, &address, &explanation);
	*result = explain_json(&address, &explanation);
	model_free(&model);
	return STATUS_OK;
}

int policy_diff(const json_t *arguments, json_t **result)
{
	const char *before_path = text(arguments, "bundle"), *after_path = text(arguments, "after");
	const json_t *limit = json_object_get(arguments, "limit");
	struct model before, after;
	int status;

	if (!after_path)
		return STATUS_ASK;
	status = open_bundle(before_path, &before);
	if (status != STATUS_OK)
		return status;
	status = open_bundle(after_path, &after);
	if (status == STATUS_OK) {
		*result =
			matrix_difference(&before, &after, limit ? (size_t)json_integer_value(limit) : ENTITIES_SHOWN);
		model_free(&after);
	}
	model_free(&before);
	return status;
}
