/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/compiler.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "scratch.h"

/* Prefixes of the data: compiling them takes far longer than asking for it. */
enum { LINES = 100000 };

static struct event_base *base;
static struct compiler *compiler;
static struct error error;
static unsigned int finished;

static void on_finished(void *context)
{
	cr_expect_eq(context, &finished);
	finished++;
}

/* A fence section over fresh data. */
static json_t *section(void)
{
	const char *path = scratch_path("world.csv");
	FILE *file = fopen(path, "w");
	json_t *fence;

	cr_assert_not_null(file);
	(void)fputs("prefix,location,operator,jurisdiction\n", file);
	for (int i = 0; i < LINES; i++)
		(void)fprintf(file, "10.%d.%d.%d/30,FR,Exemple,FR\n", i >> 14, i >> 6 & 255, (i & 63) * 4);
	(void)fclose(file);
	fence = json_pack(
		"{s:s, s:{s:[s], s:[s]}}", "dataset", path, "allow", "locations", "FR", "jurisdictions", "FR");
	cr_assert_not_null(fence);
	return fence;
}

static int threads(void)
{
	DIR *directory = opendir("/proc/self/task");
	int count = -2; /* . and .. */

	cr_assert_not_null(directory);
	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return count;
}

static void init(void)
{
	scratch_make();
	base = event_base_new();
	cr_assert_not_null(base);
	compiler = compiler_start(base, on_finished, &finished, &error);
	cr_assert_not_null(compiler, "%s", error.text);
}

static void fini(void)
{
	compiler_stop(compiler);
	event_base_free(base);
	scratch_remove();
}

TestSuite(compiler, .init = init, .fini = fini, .timeout = 60);

Test(compiler, hands_a_policy_out_once_when_it_is_ready)
{
	const struct policy_stamp stamp = {{1}}, other = {{2}};
	json_t *fence = section();
	struct fence_policy *policy;

	cr_expect_null(compiler_take(compiler, fence, 7, &stamp, &error));
	cr_expect_eq(error.code, EINPROGRESS);
	cr_expect_null(compiler_take(compiler, fence, 7, &other, &error), "one at a time");
	cr_expect_eq(error.code, EINPROGRESS);
	cr_expect_eq(finished, 0);
	while (finished == 0)
		cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	policy = compiler_take(compiler, fence, 7, &stamp, &error);
	cr_assert_not_null(policy, "%s", error.text);
	cr_expect_eq(fence_policy_revision(policy), 7);
	cr_expect_eq(fence_policy_prefixes(policy, 4), LINES);
	fence_policy_free(policy);
	cr_expect_null(compiler_take(compiler, fence, 7, &stamp, &error), "it was handed out");
	cr_expect_eq(error.code, EINPROGRESS);
	json_decref(fence);
}

Test(compiler, stop_waits_for_what_is_being_compiled)
{
	const struct policy_stamp stamp = {{1}};
	const int before = threads();
	json_t *fence = section();

	cr_expect_null(compiler_take(compiler, fence, 7, &stamp, &error));
	cr_expect_eq(error.code, EINPROGRESS);
	cr_expect_eq(threads(), before + 1);
	compiler_stop(compiler);
	compiler = NULL;
	cr_expect_eq(threads(), before, "nobody works on what was freed");
	cr_expect_eq(finished, 0);
	json_decref(fence);
}
