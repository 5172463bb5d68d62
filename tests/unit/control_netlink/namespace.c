/* SPDX-License-Identifier: BSD-3-Clause */
#include "namespace.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static pid_t far;

__attribute__((format(printf, 2, 0))) static int execute(const char *prefix, const char *format, va_list arguments)
{
	char command[512];
	int length = snprintf(command, sizeof(command), "%s", prefix);

	(void)vsnprintf(command + length, sizeof(command) - (size_t)length, format, arguments);
	return system(command);
}

void run(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	cr_assert_eq(execute("", format, arguments), 0, "%s", format);
	va_end(arguments);
}

void run_far(const char *format, ...)
{
	va_list arguments;
	char prefix[64];

	(void)snprintf(prefix, sizeof(prefix), "nsenter -t %d -n ", (int)far);
	va_start(arguments, format);
	cr_assert_eq(execute(prefix, format, arguments), 0, "far: %s", format);
	va_end(arguments);
}

bool succeeds(const char *format, ...)
{
	va_list arguments;
	bool result;

	va_start(arguments, format);
	result = execute("", format, arguments) == 0;
	va_end(arguments);
	return result;
}

void namespace_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("no right to make a network namespace");
	run("ip link set lo up");
}

void namespace_build(void)
{
	int ready[2];
	char byte;

	namespace_enter();
	cr_assert_eq(pipe(ready), 0);
	far = fork();
	cr_assert_geq(far, 0);
	if (far == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	run("ip link add wan0 type veth peer name far0 netns %d", (int)far);
	run("ip address add 192.0.2.1/24 dev wan0");
	run("ip address add 2001:db8::1/64 dev wan0 nodad");
	run_far("ip address add 192.0.2.2/24 dev far0");
	run_far("ip address add 192.0.2.3/24 dev far0");
	run_far("ip address add 2001:db8::2/64 dev far0 nodad");
	run_far("ip address add 2001:db8::3/64 dev far0 nodad");
	run_far("ip link set far0 address 02:00:00:00:00:f0 up");
	run("ip link set wan0 address 02:00:00:00:00:01 up");
	/* The kernel takes note of the carrier a moment later. */
	for (int i = 0; i < 200 && !succeeds("ip link show wan0 | grep -q 'state UP'"); i++)
		(void)usleep(10000);
}

struct pont_address address(const char *text)
{
	struct pont_address out = {0};

	if (!text[0])
		return out;
	if (inet_pton(AF_INET, text, out.bytes) == 1)
		out.family = PONT_FAMILY_IPV4;
	else if (inet_pton(AF_INET6, text, out.bytes) == 1)
		out.family = PONT_FAMILY_IPV6;
	cr_assert(out.family, "%s is an address", text);
	return out;
}

uint32_t ifindex(const char *name)
{
	return if_nametoindex(name);
}
