/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/fence/dataset.h"
#include "control/fence/fence.h"
#include "control/fence/table.h"

/* Which rule decides about a label. */
enum rule { RULE_ALLOWED, RULE_LOCATION, RULE_JURISDICTION, RULE_OPERATOR };

static const char *const rule_names[] = {
	[RULE_ALLOWED] = "allowed",
	[RULE_LOCATION] = "location",
	[RULE_JURISDICTION] = "jurisdiction",
	[RULE_OPERATOR] = "operator",
};

struct fence_policy {
	uint64_t revision;
	uint64_t size; /* of the table, bytes */
	int fd;        /* the table's map */
	struct dataset dataset;
	uint8_t *rules; /* enum rule of each label */
};

/* A set of country codes, one byte for each. */
struct countries {
	uint8_t allowed[26 * 26];
};

static int countries_read(
	struct countries *countries, const char *const *codes, size_t count, const char *pointer, struct error *error)
{
	size_t i;

	memset(countries, 0, sizeof(*countries));
	for (i = 0; i < count; i++) {
		const char *code = codes[i];

		if (code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' || code[2])
			return error_set(
				error, EINVAL, pointer, "entry %zu is not a country code (two capital letters)", i);
		countries->allowed[(code[0] - 'A') * 26 + code[1] - 'A'] = 1;
	}
	return 0;
}

static bool countries_have(const struct countries *countries, const char *code)
{
	return countries->allowed[(code[0] - 'A') * 26 + code[1] - 'A'];
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Decides every label once: location, then jurisdiction, then operator. */
static int judge_labels(
	struct fence_policy *policy, const struct fence_policy_source *source, uint32_t *entries, struct error *error)
{
	const struct dataset *dataset = &policy->dataset;
	struct countries locations, jurisdictions;
	const char **operators = NULL;
	size_t i;

	if (countries_read(&locations, source->locations, source->location_count, "/fence/allow/locations", error) ||
		countries_read(&jurisdictions, source->jurisdictions, source->jurisdiction_count,
			"/fence/allow/jurisdictions", error))
		return -1;
	if (source->denied_operator_count) {
		operators = calloc(source->denied_operator_count, sizeof(*operators));
		if (!operators)
			return error_set(error, ENOMEM, "/fence/deny_operators", "out of memory");
		for (i = 0; i < source->denied_operator_count; i++)
			operators[i] = source->denied_operators[i];
		qsort(operators, source->denied_operator_count, sizeof(*operators), compare_names);
	}
	for (i = 0; i < dataset->label_count; i++) {
		const struct dataset_label *label = &dataset->labels[i];
		const char *name = label->operator_name;

		if (!countries_have(&locations, label->location))
			policy->rules[i] = RULE_LOCATION;
		else if (!countries_have(&jurisdictions, label->jurisdiction))
			policy->rules[i] = RULE_JURISDICTION;
		else if (operators &&
			 bsearch(&name, operators, source->denied_operator_count, sizeof(*operators), compare_names))
			policy->rules[i] = RULE_OPERATOR;
		else
			policy->rules[i] = RULE_ALLOWED;
		entries[i] = (uint32_t)(i + 1) | (policy->rules[i] == RULE_ALLOWED ? PONT_FENCE_ALLOWED : 0);
	}
	free(operators);
	return 0;
}

struct fence_policy *fence_policy_compile(
	const struct fence_policy_source *source, uint64_t revision, struct error *error)
{
	struct fence_policy *policy = calloc(1, sizeof(*policy));
	uint32_t *entries = NULL;

	if (!policy) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		return NULL;
	}
	policy->fd = -1;
	policy->revision = revision;
	if (!revision) {
		(void)error_set(error, EINVAL, NULL, "fence: a policy's revision is greater than zero");
		goto undo;
	}
	if (dataset_read(source->dataset, &policy->dataset, error))
		goto undo;
	policy->rules = calloc(policy->dataset.label_count + 1, sizeof(*policy->rules));
	entries = calloc(policy->dataset.label_count + 1, sizeof(*entries));
	if (!policy->rules || !entries) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		goto undo;
	}
	if (judge_labels(policy, source, entries, error) ||
		table_build(&policy->dataset, entries, revision, &policy->fd, &policy->size, error))
		goto undo;
	free(entries);
	return policy;
undo:
	free(entries);
	fence_policy_free(policy);
	return NULL;
}

