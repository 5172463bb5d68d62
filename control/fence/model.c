/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/model.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "control/fence/bundle.h"

_Static_assert((int)WORLD_SOURCES_MAX == (int)FENCE_FACTS_MAX, "an explanation holds what every source says");

int model_merge(struct model *model, struct source *sources, size_t source_count,
	const struct fence_policy_source *rules, struct error *error)
{
	size_t i;

	memset(model, 0, sizeof(*model));
	model->sources = sources;
	model->source_count = source_count;
	if (rules_read(&model->rules, rules, error) ||
		world_build(&model->world, sources, source_count, &model->rules, error))
		goto undo;
	model->verdicts = calloc(model->world.label_count + 1, sizeof(*model->verdicts));
	if (!model->verdicts) {
		(void)error_set(error, ENOMEM, "/fence", "fence: out of memory");
		goto undo;
	}
	for (i = 0; i < model->world.label_count; i++)
		model->verdicts[i] = rules_judge(&model->rules, &model->world.labels[i]);
	return 0;
undo:
	model_free(model);
	return -1;
}

static int read_file(
	struct source *source, const struct fence_source_file *file, const char *pointer, struct error *error)
{
	const enum source_format format = source_format_of(file->format);

	if (!format)
		return error_set(error, EINVAL, pointer, "\"%.32s\" is no format of a source", file->format);
	if (source_read(source, format, file->path, pointer, error))
		return -1;
	source->origin = strdup(file->origin ? file->origin : "");
	source->date = strdup(file->date ? file->date : "");
	if (!source->origin || !source->date)
		return error_set(error, ENOMEM, pointer, "fence: out of memory");
	return 0;
}

static int read_files(const struct fence_policy_source *source, struct source *sources, struct error *error)
{
	const struct fence_source_file dataset = {.format = "labels", .path = source->dataset};
	char pointer[64];
	size_t i;

	if (source->dataset)
		return read_file(sources, &dataset, "/fence/dataset", error);
	for (i = 0; i < source->file_count; i++) {
		(void)snprintf(pointer, sizeof(pointer), "/fence/sources/%zu/path", i);
		if (read_file(&sources[i], &source->files[i], pointer, error))
			return -1;
	}
	return 0;
}

int model_compile(struct model *model, const struct fence_policy_source *source, struct error *error)
{
	const size_t count = source->dataset ? 1 : source->file_count;
	struct source *sources;
	size_t i;

	memset(model, 0, sizeof(*model));
	if (source->bundle)
		return bundle_open(model, source->bundle, source->trusted, source->trusted_count, error);
	if (count > WORLD_SOURCES_MAX)
		return error_set(error, E2BIG, "/fence/sources", "more than %d sources", WORLD_SOURCES_MAX);
	sources = calloc(count + 1, sizeof(*sources));
	if (!sources)
		return error_set(error, ENOMEM, "/fence", "fence: out of memory");
	if (read_files(source, sources, error)) {
		for (i = 0; i < count; i++)
			source_free(&sources[i]);
		free(sources);
		return -1;
	}
	return model_merge(model, sources, count, source, error);
}

void model_free(struct model *model)
{
	size_t i;

	world_free(&model->world);
	rules_free(&model->rules);
	for (i = 0; i < model->source_count; i++)
		source_free(&model->sources[i]);
	free(model->sources);
	free(model->verdicts);
	memset(model, 0, sizeof(*model));
}

size_t model_ranges(const struct model *model, bool is_ipv6)
{
	size_t sum = 0, i;

	for (i = 0; i < model->source_count; i++)
		sum += model->sources[i].ranges[is_ipv6].count;
	return sum;
}

/* --- explaining --- */

/* IPv4, or IPv4-mapped IPv6, is IPv4. */
static fence_address place_of(const struct pont_address *address, bool *is_ipv6)
{
	fence_address value = 0;
	int i;

	*is_ipv6 = address->family == PONT_FAMILY_IPV6;
	for (i = 0; i < (*is_ipv6 ? 16 : 4); i++)
		value = value << 8 | address->bytes[i];
	if (*is_ipv6 && value >> 32 == 0xffff) {
		*is_ipv6 = false;
		value &= UINT32_MAX;
	}
	return value;
}

