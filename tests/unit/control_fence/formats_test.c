/* SPDX-License-Identifier: BSD-3-Clause */
/* The formats beside `labels` (source_test.c). */
#include <criterion/criterion.h>
#include <string.h>

#include "control/fence/source.h"
#include "tests/unit/control_fence/scratch.h"

#define OPERATORS "asn,operator,jurisdiction\n"
#define VERSION   "2|ripencc|1767225600|3|19830705|20251231|+0100\n"

struct bad_case {
	enum source_format format;
	const char *text;
	unsigned int line;
	const char *says;
};

static const struct bad_case bad_cases[] = {
	{SOURCE_LABELS, "prefix,location,operator,jurisdiction,asn\n10.0.0.0/8,FR,A,FR,0\n", 2, "not an AS number"},
	{SOURCE_LABELS, "prefix,location,operator,jurisdiction,asn\n10.0.0.0/8,FR,A,FR\n", 2, "4 fields instead of 5"},
	{SOURCE_LABELS, "prefix,location,operator,jurisdiction,as\n", 1, "not the header"},
	{SOURCE_OPERATORS, "64500,A,FR\n", 1, "not the header"},
	{SOURCE_OPERATORS, OPERATORS "0,A,FR\n", 2, "not an AS number"},
	{SOURCE_OPERATORS, OPERATORS "4294967296,A,FR\n", 2, "not an AS number"},
	{SOURCE_OPERATORS, OPERATORS "AS64500,A,FR\n", 2, "not an AS number"},
	{SOURCE_OPERATORS, OPERATORS "64500,,FR\n", 2, "operator is empty"},
	{SOURCE_OPERATORS, OPERATORS "64500,A,fr\n", 2, "jurisdiction \"fr\""},
	{SOURCE_OPERATORS, OPERATORS "64500,A,FR\n64501,A,FR\n64500,B,US\n", 4, "AS 64500 stands in line 2 already"},
	{SOURCE_OPERATORS, OPERATORS "64500,A,FR\n64500,A,FR\n", 3, "AS 64500 stands in line 2 already"},
	{SOURCE_COUNTRY, "10.0.0.0,FR\n", 1, "\"FR\" is not an IPv4 or IPv6 address"},
	{SOURCE_COUNTRY, "10.0.0.0\n", 1, "not an IPv4 or IPv6 address"},
	{SOURCE_COUNTRY, "10.0.0.0,10.0.0.255\n", 1, "2 fields instead of 3"},
	{SOURCE_COUNTRY, "10.0.0.9,10.0.0.8,FR\n", 1, "ends before it begins"},
	{SOURCE_COUNTRY, "10.0.0.0,2001:db8::,FR\n", 1, "begins in one family"},
	{SOURCE_COUNTRY, "::ffff:10.0.0.0,::ffff:10.0.0.1,FR\n", 1, "write it as IPv4"},
	{SOURCE_COUNTRY, "\n10.0.0.0/8,FRA\n", 2, "location \"FRA\""},
	{SOURCE_COUNTRY, "10.0.0.0/8,FR,X\n", 1, "3 fields instead of 2"},
	{SOURCE_ASN, "10.0.0.0,10.0.0.255,64500\n", 1, "3 fields instead of 4"},
	{SOURCE_ASN, "10.0.0.0,10.0.0.255,-1,A\n", 1, "\"-1\" is not an AS number"},
	{SOURCE_ASN, "10.0.0.0,10.0.0.255,64500,A\tB\n", 1, "not printable"},
	{SOURCE_ASN, "10.0.0.0/8,64500,A,B\n", 1, "4 fields instead of 3"},
	{SOURCE_DELEGATED, "ripencc|FR|ipv4|10.0.0.0|256|20120101|allocated\n", 1, "first line is not that"},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv4|10.0.0.0|256|20120101\n", 2, "6 fields instead of 7"},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv5|10.0.0.0|256|20120101|allocated\n", 2, "none of asn, ipv4, ipv6"},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv4|10.0.0.0|256|20120101|sold\n", 2, "status \"sold\""},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv4|10.0.0.0|0|20120101|allocated\n", 2, "number of IPv4 addresses"},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv4|255.255.255.0|257|20120101|allocated\n", 2, "number of IPv4"},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv4|::1|1|20120101|allocated\n", 2, "not an IPv4 address"},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv6|10.0.0.0|8|20120101|allocated\n", 2, "an IPv4 prefix"},
	{SOURCE_DELEGATED, VERSION "ripencc|FR|ipv6|2001:db8::1|32|20120101|allocated\n", 2, "bits set"},
	{SOURCE_DELEGATED, VERSION "ripencc|F|ipv4|10.0.0.0|256|20120101|allocated\n", 2, "country \"F\""},
	{SOURCE_DELEGATED, VERSION "ripencc|*|ipv4|*|2|summary\nripencc|FR|ipv4|10.0.0.0|256|2012|allocated\n", 3,
		"ends after 1 records of type ipv4, its summary says 2"},
	{SOURCE_DELEGATED, VERSION "ripencc|*|ipv4|*|2|summary\nripencc|*|ipv4|*|2|summary\n", 3, "second summary"},
};

Test(formats, refuse_what_is_malformed_and_name_file_and_line)
{
	size_t i;

	for (i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const struct bad_case *test = &bad_cases[i];
		const char *path = scratch_file(test->text, strlen(test->text));
		struct error error = {0};
		struct source source;
		char place[128];

		cr_expect_eq(source_read(&source, test->format, path, "/x", &error), -1, "case %zu was accepted", i);
		(void)snprintf(place, sizeof(place), "%s:%u: ", path, test->line);
		cr_expect_eq(strncmp(error.text, place, strlen(place)), 0, "case %zu says \"%s\"", i, error.text);
		cr_expect_not_null(strstr(error.text, test->says), "case %zu says \"%s\"", i, error.text);
		cr_expect_str_eq(error.pointer, "/x");
		cr_expect_null(source.facts);
	}
}

