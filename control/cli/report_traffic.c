/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports on what the dataplane does: security associations, learnt addresses, the books. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/messages.h"
#include "control/cli/report.h"
#include "control/cli/table.h"
#include "pontlevis/drops.h"

void report_sas(FILE *out, const json_t *result)
{
	static const char *const headings[] = {N_("TENANT"), N_("PEER"), N_("DIRECTION"), N_("WORKER"), N_("SPI"),
		N_("SOURCE PORT"), N_("AGE"), N_("STATE"), N_("PACKETS"), N_("BYTES"), N_("SEQUENCE")};
	struct table *table = table_new();
	const json_t *sa;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
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
		table_text(table, json_is_true(json_object_get(sa, "draining")) ? _("draining")
				  : json_is_false(json_object_get(sa, "known")) ? _("not ours")
										: _("in use"));
		table_value(table, json_object_get(sa, "packets"));
		table_value(table, json_object_get(sa, "bytes"));
		table_value(table, json_object_get(sa, "sequence"));
	}
	table_print(table, out, 0);
	table_free(table);
}

void report_fdb(FILE *out, const json_t *result)
{
	static const char *const headings[] = {N_("TENANT"), N_("MAC"), N_("BEHIND"), N_("SEEN")};
	const json_t *entries = json_object_get(result, "entries"), *entry;
	long long total = json_integer_value(json_object_get(result, "total"));
	struct table *table = table_new();
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (entries, i, entry) {
		const json_t *vlan = json_object_get(entry, "vlan");
		const char *peer = json_string_value(json_object_get(entry, "peer"));
		const char *port = json_string_value(json_object_get(entry, "port"));

		table_value(table, json_object_get(entry, "tenant"));
		table_value(table, json_object_get(entry, "mac"));
		if (peer)
			table_printf(table, _("site %s"), peer);
		else if (json_is_integer(vlan))
			table_printf(table, "%s:%" JSON_INTEGER_FORMAT, port ? port : "?", json_integer_value(vlan));
		else
			table_text(table, port ? port : "?");
		table_printf(table, _("%llds ago"), (long long)json_integer_value(json_object_get(entry, "age_s")));
	}
	table_print(table, out, 0);
	table_free(table);
	if (total > (long long)json_array_size(entries))
		(void)fprintf(out, _("%zu of %lld shown, see --limit\n"), json_array_size(entries), total);
}

/* What drops.def says of a reason; the server may be newer than this program. */
static const char *drop_text(const char *name)
{
	for (unsigned int i = 0; i < PONT_DROP_COUNT; i++)
		if (strcmp(pont_drop_describe(i)->name, name) == 0)
			return _(pont_drop_describe(i)->text);
	return "";
}

static void print_books(FILE *out, const json_t *tenants)
{
	static const char *const headings[] = {N_("TENANT"), N_("VNI"), N_("MACS"), N_("RECEIVED"), N_("COPIES"),
		N_("SENT"), N_("DROPPED"), N_("DIFFERENCE")};
	struct table *table = table_new();
	const json_t *tenant;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (tenants, i, tenant) {
		table_value(table, json_object_get(tenant, "name"));
		table_value(table, json_object_get(tenant, "vni"));
		table_value(table, json_object_get(tenant, "macs"));
		table_value(table, report_member(tenant, "balance.received"));
		table_value(table, report_member(tenant, "balance.copies"));
		table_value(table, report_member(tenant, "balance.sent"));
		table_value(table, report_member(tenant, "balance.dropped"));
		table_value(table, report_member(tenant, "balance.difference"));
		if (json_integer_value(report_member(tenant, "balance.difference")) != 0)
			table_alarm(table);
	}
	table_print(table, out, 0);
	table_free(table);
}

static void print_traffic(FILE *out, const json_t *tenants)
{
	static const char *const headings[] = {N_("TENANT"), N_("ACCESS RX"), N_("BYTES"), N_("WAN TX"), N_("BYTES"),
		N_("WAN RX"), N_("BYTES"), N_("ACCESS TX"), N_("BYTES"), N_("KERNEL TX"), N_("BYTES")};
	static const char *const members[] = {"access_rx", "wan_tx", "wan_rx", "access_tx", "kernel_tx"};
	struct table *table = table_new();
	const json_t *tenant;
	size_t i, k;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
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
	static const char *const headings[] = {N_("TENANT"), N_("DROP"), N_("PACKETS"), N_("MEANING")};
	struct table *table = table_new();
	const json_t *tenant;
	const char *name;
	json_t *count;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
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
		(void)fprintf(out, "%s\n", _("no drops"));
	table_free(table);
}

static void print_workers(FILE *out, const json_t *workers)
{
	static const char *const headings[] = {N_("WORKER"), N_("LCORE"), N_("LOOPS"), N_("BUSY"), N_("SLEEPS"),
		N_("HANDED IN"), N_("HANDED OUT"), N_("FENCE ASKED"), N_("LEARN LOST")};
	static const char *const members[] = {"worker", "lcore", "loops", "busy_loops", "sleeps", "handover_in",
		"handover_out", "fence_asked", "learn_lost"};
	struct table *table = table_new();
	const json_t *worker;
	size_t i, k;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (workers, i, worker) {
		for (k = 0; k < sizeof(members) / sizeof(members[0]); k++)
			table_value(table, json_object_get(worker, members[k]));
	}
	table_print(table, out, 0);
	table_free(table);
}

static void print_ports(FILE *out, const json_t *ports)
{
	static const char *const headings[] = {N_("PORT"), N_("ROLE"), N_("LINK"), N_("RX"), N_("RX BYTES"), N_("TX"),
		N_("TX BYTES"), N_("RX MISSED"), N_("RX ERRORS"), N_("TX ERRORS"), N_("NO BUFFER")};
	static const char *const members[] = {"rx.packets", "rx.bytes", "tx.packets", "tx.bytes", "rx_missed",
		"rx_errors", "tx_errors", "rx_no_buffer"};
	struct table *table = table_new();
	const json_t *port;
	size_t i, k;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (ports, i, port) {
		table_value(table, json_object_get(port, "name"));
		table_value(table, json_object_get(port, "role"));
		table_text(table, json_is_true(json_object_get(port, "link_up")) ? _("up") : _("down"));
		if (json_is_false(json_object_get(port, "link_up")))
			table_alarm(table);
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
