/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/ask.h"

#include "control/cli/command.h"
#include "control/cli/report.h"

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
