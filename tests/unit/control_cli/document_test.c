/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/document.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *read_text(const char *text, struct error *error)
{
	char path[] = "/tmp/pontlevis-test-XXXXXX";
	int fd = mkstemp(path);
	json_t *document;

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
	document = document_read(path, error);
	(void)unlink(path);
	return document;
}

Test(document, is_a_json_object)
{
	struct error error = {0};
	json_t *document = read_text("{\"a\": [1]}\n", &error);

	cr_assert(document, "%s", error.text);
	cr_expect_eq(json_object_size(document), 1);
	json_decref(document);
}

Test(document, with_a_fault_names_the_place)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"{\n  \"a\": 1,\n}\n", ":3:"},
		{"", ":1:"},
		{"[1]", "not a JSON object"},
		{"{} {}", "end of file expected"},
		{"{\"a\": 1, \"a\": 2}", "duplicate"},
		{"{\"a\": \"\xff\"}", "unable to decode"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error error = {0};

		cr_expect(!read_text(cases[i].text, &error), "case %zu", i);
		cr_expect(strstr(error.text, cases[i].expected), "\"%s\" lacks \"%s\"", error.text, cases[i].expected);
		cr_expect(strstr(error.text, "/tmp/pontlevis-test-"), "\"%s\" names the file", error.text);
	}
}

Test(document, that_is_missing_or_a_directory_is_an_error)
{
	struct error error = {0};

	cr_expect(!document_read("/nonexistent", &error));
	cr_expect_eq(error.code, ENOENT);
	error.code = 0;
	cr_expect(!document_read("/tmp", &error));
	cr_expect_eq(error.code, EISDIR);
}
