/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/explain.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <string.h>

static const char *address_text(const struct pont_address *address, char text[INET6_ADDRSTRLEN])
{
	text[0] = '\0';
	if (address->family != PONT_FAMILY_NONE)
		(void)inet_ntop(address->family == PONT_FAMILY_IPV4 ? AF_INET : AF_INET6, address->bytes, text,
			INET6_ADDRSTRLEN);
	return text;
}

static json_t *prefix_json(const struct fence_explanation *explanation)
{
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];

	if (explanation->prefix.family == PONT_FAMILY_NONE)
		return json_null();
	(void)snprintf(
		text, sizeof(text), "%s/%u", address_text(&explanation->prefix, address), explanation->prefix_length);
	return json_string(text);
}

/* The policy's texts are valid UTF-8, but one may have been cut. */
static json_t *text_json(const char *text)
{
	json_t *value = json_string(text);

	return value ? value : json_string("");
}

static void set_text(json_t *object, const char *name, const char *text)
{
	if (text[0])
		(void)json_object_set_new(object, name, text_json(text));
}

static json_t *fact_json(const struct fence_fact *fact)
{
	char sha256[65], first[INET6_ADDRSTRLEN], last[INET6_ADDRSTRLEN];
	json_t *object;

	(void)sodium_bin2hex(sha256, sizeof(sha256), fact->sha256, 32);
	object = json_pack("{s:s, s:o, s:I, s:s}", "format", fact->format, "name", text_json(fact->file), "line",
		(json_int_t)fact->line, "sha256", sha256);
	set_text(object, "origin", fact->origin);
	set_text(object, "date", fact->date);
	set_text(object, "first", address_text(&fact->first, first));
	set_text(object, "last", address_text(&fact->last, last));
	set_text(object, "location", fact->location);
	if (fact->asn)
		(void)json_object_set_new(object, "asn", json_integer(fact->asn));
	set_text(object, "operator", fact->operator_name);
	set_text(object, "jurisdiction", fact->jurisdiction);
	return object;
}

json_t *explain_json(const struct pont_address *destination, const struct fence_explanation *explanation)
{
	json_t *facts = json_array();
	char address[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < explanation->fact_count; i++)
		(void)json_array_append_new(facts, fact_json(&explanation->facts[i]));
	return json_pack("{s:s, s:b, s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "address",
		address_text(destination, address), "allowed", explanation->verdict < PONT_VERDICT_DENY, "verdict",
		fence_verdict_name(explanation->verdict), "rule", explanation->rule, "reason",
		text_json(explanation->reason), "policy_revision", (json_int_t)explanation->revision, "bundle_version",
		explanation->bundle_version ? json_integer((json_int_t)explanation->bundle_version) : json_null(),
		"prefix", prefix_json(explanation), "line",
		explanation->line ? json_integer(explanation->line) : json_null(), "location",
		text_json(explanation->location), "operator", text_json(explanation->operator_name), "asn",
		explanation->asn ? json_integer(explanation->asn) : json_null(), "jurisdiction",
		text_json(explanation->jurisdiction), "text", text_json(explanation->text), "sources", facts);
}
