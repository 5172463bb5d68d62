/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/document.h"
#include "control/cli/messages.h"
#include "control/cli/table.h"

enum {
	KEY_SOCKET = 's',
	KEY_JSON = 'j',
	KEY_TIMEOUT = 'T',
	KEY_COLOR = 'c',
	KEY_WATCH = 'w',
	/* Options of commands: this plus their place in the command's parameters. */
	KEY_PARAMETER = 0x1000,
	/* Columns of `pontlevis --help` before the summaries. */
	USAGE_COLUMNS = 26,
	/* In the help of a command: after its own options, before --help and --version (-1). */
	GLOBAL_GROUP = 1,
	GLOBAL_OPTIONS_MAX = 8,
	NAME_SIZE = 64,
};

const char *argp_program_version = "pontlevis " PONTLEVIS_VERSION;

const struct argp_option arguments_global_options[] = {
	{"socket", KEY_SOCKET, N_("PATH"), 0,
		N_("Socket of the control process (default: the environment's PONTLEVIS_SOCKET, or "
		   "/run/pontlevis/control.sock)"),
		0},
	{"json", KEY_JSON, NULL, 0, N_("Print the result as JSON, for programs"), 0},
	{"timeout", KEY_TIMEOUT, N_("SECONDS"), 0, N_("Wait so long for the answer (default 30)"), 0},
	{"color", KEY_COLOR, N_("WHEN"), 0,
		N_("Colours: auto (default; on a terminal, unless NO_COLOR is set), always or never"), 0},
	{0},
};

const struct argp_option arguments_watch_option = {"watch", KEY_WATCH, N_("SECONDS"), OPTION_ARG_OPTIONAL,
	N_("Ask again every so many seconds (default 2) until interrupted"), 0};

/* Reads a whole decimal number; false if the text is anything else. */
static bool parse_integer(const char *text, int64_t minimum, int64_t maximum, int64_t *out)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end || errno || strchr(" \t\n+", text[0]) || value < minimum || value > maximum)
		return false;
	*out = value;
	return true;
}

/* Seconds behind the option with "=", or as the word behind it: no command that takes the option takes numbers too. */
static unsigned int parse_watch(struct argp_state *state, const char *text)
{
	const char *next = state->next < state->argc ? state->argv[state->next] : "";
	int64_t number = 0;

	if (!text && (next[0] < '0' || next[0] > '9'))
		return ARGUMENTS_WATCH_DEFAULT_S;
	if (!text) {
		text = next;
		state->next++;
	}
	if (!parse_integer(text, 1, ARGUMENTS_WATCH_MAX_S, &number))
		argp_error(state, _("--watch takes seconds from 1 to %d, not \"%s\""), ARGUMENTS_WATCH_MAX_S, text);
	return (unsigned int)number;
}

static enum paint_when parse_color(struct argp_state *state, const char *text)
{
	static const char *const words[] = {[PAINT_AUTO] = "auto", [PAINT_ALWAYS] = "always", [PAINT_NEVER] = "never"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0)
			return (enum paint_when)i;
	argp_error(state, _("--color takes auto, always or never, not \"%s\""), text);
	return PAINT_NEVER;
}

