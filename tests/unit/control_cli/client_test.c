/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/client.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "capture.h"

static char path[64];

/* A server that reads one line, sends the bytes (in two pieces) and closes; "hang": keeps silent instead. */
static void serve(const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client;
	size_t half = strlen(answer) / 2;
	char request[4096];

	(void)snprintf(path, sizeof(path), "/tmp/pontlevis-test-%d.sock", (int)getpid());
	(void)strcpy(address.sun_path, path);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	if (fork() != 0) {
		(void)close(listener);
		return;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	client = accept(listener, NULL, NULL);
	(void)!read(client, request, sizeof(request));
	if (strcmp(answer, "hang") == 0)
		(void)pause();
	(void)!write(client, answer, half);
	(void)usleep(20000);
	(void)!write(client, answer + half, strlen(answer) - half);
	(void)close(client);
	_exit(0);
}

static void remove_socket(void)
{
	if (path[0])
		(void)unlink(path);
}

TestSuite(client, .fini = remove_socket, .timeout = 20);

static enum client_outcome call(json_t **answer, struct error *error)
{
	json_t *params = json_object();
	enum client_outcome outcome = client_call(path, 2, "version", params, answer, error);

	json_decref(params);
	return outcome;
}

Test(client, takes_the_result_that_answers_its_request)
{
	struct error error = {0};
	json_t *answer;

	serve("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}\n"
	      "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"another\"}\n"
	      "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"name\":\"x\"}}\n");
	cr_assert_eq(call(&answer, &error), CLIENT_ANSWERED, "%s", error.text);
	cr_expect_str_eq(json_string_value(json_object_get(answer, "name")), "x");
	json_decref(answer);
}

Test(client, takes_null_as_a_result)
{
	struct error error = {0};
	json_t *answer;

	serve("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n");
	cr_assert_eq(call(&answer, &error), CLIENT_ANSWERED, "%s", error.text);
	cr_expect(json_is_null(answer));
}

Test(client, gives_the_servers_error_object)
{
	static const char *const ids[] = {"1", "null"};

	for (size_t i = 0; i < 2; i++) {
		struct error error = {0};
		char text[256];
		json_t *answer;

		(void)snprintf(text, sizeof(text),
			"{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32001,\"message\":\"no\"}}\n", ids[i]);
		serve(text);
		cr_assert_eq(call(&answer, &error), CLIENT_REFUSED, "id %s: %s", ids[i], error.text);
		cr_expect_eq(json_integer_value(json_object_get(answer, "code")), -32001);
		json_decref(answer);
		remove_socket();
	}
}

Test(client, does_not_take_nonsense_for_an_answer)
{
	static const struct {
		const char *answer, *expected;
	} cases[] = {
		{"", "closed"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}", "closed"},
		{"hello\n", "not JSON"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}\n", "neither"},
		{"[]\n", "closed"},
		{"hang", "in time"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error error = {0};
		json_t *answer;

		serve(cases[i].answer);
		cr_expect_eq(call(&answer, &error), CLIENT_UNREACHABLE, "case %zu", i);
		cr_expect(strstr(error.text, cases[i].expected), "case %zu: %s", i, error.text);
		cr_expect(strstr(error.text, path), "\"%s\" names the socket", error.text);
		cr_expect(!answer);
		remove_socket();
	}
}

Test(client, reads_a_long_answer)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"", tail[] = "\"}\n";
	enum { LENGTH = 3 << 20 };
	static char text[sizeof(head) + LENGTH + sizeof(tail)];
	struct error error = {0};
	json_t *answer;

	memcpy(text, head, sizeof(head) - 1);
	memset(text + sizeof(head) - 1, 'x', LENGTH);
	memcpy(text + sizeof(head) - 1 + LENGTH, tail, sizeof(tail));
	serve(text);
	cr_assert_eq(call(&answer, &error), CLIENT_ANSWERED, "%s", error.text);
	cr_expect_eq(json_string_length(answer), LENGTH);
	json_decref(answer);
}

Test(client, says_when_nobody_listens)
{
	struct error error = {0};
	json_t *answer;

	(void)strcpy(path, "/tmp/pontlevis-test-none.sock");
	cr_expect_eq(call(&answer, &error), CLIENT_UNREACHABLE);
	cr_expect_eq(error.code, ENOENT);
	cr_expect(strstr(error.text, "is pontlevis-control running?"));
}

Test(client, refuses_a_path_that_no_socket_can_have)
{
	struct error error = {0};
	json_t *answer, *params = json_object();
	char name[300];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_expect_eq(client_call(name, 2, "version", params, &answer, &error), CLIENT_UNREACHABLE);
	cr_expect_eq(error.code, ENAMETOOLONG);
	json_decref(params);
}

static bool take_two(void *context, const json_t *notification)
{
	char *seen = context;

	(void)strcat(seen, json_string_value(json_object_get(notification, "method")));
	return strlen(seen) < 2;
}

static enum client_outcome subscribe(char *seen, struct error *error)
{
	json_t *params = json_object(), *answer;
	enum client_outcome outcome =
		client_subscribe(path, 2, "events.subscribe", params, take_two, seen, &answer, error);

	json_decref(params);
	json_decref(answer);
	return outcome;
}

Test(client, gives_notifications_after_the_answer_until_it_is_enough)
{
	struct error error = {0};
	char seen[16] = "";

	serve("{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n"
	      "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"b\"}\n"
	      "{\"jsonrpc\":\"2.0\",\"method\":\"c\"}\n");
	cr_assert_eq(subscribe(seen, &error), CLIENT_ANSWERED, "%s", error.text);
	cr_assert_str_eq(seen, "ab");
}

Test(client, end_of_a_subscription_is_an_error)
{
	struct error error = {0};
	char seen[16] = "";

	serve("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n");
	cr_assert_eq(subscribe(seen, &error), CLIENT_UNREACHABLE);
	cr_assert_str_eq(seen, "a");
	cr_assert_eq(error.code, ECONNRESET);
}

Test(client, refused_subscription_gives_nothing)
{
	struct error error = {0};
	char seen[16] = "";

	serve("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"no\"}}\n"
	      "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n");
	cr_assert_eq(subscribe(seen, &error), CLIENT_REFUSED);
	cr_assert_str_eq(seen, "");
}
