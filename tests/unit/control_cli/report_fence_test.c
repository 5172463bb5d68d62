/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/report.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "capture.h"

Test(report_fence, of_status_has_a_column_for_each_place)
{
	char *text = capture(report_fence,
		"{'policy_revision': 5, 'bundle': null, 'sources': [{'name': 'a.csv', 'format': 'asn', 'date': "
		"'2026-06-17',"
		" 'origin': '', 'sha256': '00112233445566778899'}], 'prefixes': {'ipv4': 4, 'ipv6': 6},"
		" 'rules': {'locations': ['FR'], 'jurisdictions': ['FR', 'DE'], 'allow': 1}, 'counters': {'tc': "
		"{'allow': 12, 'deny': 0,"
		" 'deny_unlisted': 3}, 'dataplane': {'deny': 0, 'deny_unlisted': 1}, 'cgroup': null}, 'interfaces':"
		" [{'ifindex': 4, 'name': 'wan0'}, {'ifindex': 5, 'name': 'lan0'}], 'new_interfaces': {'ip': "
		"{'closed': true,"
		" 'missing': null, 'dropped': 3}, 'frames': {'closed': false, 'missing': 'WHY', 'dropped': 1}},"
		" 'cgroup': '/c', 'denied_peers': [],"
		" 'denied': [{'time': 'T1', 'event': 'denied', 'place': 'tc', 'destination': '203.0.113.9', 'command': "
		"'', 'pid':"
		" 0, 'interface': 'wan0', 'text': 'W1'}, {'time': 'T2', 'place': 'connect', 'destination': '::1', "
		"'command':"
		" 'curl', 'pid': 42, 'interface': '', 'text': 'W2'}]}");

	cr_expect_str_eq(text,
		"policy revision   5\n"
		"source            a.csv (asn, 2026-06-17), SHA-256 0011223344556677...\n"
		"prefixes          ipv4=4 ipv6=6\n"
		"rules             locations=FR jurisdictions=FR, DE allow=1\n"
		"denied peers      -\n"
		"interfaces        wan0, lan0\n"
		"new interfaces    closed to ip, open to frames (WHY); 4 kept back\n"
		"cgroup            /c\n"
		"\n"
		"VERDICT        tc  dataplane  cgroup\n"
		"allow          12          -  -\n"
		"deny_unlisted   3          1  -\n"
		"\n"
		"Last denials, oldest first:\n"
		"TIME  PLACE    DESTINATION  PROCESS   INTERFACE  WHY\n"
		"T1    tc       203.0.113.9  -         wan0       W1\n"
		"T2    connect  ::1          curl[42]  -          W2\n",
		"%s", text);
	free(text);
}

Test(report_fence, of_an_address_begins_with_the_answer)
{
	char *text = capture(report_explanation,
		"{'address': '198.51.100.1', 'allowed': false, 'verdict': 'deny', 'rule': 'jurisdiction',"
		" 'reason': 'controlled from US', 'policy_revision': 5, 'bundle_version': null, 'asn': 64500,"
		" 'prefix': '198.51.100.0/24', 'line': 17, 'location': 'FR', 'operator': 'Example Inc', 'jurisdiction':"
		" 'US', 'text': 'Because.', 'sources': [{'name': 'a.csv', 'line': 17, 'first': '198.51.100.0', 'last':"
		" '198.51.100.255', 'asn': 64500, 'operator': 'Example Inc', 'date': '2026-06-17', 'origin': 'here'},"
		" {'name': 'o.csv', 'line': 3, 'jurisdiction': 'US'}]}");

	cr_expect_str_eq(text,
		"198.51.100.1: DENIED\n"
		"Because.\n"
		"\n"
		"verdict           deny\n"
		"rule              jurisdiction\n"
		"reason            controlled from US\n"
		"policy revision   5\n"
		"bundle version    -\n"
		"prefix            198.51.100.0/24\n"
		"location          FR\n"
		"AS                64500\n"
		"operator          Example Inc\n"
		"jurisdiction      US\n"
		"\n"
		"Sources, in the order of their precedence:\n"
		"  a.csv line 17: 198.51.100.0 - 198.51.100.255, AS 64500; operator Example Inc; of 2026-06-17 from "
		"here\n"
		"  o.csv line 3: jurisdiction US;\n",
		"%s", text);
	free(text);
}