void fence_policy_free(struct fence_policy *policy)
{
	if (!policy)
		return;
	if (policy->fd >= 0)
		(void)close(policy->fd);
	dataset_free(&policy->dataset);
	free(policy->rules);
	free(policy);
}

int fence_policy_fd(const struct fence_policy *policy)
{
	return policy->fd;
}

uint64_t fence_policy_size(const struct fence_policy *policy)
{
	return policy->size;
}

uint64_t fence_policy_revision(const struct fence_policy *policy)
{
	return policy->revision;
}

size_t fence_policy_prefixes(const struct fence_policy *policy, uint8_t family)
{
	if (family == PONT_FAMILY_IPV4)
		return policy->dataset.ipv4_count;
	return family == PONT_FAMILY_IPV6 ? policy->dataset.ipv6_count : 0;
}

/* An address as the dataset has it: IPv4, or IPv4-mapped IPv6, in the low 32 bits. */
struct place {
	uint64_t high, low;
	bool is_ipv4;
};

static struct place place_of(const struct pont_address *address)
{
	struct place place = {0};
	int i;

	if (address->family == PONT_FAMILY_IPV4) {
		place.is_ipv4 = true;
		for (i = 0; i < 4; i++)
			place.low = place.low << 8 | address->bytes[i];
		return place;
	}
	for (i = 0; i < 8; i++) {
		place.high = place.high << 8 | address->bytes[i];
		place.low = place.low << 8 | address->bytes[8 + i];
	}
	if (!place.high && place.low >> 32 == 0xffff) {
		place.is_ipv4 = true;
		place.low &= 0xffffffff;
	}
	return place;
}

