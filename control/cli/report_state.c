/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports on the appliance, its peers and its tenants. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/report.h"
#include "control/cli/table.h"

static void print_line(FILE *out, const char *label, const char *text)
{
	(void)fprintf(out, "%-12s%s\n", label, text);
}

/* Prints the value under the label; takes both the words around it. */
static void print_member(FILE *out, const char *label, const json_t *value)
{
	char *text = text_of(value);

	print_line(out, label, text);
	free(text);
}

static void print_site(FILE *out, const json_t *result)
{
	const json_t *site = json_object_get(result, "site");
	char *name = text_of(json_object_get(site, "name")), *vtep = text_of(json_object_get(site, "vtep"));
	char *revision = text_of(json_object_get(result, "revision"));

	if (json_is_object(site)) {
		(void)fprintf(out, "%-12s%s (%s)\n", "site", name, vtep);
		print_member(out, "public key", json_object_get(site, "public_key"));
		(void)fprintf(out, "%-12s%s%s\n", "revision", revision,
			json_is_true(json_object_get(result, "in_force")) ? ", in force" : ", not in force");
	} else {
		print_line(out, "site", "nothing has been committed yet");
	}
	free(name);
	free(vtep);
	free(revision);
}

static void print_dataplane(FILE *out, const json_t *dataplane)
{
	char *pid = text_of(json_object_get(dataplane, "pid")), *build = text_of(json_object_get(dataplane, "build"));
	json_int_t workers = json_integer_value(json_object_get(dataplane, "workers"));

	if (json_is_true(json_object_get(dataplane, "connected")))
		(void)fprintf(out, "%-12sconnected, version %s, pid %s, %" JSON_INTEGER_FORMAT " worker%s, %s%s\n",
			"dataplane", build, pid, workers, workers == 1 ? "" : "s",
			json_is_true(json_object_get(dataplane, "in_force")) ? "in force" : "NOT in force",
			json_is_true(json_object_get(dataplane, "manual_keys")) ? ", takes keys by hand" : "");
	else
		print_line(out, "dataplane", "not connected");
	free(pid);
	free(build);
}

static void print_fence(FILE *out, const json_t *fence)
{
	char *revision = text_of(json_object_get(fence, "policy_revision"));
	char *version = text_of(report_member(fence, "bundle.version"));
	char *ipv4 = text_of(report_member(fence, "prefixes.ipv4")),
	     *ipv6 = text_of(report_member(fence, "prefixes.ipv6"));

	(void)fprintf(out, "%-12spolicy %s, %s IPv4 and %s IPv6 prefixes%s%s\n", "fence", revision, ipv4, ipv6,
		json_is_object(json_object_get(fence, "bundle")) ? ", bundle version " : "",
		json_is_object(json_object_get(fence, "bundle")) ? version : "");
	free(revision);
	free(version);
	free(ipv4);
	free(ipv6);
}

static void print_ports(FILE *out, const json_t *ports)
{
	static const char *const members[] = {
		"number", "name", "role", "mac", "mtu", "queues", "ifindex", "bifurcated"};
	static const char *const headings[] = {"PORT", "NAME", "ROLE", "MAC", "MTU", "QUEUES", "IFINDEX", "BIFURCATED"};
	struct table *table = table_new();
	const json_t *port;
	size_t i, k;

	for (k = 0; k < sizeof(headings) / sizeof(headings[0]); k++)
		table_column(table, headings[k]);
	json_array_foreach (ports, i, port) {
		for (k = 0; k < sizeof(members) / sizeof(members[0]); k++)
			table_value(table, json_object_get(port, members[k]));
	}
	table_print(table, out, 0);
	table_free(table);
}

/* "! what: why (at place)" for {"text", "pointer"}; nothing for null. */
static void print_problem(FILE *out, const char *what, const json_t *problem)
{
	char *text = text_of(json_object_get(problem, "text")), *pointer = text_of(json_object_get(problem, "pointer"));

	if (json_is_object(problem))
		(void)fprintf(out, "! %s: %s", what, text);
	if (json_is_object(problem) && strcmp(pointer, "-") != 0)
		(void)fprintf(out, " (at %s)", pointer);
	if (json_is_object(problem))
		(void)fputc('\n', out);
	free(text);
	free(pointer);
}

static void print_peer_troubles(FILE *out, const json_t *peers)
{
	const json_t *peer;
	size_t i;

	json_array_foreach (peers, i, peer) {
		const char *session = json_string_value(json_object_get(peer, "session"));
		char *name;

		if (!session || strcmp(session, "up") == 0)
			continue;
		name = text_of(json_object_get(peer, "name"));
		(void)fprintf(out, "! peer %s: session is %s\n", name, session);
		free(name);
	}
}

/* What is wrong comes first, a line each; nothing if all is well. */
static void print_troubles(FILE *out, const json_t *result)
{
	const json_t *damage = report_member(result, "storage.damage"), *confirm = json_object_get(result, "confirm"),
		     *one;
	size_t i;

	print_problem(out, "configuration not in force", json_object_get(result, "problem"));
	if (json_is_false(report_member(result, "dataplane.connected")))
		(void)fputs("! dataplane: not connected\n", out);
	print_problem(out, "dataplane", report_member(result, "dataplane.problem"));
	print_problem(out, "state on disk", report_member(result, "storage.problem"));
	json_array_foreach (damage, i, one)
		print_problem(out, "state on disk", one);
	if (json_is_object(confirm))
		(void)fprintf(out, "! on trial: `config confirm` within %" JSON_INTEGER_FORMAT " s keeps it\n",
			json_integer_value(json_object_get(confirm, "remaining_ms")) / 1000);
	json_array_foreach (report_member(result, "fence.denied_peers"), i, one) {
		char *name = text_of(one);

		(void)fprintf(out, "! fence: peer %s is blocked\n", name);
		free(name);
	}
	print_peer_troubles(out, json_object_get(result, "peers"));
}

