/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/messages.h"
#include "control/cli/paint.h"
#include "control/cli/table.h"

enum { INDENT = 2, DEPTH_MAX = 16, EVENT_WIDTH = 20 };

const json_t *report_member(const json_t *object, const char *path)
{
	char name[64];

	while (object) {
		size_t length = strcspn(path, ".");

		if (length >= sizeof(name))
			return NULL;
		memcpy(name, path, length);
		name[length] = '\0';
		object = json_object_get(object, name);
		if (!path[length])
			return object;
		path += length + 1;
	}
	return NULL;
}

/* A list of which every item is an object can be a table. */
static bool is_table(const json_t *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach (value, i, item) {
		if (!json_is_object(item))
			return false;
	}
	return json_array_size(value) > 0;
}

/* Has it a place on a line of its own, or is it a block of lines? */
static bool is_block(const json_t *value)
{
	return (json_is_object(value) && json_object_size(value) > 0) || is_table(value);
}

/* Columns are all the members of all the rows, in the order in which they first come. */
static void print_rows(FILE *out, const json_t *rows, int indent)
{
	struct table *table = table_new();
	json_t *columns = json_object();
	const char *name;
	json_t *row, *value;
	size_t i;

	json_array_foreach (rows, i, row) {
		json_object_foreach (row, name, value) {
			(void)value;
			(void)json_object_set_new(columns, name, json_null());
		}
	}
	json_object_foreach (columns, name, value) {
		table_column(table, name);
	}
	json_array_foreach (rows, i, row) {
		json_object_foreach (columns, name, value) {
			table_value(table, json_object_get(row, name));
		}
	}
	table_print(table, out, indent);
	table_free(table);
	json_decref(columns);
}

static void print_value(FILE *out, json_t *value, int indent)
{
	size_t width = 0;
	const char *name;
	json_t *member;

	if (is_table(value)) {
		print_rows(out, value, indent);
		return;
	}
	if (!json_is_object(value) || indent > DEPTH_MAX * INDENT) {
		char *text = text_of(value);

		(void)fprintf(out, "%*s%s\n", indent, "", text);
		free(text);
		return;
	}
	json_object_foreach (value, name, member) {
		if (!is_block(member) && strlen(name) > width)
			width = strlen(name);
	}
	json_object_foreach (value, name, member) {
		char *label = text_safe(name);

		if (is_block(member)) {
			(void)fprintf(out, "%*s%s:\n", indent, "", label);
			print_value(out, member, indent + INDENT);
		} else {
			char *text = text_of(member);

			(void)fprintf(out, "%*s%s%*s  %s\n", indent, "", label,
				strlen(label) < width ? (int)(width - strlen(label)) : 0, "", text);
			free(text);
		}
		free(label);
	}
}

void report_value(FILE *out, const json_t *result)
{
	/* Jansson's iterators take pointers to non-const; nothing is changed. */
	print_value(out, (json_t *)(uintptr_t)result, 0);
}

static const char *text_or_empty(const json_t *value)
{
	const char *text = json_string_value(value);

	return text ? text : "";
}

void report_config(FILE *out, const json_t *result)
{
	const json_t *config = json_object_get(result, "config");
	char *revision = text_of(json_object_get(result, "revision"));
	char *time = text_of(json_object_get(result, "time"));
	char *user = text_of(report_member(result, "who.user"));

	if (json_is_object(config)) {
		(void)fprintf(stderr, _("revision %s, committed %s by %s\n"), revision, time, user);
		(void)json_dumpf(config, out, JSON_INDENT(2));
		(void)fputc('\n', out);
	} else {
		(void)fprintf(stderr, "%s\n", _("nothing has been committed yet"));
	}
	free(revision);
	free(time);
	free(user);
}

/* That a revision is on trial, and what comes of it; nothing if none is. */
static void print_trial(FILE *out, const json_t *confirm)
{
	if (!json_is_object(confirm))
		return;
	(void)fputs(paint(out, PAINT_WARNING), out);
	(void)fprintf(out,
		_("revision %lld is on trial: without `config confirm` revision %lld is put in force again in %lld "
		  "s\n"),
		(long long)json_integer_value(json_object_get(confirm, "revision")),
		(long long)json_integer_value(json_object_get(confirm, "previous")),
		(long long)(json_integer_value(json_object_get(confirm, "remaining_ms")) + 999) / 1000);
	(void)fputs(paint(out, PAINT_PLAIN), out);
}

