/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/notify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "scratch.h"

TestSuite(notify, .init = scratch_make, .fini = scratch_remove);

static void listen_and_compare(const struct sockaddr_un *address, socklen_t size, const char *name)
{
	char text[64] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	cr_assert_eq(bind(fd, (const struct sockaddr *)address, size), 0);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	notify("READY=1");
	cr_assert_eq(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 7);
	cr_assert_str_eq(text, "READY=1");
	(void)close(fd);
}

Test(notify, service_manager_gets_a_datagram)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", scratch_path("notify"));
	listen_and_compare(&address, sizeof(address), address.sun_path);
}

Test(notify, abstract_name_begins_with_an_at_sign)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];
	int length = snprintf(name, sizeof(name), "@pontlevis-test-%d", (int)getpid());

	memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
	listen_and_compare(&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length), name);
}

Test(notify, nothing_happens_without_a_service_manager)
{
	(void)unsetenv("NOTIFY_SOCKET");
	notify("READY=1");
}
