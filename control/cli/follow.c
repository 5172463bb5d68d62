/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/cli/ask.h"
#include "control/cli/interrupt.h"
#include "control/cli/messages.h"
#include "control/cli/report.h"
#include "pontlevis/client.h"

enum { FIRST_PAUSE_MS = 200, LAST_PAUSE_MS = 5000 };

struct follow {
	const struct arguments *arguments;
	struct pontlevis *connection;
	bool endless;    /* --follow */
	char *epoch;     /* the life of the control process that `next` is of */
	json_int_t next; /* number of the first event not seen */
	bool said_stop;  /* the last event was that this life ends: none came after it */
};

/* Where the subscription begins. */
static void take_start(struct follow *follow, const json_t *answer)
{
	const char *epoch = json_string_value(json_object_get(answer, "epoch"));

	free(follow->epoch);
	follow->epoch = epoch ? strdup(epoch) : NULL;
	follow->next = json_integer_value(json_object_get(answer, "next"));
	follow->said_stop = false;
}

static void take_place(struct follow *follow, const char *method, const json_t *params)
{
	const char *event = json_string_value(json_object_get(params, "event"));
	const char *last = strcmp(method, "events.gap") == 0 ? "last" : "sequence";
	json_int_t number = json_integer_value(json_object_get(params, last));

	/* With a filter, "caught up" is further on than the last event that has come through. */
	if (number >= follow->next)
		follow->next = number + 1;
	if (strcmp(method, "event") == 0)
		follow->said_stop = event && strcmp(event, "control.stop") == 0;
}

/* One notification; false: that was all. Without --follow the journal is enough. */
static bool take_notice(struct follow *follow, const json_t *notification)
{
	const char *method = json_string_value(json_object_get(notification, "method"));

	if (!method)
		return true;
	take_place(follow, method, json_object_get(notification, "params"));
	if (strcmp(method, "events.caught_up") == 0)
		return follow->endless;
	follow->arguments->command->notice(stdout, notification, follow->arguments->json);
	/* A reader behind a pipe wants it now, and when it is gone, so are we. */
	return fflush(stdout) == 0;
}

/* What may have been missed of the process before is in no journal any more. */
static void report_return(struct follow *follow, const json_t *answer)
{
	const char *socket = follow->arguments->socket;

	if (json_is_true(json_object_get(answer, "restarted"))) {
		report_remark(_("%s: connected again, to a new control process: its events count from 1"), socket);
		if (!follow->said_stop)
			report_failure(_("%s: events of the control process before, from number %lld on, are missed if "
					 "there were any"),
				socket, (long long)follow->next);
	} else {
		report_remark(_("%s: connected again, going on with event %lld"), socket, (long long)follow->next);
	}
}

/* One try. STATUS_UNREACHABLE: the next one may succeed. */
static int subscribe_again(struct follow *follow)
{
	const struct arguments *arguments = follow->arguments;
	const int timeout_ms = arguments_timeout_ms(arguments);
	struct pontlevis_error error = {0};
	json_t *answer = NULL;
	int status = STATUS_UNREACHABLE;

	follow->connection = pontlevis_connect(arguments->socket, timeout_ms, &error);
	if (!follow->connection)
		return status;
	switch (pontlevis_call(follow->connection, arguments->method, arguments->params, timeout_ms, &answer, &error)) {
	case PONTLEVIS_ANSWERED:
		report_return(follow, answer);
		take_start(follow, answer);
		status = STATUS_OK;
		break;
	case PONTLEVIS_REFUSED:
		/* Too many clients: as after a restart, when all of them come back. */
		if (ask_will_pass(answer))
			break;
		report_refusal(stderr, arguments->method, answer);
		status = STATUS_REFUSED;
		break;
	case PONTLEVIS_LOST:
	default:
		break;
	}
	json_decref(answer);
	return status;
}

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&pause, NULL);
}

static int come_back(struct follow *follow)
{
	json_t *params = follow->arguments->params;
	long ms = FIRST_PAUSE_MS;
	int status;

	report_remark(_("%s: connection lost, trying again"), follow->arguments->socket);
	(void)json_object_set_new(params, "from", json_integer(follow->next));
	if (follow->epoch)
		(void)json_object_set_new(params, "epoch", json_string(follow->epoch));
	do {
		pontlevis_close(follow->connection);
		pause_ms(ms);
		ms = 2 * ms < LAST_PAUSE_MS ? 2 * ms : LAST_PAUSE_MS;
		status = subscribe_again(follow);
	} while (status == STATUS_UNREACHABLE);
	return status;
}

static int take_notices(struct follow *follow)
{
	struct pontlevis_error error = {0};
	int status = STATUS_OK;
	bool more = true;

	while (status == STATUS_OK && more) {
		json_t *notification = pontlevis_next(follow->connection, PONTLEVIS_FOREVER, &error);

		if (notification) {
			more = take_notice(follow, notification);
		} else if (follow->endless && error.code == ECONNRESET) {
			status = come_back(follow);
		} else {
			report_failure("%s", error.text);
			status = STATUS_UNREACHABLE;
		}
		json_decref(notification);
	}
	return status;
}

int follow_run(const struct arguments *arguments)
{
	struct follow follow = {
		.arguments = arguments, .endless = json_is_true(json_object_get(arguments->params, "follow"))};
	const int timeout_ms = arguments_timeout_ms(arguments);
	json_t *answer = NULL;
	int status = STATUS_UNREACHABLE;

	(void)json_object_del(arguments->params, "follow");
	if (!follow.endless && !json_object_get(arguments->params, "from"))
		(void)json_object_set_new(arguments->params, "from", json_integer(0));
	follow.connection = ask_connect(arguments->socket, timeout_ms);
	if (follow.connection)
		status = ask(follow.connection, arguments->method, arguments->params, timeout_ms, &answer);
	if (status == STATUS_OK) {
		if (follow.endless)
			interrupt_ends();
		take_start(&follow, answer);
		status = take_notices(&follow);
	}
	pontlevis_close(follow.connection);
	json_decref(answer);
	free(follow.epoch);
	return status;
}
