/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/events.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

#include "control/audit.h"
#include "scratch.h"

static struct audit *audit;
static struct events *events;

static void init(void)
{
	struct error error = {0};

	scratch_make();
	cr_redirect_stderr();
	audit = audit_open(scratch_path("audit.jsonl"), AUDIT_FILE_MAX, &error);
	events = events_new(audit, &error);
	cr_assert_not_null(events, "%s", error.text);
}

static void fini(void)
{
	events_free(events);
	audit_close(audit);
	scratch_remove();
}

TestSuite(events, .init = init, .fini = fini, .timeout = 60);

/* The next event that the filter lets through from *next on, NULL if there is none; the caller's. */
static json_t *read_one(const struct events_filter *filter, uint64_t *next)
{
	size_t length = 0;
	const char *text = events_read(events, filter, next, &length);
	json_t *event = text != NULL ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;

	cr_assert_eq(text != NULL, event != NULL, "no JSON: %.200s", text);
	return event;
}

static const char *member(const json_t *event, const char *name)
{
	return json_string_value(json_object_get(event, name));
}

Test(events, are_numbered_and_dated_and_members_cannot_forge_that)
{
	const struct events_filter all = {0};
	uint64_t next = 1;
	json_t *event;

	cr_assert_eq(events_first(events), 1);
	cr_assert_eq(events_last(events), 0);
	cr_assert_null(read_one(&all, &next));
	events_publish(events, "config.commit", json_pack("{s:i}", "revision", 3));
	events_publish(events, "session.up",
		json_pack("{s:s, s:s, s:i, s:s}", "event", "control.stop", "time", "never", "sequence", 99, "peer",
			"par2"));
	cr_assert_eq(events_last(events), 2);
	event = read_one(&all, &next);
	cr_assert_eq(json_integer_value(json_object_get(event, "sequence")), 1);
	cr_assert_str_eq(member(event, "event"), "config.commit");
	cr_assert_eq(json_integer_value(json_object_get(event, "revision")), 3);
	json_decref(event);
	event = read_one(&all, &next);
	cr_assert_eq(json_integer_value(json_object_get(event, "sequence")), 2);
	cr_assert_str_eq(member(event, "event"), "session.up");
	cr_assert_str_eq(member(event, "peer"), "par2");
	cr_assert_eq(strlen(member(event, "time")), strlen("2025-01-31T10:00:00.000Z"));
	json_decref(event);
	cr_assert_null(read_one(&all, &next));
	cr_assert_eq(next, 3);
}

Test(events, audited_kinds_reach_the_audit_log_and_others_do_not)
{
	size_t audited = 0, lines = 0;
	char *text = calloc(1, 1 << 16);

	for (const struct events_kind *kind = events_kinds; kind->name != NULL; kind++) {
		events_publish(events, kind->name, NULL);
		audited += kind->audited;
	}
	(void)scratch_read(scratch_path("audit.jsonl"), text, 1 << 16);
	for (const char *c = text; *c != '\0'; c++)
		lines += *c == '\n';
	cr_assert_eq(lines, audited);
	for (const struct events_kind *kind = events_kinds; kind->name != NULL; kind++) {
		char quoted[64];

		(void)snprintf(quoted, sizeof(quoted), "\"%s\"", kind->name);
		cr_expect_eq(strstr(text, quoted) != NULL, kind->audited, "%s", kind->name);
	}
	free(text);
}

Test(events, kinds_are_families_with_one_full_stop_and_fit_a_filter)
{
	for (const struct events_kind *kind = events_kinds; kind->name != NULL; kind++) {
		cr_expect_eq(strspn(kind->name, "abcdefghijklmnopqrstuvwxyz_."), strlen(kind->name), "%s", kind->name);
		cr_expect_not_null(strchr(kind->name, '.'), "%s", kind->name);
		cr_expect_eq(strchr(kind->name, '.'), strrchr(kind->name, '.'), "%s", kind->name);
		cr_expect_lt(strlen(kind->name), sizeof(((struct events_filter *)NULL)->names[0]), "%s", kind->name);
		cr_expect(events_name_known(kind->name));
	}
	cr_expect(events_name_known("session"));
	cr_expect_not(events_name_known("sess"));
	cr_expect_not(events_name_known("session."));
	cr_expect_not(events_name_known("session.upper"));
	cr_expect_not(events_name_known(""));
}

