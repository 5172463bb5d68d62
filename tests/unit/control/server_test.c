/* SPDX-License-Identifier: BSD-3-Clause */
/* The server runs in the test's own loop; clients are plain sockets driven between its turns. */
#include "control/rpc/server.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/rpc/socket.h"
#include "scratch.h"

static struct event_base *base;
static struct guarded_socket *guarded;
static struct rpc_server *server;

static json_t *echo(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)context;
	(void)who;
	(void)failure;
	return json_deep_copy(params);
}

static json_t *megabytes(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	size_t size = (size_t)json_integer_value(json_object_get(params, "count")) << 20;
	char *text = malloc(size + 1);
	json_t *json;

	(void)context;
	(void)who;
	(void)failure;
	memset(text, 'x', size);
	text[size] = '\0';
	json = json_string(text);
	free(text);
	return json;
}

/* A source of numbered lines: as many as there are, up to `limit`. */
static struct numbers {
	unsigned int given, limit;
	bool ended;
	char line[1024];
} numbers;

static const char *next_number(void *state, size_t *length)
{
	struct numbers *source = state;

	if (source->given == source->limit)
		return NULL;
	*length = (size_t)snprintf(
		source->line, sizeof(source->line), "{\"number\":%u,\"filler\":\"%0800u\"}", ++source->given, 0);
	return source->line;
}

static void end_numbers(void *state)
{
	((struct numbers *)state)->ended = true;
}

static json_t *subscribe(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct rpc_source source = {.next = next_number, .end = end_numbers, .state = &numbers};

	(void)context;
	(void)params;
	if (rpc_subscribe(who->client, &source) != 0)
		return rpc_fail(failure, RPC_SYSTEM, EALREADY, NULL, "subscribed already");
	return json_string("subscribed");
}

static json_t *unsubscribe(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)context;
	(void)params;
	(void)failure;
	return json_boolean(rpc_unsubscribe(who->client));
}

static const struct rpc_param echo_params[] = {{"text", RPC_STRING, true, 0, 0, "Text"}, {0}};
static const struct rpc_param megabytes_params[] = {{"count", RPC_INTEGER, true, 0, 0, "Megabytes"}, {0}};
static const struct rpc_method methods[] = {
	{"echo", RPC_ROLE_READ, "Says it again", echo_params, echo},
	{"megabytes", RPC_ROLE_READ, "Answers at length", megabytes_params, megabytes},
	{"subscribe", RPC_ROLE_READ, "Gives a source", NULL, subscribe},
	{"unsubscribe", RPC_ROLE_READ, "Takes it away", NULL, unsubscribe},
	{0},
};
static const struct rpc_method *const tables[] = {methods, NULL};

static void init(void)
{
	struct rpc_server_config config = {.registry = {.tables = tables}};
	struct error error = {0};

	scratch_make();
	cr_redirect_stderr();
	(void)signal(SIGPIPE, SIG_IGN); /* as in the process */
	base = event_base_new();
	guarded = guarded_socket_claim(scratch_path("s"), &error);
	config.fd = guarded_socket_listen(guarded, 0600, (gid_t)-1, &error);
	server = rpc_server_start(base, &config, &error);
	cr_assert_not_null(server, "%s", error.text);
}

static void fini(void)
{
	rpc_server_stop(server);
	guarded_socket_release(guarded);
	event_base_free(base);
	scratch_remove();
}

TestSuite(server, .init = init, .fini = fini, .timeout = 60);

