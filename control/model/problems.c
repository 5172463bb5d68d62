/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/problems.h"

int problems_add(struct problems *problems, const struct error *error)
{
	if (!problems_full(problems))
		problems->list[problems->count++] = *error;
	return -1;
}

int problems_say(struct problems *problems, int code, const struct pointer *at, const char *format, ...)
{
	struct error error = {.code = code};
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(error.text, sizeof(error.text), format, arguments);
	va_end(arguments);
	pointer_text(at, error.pointer, sizeof(error.pointer));
	return problems_add(problems, &error);
}

bool problems_full(const struct problems *problems)
{
	return problems->count >= PROBLEMS_MAX;
}