Test(events, kind_that_is_not_in_the_table_is_not_published)
{
	events_publish(events, "session.sideways", json_object());
	cr_assert_eq(events_last(events), 0);
}

Test(events, filters_by_name_family_tenant_and_peer)
{
	static const struct {
		struct events_filter filter;
		const char *numbers;
	} cases[] = {
		{{.name_count = 0}, "1234"},
		{{.names = {"session.up"}, .name_count = 1}, "1"},
		{{.names = {"session"}, .name_count = 1}, "12"},
		{{.names = {"session.down", "config"}, .name_count = 2}, "23"},
		{{.names = {"dataplane"}, .name_count = 1}, ""},
		{{.peer = "par2"}, "14"},
		{{.peer = "par"}, ""},
		{{.tenant = "hopital"}, "4"},
		{{.tenant = "hopital", .peer = "par3"}, ""},
		{{.names = {"session"}, .name_count = 1, .peer = "par2"}, "1"},
	};

	events_publish(events, "session.up", json_pack("{s:s}", "peer", "par2"));
	events_publish(events, "session.down", json_pack("{s:s}", "peer", "par3"));
	events_publish(events, "config.commit", NULL);
	events_publish(events, "sa.refused", json_pack("{s:s, s:s}", "peer", "par2", "tenant", "hopital"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char numbers[8] = "";
		uint64_t next = 1;
		json_t *event;

		while ((event = read_one(&cases[i].filter, &next)) != NULL) {
			numbers[strlen(numbers)] = (char)('0' + json_integer_value(json_object_get(event, "sequence")));
			json_decref(event);
		}
		cr_expect_str_eq(numbers, cases[i].numbers, "row %zu", i);
		cr_expect_eq(next, 5, "row %zu", i);
	}
}

Test(events, journal_keeps_the_last_ones_and_says_which)
{
	const struct events_filter all = {0};
	uint64_t next;
	json_t *event;

	for (int i = 0; i < EVENTS_KEPT + 100; i++)
		events_publish(events, "session.up", json_pack("{s:i}", "i", i));
	cr_assert_eq(events_last(events), EVENTS_KEPT + 100);
	cr_assert_eq(events_first(events), 101);
	next = events_first(events);
	event = read_one(&all, &next);
	cr_assert_eq(json_integer_value(json_object_get(event, "sequence")), 101);
	cr_assert_eq(json_integer_value(json_object_get(event, "i")), 100);
	json_decref(event);
}

Test(events, journal_is_bounded_in_bytes_too)
{
	enum { SIZE = 1 << 20 };
	char *text = malloc(SIZE + 1);

	memset(text, 'x', SIZE);
	text[SIZE] = '\0';
	for (int i = 0; i < 40; i++)
		events_publish(events, "config.commit", json_pack("{s:s}", "text", text));
	cr_assert_eq(events_last(events), 40);
	cr_assert_eq(events_first(events), 40 - EVENTS_KEPT_BYTES / SIZE + 2); /* each is a little longer than SIZE */
	free(text);
}

Test(events, every_life_has_another_epoch)
{
	struct error error;
	struct events *other = events_new(NULL, &error);

	cr_assert_eq(strlen(events_epoch(events)), EVENTS_EPOCH_SIZE - 1);
	cr_assert_str_neq(events_epoch(events), events_epoch(other));
	events_publish(other, "control.start", NULL); /* without an audit log */
	cr_assert_eq(events_last(other), 1);
	events_free(other);
}

static void count(void *context)
{
	++*(int *)context;
}

Test(events, watcher_is_called_for_each)
{
	int news = 0;

	events_watch(events, count, &news);
	events_publish(events, "session.up", NULL);
	events_publish(events, "session.down", NULL);
	events_watch(events, NULL, NULL);
	events_publish(events, "session.up", NULL);
	cr_assert_eq(news, 2);
}