static struct pont_address address_of(fence_address value, bool is_ipv6)
{
	struct pont_address address = {.family = is_ipv6 ? PONT_FAMILY_IPV6 : PONT_FAMILY_IPV4};
	int i;

	for (i = is_ipv6 ? 15 : 3; i >= 0; i--, value >>= 8)
		address.bytes[i] = (uint8_t)value;
	return address;
}

static void address_text(const struct pont_address *address, char text[INET6_ADDRSTRLEN])
{
	if (!inet_ntop(
		    address->family == PONT_FAMILY_IPV4 ? AF_INET : AF_INET6, address->bytes, text, INET6_ADDRSTRLEN))
		text[0] = '\0';
}

/* The widest prefix within a range that contains the address. */
static void widest_prefix(
	fence_address first, fence_address last, fence_address address, bool is_ipv6, struct fence_explanation *out)
{
	fence_address host = 0;
	unsigned int length = is_ipv6 ? 128 : 32;

	while (length) {
		const fence_address wider = host << 1 | 1;

		if ((address & ~wider) < first || (address | wider) > last)
			break;
		host = wider;
		length--;
	}
	out->prefix = address_of(address & ~host, is_ipv6);
	out->prefix_length = (uint8_t)length;
}

/* Answers that do not depend on a policy. The same order as in ebpf/verdict.h. */
static bool explain_special(fence_address address, bool is_ipv6, const char *text, struct fence_explanation *out)
{
	const bool is_loopback = is_ipv6 ? address == 1 : address >> 24 == 127;
	const bool is_group = is_ipv6 ? address >> 120 == 0xff : address >> 28 == 14 || address == UINT32_MAX;

	if (is_loopback) {
		out->verdict = PONT_VERDICT_LOOPBACK;
		out->rule = "loopback";
		(void)snprintf(out->reason, sizeof(out->reason), "does not leave the machine");
		(void)snprintf(out->text, sizeof(out->text), "%s does not leave the machine", text);
	} else if (is_group) {
		out->verdict = PONT_VERDICT_DENY_MULTICAST;
		out->rule = "multicast";
		(void)snprintf(out->reason, sizeof(out->reason),
			"a group address, where only ARP and Neighbour Discovery may go");
		(void)snprintf(out->text, sizeof(out->text), "%s is denied: %s", text, out->reason);
	}
	return is_loopback || is_group;
}

