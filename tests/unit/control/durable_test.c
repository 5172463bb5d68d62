/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/durable.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

static int directory;

static void set_up(void)
{
	scratch_make();
	directory = open(scratch_path("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(directory, 0);
}

static void tear_down(void)
{
	(void)close(directory);
	scratch_remove();
}

TestSuite(durable, .init = set_up, .fini = tear_down);

static void expect_file(const char *name, const char *text)
{
	char found[64] = "";
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	struct stat status;

	cr_assert_geq(fd, 0, "%s is not there", name);
	cr_assert_eq(read(fd, found, sizeof(found) - 1), (ssize_t)strlen(text));
	cr_expect_str_eq(found, text);
	cr_assert_eq(fstat(fd, &status), 0);
	cr_expect_eq(status.st_mode & 07777, 0600);
	(void)close(fd);
}

static void expect_nothing_beside(const char *name)
{
	char beside[NAME_MAX + 8];

	(void)snprintf(beside, sizeof(beside), "%s.new", name);
	cr_expect_neq(faccessat(directory, beside, F_OK, 0), 0, "%s was left behind", beside);
}

Test(durable, writes_and_overwrites_a_file_that_only_its_owner_can_read)
{
	cr_assert_eq(durable_write(directory, "note", "longer than the next", 20), 0);
	cr_assert_eq(durable_write(directory, "note", "short", 5), 0);
	expect_file("note", "short");
}

Test(durable, replaces_a_file_and_leaves_nothing_beside_it)
{
	cr_assert_eq(durable_replace(directory, "note", "one", 3), 0);
	expect_file("note", "one");
	cr_assert_eq(durable_replace(directory, "note", "two", 3), 0);
	expect_file("note", "two");
	expect_nothing_beside("note");
}

/* What a crash has left beside it is overwritten, not in the way. */
Test(durable, replaces_a_file_after_an_attempt_that_a_crash_cut_short)
{
	(void)scratch_file("note.new", "half a no", 0600);
	cr_assert_eq(durable_replace(directory, "note", "whole", 5), 0);
	expect_file("note", "whole");
	expect_nothing_beside("note");
}

Test(durable, leaves_the_old_file_where_the_new_one_cannot_be_written)
{
	cr_assert_eq(durable_replace(directory, "note", "old", 3), 0);
	cr_assert_eq(mkdirat(directory, "note.new", 0700), 0);
	cr_expect_eq(durable_replace(directory, "note", "new", 3), -1);
	cr_expect_eq(errno, EISDIR);
	expect_file("note", "old");
}

Test(durable, follows_no_link_and_takes_no_name_that_is_too_long)
{
	char name[NAME_MAX + 1];

	cr_assert_eq(symlinkat("elsewhere", directory, "link"), 0);
	cr_expect_eq(durable_write(directory, "link", "text", 4), -1);
	cr_expect_eq(errno, ELOOP);
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = '\0';
	cr_expect_eq(durable_replace(directory, name, "text", 4), -1);
	cr_expect_eq(errno, ENAMETOOLONG);
}
