/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is at the other end of a Unix socket, and what that one may do. */
#ifndef CONTROL_RPC_CREDENTIALS_H
#define CONTROL_RPC_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/rpc/method.h"

/* Roles for a user or for the members of a group. */
struct rpc_grant {
	bool is_group;
	uint32_t id;        /* uid or gid */
	unsigned int roles; /* a set of enum rpc_role */
};

struct rpc_roles {
	bool has_reader_group, has_writer_group;
	gid_t reader_group, writer_group;
	const struct rpc_grant *grants; /* of the configuration; the owner's */
	size_t grant_count;
};

/* Fills in a group by name or number; -1 with the error set. */
int credentials_group(const char *text, bool *has_group, gid_t *group, struct error *error);

/* The set of roles of a user with these groups: all for root and this process' own user, else what they are granted. */
unsigned int credentials_roles(const struct rpc_roles *roles, uid_t uid, const gid_t *groups, size_t group_count);

/* Asks the kernel about the other end of the socket. -1 (errno) if it does not say. */
int credentials_read(int fd, const struct rpc_roles *roles, struct rpc_who *who);

#endif
