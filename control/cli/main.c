/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/arguments.h"
#include "control/cli/ask.h"
#include "control/cli/follow.h"
#include "control/cli/messages.h"
#include "control/cli/report.h"
#include "control/cli/watch.h"
#include "pontlevis/client.h"

static void print_result(const struct arguments *arguments, bool as_csv, const json_t *result)
{
	if (as_csv) {
		arguments->command->print_csv(stdout, result);
	} else if (arguments->json) {
		(void)json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		(void)fputc('\n', stdout);
	} else {
		arguments->command->print(stdout, result);
	}
}

/* Over a connection of its own. *answer stays NULL if there is nothing to print. */
static int call(const struct arguments *arguments, json_t **answer)
{
	const int timeout_ms = arguments_timeout_ms(arguments);
	struct pontlevis *connection = ask_connect(arguments->socket, timeout_ms);
	int status = STATUS_UNREACHABLE;

	if (connection && arguments->command->converse)
		status = arguments->command->converse(connection, timeout_ms, arguments->params, answer);
	else if (connection)
		status = ask(connection, arguments->method, arguments->params, timeout_ms, answer);
	pontlevis_close(connection);
	return status;
}

static int run_call(const struct arguments *arguments)
{
	const bool as_csv = arguments->command->print_csv && json_object_get(arguments->params, "csv");
	int status = STATUS_ASK;
	json_t *answer = NULL;

	if (as_csv)
		(void)json_object_del(arguments->params, "csv");
	if (arguments->command->answer)
		status = arguments->command->answer(arguments->params, &answer);
	if (status == STATUS_ASK)
		status = call(arguments, &answer);
	if (answer)
		print_result(arguments, as_csv, answer);
	json_decref(answer);
	return status;
}

static int run_command(const struct arguments *arguments)
{
	if (arguments->command->run)
		return arguments->command->run(arguments->params);
	if (arguments->watch_s)
		return watch_run(arguments);
	return arguments->command->notice ? follow_run(arguments) : run_call(arguments);
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	int status;

	messages_begin();
	arguments_parse(&arguments, argc, argv);
	paint_choose(arguments.color);
	status = run_command(&arguments);
	arguments_free(&arguments);
	/* A full disk behind a redirection must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		report_failure(_("cannot write the output: %s"), strerror(errno));
		if (status == STATUS_OK)
			status = STATUS_USAGE;
	}
	return status;
}
