/* SPDX-License-Identifier: BSD-3-Clause */
/* Colours, on a terminal that shows them to somebody. */
#ifndef CONTROL_CLI_PAINT_H
#define CONTROL_CLI_PAINT_H

#include <stdio.h>

enum paint_when {
	PAINT_AUTO, /* on a terminal that has them, unless NO_COLOR is set (https://no-color.org) */
	PAINT_ALWAYS,
	PAINT_NEVER,
};

enum paint {
	PAINT_PLAIN,   /* ends what was begun */
	PAINT_ALARM,   /* something is wrong */
	PAINT_WARNING, /* something will be, unless somebody looks after it */
	PAINT_REMOVED,
	PAINT_ADDED,
};

/* Before the first report. Nothing is painted until then. */
void paint_choose(enum paint_when when);

/*
 * What to print for the paint to begin: an escape sequence, or "" where there are to be no colours. out is standard
 * error, or else what will go to standard output.
 */
const char *paint(const FILE *out, enum paint what);

#endif
