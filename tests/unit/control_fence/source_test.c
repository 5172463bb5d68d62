/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/source.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/control_fence/scratch.h"

#define HEADER "prefix,location,operator,jurisdiction\n"

struct bad_case {
	const char *text;
	size_t size; /* 0: strlen */
	unsigned int line;
	const char *says;
};

static const struct bad_case bad_cases[] = {
	{"10.0.0.0/8,FR,A,FR\n", 0, 1, "not the header"},
	{"prefix,location,operator\n", 0, 1, "not the header"},
	{"Prefix,location,operator,jurisdiction\n", 0, 1, "not the header"},
	{"# c\n\nprefix,location\n", 0, 3, "not the header"},
	{HEADER "10.0.0.0,FR,A,FR\n", 0, 2, "has no length"},
	{HEADER ",FR,A,FR\n", 0, 2, "has no length"},
	{HEADER "/8,FR,A,FR\n", 0, 2, "not an IPv4 or IPv6 prefix"},
	{HEADER "10.0.0/8,FR,A,FR\n", 0, 2, "not an IPv4 or IPv6 prefix"},
	{HEADER "10.0.0.256/32,FR,A,FR\n", 0, 2, "not an IPv4 or IPv6 prefix"},
	{HEADER " 10.0.0.0/8,FR,A,FR\n", 0, 2, "not an IPv4 or IPv6 prefix"},
	{HEADER "2001:db8:::/32,FR,A,FR\n", 0, 2, "not an IPv4 or IPv6 prefix"},
	{HEADER "fe80::1%eth0/128,FR,A,FR\n", 0, 2, "not an IPv4 or IPv6 prefix"},
	{HEADER "1111111111111111111111111111111111111111111111111111111111/8,FR,A,FR\n", 0, 2, "not an IPv4"},
	{HEADER "10.0.0.0/33,FR,A,FR\n", 0, 2, "expected 0 to 32"},
	{HEADER "10.0.0.0/-1,FR,A,FR\n", 0, 2, "expected 0 to 32"},
	{HEADER "10.0.0.0/08,FR,A,FR\n", 0, 2, "expected 0 to 32"},
	{HEADER "10.0.0.0/,FR,A,FR\n", 0, 2, "expected 0 to 32"},
	{HEADER "10.0.0.0/8/8,FR,A,FR\n", 0, 2, "expected 0 to 32"},
	{HEADER "10.0.0.0/99999999999999999999,FR,A,FR\n", 0, 2, "expected 0 to 32"},
	{HEADER "::/129,FR,A,FR\n", 0, 2, "expected 0 to 128"},
	{HEADER "10.0.0.1/8,FR,A,FR\n", 0, 2, "bits set beyond its length"},
	{HEADER "0.0.0.1/0,FR,A,FR\n", 0, 2, "bits set beyond its length"},
	{HEADER "2001:db8::1/32,FR,A,FR\n", 0, 2, "bits set beyond its length"},
	{HEADER "2001:db8:0:1::/63,FR,A,FR\n", 0, 2, "bits set beyond its length"},
	{HEADER "2001:db8:0:0:8000::/64,FR,A,FR\n", 0, 2, "bits set beyond its length"},
	{HEADER "::ffff:10.0.0.0/104,FR,A,FR\n", 0, 2, "write it as IPv4"},
	{HEADER "10.0.0.0/8,fr,A,FR\n", 0, 2, "location \"fr\""},
	{HEADER "10.0.0.0/8,FRA,A,FR\n", 0, 2, "location \"FRA\""},
	{HEADER "10.0.0.0/8,,A,FR\n", 0, 2, "location \"\""},
	{HEADER "10.0.0.0/8,FR,A,F\n", 0, 2, "jurisdiction \"F\""},
	{HEADER "10.0.0.0/8,FR,A,F\x01\n", 0, 2, "jurisdiction \"F?\""},
	{HEADER "10.0.0.0/8,FR,A\n", 0, 2, "3 fields instead of 4"},
	{HEADER "10.0.0.0/8\n", 0, 2, "1 fields instead of 4"},
	{HEADER "10.0.0.0/8,FR,A,FR,\n", 0, 2, "more than 4 fields"},
	{HEADER "10.0.0.0/8,FR,A,B,FR\n", 0, 2, "more than 4 fields"},
	{HEADER "10.0.0.0/8,FR,\"A,FR\n", 0, 2, "quote of field 3 is not closed"},
	{HEADER "10.0.0.0/8,FR,\"A\nB\",FR\n", 0, 2, "quote of field 3 is not closed"},
	{HEADER "10.0.0.0/8,FR,\"A\"B,FR\n", 0, 2, "field 3 goes on behind its closing quote"},
	{HEADER "10.0.0.0/8,FR,A\"B,FR\n", 0, 2, "quote inside field 3"},
	{HEADER "10.0.0.0/8,FR,A\tB,FR\n", 0, 2, "not printable UTF-8"},
	{HEADER "10.0.0.0/8,FR,A\xc2\x9b,FR\n", 0, 2, "not printable UTF-8"},
	{HEADER "10.0.0.0/8,FR,A\x80,FR\n", 0, 2, "not printable UTF-8"},
	{HEADER "10.0.0.0/8,FR,\xc0\x80,FR\n", 0, 2, "not printable UTF-8"},
	{HEADER "10.0.0.0/8,FR,\xed\xa0\x80,FR\n", 0, 2, "not printable UTF-8"},
	{HEADER "10.0.0.0/8,FR,\xe2\x82,FR\n", 0, 2, "not printable UTF-8"},
	{HEADER "10.0.0.0/8,FR,A\0B,FR\n", sizeof(HEADER "10.0.0.0/8,FR,A\0B,FR\n") - 1, 2, "NUL byte"},
	{HEADER "10.0.0.0/8,FR,A,FR\n\n#\n10.0.0.0/8,US,B,US\n", 0, 5, "line 2 already"},
	{HEADER "::/0,FR,A,FR\n::/0,FR,A,FR\n0::/0,FR,A,FR\n", 0, 3, "line 2 already"},
	{HEADER "10.0.0.0/8,FR,A,FR\n10.0.0.0/8x,FR,A,FR", 0, 3, "expected 0 to 32"},
};

