/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/audit.h"
#include "control/rpc/bucket.h"
#include "control/rpc/request.h"

enum {
	TURN = 8,                /* messages of one client before the next one has its turn */
	NEWS_TURN = 256,         /* notifications of one client before the next one has its turn */
	OUTPUT_PAUSE = 1 << 20,  /* bytes of answers waiting: no new request is read before they are gone */
	FAREWELL_TIMEOUT_S = 10, /* for taking the last answers */
	ACCEPT_PAUSE_S = 1,      /* when accept() fails for want of descriptors */
	PATIENCE = 16,           /* how often a call is put off: others may want what it waits for */
};

struct rpc_client {
	struct rpc_server *server;
	size_t slot;
	struct bufferevent *stream;
	struct rpc_who who;
	size_t searched;          /* bytes of input known to have no newline */
	bool paused;              /* output is too long */
	bool resting;             /* it has asked faster than it may */
	struct bucket bucket;     /* what it may ask yet */
	struct event *rested;     /* it may go on */
	bool waiting;             /* the call at the start of the input is made again */
	unsigned int put_off;     /* how often it was */
	bool ended;               /* the client will send nothing more */
	bool leaving;             /* closed as soon as the output is gone */
	struct rpc_source source; /* next is NULL: none */
};

struct rpc_server {
	struct event_base *base;
	struct rpc_server_config config;
	struct evconnlistener *listener;
	struct event *resume;                        /* accepting again */
	struct event *news;                          /* sources may have something new */
	struct rpc_client *clients[RPC_CLIENTS_MAX]; /* NULL: free */
};

static void client_free(struct rpc_client *client)
{
	client->server->clients[client->slot] = NULL;
	(void)rpc_unsubscribe(client);
	bufferevent_free(client->stream);
	event_free(client->rested);
	free(client);
}

