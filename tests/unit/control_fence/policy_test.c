/* SPDX-License-Identifier: BSD-3-Clause */
/* The compiled table, read by the lookup code that the programs use. Needs the right to make BPF maps. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "control/fence/fence.h"
#include "tests/unit/control_fence/scratch.h"

typedef const uint8_t *fence_pages;

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

static __always_inline const void *fence_page(fence_pages pages, uint32_t page)
{
	return pages + (size_t)page * PONT_FENCE_PAGE;
}

#include "ebpf/lookup.h"

#define HEADER "prefix,location,operator,jurisdiction\n"

static struct fence_policy *compile(const char *lines, uint64_t revision, struct error *error)
{
	static const char *const locations[] = {"FR", "DE"}, *const jurisdictions[] = {"FR", "LU"},
				 *const denied[] = {"Zeta", "Denied", "A, \"B\""};
	char *text = NULL;
	struct fence_policy_source source = {
		.locations = locations,
		.location_count = 2,
		.jurisdictions = jurisdictions,
		.jurisdiction_count = 2,
		.denied_operators = denied,
		.denied_operator_count = 3,
	};
	struct fence_policy *policy;

	cr_assert_geq(asprintf(&text, HEADER "%s", lines), 0);
	source.dataset = scratch_file(text, strlen(text));
	policy = fence_policy_compile(&source, revision, error);
	free(text);
	return policy;
}

/* A policy that has to compile, and its table. */
static struct fence_policy *policy;
static const uint8_t *table;
static const struct pont_fence_header *header;

static void open_policy(const char *lines)
{
	struct error error = {0};

	policy = compile(lines, 42, &error);
	cr_assert_not_null(policy, "%s", error.text);
	table = mmap(NULL, fence_policy_size(policy), PROT_READ, MAP_SHARED, fence_policy_fd(policy), 0);
	cr_assert_neq(table, MAP_FAILED, "%s", strerror(errno));
	header = (const void *)table;
	cr_assert_eq(header->magic, PONT_FENCE_MAGIC);
	cr_assert_eq(header->revision, 42);
	cr_assert_eq((uint64_t)header->pages * PONT_FENCE_PAGE, fence_policy_size(policy));
}

static void close_policy(void)
{
	(void)munmap((void *)(uintptr_t)table, fence_policy_size(policy));
	fence_policy_free(policy);
}

static struct pont_address address_of(const char *text)
{
	struct pont_address address = {.family = PONT_FAMILY_IPV4};

	if (inet_pton(AF_INET, text, address.bytes) == 1)
		return address;
	address.family = PONT_FAMILY_IPV6;
	cr_assert_eq(inet_pton(AF_INET6, text, address.bytes), 1, "%s", text);
	return address;
}

