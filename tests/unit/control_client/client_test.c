/* SPDX-License-Identifier: BSD-3-Clause */
#include "pontlevis/client.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char path[64];

/*
 * A server that reads one request, sends the bytes (in two pieces) and closes; "hang": keeps silent instead; with "!"
 * before the bytes it waits for a second request first.
 */
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
	if (answer[0] == '!') {
		(void)!read(client, request, sizeof(request));
		answer++;
		half = strlen(answer) / 2;
	}
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

/* One call on a connection of its own. */
static enum pontlevis_outcome call(json_t **answer, struct pontlevis_error *error)
{
	struct pontlevis *connection = pontlevis_connect(path, 2000, error);
	enum pontlevis_outcome outcome = PONTLEVIS_LOST;

	*answer = NULL;
	if (connection)
		outcome = pontlevis_call(connection, "version", NULL, 2000, answer, error);
	pontlevis_close(connection);
	return outcome;
}

Test(client, takes_the_result_that_answers_its_request)
{
	struct pontlevis_error error = {0};
	json_t *answer;

	serve("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}\n"
	      "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"another\"}\n"
	      "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"name\":\"x\"}}\n");
	cr_assert_eq(call(&answer, &error), PONTLEVIS_ANSWERED, "%s", error.text);
	cr_expect_str_eq(json_string_value(json_object_get(answer, "name")), "x");
	json_decref(answer);
}

Test(client, takes_null_as_a_result)
{
	struct pontlevis_error error = {0};
	json_t *answer;

	serve("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n");
	cr_assert_eq(call(&answer, &error), PONTLEVIS_ANSWERED, "%s", error.text);
	cr_expect(json_is_null(answer));
}

Test(client, gives_the_servers_error_object)
{
	static const char *const ids[] = {"1", "null"};

	for (size_t i = 0; i < 2; i++) {
		struct pontlevis_error error = {0};
		char text[256];
		json_t *answer;

		(void)snprintf(text, sizeof(text),
			"{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32001,\"message\":\"no\"}}\n", ids[i]);
		serve(text);
		cr_assert_eq(call(&answer, &error), PONTLEVIS_REFUSED, "id %s: %s", ids[i], error.text);
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
		struct pontlevis_error error = {0};
		json_t *answer;

		serve(cases[i].answer);
		cr_expect_eq(call(&answer, &error), PONTLEVIS_LOST, "case %zu", i);
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
	struct pontlevis_error error = {0};
	json_t *answer;

	memcpy(text, head, sizeof(head) - 1);
	memset(text + sizeof(head) - 1, 'x', LENGTH);
	memcpy(text + sizeof(head) - 1 + LENGTH, tail, sizeof(tail));
	serve(text);
	cr_assert_eq(call(&answer, &error), PONTLEVIS_ANSWERED, "%s", error.text);
	cr_expect_eq(json_string_length(answer), LENGTH);
	json_decref(answer);
}

Test(client, says_when_nobody_listens)
{
	struct pontlevis_error error = {0};
	json_t *answer;

	(void)strcpy(path, "/tmp/pontlevis-test-none.sock");
	cr_expect_eq(call(&answer, &error), PONTLEVIS_LOST);
	cr_expect_eq(error.code, ENOENT);
	cr_expect(strstr(error.text, "is pontlevis-control running?"));
}

Test(client, refuses_a_path_that_no_socket_can_have)
{
	struct pontlevis_error error = {0};
	char name[300];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_null(pontlevis_connect(name, 2000, &error));
	cr_expect_eq(error.code, ENAMETOOLONG);
}

/* A connection to a server with this to say, and what came of its first call. */
static struct pontlevis *subscribed(const char *words, enum pontlevis_outcome wanted)
{
	struct pontlevis_error error = {0};
	struct pontlevis *connection;
	json_t *answer;

	serve(words);
	connection = pontlevis_connect(path, 2000, &error);
	cr_assert_not_null(connection, "%s", error.text);
	cr_assert_eq(pontlevis_call(connection, "events.subscribe", NULL, 2000, &answer, &error), wanted);
	json_decref(answer);
	return connection;
}

/* Whether the next notification has that method. */
static bool next_is(struct pontlevis *connection, const char *method)
{
	struct pontlevis_error error = {0};
	json_t *notification = pontlevis_next(connection, 2000, &error);
	const char *found = json_string_value(json_object_get(notification, "method"));
	bool same = found != NULL && strcmp(found, method) == 0;

	json_decref(notification);
	return same;
}

Test(client, gives_notifications_in_their_order_also_those_before_the_answer)
{
	struct pontlevis *connection =
		subscribed("{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"b\"}\n"
			   "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"method\":\"c\"}\n",
			PONTLEVIS_ANSWERED);
	struct pontlevis_error error = {0};

	cr_assert(next_is(connection, "a"));
	cr_assert(next_is(connection, "b"));
	cr_assert(next_is(connection, "c"));
	cr_assert_null(pontlevis_next(connection, 2000, &error));
	cr_assert_eq(error.code, ECONNRESET, "the end of the connection");
	pontlevis_close(connection);
}

Test(client, refused_call_says_so_and_the_connection_goes_on)
{
	struct pontlevis *connection = subscribed("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602}}\n"
						  "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":7}\n",
		PONTLEVIS_REFUSED);
	struct pontlevis_error error = {0};
	json_t *answer;

	cr_assert_eq(pontlevis_call(connection, "version", NULL, 2000, &answer, &error), PONTLEVIS_ANSWERED);
	cr_assert_eq(json_integer_value(answer), 7, "every call has a number of its own");
	json_decref(answer);
	pontlevis_close(connection);
}

Test(client, late_answer_is_not_taken_for_that_to_the_next_call)
{
	struct pontlevis_error error = {0};
	struct pontlevis *connection;
	json_t *answer;

	serve("!{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"late\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"right\"}"
	      "\n");
	connection = pontlevis_connect(path, 2000, &error);
	cr_assert_eq(pontlevis_call(connection, "a", NULL, 10, &answer, &error), PONTLEVIS_LOST);
	cr_assert_eq(error.code, ETIMEDOUT, "%s", error.text);
	cr_assert_null(answer);
	cr_assert_eq(
		pontlevis_call(connection, "b", NULL, 2000, &answer, &error), PONTLEVIS_ANSWERED, "%s", error.text);
	cr_assert_str_eq(json_string_value(answer), "right");
	json_decref(answer);
	pontlevis_close(connection);
}

Test(client, descriptor_tells_when_there_is_a_notification)
{
	struct pontlevis *connection =
		subscribed("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n"
			   "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":{\"text\":\"long enough to be cut\"}}\n",
			PONTLEVIS_ANSWERED);
	struct pollfd entry = {.fd = pontlevis_fd(connection), .events = POLLIN};
	struct pontlevis_error error = {0};
	json_t *notification = pontlevis_next(connection, 0, &error);

	while (notification == NULL && error.code == ETIMEDOUT) {
		cr_assert_eq(poll(&entry, 1, 2000), 1);
		notification = pontlevis_next(connection, 0, &error);
	}
	cr_assert_not_null(notification, "%s", error.text);
	json_decref(notification);
	pontlevis_close(connection);
}