void report_commit(FILE *out, const json_t *result)
{
	const bool absent = strcmp(text_or_empty(json_object_get(result, "dataplane")), "absent") == 0;
	const long long revision = json_integer_value(json_object_get(result, "revision"));
	const json_t *warning;
	size_t i;

	if (json_is_false(json_object_get(result, "changed")))
		(void)fprintf(out, _("revision %lld is in force already"), revision);
	else
		(void)fprintf(out, _("revision %lld is in force"), revision);
	(void)fprintf(out, "%s\n", absent ? _(", the dataplane will be told when it is there") : "");
	print_trial(out, json_object_get(result, "confirm"));
	json_array_foreach (json_object_get(result, "warnings"), i, warning) {
		char *text = text_of(warning);

		(void)fprintf(
			out, "%s%s %s%s\n", paint(out, PAINT_WARNING), _("warning:"), text, paint(out, PAINT_PLAIN));
		free(text);
	}
}

static void print_side(FILE *out, enum paint colour, const json_t *pointer, const json_t *value)
{
	char *place = text_safe(text_or_empty(pointer));
	char *dump = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	char *text = dump ? text_safe(dump) : NULL;

	if (text)
		(void)fprintf(out, "%s%c %s: %s%s\n", paint(out, colour), colour == PAINT_REMOVED ? '-' : '+', place,
			text, paint(out, PAINT_PLAIN));
	free(text);
	free(dump);
	free(place);
}

void report_diff(FILE *out, const json_t *result)
{
	const json_t *changes = json_object_get(result, "changes"), *change;
	size_t i;

	if (json_array_size(changes) == 0)
		(void)fprintf(out, "%s\n", _("no difference"));
	json_array_foreach (changes, i, change) {
		print_side(out, PAINT_REMOVED, json_object_get(change, "old_pointer"), json_object_get(change, "old"));
		print_side(out, PAINT_ADDED, json_object_get(change, "pointer"), json_object_get(change, "new"));
	}
}

/* Why the revision is there; what is wrong with its record. */
static void add_reason(struct table *table, const json_t *revision)
{
	const json_t *damage = json_object_get(revision, "damage"), *from = json_object_get(revision, "from");

	if (json_is_integer(from))
		table_printf(table, _("%s to %lld"), text_or_empty(json_object_get(revision, "reason")),
			(long long)json_integer_value(from));
	else
		table_value(table, damage ? damage : json_object_get(revision, "reason"));
	if (damage)
		table_alarm(table);
}

void report_history(FILE *out, const json_t *result)
{
	static const char *const headings[] = {N_("REVISION"), N_("TIME"), N_("USER"), N_("PID"), N_("REASON"), ""};
	struct table *table = table_new();
	const json_t *revision;
	size_t i;

	print_trial(out, json_object_get(result, "confirm"));
	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (json_object_get(result, "revisions"), i, revision) {
		table_value(table, json_object_get(revision, "revision"));
		table_value(table, json_object_get(revision, "time"));
		table_value(table, report_member(revision, "who.user"));
		table_value(table, report_member(revision, "who.pid"));
		add_reason(table, revision);
		table_text(table, json_is_true(json_object_get(revision, "current")) ? _("current") : "");
	}
	table_print(table, out, 0);
	table_free(table);
}