Test(source, refuses_what_is_malformed_and_names_file_and_line)
{
	size_t i;

	for (i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const struct bad_case *test = &bad_cases[i];
		const char *path = scratch_file(test->text, test->size ? test->size : strlen(test->text));
		struct error error = {0};
		struct source source;
		char place[128];

		cr_expect_eq(source_read(&source, SOURCE_LABELS, path, "/fence/dataset", &error), -1,
			"case %zu was accepted: %s", i, test->text);
		(void)snprintf(place, sizeof(place), "%s:%u: ", path, test->line);
		cr_expect_eq(strncmp(error.text, place, strlen(place)), 0, "case %zu says \"%s\"", i, error.text);
		cr_expect_not_null(strstr(error.text, test->says), "case %zu says \"%s\"", i, error.text);
		cr_expect_null(source.ranges[0].bounds);
		cr_expect_null(source.facts);
	}
}

Test(source, refuses_a_line_or_an_operator_that_is_too_long)
{
	char text[sizeof(HEADER) + 2 * LINES_LINE_MAX];
	struct error error = {0};
	struct source source;
	size_t length;

	strcpy(text, HEADER "10.0.0.0/8,FR,");
	length = strlen(text);
	memset(text + length, 'a', LINES_OPERATOR_MAX);
	strcpy(text + length + LINES_OPERATOR_MAX, ",FR\n");
	cr_assert_eq(source_read(&source, SOURCE_LABELS, scratch_file(text, strlen(text)), "/fence/dataset", &error), 0,
		"%s", error.text);
	source_free(&source);
	strcpy(text + length + LINES_OPERATOR_MAX, "a,FR\n");
	cr_assert_eq(
		source_read(&source, SOURCE_LABELS, scratch_file(text, strlen(text)), "/fence/dataset", &error), -1);
	cr_expect_not_null(strstr(error.text, ":2: operator is longer than 255 bytes"), "%s", error.text);
	strcpy(text, HEADER "#");
	memset(text + sizeof(HEADER), 'a', LINES_LINE_MAX);
	text[sizeof(HEADER) + LINES_LINE_MAX] = '\0';
	cr_assert_eq(
		source_read(&source, SOURCE_LABELS, scratch_file(text, strlen(text)), "/fence/dataset", &error), -1);
	cr_expect_not_null(strstr(error.text, ":2: line is longer than 1024 bytes"), "%s", error.text);
	text[sizeof(HEADER) + LINES_LINE_MAX - 1] = '\0';
	cr_assert_eq(source_read(&source, SOURCE_LABELS, scratch_file(text, strlen(text)), "/fence/dataset", &error), 0,
		"%s", error.text);
	source_free(&source);
}

struct good_case {
	const char *text;
	size_t ipv4, ipv6, labels;
};

