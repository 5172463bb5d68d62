/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpontlevis: the controller socket for programs in C. A connection is a struct pontlevis; methods, their parameters
 * and results are those of docs/controller.md, as values of jansson.
 *
 *	struct pontlevis_error error;
 *	struct pontlevis *site = pontlevis_connect(NULL, 5000, &error);
 *	json_t *params = json_pack("{s:O}", "config", document), *answer = NULL;
 *
 *	if (site == NULL || pontlevis_call(site, "config.commit", params, 60000, &answer, &error) == PONTLEVIS_LOST)
 *		fprintf(stderr, "%s\n", error.text);
 *
 * Every function that waits does so until a time limit, in milliseconds; PONTLEVIS_FOREVER: none. One thread at a time
 * may use a connection; different connections have nothing in common. The library starts no thread, handles no signal
 * and changes no global state. Strings given are UTF-8.
 */
#ifndef PONTLEVIS_CLIENT_H
#define PONTLEVIS_CLIENT_H

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the control process listens unless it is told otherwise. */
#define PONTLEVIS_SOCKET "/run/pontlevis/control.sock"

enum {
	PONTLEVIS_ERROR_SIZE = 512,        /* bytes of an error's text, NUL included */
	PONTLEVIS_MESSAGE_MAX = 128 << 20, /* bytes of one message from the control process: more is an error */
	PONTLEVIS_FOREVER = -1,            /* no time limit */
};

struct pontlevis; /* one connection; owned by the caller from pontlevis_connect() to pontlevis_close() */

/* What went wrong between this process and the control process. Set whenever a function says that it failed. */
struct pontlevis_error {
	int code; /* errno value: ENOENT, ECONNREFUSED, ETIMEDOUT, ECONNRESET, EPROTO, EMSGSIZE, ENOMEM, ... */
	/*
	 * One line for people, without newline; begins with the path of the socket. In the language of the caller's
	 * locale (LC_MESSAGES) if there is a catalogue; English otherwise.
	 */
	char text[PONTLEVIS_ERROR_SIZE];
};

enum pontlevis_outcome {
	PONTLEVIS_ANSWERED, /* *answer is the result */
	PONTLEVIS_REFUSED,  /* *answer is the error object: "code", "message", "data" (docs/controller.md, Errors) */
	PONTLEVIS_LOST,     /* no answer, the error says why; whether the request was carried out has to be looked up */
};

/* Connects. path NULL: PONTLEVIS_SOCKET. timeout_ms is for a place in the queue of clients. NULL with the error set. */
struct pontlevis *pontlevis_connect(const char *path, int timeout_ms, struct pontlevis_error *error);

/* Closes; NULL is allowed. What was asked and not answered yet may still be carried out. */
void pontlevis_close(struct pontlevis *connection);

/*
 * Asks and waits for the answer. params: an object, stays the caller's; NULL: none. *answer: a new reference for the
 * caller, NULL with PONTLEVIS_LOST. Notifications that come meanwhile are kept for pontlevis_next(). After ETIMEDOUT
 * the connection can be used on: a late answer is thrown away. After any other loss it cannot.
 */
enum pontlevis_outcome pontlevis_call(struct pontlevis *connection, const char *method, json_t *params, int timeout_ms,
	json_t **answer, struct pontlevis_error *error);

/*
 * The next notification ("method", "params") of a connection that has called events.subscribe, a new reference. NULL
 * with the error set: ETIMEDOUT if none came in time, ECONNRESET if the control process has ended.
 */
json_t *pontlevis_next(struct pontlevis *connection, int timeout_ms, struct pontlevis_error *error);

/*
 * The descriptor, for poll(2) and the like, readable when there is something for pontlevis_next(); it stays the
 * library's. Before waiting, call pontlevis_next() with a limit of 0 until it says ETIMEDOUT: what has been read
 * already does not show there.
 */
int pontlevis_fd(const struct pontlevis *connection);

#ifdef __cplusplus
}
#endif

#endif
