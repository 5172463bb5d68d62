/* SPDX-License-Identifier: BSD-3-Clause */
/* What a report prints for a result given as JSON text. */
#ifndef TESTS_CONTROL_CLI_CAPTURE_H
#define TESTS_CONTROL_CLI_CAPTURE_H

#include <jansson.h>
#include <stdio.h>

/* The text is the caller's to free. Single quotes stand for double ones. The test fails if it is no JSON. */
char *capture(void (*report)(FILE *out, const json_t *result), const char *result);
/* Fails the test, which goes on, if the text is another one. */
void expect(void (*report)(FILE *out, const json_t *result), const char *result, const char *expected);
/* JSON text with single quotes for double ones. */
json_t *json(const char *text);

#endif
