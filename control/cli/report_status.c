/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports on the appliance, its peers and its tenants. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/messages.h"
#include "control/cli/paint.h"
#include "control/cli/report.h"
#include "control/cli/screen.h"
#include "control/cli/table.h"

/* Lines of the screen: of all of it without a prompt or the heading of --watch, and of them for what is wrong. */
enum { STATUS_LINES = SCREEN_LINES - 3, TROUBLE_LINES = 8, TABLE_HEAD = 2 };

/* The longest label, and two blanks. */
static int label_width(void)
{
	static const char *const labels[] = {
		N_("site"), N_("public key"), N_("revision"), N_("dataplane"), N_("fence"), N_("peers"), N_("tenants")};
	size_t width = 0;

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (text_width(_(labels[i])) > width)
			width = text_width(_(labels[i]));
	return (int)width + 2;
}

static void print_label(FILE *out, const char *label)
{
	text_label(out, label, label_width());
}

static void print_line(FILE *out, const char *label, const char *text)
{
	print_label(out, label);
	(void)fprintf(out, "%s\n", text);
}

/* Prints the value under the label; takes both the words around it. */
static void print_member(FILE *out, const char *label, const json_t *value)
{
	char *text = text_of(value);

	print_line(out, label, text);
	free(text);
}

static void print_in_force(FILE *out, const json_t *in_force)
{
	if (json_is_true(in_force))
		(void)fputs(_("in force"), out);
	else
		(void)fprintf(out, "%s%s%s", paint(out, PAINT_ALARM), _("NOT in force"), paint(out, PAINT_PLAIN));
}

static void print_site(FILE *out, const json_t *result)
{
	const json_t *site = json_object_get(result, "site");
	char *name = text_of(json_object_get(site, "name")), *vtep = text_of(json_object_get(site, "vtep"));
	char *revision = text_of(json_object_get(result, "revision"));

	if (json_is_object(site)) {
		print_label(out, N_("site"));
		(void)fprintf(out, "%s (%s)\n", name, vtep);
		print_member(out, N_("public key"), json_object_get(site, "public_key"));
		print_label(out, N_("revision"));
		(void)fprintf(out, "%s, ", revision);
		print_in_force(out, json_object_get(result, "in_force"));
		(void)fputc('\n', out);
	} else {
		print_line(out, N_("site"), _("nothing has been committed yet"));
	}
	free(name);
	free(vtep);
	free(revision);
}

static void print_dataplane(FILE *out, const json_t *dataplane)
{
	char *pid = text_of(json_object_get(dataplane, "pid")), *build = text_of(json_object_get(dataplane, "build"));
	long long workers = json_integer_value(json_object_get(dataplane, "workers"));

	print_label(out, N_("dataplane"));
	if (json_is_true(json_object_get(dataplane, "connected"))) {
		(void)fprintf(out, _("connected, version %s, pid %s, "), build, pid);
		(void)fprintf(out, ngettext("%lld worker, ", "%lld workers, ", (unsigned long)workers), workers);
		print_in_force(out, json_object_get(dataplane, "in_force"));
		if (json_is_true(json_object_get(dataplane, "manual_keys")))
			(void)fputs(_(", takes keys by hand"), out);
	} else {
		(void)fprintf(out, "%s%s%s", paint(out, PAINT_ALARM), _("not connected"), paint(out, PAINT_PLAIN));
	}
	(void)fputc('\n', out);
	free(pid);
	free(build);
}

static void print_fence(FILE *out, const json_t *fence)
{
	char *revision = text_of(json_object_get(fence, "policy_revision"));
	char *version = text_of(report_member(fence, "bundle.version"));
	char *ipv4 = text_of(report_member(fence, "prefixes.ipv4")),
	     *ipv6 = text_of(report_member(fence, "prefixes.ipv6"));

	print_label(out, N_("fence"));
	(void)fprintf(out, _("policy %s, %s IPv4 and %s IPv6 prefixes"), revision, ipv4, ipv6);
	if (json_is_object(json_object_get(fence, "bundle")))
		(void)fprintf(out, _(", bundle version %s"), version);
	(void)fputc('\n', out);
	free(revision);
	free(version);
	free(ipv4);
	free(ipv6);
}

static void print_ports(FILE *out, const json_t *ports)
{
	static const char *const members[] = {"number", "name", "role", "mac", "mtu", "queues", "bifurcated"};
	static const char *const headings[] = {
		N_("PORT"), N_("NAME"), N_("ROLE"), N_("MAC"), N_("MTU"), N_("QUEUES"), N_("BIFURCATED")};
	struct table *table = table_new();
	const json_t *port;
	size_t i, k;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (ports, i, port) {
		for (k = 0; k < sizeof(members) / sizeof(members[0]); k++)
			table_value(table, json_object_get(port, members[k]));
	}
	table_print(table, out, 0);
	table_free(table);
}

