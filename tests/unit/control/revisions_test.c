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
	json_t *record = json_pack("{s:{s:i}, s:i}", "config", "value", value, "policy_revision", 40 + value);

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

/* The text of a file of the state; the caller frees. */
static char *load(const char *name, size_t *length)
{
	FILE *file = fopen(scratch_path(name), "r");
	char *text = NULL;
	size_t size = 0;
	ssize_t got;

	cr_assert_not_null(file);
	got = getdelim(&text, &size, '\0', file);
	cr_assert_gt(got, 0);
	(void)fclose(file);
	*length = (size_t)got;
	return text;
}

static void store(const char *name, const char *text, size_t length)
{
	FILE *file = fopen(scratch_path(name), "w");

	cr_assert_not_null(file);
	cr_assert_eq(fwrite(text, 1, length, file), length);
	(void)fclose(file);
}

/* Opens with a second record that is damaged: the first one counts, and the number of the second is not given again. */
static void expect_fallback(const char *what)
{
	struct revisions *revisions = open_state();
	const json_t *damage = revisions_damage(revisions);
	struct error error = {0};
	const char *text;

	cr_assert_eq(revisions_current(revisions), 1, "%s", what);
	cr_assert_eq(value_of(revisions, 1), 1);
	cr_assert_eq(value_of(revisions, 2), -EBADMSG, "%s", what);
	cr_assert_eq(json_array_size(damage), 1, "%s", what);
	text = json_string_value(json_object_get(json_array_get(damage, 0), "text"));
	cr_assert_not_null(strstr(text, "history/00000002.json: damaged: "), "%s", text);
	cr_assert_str_eq(
		json_string_value(json_object_get(json_array_get(damage, 0), "file")), "history/00000002.json");
	commit(revisions, 3);
	cr_assert_eq(revisions_current(revisions), 3, "%s", what);
	revisions_close(revisions);
	revisions = open_state();
	cr_assert_eq(revisions_current(revisions), 3);
	cr_assert_eq(json_array_size(revisions_damage(revisions)), 0, "older damage is no news");
	revisions_close(revisions);
	cr_assert_eq(unlink(scratch_path("state/history/00000003.json")), 0);
	(void)error;
}

static char *two_records(size_t *length)
{
	struct revisions *revisions = open_state();

	commit(revisions, 1);
	commit(revisions, 2);
	revisions_close(revisions);
	return load("state/history/00000002.json", length);
}

Test(revisions, record_cut_short_anywhere_gives_way_to_the_one_before)
{
	size_t length;
	char *text = two_records(&length);

	for (size_t cut = 0; cut < length; cut++) {
		store("state/history/00000002.json", text, cut);
		expect_fallback("cut short");
	}
	free(text);
}

Test(revisions, record_with_any_byte_changed_gives_way_to_the_one_before)
{
	size_t length;
	char *text = two_records(&length);
	unsigned int same = 0;

	for (size_t i = 0; i < length; i++) {
		char byte = text[i];

		text[i] = (char)(byte ^ (1 << i % 8));
		store("state/history/00000002.json", text, length);
		/* White space may become other white space, which means the same. */
		if (strchr(" \n", byte) != NULL && strchr(" \n\t\r", text[i]) != NULL && text[i] != '\0')
			same++;
		else
			expect_fallback("one bit");
		text[i] = byte;
	}
	cr_assert_lt(same, length / 2);
	free(text);
}

Test(revisions, record_in_the_place_of_another_gives_way_to_the_one_before)
{
	size_t length, other;
	char *text = two_records(&length);
	char *first = load("state/history/00000001.json", &other);

	store("state/history/00000002.json", first, other);
	expect_fallback("that of revision 1");
	free(first);
	free(text);
}

Test(revisions, record_of_a_later_version_gives_way_to_the_one_before)
{
	size_t length;
	char *text = two_records(&length);
	char *format = strstr(text, "\"format\": 1");

	cr_assert_not_null(format);
	format[strlen("\"format\": ")] = '7';
	store("state/history/00000002.json", text, length);
	expect_fallback("a later format");
	free(text);
}

