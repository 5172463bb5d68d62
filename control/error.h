/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a function of the control process says what went wrong: a code for programs, the place in the document (a JSON
 * pointer, RFC 6901) or file where it is known, and a sentence for people. Actions return 0 or -1 with the error set.
 */
#ifndef CONTROL_ERROR_H
#define CONTROL_ERROR_H

#include <errno.h>
#include <libintl.h>
#include <stdarg.h>
#include <stdio.h>

struct error {
	int code;          /* errno value, > 0 once set */
	char pointer[256]; /* JSON pointer into the configuration document, empty if the error has no place in it */
	char text[512];    /* one line, no trailing full stop or newline */
};

/*
 * Sets the error and returns -1, so that a failing action is one statement. pointer may be NULL. The format is looked
 * up in the command line's catalogue: in the control process, which has no locale, it stays as it is.
 */
__attribute__((format(printf, 4, 5))) static inline int error_set(
	struct error *error, int code, const char *pointer, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	(void)snprintf(error->pointer, sizeof(error->pointer), "%s", pointer ? pointer : "");
	va_start(arguments, format);
	(void)vsnprintf(error->text, sizeof(error->text), dgettext("pontlevis", format), arguments);
	va_end(arguments);
	return -1;
}

#endif
