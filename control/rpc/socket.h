/* SPDX-License-Identifier: BSD-3-Clause */
/* A listening Unix stream socket that a second process cannot take away: its name is guarded by a lock file. */
#ifndef CONTROL_RPC_SOCKET_H
#define CONTROL_RPC_SOCKET_H

#include <sys/types.h>

#include "control/error.h"

struct guarded_socket;

/*
 * Takes the lock PATH.lock, and with it the right to PATH; nothing is listened on yet. EBUSY names the process that has
 * it. The lock goes with the process, however it ends.
 */
struct guarded_socket *guarded_socket_claim(const char *path, struct error *error);
/*
 * Listens (an old socket of a dead process is removed). mode: of the file; group: its owner group, -1: as it is.
 * Returns the file descriptor, which stays with the socket, or -1.
 */
int guarded_socket_listen(struct guarded_socket *guarded, mode_t mode, gid_t group, struct error *error);
/* Another mode for the file that is listened on; that it cannot be changed is told on stderr. */
void guarded_socket_set_mode(const struct guarded_socket *guarded, mode_t mode);
/* Removes the socket, if it was listened on, and gives the lock back. */
void guarded_socket_release(struct guarded_socket *guarded);

#endif
