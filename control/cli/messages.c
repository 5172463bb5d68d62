/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/messages.h"

#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The catalogues of a build that is not installed lie beside the program. */
static bool find_beside(char path[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *end;

	if (length < 0)
		return false;
	path[length] = '\0';
	end = strrchr(path, '/');
	if (!end || end + sizeof("/po") > path + PATH_MAX)
		return false;
	memcpy(end, "/po", sizeof("/po"));
	return access(path, X_OK) == 0;
}

/* The locale that the environment asks messages to be in; NULL: none. */
static const char *wanted(void)
{
	static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *value = getenv(variables[i]);

		if (value && value[0])
			return value;
	}
	return NULL;
}

void messages_begin(void)
{
	const char *language = getenv("LANGUAGE");
	char path[PATH_MAX];

	/*
	 * An appliance seldom has more locales than C.UTF-8, without which gettext would look into no catalogue. Then
	 * the name of the locale that is missing is as good as LANGUAGE.
	 */
	if (!setlocale(LC_MESSAGES, "") && setlocale(LC_MESSAGES, "C.UTF-8") && wanted() && (!language || !language[0]))
		(void)setenv("LANGUAGE", wanted(), 1);
	(void)setlocale(LC_CTYPE, "");
	(void)bindtextdomain(MESSAGES_DOMAIN, find_beside(path) ? path : PONTLEVIS_LOCALE_DIRECTORY);
	/* As everything else that is printed: names, and what the control process says. */
	(void)bind_textdomain_codeset(MESSAGES_DOMAIN, "UTF-8");
	(void)textdomain(MESSAGES_DOMAIN);
}
