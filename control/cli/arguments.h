/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: global options, a command of the table, its arguments and options. */
#ifndef CONTROL_CLI_ARGUMENTS_H
#define CONTROL_CLI_ARGUMENTS_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

#include "control/cli/command.h"
#include "control/cli/paint.h"

#define ARGUMENTS_SOCKET_DEFAULT "/run/pontlevis/control.sock"
enum { ARGUMENTS_TIMEOUT_DEFAULT_S = 30, ARGUMENTS_TIMEOUT_MAX_S = 86400 };
enum { ARGUMENTS_WATCH_DEFAULT_S = 2, ARGUMENTS_WATCH_MAX_S = 86400 };

struct arguments {
	const char *socket; /* path */
	unsigned int timeout_s;
	bool json; /* print the raw result */
	enum paint_when color;
	unsigned int watch_s; /* ask again after so many seconds, until interrupted; 0: ask once */
	const struct command *command;
	const char *method; /* NULL for commands with run() */
	json_t *params;     /* object; owned */
};

/* Global options as argp takes them, for help and manual; ends with zeros. */
extern const struct argp_option arguments_global_options[];
/* The option of commands that can be asked again and again (command.watch). */
extern const struct argp_option arguments_watch_option;

/*
 * Parses the command line. Wrong usage ends the program with a message and STATUS_USAGE, --help and --version end it
 * with STATUS_OK. Files named as documents are read here.
 */
void arguments_parse(struct arguments *arguments, int argc, char **argv);
void arguments_free(struct arguments *arguments);

static inline int arguments_timeout_ms(const struct arguments *arguments)
{
	return (int)arguments->timeout_s * 1000;
}

#endif
