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
	enum rpc_role role;
};

ParameterizedTestParameters(credentials, role_follows_from_user_and_groups)
{
	static struct row rows[] = {
		{{.has_reader_group = false}, 0, {0, 0, 0}, RPC_ROLE_WRITE},
		{{.has_reader_group = false}, 4711, {0, 20, 30}, RPC_ROLE_NONE},
		{{.has_reader_group = true, .reader_group = 30}, 4711, {10, 20, 30}, RPC_ROLE_READ},
		{{.has_reader_group = true, .reader_group = 31}, 4711, {10, 20, 30}, RPC_ROLE_NONE},
		{{.has_writer_group = true, .writer_group = 10}, 4711, {10, 20, 30}, RPC_ROLE_WRITE},
		{{true, true, 20, 30}, 4711, {10, 20, 30}, RPC_ROLE_WRITE},
		{{true, true, 20, 31}, 4711, {10, 20, 30}, RPC_ROLE_READ},
		/* Group 0 counts only if it was named. */
		{{.has_reader_group = false, .reader_group = 0}, 4711, {0, 0, 0}, RPC_ROLE_NONE},
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct row *row, credentials, role_follows_from_user_and_groups)
{
	cr_assert_eq(credentials_role(&row->roles, row->uid, row->groups, 3), row->role);
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
	cr_assert_eq(who.role, RPC_ROLE_WRITE);
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
