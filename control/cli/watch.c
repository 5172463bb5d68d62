/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/ask.h"
#include "control/cli/interrupt.h"
#include "control/cli/messages.h"
#include "control/cli/report.h"
#include "control/cli/screen.h"
#include "control/cli/table.h"
#include "pontlevis/client.h"

enum { TIME_SIZE = 32 };

struct watch {
	const struct arguments *arguments;
	struct pontlevis *connection; /* NULL: the control process is gone */
	bool on_terminal;
	bool was_gone;
	bool was_there; /* it has answered once */
};

void watch_redraw(FILE *out, const char *report, size_t lines, size_t columns)
{
	size_t count = 0, shown = 0;

	for (const char *c = report; *c; c++)
		count += *c == '\n';
	(void)fputs("\033[H", out);
	while (*report && shown < (count < lines ? count : lines - 1)) {
		size_t length = strcspn(report, "\n");

		/* The rest of the line is that of another report. */
		screen_put(out, report, length, columns);
		(void)fputs("\033[K\n", out);
		report += length + (report[length] == '\n');
		shown++;
	}
	(void)fputs(paint(out, PAINT_PLAIN), out);
	(void)fputs("\033[J", out);
	if (shown < count)
		(void)fprintf(
			out, ngettext("... and %zu line more", "... and %zu lines more", count - shown), count - shown);
}

static void print_heading(const struct watch *watch, FILE *out)
{
	char now[TIME_SIZE];
	struct tm utc;
	time_t seconds = time(NULL);

	(void)strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
	(void)fprintf(out, _("%s, every %u s: pontlevis %s"), now, watch->arguments->watch_s,
		watch->arguments->command->name);
	(void)fputs("\n\n", out);
}

static int show(const struct watch *watch, const char *report)
{
	struct winsize size = {.ws_row = SCREEN_LINES, .ws_col = SCREEN_COLUMNS};

	if (watch->on_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
		watch_redraw(stdout, report, size.ws_row, size.ws_col);
	else if (watch->on_terminal)
		watch_redraw(stdout, report, SCREEN_LINES, SCREEN_COLUMNS);
	else
		(void)fprintf(stdout, "%s\n", report);
	return fflush(stdout) == 0 ? STATUS_OK : STATUS_USAGE;
}

/* answer NULL: there is none, and error says why. */
static int report(const struct watch *watch, const json_t *answer, const struct pontlevis_error *error)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int status;

	if (!out)
		return STATUS_USAGE;
	print_heading(watch, out);
	if (answer)
		watch->arguments->command->print(out, answer);
	else
		(void)fprintf(out, "%s! %s%s\n", paint(out, PAINT_ALARM), error->text, paint(out, PAINT_PLAIN));
	(void)fclose(out);
	status = show(watch, text);
	free(text);
	return status;
}

static int take_answer(struct watch *watch, const json_t *answer)
{
	watch->was_gone = false;
	watch->was_there = true;
	if (!watch->arguments->json)
		return report(watch, answer, NULL);
	(void)json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	(void)fputc('\n', stdout);
	return fflush(stdout) == 0 ? STATUS_OK : STATUS_USAGE;
}

/* Says so once, or on a terminal for as long as it lasts. */
static int take_loss(struct watch *watch, const struct pontlevis_error *error)
{
	bool said = watch->was_gone;

	watch->was_gone = true;
	pontlevis_close(watch->connection);
	watch->connection = NULL;
	if (watch->on_terminal && !watch->arguments->json)
		return report(watch, NULL, error);
	if (!said)
		report_failure("%s", error->text);
	return STATUS_OK;
}

/* What was answered before may be again, as when both processes restart. */
static int take_refusal(struct watch *watch, const json_t *refusal)
{
	struct pontlevis_error error = {0};

	if (watch->was_there && ask_will_pass(refusal)) {
		(void)snprintf(
			error.text, sizeof(error.text), "%s", json_string_value(json_object_get(refusal, "message")));
		return take_loss(watch, &error);
	}
	report_refusal(stderr, watch->arguments->method, refusal);
	return STATUS_REFUSED;
}

static int ask_again(struct watch *watch)
{
	const struct arguments *arguments = watch->arguments;
	const int timeout_ms = arguments_timeout_ms(arguments);
	struct pontlevis_error error = {0};
	json_t *answer = NULL;
	int status;

	if (!watch->connection)
		watch->connection = pontlevis_connect(arguments->socket, timeout_ms, &error);
	if (!watch->connection)
		return take_loss(watch, &error);
	switch (pontlevis_call(watch->connection, arguments->method, arguments->params, timeout_ms, &answer, &error)) {
	case PONTLEVIS_ANSWERED:
		status = take_answer(watch, answer);
		break;
	case PONTLEVIS_REFUSED:
		status = take_refusal(watch, answer);
		break;
	case PONTLEVIS_LOST:
	default:
		status = take_loss(watch, &error);
		break;
	}
	json_decref(answer);
	return status;
}

int watch_run(const struct arguments *arguments)
{
	struct watch watch = {.arguments = arguments, .on_terminal = isatty(STDOUT_FILENO)};
	const struct timespec pause = {.tv_sec = arguments->watch_s};
	int status = STATUS_OK;

	watch.connection = ask_connect(arguments->socket, arguments_timeout_ms(arguments));
	if (!watch.connection)
		return STATUS_UNREACHABLE;
	interrupt_ends();
	while (status == STATUS_OK) {
		status = ask_again(&watch);
		if (status == STATUS_OK)
			(void)nanosleep(&pause, NULL);
	}
	pontlevis_close(watch.connection);
	return status;
}
