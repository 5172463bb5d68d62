/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/ask.h"

#include <string.h>

#include "control/cli/command.h"
#include "control/cli/report.h"

enum { CODE_DATAPLANE = -32004 }; /* docs/controller.md, Errors */

struct pontlevis *ask_connect(const char *socket, int timeout_ms)
{
	struct pontlevis_error error = {0};
	struct pontlevis *connection = pontlevis_connect(socket, timeout_ms, &error);

	if (!connection)
		report_failure("%s", error.text);
	return connection;
}

int ask(struct pontlevis *connection, const char *method, json_t *params, int timeout_ms, json_t **answer)
{
	struct pontlevis_error error = {0};

	switch (pontlevis_call(connection, method, params, timeout_ms, answer, &error)) {
	case PONTLEVIS_ANSWERED:
		return STATUS_OK;
	case PONTLEVIS_REFUSED:
		report_refusal(stderr, method, *answer);
		json_decref(*answer);
		*answer = NULL;
		return STATUS_REFUSED;
	case PONTLEVIS_LOST:
		break;
	}
	report_failure("%s", error.text);
	return STATUS_UNREACHABLE;
}

bool ask_will_pass(const json_t *refusal)
{
	const char *number = json_string_value(report_member(refusal, "data.errno"));

	return json_integer_value(json_object_get(refusal, "code")) == CODE_DATAPLANE ||
	       (number && strcmp(number, "EBUSY") == 0);
}
