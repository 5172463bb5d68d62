/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/arguments.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct arguments arguments;

/* Splits the line at blanks and parses it. */
static void parse(const char *line)
{
	static char copy[512];
	static char *argv[32];
	int argc = 0;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word && argc < 31; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	arguments_parse(&arguments, argc, argv);
}

static char *params(void)
{
	return json_dumps(arguments.params, JSON_COMPACT | JSON_SORT_KEYS);
}

static void quiet(void)
{
	cr_redirect_stderr();
	cr_redirect_stdout();
	(void)unsetenv("PONTLEVIS_SOCKET");
}

TestSuite(arguments, .init = quiet);

Test(arguments, become_method_and_params)
{
	static const struct {
		const char *line, *method, *params;
	} cases[] = {
		{"pontlevis version", "version", "{}"},
		{"pontlevis config get", "config.get", "{}"},
		{"pontlevis config get --revision 3", "config.get", "{\"revision\":3}"},
		{"pontlevis config get -r 3", "config.get", "{\"revision\":3}"},
		{"pontlevis fence explain 2001:db8::1", "fence.explain", "{\"address\":\"2001:db8::1\"}"},
		{"pontlevis stats --tenant hopital", "stats.get", "{\"tenant\":\"hopital\"}"},
		{"pontlevis audit -n 5", "audit.tail", "{\"count\":5}"},
		{"pontlevis audit -n5", "audit.tail", "{\"count\":5}"},
		{"pontlevis fdb --limit=7 --tenant=t", "fdb.list", "{\"limit\":7,\"tenant\":\"t\"}"},
		{"pontlevis call state.get", "state.get", "{}"},
		{"pontlevis call fence.explain {\"address\":\"::1\"}", "fence.explain", "{\"address\":\"::1\"}"},
		{"pontlevis methods", "rpc.discover", "{}"},
		{"pontlevis events", "events.subscribe", "{}"},
		{"pontlevis events -f --filter sa,session.up,", "events.subscribe",
			"{\"events\":[\"sa\",\"session.up\"],\"follow\":true}"},
		{"pontlevis events --from 0 --peer p --epoch e -t t", "events.subscribe",
			"{\"epoch\":\"e\",\"from\":0,\"peer\":\"p\",\"tenant\":\"t\"}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text;

		parse(cases[i].line);
		cr_assert(arguments.method, "%s", cases[i].line);
		cr_expect_str_eq(arguments.method, cases[i].method);
		text = params();
		cr_expect_str_eq(text, cases[i].params, "%s gives %s", cases[i].line, text);
		free(text);
		cr_expect_str_eq(arguments.socket, ARGUMENTS_SOCKET_DEFAULT);
		cr_expect(!arguments.json);
		arguments_free(&arguments);
	}
}

Test(arguments, global_options_stand_before_or_behind_the_command)
{
	static const char *const lines[] = {
		"pontlevis --json --socket /s --timeout 5 config get -r 2",
		"pontlevis config get --json -r 2 --socket=/s --timeout 5",
		"pontlevis -j config get -s /s -r 2 -T5",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char *text;

		parse(lines[i]);
		cr_expect(arguments.json);
		cr_expect_str_eq(arguments.socket, "/s");
		cr_expect_eq(arguments.timeout_s, 5);
		text = params();
		cr_expect_str_eq(text, "{\"revision\":2}");
		free(text);
		arguments_free(&arguments);
	}
}

Test(arguments, socket_comes_from_the_environment_unless_named)
{
	(void)setenv("PONTLEVIS_SOCKET", "/from/environment", 1);
	parse("pontlevis version");
	cr_expect_str_eq(arguments.socket, "/from/environment");
	parse("pontlevis version --socket /named");
	cr_expect_str_eq(arguments.socket, "/named");
	(void)setenv("PONTLEVIS_SOCKET", "", 1);
	parse("pontlevis version");
	cr_expect_str_eq(arguments.socket, ARGUMENTS_SOCKET_DEFAULT);
}

Test(arguments, document_is_read_from_its_file)
{
	char path[] = "/tmp/pontlevis-test-XXXXXX", line[128];
	int fd = mkstemp(path);
	char *text;

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "{\"version\": 1}", 14), 14);
	(void)close(fd);
	(void)snprintf(line, sizeof(line), "pontlevis config commit %s --expect-revision 0", path);
	parse(line);
	text = params();
	cr_expect_str_eq(text, "{\"config\":{\"version\":1},\"expect_revision\":0}");
	free(text);
	(void)snprintf(line, sizeof(line), "pontlevis call lab.sa_in @%s", path);
	parse(line);
	text = params();
	cr_expect_str_eq(arguments.method, "lab.sa_in");
	cr_expect_str_eq(text, "{\"version\":1}");
	free(text);
	(void)unlink(path);
}

Test(arguments, of_key_commands_need_no_method)
{
	char *text;

	parse("pontlevis key public /etc/pontlevis/identity");
	cr_expect(!arguments.method);
	cr_expect(arguments.command->run);
	text = params();
	cr_expect_str_eq(text, "{\"file\":\"/etc/pontlevis/identity\"}");
	free(text);
}

#define WRONG(name, line)                                                                                              \
	Test(arguments, are_refused_##name, .exit_code = STATUS_USAGE)                                                 \
	{                                                                                                              \
		parse(line);                                                                                           \
		arguments_free(&arguments);                                                                            \
	}

WRONG(without_a_command, "pontlevis")
WRONG(with_an_unknown_command, "pontlevis dance")
WRONG(with_half_a_command, "pontlevis config")
WRONG(with_an_unknown_second_word, "pontlevis config dance")
WRONG(without_a_required_argument, "pontlevis fence explain")
WRONG(with_too_many_arguments, "pontlevis fence explain 192.0.2.1 192.0.2.2")
WRONG(with_an_option_of_another_command, "pontlevis version --revision 3")
WRONG(when_a_number_is_none, "pontlevis config get --revision three")
WRONG(when_a_number_has_a_tail, "pontlevis config get --revision 3x")
WRONG(when_a_number_is_too_small, "pontlevis config get --revision 0")
WRONG(when_a_number_is_too_large, "pontlevis audit -n 257")
WRONG(when_a_number_overflows, "pontlevis config get --revision 99999999999999999999")
WRONG(when_the_timeout_is_zero, "pontlevis --timeout 0 version")
WRONG(when_a_file_is_missing, "pontlevis config commit /nonexistent/site.json")
WRONG(when_a_file_is_no_json, "pontlevis config commit /proc/self/cmdline")
WRONG(when_a_file_is_a_directory, "pontlevis config commit /tmp")
WRONG(when_params_are_no_json, "pontlevis call version {")
WRONG(when_params_are_no_object, "pontlevis call version []")
WRONG(when_a_key_would_stand_on_the_command_line, "pontlevis call lab.sa_in {\"key\":\"00\"}")

#define HELP(name, line)                                                                                               \
	Test(arguments, show_##name, .exit_code = STATUS_OK)                                                           \
	{                                                                                                              \
		parse(line);                                                                                           \
		cr_assert_fail("help and version end the program");                                                    \
	}

HELP(help, "pontlevis --help")
HELP(help_of_a_command, "pontlevis config commit --help")
HELP(the_version, "pontlevis --version")