static const struct good_case good_cases[] = {
	{"", 0, 0, 0},
	{"\n", 0, 0, 0},
	{"# nothing", 0, 0, 0},
	{HEADER, 0, 0, 0},
	{"\xef\xbb\xbf" HEADER, 0, 0, 0},
	{"\xef\xbb\xbf# comment\r\n\r\nprefix,location,operator,jurisdiction\r\n10.0.0.0/8,FR,A,FR\r\n", 1, 0, 1},
	{HEADER "0.0.0.0/0,FR,A,FR\n255.255.255.255/32,FR,A,FR", 2, 0, 1},
	{HEADER "::/0,FR,A,FR\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128,FR,A,FR", 0, 2, 1},
	{HEADER "10.0.0.0/8,FR,A,FR\n10.0.0.0/9,FR,A,FR\n10.0.0.0/7,US,A,FR\n", 3, 0, 2},
	{HEADER "10.0.0.0/8,FR,A,FR\n# 11.0.0.0/8,FR,A,FR\n11.0.0.0/8,FR,A,US\n12.0.0.0/8,FR,B,FR\n", 3, 0, 3},
	{"\"prefix\",\"location\",\"operator\",\"jurisdiction\"\n\"10.0.0.0/8\",\"FR\",\"A, \"\"B\"\"\",\"FR\"\n", 1, 0,
		1},
	{HEADER "10.0.0.0/8,FR,,FR\n11.0.0.0/8,FR,\"\",FR\n", 2, 0, 1},
	{HEADER "10.0.0.0/8,FR,Opérateur €,FR\n", 1, 0, 1},
};

Test(source, reads_what_is_well_formed)
{
	size_t i;

	for (i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
		const struct good_case *test = &good_cases[i];
		struct error error = {0};
		struct source source;
		int result = source_read(
			&source, SOURCE_LABELS, scratch_file(test->text, strlen(test->text)), "/fence/dataset", &error);

		cr_expect_eq(result, 0, "case %zu: %s", i, error.text);
		cr_expect_eq(source.ranges[0].count, test->ipv4, "case %zu", i);
		cr_expect_eq(source.ranges[1].count, test->ipv6, "case %zu", i);
		cr_expect_eq(source.fact_count, test->labels, "case %zu: %zu labels", i, source.fact_count);
		source_free(&source);
	}
}

Test(source, sorts_prefixes_by_address_and_shorter_ones_first)
{
	static const char text[] = HEADER "10.0.0.0/9,FR,A,FR\n9.0.0.0/31,FR,A,FR\n10.0.0.0/7,FR,A,FR\n"
					  "10.0.0.0/8,FR,A,FR\n0.0.0.0/0,FR,A,FR\n";
	static const uint8_t lengths[] = {0, 31, 7, 8, 9};
	struct error error = {0};
	struct source source;
	size_t i;

	cr_assert_eq(source_read(&source, SOURCE_LABELS, scratch_file(text, strlen(text)), "/fence/dataset", &error), 0,
		"%s", error.text);
	cr_assert_eq(source.ranges[0].count, 5);
	for (i = 0; i < 5; i++) {
		const struct source_range range = source_range(&source.ranges[0], i);

		cr_expect(range.last - range.first == UINT32_MAX >> lengths[i], "prefix %zu", i);
	}
	source_free(&source);
}

Test(source, keeps_fields_as_they_are_meant)
{
	struct source_range range;
	static const char text[] = "# one\n\n" HEADER "2001:db8:8000::/33,DE,\"A, \"\"B\"\"\",US\r\n";
	struct error error = {0};
	struct source source;

	cr_assert_eq(source_read(&source, SOURCE_LABELS, scratch_file(text, strlen(text)), "/fence/dataset", &error), 0,
		"%s", error.text);
	cr_expect_str_eq(source.facts[0].operator_name, "A, \"B\"");
	cr_expect_str_eq(source.facts[0].location, "DE");
	cr_expect_str_eq(source.facts[0].jurisdiction, "US");
	range = source_range(&source.ranges[1], 0);
	cr_expect(range.first == fence_address_of(UINT64_C(0x20010db880000000), 0));
	cr_expect(range.last == fence_address_of(UINT64_C(0x20010db8ffffffff), UINT64_MAX));
	cr_expect_eq(range.line, 4);
	source_free(&source);
}

Test(source, refuses_what_is_no_regular_file)
{
	char fifo[64];
	struct error error = {0};
	struct source source;

	cr_expect_eq(source_read(&source, SOURCE_LABELS, "/nonexistent/file.csv", "/fence/dataset", &error), -1);
	cr_expect_eq(error.code, ENOENT);
	cr_expect_not_null(strstr(error.text, "/nonexistent/file.csv"));
	cr_expect_str_eq(error.pointer, "/fence/dataset");
	cr_expect_eq(source_read(&source, SOURCE_LABELS, "/tmp", "/fence/dataset", &error), -1);
	cr_expect_not_null(strstr(error.text, "not a regular file"), "%s", error.text);
	(void)snprintf(fifo, sizeof(fifo), "/tmp/pont-fifo-%d", (int)getpid());
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	cr_expect_eq(source_read(&source, SOURCE_LABELS, fifo, "/fence/dataset", &error), -1);
	(void)unlink(fifo);
	cr_expect_not_null(strstr(error.text, "not a regular file"), "%s", error.text);
}
