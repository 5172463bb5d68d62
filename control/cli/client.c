/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/client.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The number of the one request on the connection. */
enum { REQUEST_ID = 1, READ_AT_ONCE = 65536, BACKLOG_PAUSE_MS = 20 };

struct connection {
	int fd;
	const char *path;
	int64_t deadline_ms; /* CLOCK_MONOTONIC */
	char *buffer;
	size_t length;
	size_t capacity;
};

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int time_is_up(const struct connection *connection, struct error *error)
{
	return error_set(error, ETIMEDOUT, NULL, "%s: no answer in time", connection->path);
}

/* Waits until the socket is ready for the events, or until the deadline. */
static int wait_for(const struct connection *connection, short events, struct error *error)
{
	for (;;) {
		struct pollfd entry = {.fd = connection->fd, .events = events};
		int64_t left = connection->deadline_ms - now_ms();
		int ready;

		if (left <= 0)
			return time_is_up(connection, error);
		ready = poll(&entry, 1, left > 60000 ? 60000 : (int)left);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return error_set(error, errno, NULL, "%s: %s", connection->path, strerror(errno));
	}
}

static int dial(struct connection *connection, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(connection->path) >= sizeof(address.sun_path))
		return error_set(error, ENAMETOOLONG, NULL, "%s: longer than a socket's name may be (%zu bytes)",
			connection->path, sizeof(address.sun_path) - 1);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", connection->path);
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connection->fd < 0)
		return error_set(error, errno, NULL, "cannot make a socket: %s", strerror(errno));
	while (connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return error_set(error, errno, NULL, "%s: %s%s", connection->path, strerror(errno),
				errno == ENOENT || errno == ECONNREFUSED ? " (is pontlevis-control running?)" : "");
		/* Its queue of clients is full. A Unix socket cannot be polled for that. */
		if (now_ms() >= connection->deadline_ms)
			return time_is_up(connection, error);
		(void)poll(NULL, 0, BACKLOG_PAUSE_MS);
	}
	return 0;
}

/* Sends as much as the server takes: it may refuse and close before it has read everything, and its word counts. */
static int send_all(struct connection *connection, const char *text, size_t length, struct error *error)
{
	while (length) {
		ssize_t sent = send(connection->fd, text, length, MSG_NOSIGNAL);

		if (sent >= 0) {
			text += sent;
			length -= (size_t)sent;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return 0;
		} else if (errno == EAGAIN) {
			if (wait_for(connection, POLLOUT, error) < 0)
				return -1;
		} else if (errno != EINTR) {
			return error_set(error, errno, NULL, "%s: %s", connection->path, strerror(errno));
		}
	}
	return 0;
}

static int grow(struct connection *connection, struct error *error)
{
	size_t capacity = connection->capacity ? 2 * connection->capacity : 2 * (size_t)READ_AT_ONCE;
	char *buffer;

	if (connection->capacity - connection->length >= READ_AT_ONCE)
		return 0;
	if (connection->length > CLIENT_ANSWER_MAX)
		return error_set(error, EMSGSIZE, NULL, "%s: answer is longer than %d bytes", connection->path,
			CLIENT_ANSWER_MAX);
	buffer = realloc(connection->buffer, capacity);
	if (!buffer)
		return error_set(error, ENOMEM, NULL, "out of memory for the answer");
	connection->buffer = buffer;
	connection->capacity = capacity;
	return 0;
}

/* Reads one line more into the emptied buffer; what came behind it is lost, as nothing of ours can follow. */
static int read_line(struct connection *connection, size_t *line_length, struct error *error)
{
	size_t searched = 0;

	for (;;) {
		char *newline = searched < connection->length
					? memchr(connection->buffer + searched, '\n', connection->length - searched)
					: NULL;
		ssize_t received;

		if (newline) {
			*line_length = (size_t)(newline - connection->buffer);
			return 0;
		}
		searched = connection->length;
		if (grow(connection, error) < 0 || wait_for(connection, POLLIN, error) < 0)
			return -1;
		received = recv(connection->fd, connection->buffer + connection->length, READ_AT_ONCE, 0);
		if (received > 0)
			connection->length += (size_t)received;
		else if (received == 0)
			return error_set(
				error, ECONNRESET, NULL, "%s: connection closed without an answer", connection->path);
		else if (errno != EAGAIN && errno != EINTR)
			return error_set(error, errno, NULL, "%s: %s", connection->path, strerror(errno));
	}
}