static error_t parse_global(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	int64_t number = 0;

	switch (key) {
	case KEY_SOCKET:
		arguments->socket = text;
		return 0;
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case KEY_TIMEOUT:
		if (!parse_integer(text, 1, ARGUMENTS_TIMEOUT_MAX_S, &number))
			argp_error(state, _("--timeout takes seconds from 1 to %d, not \"%s\""),
				ARGUMENTS_TIMEOUT_MAX_S, text);
		arguments->timeout_s = (unsigned int)number;
		return 0;
	case KEY_COLOR:
		arguments->color = parse_color(state, text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* How messages call the parameter. */
static const char *parameter_name(const struct parameter *parameter, char name[NAME_SIZE])
{
	if (parameter->option)
		(void)snprintf(name, NAME_SIZE, "--%s", parameter->option);
	else
		(void)snprintf(name, NAME_SIZE, "%s", _(parameter->metavar));
	return name;
}

static json_t *read_document(struct argp_state *state, const char *path)
{
	struct error error;
	json_t *document = document_read(path, &error);

	if (!document)
		argp_failure(state, STATUS_USAGE, 0, "%s", error.text);
	return document;
}

static json_t *parse_params(struct argp_state *state, const char *text)
{
	const struct arguments *arguments = state->input;
	json_error_t place;
	json_t *params;

	if (strcmp(text, "-") == 0)
		return read_document(state, text);
	if (text[0] == '@')
		return read_document(state, text + 1);
	if (arguments->method && strncmp(arguments->method, "lab.", 4) == 0)
		argp_error(state, _("PARAMS of %s hold keys, which do not belong on a command line: use - or @FILE"),
			arguments->method);
	params = json_loads(text, JSON_REJECT_DUPLICATES, &place);
	if (!params)
		argp_error(state, _("PARAMS: column %d: %s"), place.column, place.text);
	if (!json_is_object(params))
		argp_error(state, _("PARAMS must be a JSON object, for example %s"), "{\"address\": \"192.0.2.1\"}");
	return params;
}

static json_t *parse_list(const char *text)
{
	json_t *list = json_array();

	while (list) {
		size_t length = strcspn(text, ",");

		if (length && json_array_append_new(list, json_stringn(text, length)) < 0) {
			json_decref(list);
			return NULL;
		}
		if (!text[length])
			break;
		text += length + 1;
	}
	return list;
}

static json_t *parse_value(struct argp_state *state, const struct parameter *parameter, const char *text)
{
	char name[NAME_SIZE];
	int64_t number = 0;

	switch (parameter->type) {
	case PARAMETER_INTEGER:
		if (!parse_integer(text, parameter->minimum, parameter->maximum, &number))
			argp_error(state, _("%s takes a number from %lld to %lld, not \"%s\""),
				parameter_name(parameter, name), (long long)parameter->minimum,
				(long long)parameter->maximum, text);
		return json_integer(number);
	case PARAMETER_DOCUMENT:
		return read_document(state, text);
	case PARAMETER_PARAMS:
		return parse_params(state, text);
	case PARAMETER_LIST:
		return parse_list(text);
	case PARAMETER_FLAG:
		return json_true();
	case PARAMETER_TEXT:
	case PARAMETER_PATH:
	default:
		if (!text[0])
			argp_error(state, _("%s is empty"), parameter_name(parameter, name));
		return json_string(text);
	}
}

static void take_value(struct argp_state *state, const struct parameter *parameter, const char *text)
{
	struct arguments *arguments = state->input;
	json_t *value = parse_value(state, parameter, text);
	char name[NAME_SIZE];

	if (!value)
		argp_failure(
			state, STATUS_USAGE, 0, _("%s: not UTF-8, or out of memory"), parameter_name(parameter, name));
	/* `call` names its method itself, and gives the params as a whole. */
	if (!arguments->command->method && !arguments->command->run && !arguments->command->answer) {
		if (parameter->type == PARAMETER_TEXT) {
			arguments->method = text;
			json_decref(value);
		} else {
			json_decref(arguments->params);
			arguments->params = value;
		}
		return;
	}
	if (json_object_set_new(arguments->params, parameter->member, value) < 0)
		argp_failure(state, STATUS_USAGE, 0, "%s", _("out of memory"));
}

/* The parameter that is positional argument number i, NULL if there are fewer. */
static const struct parameter *positional(const struct command *command, unsigned int i)
{
	for (const struct parameter *parameter = command->parameters; parameter->type; parameter++)
		if (!parameter->option && i-- == 0)
			return parameter;
	return NULL;
}

static error_t parse_command(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	const struct command *command = arguments->command;
	const struct parameter *parameter;

	switch (key) {
	case ARGP_KEY_ARG:
		parameter = positional(command, state->arg_num);
		if (!parameter)
			argp_error(state, _("unexpected argument \"%s\""), text);
		else
			take_value(state, parameter, text);
		return 0;
	case ARGP_KEY_END:
		parameter = positional(command, state->arg_num);
		if (parameter && parameter->required)
			argp_error(state, _("%s is missing"), _(parameter->metavar));
		return 0;
	case KEY_WATCH:
		if (!command->watch)
			break;
		arguments->watch_s = parse_watch(state, text);
		return 0;
	default:
		if (key < KEY_PARAMETER || key >= KEY_PARAMETER + COMMAND_PARAMETERS_MAX)
			break;
		take_value(state, &command->parameters[key - KEY_PARAMETER], text);
		return 0;
	}
	for (parameter = command->parameters; parameter->type; parameter++) {
		if (parameter->letter && key == parameter->letter) {
			take_value(state, parameter, text);
			return 0;
		}
	}
	return parse_global(key, text, state);
}

/* Second half of the command line: what belongs to the command, described to argp from the table. */
static void parse_rest(struct arguments *arguments, int argc, char **argv)
{
	const struct command *command = arguments->command;
	struct argp_option options[COMMAND_PARAMETERS_MAX + 3 + GLOBAL_OPTIONS_MAX] = {{0}};
	char usage[256] = "", doc[2048], name[NAME_SIZE];
	size_t used = 0, count = 0;
	struct argp argp = {.options = options, .parser = parse_command, .doc = doc};
	char *first = argv[0];

	for (size_t i = 0; command->parameters[i].type; i++) {
		const struct parameter *parameter = &command->parameters[i];

		if (parameter->option) {
			options[count].name = parameter->option;
			options[count].key = parameter->letter ? parameter->letter : KEY_PARAMETER + (int)i;
			options[count].arg = parameter->metavar;
			options[count++].doc = parameter->help;
		} else if (used < sizeof(usage)) {
			used += (size_t)snprintf(usage + used, sizeof(usage) - used,
				parameter->required ? "%s%s" : "%s[%s]", used ? " " : "", _(parameter->metavar));
		}
	}
	/* gettext() takes an empty text for the question what the catalogue is. */
	argp.args_doc = used ? usage : NULL;
	if (command->watch)
		options[count++] = arguments_watch_option;
	options[count].doc = N_("Global options:");
	options[count++].group = GLOBAL_GROUP;
	for (size_t i = 0; i < GLOBAL_OPTIONS_MAX && arguments_global_options[i].name; i++) {
		options[count] = arguments_global_options[i];
		options[count++].group = GLOBAL_GROUP;
	}
	used = (size_t)snprintf(doc, sizeof(doc), "%s.", _(command->summary));
	for (const struct parameter *parameter = command->parameters; parameter->type && used < sizeof(doc);
		parameter++)
		if (!parameter->option)
			used += (size_t)snprintf(doc + used, sizeof(doc) - used, "\n\n%s: %s.", _(parameter->metavar),
				_(parameter->help));
	if (command->details && used < sizeof(doc))
		(void)snprintf(doc + used, sizeof(doc) - used, "\v%s", _(command->details));
	(void)snprintf(name, sizeof(name), "pontlevis %s", command->name);
	argv[0] = name;
	(void)argp_parse(&argp, argc, argv, 0, NULL, arguments);
	argv[0] = first;
}

/* The first word begins commands of two, and is not followed by the second of any. */
static void take_wrong_command(struct argp_state *state, bool followed, char *const *argv)
{
	if (followed)
		argp_error(state, _("unknown command \"%s %s\""), argv[0], argv[1]);
	else
		argp_error(state, _("command \"%s\" is not complete"), argv[0]);
}

/* Finds the command in the arguments and parses the rest as its own. */
static void take_command(struct arguments *arguments, struct argp_state *state, int first)
{
	int words, argc = state->argc - first;
	char **argv = state->argv + first;

	arguments->command = command_find(argc, argv, &words);
	if (!arguments->command && words)
		take_wrong_command(state, argc > words, argv);
	if (!arguments->command) {
		argp_error(state, _("unknown command \"%s\""), argv[0]);
		return;
	}
	arguments->method = arguments->command->method;
	/* The last word of the command gives its place to the name of the program, as argp expects it. */
	parse_rest(arguments, argc - words + 1, argv + words - 1);
	state->next = state->argc;
}

static error_t parse_main(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		take_command(arguments, state, state->next - 1);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "%s", _("no command given"));
		return 0;
	default:
		return parse_global(key, text, state);
	}
}

static char *list_commands(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	(void)fprintf(out, "%s\n", _("Commands:"));
	for (const struct command *command = commands; command->name; command++) {
		char usage[256];

		command_usage(command, usage, sizeof(usage));
		if (text_width(usage) > USAGE_COLUMNS)
			(void)fprintf(out, "  %s\n  %*s", usage, USAGE_COLUMNS, "");
		else
			(void)fprintf(out, "  %s%*s", usage, USAGE_COLUMNS - (int)text_width(usage), "");
		(void)fprintf(out, "  %s\n", _(command->summary));
	}
	(void)fprintf(out, "\n%s\n\n%s", _("`pontlevis COMMAND --help` says more about one of them."),
		_("Exit status: 0 done; 1 refused by the control process (or by the file, for `key`); 2 wrong usage, "
		  "or a file that cannot be read; 3 the control process cannot be reached."));
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static char *filter_help(int key, const char *text, void *input)
{
	(void)input;
	if (key == ARGP_KEY_HELP_POST_DOC)
		return list_commands();
	/* Not a copy: argp tells its own text by the pointer. */
	return (char *)(uintptr_t)text;
}

void arguments_parse(struct arguments *arguments, int argc, char **argv)
{
	static const struct argp argp = {.options = arguments_global_options,
		.parser = parse_main,
		.args_doc = N_("COMMAND [ARGUMENT...]"),
		.doc = N_("Command line of a Pontlevis appliance, a plain client of the controller socket."),
		.help_filter = filter_help};
	const char *environment = getenv("PONTLEVIS_SOCKET");

	*arguments = (struct arguments){
		.socket = environment && environment[0] ? environment : ARGUMENTS_SOCKET_DEFAULT,
		.timeout_s = ARGUMENTS_TIMEOUT_DEFAULT_S,
		.params = json_object(),
	};
	argp_err_exit_status = STATUS_USAGE;
	(void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, arguments);
}

void arguments_free(struct arguments *arguments)
{
	json_decref(arguments->params);
	memset(arguments, 0, sizeof(*arguments));
}