static int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", scratch_path("s"));
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void turn(void)
{
	cr_assert(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

static void put(int fd, const char *text, size_t length)
{
	while (length != 0) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return; /* closed by the server */
		text += sent > 0 ? sent : 0;
		length -= sent > 0 ? (size_t)sent : 0;
		turn();
	}
}

static void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

/* The next line without its newline, "" at the end of the stream, NULL if nothing comes. The caller frees it. */
static char *hear(int fd)
{
	size_t used = 0, size = 1 << 16;
	char *line = malloc(size);

	for (int idle = 0; idle < 2000;) {
		ssize_t length;

		turn();
		length = recv(fd, line + used, 1, 0);
		if (length == 0 || (length < 0 && errno == ECONNRESET))
			break;
		if (length < 0) {
			struct pollfd pollfd = {.fd = fd, .events = POLLIN};

			(void)poll(&pollfd, 1, 1);
			idle++;
			continue;
		}
		idle = 0;
		if (line[used] == '\n')
			break;
		if (++used == size)
			line = realloc(line, size *= 2);
	}
	line[used] = '\0';
	return line;
}

static void expect(int fd, const char *part)
{
	char *line = hear(fd);

	cr_assert_not_null(strstr(line, part), "\"%.300s\" has no \"%s\"", line, part);
	free(line);
}

static void expect_end(int fd)
{
	char *line = hear(fd);

	cr_assert_str_eq(line, "");
	free(line);
}

#define ECHO(id, text) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"echo\",\"params\":{\"text\":\"" text "\"}}"

Test(server, answers_come_in_the_order_of_the_requests)
{
	int fd = connect_client();

	say(fd, ECHO("1", "a") "\n" ECHO("2", "b") "\n\n \r\n" ECHO("3", "c") "\n");
	expect(fd, "\"id\":1,\"result\":{\"text\":\"a\"}");
	expect(fd, "\"id\":2");
	expect(fd, "\"id\":3");
	(void)close(fd);
}

Test(server, message_may_come_byte_by_byte)
{
	static const char text[] = ECHO("1", "slowly") "\n";
	int fd = connect_client();

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		put(fd, text + i, 1);
	expect(fd, "slowly");
	(void)close(fd);
}

Test(server, malformed_message_does_not_end_the_connection)
{
	int fd = connect_client();

	say(fd, "{\"jsonrpc\": \n");
	expect(fd, "-32700");
	say(fd, ECHO("1", "still here") "\n");
	expect(fd, "still here");
	(void)close(fd);
}

Test(server, client_that_has_said_everything_still_gets_its_answers)
{
	int fd = connect_client();

	say(fd, ECHO("1", "a") "\n" ECHO("2", "b"));
	(void)shutdown(fd, SHUT_WR);
	expect(fd, "\"id\":1");
	expect(fd, "\"id\":2");
	expect_end(fd);
	(void)close(fd);
}

Test(server, message_of_the_largest_size_is_taken_and_a_longer_one_is_not)
{
	static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\",\"params\":{\"text\":\"";
	char *text = malloc(RPC_MESSAGE_MAX + 2);
	int fd = connect_client();

	memset(text, 'x', RPC_MESSAGE_MAX);
	memcpy(text, start, sizeof(start) - 1);
	memcpy(text + RPC_MESSAGE_MAX - 3, "\"}}\n", 4);
	put(fd, text, RPC_MESSAGE_MAX + 1);
	expect(fd, "-32601");
	memset(text, 'x', RPC_MESSAGE_MAX + 1);
	text[RPC_MESSAGE_MAX + 1] = '\n'; /* one byte more than there may be */
	put(fd, text, RPC_MESSAGE_MAX + 2);
	expect(fd, "a message has at most 16777216 bytes");
	expect_end(fd);
	(void)close(fd);
	free(text);
}

Test(server, client_that_never_ends_its_message_holds_up_nobody)
{
	int slow = connect_client(), quick = connect_client();

	say(slow, "{\"jsonrpc\":");
	say(quick, ECHO("1", "quick") "\n");
	expect(quick, "quick");
	(void)close(slow);
	(void)close(quick);
}

Test(server, client_that_takes_no_answers_is_not_read_any_more)
{
	static const char ask[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"megabytes\",\"params\":{\"count\":2}}\n";
	int lazy = connect_client(), other = connect_client();

	for (int i = 0; i < 200; i++) /* 400 MiB, were they all answered */
		(void)send(lazy, ask, sizeof(ask) - 1, MSG_NOSIGNAL);
	for (int i = 0; i < 50; i++)
		turn();
	say(other, ECHO("1", "hello") "\n");
	expect(other, "hello");
	for (int i = 0; i < 200; i++) { /* and then it gets them all */
		char *line = hear(lazy);

		cr_assert_eq(
			strlen(line), (2 << 20) + strlen("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"\"}"), "%d", i);
		free(line);
		if (i == 3)
			break;
	}
	(void)close(lazy);
	(void)close(other);
}

Test(server, answer_beyond_the_limit_closes_its_client_only)
{
	int greedy = connect_client(), other = connect_client();

	say(greedy, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"megabytes\",\"params\":{\"count\":65}}\n");
	expect_end(greedy);
	say(other, ECHO("1", "hello") "\n");
	expect(other, "hello");
	(void)close(greedy);
	(void)close(other);
}

Test(server, clients_have_a_limit_and_a_place_becomes_free_again)
{
	int fds[RPC_CLIENTS_MAX + 1];

	for (int i = 0; i <= RPC_CLIENTS_MAX; i++) {
		fds[i] = connect_client();
		turn();
	}
	expect(fds[RPC_CLIENTS_MAX], "too many clients");
	expect_end(fds[RPC_CLIENTS_MAX]);
	say(fds[0], ECHO("1", "first") "\n");
	expect(fds[0], "first");
	(void)close(fds[0]);
	turn();
	fds[0] = connect_client();
	say(fds[0], ECHO("1", "again") "\n");
	expect(fds[0], "again");
	for (int i = 0; i <= RPC_CLIENTS_MAX; i++)
		(void)close(fds[i]);
}

#define SUBSCRIBE   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n"
#define UNSUBSCRIBE "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"unsubscribe\"}\n"

Test(server, source_speaks_after_the_answer_and_whenever_there_is_news)
{
	int fd = connect_client();

	numbers.limit = 2;
	say(fd, SUBSCRIBE);
	expect(fd, "\"result\":\"subscribed\"");
	expect(fd, "\"number\":1,");
	expect(fd, "\"number\":2,");
	numbers.limit = 3;
	rpc_server_news(server);
	expect(fd, "\"number\":3,");
	say(fd, ECHO("7", "still here") "\n");
	expect(fd, "still here");
	(void)close(fd);
}

Test(server, client_has_one_source_until_it_gives_it_back)
{
	int fd = connect_client();

	say(fd, SUBSCRIBE SUBSCRIBE);
	expect(fd, "\"result\":\"subscribed\"");
	expect(fd, "EALREADY");
	say(fd, UNSUBSCRIBE);
	expect(fd, "\"result\":true");
	cr_assert(numbers.ended);
	numbers.limit = 1;
	rpc_server_news(server);
	say(fd, UNSUBSCRIBE);
	expect(fd, "\"result\":false");
	cr_assert_eq(numbers.given, 0);
	(void)close(fd);
}

Test(server, source_ends_with_the_connection)
{
	int fd = connect_client();

	say(fd, SUBSCRIBE);
	expect(fd, "subscribed");
	(void)close(fd);
	for (int i = 0; i < 100 && !numbers.ended; i++)
		turn();
	cr_assert(numbers.ended);
	rpc_server_news(server);
	turn();
}

/* What a slow client does not read waits in the source, not in the server. */
Test(server, source_is_asked_only_while_the_client_has_room)
{
	int fd = connect_client();
	unsigned int given;

	say(fd, SUBSCRIBE);
	expect(fd, "subscribed");
	numbers.limit = 100000;
	rpc_server_news(server);
	for (int i = 0; i < 1000; i++)
		turn();
	given = numbers.given;
	cr_assert_gt(given, 0);
	cr_assert_lt(given, 5000, "%u lines of 830 bytes were taken for a client that reads none", given);
	for (unsigned int i = 1; i <= 10000; i++) { /* it reads on, and nothing is missing */
		char part[32];

		(void)snprintf(part, sizeof(part), "\"number\":%u,", i);
		expect(fd, part);
	}
	(void)close(fd);
}

Test(server, subscribers_hear_the_last_words)
{
	int fd = connect_client();

	say(fd, SUBSCRIBE);
	expect(fd, "subscribed");
	numbers.limit = 1;
	rpc_server_stop(server);
	server = NULL;
	cr_assert(numbers.ended);
	expect(fd, "\"number\":1,");
	(void)close(fd);
}
