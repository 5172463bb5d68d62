/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/rules.h"

#include <stdlib.h>
#include <string.h>

#include "control/fence/fence.h"
#include "control/fence/lines.h"
#include "control/fence/source.h"
#include "control/fence/world.h"

static const char *const names[] = {
	[RULES_ALLOWED] = "allowed",
	[RULES_LOCATION] = "location",
	[RULES_JURISDICTION] = "jurisdiction",
	[RULES_OPERATOR] = "operator",
	[RULES_ASN] = "asn",
	[RULES_PREFIX] = "prefix",
};

const char *rules_name(enum rules_by by)
{
	return names[by];
}

static size_t country(const char *code)
{
	return (size_t)(code[0] - 'A') * 26 + (size_t)(code[1] - 'A');
}

static int read_countries(
	uint8_t allowed[26 * 26], const char *const *codes, size_t count, const char *pointer, struct error *error)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!lines_is_country(codes[i]))
			return error_set(
				error, EINVAL, pointer, "entry %zu is not a country code (two capital letters)", i);
		allowed[country(codes[i])] = 1;
	}
	return 0;
}

/* One rule from its description. */
static int read_rule(struct rule *rule, const struct fence_rule *from, struct error *error)
{
	char pointer[64];
	const char *wrong;

	(void)snprintf(pointer, sizeof(pointer), "/fence%s", rule->pointer);
	rule->allow = from->allow;
	rule->reason = strdup(from->reason ? from->reason : "");
	rule->operator_name = strdup(from->operator_name ? from->operator_name : "");
	if (!rule->reason || !rule->operator_name)
		return error_set(error, ENOMEM, pointer, "out of memory");
	if (!!from->prefix + !!from->asn + !!from->operator_name != 1)
		return error_set(
			error, EINVAL, pointer, "a rule names exactly one of \"prefix\", \"asn\", \"operator\"");
	rule->asn = from->asn;
	rule->by = from->prefix ? RULES_PREFIX : from->asn ? RULES_ASN : RULES_OPERATOR;
	if (!from->prefix)
		return 0;
	(void)snprintf(pointer, sizeof(pointer), "/fence%s/prefix", rule->pointer);
	wrong = lines_prefix(from->prefix, &rule->first, &rule->last, &rule->is_ipv6);
	return wrong ? error_set(error, EINVAL, pointer, "prefix \"%.64s\" %s", from->prefix, wrong) : 0;
}

/* Which of two rules of one kind comes first; 0: they speak of the same. */
static int compare(const struct rule *a, const struct rule *b)
{
	if (a->by != b->by)
		return a->by < b->by ? -1 : 1;
	if (a->by == RULES_ASN)
		return a->asn < b->asn ? -1 : a->asn > b->asn;
	if (a->by == RULES_OPERATOR)
		return strcmp(a->operator_name, b->operator_name);
	if (a->is_ipv6 != b->is_ipv6)
		return a->is_ipv6 ? 1 : -1;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return a->last > b->last ? -1 : a->last < b->last;
}

static int compare_numbers(const void *left, const void *right, void *context)
{
	const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	const struct rule *list = context;
	const int order = compare(&list[a], &list[b]);

	return order ? order : a < b ? -1 : a > b;
}

/* Two rules about the same thing contradict each other, or one of them is idle: an error of who wrote them. */
static int check_repeats(const struct rules *rules, const uint32_t *sorted, struct error *error)
{
	size_t i;

	for (i = 1; i < rules->count; i++) {
		const struct rule *one = &rules->list[sorted[i - 1]], *two = &rules->list[sorted[i]];
		char pointer[64];

		if (compare(one, two))
			continue;
		(void)snprintf(pointer, sizeof(pointer), "/fence%s", two->pointer);
		return error_set(error, EINVAL, pointer, "/fence%s is about the same %s", one->pointer, names[two->by]);
	}
	return 0;
}

/* Prefixes nest, so that painting them in their order leaves the longest on top. */
static int divide(struct rules *rules, const uint32_t *sorted, size_t count, bool is_ipv6)
{
	struct sequence *out = &rules->prefixes[is_ipv6];
	uint32_t stack[129];
	size_t depth = 0, i;

	sequence_init(out, is_ipv6);
	for (i = 0; i <= count; i++) {
		const struct rule *next = i < count ? &rules->list[sorted[i]] : NULL;

		if (next && next->is_ipv6 != is_ipv6)
			continue;
		if (!out->count && next && sequence_put(out, 0, 0))
			return -1;
		while (depth && (!next || rules->list[stack[depth - 1]].last < next->first)) {
			const fence_address last = rules->list[stack[--depth]].last;

			if (last != fence_address_last(is_ipv6) &&
				sequence_put(out, last + 1, depth ? stack[depth - 1] + 1 : 0))
				return -1;
		}
		if (!next)
			continue;
		stack[depth++] = sorted[i];
		if (sequence_put(out, next->first, sorted[i] + 1))
			return -1;
	}
	return 0;
}

