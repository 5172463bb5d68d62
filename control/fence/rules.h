/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a policy allows, in the order in which it is asked. The first that has an answer decides:
 *
 *	1. rules by prefix, the longest first
 *	2. rules by AS number
 *	3. rules by the operator's name
 *	4. location and jurisdiction: allowed if both are in their lists
 *
 * What is unknown is in no list: deny by default.
 */
#ifndef CONTROL_FENCE_RULES_H
#define CONTROL_FENCE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "control/fence/sequence.h"

struct fence_policy_source;
struct world_label;

/* What decided about a label. */
enum rules_by { RULES_ALLOWED, RULES_LOCATION, RULES_JURISDICTION, RULES_OPERATOR, RULES_ASN, RULES_PREFIX };

struct rules_verdict {
	bool allowed;
	enum rules_by by;
	uint32_t rule; /* number of the rule, where one decided */
};

struct rule {
	enum rules_by by; /* RULES_OPERATOR, RULES_ASN or RULES_PREFIX */
	bool allow;
	bool is_ipv6; /* of a prefix */
	fence_address first, last;
	uint32_t asn;
	char *operator_name;
	char *reason;
	char pointer[40]; /* below the fence section, for messages */
};

struct rules {
	struct rule *list; /* as they stand in the policy, deny_operators last */
	size_t count;
	uint32_t *by_asn, *by_operator; /* numbers of such rules, sorted */
	size_t asn_count, operator_count;
	struct sequence prefixes[2];                        /* IPv4, IPv6; values: number of the rule + 1 */
	bool location_is_jurisdiction;                      /* the fallback where a jurisdiction is unknown */
	uint8_t locations[26 * 26], jurisdictions[26 * 26]; /* 1: allowed */
};

/* Reads and orders them. 0, or -1 with the error set and nothing in the rules. */
int rules_read(struct rules *rules, const struct fence_policy_source *source, struct error *error);
void rules_free(struct rules *rules);

struct rules_verdict rules_judge(const struct rules *rules, const struct world_label *label);

/* "allowed", "location", "jurisdiction", "operator", "asn", "prefix" */
const char *rules_name(enum rules_by by);
/* Why, for people: the rule's reason, or for example "controlled from US". */
void rules_reason(const struct rules *rules, const struct rules_verdict *verdict, const struct world_label *label,
	char *text, size_t size);

#endif
