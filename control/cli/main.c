/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "control/cli/arguments.h"
#include "control/cli/client.h"
#include "control/cli/report.h"

static void print_result(const struct arguments *arguments, const json_t *result)
{
	if (arguments->json) {
		(void)json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		(void)fputc('\n', stdout);
	} else {
		arguments->command->print(stdout, result);
	}
}

static int run_call(const struct arguments *arguments)
{
	int status = STATUS_OK;
	struct error error;
	json_t *answer;

	switch (client_call(
		arguments->socket, arguments->timeout_s, arguments->method, arguments->params, &answer, &error)) {
	case CLIENT_ANSWERED:
		print_result(arguments, answer);
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

int main(int argc, char **argv)
{
	struct arguments arguments;
	int status;

	arguments_parse(&arguments, argc, argv);
	status = arguments.command->run ? arguments.command->run(arguments.params) : run_call(&arguments);
	arguments_free(&arguments);
	/* A full disk behind a redirection must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "pontlevis: cannot write the output: %s\n", strerror(errno));
		if (status == STATUS_OK)
			status = STATUS_USAGE;
	}
	return status;
}
