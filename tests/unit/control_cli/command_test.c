/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/command.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(command, table_is_complete_and_without_doubles)
{
	size_t count = 0;

	for (const struct command *a = commands; a->name; a++, count++) {
		bool optional = false;

		cr_expect(a->summary && a->summary[0], "%s", a->name);
		cr_expect_leq(strlen(a->summary), 49, "%s: fits the help on 80 columns", a->name);
		cr_expect_neq(a->summary[strlen(a->summary) - 1], '.', "%s", a->name);
		cr_expect(a->run || a->print || a->notice, "%s does something", a->name);
		for (const struct command *b = a + 1; b->name; b++)
			cr_expect_str_neq(a->name, b->name);
		for (const struct parameter *p = a->parameters; p->type; p++) {
			cr_expect(p->member && p->help, "%s", a->name);
			cr_expect_eq(p->metavar == NULL, p->type == PARAMETER_FLAG, "%s %s", a->name, p->member);
			cr_expect_leq(p->minimum, p->maximum, "%s %s", a->name, p->member);
			cr_expect(p->option || !p->required || !optional, "%s: %s stands behind an optional one",
				a->name, p->metavar);
			optional |= !p->option && !p->required;
		}
	}
	cr_expect_geq(count, 15);
}

Test(command, is_found_by_its_words)
{
	static const struct {
		const char *arguments[4];
		const char *name;
		int words;
	} cases[] = {
		{{"version"}, "version", 1},
		{{"config", "commit", "site.json"}, "config commit", 2},
		{{"config", "get"}, "config get", 2},
		{{"fence", "explain", "192.0.2.1"}, "fence explain", 2},
		{{"config"}, NULL, 1},
		{{"config", "burn"}, NULL, 1},
		{{"conf", "get"}, NULL, 0},
		{{"versions"}, NULL, 0},
		{{""}, NULL, 0},
		{{"config commit"}, NULL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct command *command;
		char *argv[4] = {0};
		int words, argc = 0;

		for (; argc < 4 && cases[i].arguments[argc]; argc++)
			argv[argc] = strdup(cases[i].arguments[argc]);
		command = command_find(argc, argv, &words);
		cr_expect_eq(!command, !cases[i].name, "case %zu", i);
		if (command && cases[i].name)
			cr_expect_str_eq(command->name, cases[i].name);
		cr_expect_eq(words, cases[i].words, "case %zu: %d", i, words);
		for (int k = 0; k < argc; k++)
			free(argv[k]);
	}
}

Test(command, usage_shows_what_may_be_left_out)
{
	char *commit[] = {(char[]){"config"}, (char[]){"commit"}};
	char text[256];
	int words;

	command_usage(command_find(2, commit, &words), text, sizeof(text));
	cr_expect_str_eq(text, "config commit FILE [--expect-revision N] [--confirm-timeout S]");
	command_usage(command_find(2, commit, &words), text, 10);
	cr_expect_str_eq(text, "config co", "cut off, not overrun");
}