static uint64_t half(const uint8_t *bytes)
{
	uint64_t value = 0;
	int i;

	for (i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

static uint32_t entry_of(const struct pont_address *address)
{
	const uint8_t *bytes = address->bytes;

	if (address->family == PONT_FAMILY_IPV4)
		return fence_find_ipv4(table, header,
			(uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]);
	return fence_find_ipv6(table, header, half(bytes), half(bytes + 8));
}

struct explain_case {
	const char *destination;
	enum pont_verdict verdict;
	const char *rule, *prefix, *text;
	unsigned int length, line;
};

static const char lines[] = "0.0.0.0/0,FR,Default,FR\n"
			    "10.0.0.0/8,US,Other,US\n"
			    "10.1.0.0/16,FR,Hyperscaler,US\n"
			    "10.1.1.0/24,FR,Denied,FR\n"
			    "10.1.1.1/32,DE,\"Good, \"\"really\"\"\",LU\n"
			    "10.1.1.2/32,DE,\"A, \"\"B\"\"\",LU\n"
			    "2001:db8::/32,FR,Sovereign,FR\n"
			    "2001:db8::/128,DE,,FR\n"
			    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128,FR,Last,US\n";

static const struct explain_case explain_cases[] = {
	{"1.2.3.4", PONT_VERDICT_ALLOW, "allowed", "0.0.0.0",
		"is allowed: located in FR, controlled from FR; 0.0.0.0/0, line 2", 0, 2},
	{"10.255.0.1", PONT_VERDICT_DENY, "location", "10.0.0.0", "is denied: located in US; 10.0.0.0/8", 8, 3},
	{"10.1.0.1", PONT_VERDICT_DENY, "jurisdiction", "10.1.0.0", "is denied: controlled from US; 10.1.0.0/16", 16,
		4},
	{"10.1.1.0", PONT_VERDICT_DENY, "operator", "10.1.1.0", "is denied: operator denied; 10.1.1.0/24", 24, 5},
	{"10.1.1.1", PONT_VERDICT_ALLOW, "allowed", "10.1.1.1", "operator Good, \"really\"", 32, 6},
	{"::ffff:10.1.1.1", PONT_VERDICT_ALLOW, "allowed", "10.1.1.1", "is allowed", 32, 6},
	{"10.1.1.2", PONT_VERDICT_DENY, "operator", "10.1.1.2", "operator A, \"B\"", 32, 7},
	{"2001:db8::1", PONT_VERDICT_ALLOW, "allowed", "2001:db8::", "2001:db8::/32, line 8", 32, 8},
	{"2001:db8::", PONT_VERDICT_ALLOW, "allowed", "2001:db8::", "operator unknown", 128, 9},
	{"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", PONT_VERDICT_DENY, "jurisdiction",
		"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "controlled from US", 128, 10},
	{"2001:db9::", PONT_VERDICT_DENY_UNLISTED, "unlisted", NULL, "no source contains it", 0, 0},
	{"::", PONT_VERDICT_DENY_UNLISTED, "unlisted", NULL, "no source", 0, 0},
	{"127.0.0.1", PONT_VERDICT_LOOPBACK, "loopback", NULL, "does not leave the machine", 0, 0},
	{"::1", PONT_VERDICT_LOOPBACK, "loopback", NULL, "does not leave the machine", 0, 0},
	{"239.1.1.1", PONT_VERDICT_DENY_MULTICAST, "multicast", NULL, "group address", 0, 0},
	{"255.255.255.255", PONT_VERDICT_DENY_MULTICAST, "multicast", NULL, "group address", 0, 0},
	{"ff02::1", PONT_VERDICT_DENY_MULTICAST, "multicast", NULL, "group address", 0, 0},
};

Test(policy, explains_each_verdict_with_rule_prefix_and_line)
{
	size_t i;

	open_policy(lines);
	cr_expect_eq(fence_policy_prefixes(policy, PONT_FAMILY_IPV4), 6);
	cr_expect_eq(fence_policy_prefixes(policy, PONT_FAMILY_IPV6), 3);
	for (i = 0; i < sizeof(explain_cases) / sizeof(explain_cases[0]); i++) {
		const struct explain_case *test = &explain_cases[i];
		struct pont_address destination = address_of(test->destination), prefix = {0};
		struct fence_explanation why;

		if (test->prefix)
			prefix = address_of(test->prefix);
		fence_policy_explain(policy, &destination, &why);
		cr_expect_eq(why.verdict, test->verdict, "%s: %s", test->destination, fence_verdict_name(why.verdict));
		cr_expect_str_eq(why.rule, test->rule, "%s: %s", test->destination, why.rule);
		cr_expect_not_null(strstr(why.text, test->text), "%s: %s", test->destination, why.text);
		cr_expect_eq(why.prefix_length, test->length, "%s", test->destination);
		cr_expect_eq(why.line, test->line, "%s: line %u", test->destination, why.line);
		cr_expect_eq(memcmp(&why.prefix, &prefix, sizeof(prefix)), 0, "%s: prefix", test->destination);
		cr_expect_eq(why.revision, 42);
		if (strchr(test->destination, 'f') == test->destination || !strncmp(test->destination, "::ffff", 6) ||
			why.verdict == PONT_VERDICT_LOOPBACK || why.verdict == PONT_VERDICT_DENY_MULTICAST)
			continue;
		/* The table says the same. */
		cr_expect_eq(!!(entry_of(&destination) & PONT_FENCE_ALLOWED), why.verdict == PONT_VERDICT_ALLOW, "%s",
			test->destination);
		cr_expect_eq(!(entry_of(&destination) & PONT_FENCE_LABEL_MASK),
			why.verdict == PONT_VERDICT_DENY_UNLISTED, "%s", test->destination);
	}
	close_policy();
}

Test(policy, explains_also_while_there_is_none)
{
	struct pont_address destination = address_of("10.1.1.1");
	struct fence_explanation why;

	fence_policy_explain(NULL, &destination, &why);
	cr_expect_eq(why.verdict, PONT_VERDICT_DENY_NO_POLICY);
	cr_expect_str_eq(why.rule, "no_policy");
	cr_expect_eq(why.revision, 0);
	cr_expect_str_empty(why.operator_name);
	destination.family = PONT_FAMILY_NONE;
	fence_policy_explain(NULL, &destination, &why);
	cr_expect_eq(why.verdict, PONT_VERDICT_DENY_PROTOCOL);
}

Test(policy, cuts_a_long_explanation_between_characters)
{
	char text[512] = "2001:db8:1111:2222:3333:4444:5555:6666/128,FR,", *at = text + strlen(text);
	struct pont_address destination = address_of("2001:db8:1111:2222:3333:4444:5555:6666");
	struct fence_explanation why;
	size_t length, i;

	for (i = 0; i < 42; i++)
		at = stpcpy(at, "\xe2\x82\xac");
	strcpy(at, ",FR\n");
	open_policy(text);
	fence_policy_explain(policy, &destination, &why);
	length = strlen(why.text);
	cr_expect_gt(length, 200);
	cr_expect(!memcmp(why.text + length - 3, "\xe2\x82\xac", 3), "%s", why.text);
	close_policy();
}

Test(policy, of_an_empty_dataset_denies_everything)
{
	static const char *const destinations[] = {"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "2001:db8::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	size_t i;

	open_policy("");
	for (i = 0; i < sizeof(destinations) / sizeof(destinations[0]); i++) {
		struct pont_address destination = address_of(destinations[i]);

		cr_expect_eq(entry_of(&destination), 0, "%s", destinations[i]);
	}
	close_policy();
}

Test(policy, with_one_default_route_covers_the_whole_world)
{
	static const char *const destinations[] = {"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "2001:db8::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	size_t i;

	open_policy("0.0.0.0/0,FR,A,FR\n::/0,FR,A,FR\n");
	for (i = 0; i < sizeof(destinations) / sizeof(destinations[0]); i++) {
		struct pont_address destination = address_of(destinations[i]);

		cr_expect_eq(entry_of(&destination), (1 | PONT_FENCE_ALLOWED), "%s", destinations[i]);
	}
	cr_expect_eq(header->v6_count, 1);
	cr_expect_eq(header->v4_group_count, 0);
	close_policy();
}

Test(policy, shares_equal_groups_and_does_without_those_that_are_all_one)
{
	open_policy("10.0.0.0/25,FR,A,FR\n10.0.1.0/25,FR,A,FR\n10.0.2.0/25,FR,B,FR\n"
		    "10.0.3.0/25,FR,A,FR\n10.0.3.128/25,FR,A,FR\n");
	cr_expect_eq(header->v4_group_count, 2);
	close_policy();
}

Test(policy, cannot_be_changed_once_it_is_made)
{
	open_policy(lines);
	cr_expect_eq(mmap(NULL, PONT_FENCE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fence_policy_fd(policy), 0),
		MAP_FAILED);
	close_policy();
}

Test(policy, refuses_bad_countries_and_revision_zero)
{
	static const char *const good[] = {"FR"}, *const bad[] = {"FR", "france"}, *const empty[] = {""};
	struct fence_policy_source source = {.dataset = scratch_file(HEADER, strlen(HEADER)),
		.locations = good,
		.location_count = 1,
		.jurisdictions = bad,
		.jurisdiction_count = 2};
	struct error error = {0};

	cr_expect_null(fence_policy_compile(&source, 1, &error));
	cr_expect_str_eq(error.pointer, "/fence/allow/jurisdictions");
	source.jurisdictions = good;
	source.jurisdiction_count = 1;
	source.locations = empty;
	cr_expect_null(fence_policy_compile(&source, 1, &error));
	cr_expect_str_eq(error.pointer, "/fence/allow/locations");
	source.locations = good;
	cr_expect_null(fence_policy_compile(&source, 0, &error));
	cr_expect_null(compile("10.0.0.0/8,FR\n", 1, &error));
	cr_expect_not_null(strstr(error.text, ":2: 2 fields instead of 4"), "%s", error.text);
}

/* A plain table of prefixes for the judge: by length, in a hash set per family. */
enum { RANDOM_PREFIXES = 100000, RANDOM_DESTINATIONS = 200000, SLOTS = 1 << 19 };

struct slot {
	uint8_t address[16];
	uint8_t family, length, allowed, used;
};

static struct slot *slots;

static struct slot *slot_find(const uint8_t address[16], uint8_t family, int length)
{
	uint64_t hash = family * 131u + (unsigned int)length;
	uint8_t masked[16] = {0};
	int i, size = family == 4 ? 4 : 16;

	memcpy(masked, address, (size_t)size);
	for (i = length; i < size * 8; i++)
		masked[i / 8] &= (uint8_t) ~(0x80 >> (i & 7));
	for (i = 0; i < 16; i++)
		hash = (hash ^ masked[i]) * UINT64_C(0x100000001b3);
	for (hash = (hash ^ hash >> 29) & (SLOTS - 1);; hash = (hash + 1) & (SLOTS - 1)) {
		struct slot *slot = &slots[hash];

		if (!slot->used) {
			memcpy(slot->address, masked, 16);
			slot->family = family;
			slot->length = (uint8_t)length;
			return slot;
		}
		if (slot->family == family && slot->length == length && !memcmp(slot->address, masked, 16))
			return slot;
	}
}

static const struct slot *longest(const uint8_t address[16], uint8_t family)
{
	int length;

	for (length = family == 4 ? 32 : 128; length >= 0; length--) {
		const struct slot *slot = slot_find(address, family, length);

		if (slot->used)
			return slot;
	}
	return NULL;
}

/* Few bits vary, so that prefixes nest and destinations hit. */
static uint8_t random_address(uint8_t address[16])
{
	uint8_t family = random() & 1 ? 4 : 6;
	int i;

	memset(address, 0, 16);
	for (i = 0; i < (family == 4 ? 4 : 16); i++)
		address[i] = (uint8_t)(random() & (i < 2 ? 0x0f : random() & 1 ? 0xff : 0x81));
	return family;
}

Test(policy, of_a_hundred_thousand_random_prefixes_agrees_with_a_naive_match, .timeout = 60)
{
	char *text = NULL, name[INET6_ADDRSTRLEN];
	uint8_t address[16], family;
	size_t size, i;
	FILE *memory = open_memstream(&text, &size);

	slots = calloc(SLOTS, sizeof(*slots));
	cr_assert_not_null(slots);
	srandom(7);
	for (i = 0; i < RANDOM_PREFIXES;) {
		struct slot *slot;

		family = random_address(address);
		slot = slot_find(address, family, (int)(random() % (family == 4 ? 33 : 129)));
		if (slot->used)
			continue;
		slot->used = 1;
		slot->allowed = (uint8_t)(random() & 1);
		(void)inet_ntop(family == 4 ? AF_INET : AF_INET6, slot->address, name, sizeof(name));
		/* What the dataset refuses. */
		if (family == 6 && slot->length >= 96 && !strncmp(name, "::ffff:", 7)) {
			slot->used = 0;
			continue;
		}
		(void)fprintf(memory, "%s/%u,FR,Operator %ld,%s\n", name, slot->length, random() % 50,
			slot->allowed ? "FR" : "US");
		i++;
	}
	(void)fclose(memory);
	open_policy(text);
	free(text);
	for (i = 0; i < RANDOM_DESTINATIONS; i++) {
		struct pont_address destination = {0};
		const struct slot *wanted;
		uint32_t entry;

		destination.family = family = random_address(address);
		memcpy(destination.bytes, address, 16);
		wanted = longest(address, family);
		entry = entry_of(&destination);
		(void)inet_ntop(family == 4 ? AF_INET : AF_INET6, address, name, sizeof(name));
		cr_assert_eq(!!(entry & PONT_FENCE_LABEL_MASK), !!wanted, "%s is %slisted", name, wanted ? "" : "not ");
		if (!wanted)
			continue;
		cr_assert_eq(
			!!(entry & PONT_FENCE_ALLOWED), wanted->allowed, "%s, prefix length %u", name, wanted->length);
		if (i % 16 == 0) {
			struct fence_explanation why;

			fence_policy_explain(policy, &destination, &why);
			if (why.verdict == PONT_VERDICT_LOOPBACK || why.verdict == PONT_VERDICT_DENY_MULTICAST)
				continue;
			cr_assert_eq(why.prefix_length, wanted->length, "%s: %s", name, why.text);
		}
	}
	close_policy();
	free(slots);
}