static struct source source;

static void read_text(enum source_format format, const char *text)
{
	struct error error = {0};

	cr_assert_eq(source_read(&source, format, scratch_file(text, strlen(text)), "/x", &error), 0, "%s", error.text);
}

/* The location of an IPv4 address, "-" if the source is silent. */
static const char *location(uint32_t address)
{
	const struct source_fact *fact = source_find(&source, false, address, NULL);

	return fact ? fact->location : "-";
}

Test(formats, of_a_registry_take_what_is_delegated_to_somebody_somewhere)
{
	read_text(SOURCE_DELEGATED,
		VERSION "ripencc|*|asn|*|1|summary\nripencc|*|ipv4|*|5|summary\nripencc|*|ipv6|*|1|summary\n"
			"ripencc|FR|asn|64500|1|20120101|allocated|x\n"
			"ripencc|FR|ipv4|10.0.0.0|768|20120101|allocated|x\n"
			"ripencc||ipv4|10.1.0.0|256||available|\n"
			"ripencc|ZZ|ipv4|10.2.0.0|256||reserved\n"
			"ripencc|DE|ipv4|10.3.0.0|256|20120101|assigned|x\n"
			"ripencc|ZZ|ipv4|10.4.0.0|256|20120101|assigned|x\n"
			"ripencc|NL|ipv6|2001:db8::|32|20120101|allocated|x\n");
	cr_expect_str_eq(location(0x0a0002ff), "FR");
	cr_expect_str_eq(location(0x0a000300), "-");
	cr_expect_str_eq(location(0x0a010000), "-");
	cr_expect_str_eq(location(0x0a030000), "DE");
	cr_expect_str_eq(location(0x0a040000), "-");
	cr_expect_str_eq(
		source_find(&source, true, fence_address_of(UINT64_C(0x20010db800000000), 1), NULL)->location, "NL");
	source_free(&source);
}

Test(formats, take_ranges_that_overlap_and_are_no_prefixes)
{
	/* Unsorted; 10.0.0.100-199 and 10.0.0.150-249 are equally wide: in both, the one that starts last. */
	read_text(SOURCE_COUNTRY, "10.0.0.150,10.0.0.249,DE\n10.0.0.0,10.0.3.255,FR\n10.0.0.100,10.0.0.199,IT\n"
				  "10.0.0.7,10.0.0.7,ES\n10.0.3.255,10.0.4.1,LU\n255.255.255.255,255.255.255.255,PT\n");
	cr_expect_str_eq(location(0x0a000000), "FR");
	cr_expect_str_eq(location(0x0a000000 + 7), "ES");
	cr_expect_str_eq(location(0x0a000000 + 8), "FR");
	cr_expect_str_eq(location(0x0a000000 + 100), "IT");
	cr_expect_str_eq(location(0x0a000000 + 149), "IT");
	cr_expect_str_eq(location(0x0a000000 + 150), "DE");
	cr_expect_str_eq(location(0x0a000000 + 199), "DE");
	cr_expect_str_eq(location(0x0a000000 + 249), "DE");
	cr_expect_str_eq(location(0x0a000000 + 250), "FR");
	cr_expect_str_eq(location(0x0a0003fe), "FR");
	cr_expect_str_eq(location(0x0a0003ff), "LU");
	cr_expect_str_eq(location(0x0a000401), "LU");
	cr_expect_str_eq(location(0x0a000402), "-");
	cr_expect_str_eq(location(UINT32_MAX), "PT");
	source_free(&source);
}

Test(formats, of_others_know_nothing_where_they_contradict_themselves)
{
	read_text(SOURCE_COUNTRY, "10.0.0.0,10.0.255.255,FR\n10.0.1.0,10.0.1.255,DE\n10.0.1.0,10.0.1.255,US\n"
				  "10.0.2.0,10.0.2.255,DE\n10.0.2.0,10.0.2.255,DE\n");
	cr_expect_eq(source.contradictions, 1);
	cr_expect_eq(source.ranges[0].count, 3);
	cr_expect_str_eq(location(0x0a000100), "", "neither of the two, and not the wider range");
	cr_expect_str_eq(location(0x0a000200), "DE");
	cr_expect_str_eq(location(0x0a000300), "FR");
	source_free(&source);
}

Test(formats, of_as_numbers_take_prefixes_and_ranges_and_leave_as_0)
{
	const struct source_fact *fact;

	read_text(SOURCE_ASN, "10.0.0.0/8,64500,\"A, B\"\n11.0.0.0,11.0.0.9,0,Nobody\n12.0.0.0,12.0.0.9,4294967295,\n");
	fact = source_find(&source, false, 0x0a000000, NULL);
	cr_expect_eq(fact->asn, 64500);
	cr_expect_str_eq(fact->operator_name, "A, B");
	cr_expect_null(source_find(&source, false, 0x0b000000, NULL));
	cr_expect_eq(source_find(&source, false, 0x0c000009, NULL)->asn, UINT32_MAX);
	source_free(&source);
}

Test(formats, of_operators_find_an_as_with_its_line)
{
	read_text(SOURCE_OPERATORS, OPERATORS "64511,Z,US\n64500,A,FR\n64505,A,FR\n");
	cr_expect_str_eq(source_operator(&source, 64511)->jurisdiction, "US");
	cr_expect_eq(source_operator(&source, 64500)->line, 3);
	cr_expect_eq(source_operator(&source, 64505)->line, 4);
	cr_expect_null(source_operator(&source, 64501));
	cr_expect_null(source_operator(&source, 0));
	source_free(&source);
}