void report_state(FILE *out, const json_t *result)
{
	const json_t *ports = report_member(result, "dataplane.ports");

	print_troubles(out, result);
	print_site(out, result);
	print_dataplane(out, json_object_get(result, "dataplane"));
	print_fence(out, json_object_get(result, "fence"));
	print_member(out, "tenants", json_object_get(result, "tenants"));
	if (json_array_size(ports) > 0) {
		(void)fputc('\n', out);
		print_ports(out, ports);
	}
	if (json_array_size(json_object_get(result, "peers")) > 0) {
		(void)fputc('\n', out);
		report_peers(out, result);
	}
}

/* What keeps a peer from being served, for the line below the table; an empty string if nothing does. */
static void print_trouble(FILE *out, const json_t *peer)
{
	char *name = text_of(json_object_get(peer, "name"));
	const char *last_error = json_string_value(json_object_get(peer, "last_error"));

	if (json_is_false(report_member(peer, "fence.allowed"))) {
		char *text = text_of(report_member(peer, "fence.text"));

		(void)fprintf(out, "%s: blocked by the fence: %s\n", name, text);
		free(text);
	}
	if (last_error && last_error[0]) {
		char *text = text_safe(last_error);

		(void)fprintf(out, "%s: last error: %s\n", name, text);
		free(text);
	}
	free(name);
}

void report_peers(FILE *out, const json_t *result)
{
	static const char *const headings[] = {
		"PEER", "ENDPOINT", "SESSION", "AGE", "TENANTS", "NEXT HOP", "VIA", "MAC", "PORT", "MTU", "FENCE"};
	const json_t *peers = json_object_get(result, "peers"), *peer;
	struct table *table = table_new();
	size_t i;

	for (i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
		table_column(table, headings[i]);
	json_array_foreach (peers, i, peer) {
		const json_t *port = report_member(peer, "adjacency.port");

		table_value(table, json_object_get(peer, "name"));
		table_value(table, json_object_get(peer, "endpoint"));
		table_value(table, json_object_get(peer, "session"));
		table_duration(table, json_object_get(peer, "session_age_ms"));
		table_value(table, json_object_get(peer, "tenants"));
		table_value(table, report_member(peer, "next_hop.state"));
		table_value(table, report_member(peer, "next_hop.via"));
		table_value(table, report_member(peer, "next_hop.mac"));
		table_value(table, port ? port : report_member(peer, "next_hop.interface"));
		table_value(
			table, port ? report_member(peer, "adjacency.path_mtu") : report_member(peer, "next_hop.mtu"));
		table_text(table, json_is_true(report_member(peer, "fence.allowed"))    ? "allowed"
				  : json_is_false(report_member(peer, "fence.allowed")) ? "DENIED"
											: "-");
	}
	table_print(table, out, 0);
	table_free(table);
	json_array_foreach (peers, i, peer) {
		print_trouble(out, peer);
	}
}

static void write_circuits(FILE *out, const json_t *circuits)
{
	const json_t *circuit;
	size_t i;

	if (json_array_size(circuits) == 0)
		(void)fputc('-', out);
	json_array_foreach (circuits, i, circuit) {
		const json_t *vlan = json_object_get(circuit, "vlan");
		char *port = text_of(json_object_get(circuit, "port"));

		(void)fprintf(out, "%s%s", i ? ", " : "", port);
		if (json_is_integer(vlan))
			(void)fprintf(out, ":%" JSON_INTEGER_FORMAT, json_integer_value(vlan));
		free(port);
	}
}

static void write_members(FILE *out, const json_t *peers)
{
	const json_t *peer;
	size_t i;

	if (json_array_size(peers) == 0)
		(void)fputc('-', out);
	json_array_foreach (peers, i, peer) {
		bool member = json_is_true(json_object_get(peer, "member"));
		char *name = text_of(json_object_get(peer, "name"));

		(void)fprintf(out, "%s%s%s%s", i ? ", " : "", member ? "" : "(", name, member ? "" : ")");
		free(name);
	}
}

static void table_list(struct table *table, void (*write)(FILE *out, const json_t *list), const json_t *list)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out) {
		write(out, list);
		(void)fclose(out);
	}
	table_text(table, text ? text : "?");
	free(text);
}

void report_tenants(FILE *out, const json_t *result)
{
	static const char *const headings[] = {"TENANT", "VNI", "CIRCUITS", "SITES", "MACS", "LIMIT", "AGEING"};
	struct table *table = table_new();
	const json_t *tenant;
	size_t i;

	for (i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
		table_column(table, headings[i]);
	json_array_foreach (json_object_get(result, "tenants"), i, tenant) {
		table_value(table, json_object_get(tenant, "name"));
		table_value(table, json_object_get(tenant, "vni"));
		table_list(table, write_circuits, json_object_get(tenant, "circuits"));
		table_list(table, write_members, json_object_get(tenant, "peers"));
		table_value(table, json_object_get(tenant, "macs"));
		table_value(table, json_object_get(tenant, "mac_limit"));
		table_value(table, json_object_get(tenant, "mac_ageing_seconds"));
	}
	table_print(table, out, 0);
	table_free(table);
}
