/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/watch.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void expect(const char *report, size_t lines, size_t columns, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out);
	watch_redraw(out, report, lines, columns);
	(void)fclose(out);
	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
}

Test(watch, a_report_takes_the_place_of_the_one_before)
{
	expect("a\nb\n", 24, 80, "\033[Ha\033[K\nb\033[K\n\033[J");
}

Test(watch, lines_are_cut_at_the_width_in_characters)
{
	expect("abcdef\n", 24, 3, "\033[Habc\033[K\n\033[J");
	expect("\303\251t\303\251s\n", 24, 3, "\033[H\303\251t\303\251\033[K\n\033[J");
}

Test(watch, colours_take_no_room_and_end_where_they_would)
{
	expect("\033[1;31mabc\033[0mdef\n", 24, 4, "\033[H\033[1;31mabc\033[0md\033[K\n\033[J");
	expect("\033[1;31mabcdef\033[0m\n", 24, 4, "\033[H\033[1;31mabcd\033[0m\033[K\n\033[J");
}

Test(watch, too_many_lines_are_cut_and_counted)
{
	expect("a\nb\nc\nd\n", 3, 80, "\033[Ha\033[K\nb\033[K\n\033[J... and 2 lines more");
	expect("a\nb\nc\n", 3, 80, "\033[Ha\033[K\nb\033[K\n\033[J... and 1 line more");
	expect("a\nb\n", 3, 80, "\033[Ha\033[K\nb\033[K\n\033[J");
}
