/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports on the fence. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/messages.h"
#include "control/cli/paint.h"
#include "control/cli/report.h"
#include "control/cli/table.h"

enum { LABEL_WIDTH = 18 };

static void print_member(FILE *out, const char *label, const json_t *value)
{
	char *text = text_of(value);

	text_label(out, label, LABEL_WIDTH);
	(void)fprintf(out, "%s\n", text);
	free(text);
}

/* Places side by side, a line for each verdict that occurred anywhere (and for "allow"). */
static void print_counters(FILE *out, json_t *counters)
{
	struct table *table = table_new();
	json_t *verdicts = json_object(), *place, *count;
	const char *name, *verdict;

	table_column(table, _("VERDICT"));
	json_object_foreach (counters, name, place) {
		table_column(table, name);
		json_object_foreach (place, verdict, count) {
			if (json_integer_value(count) != 0)
				(void)json_object_set_new(verdicts, verdict, json_null());
		}
	}
	json_object_foreach (verdicts, verdict, count) {
		table_text(table, verdict);
		json_object_foreach (counters, name, place) {
			table_value(table, json_object_get(place, verdict));
		}
	}
	if (table_rows(table) > 0)
		table_print(table, out, 0);
	else
		(void)fprintf(out, "%s\n", _("no packet has met the fence yet"));
	table_free(table);
	json_decref(verdicts);
}

static void print_interfaces(FILE *out, const json_t *interfaces)
{
	json_t *names = json_array();
	const json_t *interface;
	size_t i;

	json_array_foreach (interfaces, i, interface) {
		(void)json_array_append(names, json_object_get(interface, "name"));
	}
	print_member(out, N_("interfaces"), names);
	json_decref(names);
}

/* "closed to ip, closed to bridge, open to frames (REASON); 4 kept back" */
static void print_new_interfaces(FILE *out, json_t *kinds)
{
	const char *kind, *separator = "";
	long long dropped = 0;
	const json_t *one;

	text_label(out, N_("new interfaces"), LABEL_WIDTH);
	json_object_foreach (kinds, kind, one) {
		char *missing = text_of(json_object_get(one, "missing"));

		(void)fputs(separator, out);
		if (json_is_true(json_object_get(one, "closed")))
			(void)fprintf(out, _("closed to %s"), kind);
		else
			(void)fprintf(out, _("open to %s (%s)"), kind, missing);
		separator = ", ";
		dropped += json_integer_value(json_object_get(one, "dropped"));
		free(missing);
	}
	(void)fprintf(out, _("; %lld kept back\n"), dropped);
}

static void print_denials(FILE *out, const json_t *denied)
{
	static const char *const headings[] = {
		N_("TIME"), N_("PLACE"), N_("DESTINATION"), N_("PROCESS"), N_("INTERFACE"), N_("WHY")};
	struct table *table = table_new();
	const json_t *denial;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (denied, i, denial) {
		const char *command = json_string_value(json_object_get(denial, "command"));

		table_value(table, json_object_get(denial, "time"));
		table_value(table, json_object_get(denial, "place"));
		table_value(table, json_object_get(denial, "destination"));
		if (command && command[0])
			table_printf(table, "%s[%" JSON_INTEGER_FORMAT "]", command,
				json_integer_value(json_object_get(denial, "pid")));
		else
			table_text(table, "-");
		table_value(table, json_object_get(denial, "interface"));
		table_value(table, json_object_get(denial, "text"));
	}
	table_print(table, out, 0);
	table_free(table);
}

/* First of all, and not to be overlooked. */
static void print_lock(FILE *out, const json_t *lock)
{
	const json_t *until = json_object_get(lock, "confirm_by");

	(void)fputs(paint(out, PAINT_ALARM), out);
	print_member(out, N_("LOCKED since"), json_object_get(lock, "since"));
	print_member(out, N_("locked by"), json_object_get(lock, "who"));
	print_member(out, N_("reason"), json_object_get(lock, "reason"));
	if (json_is_string(until))
		print_member(out, N_("unlocked at"), until);
	(void)fprintf(out, "%s\n", paint(out, PAINT_PLAIN));
}

