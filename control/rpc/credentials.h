/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is at the other end of a Unix socket, and what that one may do. */
#ifndef CONTROL_RPC_CREDENTIALS_H
#define CONTROL_RPC_CREDENTIALS_H

#include <stdbool.h>
#include <sys/types.h>

#include "control/rpc/method.h"

struct rpc_roles {
	bool has_reader_group, has_writer_group;
	gid_t reader_group, writer_group;
};

/* Fills in a group by name or number; -1 with the error set. */
int credentials_group(const char *text, bool *has_group, gid_t *group, struct error *error);

/* The role of a user with these groups: root and this process' own user write, then the groups decide. */
enum rpc_role credentials_role(const struct rpc_roles *roles, uid_t uid, const gid_t *groups, size_t group_count);

/* Asks the kernel about the other end of the socket. -1 (errno) if it does not say. */
int credentials_read(int fd, const struct rpc_roles *roles, struct rpc_who *who);

#endif
