/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/report.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"

Test(report_status, of_peers_shows_session_next_hop_and_fence)
{
	expect(report_peers,
		"{'peers': [{'peer': 1, 'name': 'par2', 'endpoint': '192.0.2.2', 'session': 'up', 'session_age_ms': "
		"5200,"
		" 'last_error': '', 'tenants': 2, 'next_hop': {'state': 'resolved', 'interface': 'eth1', 'via':"
		" '192.0.2.2', 'mac': '02:00:00:00:00:02', 'mtu': 9000}, 'adjacency': {'port': 'wan0', 'path_mtu': "
		"1500},"
		" 'fence': {'allowed': true}},"
		" {'name': 'par9', 'endpoint': '203.0.113.9', 'session': 'down', 'session_age_ms': null, 'last_error':"
		" 'connection refused', 'tenants': 0, 'next_hop': {'state': 'unreachable', 'interface': null, 'via': "
		"null,"
		" 'mac': null, 'mtu': null}, 'adjacency': null, 'fence': {'allowed': false, 'text': 'US law reaches "
		"it'}}"
		"]}",
		"! peer par9: blocked by the fence: US law reaches it\n"
		"! peer par9: session is down, last error: connection refused\n"
		"PEER  ENDPOINT     SESSION   AGE  TENANTS  NEXT HOP     VIA        MAC                PORT   MTU  "
		"FENCE\n"
		"par2  192.0.2.2    up       5.2s        2  resolved     192.0.2.2  02:00:00:00:00:02  wan0  1500  "
		"allowed\n"
		"par9  203.0.113.9  down        -        0  unreachable  -          -                  -        -  "
		"DENIED\n");
}

Test(report_status, of_tenants_shows_circuits_and_sites)
{
	expect(report_tenants,
		"{'tenants': [{'name': 'hopital', 'vni': 100, 'circuits': [{'port': 'lan0', 'vlan': 10}, {'port': "
		"'lan1',"
		" 'vlan': null}], 'peers': [{'name': 'par2', 'member': true}, {'name': 'par3', 'member': false}],"
		" 'mac_limit': 8192, 'mac_ageing_seconds': 300, 'macs': 3}, {'name': 'm', 'vni': 7, 'circuits': [],"
		" 'peers': [], 'mac_limit': 1, 'mac_ageing_seconds': 10, 'macs': null}]}",
		"TENANT   VNI  CIRCUITS       SITES         MACS  LIMIT  AGEING\n"
		"hopital  100  lan0:10, lan1  par2, (par3)     3   8192     300\n"
		"m          7  -              -                -      1      10\n");
}

Test(report_status, of_the_appliance_begins_with_what_is_wrong)
{
	char *text = capture(report_status,
		"{'site': {'name': 'par1', 'vtep': ['192.0.2.1'], 'public_key': 'K'}, 'revision': 3, 'in_force': false,"
		" 'problem': {'errno': 'ENOENT', 'pointer': '/fence/dataset', 'text': 'gone'},"
		" 'dataplane': {'connected': true, 'pid': 9, 'build': '1', 'workers': 1, 'manual_keys': true, "
		"'in_force':"
		" true, 'problem': null, 'ports': [{'number': 0, 'name': 'lan0', 'role': 'access', 'mac': 'M', 'mtu': "
		"9000,"
		" 'queues': 1, 'ifindex': 3, 'bifurcated': true}]}, 'tenants': 2,"
		" 'peers': [{'name': 'par2', 'session': 'up', 'last_error': 'reset'}, {'name': 'par9', 'session': "
		"'down'}],"
		" 'fence': {'lock': {'locked': true, 'since': 'T', 'reason': 'drill', 'policy_confirm_by': 'U'},"
		" 'policy_revision': 5, 'bundle': {'version': 7}, 'prefixes': {'ipv4': 4, 'ipv6': 6}, "
		"'denied_peers':"
		" ['par9']},"
		" 'confirm': {'revision': 3, 'previous': 2, 'remaining_ms': 5100, 'timeout_s': 60},"
		" 'storage': {'problem': null, 'damage': [{'file': 'history/00000004.json', 'text': 'torn'}]}}");
	static const char expected[] =
		"! configuration not in force: gone (at /fence/dataset)\n"
		"! fence LOCKED since T, nothing leaves (reason: drill)\n"
		"! policy on trial: `fence confirm` by U keeps it\n"
		"! on trial: `config confirm` within 5 s keeps it\n"
		"! peer par9: session is down\n"
		"! state on disk: torn\n"
		"! peer par2: last error: reset\n"
		"site        par1 (192.0.2.1)\n"
		"public key  K\n"
		"revision    3, NOT in force\n"
		"dataplane   connected, version 1, pid 9, 1 worker, in force, takes keys by hand\n"
		"fence       policy 5, 4 IPv4 and 6 IPv6 prefixes, bundle version 7\n"
		"peers       2, sessions up: 1\n"
		"tenants     2\n"
		"\n"
		"PORT  NAME  ROLE    MAC   MTU  QUEUES  BIFURCATED\n"
		"   0  lan0  access  M    9000       1  yes\n"
		"\n"
		"PEER  ENDPOINT  SESSION  AGE  TENANTS  FENCE\n"
		"par2  -         up       -    -        -\n"
		"par9  -         down     -    -        -\n";

	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
}

