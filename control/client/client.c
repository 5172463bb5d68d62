/* SPDX-License-Identifier: BSD-3-Clause */
#include "pontlevis/client.h"

#include <errno.h>
#include <libintl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { READ_AT_ONCE = 65536, BACKLOG_PAUSE_MS = 20 };

#define EXPORTED __attribute__((visibility("default")))

struct pontlevis {
	int fd;
	char *path;
	json_int_t last_id;  /* of the requests */
	json_t *early;       /* notifications that came while an answer was awaited, oldest first */
	int64_t deadline_ms; /* CLOCK_MONOTONIC, of the present call */
	char *buffer;
	size_t length;
	size_t capacity;
};

__attribute__((format(printf, 3, 4))) static int set_error(
	struct pontlevis_error *error, int code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	va_start(arguments, format);
	(void)vsnprintf(error->text, sizeof(error->text), dgettext("pontlevis", format), arguments);
	va_end(arguments);
	return -1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void set_deadline(struct pontlevis *connection, int timeout_ms)
{
	connection->deadline_ms = timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
}

static int time_is_up(const struct pontlevis *connection, struct pontlevis_error *error)
{
	return set_error(error, ETIMEDOUT, "%s: no answer in time", connection->path);
}

/* Waits until the socket is ready for the events, or until the deadline. */
static int wait_for(const struct pontlevis *connection, short events, struct pontlevis_error *error)
{
	for (;;) {
		struct pollfd entry = {.fd = connection->fd, .events = events};
		int64_t left = connection->deadline_ms - now_ms();
		int ready = poll(&entry, 1, left <= 0 ? 0 : left > 60000 ? 60000 : (int)left);

		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return set_error(error, errno, "%s: %s", connection->path, strerror(errno));
		if (left <= 0)
			return time_is_up(connection, error);
	}
}

static int dial(struct pontlevis *connection, struct pontlevis_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(connection->path) >= sizeof(address.sun_path))
		return set_error(error, ENAMETOOLONG, "%s: longer than a socket's name may be (%zu bytes)",
			connection->path, sizeof(address.sun_path) - 1);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", connection->path);
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connection->fd < 0)
		return set_error(error, errno, "cannot make a socket: %s", strerror(errno));
	while (connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return set_error(error, errno, "%s: %s (is pontlevis-control running?)", connection->path,
				strerror(errno));
		if (errno != EAGAIN && errno != EINTR)
			return set_error(error, errno, "%s: %s", connection->path, strerror(errno));
		/* Its queue of clients is full. A Unix socket cannot be polled for that. */
		if (now_ms() >= connection->deadline_ms)
			return time_is_up(connection, error);
		(void)poll(NULL, 0, BACKLOG_PAUSE_MS);
	}
	return 0;
}

/* Sends as much as the server takes: it may refuse and close before it has read everything, and its word counts. */
static int send_all(struct pontlevis *connection, const char *text, size_t length, struct pontlevis_error *error)
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
			return set_error(error, errno, "%s: %s", connection->path, strerror(errno));
		}
	}
	return 0;
}

static int grow(struct pontlevis *connection, struct pontlevis_error *error)
{
	size_t capacity = connection->capacity ? 2 * connection->capacity : 2 * (size_t)READ_AT_ONCE;
	char *buffer;

	if (connection->capacity - connection->length >= READ_AT_ONCE)
		return 0;
	if (connection->length > PONTLEVIS_MESSAGE_MAX)
		return set_error(
			error, EMSGSIZE, "%s: answer is longer than %d bytes", connection->path, PONTLEVIS_MESSAGE_MAX);
	buffer = realloc(connection->buffer, capacity);
	if (!buffer)
		return set_error(error, ENOMEM, "out of memory for the answer");
	connection->buffer = buffer;
	connection->capacity = capacity;
	return 0;
}

/* Reads until there is a whole line in the buffer. */
static int read_line(struct pontlevis *connection, size_t *line_length, struct pontlevis_error *error)
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
			return set_error(
				error, ECONNRESET, "%s: connection closed without an answer", connection->path);
		else if (errno != EAGAIN && errno != EINTR)
			return set_error(error, errno, "%s: %s", connection->path, strerror(errno));
	}
}

