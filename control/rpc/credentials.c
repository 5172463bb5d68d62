/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/credentials.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int credentials_group(const char *text, bool *has_group, gid_t *group, struct error *error)
{
	const struct group *entry = getgrnam(text);
	char *end;
	unsigned long number;

	*has_group = true;
	if (entry != NULL) {
		*group = entry->gr_gid;
		return 0;
	}
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || number >= (gid_t)-1)
		return error_set(error, ENOENT, NULL, "there is no group \"%s\"", text);
	*group = (gid_t)number;
	return 0;
}

static bool is_in(gid_t group, const gid_t *groups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

unsigned int credentials_roles(const struct rpc_roles *roles, uid_t uid, const gid_t *groups, size_t group_count)
{
	unsigned int found = 0;

	if (uid == 0 || uid == geteuid())
		return RPC_ROLE_ALL;
	if (roles->has_writer_group && is_in(roles->writer_group, groups, group_count))
		return RPC_ROLE_ALL;
	if (roles->has_reader_group && is_in(roles->reader_group, groups, group_count))
		found |= RPC_ROLE_READ;
	for (size_t i = 0; i < roles->grant_count; i++) {
		const struct rpc_grant *grant = &roles->grants[i];

		if (grant->is_group ? is_in(grant->id, groups, group_count) : grant->id == uid)
			found |= grant->roles | RPC_ROLE_READ;
	}
	return found;
}

/* Groups of the other end, primary one first; an array of the caller's, NULL on error. */
static gid_t *read_groups(int fd, gid_t primary, size_t *count)
{
	socklen_t size = 0;
	gid_t *groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) != 0 && errno != ERANGE)
		return NULL;
	groups = malloc(sizeof(*groups) + size);
	if (groups == NULL)
		return NULL;
	groups[0] = primary;
	if (size != 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) != 0) {
		free(groups);
		return NULL;
	}
	*count = 1 + size / sizeof(*groups);
	return groups;
}

int credentials_read(int fd, const struct rpc_roles *roles, struct rpc_who *who)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	const struct passwd *entry;
	size_t count = 0;
	gid_t *groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
		return -1;
	groups = read_groups(fd, credentials.gid, &count);
	if (groups == NULL)
		return -1;
	entry = getpwuid(credentials.uid);
	memset(who, 0, sizeof(*who));
	who->uid = credentials.uid;
	who->pid = credentials.pid;
	who->roles = credentials_roles(roles, credentials.uid, groups, count);
	(void)snprintf(who->user, sizeof(who->user), "%s", entry != NULL ? entry->pw_name : "");
	free(groups);
	return 0;
}
