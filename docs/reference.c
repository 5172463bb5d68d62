/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes what is made from tables of the source: manual pages from their templates, and the completion for bash. A
 * program of the build, not installed.
 *
 *	reference man TEMPLATE	replaces the comments COMMANDS and OPTIONS (of pontlevis) and DROPS
 *	reference completion
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/arguments.h"
#include "control/cli/command.h"
#include "pontlevis/drops.h"

/* Text as a line (or part of one) of a manual page: nothing in it is taken for a request or an escape. */
static void put_text(const char *text)
{
	if (text[0] == '.' || text[0] == '\'')
		(void)fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '\\')
			(void)fputs("\\e", stdout);
		else if (*text == '`' && strchr(text + 1, '`'))
			(void)fputs("\\(oq", stdout);
		else if (*text == '`')
			(void)fputs("\\(cq", stdout);
		else
			(void)fputc(*text, stdout);
	}
}

/* A sentence to a line, as mdoc wants it. */
static void put_sentences(const char *text)
{
	while (*text) {
		const char *end = strstr(text, ". ");
		size_t length = end ? (size_t)(end - text) + 1 : strlen(text);
		char *sentence = strndup(text, length);

		if (!sentence)
			exit(EXIT_FAILURE);
		put_text(sentence);
		(void)fputc('\n', stdout);
		free(sentence);
		text += length + (end ? 1 : 0);
	}
}

/* One parameter with its own line of explanation. */
static void put_parameter(const struct parameter *parameter)
{
	if (!parameter->option)
		(void)printf(".It Ar %s\n", parameter->metavar);
	else if (!parameter->metavar && parameter->letter)
		(void)printf(".It Fl %c , Fl Fl %s\n", parameter->letter, parameter->option);
	else if (!parameter->metavar)
		(void)printf(".It Fl Fl %s\n", parameter->option);
	else if (parameter->letter)
		(void)printf(".It Fl %c Ar %s , Fl Fl %s Ns = Ns Ar %s\n", parameter->letter, parameter->metavar,
			parameter->option, parameter->metavar);
	else
		(void)printf(".It Fl Fl %s Ns = Ns Ar %s\n", parameter->option, parameter->metavar);
	put_text(parameter->help);
	(void)puts(".");
}

static void put_command(const struct command *command)
{
	(void)printf(".It Cm %s", command->name);
	for (const struct parameter *parameter = command->parameters; parameter->type; parameter++) {
		if (parameter->option && !parameter->metavar)
			(void)printf(" Oo Fl Fl %s Oc", parameter->option);
		else if (parameter->option)
			(void)printf(" Oo Fl Fl %s Ns = Ns Ar %s Oc", parameter->option, parameter->metavar);
		else
			(void)printf(parameter->required ? " Ar %s" : " Oo Ar %s Oc", parameter->metavar);
	}
	if (command->watch)
		(void)printf(
			" Oo Fl Fl %s Ns Oo = Ns Ar %s Oc Oc", arguments_watch_option.name, arguments_watch_option.arg);
	(void)fputc('\n', stdout);
	put_text(command->summary);
	(void)puts(".");
	if (command->details)
		put_sentences(command->details);
	if (command->method)
		(void)printf("Method:\n.Sy %s .\n", command->method);
	if (!command->parameters[0].type && !command->watch)
		return;
	(void)puts(".Bl -tag -width Ds -compact");
	for (const struct parameter *parameter = command->parameters; parameter->type; parameter++)
		put_parameter(parameter);
	if (command->watch)
		(void)printf(".It Fl %c Oo Ar %s Oc , Fl Fl %s Ns Oo = Ns Ar %s Oc\n%s.\n", arguments_watch_option.key,
			arguments_watch_option.arg, arguments_watch_option.name, arguments_watch_option.arg,
			arguments_watch_option.doc);
	(void)puts(".El");
}

static void put_commands(void)
{
	(void)puts(".Bl -tag -width Ds");
	for (const struct command *command = commands; command->name; command++)
		put_command(command);
	(void)puts(".El");
}

static void put_options(void)
{
	(void)puts(".Bl -tag -width Ds");
	for (const struct argp_option *option = arguments_global_options; option->name; option++) {
		if (option->arg)
			(void)printf(".It Fl %c Ar %s , Fl Fl %s Ns = Ns Ar %s\n", option->key, option->arg,
				option->name, option->arg);
		else
			(void)printf(".It Fl %c , Fl Fl %s\n", option->key, option->name);
		put_text(option->doc);
		(void)puts(".");
	}
	(void)puts(
		".It Fl \\&? , Fl Fl help\nPrint help, for the program or for the command named before it, and exit.\n"
		".It Fl Fl usage\nPrint a short usage message and exit.\n"
		".It Fl V , Fl Fl version\nPrint the program's version and exit.\n"
		".El");
}

