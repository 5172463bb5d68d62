/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports on what the dataplane does: security associations, learnt addresses, the books. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/report.h"
#include "control/cli/table.h"
#include "pontlevis/drops.h"

static void add_columns(struct table *table, const char *const *headings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		table_column(table, headings[i]);
}

void report_sas(FILE *out, const json_t *result)
{
	static const char *const headings[] = {"TENANT", "PEER", "DIRECTION", "WORKER", "SPI", "SOURCE PORT", "AGE",
		"STATE", "PACKETS", "BYTES", "SEQUENCE"};
	struct table *table = table_new();
	const json_t *sa;
	size_t i;

	add_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (json_object_get(result, "sas"), i, sa) {
		const json_t *spi = json_object_get(sa, "spi");

		table_value(table, json_object_get(sa, "tenant"));
		table_value(table, json_object_get(sa, "peer"));
		table_value(table, json_object_get(sa, "direction"));
		table_value(table, json_object_get(sa, "worker"));
		/* As other IPsec tools and captures show it. */
		table_printf(table, "0x%08llx", (unsigned long long)json_integer_value(spi));
		table_value(table, json_object_get(sa, "source_port"));
		table_duration(table, json_object_get(sa, "age_ms"));
		table_text(table, json_is_true(json_object_get(sa, "draining")) ? "draining"
				  : json_is_false(json_object_get(sa, "known")) ? "not ours"
										: "in use");
		table_value(table, json_object_get(sa, "packets"));
		table_value(table, json_object_get(sa, "bytes"));
		table_value(table, json_object_get(sa, "sequence"));
	}
	table_print(table, out, 0);
	table_free(table);
}

void report_fdb(FILE *out, const json_t *result)
{
	static const char *const headings[] = {"TENANT", "MAC", "BEHIND", "SEEN"};
	const json_t *entries = json_object_get(result, "entries"), *entry;
	json_int_t total = json_integer_value(json_object_get(result, "total"));
	struct table *table = table_new();
	size_t i;

	add_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (entries, i, entry) {
		const json_t *vlan = json_object_get(entry, "vlan");
		const char *peer = json_string_value(json_object_get(entry, "peer"));
		const char *port = json_string_value(json_object_get(entry, "port"));

		table_value(table, json_object_get(entry, "tenant"));
		table_value(table, json_object_get(entry, "mac"));
		if (peer)
			table_printf(table, "site %s", peer);
		else if (json_is_integer(vlan))
			table_printf(table, "%s:%" JSON_INTEGER_FORMAT, port ? port : "?", json_integer_value(vlan));
		else
			table_text(table, port ? port : "?");
		table_printf(
			table, "%" JSON_INTEGER_FORMAT "s ago", json_integer_value(json_object_get(entry, "age_s")));
	}
	table_print(table, out, 0);
	table_free(table);
	if (total > (json_int_t)json_array_size(entries))
		(void)fprintf(
			out, "%zu of %" JSON_INTEGER_FORMAT " shown, see --limit\n", json_array_size(entries), total);
}

/* What drops.def says of a reason; the server may be newer than this program. */
static const char *drop_text(const char *name)
{
	for (unsigned int i = 0; i < PONT_DROP_COUNT; i++)
		if (strcmp(pont_drop_describe(i)->name, name) == 0)
			return pont_drop_describe(i)->text;
	return "";
}

static void print_books(FILE *out, const json_t *tenants)
{
	static const char *const headings[] = {
		"TENANT", "VNI", "MACS", "RECEIVED", "COPIES", "SENT", "DROPPED", "DIFFERENCE"};
	struct table *table = table_new();
	const json_t *tenant;
	size_t i;

	add_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (tenants, i, tenant) {
		table_value(table, json_object_get(tenant, "name"));
		table_value(table, json_object_get(tenant, "vni"));
		table_value(table, json_object_get(tenant, "macs"));
		table_value(table, report_member(tenant, "balance.received"));
		table_value(table, report_member(tenant, "balance.copies"));
		table_value(table, report_member(tenant, "balance.sent"));
		table_value(table, report_member(tenant, "balance.dropped"));
		table_value(table, report_member(tenant, "balance.difference"));
	}
	table_print(table, out, 0);
	table_free(table);
}

