/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fence/policy.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/fence/section.h"

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct fence_policy *policy_load(const char *path, uint64_t revision, double *ms)
{
	struct fence_policy *policy;
	struct section section;
	struct error error = {0};
	json_error_t where;
	json_t *json = json_load_file(path, 0, &where);
	uint64_t start = now_ns();

	if (!json)
		die("%s:%d: %s", path, where.line, where.text);
	if (section_read(&section, json, &error))
		die("%s: %s: %s", path, error.pointer, error.text);
	policy = fence_policy_compile(&section.source, revision, &error);
	if (!policy)
		die("%s: %s", path, error.text);
	*ms = (double)(now_ns() - start) / 1e6;
	section_free(&section);
	json_decref(json);
	return policy;
}
