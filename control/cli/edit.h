/* SPDX-License-Identifier: BSD-3-Clause */
/* `config edit`: the current configuration in an editor, and what comes out of it committed. */
#ifndef CONTROL_CLI_EDIT_H
#define CONTROL_CLI_EDIT_H

#include <jansson.h>

#include "pontlevis/client.h"

/*
 * Gets the configuration, has $VISUAL, $EDITOR or vi change it in a file that only its owner may read, and commits it
 * unless it is the same or another revision has come meanwhile. arguments: those of config.commit that there are
 * besides. *result: that of config.commit, NULL if nothing was committed. Returns an exit status; the file stays if its
 * content is not in force.
 */
int edit_config(struct pontlevis *connection, int timeout_ms, const json_t *arguments, json_t **result);

#endif
