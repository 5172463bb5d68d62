/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports on the fence. */
#include <stdbool.h>
#include <stdlib.h>

#include "control/cli/report.h"
#include "control/cli/table.h"

static void print_member(FILE *out, const char *label, const json_t *value)
{
	char *text = text_of(value);

	(void)fprintf(out, "%-18s%s\n", label, text);
	free(text);
}

/* Places side by side, a line for each verdict that occurred anywhere (and for "allow"). */
static void print_counters(FILE *out, json_t *counters)
{
	struct table *table = table_new();
	json_t *verdicts = json_object(), *place, *count;
	const char *name, *verdict;

	table_column(table, "VERDICT");
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
		(void)fputs("no packet has met the fence yet\n", out);
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
	print_member(out, "interfaces", names);
	json_decref(names);
}

static void print_denials(FILE *out, const json_t *denied)
{
	static const char *const headings[] = {"TIME", "PLACE", "DESTINATION", "PROCESS", "INTERFACE", "WHY"};
	struct table *table = table_new();
	const json_t *denial;
	size_t i;

	for (i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
		table_column(table, headings[i]);
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

void report_fence(FILE *out, const json_t *result)
{
	const json_t *denied = json_object_get(result, "denied");

	print_member(out, "policy revision", json_object_get(result, "policy_revision"));
	print_member(out, "dataset", json_object_get(result, "dataset"));
	print_member(out, "prefixes", json_object_get(result, "prefixes"));
	print_member(out, "allowed", json_object_get(result, "allow"));
	print_member(out, "denied operators", json_object_get(result, "deny_operators"));
	print_member(out, "denied peers", json_object_get(result, "denied_peers"));
	print_interfaces(out, json_object_get(result, "interfaces"));
	print_member(out, "cgroup", json_object_get(result, "cgroup"));
	(void)fputc('\n', out);
	print_counters(out, json_object_get(result, "counters"));
	if (json_array_size(denied) > 0) {
		(void)fputs("\nLast denials, oldest first:\n", out);
		print_denials(out, denied);
	}
}

void report_explanation(FILE *out, const json_t *result)
{
	const json_t *line = json_object_get(result, "line");
	char *address = text_of(json_object_get(result, "address")), *text = text_of(json_object_get(result, "text"));
	char *prefix = text_of(json_object_get(result, "prefix"));

	(void)fprintf(out, "%s: %s\n%s\n\n", address,
		json_is_true(json_object_get(result, "allowed")) ? "allowed" : "DENIED", text);
	print_member(out, "verdict", json_object_get(result, "verdict"));
	print_member(out, "rule", json_object_get(result, "rule"));
	print_member(out, "policy revision", json_object_get(result, "policy_revision"));
	if (json_is_integer(line))
		(void)fprintf(out, "%-18s%s (line %" JSON_INTEGER_FORMAT " of the dataset)\n", "prefix", prefix,
			json_integer_value(line));
	else
		(void)fprintf(out, "%-18s%s\n", "prefix", prefix);
	print_member(out, "location", json_object_get(result, "location"));
	print_member(out, "operator", json_object_get(result, "operator"));
	print_member(out, "jurisdiction", json_object_get(result, "jurisdiction"));
	free(address);
	free(text);
	free(prefix);
}
