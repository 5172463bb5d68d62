/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/paint.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool on_output, on_error;

static bool is_colourful(int fd)
{
	const char *terminal = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fd) && terminal && terminal[0] && strcmp(terminal, "dumb") != 0 && !(no && no[0]);
}

void paint_choose(enum paint_when when)
{
	on_output = when == PAINT_ALWAYS || (when == PAINT_AUTO && is_colourful(STDOUT_FILENO));
	on_error = when == PAINT_ALWAYS || (when == PAINT_AUTO && is_colourful(STDERR_FILENO));
}

const char *paint(const FILE *out, enum paint what)
{
	/* ECMA-48, SGR: the eight colours that every terminal has. */
	static const char *const sequences[] = {[PAINT_PLAIN] = "\033[0m",
		[PAINT_ALARM] = "\033[1;31m",
		[PAINT_WARNING] = "\033[33m",
		[PAINT_REMOVED] = "\033[31m",
		[PAINT_ADDED] = "\033[32m"};

	return (out == stderr ? on_error : on_output) ? sequences[what] : "";
}