/* A line that nobody is to overlook. */
__attribute__((format(printf, 3, 4))) static void print_alarm(FILE *out, enum paint colour, const char *format, ...)
{
	va_list arguments;

	(void)fprintf(out, "%s! ", paint(out, colour));
	va_start(arguments, format);
	(void)vfprintf(out, format, arguments);
	va_end(arguments);
	(void)fprintf(out, "%s\n", paint(out, PAINT_PLAIN));
}

/* "! what: why (at place)" for {"text", "pointer"}; nothing for null. */
static void print_problem(FILE *out, const char *what, const json_t *problem)
{
	char *text = text_of(json_object_get(problem, "text")), *pointer = text_of(json_object_get(problem, "pointer"));

	if (json_is_object(problem) && strcmp(pointer, "-") != 0)
		print_alarm(out, PAINT_ALARM, _("%s: %s (at %s)"), what, text, pointer);
	else if (json_is_object(problem))
		print_alarm(out, PAINT_ALARM, _("%s: %s"), what, text);
	free(text);
	free(pointer);
}

/* As far as is known. */
static bool is_up(const json_t *peer)
{
	const char *session = json_string_value(json_object_get(peer, "session"));

	return !session || strcmp(session, "up") == 0;
}

/* What keeps a peer from being served. */
static void print_peer_alarm(FILE *out, const json_t *peer)
{
	char *name = text_of(json_object_get(peer, "name")), *session = text_of(json_object_get(peer, "session"));
	char *why = text_of(report_member(peer, "fence.text")), *last = text_of(json_object_get(peer, "last_error"));

	if (json_is_false(report_member(peer, "fence.allowed")))
		print_alarm(out, PAINT_ALARM, _("peer %s: blocked by the fence: %s"), name, why);
	if (!is_up(peer) && json_string_length(json_object_get(peer, "last_error")) > 0)
		print_alarm(out, PAINT_ALARM, _("peer %s: session is %s, last error: %s"), name, session, last);
	else if (!is_up(peer))
		print_alarm(out, PAINT_ALARM, _("peer %s: session is %s"), name, session);
	free(name);
	free(session);
	free(why);
	free(last);
}

static void print_peer_warning(FILE *out, const json_t *peer)
{
	char *name = text_of(json_object_get(peer, "name")), *last = text_of(json_object_get(peer, "last_error"));

	if (is_up(peer) && json_string_length(json_object_get(peer, "last_error")) > 0)
		print_alarm(out, PAINT_WARNING, _("peer %s: last error: %s"), name, last);
	free(name);
	free(last);
}

static void print_peer_alarms(FILE *out, const json_t *peers)
{
	const json_t *peer;
	size_t i;

	json_array_foreach (peers, i, peer)
		print_peer_alarm(out, peer);
}

static void print_peer_warnings(FILE *out, const json_t *peers)
{
	const json_t *peer;
	size_t i;

	json_array_foreach (peers, i, peer)
		print_peer_warning(out, peer);
}

static void print_lock(FILE *out, const json_t *lock)
{
	char *reason = text_of(json_object_get(lock, "reason")), *since = text_of(json_object_get(lock, "since"));
	char *policy_by = text_of(json_object_get(lock, "policy_confirm_by"));

	if (json_is_true(json_object_get(lock, "locked")))
		print_alarm(out, PAINT_ALARM, _("fence LOCKED since %s, nothing leaves (reason: %s)"), since, reason);
	if (json_is_string(json_object_get(lock, "policy_confirm_by")))
		print_alarm(out, PAINT_WARNING, _("policy on trial: `fence confirm` by %s keeps it"), policy_by);
	free(reason);
	free(since);
	free(policy_by);
}

/* What is wrong, a line each, the worst first; nothing if all is well. */
static void print_troubles(FILE *out, const json_t *result)
{
	const json_t *damage = report_member(result, "storage.damage"), *confirm = json_object_get(result, "confirm");
	const json_t *peers = json_object_get(result, "peers"), *one;
	size_t i;

	print_problem(out, _("configuration not in force"), json_object_get(result, "problem"));
	if (json_is_false(report_member(result, "dataplane.connected")))
		print_alarm(out, PAINT_ALARM, "%s", _("dataplane: not connected"));
	print_problem(out, _("dataplane"), report_member(result, "dataplane.problem"));
	print_lock(out, report_member(result, "fence.lock"));
	if (json_is_object(confirm))
		print_alarm(out, PAINT_WARNING, _("on trial: `config confirm` within %lld s keeps it"),
			(long long)json_integer_value(json_object_get(confirm, "remaining_ms")) / 1000);
	print_problem(out, _("state on disk"), report_member(result, "storage.problem"));
	print_peer_alarms(out, peers);
	json_array_foreach (damage, i, one)
		print_problem(out, _("state on disk"), one);
	print_peer_warnings(out, peers);
}

static void add_allowed(struct table *table, const json_t *allowed)
{
	table_text(table, json_is_true(allowed) ? _("allowed") : json_is_false(allowed) ? _("DENIED") : "-");
	if (json_is_false(allowed))
		table_alarm(table);
}