static void print_sources(FILE *out, const json_t *sources)
{
	const json_t *source;
	size_t i;

	json_array_foreach (sources, i, source) {
		const json_t *date = json_object_get(source, "date"), *origin = json_object_get(source, "origin");
		char *name = text_of(json_object_get(source, "name")),
		     *format = text_of(json_object_get(source, "format"));
		char *when = text_of(date), *whence = text_of(origin),
		     *sum = text_of(json_object_get(source, "sha256"));

		text_label(out, N_("source"), LABEL_WIDTH);
		(void)fprintf(out, "%s (%s%s%s%s%s), SHA-256 %.16s...\n", name, format,
			json_string_length(date) ? ", " : "", json_string_length(date) ? when : "",
			json_string_length(origin) ? ", " : "", json_string_length(origin) ? whence : "", sum);
		free(name);
		free(format);
		free(when);
		free(whence);
		free(sum);
	}
}

void report_fence(FILE *out, const json_t *result)
{
	const json_t *denied = json_object_get(result, "denied");

	if (json_is_true(report_member(result, "lock.locked")))
		print_lock(out, json_object_get(result, "lock"));
	print_member(out, N_("policy revision"), json_object_get(result, "policy_revision"));
	if (json_is_object(json_object_get(result, "bundle")))
		print_member(out, N_("bundle"), json_object_get(result, "bundle"));
	print_sources(out, json_object_get(result, "sources"));
	print_member(out, N_("prefixes"), json_object_get(result, "prefixes"));
	print_member(out, N_("rules"), json_object_get(result, "rules"));
	print_member(out, N_("denied peers"), json_object_get(result, "denied_peers"));
	print_interfaces(out, json_object_get(result, "interfaces"));
	print_new_interfaces(out, json_object_get(result, "new_interfaces"));
	print_member(out, N_("cgroup"), json_object_get(result, "cgroup"));
	(void)fputc('\n', out);
	print_counters(out, json_object_get(result, "counters"));
	if (json_array_size(denied) > 0) {
		(void)fprintf(out, "\n%s\n", _("Last denials, oldest first:"));
		print_denials(out, denied);
	}
}

/* What one source says of the address: "world.csv line 17: 192.0.2.0 - 192.0.2.255, location FR". */
static void print_fact(FILE *out, const json_t *fact)
{
	static const char *const names[][2] = {{N_("location"), "location"}, {N_("AS"), "asn"},
		{N_("operator"), "operator"}, {N_("jurisdiction"), "jurisdiction"}};
	char *name = text_of(json_object_get(fact, "name")), *line = text_of(json_object_get(fact, "line"));
	const json_t *first = json_object_get(fact, "first"), *date = json_object_get(fact, "date");
	size_t i;

	(void)fputs("  ", out);
	(void)fprintf(out, _("%s line %s:"), name, line);
	free(name);
	free(line);
	if (first) {
		char *from = text_of(first), *to = text_of(json_object_get(fact, "last"));

		(void)fprintf(out, " %s - %s,", from, to);
		free(from);
		free(to);
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *value = text_of(json_object_get(fact, names[i][1]));

		if (json_object_get(fact, names[i][1]))
			(void)fprintf(out, " %s %s;", _(names[i][0]), value);
		free(value);
	}
	for (i = 0; i < 2; i++) {
		const json_t *member = i ? json_object_get(fact, "origin") : date;
		char *value = text_of(member);

		if (member)
			(void)fprintf(out, i ? _(" from %s") : _(" of %s"), value);
		free(value);
	}
	(void)fputc('\n', out);
}

void report_explanation(FILE *out, const json_t *result)
{
	static const char *const members[][2] = {{N_("rule"), "rule"}, {N_("reason"), "reason"},
		{N_("policy revision"), "policy_revision"}, {N_("bundle version"), "bundle_version"},
		{N_("prefix"), "prefix"}, {N_("location"), "location"}, {N_("AS"), "asn"}, {N_("operator"), "operator"},
		{N_("jurisdiction"), "jurisdiction"}};
	const json_t *sources = json_object_get(result, "sources"), *source;
	char *address = text_of(json_object_get(result, "address")), *text = text_of(json_object_get(result, "text"));
	size_t i;

	if (json_is_true(json_object_get(result, "allowed")))
		(void)fprintf(out, "%s: %s\n%s\n\n", address, _("allowed"), text);
	else
		(void)fprintf(out, "%s: %s%s%s\n%s\n\n", address, paint(out, PAINT_ALARM), _("DENIED"),
			paint(out, PAINT_PLAIN), text);
	free(address);
	free(text);
	print_member(out, N_("verdict"), json_object_get(result, "verdict"));
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		print_member(out, members[i][0], json_object_get(result, members[i][1]));
	if (json_array_size(sources) > 0)
		(void)fprintf(out, "\n%s\n", _("Sources, in the order of their precedence:"));
	json_array_foreach (sources, i, source) {
		print_fact(out, source);
	}
}

