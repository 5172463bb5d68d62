/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages in the language of who reads them (gettext; catalogues in po/). What the control process says, codes, JSON
 * and everything a program might read is the same in every language.
 */
#ifndef CONTROL_CLI_MESSAGES_H
#define CONTROL_CLI_MESSAGES_H

#include <libintl.h>

#define MESSAGES_DOMAIN "pontlevis"

/* Translates. */
#define _(text) gettext(text)
/* Marks a text of a table, which is translated where it is shown. */
#define N_(text) text

/* Takes the language from the environment. Before the first message. */
void messages_begin(void);

#endif
