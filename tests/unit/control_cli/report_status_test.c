/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/report.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"

static void expect(void (*report)(FILE *out, const json_t *result), const char *result, const char *expected)
{
	char *text = capture(report, result);

	cr_expect_str_eq(text, expected, "expected:\n%s\ngot:\n%s", expected, text);
	free(text);
}

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
		" 'peers': [{'name': 'par2', 'session': 'up', 'last_error': 'reset'}],"
		" 'fence': {'policy_revision': 5, 'bundle': {'version': 7}, 'prefixes': {'ipv4': 4, 'ipv6': 6}, "
		"'denied_peers':"
		" ['par9']},"
		" 'confirm': {'revision': 3, 'previous': 2, 'remaining_ms': 5100, 'timeout_s': 60},"
		" 'storage': {'problem': null, 'damage': [{'file': 'history/00000004.json', 'text': 'torn'}]}}");
	static const char expected[] =
		"! configuration not in force: gone (at /fence/dataset)\n"
		"! state on disk: torn\n"
		"! on trial: `config confirm` within 5 s keeps it\n"
		"! peer par2: last error: reset\n"
		"site        par1 (192.0.2.1)\n"
		"public key  K\n"
		"revision    3, NOT in force\n"
		"dataplane   connected, version 1, pid 9, 1 worker, in force, takes keys by hand\n"
		"fence       policy 5, 4 IPv4 and 6 IPv6 prefixes, bundle version 7\n"
		"tenants     2\n"
		"\n"
		"PORT  NAME  ROLE    MAC   MTU  QUEUES  IFINDEX  BIFURCATED\n"
		"   0  lan0  access  M    9000       1        3  yes\n"
		"\n"
		"PEER  ENDPOINT  SESSION  AGE  TENANTS  NEXT HOP  VIA  MAC  PORT  MTU  FENCE\n"
		"par2  -         up       -    -        -         -    -    -     -    -\n";

	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
}

Test(report_status, before_the_first_commit_says_so)
{
	char *text = capture(report_status, "{'site': null, 'revision': 0, 'dataplane': {'connected': false}}");

	cr_expect(strstr(text, "nothing has been committed yet"));
	cr_expect(strstr(text, "dataplane   not connected"));
	free(text);
}
