/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/options.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(options, .timeout = 60);

enum { WORDS_MAX = 40 };

/* A command line in words, the program's name added. */
static int split(char *line, char **argv)
{
	static char name[] = "pontlevis-dataplane";
	char *rest = NULL;
	int argc = 0;

	argv[argc++] = name;
	for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		cr_assert_lt(argc, WORDS_MAX - 1);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return argc;
}

/* Ends the child as exit() was asked to, but without what the parent has registered for its own end. */
static void leave(int status, void *unused)
{
	(void)unused;
	(void)fflush(NULL);
	_exit(status);
}

/* Parses in a child; returns its exit status (100: it came back) and what it said on both streams. */
static int parse_in_child(const char *line, char *said, size_t size)
{
	int pipe_fd[2], status;
	size_t length = 0;
	pid_t child;

	cr_assert_eq(pipe(pipe_fd), 0);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		struct options options;
		char *copy = strdup(line), *argv[WORDS_MAX];

		(void)on_exit(leave, NULL);
		(void)dup2(pipe_fd[1], STDOUT_FILENO);
		(void)dup2(pipe_fd[1], STDERR_FILENO);
		(void)close(pipe_fd[0]);
		(void)close(pipe_fd[1]);
		options_parse(&options, split(copy, argv), argv);
		_exit(100);
	}
	(void)close(pipe_fd[1]);
	for (ssize_t got = 1; got > 0 && length + 1 < size; length += got > 0 ? (size_t)got : 0)
		got = read(pipe_fd[0], said + length, size - length - 1);
	said[length] = '\0';
	(void)close(pipe_fd[0]);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const struct {
	const char *line;
	const char *says; /* a part of the message that names the place */
} wrong[] = {
	{"", "no --port given"},
	{"-- -l 0,1", "no --port given"},
	{"--nonsense", "--nonsense"},
	{"--port a", "--port 'a' is not NAME:ROLE:DEVARGS"},
	{"--port a:access", "--port 'a:access' is not NAME:ROLE:DEVARGS"},
	{"--port :access:net_null0", "the name has 1 to 31 characters"},
	{"--port aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:access:net_null0", "the name has 1 to 31 characters"},
	{"--port a:lan:net_null0", "role 'lan' is neither access nor wan"},
	{"--port a::net_null0", "role '' is neither access nor wan"},
	{"--port a:accessory:net_null0", "role 'accessory' is neither access nor wan"},
	{"--port a:access:", "device arguments have 1 to 511 characters"},
	{"--port a:access:net_null0 --port a:wan:net_null1", "name a is used twice"},
	{"--port a:access:net_null0 --workers 0", "--workers '0' is not a number from 1 to 16"},
	{"--port a:access:net_null0 --workers 17", "--workers '17' is not a number from 1 to 16"},
	{"--port a:access:net_null0 --workers -1", "--workers '-1' is not a number"},
	{"--port a:access:net_null0 --workers 2x", "--workers '2x' is not a number"},
	{"--port a:access:net_null0 --workers 4294967297", "--workers '4294967297' is not a number"},
	{"--port a:access:net_null0 --workers 99999999999999999999999", "is not a number"},
	{"--port a:access:net_null0 --idle sleep", "--idle 'sleep' is neither poll nor backoff"},
	{"--port a:access:net_null0 --max-frame 63", "--max-frame '63' is not a number from 64 to 9018"},
	{"--port a:access:net_null0 --max-frame 9019", "--max-frame '9019' is not a number from 64 to 9018"},
	{"--port a:access:net_null0 --macs 15", "--macs '15' is not a number from 16 to 1048576"},
	{"--port a:access:net_null0 --sas 100", "--sas '100' is not a power of two"},
	{"--port a:access:net_null0 --sas 32", "--sas '32' is not a number from 64 to 131072"},
	{"--port a:access:net_null0 --sas 262144", "--sas '262144' is not a number from 64 to 131072"},
	{"--port a:access:net_null0 --buffers 1000", "--buffers '1000' is not a number from 1024 to 1048576"},
	{"--port a:access:net_null0 --twin a:tap0", "--twin 'a:tap0': port a is not a WAN port"},
	{"--port a:wan:net_null0 --twin b:tap0", "--twin 'b:tap0': no --port of that name stands before it"},
	{"--twin a:tap0 --port a:wan:net_null0", "--twin 'a:tap0': no --port of that name stands before it"},
	{"--port a:wan:net_null0 --twin a", "--twin 'a': no --port of that name"},
	{"--port a:wan:net_null0 --twin a:", "--twin 'a:': interface names have 1 to 15 characters"},
	{"--port a:wan:net_null0 --twin a:sixteencharacter", "interface names have 1 to 15 characters"},
	{"--port a:access:net_null0 stray", "unexpected argument 'stray'; EAL's arguments stand behind \"--\""},
	{"--port a:access:net_null0 stray -- -l 0", "unexpected argument 'stray'"},
};

