/* SPDX-License-Identifier: BSD-3-Clause */
/* A JSON object from a file or from standard input. */
#ifndef CONTROL_CLI_DOCUMENT_H
#define CONTROL_CLI_DOCUMENT_H

#include <jansson.h>

#include "control/error.h"

/* path "-": standard input. NULL with the error set, which names file, line and column. The caller owns the result. */
json_t *document_read(const char *path, struct error *error);

#endif
