/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/key.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/command.h"
#include "control/keys/identity.h"

static char directory[64];
static char file[96];
static json_t *arguments;

static void build(void)
{
	(void)strcpy(directory, "/tmp/pontlevis-test-XXXXXX");
	cr_assert(mkdtemp(directory));
	(void)snprintf(file, sizeof(file), "%s/identity", directory);
	arguments = json_pack("{s:s}", "file", file);
	cr_redirect_stdout();
	cr_redirect_stderr();
}

static void tear_down(void)
{
	json_decref(arguments);
	(void)unlink(file);
	(void)rmdir(directory);
}

TestSuite(key, .init = build, .fini = tear_down);

Test(key, generate_makes_a_private_file_and_shows_nothing)
{
	struct stat status;

	cr_assert_eq(key_generate(arguments), STATUS_OK);
	cr_assert_eq(stat(file, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	(void)fflush(stdout);
	cr_expect_stdout_eq_str("");
}

Test(key, generate_never_overwrites)
{
	cr_assert_eq(key_generate(arguments), STATUS_OK);
	cr_expect_eq(key_generate(arguments), STATUS_REFUSED);
}

Test(key, public_prints_what_the_configuration_takes)
{
	struct identity *identity;
	char expected[IDENTITY_TEXT_SIZE + 1];
	struct error error;

	cr_assert_eq(key_generate(arguments), STATUS_OK);
	identity = identity_load(file, &error);
	cr_assert(identity);
	identity_public_text(identity->public_key, expected);
	(void)strcat(expected, "\n");
	identity_free(identity);
	cr_assert_eq(key_public(arguments), STATUS_OK);
	(void)fflush(stdout);
	cr_expect_stdout_eq_str(expected);
}

Test(key, public_refuses_a_missing_and_a_readable_file)
{
	cr_expect_eq(key_public(arguments), STATUS_REFUSED);
	cr_assert_eq(key_generate(arguments), STATUS_OK);
	cr_assert_eq(chmod(file, 0644), 0);
	cr_expect_eq(key_public(arguments), STATUS_REFUSED);
}