/* The prefix of this length that contains the place, by binary search; NULL if the dataset has none. */
static const struct dataset_prefix *find_exact(
	const struct dataset_prefix *prefixes, size_t count, uint64_t high, uint64_t low, unsigned int length)
{
	size_t from = 0, to = count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct dataset_prefix *prefix = &prefixes[middle];

		if (prefix->high == high && prefix->low == low && prefix->length == length)
			return prefix;
		if (prefix->high < high || (prefix->high == high && prefix->low < low) ||
			(prefix->high == high && prefix->low == low && prefix->length < length))
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

static const struct dataset_prefix *find_longest(const struct dataset *dataset, const struct place *place)
{
	int length;

	for (length = place->is_ipv4 ? 32 : 128; length >= 0; length--) {
		const struct dataset_prefix *found;

		if (place->is_ipv4) {
			uint64_t mask = length ? ~UINT64_C(0) << (32 - length) : 0;

			found = find_exact(
				dataset->ipv4, dataset->ipv4_count, 0, place->low & mask, (unsigned int)length);
		} else {
			uint64_t high = !length ? 0 : length >= 64 ? UINT64_MAX : ~(UINT64_MAX >> length);
			uint64_t low = length <= 64 ? 0 : length == 128 ? UINT64_MAX : ~(UINT64_MAX >> (length - 64));

			found = find_exact(dataset->ipv6, dataset->ipv6_count, place->high & high, place->low & low,
				(unsigned int)length);
		}
		if (found)
			return found;
	}
	return NULL;
}

static void address_text(const struct pont_address *address, char text[INET6_ADDRSTRLEN])
{
	if (!inet_ntop(
		    address->family == PONT_FAMILY_IPV4 ? AF_INET : AF_INET6, address->bytes, text, INET6_ADDRSTRLEN))
		text[0] = '\0';
}

static void store_prefix(const struct dataset_prefix *prefix, bool is_ipv4, struct pont_address *address)
{
	int i;

	address->family = is_ipv4 ? PONT_FAMILY_IPV4 : PONT_FAMILY_IPV6;
	for (i = 0; is_ipv4 && i < 4; i++)
		address->bytes[i] = (uint8_t)(prefix->low >> (24 - 8 * i));
	for (i = 0; !is_ipv4 && i < 8; i++) {
		address->bytes[i] = (uint8_t)(prefix->high >> (56 - 8 * i));
		address->bytes[8 + i] = (uint8_t)(prefix->low >> (56 - 8 * i));
	}
}

/* Answers that do not depend on a policy. The same order as in ebpf/verdict.h. */
static bool explain_special(const struct place *place, const char *text, struct fence_explanation *out)
{
	const bool is_loopback = place->is_ipv4 ? place->low >> 24 == 127 : !place->high && place->low == 1;
	const bool is_group =
		place->is_ipv4 ? place->low >> 28 == 14 || place->low == 0xffffffff : place->high >> 56 == 0xff;

	if (is_loopback) {
		out->verdict = PONT_VERDICT_LOOPBACK;
		out->rule = "loopback";
		(void)snprintf(out->text, sizeof(out->text), "%s does not leave the machine", text);
	} else if (is_group) {
		out->verdict = PONT_VERDICT_DENY_MULTICAST;
		out->rule = "multicast";
		(void)snprintf(out->text, sizeof(out->text),
			"%s is denied: a group address, where only ARP and Neighbour Discovery may go", text);
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

static void explain_label(const struct fence_policy *policy, const struct dataset_prefix *prefix, const char *text,
	struct fence_explanation *out)
{
	const struct dataset_label *label = &policy->dataset.labels[prefix->label];
	const enum rule rule = policy->rules[prefix->label];
	char network[INET6_ADDRSTRLEN], reason[48];

	switch (rule) {
	case RULE_ALLOWED:
		(void)snprintf(reason, sizeof(reason), "is allowed");
		break;
	case RULE_LOCATION:
		(void)snprintf(reason, sizeof(reason), "is denied for its location %s", label->location);
		break;
	case RULE_JURISDICTION:
		(void)snprintf(reason, sizeof(reason), "is denied for its jurisdiction %s", label->jurisdiction);
		break;
	case RULE_OPERATOR:
		(void)snprintf(reason, sizeof(reason), "is denied for its operator");
		break;
	}
	out->verdict = rule == RULE_ALLOWED ? PONT_VERDICT_ALLOW : PONT_VERDICT_DENY;
	out->rule = rule_names[rule];
	out->prefix_length = prefix->length;
	out->line = prefix->line;
	out->location = label->location;
	out->operator_name = label->operator_name;
	out->jurisdiction = label->jurisdiction;
	address_text(&out->prefix, network);
	/* The operator's name comes last: if the text is too long, only its end is missing. */
	(void)snprintf(out->text, sizeof(out->text), "%s %s: %s/%u, line %u, location %s, jurisdiction %s, operator %s",
		text, reason, network, prefix->length, prefix->line, label->location, label->jurisdiction,
		label->operator_name[0] ? label->operator_name : "unknown");
	trim_cut_character(out->text);
}

void fence_policy_explain(
	const struct fence_policy *policy, const struct pont_address *destination, struct fence_explanation *out)
{
	const struct dataset_prefix *prefix;
	const struct place place = place_of(destination);
	char text[INET6_ADDRSTRLEN];

	memset(out, 0, sizeof(*out));
	out->location = out->operator_name = out->jurisdiction = "";
	out->revision = policy ? policy->revision : 0;
	if (destination->family != PONT_FAMILY_IPV4 && destination->family != PONT_FAMILY_IPV6) {
		out->verdict = PONT_VERDICT_DENY_PROTOCOL;
		out->rule = "unlisted";
		(void)snprintf(out->text, sizeof(out->text), "what is neither IPv4 nor IPv6 is denied");
		return;
	}
	address_text(destination, text);
	if (explain_special(&place, text, out))
		return;
	if (!policy) {
		out->verdict = PONT_VERDICT_DENY_NO_POLICY;
		out->rule = "no_policy";
		(void)snprintf(out->text, sizeof(out->text), "%s is denied: there is no policy yet", text);
		return;
	}
	prefix = find_longest(&policy->dataset, &place);
	if (!prefix) {
		out->verdict = PONT_VERDICT_DENY_UNLISTED;
		out->rule = "unlisted";
		(void)snprintf(
			out->text, sizeof(out->text), "%s is denied: no prefix of the dataset contains it", text);
		return;
	}
	store_prefix(prefix, place.is_ipv4, &out->prefix);
	explain_label(policy, prefix, text, out);
}