/* Puts the rules into the order in which they are looked up. */
static int order(struct rules *rules, struct error *error)
{
	uint32_t *sorted = calloc(rules->count + 1, sizeof(*sorted));
	size_t i, prefixes;
	int result = -1;

	if (!sorted)
		return error_set(error, ENOMEM, "/fence", "fence: out of memory");
	for (i = 0; i < rules->count; i++)
		sorted[i] = (uint32_t)i;
	if (rules->count)
		qsort_r(sorted, rules->count, sizeof(*sorted), compare_numbers, rules->list);
	for (i = 0; i < rules->count; i++) {
		rules->operator_count += rules->list[i].by == RULES_OPERATOR;
		rules->asn_count += rules->list[i].by == RULES_ASN;
	}
	prefixes = rules->operator_count + rules->asn_count;
	rules->by_operator = sorted; /* operators come first, ASNs behind them: the order of enum rules_by */
	rules->by_asn = sorted + rules->operator_count;
	if (check_repeats(rules, sorted, error) == 0) {
		result = divide(rules, sorted + prefixes, rules->count - prefixes, false) ||
					 divide(rules, sorted + prefixes, rules->count - prefixes, true)
				 ? error_set(error, ENOMEM, "/fence", "fence: out of memory")
				 : 0;
	}
	return result;
}

int rules_read(struct rules *rules, const struct fence_policy_source *source, struct error *error)
{
	size_t i;

	memset(rules, 0, sizeof(*rules));
	rules->location_is_jurisdiction = source->location_is_jurisdiction;
	if (read_countries(
		    rules->locations, source->locations, source->location_count, "/fence/allow/locations", error) ||
		read_countries(rules->jurisdictions, source->jurisdictions, source->jurisdiction_count,
			"/fence/allow/jurisdictions", error))
		return -1;
	rules->list = calloc(source->rule_count + source->denied_operator_count + 1, sizeof(*rules->list));
	if (!rules->list)
		return error_set(error, ENOMEM, "/fence/rules", "fence: out of memory");
	for (i = 0; i < source->rule_count; i++) {
		struct rule *rule = &rules->list[rules->count++];

		(void)snprintf(rule->pointer, sizeof(rule->pointer), "/rules/%zu", i);
		if (read_rule(rule, &source->rules[i], error))
			goto undo;
	}
	for (i = 0; i < source->denied_operator_count; i++) {
		const struct fence_rule denied = {
			.operator_name = source->denied_operators[i], .reason = "operator denied"};
		struct rule *rule = &rules->list[rules->count++];

		(void)snprintf(rule->pointer, sizeof(rule->pointer), "/deny_operators/%zu", i);
		if (read_rule(rule, &denied, error))
			goto undo;
	}
	if (order(rules, error) == 0)
		return 0;
undo:
	rules_free(rules);
	return -1;
}

void rules_free(struct rules *rules)
{
	size_t i;

	for (i = 0; i < rules->count; i++) {
		free(rules->list[i].operator_name);
		free(rules->list[i].reason);
	}
	free(rules->list);
	free(rules->by_operator); /* by_asn is in the same block */
	sequence_free(&rules->prefixes[0]);
	sequence_free(&rules->prefixes[1]);
	memset(rules, 0, sizeof(*rules));
}

/* The rule about the label's AS or operator among the sorted numbers; its number + 1, 0 if there is none. */
static uint32_t find(const struct rules *rules, const uint32_t *sorted, size_t count, const struct rule *wanted)
{
	size_t from = 0, to = count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const int order = compare(&rules->list[sorted[middle]], wanted);

		if (!order)
			return sorted[middle] + 1;
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return 0;
}

struct rules_verdict rules_judge(const struct rules *rules, const struct world_label *label)
{
	const struct rule asn = {.by = RULES_ASN, .asn = label->asn};
	/* Only read. */
	const struct rule name = {.by = RULES_OPERATOR, .operator_name = (char *)(uintptr_t)label->operator_name};
	uint32_t found = label->rule;

	if (!found && label->asn)
		found = find(rules, rules->by_asn, rules->asn_count, &asn);
	if (!found && label->operator_name[0])
		found = find(rules, rules->by_operator, rules->operator_count, &name);
	if (found) {
		const struct rule *rule = &rules->list[found - 1];

		return (struct rules_verdict){.allowed = rule->allow, .by = rule->by, .rule = found - 1};
	}
	if (!label->location[0] || !rules->locations[country(label->location)])
		return (struct rules_verdict){.by = RULES_LOCATION};
	if (!label->jurisdiction[0] || !rules->jurisdictions[country(label->jurisdiction)])
		return (struct rules_verdict){.by = RULES_JURISDICTION};
	return (struct rules_verdict){.allowed = true, .by = RULES_ALLOWED};
}

void rules_reason(const struct rules *rules, const struct rules_verdict *verdict, const struct world_label *label,
	char *text, size_t size)
{
	switch (verdict->by) {
	case RULES_ALLOWED:
		(void)snprintf(text, size, "located in %s, controlled from %s%s", label->location, label->jurisdiction,
			label->by_fallback ? " for want of a known operator" : "");
		break;
	case RULES_LOCATION:
		(void)snprintf(text, size, label->location[0] ? "located in %s" : "location unknown", label->location);
		break;
	case RULES_JURISDICTION:
		(void)snprintf(text, size,
			label->jurisdiction[0] ? "controlled from %s" : "nobody knows from where it is controlled",
			label->jurisdiction);
		break;
	case RULES_OPERATOR:
	case RULES_ASN:
	case RULES_PREFIX:
		(void)snprintf(text, size, "%s", rules->list[verdict->rule].reason);
		break;
	}
}
