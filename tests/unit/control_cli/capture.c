/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

json_t *json(const char *text)
{
	char *copy = strdup(text);
	json_error_t error;
	json_t *value;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(copy, JSON_DECODE_ANY, &error);
	cr_assert(value, "%s: %s", error.text, text);
	free(copy);
	return value;
}

char *capture(void (*report)(FILE *out, const json_t *result), const char *result)
{
	json_t *value = json(result);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out);
	report(out, value);
	(void)fclose(out);
	json_decref(value);
	return text;
}

void expect(void (*report)(FILE *out, const json_t *result), const char *result, const char *expected)
{
	char *text = capture(report, result);

	cr_expect_str_eq(text, expected, "expected:\n%s\ngot:\n%s", expected, text);
	free(text);
}