static void print_traffic(FILE *out, const json_t *tenants)
{
	static const char *const headings[] = {"TENANT", "ACCESS RX", "BYTES", "WAN TX", "BYTES", "WAN RX", "BYTES",
		"ACCESS TX", "BYTES", "KERNEL TX", "BYTES"};
	static const char *const members[] = {"access_rx", "wan_tx", "wan_rx", "access_tx", "kernel_tx"};
	struct table *table = table_new();
	const json_t *tenant;
	size_t i, k;

	add_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (tenants, i, tenant) {
		table_value(table, json_object_get(tenant, "name"));
		for (k = 0; k < sizeof(members) / sizeof(members[0]); k++) {
			const json_t *traffic = json_object_get(tenant, members[k]);

			table_value(table, json_object_get(traffic, "packets"));
			table_value(table, json_object_get(traffic, "bytes"));
		}
	}
	table_print(table, out, 0);
	table_free(table);
}

static void print_drops(FILE *out, const json_t *tenants)
{
	static const char *const headings[] = {"TENANT", "DROP", "PACKETS", "MEANING"};
	struct table *table = table_new();
	const json_t *tenant;
	const char *name;
	json_t *count;
	size_t i;

	add_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (tenants, i, tenant) {
		json_object_foreach (json_object_get(tenant, "drops"), name, count) {
			if (json_is_integer(count) && json_integer_value(count) == 0)
				continue;
			table_value(table, json_object_get(tenant, "name"));
			table_text(table, name);
			table_value(table, count);
			table_text(table, drop_text(name));
		}
	}
	if (table_rows(table) > 0)
		table_print(table, out, 0);
	else
		(void)fputs("no drops\n", out);
	table_free(table);
}

static void print_workers(FILE *out, const json_t *workers)
{
	static const char *const headings[] = {
		"WORKER", "LCORE", "LOOPS", "BUSY", "SLEEPS", "HANDED IN", "HANDED OUT", "FENCE ASKED", "LEARN LOST"};
	static const char *const members[] = {"worker", "lcore", "loops", "busy_loops", "sleeps", "handover_in",
		"handover_out", "fence_asked", "learn_lost"};
	struct table *table = table_new();
	const json_t *worker;
	size_t i, k;

	add_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (workers, i, worker) {
		for (k = 0; k < sizeof(members) / sizeof(members[0]); k++)
			table_value(table, json_object_get(worker, members[k]));
	}
	table_print(table, out, 0);
	table_free(table);
}

static void print_ports(FILE *out, const json_t *ports)
{
	static const char *const headings[] = {"PORT", "ROLE", "LINK", "RX", "RX BYTES", "TX", "TX BYTES", "RX MISSED",
		"RX ERRORS", "TX ERRORS", "NO BUFFER"};
	static const char *const members[] = {"rx.packets", "rx.bytes", "tx.packets", "tx.bytes", "rx_missed",
		"rx_errors", "tx_errors", "rx_no_buffer"};
	struct table *table = table_new();
	const json_t *port;
	size_t i, k;

	add_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (ports, i, port) {
		table_value(table, json_object_get(port, "name"));
		table_value(table, json_object_get(port, "role"));
		table_text(table, json_is_true(json_object_get(port, "link_up")) ? "up" : "down");
		for (k = 0; k < sizeof(members) / sizeof(members[0]); k++)
			table_value(table, report_member(port, members[k]));
	}
	table_print(table, out, 0);
	table_free(table);
}

void report_stats(FILE *out, const json_t *result)
{
	const json_t *tenants = json_object_get(result, "tenants");
	const json_t *workers = json_object_get(result, "workers"), *ports = json_object_get(result, "ports");

	print_books(out, tenants);
	(void)fputc('\n', out);
	print_traffic(out, tenants);
	(void)fputc('\n', out);
	print_drops(out, tenants);
	if (json_array_size(workers) > 0) {
		(void)fputc('\n', out);
		print_workers(out, workers);
	}
	if (json_array_size(ports) > 0) {
		(void)fputc('\n', out);
		print_ports(out, ports);
	}
}