static bool is_empty(const json_t *value)
{
	return !value || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

/* What there is beside number, time and name: facts first, the sentence for people last. */
static char *event_details(const json_t *event)
{
	json_t *facts = json_object(), *sentence = json_object_get(event, "text"), *value;
	const char *name;
	char *text, *all = NULL;

	json_object_foreach ((json_t *)(uintptr_t)event, name, value) {
		if (strcmp(name, "sequence") != 0 && strcmp(name, "time") != 0 && strcmp(name, "event") != 0 &&
			strcmp(name, "text") != 0 && !is_empty(value))
			(void)json_object_set(facts, name, value);
	}
	text = text_of(facts);
	json_decref(facts);
	if (is_empty(sentence))
		return text;
	if (asprintf(&all, "%s%s%s", text, text[0] ? ": " : "", json_string_value(sentence)) < 0)
		return text;
	free(text);
	return all;
}

static void print_events(FILE *out, const json_t *events)
{
	static const char *const headings[] = {N_("TIME"), N_("EVENT"), N_("DETAILS")};
	struct table *table = table_new();
	const json_t *event;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (events, i, event) {
		char *details = event_details(event);

		table_value(table, json_object_get(event, "time"));
		table_value(table, json_object_get(event, "event"));
		table_text(table, details);
		free(details);
	}
	table_print(table, out, 0);
	table_free(table);
}

void report_audit(FILE *out, const json_t *result)
{
	print_events(out, json_object_get(result, "events"));
}

void report_notice(FILE *out, const json_t *notification, bool as_json)
{
	const json_t *params = json_object_get(notification, "params");
	const char *method = json_string_value(json_object_get(notification, "method"));
	bool gap = method && strcmp(method, "events.gap") == 0;
	char *time, *event, *details, *safe;

	if (!method || (!gap && strcmp(method, "event") != 0))
		return;
	if (as_json) {
		(void)json_dumpf(gap ? notification : params, out, JSON_COMPACT);
		(void)fputc('\n', out);
		return;
	}
	if (gap) {
		(void)fputs(paint(out, PAINT_WARNING), out);
		(void)fprintf(out, _("events %lld to %lld are gone\n"),
			(long long)json_integer_value(json_object_get(params, "first")),
			(long long)json_integer_value(json_object_get(params, "last")));
		(void)fputs(paint(out, PAINT_PLAIN), out);
		return;
	}
	time = text_of(json_object_get(params, "time"));
	event = text_of(json_object_get(params, "event"));
	details = event_details(params);
	safe = text_safe(details);
	(void)fprintf(out, "%6" JSON_INTEGER_FORMAT "  %s  %-*s  %s\n",
		json_integer_value(json_object_get(params, "sequence")), time, EVENT_WIDTH, event, safe);
	free(time);
	free(event);
	free(details);
	free(safe);
}

/* "config, expect_revision?": the question mark is for what may be left out. */
static char *parameter_names(const json_t *params)
{
	char *text = NULL;
	const json_t *param;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	json_array_foreach (params, i, param) {
		char *name = text_of(json_object_get(param, "name"));

		(void)fprintf(out, "%s%s%s", i ? ", " : "", name,
			json_is_true(json_object_get(param, "required")) ? "" : "?");
		free(name);
	}
	(void)fclose(out);
	return text;
}

void report_methods(FILE *out, const json_t *result)
{
	static const char *const headings[] = {N_("METHOD"), N_("ROLE"), N_("PARAMETERS"), N_("DESCRIPTION")};
	struct table *table = table_new();
	const json_t *method;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (json_object_get(result, "methods"), i, method) {
		char *names = parameter_names(json_object_get(method, "params"));

		table_value(table, json_object_get(method, "name"));
		table_value(table, json_object_get(method, "role"));
		table_text(table, names && names[0] ? names : "-");
		table_value(table, json_object_get(method, "description"));
		free(names);
	}
	table_print(table, out, 0);
	table_free(table);
}

/* One error of a document, with its place. */
static void print_error(FILE *out, const json_t *error)
{
	char *place = text_safe(text_or_empty(json_object_get(error, "pointer")));
	char *text = text_of(json_object_get(error, "message"));

	(void)fprintf(out, "pontlevis: %s%s%s\n", place, place[0] ? ": " : "", text);
	free(place);
	free(text);
}

void report_failure(const char *format, ...)
{
	va_list arguments;

	(void)fprintf(stderr, "pontlevis: %s", paint(stderr, PAINT_ALARM));
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "%s\n", paint(stderr, PAINT_PLAIN));
}

void report_remark(const char *format, ...)
{
	va_list arguments;

	(void)fputs("pontlevis: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
}

void report_place(FILE *out, const char *pointer)
{
	char *place;

	if (!pointer || !pointer[0])
		return;
	place = text_safe(pointer);
	(void)fputs("pontlevis: ", out);
	(void)fprintf(out, _("at %s\n"), place);
	free(place);
}

void report_refusal(FILE *out, const char *method, const json_t *error)
{
	char *message = text_of(json_object_get(error, "message"));
	char *code = text_of(json_object_get(error, "code"));
	const char *pointer = json_string_value(report_member(error, "data.pointer"));
	const json_t *errors = report_member(error, "data.errors"), *one;
	size_t i;

	(void)fprintf(out, "pontlevis: %s", paint(out, PAINT_ALARM));
	if (json_array_size(errors) > 1) {
		(void)fprintf(out, _("%s refused (%s): %zu errors"), method, code, json_array_size(errors));
		(void)fprintf(out, "%s\n", paint(out, PAINT_PLAIN));
		json_array_foreach (errors, i, one)
			print_error(out, one);
	} else {
		(void)fprintf(out, _("%s refused (%s): %s"), method, code, message);
		(void)fprintf(out, "%s\n", paint(out, PAINT_PLAIN));
		report_place(out, pointer);
	}
	free(message);
	free(code);
}