/* Whether the message answers our request. An error without id answers what the server could not even read. */
static bool is_ours(const json_t *message)
{
	const json_t *id = json_object_get(message, "id");

	if (json_is_integer(id))
		return json_integer_value(id) == REQUEST_ID;
	return json_is_null(id) && json_is_object(json_object_get(message, "error"));
}

/* The next message, NULL with the error set. */
static json_t *read_message(struct connection *connection, struct error *error)
{
	json_error_t place;
	size_t length = 0;
	json_t *message;

	if (read_line(connection, &length, error) < 0)
		return NULL;
	message = json_loadb(connection->buffer, length, JSON_REJECT_DUPLICATES, &place);
	connection->length -= length + 1;
	memmove(connection->buffer, connection->buffer + length + 1, connection->length);
	if (!message)
		error_set(error, EPROTO, NULL, "%s: answer is not JSON: %s", connection->path, place.text);
	return message;
}

/* Reads lines up to the one that is for us; others are notifications. */
static enum client_outcome read_answer(struct connection *connection, json_t **answer, struct error *error)
{
	for (;;) {
		json_t *message = read_message(connection, error), *result, *refusal;

		if (!message)
			return CLIENT_UNREACHABLE;
		if (!is_ours(message)) {
			json_decref(message);
			continue;
		}
		result = json_object_get(message, "result");
		refusal = json_object_get(message, "error");
		*answer = json_incref(json_is_object(refusal) ? refusal : result);
		json_decref(message);
		if (json_is_object(refusal))
			return CLIENT_REFUSED;
		if (result)
			return CLIENT_ANSWERED;
		error_set(error, EPROTO, NULL, "%s: answer has neither result nor error", connection->path);
		return CLIENT_UNREACHABLE;
	}
}

/* The request as one line; NULL when out of memory. */
static char *request_line(const char *method, json_t *params)
{
	json_t *request = json_pack(
		"{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", REQUEST_ID, "method", method, "params", params);
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(request);
	return line;
}

static enum client_outcome ask(
	struct connection *connection, const char *method, json_t *params, json_t **answer, struct error *error)
{
	enum client_outcome outcome = CLIENT_UNREACHABLE;
	char *line = request_line(method, params);

	*answer = NULL;
	if (!line)
		error_set(error, ENOMEM, NULL, "the request cannot be written: not UTF-8, or out of memory");
	else if (dial(connection, error) == 0 && send_all(connection, line, strlen(line), error) == 0)
		outcome = read_answer(connection, answer, error);
	free(line);
	return outcome;
}

static void hang_up(struct connection *connection)
{
	free(connection->buffer);
	if (connection->fd >= 0)
		(void)close(connection->fd);
}

enum client_outcome client_call(const char *socket_path, unsigned int timeout_s, const char *method, json_t *params,
	json_t **answer, struct error *error)
{
	struct connection connection = {
		.fd = -1, .path = socket_path, .deadline_ms = now_ms() + (int64_t)timeout_s * 1000};
	enum client_outcome outcome = ask(&connection, method, params, answer, error);

	hang_up(&connection);
	return outcome;
}

enum client_outcome client_subscribe(const char *socket_path, unsigned int timeout_s, const char *method,
	json_t *params, bool (*take)(void *context, const json_t *notification), void *context, json_t **answer,
	struct error *error)
{
	struct connection connection = {
		.fd = -1, .path = socket_path, .deadline_ms = now_ms() + (int64_t)timeout_s * 1000};
	enum client_outcome outcome = ask(&connection, method, params, answer, error);
	bool more = true;

	connection.deadline_ms = INT64_MAX;
	while (outcome == CLIENT_ANSWERED && more) {
		json_t *notification = read_message(&connection, error);

		if (!notification)
			outcome = CLIENT_UNREACHABLE;
		else
			more = take(context, notification);
		json_decref(notification);
	}
	hang_up(&connection);
	return outcome;
}
