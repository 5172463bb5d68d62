/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/key.h"

#include <stdio.h>
#include <string.h>

#include "control/cli/command.h"
#include "control/cli/report.h"
#include "control/fence/bundle.h"
#include "control/keys/identity.h"

static int complain(const char *path, const struct error *error)
{
	/* The error names the file itself, as a rule. */
	if (strstr(error->text, path))
		report_failure("%s", error->text);
	else
		report_failure("%s: %s", path, error->text);
	return STATUS_REFUSED;
}

int key_generate(const json_t *arguments)
{
	const char *path = json_string_value(json_object_get(arguments, "file"));
	struct error error = {0};

	return identity_generate(path, &error) < 0 ? complain(path, &error) : STATUS_OK;
}

int key_public(const json_t *arguments)
{
	const char *path = json_string_value(json_object_get(arguments, "file"));
	char text[IDENTITY_TEXT_SIZE];
	struct error error = {0};
	struct identity *identity = identity_load(path, &error);

	if (!identity)
		return complain(path, &error);
	identity_public_text(identity->public_key, text);
	identity_free(identity);
	(void)puts(text);
	return STATUS_OK;
}

int key_signing_public(const json_t *arguments)
{
	const char *path = json_string_value(json_object_get(arguments, "file"));
	char text[BUNDLE_KEY_TEXT_SIZE];
	struct error error = {0};

	if (bundle_public_key(path, text, &error) < 0)
		return complain(path, &error);
	(void)puts(text);
	return STATUS_OK;
}
