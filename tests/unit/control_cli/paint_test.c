/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/paint.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "control/cli/report.h"
#include "control/cli/table.h"

Test(paint, always_and_never_are_as_they_say)
{
	cr_expect_str_eq(paint(stdout, PAINT_ALARM), "");
	paint_choose(PAINT_ALWAYS);
	cr_expect_str_eq(paint(stdout, PAINT_ALARM), "\033[1;31m");
	cr_expect_str_eq(paint(stderr, PAINT_PLAIN), "\033[0m");
	paint_choose(PAINT_NEVER);
	cr_expect_str_eq(paint(stdout, PAINT_ALARM), "");
}

Test(paint, what_is_not_a_terminal_gets_none)
{
	FILE *file = freopen("/dev/null", "w", stdout);

	(void)setenv("TERM", "xterm", 1);
	(void)unsetenv("NO_COLOR");
	paint_choose(PAINT_AUTO);
	cr_expect_str_eq(paint(file, PAINT_ALARM), "");
}

Test(paint, of_a_cell_does_not_move_the_columns)
{
	struct table *table = table_new();
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	paint_choose(PAINT_ALWAYS);
	table_column(table, "A");
	table_column(table, "B");
	table_text(table, "down");
	table_alarm(table);
	table_text(table, "x");
	table_print(table, out, 0);
	table_free(table);
	(void)fclose(out);
	cr_expect_str_eq(text, "A     B\n\033[1;31mdown\033[0m  x\n", "%s", text);
	free(text);
}

Test(paint, names_what_is_wrong)
{
	static const char alarm[] = "\033[1;31m! dataplane: not connected\033[0m\n";
	char *text;

	paint_choose(PAINT_ALWAYS);
	text = capture(report_diff,
		"{'changes': [{'op': 'replace', 'pointer': '/a', 'old_pointer': '/a', 'old': 1, 'new': 2}]}");
	cr_expect_str_eq(text, "\033[31m- /a: 1\033[0m\n\033[32m+ /a: 2\033[0m\n", "%s", text);
	free(text);
	text = capture(report_status, "{'site': null, 'revision': 0, 'dataplane': {'connected': false}}");
	cr_expect(strncmp(text, alarm, strlen(alarm)) == 0, "%s", text);
	free(text);
}
