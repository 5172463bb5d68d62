/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/socket.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

TestSuite(guarded_socket, .init = scratch_make, .fini = scratch_remove);

Test(guarded_socket, second_claim_is_refused_and_names_path_and_process)
{
	struct error error = {0};
	struct guarded_socket *first = guarded_socket_claim(scratch_path("s"), &error);
	char pid[32];

	cr_assert_not_null(first, "%s", error.text);
	cr_assert(guarded_socket_listen(first, 0600, (gid_t)-1, &error) >= 0);
	cr_assert_null(guarded_socket_claim(scratch_path("s"), &error));
	cr_assert_eq(error.code, EBUSY);
	(void)snprintf(pid, sizeof(pid), "(process %d)", (int)getpid());
	cr_assert_not_null(strstr(error.text, pid), "%s", error.text);
	cr_assert_not_null(strstr(error.text, scratch_path("s")), "%s", error.text);
	cr_assert_eq(access(scratch_path("s"), F_OK), 0, "the live socket is still there");
	guarded_socket_release(first);
}

Test(guarded_socket, left_over_of_a_dead_process_is_taken_over)
{
	struct error error = {0};
	struct guarded_socket *guarded;
	pid_t child = fork();

	if (child == 0) {
		guarded = guarded_socket_claim(scratch_path("s"), &error);
		_exit(guarded != NULL && guarded_socket_listen(guarded, 0600, (gid_t)-1, &error) >= 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &(int){0}, 0), child);
	cr_assert_eq(access(scratch_path("s"), F_OK), 0);
	guarded = guarded_socket_claim(scratch_path("s"), &error);
	cr_assert_not_null(guarded, "%s", error.text);
	cr_assert(guarded_socket_listen(guarded, 0600, (gid_t)-1, &error) >= 0, "%s", error.text);
	guarded_socket_release(guarded);
}

Test(guarded_socket, file_has_the_mode_asked_for_and_goes_with_the_release)
{
	struct error error = {0};
	struct guarded_socket *guarded = guarded_socket_claim(scratch_path("s"), &error);
	struct stat status;

	cr_assert(guarded_socket_listen(guarded, 0660, (gid_t)-1, &error) >= 0);
	cr_assert_eq(stat(scratch_path("s"), &status), 0);
	cr_assert_eq(status.st_mode & 07777, 0660);
	guarded_socket_release(guarded);
	cr_assert_neq(access(scratch_path("s"), F_OK), 0);
}

Test(guarded_socket, claim_alone_touches_no_socket)
{
	struct error error = {0};
	struct guarded_socket *guarded;

	(void)scratch_file("s", "precious", 0600);
	guarded = guarded_socket_claim(scratch_path("s"), &error);
	cr_assert_not_null(guarded);
	cr_assert_eq(guarded_socket_listen(guarded, 0600, (gid_t)-1, &error), -1);
	cr_assert_eq(error.code, EEXIST);
	guarded_socket_release(guarded);
	cr_assert_eq(access(scratch_path("s"), F_OK), 0, "what is no socket is not removed");
}

Test(guarded_socket, name_that_is_too_long_is_refused)
{
	char path[300];
	struct error error = {0};

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	path[0] = '/';
	cr_assert_null(guarded_socket_claim(path, &error));
	cr_assert_eq(error.code, ENAMETOOLONG);
}
