/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/arguments.h"
#include "control/cli/ask.h"
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

/* One notification; false: that was all. Without --follow the journal is enough. */
static bool take_notice(const struct arguments *arguments, bool follow, const json_t *notification)
{
	const char *method = json_string_value(json_object_get(notification, "method"));

	if (method && strcmp(method, "events.caught_up") == 0)
		return follow;
	arguments->command->notice(stdout, notification, arguments->json);
	/* A reader behind a pipe wants it now, and when it is gone, so are we. */
	return fflush(stdout) == 0;
}

static int run_subscription(const struct arguments *arguments)
{
	const bool follow = json_is_true(json_object_get(arguments->params, "follow"));
	const int timeout_ms = arguments_timeout_ms(arguments);
	struct pontlevis *connection;
	struct pontlevis_error error;
	json_t *answer = NULL;
	int status = STATUS_UNREACHABLE;
	bool more = true;

	(void)json_object_del(arguments->params, "follow");
	if (!follow && !json_object_get(arguments->params, "from"))
		(void)json_object_set_new(arguments->params, "from", json_integer(0));
	connection = ask_connect(arguments->socket, timeout_ms);
	if (connection)
		status = ask(connection, arguments->method, arguments->params, timeout_ms, &answer);
	while (status == STATUS_OK && more) {
		json_t *notification = pontlevis_next(connection, PONTLEVIS_FOREVER, &error);

		if (notification) {
			more = take_notice(arguments, follow, notification);
		} else {
			report_failure("%s", error.text);
			status = STATUS_UNREACHABLE;
		}
		json_decref(notification);
	}
	pontlevis_close(connection);
	json_decref(answer);
	return status;
}

static int run_command(const struct arguments *arguments)
{
	if (arguments->command->run)
		return arguments->command->run(arguments->params);
	if (arguments->watch_s)
		return watch_run(arguments);
	return arguments->command->notice ? run_subscription(arguments) : run_call(arguments);
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
