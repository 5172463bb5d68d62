/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/credentials.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct row {
	struct rpc_roles roles;
	uid_t uid;
	gid_t groups[3];
	unsigned int wanted;
};

/* The configuration of all rows: two users, two groups, one of each twice. */
static const struct rpc_grant grants[] = {
	{false, 4711, RPC_ROLE_OPERATE},
	{false, 4712, RPC_ROLE_READ},
	{false, 4711, RPC_ROLE_KEYS},
	{true, 40, RPC_ROLE_KEYS},
	{true, 41, RPC_ROLE_READ},
	{true, 40, RPC_ROLE_READ},
};

#define GRANTS .grants = grants, .grant_count = sizeof(grants) / sizeof(grants[0])

ParameterizedTestParameters(credentials, roles_follow_from_user_and_groups)
{
	static struct row rows[] = {
		{{.has_reader_group = false}, 0, {0, 0, 0}, RPC_ROLE_ALL},
		{{.has_reader_group = false}, 4711, {0, 20, 30}, 0},
		{{.has_reader_group = true, .reader_group = 30}, 4711, {10, 20, 30}, RPC_ROLE_READ},
		{{.has_reader_group = true, .reader_group = 31}, 4711, {10, 20, 30}, 0},
		{{.has_writer_group = true, .writer_group = 10}, 4711, {10, 20, 30}, RPC_ROLE_ALL},
		{{true, true, 20, 30, NULL, 0}, 4711, {10, 20, 30}, RPC_ROLE_ALL},
		{{true, true, 20, 31, NULL, 0}, 4711, {10, 20, 30}, RPC_ROLE_READ},
		/* Group 0 counts only if it was named. */
		{{.has_reader_group = false, .reader_group = 0}, 4711, {0, 0, 0}, 0},
		/* Grants add up; whoever changes something may read too; a number is a user's or a group's, not both.
		 */
		{{GRANTS}, 4711, {10, 20, 30}, RPC_ROLE_ALL},
		{{GRANTS}, 4712, {10, 20, 30}, RPC_ROLE_READ},
		{{GRANTS}, 4713, {10, 20, 40}, RPC_ROLE_READ | RPC_ROLE_KEYS},
		{{GRANTS}, 4713, {41, 20, 30}, RPC_ROLE_READ},
		{{GRANTS}, 4712, {10, 40, 30}, RPC_ROLE_READ | RPC_ROLE_KEYS},
		{{GRANTS}, 40, {4711, 4712, 30}, 0},
		{{GRANTS, .has_reader_group = true, .reader_group = 30}, 4713, {10, 20, 30}, RPC_ROLE_READ},
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct row *row, credentials, roles_follow_from_user_and_groups)
{
	/* Rows are copied to another process: the grants are there too, at their own address. */
	row->roles.grants = grants;
	cr_assert_eq(credentials_roles(&row->roles, row->uid, row->groups, 3), row->wanted);
}

Test(credentials, kernel_says_who_is_at_the_other_end)
{
	struct rpc_roles roles = {0};
	struct rpc_who who;
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cr_assert_eq(credentials_read(ends[0], &roles, &who), 0);
	cr_assert_eq(who.uid, geteuid());
	cr_assert_eq(who.pid, getpid());
	cr_assert_eq(who.roles, RPC_ROLE_ALL);
}

Test(credentials, groups_are_found_by_name_and_number)
{
	struct error error = {0};
	bool has = false;
	gid_t group = 1;

	cr_assert_eq(credentials_group("root", &has, &group, &error), 0);
	cr_assert(has && group == 0);
	cr_assert_eq(credentials_group("12345", &has, &group, &error), 0);
	cr_assert_eq(group, 12345);
	cr_assert_eq(credentials_group("no-such-group", &has, &group, &error), -1);
	cr_assert_eq(credentials_group("-1", &has, &group, &error), -1);
	cr_assert_eq(credentials_group("", &has, &group, &error), -1);
}
