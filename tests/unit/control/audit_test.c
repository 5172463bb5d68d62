/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/audit.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "scratch.h"

static void init(void)
{
	scratch_make();
	cr_redirect_stderr();
}

TestSuite(audit, .init = init, .fini = scratch_remove);

static struct audit *open_log(size_t limit)
{
	struct error error = {0};
	struct audit *audit = audit_open(scratch_path("audit.jsonl"), limit, &error);

	cr_assert_not_null(audit, "%s", error.text);
	return audit;
}

/* An event as control/events.h makes it. */
static void append(struct audit *audit, const char *event, json_t *members)
{
	json_t *record = json_pack(
		"{s:I, s:s, s:s}", "sequence", (json_int_t)1, "time", "2025-01-31T10:00:00.000Z", "event", event);

	if (members != NULL)
		(void)json_object_update(record, members);
	json_decref(members);
	audit_append(audit, record);
	json_decref(record);
}

Test(audit, event_is_one_line_of_json)
{
	struct audit *audit = open_log(AUDIT_FILE_MAX);
	char text[512];
	json_t *event;

	append(audit, "commit", json_pack("{s:i}", "revision", 3));
	append(audit, "stop", NULL);
	cr_assert_gt(scratch_read(scratch_path("audit.jsonl"), text, sizeof(text)), 0);
	event = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	cr_assert_str_eq(json_string_value(json_object_get(event, "event")), "commit");
	cr_assert_eq(json_integer_value(json_object_get(event, "revision")), 3);
	cr_assert_not_null(json_object_get(event, "time"));
	cr_assert_eq(strchr(text, '\n') + 1, strstr(text, "{\"sequence\":") + strcspn(text, "\n") + 1);
	cr_assert_eq(text[strlen(text) - 1], '\n');
	json_decref(event);
	audit_close(audit);
}

Test(audit, tail_is_the_last_events_oldest_first)
{
	struct audit *audit = open_log(AUDIT_FILE_MAX);
	json_t *tail;

	for (int i = 0; i < AUDIT_KEPT + 10; i++)
		append(audit, i % 2 ? "odd" : "even", json_pack("{s:i}", "i", i));
	tail = audit_tail(audit, 3, NULL);
	cr_assert_eq(json_array_size(tail), 3);
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(tail, 0), "i")), AUDIT_KEPT + 7);
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(tail, 2), "i")), AUDIT_KEPT + 9);
	json_decref(tail);
	tail = audit_tail(audit, 2, "even");
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(tail, 1), "i")), AUDIT_KEPT + 8);
	json_decref(tail);
	tail = audit_tail(audit, 1000, NULL);
	cr_assert_eq(json_array_size(tail), AUDIT_KEPT);
	json_decref(tail);
	audit_close(audit);
}

Test(audit, file_is_rotated_at_its_limit_and_one_old_one_is_kept)
{
	struct audit *audit = open_log(500);
	char text[2048];

	for (int i = 0; i < 40; i++)
		append(audit, "tick", json_pack("{s:i}", "i", i));
	cr_assert_leq(scratch_read(scratch_path("audit.jsonl"), text, sizeof(text)), 500);
	cr_assert_not_null(strstr(text, "\"i\":39"));
	cr_assert_leq(scratch_read(scratch_path("audit.jsonl.1"), text, sizeof(text)), 500);
	cr_assert_not_null(strstr(text, "\"event\":\"tick\""));
	audit_close(audit);
}

Test(audit, log_is_appended_to)
{
	struct audit *audit = open_log(AUDIT_FILE_MAX);
	char text[512];

	append(audit, "first", NULL);
	audit_close(audit);
	audit = open_log(AUDIT_FILE_MAX);
	append(audit, "second", NULL);
	audit_close(audit);
	(void)scratch_read(scratch_path("audit.jsonl"), text, sizeof(text));
	cr_assert_not_null(strstr(text, "first"));
	cr_assert_not_null(strstr(text, "second"));
}

Test(audit, full_disk_stops_nobody)
{
	struct error error = {0};
	struct audit *audit = audit_open("/dev/full", AUDIT_FILE_MAX, &error);
	json_t *tail;

	cr_assert_not_null(audit);
	append(audit, "denied", NULL);
	tail = audit_tail(audit, 1, NULL);
	cr_assert_eq(json_array_size(tail), 1);
	json_decref(tail);
	audit_close(audit);
}

/* The file takes a part of the line: it is taken back, and the reason is not what errno happens to be. */
Test(audit, half_a_line_is_taken_back_and_said)
{
	const struct rlimit limit = {.rlim_cur = 120, .rlim_max = RLIM_INFINITY};
	struct audit *audit = open_log(AUDIT_FILE_MAX);
	char text[4096], line[4096];
	FILE *said = cr_get_redirected_stderr();

	(void)signal(SIGXFSZ, SIG_IGN);
	append(audit, "first", NULL);
	(void)scratch_read(scratch_path("audit.jsonl"), text, sizeof(text));
	cr_assert_lt(strlen(text), limit.rlim_cur);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	errno = 0;
	append(audit, "second", NULL);
	(void)fflush(stderr);
	while (fgets(line, sizeof(line), said) != NULL && strstr(line, "cannot write") == NULL)
		;
	cr_expect_not_null(strstr(line, strerror(ENOSPC)), "%s", line);
	(void)scratch_read(scratch_path("audit.jsonl"), line, sizeof(line));
	cr_expect_str_eq(line, text, "half a line has stayed: %s", line);
	audit_close(audit);
}

Test(audit, directory_that_is_not_there_is_named)
{
	struct error error = {0};

	cr_assert_null(audit_open(scratch_path("nowhere/audit.jsonl"), AUDIT_FILE_MAX, &error));
	cr_assert_not_null(strstr(error.text, "nowhere/audit.jsonl"));
}

Test(audit, text_of_unknown_origin_becomes_valid_utf8)
{
	static const char *const texts[][2] = {
		{"plain", "plain"}, {"\xc3\xa9", "\xc3\xa9"}, {"\xff\xfe", "??"}, {"cut \xc3", "cut ?"},
		{"\xc0\xaf", "??"},                       /* overlong */
		{"\xed\xa0\x80", "???"},                  /* surrogate */
		{"\xf4\x90\x80\x80", "????"},             /* beyond Unicode */
		{"\xf0\x9f\x8f\xb0", "\xf0\x9f\x8f\xb0"}, /* a castle */
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *json = audit_text(texts[i][0]);

		cr_assert_not_null(json, "row %zu", i);
		cr_assert_str_eq(json_string_value(json), texts[i][1], "row %zu", i);
		json_decref(json);
	}
}
