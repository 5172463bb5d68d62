/* SPDX-License-Identifier: BSD-3-Clause */
/* What command lines of programs over EAL have in common: numbers within bounds, and EAL's own arguments behind "--".
 */
#ifndef DATAPLANE_COMMAND_LINE_H
#define DATAPLANE_COMMAND_LINE_H

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The value of --name; what is not a decimal number from low to high is wrong usage, which ends the program. */
static inline unsigned long command_line_number(
	const struct argp_state *state, const char *name, const char *text, unsigned long low, unsigned long high)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < low || value > high)
		argp_error(state, "--%s '%s' is not a number from %lu to %lu", name, text, low, high);
	return value;
}

/*
 * For ARGP_KEY_ARG, parsed ARGP_IN_ORDER: takes everything behind "--" for EAL, with the "--" in the place of the
 * program's name. An argument that stands elsewhere is wrong usage.
 */
static inline void command_line_take_eal(
	struct argp_state *state, const char *argument, int *eal_argc, char ***eal_argv)
{
	if (state->next < 2 || strcmp(state->argv[state->next - 2], "--") != 0)
		argp_error(state, "unexpected argument '%s'; EAL's arguments stand behind \"--\"", argument);
	*eal_argc = state->argc - state->next + 2;
	*eal_argv = state->argv + state->next - 2;
	state->next = state->argc;
}

#endif
