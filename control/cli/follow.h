/* SPDX-License-Identifier: BSD-3-Clause */
/* A command that subscribes: what the journal has, and with --follow what comes. */
#ifndef CONTROL_CLI_FOLLOW_H
#define CONTROL_CLI_FOLLOW_H

#include "control/cli/arguments.h"

/*
 * Prints notifications up to the newest event there is; with --follow until it is interrupted. Then a connection that
 * is lost is made again, and it goes on behind the last event seen; that, and what may have been missed, is said on
 * standard error. A control process that is not there to begin with, or refuses, ends it. Returns an exit status.
 */
int follow_run(const struct arguments *arguments);

#endif
