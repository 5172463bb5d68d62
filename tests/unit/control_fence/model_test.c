/* SPDX-License-Identifier: BSD-3-Clause */
/* What decides, and from which source it is known. */
#include "control/fence/model.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "control/fence/matrix.h"
#include "tests/unit/control_fence/policies.h"

static void expect(const struct model *model, const char *address, bool allowed, const char *rule, const char *reason)
{
	struct fence_explanation why;
	struct pont_address destination = parse_address(address);

	model_explain(model, &destination, &why);
	cr_expect_eq(why.verdict < PONT_VERDICT_DENY, allowed, "%s: %s", address, why.text);
	cr_expect_str_eq(why.rule, rule, "%s: %s", address, why.text);
	cr_expect_str_eq(why.reason, reason, "%s: %s", address, why.text);
}

Test(model, lets_the_most_specific_decide)
{
	struct model model = compile_policy("jurisdiction_fallback none");

	expect(&model, "10.0.0.1", true, "allowed", "located in FR, controlled from FR");
	expect(&model, "10.1.0.1", false, "jurisdiction", "controlled from US");
	expect(&model, "10.2.0.1", false, "location", "located in US");
	expect(&model, "10.3.0.1", false, "jurisdiction", "nobody knows from where it is controlled");
	expect(&model, "10.4.0.1", true, "asn", "contract 42");
	expect(&model, "10.4.1.1", false, "prefix", "wide");
	expect(&model, "10.4.1.129", true, "prefix", "narrow");
	expect(&model, "10.5.0.1", false, "operator", "no longer wanted");
	expect(&model, "10.6.0.1", false, "asn", "the AS says more than the name");
	expect(&model, "10.7.0.1", false, "operator", "operator denied");
	expect(&model, "172.16.0.1", true, "prefix", "in no source");
	expect(&model, "172.17.0.1", false, "unlisted", "no source contains it");
	expect(&model, "2001:db8::1", true, "allowed", "located in FR, controlled from FR");
	expect(&model, "2001:db8:1::1", false, "prefix", "six");
	model_free(&model);
}

Test(model, takes_the_location_for_the_jurisdiction_only_where_that_is_asked_for)
{
	struct model model = compile_policy("jurisdiction_fallback location");

	expect(&model, "10.3.0.1", true, "allowed", "located in FR, controlled from FR for want of a known operator");
	expect(&model, "10.1.0.1", false, "jurisdiction", "controlled from US");
	model_free(&model);
}

Test(model, takes_each_attribute_from_the_first_source_that_knows_it)
{
	struct model model = compile_policy("jurisdiction_fallback none");
	struct pont_address destination = parse_address("10.8.0.1");
	struct fence_explanation why;

	/* Own labels come first and say FR of AS 64502, the table of operators behind them says US. */
	model_explain(&model, &destination, &why);
	cr_expect_str_eq(why.jurisdiction, "FR");
	cr_expect_str_eq(why.location, "DE");
	cr_expect_eq(why.asn, 64502);
	cr_expect_str_eq(why.operator_name, "Hyper", "the table's name of the AS");
	cr_expect_eq(why.fact_count, 4);
	cr_expect_str_eq(why.facts[0].format, "labels");
	cr_expect_eq(why.facts[0].line, 2);
	cr_expect_str_eq(why.facts[1].format, "operators");
	cr_expect_str_eq(why.facts[1].jurisdiction, "US");
	cr_expect_str_eq(why.facts[2].location, "FR");
	cr_expect_str_eq(why.facts[2].origin, "a registry");
	cr_expect_str_eq(why.facts[2].date, "2026-01-02");
	cr_expect_str_eq(why.facts[3].operator_name, "Hyper Paris SAS");
	model_free(&model);
}

Test(model, explains_a_range_by_the_widest_prefix_in_it_around_the_address)
{
	struct model model = compile_policy("jurisdiction_fallback none");
	struct pont_address destination = parse_address("10.9.0.6"), prefix = parse_address("10.9.0.4");
	struct fence_explanation why;

	/* 10.9.0.3 - 10.9.0.8 */
	model_explain(&model, &destination, &why);
	cr_expect_eq(memcmp(&why.prefix, &prefix, sizeof(prefix)), 0);
	cr_expect_eq(why.prefix_length, 30);
	model_free(&model);
}

Test(model, counts_who_may_be_reached_and_what_changes)
{
	struct model before = compile_policy("jurisdiction_fallback none");
	struct model after = compile_policy("jurisdiction_fallback location");
	json_t *difference = matrix_difference(&before, &after, 100), *same = matrix_difference(&after, &after, 100);
	json_t *entities = matrix_entities(&before, false, 1), *entity;
	json_int_t allowed, ipv4;

	cr_assert_eq(json_unpack(difference, "{s:{s:I}}", "allowed", "ipv4_addresses", &allowed), 0);
	cr_expect_eq(allowed, 65536 + 6, "10.3.0.0/16 and the six addresses of 10.9.0.3 - 10.9.0.8");
	cr_assert_eq(json_unpack(difference, "{s:{s:I}}", "denied", "ipv4_addresses", &ipv4), 0);
	cr_expect_eq(ipv4, 0);
	cr_expect_eq(json_array_size(json_object_get(same, "entities")), 0);
	cr_expect_eq(json_array_size(json_object_get(entities, "entities")), 1);
	cr_expect_gt(json_integer_value(json_object_get(entities, "left_out")), 3);
	entity = json_array_get(json_object_get(entities, "entities"), 0);
	cr_expect_gt(json_integer_value(json_object_get(entity, "ipv4_addresses")), 65536);
	json_decref(difference);
	json_decref(same);
	json_decref(entities);
	model_free(&before);
	model_free(&after);
}

Test(model, refuses_rules_that_speak_of_the_same)
{
	static const struct fence_rule twice[][2] = {
		{{.prefix = "10.0.0.0/8", .reason = "a"}, {.prefix = "10.0.0.0/8", .allow = true, .reason = "b"}},
		{{.asn = 7, .reason = "a"}, {.asn = 7, .reason = "b"}},
		{{.operator_name = "A", .reason = "a"}, {.operator_name = "A", .allow = true, .reason = "b"}},
	};

	for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++) {
		const struct fence_policy_source source = {.rules = twice[i], .rule_count = 2};
		struct error error = {0};
		struct model model;

		cr_expect_eq(model_compile(&model, &source, &error), -1);
		cr_expect_str_eq(error.pointer, "/fence/rules/1");
		cr_expect_not_null(strstr(error.text, "/fence/rules/0 is about the same"), "%s", error.text);
	}
}