/* The columns of a matrix: heading, and member of a peer or an entity. */
static const struct {
	const char *heading, *member;
} matrix_columns[] = {
	{N_("PEER"), "peer"},
	{N_("TENANTS"), "tenants"},
	{N_("ENDPOINT"), "endpoint"},
	{N_("JURISDICTION"), "jurisdiction"},
	{N_("LOCATION"), "location"},
	{N_("AS"), "asn"},
	{N_("OPERATOR"), "operator"},
	{N_("ALLOWED"), "allowed"},
	{N_("RULE"), "rule"},
	{N_("IPV4"), "ipv4_addresses"},
	{N_("IPV6/64"), "ipv6_networks"},
	{N_("REASON"), "reason"},
};

enum { MATRIX_COLUMNS = sizeof(matrix_columns) / sizeof(matrix_columns[0]) };

static void print_rows(FILE *out, const json_t *rows, const char *const members[], size_t count)
{
	struct table *table = table_new();
	const json_t *row;
	size_t i, j, k;

	for (j = 0; j < count; j++)
		for (k = 0; k < MATRIX_COLUMNS; k++)
			if (!strcmp(matrix_columns[k].member, members[j]))
				table_column(table, _(matrix_columns[k].heading));
	json_array_foreach (rows, i, row) {
		for (j = 0; j < count; j++)
			table_value(table, json_object_get(row, members[j]));
	}
	table_print(table, out, 0);
	table_free(table);
}

static void print_left_out(FILE *out, const json_t *result)
{
	const long long left_out = json_integer_value(json_object_get(result, "left_out"));

	if (left_out)
		(void)fprintf(out, _("... and %lld smaller ones (--limit)\n"), left_out);
}

void report_matrix(FILE *out, const json_t *result)
{
	static const char *const peer[] = {
		"peer", "tenants", "endpoint", "jurisdiction", "location", "operator", "allowed", "rule", "reason"};
	static const char *const entity[] = {"jurisdiction", "location", "asn", "operator", "allowed", "rule",
		"ipv4_addresses", "ipv6_networks", "reason"};
	const json_t *peers = json_object_get(result, "peers");

	if (json_array_size(peers) > 0) {
		print_rows(out, peers, peer, sizeof(peer) / sizeof(peer[0]));
		(void)fputc('\n', out);
	}
	print_rows(out, json_object_get(result, "entities"), entity, sizeof(entity) / sizeof(entity[0]));
	print_left_out(out, result);
}

/* A field of RFC 4180. A spreadsheet must not take a name for a formula: such a field begins with an apostrophe. */
static void print_field(FILE *out, const json_t *value)
{
	char *text = value && !json_is_null(value) ? text_of(value) : NULL;
	const char *at;

	if (text) {
		(void)fputc('"', out);
		if (json_is_string(value) && text[0] && strchr("=+-@", text[0]))
			(void)fputc('\'', out);
		for (at = text; *at; at++) {
			if (*at == '"')
				(void)fputc('"', out);
			(void)fputc(*at, out);
		}
		(void)fputc('"', out);
	}
	free(text);
}

void report_matrix_csv(FILE *out, const json_t *result)
{
	static const char *const lists[] = {"peers", "entities"};
	const json_t *row;
	size_t i, j, list;

	for (j = 0; j < MATRIX_COLUMNS; j++)
		(void)fprintf(out, "%s%s", j ? "," : "", matrix_columns[j].member);
	(void)fputs("\r\n", out);
	for (list = 0; list < 2; list++) {
		json_array_foreach (json_object_get(result, lists[list]), i, row) {
			for (j = 0; j < MATRIX_COLUMNS; j++) {
				if (j)
					(void)fputc(',', out);
				print_field(out, json_object_get(row, matrix_columns[j].member));
			}
			(void)fputs("\r\n", out);
		}
	}
}

