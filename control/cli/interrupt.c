/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "control/cli/command.h"

/* Nothing is half done: every report is written before the next one is waited for. */
static void end(int number)
{
	static const char plain[] = "\033[0m\n";

	(void)number;
	if (isatty(STDOUT_FILENO))
		(void)!write(STDOUT_FILENO, plain, sizeof(plain) - 1);
	_exit(STATUS_OK);
}

void interrupt_ends(void)
{
	const struct sigaction ending = {.sa_handler = end};

	(void)sigaction(SIGINT, &ending, NULL);
	(void)sigaction(SIGTERM, &ending, NULL);
}
