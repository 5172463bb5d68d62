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

/* First of all, and not to be overlooked. */
static void print_lock(FILE *out, const json_t *lock)
{
	const json_t *until = json_object_get(lock, "confirm_by");

	print_member(out, "LOCKED since", json_object_get(lock, "since"));
	print_member(out, "locked by", json_object_get(lock, "who"));
	print_member(out, "reason", json_object_get(lock, "reason"));
	if (json_is_string(until))
		print_member(out, "unlocked at", until);
	(void)fputc('\n', out);
}

void report_fence(FILE *out, const json_t *result)
{
	const json_t *denied = json_object_get(result, "denied");

	if (json_is_true(report_member(result, "lock.locked")))
		print_lock(out, json_object_get(result, "lock"));
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

/* A line for each place and difference that occurred. */
static void print_totals(FILE *out, json_t *totals)
{
	struct table *table = table_new();
	const char *place, *difference;
	json_t *differences, *count;

	table_column(table, "PLACE");
	table_column(table, "CANDIDATE");
	table_column(table, "PACKETS");
	table_column(table, "BYTES");
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
		(void)fputs("the candidate has decided everything as the policy in force did\n", out);
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
		table_printf(table, "%s to %s", tenant, peer ? peer : "-");
	else if (command && command[0])
		table_printf(table, "%s[%" JSON_INTEGER_FORMAT "]", command,
			json_integer_value(json_object_get(one, "pid")));
	else
		table_text(table, cgroup && cgroup[0] ? cgroup : "-");
}

void report_shadow(FILE *out, const json_t *result)
{
	static const char *const headings[] = {"PLACE", "CANDIDATE", "WHO", "DESTINATION", "PACKETS", "BYTES", "WHY"};
	const json_t *differences = json_object_get(result, "differences"), *one;
	struct table *table;
	size_t i;

	if (!json_is_true(json_object_get(result, "running"))) {
		(void)fputs("no candidate policy runs\n", out);
		return;
	}
	print_member(out, "candidate", json_object_get(result, "policy_revision"));
	print_member(out, "since", json_object_get(result, "since"));
	print_member(out, "prefixes", json_object_get(result, "prefixes"));
	(void)fputc('\n', out);
	print_totals(out, json_object_get(result, "totals"));
	if (json_array_size(differences) == 0)
		return;
	(void)fputc('\n', out);
	table = table_new();
	for (i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
		table_column(table, headings[i]);
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
