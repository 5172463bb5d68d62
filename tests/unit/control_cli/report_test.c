/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/report.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>

#include "capture.h"

Test(report, of_any_object_is_lines_blocks_and_tables)
{
	expect(report_value,
		"{'revision': 3, 'changed': true, 'who': {'user': 'root', 'uid': 0}, 'warnings': [],"
		" 'rows': [{'name': 'a', 'n': 1}, {'name': 'bb', 'extra': 'x'}], 'nothing': null}",
		"revision  3\n"
		"changed   yes\n"
		"who:\n"
		"  user  root\n"
		"  uid   0\n"
		"warnings  -\n"
		"rows:\n"
		"  name  n  extra\n"
		"  a     1  -\n"
		"  bb    -  x\n"
		"nothing   -\n");
}

Test(report, of_any_other_value_is_one_line)
{
	expect(report_value, "'word'", "word\n");
	expect(report_value, "null", "-\n");
	expect(report_value, "[1, 2]", "1, 2\n");
	expect(report_value, "{}", "");
}

Test(report, of_deeply_nested_objects_ends)
{
	char text[8192] = "1", inner[8192];

	for (int i = 0; i < 200; i++) {
		(void)snprintf(inner, sizeof(inner), "%s", text);
		(void)snprintf(text, sizeof(text), "{'a':%.8000s}", inner);
	}
	free(capture(report_value, text));
}

Test(report, of_history_marks_the_current_revision)
{
	expect(report_history,
		"{'revisions': [{'revision': 12, 'time': 'T2', 'who': {'user': 'root', 'pid': 5}, 'current': true,"
		" 'reason': 'rollback', 'from': 2}, {'revision': 4, 'current': false, 'damage': 'torn'},"
		" {'revision': 3, 'time': 'T1', 'who': null, 'reason': 'commit', 'from': null, 'current': false}],"
		" 'confirm': {'revision': 12, 'previous': 2, 'timeout_s': 60, 'remaining_ms': 50001}}",
		"revision 12 is on trial: without `config confirm` revision 2 is put in force again in 51 s\n"
		"REVISION  TIME  USER  PID  REASON         \n"
		"      12  T2    root    5  rollback to 2  current\n"
		"       4  -     -       -  torn           \n"
		"       3  T1    -       -  commit         \n");
}

Test(report, of_a_commit_says_what_is_in_force)
{
	expect(report_commit,
		"{'revision': 3, 'changed': true, 'dataplane': 'applied', 'confirm': null, 'warnings': ['w']}",
		"revision 3 is in force\nwarning: w\n");
	expect(report_commit,
		"{'revision': 3, 'changed': false, 'dataplane': 'absent', 'confirm': null, 'warnings': []}",
		"revision 3 is in force already, the dataplane will be told when it is there\n");
}

Test(report, of_a_difference_shows_both_sides)
{
	expect(report_diff,
		"{'from': 1, 'to': null, 'changes': [{'op': 'replace', 'pointer': '/tenants/1/vni', 'old_pointer':"
		" '/tenants/0/vni', 'old': 1, 'new': 2}, {'op': 'add', 'pointer': '/peers/0', 'new': {'name': 'x'}}]}",
		"- /tenants/0/vni: 1\n+ /tenants/1/vni: 2\n+ /peers/0: {\"name\":\"x\"}\n");
	expect(report_diff, "{'from': 1, 'to': 1, 'changes': []}", "no difference\n");
}

Test(report, of_audit_puts_time_and_event_first)
{
	expect(report_audit,
		"{'events': [{'event': 'denied', 'time': 'T1', 'text': 'T.', 'interface': '', 'place': 'tc', "
		"'command': 'x\\u001b[1m'}, {'event': 'stop', 'text': 'bye'}]}",
		"TIME  EVENT   DETAILS\n"
		"T1    denied  place=tc command=x\\x1b[1m: T.\n"
		"-     stop    bye\n");
}

static void notice(FILE *out, const json_t *notification)
{
	report_notice(out, notification, false);
}

