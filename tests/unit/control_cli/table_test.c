/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"

static char *print(struct table *table, int indent)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	table_print(table, out, indent);
	(void)fclose(out);
	table_free(table);
	return text;
}

Test(table, aligns_text_to_the_left_and_numbers_to_the_right)
{
	struct table *table = table_new();
	json_t *cells = json("['par2', 7, 'x', 'a-long-name', 12345, 'y', 'p', null, 'z']");
	char *text;

	table_column(table, "NAME");
	table_column(table, "COUNT");
	table_column(table, "END");
	for (size_t i = 0; i < json_array_size(cells); i++)
		table_value(table, json_array_get(cells, i));
	cr_expect_eq(table_rows(table), 3);
	text = print(table, 2);
	cr_expect_str_eq(text, "  NAME         COUNT  END\n"
			       "  par2             7  x\n"
			       "  a-long-name  12345  y\n"
			       "  p                -  z\n");
	free(text);
	json_decref(cells);
}

Test(table, without_rows_prints_its_headings)
{
	struct table *table = table_new();
	char *text;

	table_column(table, "NAME");
	table_column(table, "COUNT");
	cr_expect_eq(table_rows(table), 0);
	text = print(table, 0);
	cr_expect_str_eq(text, "NAME  COUNT\n");
	free(text);
}

Test(table, column_of_nothing_is_aligned_to_the_left)
{
	struct table *table = table_new();
	char *text;

	table_column(table, "TENANT");
	table_column(table, "X");
	table_value(table, NULL);
	table_text(table, "x");
	text = print(table, 0);
	cr_expect_str_eq(text, "TENANT  X\n-       x\n");
	free(text);
}

Test(table, counts_characters_not_bytes)
{
	struct table *table = table_new();
	char *text;

	table_column(table, "H");
	table_column(table, "X");
	table_text(table, "hôpital");
	table_text(table, "1");
	table_text(table, "abcdefg");
	table_text(table, "2");
	text = print(table, 0);
	cr_expect_str_eq(text, "H        X\nhôpital  1\nabcdefg  2\n");
	free(text);
}

Test(table, values_are_one_line_of_text)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
		{"null", "-"},
		{"''", "-"},
		{"true", "yes"},
		{"false", "no"},
		{"-7", "-7"},
		{"9223372036854775807", "9223372036854775807"},
		{"1.5", "1.5"},
		{"'par1'", "par1"},
		{"[]", "-"},
		{"['a', 1, null]", "a, 1, -"},
		{"{'a': 1, 'b': {'c': [true]}}", "a=1 b={c=yes}"},
		{"{}", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *value = json(cases[i].json);
		char *text = text_of(value);

		cr_expect_str_eq(text, cases[i].text, "%s gives \"%s\"", cases[i].json, text);
		free(text);
		json_decref(value);
	}
}

Test(table, control_characters_do_not_reach_the_terminal)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "plain"},
		{"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"},
		{"two\nlines\t", "two\\x0alines\\x09"},
		{"\x7f", "\\x7f"},
		{"\xc2\x9b"
		 "31m",
			"\\x9b31m"},
		{"\xc2\xa0", "\xc2\xa0"},
		{"é", "é"},
		{"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = text_safe(cases[i].in);

		cr_expect_str_eq(text, cases[i].out);
		free(text);
	}
}

Test(table, durations_have_two_units_at_most)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
		{"0", "T\n0.0s\n"},
		{"5250", "T\n5.2s\n"},
		{"59999", "T\n59.9s\n"},
		{"60000", "T\n1m00s\n"},
		{"3599999", "T\n59m59s\n"},
		{"3600000", "T\n1h00m\n"},
		{"86399999", "T\n23h59m\n"},
		{"86400000", "T\n1d00h\n"},
		{"null", "T\n-\n"},
		{"'x'", "T\n-\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct table *table = table_new();
		json_t *value = json(cases[i].json);
		char *text, *squeezed, *end;

		table_column(table, "T");
		table_duration(table, value);
		text = print(table, 0);
		squeezed = end = malloc(strlen(text) + 1);
		for (char *c = text; *c; c++)
			if (*c != ' ')
				*end++ = *c;
		*end = '\0';
		cr_expect_str_eq(squeezed, cases[i].text, "%s gives \"%s\"", cases[i].json, squeezed);
		free(squeezed);
		free(text);
		json_decref(value);
	}
}