Test(options, says_what_is_wrong_and_ends_with_status_2)
{
	char said[8192];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int status = parse_in_child(wrong[i].line, said, sizeof(said));

		cr_expect_eq(status, 2, "'%s': status %d", wrong[i].line, status);
		cr_expect_not_null(strstr(said, wrong[i].says), "'%s' says: %s", wrong[i].line, said);
	}
}

Test(options, takes_sixteen_ports_and_not_seventeen)
{
	char line[2048] = "", said[8192];

	for (unsigned int i = 0; i < 17; i++) {
		size_t length = strlen(line);

		if (i == 16)
			cr_expect_eq(parse_in_child(line, said, sizeof(said)), 100, "%s", said);
		(void)snprintf(line + length, sizeof(line) - length, " --port=p%u:access:net_null%u", i, i);
	}
	/* 17 options make more words than a line has here, so they are written with '='. */
	cr_expect_eq(parse_in_child(line, said, sizeof(said)), 2);
	cr_expect_not_null(strstr(said, "more than 16 ports"), "%s", said);
}

Test(options, explains_itself_with_status_0)
{
	char said[16384];

	cr_expect_eq(parse_in_child("--help", said, sizeof(said)), 0);
	cr_expect_not_null(strstr(said, "--port=NAME:ROLE:DEVARGS"), "%s", said);
	cr_expect_not_null(strstr(said, "EAL-ARGUMENTS"), "%s", said);
	cr_expect_eq(parse_in_child("--version", said, sizeof(said)), 0);
	cr_expect_eq(strncmp(said, "pontlevis-dataplane ", 20), 0, "%s", said);
}

static struct options parsed(char *line)
{
	static char *argv[WORDS_MAX];
	struct options options;

	options_parse(&options, split(line, argv), argv);
	return options;
}

Test(options, has_defaults)
{
	char line[] = "--port a:access:net_null0";
	struct options options = parsed(line);

	cr_expect_str_eq(options.link, "/run/pontlevis/dataplane.sock");
	cr_expect_eq(options.workers, 0);
	cr_expect_eq(options.idle, IDLE_BACKOFF);
	cr_expect_eq(options.frame_max, 1518);
	cr_expect_eq(options.port_count, 1);
	cr_expect_eq(options.eal_argc, 1);
	cr_expect_not(options.print_path);
}

Test(options, takes_what_it_is_given)
{
	char line[] =
		"-l /tmp/x.sock -p a:access:net_ring0 --port=b:wan:net_af_xdp0,iface=eth1,xdp_prog=/x:y.o "
		"--twin b:tap0 -w 3 --idle poll --max-frame 9018 --macs 16 --sas 64 --buffers 1024 -- -l 0,1 -m 64";
	struct options options = parsed(line);

	cr_expect_str_eq(options.link, "/tmp/x.sock");
	cr_expect_eq(options.port_count, 2);
	cr_expect_str_eq(options.port[0].name, "a");
	cr_expect_eq(options.port[0].role, PONT_PORT_ACCESS);
	cr_expect_str_eq(options.port[0].devargs, "net_ring0");
	cr_expect_str_empty(options.port[0].twin);
	cr_expect_str_eq(options.port[1].name, "b");
	cr_expect_eq(options.port[1].role, PONT_PORT_WAN);
	cr_expect_str_eq(options.port[1].devargs, "net_af_xdp0,iface=eth1,xdp_prog=/x:y.o");
	cr_expect_str_eq(options.port[1].twin, "tap0");
	cr_expect_eq(options.workers, 3);
	cr_expect_eq(options.idle, IDLE_POLL);
	cr_expect_eq(options.frame_max, 9018);
	cr_expect_eq(options.macs, 16);
	cr_expect_eq(options.sas, 64);
	cr_expect_eq(options.buffers, 1024);
	cr_assert_eq(options.eal_argc, 5);
	cr_expect_str_eq(options.eal_argv[1], "-l");
	cr_expect_str_eq(options.eal_argv[2], "0,1");
	cr_expect_str_eq(options.eal_argv[4], "64");
}

Test(options, needs_no_port_to_print_the_path)
{
	char line[] = "--print-path";

	cr_expect(parsed(line).print_path);
}
