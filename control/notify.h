/* SPDX-License-Identifier: BSD-3-Clause */
/* Tells the service manager how far the process is: a datagram to $NOTIFY_SOCKET, nothing without one. */
#ifndef CONTROL_NOTIFY_H
#define CONTROL_NOTIFY_H

/* state: "READY=1", "STOPPING=1", ... as in sd_notify(3). */
void notify(const char *state);

#endif
