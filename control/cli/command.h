/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command table: every command of `pontlevis`, once. Argument parser, help, manual page, shell completion and the
 * request to the controller socket are all made from it.
 */
#ifndef CONTROL_CLI_COMMAND_H
#define CONTROL_CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses of the program. */
enum {
	STATUS_ASK = -1, /* none: what answer() returns for a question to the control process */
	STATUS_OK = 0,
	STATUS_REFUSED = 1,     /* the server, or the file system for `key`, said no */
	STATUS_USAGE = 2,       /* wrong arguments, or a file given that cannot be read */
	STATUS_UNREACHABLE = 3, /* no (sensible) answer from the socket */
};

enum { COMMAND_PARAMETERS_MAX = 6 };

enum parameter_type {
	PARAMETER_TEXT = 1,
	PARAMETER_INTEGER,
	PARAMETER_LIST,     /* texts, separated by commas */
	PARAMETER_FLAG,     /* an option without a value (metavar NULL): true */
	PARAMETER_PATH,     /* name of a file that the command itself reads or writes */
	PARAMETER_DOCUMENT, /* file with a JSON object, "-": standard input */
	PARAMETER_PARAMS,   /* JSON object, "-": from standard input, "@FILE": from a file */
};

/*
 * An argument (option NULL) or an option. metavar and help, and below summary and details, are to be translated by who
 * shows them.
 */
struct parameter {
	const char *member;  /* of the request's params, or of the arguments given to run() */
	const char *option;  /* long option without dashes */
	const char *metavar; /* how help calls the value */
	const char *help;
	enum parameter_type type; /* 0 ends the list */
	char letter;              /* short option, 0: none */
	bool required;
	int64_t minimum; /* of an integer, and */
	int64_t maximum;
};

struct pontlevis;

struct command {
	const char *name;    /* one to three words */
	const char *method;  /* of the controller socket; NULL: see run, or (`call`) named by the caller */
	const char *summary; /* one line, no full stop */
	const char *details; /* more lines for help and manual, NULL: none */
	bool watch;          /* the question may be asked again and again: it has the option --watch */
	struct parameter parameters[COMMAND_PARAMETERS_MAX + 1];
	/* Prints the method's result for people. */
	void (*print)(FILE *out, const json_t *result);
	/*
	 * Prints one notification of a method that subscribes, for people or as a line of JSON. Then the arguments have
	 * a flag "follow", which is not the method's.
	 */
	void (*notice)(FILE *out, const json_t *notification, bool as_json);
	/* The same as CSV, if the flag "csv" is among the arguments, which is not the method's; NULL: there is no such
	 * flag. */
	void (*print_csv)(FILE *out, const json_t *result);
	/*
	 * Finds the result to print without the socket; returns an exit status. STATUS_ASK: with these arguments, the
	 * method has to answer.
	 */
	int (*answer)(const json_t *arguments, json_t **result);
	/*
	 * Asks more than one question over the connection, the last of them the method, whose result is printed unless
	 * it is NULL; says itself what went wrong. Returns an exit status.
	 */
	int (*converse)(struct pontlevis *connection, int timeout_ms, const json_t *arguments, json_t **result);
	/* Does the whole work without the socket; returns an exit status. */
	int (*run)(const json_t *arguments);
};

/* In the order in which help shows them; ends with a name of NULL. */
extern const struct command commands[];

/*
 * Finds the command whose words the arguments begin with; *words is how many those are. NULL if there is none, and
 * then *words is 1 if the first word at least begins a command of two words.
 */
const struct command *command_find(int argc, char *const *argv, int *words);

/* "config commit FILE [--expect-revision N]", the words for values in the language of messages */
void command_usage(const struct command *command, char *text, size_t size);

#endif
