/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/report.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "capture.h"

Test(report_fence, of_status_has_a_column_for_each_place)
{
	char *text = capture(report_fence,
		"{'policy_revision': 5, 'dataset': '/d', 'prefixes': {'ipv4': 4, 'ipv6': 6}, 'allow': {'locations': "
		"['FR'],"
		" 'jurisdictions': ['FR', 'DE']}, 'deny_operators': [], 'counters': {'tc': {'allow': 12, 'deny': 0,"
		" 'deny_unlisted': 3}, 'dataplane': {'deny': 0, 'deny_unlisted': 1}, 'cgroup': null}, 'interfaces':"
		" [{'ifindex': 4, 'name': 'wan0'}, {'ifindex': 5, 'name': 'lan0'}], 'cgroup': '/c', 'denied_peers': [],"
		" 'denied': [{'time': 'T1', 'event': 'denied', 'place': 'tc', 'destination': '203.0.113.9', 'command': "
		"'', 'pid':"
		" 0, 'interface': 'wan0', 'text': 'W1'}, {'time': 'T2', 'place': 'connect', 'destination': '::1', "
		"'command':"
		" 'curl', 'pid': 42, 'interface': '', 'text': 'W2'}]}");

	cr_expect_str_eq(text,
		"policy revision   5\n"
		"dataset           /d\n"
		"prefixes          ipv4=4 ipv6=6\n"
		"allowed           locations=FR jurisdictions=FR, DE\n"
		"denied operators  -\n"
		"denied peers      -\n"
		"interfaces        wan0, lan0\n"
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
		" 'policy_revision': 5, 'prefix': '198.51.100.0/24', 'line': 17, 'location': 'FR', 'operator': 'Example"
		" Inc', 'jurisdiction': 'US', 'text': 'Because.'}");

	cr_expect_str_eq(text,
		"198.51.100.1: DENIED\n"
		"Because.\n"
		"\n"
		"verdict           deny\n"
		"rule              jurisdiction\n"
		"policy revision   5\n"
		"prefix            198.51.100.0/24 (line 17 of the dataset)\n"
		"location          FR\n"
		"operator          Example Inc\n"
		"jurisdiction      US\n",
		"%s", text);
	free(text);
}