/* Lines of a terminal of 80 columns. */
static size_t lines_of(const char *text)
{
	size_t lines = 0;

	while (*text) {
		size_t length = strcspn(text, "\n"), characters = 0;

		for (size_t i = 0; i < length; i++)
			characters += ((unsigned char)text[i] & 0xc0) != 0x80;
		lines += characters ? (characters + 79) / 80 : 1;
		text += length + 1;
	}
	return lines;
}

/* As much of everything as there can be. all: nothing works, and says so at length. */
static char *status_of_many(size_t peers, size_t ports, bool nothing_works)
{
	static const char name[] = "a-name-as-long-as-any-name-is-%zu";
	json_t *result = json("{'site': {'name': 'a-site-with-a-name-as-long-as-it', 'vtep': ['192.0.2.1',"
			      " '2001:db8:1111:2222:3333:4444:5555:6666'], 'public_key':"
			      " '0123456789abcdef0123456789abcdef0123456789a='}, 'revision': 123456, 'in_force': true,"
			      " 'dataplane': {'connected': true, 'pid': 4194304, 'build': '0.1.0', 'workers': 64,"
			      " 'manual_keys': true, 'in_force': true}, 'tenants': 4096, 'fence': {'policy_revision':"
			      " 123456, 'bundle': {'version': 12345}, 'prefixes': {'ipv4': 746332, 'ipv6': 319491}}}");
	json_t *list = json_array(), *port_list = json_array();
	char text[1001], *report = NULL;
	size_t size;
	FILE *out = open_memstream(&report, &size);

	cr_assert(out);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < peers; i++)
		(void)json_array_append_new(
			list, json_pack("{s:o, s:s, s:s, s:s, s:{s:b, s:s}}", "name", json_sprintf(name, i), "endpoint",
				      "2001:db8:1111:2222:3333:4444:5555:6666", "session",
				      nothing_works ? "down" : "up", "last_error", nothing_works ? text : "", "fence",
				      "allowed", !nothing_works, "text", text));
	for (size_t i = 0; i < ports; i++)
		(void)json_array_append_new(
			port_list, json_pack("{s:i, s:o, s:s, s:s, s:i, s:i, s:b}", "number", (int)i, "name",
					   json_sprintf("lan%zu", i), "role", "access", "mac", "02:00:00:00:00:02",
					   "mtu", 9000, "queues", 16, "bifurcated", 1));
	(void)json_object_set_new(result, "peers", list);
	(void)json_object_set_new(json_object_get(result, "dataplane"), "ports", port_list);
	if (nothing_works)
		(void)json_object_set_new(result, "problem", json_pack("{s:s, s:s}", "text", text, "pointer", text));
	report_status(out, result);
	(void)fclose(out);
	json_decref(result);
	return report;
}

Test(report_status, fits_one_screen_however_much_there_is)
{
	static const size_t peers[] = {0, 1, 2, 3, 4, 5, 8, 255}, ports[] = {0, 1, 2, 3, 4, 8, 16};

	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		for (size_t k = 0; k < 2 * sizeof(ports) / sizeof(ports[0]); k++) {
			char *text = status_of_many(peers[i], ports[k / 2], k % 2);

			cr_expect_leq(lines_of(text), 21, "%zu lines:\n%s", lines_of(text), text);
			cr_expect(strstr(text, "tenants     4096\n"), "%s", text);
			if (k % 2)
				cr_expect_eq(strncmp(text, "! configuration not in force: ", 30), 0, "%s", text);
			free(text);
		}
	}
}

Test(report_status, counts_what_has_no_room)
{
	char *text = status_of_many(255, 2, false);

	cr_expect(strstr(text, "peers       255, sessions up: 255\n"), "%s", text);
	/* Each takes two lines. */
	cr_expect(strstr(text, "a-name-as-long-as-any-name-is-0"), "%s", text);
	cr_expect(strstr(text, " more: pontlevis peers\n"), "%s", text);
	free(text);
	text = status_of_many(255, 2, true);
	/* Of 1 and 255 * 2, two with three lines of the screen each have room beside the line that says so. */
	cr_expect(strstr(text, "x...\n... and 509 more: pontlevis status --json\nsite "), "%s", text);
	cr_expect(strstr(text, "peers       255, sessions up: 0, blocked by the fence: 255\n"), "%s", text);
	free(text);
	/* Where a table has no room for one row, that is said too. */
	text = status_of_many(255, 8, false);
	cr_expect(strstr(text, "lan7"), "%s", text);
	cr_expect(strstr(text, "\n... and 255 more: pontlevis peers\n"), "%s", text);
	free(text);
}

Test(report_status, before_the_first_commit_says_so)
{
	char *text = capture(report_status, "{'site': null, 'revision': 0, 'dataplane': {'connected': false}}");

	cr_expect(strstr(text, "nothing has been committed yet"));
	cr_expect(strstr(text, "dataplane   not connected"));
	free(text);
}