/* Whether the message answers the last request. An error without id answers what the server could not even read. */
static bool is_ours(const struct pontlevis *connection, const json_t *message)
{
	const json_t *id = json_object_get(message, "id");

	if (json_is_integer(id))
		return json_integer_value(id) == connection->last_id;
	return json_is_null(id) && json_is_object(json_object_get(message, "error"));
}

static bool is_notification(const json_t *message)
{
	return json_is_string(json_object_get(message, "method"));
}

/* The next message, NULL with the error set. */
static json_t *read_message(struct pontlevis *connection, struct pontlevis_error *error)
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
		set_error(error, EPROTO, "%s: answer is not JSON: %s", connection->path, place.text);
	return message;
}

/* Reads messages up to the one that is for us; notifications are kept, late answers thrown away. */
static enum pontlevis_outcome read_answer(struct pontlevis *connection, json_t **answer, struct pontlevis_error *error)
{
	for (;;) {
		json_t *message = read_message(connection, error), *result, *refusal;

		if (!message)
			return PONTLEVIS_LOST;
		if (!is_ours(connection, message)) {
			if (is_notification(message) && json_array_append(connection->early, message) != 0) {
				json_decref(message);
				(void)set_error(
					error, ENOMEM, "%s: out of memory for a notification", connection->path);
				return PONTLEVIS_LOST;
			}
			json_decref(message);
			continue;
		}
		result = json_object_get(message, "result");
		refusal = json_object_get(message, "error");
		*answer = json_incref(json_is_object(refusal) ? refusal : result);
		json_decref(message);
		if (json_is_object(refusal))
			return PONTLEVIS_REFUSED;
		if (result)
			return PONTLEVIS_ANSWERED;
		set_error(error, EPROTO, "%s: answer has neither result nor error", connection->path);
		return PONTLEVIS_LOST;
	}
}

/* The request as one line; NULL when out of memory. */
static char *request_line(struct pontlevis *connection, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", ++connection->last_id, "method",
		method, "params", params ? json_incref(params) : json_object());
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(request);
	return line;
}

EXPORTED struct pontlevis *pontlevis_connect(const char *path, int timeout_ms, struct pontlevis_error *error)
{
	struct pontlevis *connection = calloc(1, sizeof(*connection));

	if (connection) {
		connection->fd = -1;
		connection->path = strdup(path ? path : PONTLEVIS_SOCKET);
		connection->early = json_array();
	}
	if (!connection || !connection->path || !connection->early) {
		(void)set_error(error, ENOMEM, "out of memory for a connection");
		pontlevis_close(connection);
		return NULL;
	}
	set_deadline(connection, timeout_ms);
	if (dial(connection, error) == 0)
		return connection;
	pontlevis_close(connection);
	return NULL;
}

EXPORTED void pontlevis_close(struct pontlevis *connection)
{
	if (!connection)
		return;
	if (connection->fd >= 0)
		(void)close(connection->fd);
	json_decref(connection->early);
	free(connection->buffer);
	free(connection->path);
	free(connection);
}

EXPORTED enum pontlevis_outcome pontlevis_call(struct pontlevis *connection, const char *method, json_t *params,
	int timeout_ms, json_t **answer, struct pontlevis_error *error)
{
	enum pontlevis_outcome outcome = PONTLEVIS_LOST;
	char *line = request_line(connection, method, params);

	*answer = NULL;
	set_deadline(connection, timeout_ms);
	if (!line)
		set_error(error, ENOMEM, "%s: the request cannot be written: not UTF-8, or out of memory",
			connection->path);
	else if (send_all(connection, line, strlen(line), error) == 0)
		outcome = read_answer(connection, answer, error);
	free(line);
	return outcome;
}

EXPORTED json_t *pontlevis_next(struct pontlevis *connection, int timeout_ms, struct pontlevis_error *error)
{
	json_t *message = json_incref(json_array_get(connection->early, 0));

	if (message) {
		(void)json_array_remove(connection->early, 0);
		return message;
	}
	set_deadline(connection, timeout_ms);
	while ((message = read_message(connection, error)) != NULL && !is_notification(message))
		json_decref(message);
	return message;
}

EXPORTED int pontlevis_fd(const struct pontlevis *connection)
{
	return connection->fd;
}
