/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/dataset.h"

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

Test(dataset, refuses_what_is_malformed_and_names_file_and_line)
{
	size_t i;

	for (i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const struct bad_case *test = &bad_cases[i];
		const char *path = scratch_file(test->text, test->size ? test->size : strlen(test->text));
		struct error error = {0};
		struct dataset dataset;
		char place[128];

		cr_expect_eq(dataset_read(path, &dataset, &error), -1, "case %zu was accepted: %s", i, test->text);
		(void)snprintf(place, sizeof(place), "%s:%u: ", path, test->line);
		cr_expect_eq(strncmp(error.text, place, strlen(place)), 0, "case %zu says \"%s\"", i, error.text);
		cr_expect_not_null(strstr(error.text, test->says), "case %zu says \"%s\"", i, error.text);
		cr_expect_null(dataset.ipv4);
		cr_expect_null(dataset.labels);
	}
}

Test(dataset, refuses_a_line_or_an_operator_that_is_too_long)
{
	char text[sizeof(HEADER) + 2 * DATASET_LINE_MAX];
	struct error error = {0};
	struct dataset dataset;
	size_t length;

	strcpy(text, HEADER "10.0.0.0/8,FR,");
	length = strlen(text);
	memset(text + length, 'a', DATASET_OPERATOR_MAX);
	strcpy(text + length + DATASET_OPERATOR_MAX, ",FR\n");
	cr_assert_eq(dataset_read(scratch_file(text, strlen(text)), &dataset, &error), 0, "%s", error.text);
	dataset_free(&dataset);
	strcpy(text + length + DATASET_OPERATOR_MAX, "a,FR\n");
	cr_assert_eq(dataset_read(scratch_file(text, strlen(text)), &dataset, &error), -1);
	cr_expect_not_null(strstr(error.text, ":2: operator is longer than 127 bytes"), "%s", error.text);
	strcpy(text, HEADER "#");
	memset(text + sizeof(HEADER), 'a', DATASET_LINE_MAX);
	text[sizeof(HEADER) + DATASET_LINE_MAX] = '\0';
	cr_assert_eq(dataset_read(scratch_file(text, strlen(text)), &dataset, &error), -1);
	cr_expect_not_null(strstr(error.text, ":2: line is longer than 1024 bytes"), "%s", error.text);
	text[sizeof(HEADER) + DATASET_LINE_MAX - 1] = '\0';
	cr_assert_eq(dataset_read(scratch_file(text, strlen(text)), &dataset, &error), 0, "%s", error.text);
	dataset_free(&dataset);
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

Test(dataset, reads_what_is_well_formed)
{
	size_t i;

	for (i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
		const struct good_case *test = &good_cases[i];
		struct error error = {0};
		struct dataset dataset;
		int result = dataset_read(scratch_file(test->text, strlen(test->text)), &dataset, &error);

		cr_expect_eq(result, 0, "case %zu: %s", i, error.text);
		cr_expect_eq(dataset.ipv4_count, test->ipv4, "case %zu", i);
		cr_expect_eq(dataset.ipv6_count, test->ipv6, "case %zu", i);
		cr_expect_eq(dataset.label_count, test->labels, "case %zu: %zu labels", i, dataset.label_count);
		dataset_free(&dataset);
	}
}

Test(dataset, sorts_prefixes_by_address_and_shorter_ones_first)
{
	static const char text[] = HEADER "10.0.0.0/9,FR,A,FR\n9.0.0.0/32,FR,A,FR\n10.0.0.0/7,FR,A,FR\n"
					  "10.0.0.0/8,FR,A,FR\n0.0.0.0/0,FR,A,FR\n";
	static const uint8_t lengths[] = {0, 32, 7, 8, 9};
	struct error error = {0};
	struct dataset dataset;
	size_t i;

	cr_assert_eq(dataset_read(scratch_file(text, strlen(text)), &dataset, &error), 0, "%s", error.text);
	cr_assert_eq(dataset.ipv4_count, 5);
	for (i = 0; i < 5; i++)
		cr_expect_eq(dataset.ipv4[i].length, lengths[i], "prefix %zu", i);
	dataset_free(&dataset);
}

Test(dataset, keeps_fields_as_they_are_meant)
{
	static const char text[] = "# one\n\n" HEADER "2001:db8:8000::/33,DE,\"A, \"\"B\"\"\",US\r\n";
	struct error error = {0};
	struct dataset dataset;

	cr_assert_eq(dataset_read(scratch_file(text, strlen(text)), &dataset, &error), 0, "%s", error.text);
	cr_expect_str_eq(dataset.labels[0].operator_name, "A, \"B\"");
	cr_expect_str_eq(dataset.labels[0].location, "DE");
	cr_expect_str_eq(dataset.labels[0].jurisdiction, "US");
	cr_expect_eq(dataset.ipv6[0].high, UINT64_C(0x20010db880000000));
	cr_expect_eq(dataset.ipv6[0].low, 0);
	cr_expect_eq(dataset.ipv6[0].length, 33);
	cr_expect_eq(dataset.ipv6[0].line, 4);
	dataset_free(&dataset);
}

Test(dataset, refuses_what_is_no_regular_file)
{
	char fifo[64];
	struct error error = {0};
	struct dataset dataset;

	cr_expect_eq(dataset_read("/nonexistent/file.csv", &dataset, &error), -1);
	cr_expect_eq(error.code, ENOENT);
	cr_expect_not_null(strstr(error.text, "/nonexistent/file.csv"));
	cr_expect_str_eq(error.pointer, "/fence/dataset");
	cr_expect_eq(dataset_read("/tmp", &dataset, &error), -1);
	cr_expect_not_null(strstr(error.text, "not a regular file"), "%s", error.text);
	(void)snprintf(fifo, sizeof(fifo), "/tmp/pont-fifo-%d", (int)getpid());
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	cr_expect_eq(dataset_read(fifo, &dataset, &error), -1);
	(void)unlink(fifo);
	cr_expect_not_null(strstr(error.text, "not a regular file"), "%s", error.text);
}
