/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the same question again and again (--watch). */
#ifndef CONTROL_CLI_WATCH_H
#define CONTROL_CLI_WATCH_H

#include "control/cli/arguments.h"

/*
 * Shows the answers until it is interrupted: on a terminal each in the place of the one before, cut to its size; else
 * one below the other, with --json a line each. A control process that goes away, or that lost its dataplane, is waited
 * for; one that is not there to begin with, or refuses otherwise, ends it. Returns an exit status.
 */
int watch_run(const struct arguments *arguments);

/*
 * Prints a report in the place of the one before on a terminal of so many lines and columns: what is too much is cut,
 * lines at the end, which is said, and ends of lines. For the tests.
 */
void watch_redraw(FILE *out, const char *report, size_t lines, size_t columns);

#endif