/* The columns from PEER to TENANTS. */
static void add_session(struct table *table, const json_t *peer)
{
	table_value(table, json_object_get(peer, "name"));
	table_value(table, json_object_get(peer, "endpoint"));
	table_value(table, json_object_get(peer, "session"));
	if (!is_up(peer))
		table_alarm(table);
	table_duration(table, json_object_get(peer, "session_age_ms"));
	table_value(table, json_object_get(peer, "tenants"));
}

static void print_peers(FILE *out, const json_t *peers)
{
	static const char *const headings[] = {N_("PEER"), N_("ENDPOINT"), N_("SESSION"), N_("AGE"), N_("TENANTS"),
		N_("NEXT HOP"), N_("VIA"), N_("MAC"), N_("PORT"), N_("MTU"), N_("FENCE")};
	struct table *table = table_new();
	const json_t *peer;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (peers, i, peer) {
		const json_t *port = report_member(peer, "adjacency.port");

		add_session(table, peer);
		table_value(table, report_member(peer, "next_hop.state"));
		table_value(table, report_member(peer, "next_hop.via"));
		table_value(table, report_member(peer, "next_hop.mac"));
		table_value(table, port ? port : report_member(peer, "next_hop.interface"));
		table_value(
			table, port ? report_member(peer, "adjacency.path_mtu") : report_member(peer, "next_hop.mtu"));
		add_allowed(table, report_member(peer, "fence.allowed"));
	}
	table_print(table, out, 0);
	table_free(table);
}

void report_peers(FILE *out, const json_t *result)
{
	const json_t *peers = json_object_get(result, "peers");

	print_peer_alarms(out, peers);
	print_peer_warnings(out, peers);
	print_peers(out, peers);
}

static void print_peer_count(FILE *out, const json_t *peers)
{
	size_t up = 0, denied = 0, i;
	const json_t *peer;

	json_array_foreach (peers, i, peer) {
		up += is_up(peer);
		denied += json_is_false(report_member(peer, "fence.allowed"));
	}
	print_label(out, N_("peers"));
	(void)fprintf(out, "%zu", json_array_size(peers));
	if (json_array_size(peers) > 0)
		(void)fprintf(out, _(", sessions up: %zu"), up);
	if (denied > 0)
		(void)fprintf(out, _(", blocked by the fence: %zu"), denied);
	(void)fputc('\n', out);
}

/* What there is of the site, however many peers, tenants and ports it has. */
static void print_facts(FILE *out, const json_t *result)
{
	print_site(out, result);
	print_dataplane(out, json_object_get(result, "dataplane"));
	print_fence(out, json_object_get(result, "fence"));
	print_peer_count(out, json_object_get(result, "peers"));
	print_member(out, N_("tenants"), json_object_get(result, "tenants"));
}

static void print_port_table(FILE *out, const json_t *result)
{
	const json_t *ports = report_member(result, "dataplane.ports");

	if (json_array_size(ports) == 0)
		return;
	(void)fputc('\n', out);
	print_ports(out, ports);
}

/* Of `pontlevis peers`, what is not of the way there. */
static void print_peer_table(FILE *out, const json_t *result)
{
	static const char *const headings[] = {
		N_("PEER"), N_("ENDPOINT"), N_("SESSION"), N_("AGE"), N_("TENANTS"), N_("FENCE")};
	const json_t *peers = json_object_get(result, "peers"), *peer;
	struct table *table;
	size_t i;

	if (json_array_size(peers) == 0)
		return;
	(void)fputc('\n', out);
	table = table_new();
	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
	json_array_foreach (peers, i, peer) {
		add_session(table, peer);
		add_allowed(table, report_member(peer, "fence.allowed"));
	}
	table_print(table, out, 0);
	table_free(table);
}

/* Prints a part of the report into the lines of the screen that are left (screen_fit()); how many it takes. */
static size_t print_part(FILE *out, void (*print)(FILE *out, const json_t *result), const json_t *result, size_t head,
	size_t room, const char *where)
{
	char *text = NULL;
	size_t size, taken = 0;
	FILE *part = open_memstream(&text, &size);

	if (part) {
		print(part, result);
		(void)fclose(part);
	}
	if (text)
		taken = screen_fit(out, text, head, room, where);
	free(text);
	return taken;
}

void report_status(FILE *out, const json_t *result)
{
	static const char all[] = "pontlevis status --json";
	size_t room = STATUS_LINES;

	room -= print_part(out, print_troubles, result, 0, TROUBLE_LINES, all);
	room -= print_part(out, print_facts, result, 0, room, all);
	room -= print_part(out, print_port_table, result, TABLE_HEAD, room, all);
	(void)print_part(out, print_peer_table, result, TABLE_HEAD, room, "pontlevis peers");
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
	static const char *const headings[] = {
		N_("TENANT"), N_("VNI"), N_("CIRCUITS"), N_("SITES"), N_("MACS"), N_("LIMIT"), N_("AGEING")};
	struct table *table = table_new();
	const json_t *tenant;
	size_t i;

	table_columns(table, headings, sizeof(headings) / sizeof(headings[0]));
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