/* Reads on, unless something else is in the way still, and goes on with what has been read. */
static void go_on(struct rpc_client *client)
{
	if (!client->ended && !client->paused && !client->waiting && !client->resting)
		(void)bufferevent_enable(client->stream, EV_READ);
	bufferevent_trigger(client->stream, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* False if the client has to rest: nothing of it is read until it may have a turn again. */
static bool may_ask(struct rpc_client *client)
{
	int64_t wait_us;
	struct timeval wait;

	if (bucket_allows(&client->bucket, now_us()))
		return true;
	wait_us = bucket_wait_us(&client->bucket, TURN);
	wait = (struct timeval){.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
	client->resting = true;
	(void)bufferevent_disable(client->stream, EV_READ);
	(void)evtimer_add(client->rested, &wait);
	return false;
}

static void on_rested(evutil_socket_t fd, short what, void *context)
{
	struct rpc_client *client = context;

	(void)fd;
	(void)what;
	client->resting = false;
	if (!client->leaving)
		go_on(client);
}

/* Closes once the answers are gone. True if that is now: the client is freed. */
static bool leave(struct rpc_client *client)
{
	struct timeval patience = {.tv_sec = FAREWELL_TIMEOUT_S};

	client->leaving = true;
	if (evbuffer_get_length(bufferevent_get_output(client->stream)) == 0) {
		client_free(client);
		return true;
	}
	(void)bufferevent_disable(client->stream, EV_READ);
	bufferevent_set_timeouts(client->stream, NULL, &patience);
	return false;
}

static void free_text(const void *data, size_t length, void *text)
{
	(void)data;
	(void)length;
	free(text);
}

/* Takes the answer over. False if the client was closed because it does not take its answers. */
static bool reply(struct rpc_client *client, json_t *answer)
{
	struct evbuffer *output = bufferevent_get_output(client->stream);
	char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;
	size_t length = text != NULL ? strlen(text) : 0;

	json_decref(answer);
	if (text == NULL)
		return true;
	if (evbuffer_get_length(output) + length > RPC_OUTPUT_MAX) {
		audit_log("client process %d closed: more than %d bytes of answers wait for it", (int)client->who.pid,
			RPC_OUTPUT_MAX);
		free(text);
		client_free(client);
		return false;
	}
	text[length] = '\n'; /* in place of the NUL */
	if (evbuffer_add_reference(output, text, length + 1, free_text, text) != 0)
		free(text);
	return true;
}

static bool is_blank(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
			return false;
	}
	return true;
}

/* Answers one line of `length` bytes at the start of the input, or leaves it there. False if the client is gone. */
static bool handle_line(struct rpc_client *client, size_t length, size_t newline)
{
	struct evbuffer *input = bufferevent_get_input(client->stream);
	const char *text = length != 0 ? (const char *)evbuffer_pullup(input, (ev_ssize_t)length) : "";
	struct rpc_effect effect = {.requests = 1};
	json_t *answer = NULL;

	client->who.can_wait = client->put_off < PATIENCE;
	if (text != NULL && !is_blank(text, length))
		answer = rpc_answer(&client->server->config.registry, &client->who, text, length, &effect);
	client->waiting = effect.later;
	if (client->waiting) {
		client->put_off++;
		(void)bufferevent_disable(client->stream, EV_READ);
		return true;
	}
	client->put_off = 0;
	bucket_take(&client->bucket, effect.requests);
	(void)evbuffer_drain(input, length + newline);
	client->searched = 0;
	return reply(client, answer);
}

static bool refuse_too_long(struct rpc_client *client)
{
	struct rpc_failure failure = {.code = RPC_INVALID_REQUEST};

	(void)error_set(&failure.error, EMSGSIZE, NULL, "a message has at most %d bytes", RPC_MESSAGE_MAX);
	return reply(client, rpc_refusal(&failure)) && leave(client);
}

/* Length of the line at the start of the input, -1 if its end is not there yet. */
static ev_ssize_t line_length(struct rpc_client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->stream);
	struct evbuffer_ptr from, found;

	if (client->searched >= evbuffer_get_length(input) ||
		evbuffer_ptr_set(input, &from, client->searched, EVBUFFER_PTR_SET) != 0)
		return -1;
	found = evbuffer_search(input, "\n", 1, &from);
	if (found.pos < 0)
		client->searched = evbuffer_get_length(input);
	return found.pos;
}

/* --- notifications --- */

int rpc_subscribe(struct rpc_client *client, const struct rpc_source *source)
{
	if (client->source.next != NULL)
		return -1;
	client->source = *source;
	rpc_server_news(client->server);
	return 0;
}

bool rpc_unsubscribe(struct rpc_client *client)
{
	if (client->source.next == NULL)
		return false;
	client->source.end(client->source.state);
	client->source.next = NULL;
	return true;
}

void rpc_server_news(struct rpc_server *server)
{
	event_active(server->news, EV_TIMEOUT, 0);
}

/* Some of what the source has, as far as the client has room; on_written() comes back to it. */
static void take_news(struct rpc_client *client)
{
	struct evbuffer *output = bufferevent_get_output(client->stream);

	for (unsigned int turn = 0; turn < NEWS_TURN; turn++) {
		size_t length = 0;
		const char *text;

		if (client->source.next == NULL || client->leaving || evbuffer_get_length(output) > RPC_SUBSCRIBED_MAX)
			return;
		text = client->source.next(client->source.state, &length);
		if (text == NULL)
			return;
		(void)evbuffer_add(output, text, length);
		(void)evbuffer_add(output, "\n", 1);
	}
}

static void on_news(evutil_socket_t fd, short what, void *context)
{
	struct rpc_server *server = context;

	(void)fd;
	(void)what;
	for (size_t slot = 0; slot < RPC_CLIENTS_MAX; slot++) {
		struct rpc_client *client = server->clients[slot];

		if (client == NULL || client->leaving)
			continue;
		if (client->who.roles == 0)
			(void)leave(client);
		else
			take_news(client);
	}
}

/* Subscribers still hear why this is the end, as far as their sockets take it at once. */
static void last_words(struct rpc_client *client)
{
	if (client->source.next == NULL)
		return;
	take_news(client);
	/* The bufferevent keeps its output from being written by anybody else. */
	(void)evbuffer_unfreeze(bufferevent_get_output(client->stream), 1);
	(void)evbuffer_write(bufferevent_get_output(client->stream), bufferevent_getfd(client->stream));
}

/* --- the connection --- */

static void on_read(struct bufferevent *stream, void *context)
{
	struct evbuffer *input = bufferevent_get_input(stream);
	struct rpc_client *client = context;

	for (unsigned int turn = 0; turn < TURN; turn++) {
		ev_ssize_t length;

		if (client->leaving || client->waiting || client->resting)
			return;
		if (evbuffer_get_length(bufferevent_get_output(stream)) > OUTPUT_PAUSE) {
			client->paused = true;
			(void)bufferevent_disable(stream, EV_READ);
			return;
		}
		length = line_length(client);
		if (length > RPC_MESSAGE_MAX || (length < 0 && evbuffer_get_length(input) > RPC_MESSAGE_MAX)) {
			(void)refuse_too_long(client);
			return;
		}
		if ((length >= 0 || (client->ended && evbuffer_get_length(input) != 0)) && !may_ask(client))
			return;
		if (length < 0 && client->ended && evbuffer_get_length(input) != 0) {
			/* The last line has no newline: it is a message cut short, or a careless client. */
			if (handle_line(client, evbuffer_get_length(input), 0) && !client->waiting)
				(void)leave(client);
			return;
		}
		if (length < 0) {
			if (client->ended)
				(void)leave(client);
			return;
		}
		if (!handle_line(client, (size_t)length, 1))
			return;
	}
	bufferevent_trigger(stream, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void on_written(struct bufferevent *stream, void *context)
{
	struct rpc_client *client = context;

	(void)stream;
	if (client->leaving) {
		client_free(client);
		return;
	}
	if (client->source.next != NULL)
		rpc_server_news(client->server);
	if (client->paused) {
		client->paused = false;
		go_on(client);
	}
}

void rpc_server_resume(struct rpc_server *server)
{
	for (size_t slot = 0; server != NULL && slot < RPC_CLIENTS_MAX; slot++) {
		struct rpc_client *client = server->clients[slot];

		if (client == NULL || !client->waiting)
			continue;
		client->waiting = false;
		go_on(client);
	}
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
	struct rpc_client *client = context;

	if ((what & BEV_EVENT_EOF) == 0 || (what & BEV_EVENT_ERROR) != 0) {
		client_free(client);
		return;
	}
	client->ended = true; /* it may still wait for answers: "printf ... | socat" */
	if (!client->leaving && !client->paused)
		on_read(stream, client);
}

/* Says why, and closes. */
static void turn_away(int fd, enum rpc_code code, int number, const char *text)
{
	struct rpc_failure failure = {.code = code};
	json_t *answer;
	char *line;

	(void)error_set(&failure.error, number, NULL, "%s", text);
	answer = rpc_refusal(&failure);
	line = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;
	if (line != NULL) /* a new socket takes a line; if it does not, the client misses the reason, no more */
		(void)dprintf(fd, "%s\n", line);
	free(line);
	json_decref(answer);
	(void)evutil_closesocket(fd);
}

static void refuse_access(const struct rpc_server *server, int fd, const struct rpc_who *who)
{
	char text[160];

	(void)snprintf(
		text, sizeof(text), "user \"%s\" (uid %u) may not use this socket", who->user, (unsigned int)who->uid);
	if (server->config.registry.refused != NULL)
		server->config.registry.refused(server->config.registry.context, who, text);
	turn_away(fd, RPC_ACCESS, EACCES, text);
}

/* RPC_CLIENTS_MAX if there is none. */
static size_t free_slot(const struct rpc_server *server)
{
	size_t slot = 0;

	while (slot < RPC_CLIENTS_MAX && server->clients[slot] != NULL)
		slot++;
	return slot;
}

/* How many clients may but read. */
static size_t readers(const struct rpc_server *server)
{
	size_t count = 0;

	for (size_t slot = 0; slot < RPC_CLIENTS_MAX; slot++)
		count += server->clients[slot] != NULL && server->clients[slot]->who.roles == RPC_ROLE_READ;
	return count;
}

void rpc_server_set_roles(struct rpc_server *server, const struct rpc_roles *roles)
{
	server->config.roles = *roles;
	for (size_t slot = 0; slot < RPC_CLIENTS_MAX; slot++) {
		struct rpc_client *client = server->clients[slot];
		struct rpc_who who;

		if (client == NULL)
			continue;
		if (credentials_read(bufferevent_getfd(client->stream), roles, &who) != 0)
			who.roles = 0;
		client->who.roles = who.roles;
	}
	rpc_server_news(server); /* there those without a role are closed: this may be the request of one of them */
}

static void on_accept(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int length, void *context)
{
	struct rpc_server *server = context;
	struct rpc_client *client;
	struct rpc_who who;
	size_t slot;

	(void)listener;
	(void)address;
	(void)length;
	if (credentials_read(fd, &server->config.roles, &who) != 0) {
		(void)evutil_closesocket(fd);
		return;
	}
	if (who.roles == 0) {
		refuse_access(server, fd, &who);
		return;
	}
	slot = free_slot(server);
	if (slot == RPC_CLIENTS_MAX || (who.roles == RPC_ROLE_READ && readers(server) >= RPC_READERS_MAX)) {
		turn_away(fd, RPC_SYSTEM, EBUSY, "too many clients");
		return;
	}
	client = calloc(1, sizeof(*client));
	if (client != NULL)
		client->rested = evtimer_new(server->base, on_rested, client);
	if (client != NULL && client->rested != NULL)
		client->stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (client == NULL || client->stream == NULL) {
		if (client != NULL && client->rested != NULL)
			event_free(client->rested);
		free(client);
		(void)evutil_closesocket(fd);
		return;
	}
	client->server = server;
	client->who = who;
	client->who.client = client;
	client->slot = slot;
	bucket_init(&client->bucket, now_us());
	server->clients[slot] = client;
	bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
	bufferevent_setwatermark(client->stream, EV_READ, 0, RPC_MESSAGE_MAX + 2);
	(void)bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

static void on_accept_failed(struct evconnlistener *listener, void *context)
{
	struct timeval pause = {.tv_sec = ACCEPT_PAUSE_S};
	struct rpc_server *server = context;

	audit_log("controller socket: cannot accept: %s", strerror(errno));
	(void)evconnlistener_disable(listener);
	(void)evtimer_add(server->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
	struct rpc_server *server = context;

	(void)fd;
	(void)what;
	(void)evconnlistener_enable(server->listener);
}

struct rpc_server *rpc_server_start(
	struct event_base *base, const struct rpc_server_config *config, struct error *error)
{
	struct rpc_server *server = calloc(1, sizeof(*server));

	if (server == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	server->base = base;
	server->config = *config;
	server->resume = evtimer_new(base, on_resume, server);
	server->news = event_new(base, -1, 0, on_news, server);
	server->listener = evconnlistener_new(base, on_accept, server, LEV_OPT_CLOSE_ON_EXEC, 0, config->fd);
	if (server->resume == NULL || server->news == NULL || server->listener == NULL) {
		(void)error_set(error, ENOMEM, NULL, "controller socket: cannot be listened on");
		rpc_server_stop(server);
		return NULL;
	}
	evconnlistener_set_error_cb(server->listener, on_accept_failed);
	return server;
}

void rpc_server_stop(struct rpc_server *server)
{
	if (server == NULL)
		return;
	for (size_t slot = 0; slot < RPC_CLIENTS_MAX; slot++) {
		if (server->clients[slot] != NULL) {
			last_words(server->clients[slot]);
			client_free(server->clients[slot]);
		}
	}
	if (server->listener != NULL)
		evconnlistener_free(server->listener);
	if (server->resume != NULL)
		event_free(server->resume);
	if (server->news != NULL)
		event_free(server->news);
	free(server);
}
