/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/document.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/messages.h"

json_t *document_read(const char *path, struct error *error)
{
	bool standard_input = strcmp(path, "-") == 0;
	const char *name = standard_input ? _("standard input") : path;
	FILE *file = standard_input ? stdin : fopen(path, "re");
	json_error_t place;
	json_t *document;

	if (!file) {
		error_set(error, errno, NULL, "%s: %s", name, strerror(errno));
		return NULL;
	}
	errno = 0;
	document = json_loadf(file, JSON_REJECT_DUPLICATES, &place);
	if (ferror(file))
		error_set(error, errno ? errno : EIO, NULL, "%s: %s", name, strerror(errno ? errno : EIO));
	else if (!document)
		error_set(error, EINVAL, NULL, "%s:%d:%d: %s", name, place.line, place.column, place.text);
	else if (!json_is_object(document))
		error_set(error, EINVAL, NULL, "%s: not a JSON object", name);
	if (ferror(file) || (document && !json_is_object(document))) {
		json_decref(document);
		document = NULL;
	}
	if (!standard_input)
		(void)fclose(file);
	return document;
}