/* Takes a UTF-8 sequence off the end of a text if the text was cut in the middle of it. */
static void trim_cut_character(char *text)
{
	size_t length = strlen(text), back = 0;
	uint8_t lead;

	while (back < length && back < 3 && ((uint8_t)text[length - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back == length)
		return;
	lead = (uint8_t)text[length - 1 - back];
	if (lead >= 0xc0 && back < (lead >= 0xf0 ? 3u : lead >= 0xe0 ? 2u : 1u))
		text[length - 1 - back] = '\0';
}

static struct fence_fact *add_fact(
	const struct source *source, const struct source_fact *fact, struct fence_explanation *out)
{
	struct fence_fact *added = &out->facts[out->fact_count++];

	added->format = source_format_name(source->format);
	added->file = source->name;
	added->origin = source->origin;
	added->date = source->date;
	added->sha256 = source->sha256;
	added->line = fact->line;
	added->location = fact->location;
	added->operator_name = fact->operator_name;
	added->jurisdiction = fact->jurisdiction;
	added->asn = fact->asn;
	return added;
}

/* What every source says, and the prefix and line of the first. */
static void explain_facts(const struct model *model, const struct world_label *label, fence_address address,
	bool is_ipv6, struct fence_explanation *out)
{
	size_t i;

	for (i = 0; i < model->source_count; i++) {
		const struct source *source = &model->sources[i];
		struct source_range range;
		const struct source_fact *fact = source_find(source, is_ipv6, address, &range);
		struct fence_fact *added;

		if (!fact) {
			fact = source_operator(source, label->asn);
			if (fact)
				(void)add_fact(source, fact, out);
			continue;
		}
		added = add_fact(source, fact, out);
		added->line = range.line;
		added->first = address_of(range.first, is_ipv6);
		added->last = address_of(range.last, is_ipv6);
		if (out->line)
			continue;
		widest_prefix(range.first, range.last, address, is_ipv6, out);
		out->line = range.line;
	}
	if (!out->line && label->rule) {
		const struct rule *rule = &model->rules.list[label->rule - 1];

		widest_prefix(rule->first, rule->last, address, is_ipv6, out);
	}
}

static void explain_label(
	const struct model *model, const struct world_label *label, const char *text, struct fence_explanation *out)
{
	const struct rules_verdict *verdict = &model->verdicts[label - model->world.labels];
	char network[INET6_ADDRSTRLEN], line[24] = "", asn[24] = "";

	out->verdict = verdict->allowed ? PONT_VERDICT_ALLOW : PONT_VERDICT_DENY;
	out->rule = rules_name(verdict->by);
	out->location = label->location;
	out->operator_name = label->operator_name;
	out->jurisdiction = label->jurisdiction;
	out->asn = label->asn;
	rules_reason(&model->rules, verdict, label, out->reason, sizeof(out->reason));
	trim_cut_character(out->reason);
	address_text(&out->prefix, network);
	if (out->line)
		(void)snprintf(line, sizeof(line), ", line %u", out->line);
	if (out->asn)
		(void)snprintf(asn, sizeof(asn), ", AS%u", out->asn);
	/* The operator's name comes last: if the text is too long, only its end is missing. */
	(void)snprintf(out->text, sizeof(out->text),
		"%s is %s: %s; %s/%u%s, location %s, jurisdiction %s%s, operator %s", text,
		verdict->allowed ? "allowed" : "denied", out->reason, network, out->prefix_length, line,
		label->location[0] ? label->location : "unknown",
		label->jurisdiction[0] ? label->jurisdiction : "unknown", asn,
		label->operator_name[0] ? label->operator_name : "unknown");
	trim_cut_character(out->text);
}

void model_explain(const struct model *model, const struct pont_address *destination, struct fence_explanation *out)
{
	const struct world_label *label;
	fence_address address;
	char text[INET6_ADDRSTRLEN];
	bool is_ipv6;

	memset(out, 0, sizeof(*out));
	out->location = out->operator_name = out->jurisdiction = "";
	if (destination->family != PONT_FAMILY_IPV4 && destination->family != PONT_FAMILY_IPV6) {
		out->verdict = PONT_VERDICT_DENY_PROTOCOL;
		out->rule = "unlisted";
		(void)snprintf(out->reason, sizeof(out->reason), "neither IPv4 nor IPv6");
		(void)snprintf(out->text, sizeof(out->text), "what is neither IPv4 nor IPv6 is denied");
		return;
	}
	address = place_of(destination, &is_ipv6);
	address_text(destination, text);
	if (explain_special(address, is_ipv6, text, out))
		return;
	if (!model) {
		out->verdict = PONT_VERDICT_DENY_NO_POLICY;
		out->rule = "no_policy";
		(void)snprintf(out->reason, sizeof(out->reason), "there is no policy yet");
		(void)snprintf(out->text, sizeof(out->text), "%s is denied: there is no policy yet", text);
		return;
	}
	out->bundle_version = model->bundle_version;
	label = world_find(&model->world, is_ipv6, address);
	if (!label) {
		out->verdict = PONT_VERDICT_DENY_UNLISTED;
		out->rule = "unlisted";
		(void)snprintf(out->reason, sizeof(out->reason), "no source contains it");
		(void)snprintf(out->text, sizeof(out->text), "%s is denied: no source contains it", text);
		return;
	}
	explain_facts(model, label, address, is_ipv6, out);
	explain_label(model, label, text, out);
}
