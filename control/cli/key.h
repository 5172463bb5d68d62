/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands around key files. They need no control process, and no key passes arguments or output. */
#ifndef CONTROL_CLI_KEY_H
#define CONTROL_CLI_KEY_H

#include <jansson.h>

/* arguments: {"file": path}. Return exit statuses (command.h). */
int key_generate(const json_t *arguments);
int key_public(const json_t *arguments);
int key_signing_public(const json_t *arguments);

#endif
