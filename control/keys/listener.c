/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/listener.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BACKLOG = 256, /* more than strangers may have open, so that a crowd of them does not fill it */
	PAUSE_S = 1,   /* after accept() failed, most likely for want of file descriptors */
};

struct listener {
	struct endpoint endpoint;
	struct evconnlistener *socket;
	struct event *resume;
	bool held;
	listener_accepted_fn *accepted;
	void *context;
};

static bool has_hung_up(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLRDHUP};

	return poll(&polled, 1, 0) > 0;
}

static void on_accept(
	struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address, int size, void *context)
{
	struct listener *listener = context;
	struct endpoint remote;

	(void)socket;
	(void)size;
	/* Who has knocked while nobody answered may have given up. */
	if (has_hung_up(fd) || !endpoint_from_socket(address, &remote)) {
		(void)close(fd);
		return;
	}
	listener->accepted(listener->context, fd, &remote);
}

static void on_error(struct evconnlistener *socket, void *context)
{
	struct listener *listener = context;
	struct timeval pause = {.tv_sec = PAUSE_S};

	/* The connection that could not be accepted stays in the queue: without a pause the loop would spin. */
	(void)evconnlistener_disable(socket);
	(void)event_add(listener->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
	struct listener *listener = context;

	(void)fd;
	(void)what;
	if (!listener->held)
		(void)evconnlistener_enable(listener->socket);
}

static int listen_on(const struct endpoint *endpoint, struct error *error)
{
	char text[ENDPOINT_TEXT_SIZE];
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_socket(endpoint, &address);
	int one = 1, fd;

	endpoint_text(endpoint, text);
	if (size == 0)
		return error_set(error, EAFNOSUPPORT, "/site/vtep", "%s is not an address", text);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(error, errno, "/site/vtep", "cannot listen on %s: %s", text, strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		(address.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
		bind(fd, (const struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0) {
		error_set(error, errno, "/site/vtep", "cannot listen on %s: %s", text, strerror(errno));
		(void)close(fd);
		return -1;
	}
	return fd;
}

struct listener *listener_open(struct event_base *base, const struct endpoint *endpoint, listener_accepted_fn *accepted,
	void *context, struct error *error)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int fd;

	if (!listener)
		goto no_memory;
	listener->endpoint = *endpoint;
	listener->accepted = accepted;
	listener->context = context;
	fd = listen_on(endpoint, error);
	if (fd < 0) {
		free(listener);
		return NULL;
	}
	listener->resume = evtimer_new(base, on_resume, listener);
	listener->socket =
		evconnlistener_new(base, on_accept, listener, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener->socket)
		(void)close(fd);
	if (!listener->socket || !listener->resume) {
		listener_close(listener);
		goto no_memory;
	}
	evconnlistener_set_error_cb(listener->socket, on_error);
	return listener;
no_memory:
	(void)error_set(error, ENOMEM, NULL, "no memory for a listener");
	return NULL;
}

const struct endpoint *listener_endpoint(const struct listener *listener)
{
	return &listener->endpoint;
}

void listener_hold(struct listener *listener, bool hold)
{
	listener->held = hold;
	if (hold)
		(void)evconnlistener_disable(listener->socket);
	else if (!evtimer_pending(listener->resume, NULL))
		(void)evconnlistener_enable(listener->socket);
}

void listener_close(struct listener *listener)
{
	if (!listener)
		return;
	if (listener->resume)
		event_free(listener->resume);
	if (listener->socket)
		evconnlistener_free(listener->socket);
	free(listener);
}