void report_difference(FILE *out, const json_t *result)
{
	static const char *const headings[] = {N_("CHANGE"), N_("JURISDICTION"), N_("LOCATION"), N_("AS"),
		N_("OPERATOR"), N_("IPV4"), N_("IPV6/64"), N_("BEFORE"), N_("AFTER")};
	static const char *const members[] = {"change", "jurisdiction", "location", "asn", "operator", "ipv4_addresses",
		"ipv6_networks", "before", "after"};
	const json_t *entities = json_object_get(result, "entities"), *entity;
	struct table *table;
	size_t i, j;

	print_member(out, N_("newly allowed"), json_object_get(result, "allowed"));
	print_member(out, N_("newly denied"), json_object_get(result, "denied"));
	if (json_array_size(entities) == 0)
		return;
	table = table_new();
	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (entities, i, entity) {
		for (j = 0; j < sizeof(members) / sizeof(members[0]); j++)
			table_value(table, json_object_get(entity, members[j]));
	}
	(void)fputc('\n', out);
	table_print(table, out, 0);
	table_free(table);
	print_left_out(out, result);
}

/* A line for each place and difference that occurred. */
static void print_totals(FILE *out, json_t *totals)
{
	static const char *const headings[] = {N_("PLACE"), N_("CANDIDATE"), N_("PACKETS"), N_("BYTES")};
	struct table *table = table_new();
	const char *place, *difference;
	json_t *differences, *count;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_object_foreach (totals, place, differences) {
		json_object_foreach (differences, difference, count) {
			if (json_integer_value(json_object_get(count, "packets")) == 0)
				continue;
			table_text(table, place);
			table_text(table, difference);
			table_value(table, json_object_get(count, "packets"));
			table_value(table, json_object_get(count, "bytes"));
		}
	}
	if (table_rows(table) > 0)
		table_print(table, out, 0);
	else
		(void)fprintf(out, "%s\n", _("the candidate has decided everything as the policy in force did"));
	table_free(table);
}

/* Who: a tenant and peer, a process, or a cgroup. */
static void print_who(struct table *table, const json_t *one)
{
	const char *tenant = json_string_value(json_object_get(one, "tenant"));
	const char *peer = json_string_value(json_object_get(one, "peer"));
	const char *command = json_string_value(json_object_get(one, "command"));
	const char *cgroup = json_string_value(json_object_get(one, "cgroup"));

	if (tenant)
		table_printf(table, _("%s to %s"), tenant, peer ? peer : "-");
	else if (command && command[0])
		table_printf(table, "%s[%" JSON_INTEGER_FORMAT "]", command,
			json_integer_value(json_object_get(one, "pid")));
	else
		table_text(table, cgroup && cgroup[0] ? cgroup : "-");
}

void report_shadow(FILE *out, const json_t *result)
{
	static const char *const headings[] = {
		N_("PLACE"), N_("CANDIDATE"), N_("WHO"), N_("DESTINATION"), N_("PACKETS"), N_("BYTES"), N_("WHY")};
	const json_t *differences = json_object_get(result, "differences"), *one;
	struct table *table;
	size_t i;

	if (!json_is_true(json_object_get(result, "running"))) {
		(void)fprintf(out, "%s\n", _("no candidate policy runs"));
		return;
	}
	print_member(out, N_("candidate"), json_object_get(result, "policy_revision"));
	print_member(out, N_("since"), json_object_get(result, "since"));
	print_member(out, N_("prefixes"), json_object_get(result, "prefixes"));
	(void)fputc('\n', out);
	print_totals(out, json_object_get(result, "totals"));
	if (json_array_size(differences) == 0)
		return;
	(void)fputc('\n', out);
	table = table_new();
	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (differences, i, one) {
		table_value(table, json_object_get(one, "place"));
		table_value(table, json_object_get(one, "difference"));
		print_who(table, one);
		table_value(table, json_object_get(one, "destination"));
		table_value(table, json_object_get(one, "packets"));
		table_value(table, json_object_get(one, "bytes"));
		table_value(table, json_object_get(one, "text"));
	}
	table_print(table, out, 0);
	table_free(table);
}
