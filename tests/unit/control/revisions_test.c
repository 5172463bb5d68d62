/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/revisions.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

TestSuite(revisions, .init = scratch_make, .fini = scratch_remove);

static struct revisions *open_state(void)
{
	struct error error = {0};
	struct revisions *revisions = revisions_open(scratch_path("state"), &error);

	cr_assert_not_null(revisions, "%s", error.text);
	return revisions;
}

static void commit(struct revisions *revisions, int value)
{
	struct error error = {0};
	json_t *record = json_pack("{s:{s:i}}", "config", "value", value);

	cr_assert_eq(revisions_prepare(revisions, record, &error), 0, "%s", error.text);
	cr_assert_eq(revisions_publish(revisions, &error), 0, "%s", error.text);
	json_decref(record);
}

static int value_of(struct revisions *revisions, uint64_t revision)
{
	struct error error = {0};
	json_t *record = revisions_read(revisions, revision, &error);
	int value = record != NULL
			    ? (int)json_integer_value(json_object_get(json_object_get(record, "config"), "value"))
			    : -error.code;

	json_decref(record);
	return value;
}

Test(revisions, start_at_zero_and_grow_by_one)
{
	struct revisions *revisions = open_state();

	cr_assert_eq(revisions_current(revisions), 0);
	commit(revisions, 41);
	commit(revisions, 42);
	cr_assert_eq(revisions_current(revisions), 2);
	cr_assert_eq(value_of(revisions, 1), 41);
	cr_assert_eq(value_of(revisions, 2), 42);
	cr_assert_eq(value_of(revisions, 3), -ENOENT);
	revisions_close(revisions);
}

Test(revisions, survive_the_process)
{
	struct revisions *revisions = open_state();

	commit(revisions, 7);
	revisions_close(revisions);
	revisions = open_state();
	cr_assert_eq(revisions_current(revisions), 1);
	cr_assert_eq(value_of(revisions, 1), 7);
	revisions_close(revisions);
}

Test(revisions, prepared_record_counts_for_nothing_before_it_is_published)
{
	struct error error = {0};
	json_t *record = json_pack("{s:{}}", "config");
	struct revisions *revisions = open_state();

	commit(revisions, 1);
	cr_assert_eq(revisions_prepare(revisions, record, &error), 0);
	cr_assert_eq(revisions_current(revisions), 1);
	revisions_abandon(revisions);
	cr_assert_eq(revisions_publish(revisions, &error), -1, "nothing is left to publish");
	json_decref(record);
	revisions_close(revisions);
	(void)scratch_file("state/history/next.tmp", "{", 0600); /* as a crash would leave it */
	revisions = open_state();
	cr_assert_eq(revisions_current(revisions), 1);
	cr_assert_neq(access(scratch_path("state/history/next.tmp"), F_OK), 0);
	revisions_close(revisions);
}

Test(revisions, only_the_last_twenty_are_kept)
{
	struct revisions *revisions = open_state();
	uint64_t numbers[REVISIONS_KEPT + 5];

	for (int i = 1; i <= REVISIONS_KEPT + 3; i++)
		commit(revisions, i);
	cr_assert_eq(revisions_list(revisions, numbers, REVISIONS_KEPT + 5), REVISIONS_KEPT);
	cr_assert_eq(numbers[0], 4);
	cr_assert_eq(numbers[REVISIONS_KEPT - 1], REVISIONS_KEPT + 3);
	cr_assert_eq(value_of(revisions, 3), -ENOENT);
	cr_assert_eq(revisions_list(revisions, numbers, 2), 2);
	cr_assert_eq(numbers[1], REVISIONS_KEPT + 3);
	revisions_close(revisions);
}

Test(revisions, second_process_is_refused)
{
	struct revisions *revisions = open_state();
	struct error error = {0};

	cr_assert_null(revisions_open(scratch_path("state"), &error));
	cr_assert_eq(error.code, EBUSY);
	revisions_close(revisions);
}

Test(revisions, damaged_current_record_is_not_passed_over)
{
	struct revisions *revisions = open_state();
	struct error error = {0};

	commit(revisions, 1);
	commit(revisions, 2);
	revisions_close(revisions);
	(void)scratch_file("state/history/00000002.json", "{\"revision\": 2, \"config\": {", 0600);
	cr_assert_null(revisions_open(scratch_path("state"), &error));
	cr_assert_not_null(strstr(error.text, "history/00000002.json"), "%s", error.text);
	(void)scratch_file("state/history/00000002.json", "{\"revision\": 1, \"config\": {}}", 0600);
	cr_assert_null(revisions_open(scratch_path("state"), &error));
	cr_assert_not_null(strstr(error.text, "no record of revision 2"), "%s", error.text);
}

Test(revisions, other_files_in_the_history_are_ignored)
{
	struct revisions *revisions = open_state();

	(void)scratch_file("state/history/README", "x", 0600);
	(void)scratch_file("state/history/99999999.json.bak", "x", 0600);
	(void)scratch_file("state/history/12.json", "x", 0600);
	commit(revisions, 5);
	revisions_close(revisions);
	revisions = open_state();
	cr_assert_eq(revisions_current(revisions), 1);
	revisions_close(revisions);
}

Test(revisions, files_are_for_their_owner_only)
{
	struct revisions *revisions = open_state();
	struct stat status;

	commit(revisions, 1);
	cr_assert_eq(stat(scratch_path("state/history/00000001.json"), &status), 0);
	cr_assert_eq(status.st_mode & 0777, 0600);
	cr_assert_eq(stat(scratch_path("state"), &status), 0);
	cr_assert_eq(status.st_mode & 0777, 0700);
	revisions_close(revisions);
}

Test(revisions, policy_numbers_are_never_given_twice)
{
	struct revisions *revisions = open_state();
	struct error error = {0};

	cr_assert_eq(revisions_next_policy(revisions, &error), 1);
	cr_assert_eq(revisions_next_policy(revisions, &error), 2);
	revisions_close(revisions);
	revisions = open_state();
	cr_assert_eq(revisions_next_policy(revisions, &error), 3);
	revisions_close(revisions);
}

Test(revisions, damaged_policy_number_is_an_error)
{
	struct error error = {0};

	revisions_close(open_state());
	(void)scratch_file("state/policy-revision", "twelve\n", 0600);
	cr_assert_null(revisions_open(scratch_path("state"), &error));
	cr_assert_not_null(strstr(error.text, "policy-revision"), "%s", error.text);
}

Test(revisions, time_is_rfc_3339_in_utc)
{
	char text[REVISIONS_TIME_SIZE];

	revisions_time(text);
	cr_assert_eq(strlen(text), strlen("2025-01-31T10:00:00.000Z"));
	cr_assert(text[4] == '-' && text[10] == 'T' && text[19] == '.' && text[23] == 'Z', "%s", text);
}