static void notice_json(FILE *out, const json_t *notification)
{
	report_notice(out, notification, true);
}

Test(report, of_a_notification_is_one_line)
{
	static const char event[] = "{'jsonrpc': '2.0', 'method': 'event', 'params': {'sequence': 12, 'time': 'then',"
				    " 'event': 'session.up', 'peer': 'par2', 'text': 'a\\u001bb'}}";
	static const char gap[] = "{'jsonrpc': '2.0', 'method': 'events.gap', 'params': {'first': 3, 'last': 9}}";

	expect(notice, event, "    12  then  session.up            peer=par2: a\\x1bb\n");
	expect(notice, gap, "events 3 to 9 are gone\n");
	expect(notice, "{'method': 'something.new', 'params': {}}", "");
	expect(notice_json, "{'method': 'event', 'params': {'sequence': 12}}", "{\"sequence\":12}\n");
	expect(notice_json, "{'method': 'events.gap', 'params': {'first': 3}}",
		"{\"method\":\"events.gap\",\"params\":{\"first\":3}}\n");
	expect(notice_json, "{'method': 'events.caught_up', 'params': {}}", "");
	expect(notice, "{}", "");
}

Test(report, of_methods_marks_optional_parameters)
{
	expect(report_methods,
		"{'methods': [{'name': 'config.commit', 'role': 'write', 'description': 'D', 'params':"
		" [{'name': 'config', 'required': true}, {'name': 'expect_revision', 'required': false}]}]}",
		"METHOD         ROLE   PARAMETERS                DESCRIPTION\n"
		"config.commit  write  config, expect_revision?  D\n");
}

static void refuse(FILE *out, const json_t *error)
{
	report_refusal(out, "config.commit", error);
}

Test(report, of_a_refusal_names_the_place)
{
	expect(refuse, "{'code': -32002, 'message': 'unknown field', 'data': {'pointer': '/tenants/0/vxlan'}}",
		"pontlevis: config.commit refused (-32002): unknown field\npontlevis: at /tenants/0/vxlan\n");
	expect(refuse, "{'code': -32601, 'message': 'unknown method', 'data': {'pointer': ''}}",
		"pontlevis: config.commit refused (-32601): unknown method\n");
	expect(refuse,
		"{'code': -32002, 'message': 'A', 'data': {'pointer': '/a', 'errors': [{'pointer': '/a', 'message': "
		"'A'},"
		" {'pointer': '/b', 'message': 'B'}]}}",
		"pontlevis: config.commit refused (-32002): 2 errors\npontlevis: /a: A\npontlevis: /b: B\n");
	expect(refuse, "{}", "pontlevis: config.commit refused (-): -\n");
}

Test(report, of_the_configuration_is_the_document_alone)
{
	cr_redirect_stderr();
	expect(report_config, "{'revision': 1, 'time': 'T', 'who': {'user': 'root'}, 'config': {'version': 1}}",
		"{\n  \"version\": 1\n}\n");
	expect(report_config, "{'revision': 0, 'time': null, 'who': null, 'config': null}", "");
}

Test(report, survives_results_without_the_expected_members)
{
	static void (*const reports[])(FILE * out, const json_t *result) = {report_value, report_status, report_peers,
		report_tenants, report_sas, report_fdb, report_stats, report_config, report_history, report_fence,
		report_explanation, report_audit, report_methods};
	static const char *const results[] = {
		"null",
		"7",
		"[]",
		"[1, {'a': 2}]",
		"{}",
		"{'peers': [7, null, {}], 'tenants': [[], {}, {'drops': []}], 'sas': [{}, 'x'], 'entries': [1, {}],"
		" 'events': [null, 3], 'methods': [{}, 1], 'revisions': [1], 'workers': [{}], 'ports': [1],"
		" 'denied': [2], 'counters': {'tc': 7}, 'interfaces': [1], 'dataplane': 7, 'fence': [], 'site': 1}",
	};

	cr_redirect_stderr();
	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++)
		for (size_t k = 0; k < sizeof(results) / sizeof(results[0]); k++)
			free(capture(reports[i], results[k]));
}
