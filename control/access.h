/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may do what, as the configuration says it ("access"), and what of a configuration only some may change. */
#ifndef CONTROL_ACCESS_H
#define CONTROL_ACCESS_H

#include "control/control.h"
#include "control/rpc/method.h"

/*
 * Makes the roles of the configuration in force those of the controller socket, also for clients that are connected,
 * and lets whom it names connect. Without a configuration the options alone count.
 */
void access_follow(struct control *control);

/* Mode that the socket's file should have: that of the options, or 0666 if the configuration names anybody. */
mode_t access_socket_mode(const struct control *control);

/*
 * Whether somebody may turn one document (NULL: none yet) into another one. What keys are trusted or shared, how long
 * they live, and who may do what are a key officer's to change. -1 with the failure set if not.
 */
int access_check(const json_t *now, const json_t *wanted, const struct rpc_who *who, struct rpc_failure *failure);

/* A client asks for what is not its own: an event, limited in rate. */
void access_refused(void *control, const struct rpc_who *who, const char *text);

#endif
