/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "control/cli/arguments.h"
#include "control/cli/client.h"
#include "control/cli/report.h"

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

static int run_call(const struct arguments *arguments)
{
	const bool as_csv = arguments->command->print_csv && json_object_get(arguments->params, "csv");
	int status = STATUS_ASK;
	struct error error;
	json_t *answer = NULL;

	if (as_csv)
		(void)json_object_del(arguments->params, "csv");
	if (arguments->command->answer)
		status = arguments->command->answer(arguments->params, &answer);
	if (answer)
		print_result(arguments, as_csv, answer);
	json_decref(answer);
	if (status != STATUS_ASK)
		return status;
	status = STATUS_OK;
	switch (client_call(
		arguments->socket, arguments->timeout_s, arguments->method, arguments->params, &answer, &error)) {
	case CLIENT_ANSWERED:
		print_result(arguments, as_csv, answer);
		break;
	case CLIENT_REFUSED:
		report_refusal(stderr, arguments->method, answer);
		status = STATUS_REFUSED;
		break;
	case CLIENT_UNREACHABLE:
	default:
		(void)fprintf(stderr, "pontlevis: %s\n", error.text);
		status = STATUS_UNREACHABLE;
		break;
	}
	json_decref(answer);
	return status;
}

struct follower {
	const struct arguments *arguments;
	bool follow;
};

/* One notification; without --follow the journal is enough. */
static bool take_notice(void *context, const json_t *notification)
{
	const struct follower *follower = context;
	const char *method = json_string_value(json_object_get(notification, "method"));

	if (method && strcmp(method, "events.caught_up") == 0)
		return follower->follow;
	follower->arguments->command->notice(stdout, notification, follower->arguments->json);
	/* A reader behind a pipe wants it now, and when it is gone, so are we. */
	return fflush(stdout) == 0;
}

static int run_subscription(const struct arguments *arguments)
{
	struct follower follower = {
		.arguments = arguments, .follow = json_is_true(json_object_get(arguments->params, "follow"))};
	int status = STATUS_OK;
	struct error error;
	json_t *answer;

	(void)json_object_del(arguments->params, "follow");
	if (!follower.follow && !json_object_get(arguments->params, "from"))
		(void)json_object_set_new(arguments->params, "from", json_integer(0));
	switch (client_subscribe(arguments->socket, arguments->timeout_s, arguments->method, arguments->params,
		take_notice, &follower, &answer, &error)) {
	case CLIENT_ANSWERED:
		break;
	case CLIENT_REFUSED:
		report_refusal(stderr, arguments->method, answer);
		status = STATUS_REFUSED;
		break;
	case CLIENT_UNREACHABLE:
	default:
		(void)fprintf(stderr, "pontlevis: %s\n", error.text);
		status = STATUS_UNREACHABLE;
		break;
	}
	json_decref(answer);
	return status;
}

static int run_command(const struct arguments *arguments)
{
	if (arguments->command->run)
		return arguments->command->run(arguments->params);
	return arguments->command->notice ? run_subscription(arguments) : run_call(arguments);
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	int status;

	arguments_parse(&arguments, argc, argv);
	status = run_command(&arguments);
	arguments_free(&arguments);
	/* A full disk behind a redirection must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "pontlevis: cannot write the output: %s\n", strerror(errno));
		if (status == STATUS_OK)
			status = STATUS_USAGE;
	}
	return status;
}