Test(revisions, record_of_the_first_version_is_migrated)
{
	static const char old[] = "{\"revision\": 1, \"time\": \"2025-01-31T10:00:00.000Z\", \"who\": {}, "
				  "\"peer_numbers\": {\"par2\": 1}, \"config\": {\"value\": 9}}";
	struct revisions *revisions;
	struct error error = {0};
	json_t *record;

	revisions_close(open_state());
	(void)scratch_file("state/history/00000001.json", old, 0600);
	revisions = open_state();
	cr_assert_eq(json_array_size(revisions_damage(revisions)), 0);
	record = revisions_read(revisions, 1, &error);
	cr_assert_not_null(record, "%s", error.text);
	cr_assert_str_eq(json_string_value(json_object_get(record, "reason")), "commit");
	json_decref(record);
	commit(revisions, 10);
	cr_assert_eq(value_of(revisions, 2), 10);
	revisions_close(revisions);
	(void)scratch_file("state/history/00000002.json", "{\"revision\": 2, \"config\": {}}", 0600);
	revisions = open_state();
	cr_assert_eq(revisions_current(revisions), 1, "what is no record of any version");
	revisions_close(revisions);
}

Test(revisions, trial_ends_in_place_and_its_way_back_is_kept)
{
	struct revisions *revisions = open_state();
	struct error error = {0};
	json_t *confirm = json_pack("{s:i}", "previous", 1), *record;

	commit(revisions, 1);
	for (int i = 2; i <= REVISIONS_KEPT + 5; i++) {
		record = json_pack("{s:{s:i}, s:O}", "config", "value", i, "confirm", confirm);
		cr_assert_eq(revisions_prepare(revisions, record, &error), 0, "%s", error.text);
		cr_assert_eq(revisions_publish(revisions, &error), 0, "%s", error.text);
		json_decref(record);
	}
	cr_assert_eq(value_of(revisions, 1), 1, "gone back to if nobody confirms");
	cr_assert_eq(value_of(revisions, 2), -ENOENT);
	revisions_close(revisions);
	revisions = open_state();
	record = revisions_read(revisions, REVISIONS_KEPT + 5, &error);
	cr_assert(json_equal(json_object_get(record, "confirm"), confirm));
	json_decref(record);
	cr_assert_eq(revisions_set_confirm(revisions, NULL, &error), 0, "%s", error.text);
	cr_assert_eq(revisions_current(revisions), REVISIONS_KEPT + 5);
	record = revisions_read(revisions, REVISIONS_KEPT + 5, &error);
	cr_assert_null(json_object_get(record, "confirm"));
	json_decref(record);
	commit(revisions, 99);
	cr_assert_eq(value_of(revisions, 1), -ENOENT);
	json_decref(confirm);
	revisions_close(revisions);
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

Test(revisions, damaged_policy_number_goes_on_above_all_that_were_given)
{
	static const char *const texts[] = {"twelve\n", "", "12", "-3\n", "99999999999999999999999\n", "\xff\xff"};
	struct error error = {0};

	revisions_close(open_state());
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct revisions *revisions;

		(void)scratch_file("state/policy-revision", texts[i], 0600);
		revisions = open_state();
		cr_assert_eq(json_array_size(revisions_damage(revisions)), 1, "%s", texts[i]);
		cr_assert_geq(revisions_next_policy(revisions, &error), 1 << 20);
		revisions_close(revisions);
	}
}

Test(revisions, policy_number_is_never_below_that_of_the_record)
{
	struct revisions *revisions = open_state();
	struct error error = {0};

	commit(revisions, 2); /* with policy 42 */
	revisions_close(revisions);
	revisions = open_state();
	cr_assert_eq(revisions_next_policy(revisions, &error), 43);
	cr_assert_eq(revisions_next_policy_unwritten(revisions, 7), 44);
	cr_assert_eq(revisions_next_policy_unwritten(revisions, 70), 71);
	cr_assert_eq(revisions_next_policy(revisions, &error), 72);
	revisions_close(revisions);
}

Test(revisions, time_is_rfc_3339_in_utc)
{
	char text[REVISIONS_TIME_SIZE];

	revisions_time(text);
	cr_assert_eq(strlen(text), strlen("2025-01-31T10:00:00.000Z"));
	cr_assert(text[4] == '-' && text[10] == 'T' && text[19] == '.' && text[23] == 'Z', "%s", text);
}