static void put_drops(void)
{
	(void)puts(".Bl -tag -width Ds -compact");
	for (unsigned int i = 0; i < PONT_DROP_COUNT; i++) {
		(void)printf(".It Cm %s\n", pont_drop_describe(i)->name);
		put_text(pont_drop_describe(i)->text);
		(void)fputc('\n', stdout);
	}
	(void)puts(".El");
}

static int put_page(const char *path)
{
	FILE *template = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!template) {
		(void)fprintf(stderr, "reference: %s: %s\n", path, strerror(errno));
		return EXIT_FAILURE;
	}
	while (getline(&line, &size, template) >= 0) {
		if (strcmp(line, ".\\\" COMMANDS\n") == 0)
			put_commands();
		else if (strcmp(line, ".\\\" OPTIONS\n") == 0)
			put_options();
		else if (strcmp(line, ".\\\" DROPS\n") == 0)
			put_drops();
		else
			(void)fputs(line, stdout);
	}
	free(line);
	(void)fclose(template);
	return EXIT_SUCCESS;
}

/* The options of a command, as words. */
static void put_option_words(const struct command *command)
{
	for (const struct parameter *parameter = command->parameters; parameter->type; parameter++)
		if (parameter->option)
			(void)printf(" --%s", parameter->option);
	if (command->watch)
		(void)printf(" --%s", arguments_watch_option.name);
}

/* Whether an argument of the command is a file that exists. */
static int takes_file(const struct command *command)
{
	for (const struct parameter *parameter = command->parameters; parameter->type; parameter++)
		if (parameter->type == PARAMETER_DOCUMENT || parameter->type == PARAMETER_PATH)
			return 1;
	return 0;
}

static void put_completion(void)
{
	(void)puts("# bash completion for pontlevis, made from its command table\n"
		   "_pontlevis()\n"
		   "{\n"
		   "\tlocal word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words= command= i\n"
		   "\tCOMPREPLY=()\n"
		   "\tif [[ $previous == --socket || $previous == -s ]]; then\n"
		   "\t\tCOMPREPLY=($(compgen -f -- \"$word\"))\n"
		   "\t\treturn\n"
		   "\tfi\n"
		   "\tif [[ $previous == --color || $previous == -c ]]; then\n"
		   "\t\tCOMPREPLY=($(compgen -W 'auto always never' -- \"$word\"))\n"
		   "\t\treturn\n"
		   "\tfi\n"
		   "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		   "\t\tcase ${COMP_WORDS[i]} in\n"
		   "\t\t-s | --socket | -T | --timeout | -c | --color) ((i++)) ;;\n"
		   "\t\t-*) ;;\n"
		   "\t\t*) command+=\"${command:+ }${COMP_WORDS[i]}\" ;;\n"
		   "\t\tesac\n"
		   "\tdone\n"
		   "\tcase $command in");
	(void)fputs("\t'') words='", stdout);
	for (const struct command *command = commands; command->name; command++) {
		size_t length = strcspn(command->name, " ");

		/* The first words of two-word commands stand together in the table. */
		if (command == commands || strncmp(command[-1].name, command->name, length + 1) != 0)
			(void)printf("%s%.*s", command == commands ? "" : " ", (int)length, command->name);
	}
	(void)puts("' ;;");
	for (const struct command *command = commands; command->name; command++) {
		size_t length = strcspn(command->name, " ");

		if (!command->name[length])
			continue;
		if (strncmp(command[-1].name, command->name, length + 1) != 0)
			(void)printf("\t'%.*s') words='", (int)length, command->name);
		(void)printf("%s ", command->name + length + 1);
		if (!command[1].name || strncmp(command[1].name, command->name, length + 1) != 0)
			(void)puts("' ;;");
	}
	for (const struct command *command = commands; command->name; command++) {
		(void)printf("\t'%s'*) words='", command->name);
		put_option_words(command);
		(void)puts(takes_file(command) ? "' COMPREPLY=($(compgen -f -- \"$word\")) ;;" : "' ;;");
	}
	(void)fputs("\tesac\n\t[[ $word == -* ]] && words+='", stdout);
	for (const struct argp_option *option = arguments_global_options; option->name; option++)
		(void)printf(" --%s", option->name);
	(void)puts(" --help --version'\n"
		   "\tCOMPREPLY+=($(compgen -W \"$words\" -- \"$word\"))\n"
		   "}\n"
		   "complete -F _pontlevis pontlevis");
}

int main(int argc, char **argv)
{
	int status = EXIT_SUCCESS;

	if (argc == 3 && strcmp(argv[1], "man") == 0) {
		status = put_page(argv[2]);
	} else if (argc == 2 && strcmp(argv[1], "completion") == 0) {
		put_completion();
	} else {
		(void)fputs("usage: reference man TEMPLATE | completion\n", stderr);
		status = EXIT_FAILURE;
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		status = EXIT_FAILURE;
	return status;
}
