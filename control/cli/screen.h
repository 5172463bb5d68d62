/* SPDX-License-Identifier: BSD-3-Clause */
/* What a screen has room for. In the lines given, escape sequences (SGR alone) take none. */
#ifndef CONTROL_CLI_SCREEN_H
#define CONTROL_CLI_SCREEN_H

#include <stddef.h>
#include <stdio.h>

enum { SCREEN_LINES = 24, SCREEN_COLUMNS = 80 }; /* the smallest one that anybody has */

/* Places that `length` bytes of a line take. */
size_t screen_width(const char *line, size_t length);

/* Prints `length` bytes of a line, at most so many places of them. */
void screen_put(FILE *out, const char *line, size_t length, size_t columns);

/*
 * Prints lines of a text as long as they fit into `room` lines of SCREEN_COLUMNS, those counted that a longer one is
 * broken into; one of more than three is cut at that. If not all do, the last line says how many more there are, and
 * `where`. The first `head` lines are not worth their room alone: then only how many others there are is said. Returns
 * how many lines of the screen are taken.
 */
size_t screen_fit(FILE *out, const char *text, size_t head, size_t room, const char *where);

#endif
