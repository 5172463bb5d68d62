/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/notifications.h"

#include <event2/event.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	/* Room for about 2,000. More at once are lost, and noticed (ENOBUFS). */
	ROOM_BYTES = 1 << 20,
	/* Bytes of one datagram at most. */
	DATAGRAM_SIZE = 65536,
	/* Datagrams read before other events get their turn. */
	AT_ONCE = 64,
};

struct notifications {
	struct notifications_callbacks callbacks;
	struct mnl_socket *socket;
	struct event *readable;
	char buffer[DATAGRAM_SIZE];
};

static void hand_over(const struct notifications *notifications, int length)
{
	const struct notifications_callbacks *callbacks = &notifications->callbacks;
	const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)notifications->buffer;

	if (!callbacks->message)
		return;
	for (; mnl_nlmsg_ok(message, length); message = mnl_nlmsg_next(message, &length))
		callbacks->message(callbacks->context, message);
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	const struct notifications_callbacks *callbacks;
	struct notifications *notifications = data;
	int i;

	(void)fd, (void)what;
	callbacks = &notifications->callbacks;
	for (i = 0; i < AT_ONCE; i++) {
		const ssize_t received = mnl_socket_recvfrom(
			notifications->socket, notifications->buffer, sizeof(notifications->buffer));

		if (received >= 0) {
			hand_over(notifications, (int)received);
			continue;
		}
		if (errno == EAGAIN || errno == EINTR)
			break;
		/* ENOBUFS: too many at once; ENOSPC: one did not fit. Either way something was missed. */
		if (callbacks->lost)
			callbacks->lost(callbacks->context);
	}
	if (callbacks->taken)
		callbacks->taken(callbacks->context);
}

static int subscribe(
	struct notifications *notifications, int bus, const int *groups, size_t group_count, struct error *error)
{
	const int size = ROOM_BYTES;
	size_t i;
	int fd;

	notifications->socket = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!notifications->socket)
		return error_set(error, errno, NULL, "netlink: cannot open a socket: %s", strerror(errno));
	fd = mnl_socket_get_fd(notifications->socket);
	/* Above the system's limit needs CAP_NET_ADMIN; without it the limit is what we get. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (mnl_socket_bind(notifications->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return error_set(error, errno, NULL, "netlink: cannot bind the socket: %s", strerror(errno));
	for (i = 0; i < group_count; i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(notifications->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return error_set(error, errno, NULL, "netlink: cannot subscribe to group %d of bus %d: %s",
				group, bus, strerror(errno));
	}
	return 0;
}

struct notifications *notifications_start(struct event_base *base, int bus, const int *groups, size_t group_count,
	const struct notifications_callbacks *callbacks, struct error *error)
{
	struct notifications *notifications = calloc(1, sizeof(*notifications));

	if (!notifications) {
		error_set(error, ENOMEM, NULL, "netlink: out of memory");
		return NULL;
	}
	notifications->callbacks = *callbacks;
	if (subscribe(notifications, bus, groups, group_count, error) < 0)
		goto undo;
	notifications->readable = event_new(
		base, mnl_socket_get_fd(notifications->socket), EV_READ | EV_PERSIST, on_readable, notifications);
	if (!notifications->readable || event_add(notifications->readable, NULL) < 0) {
		error_set(error, ENOMEM, NULL, "netlink: cannot add an event");
		goto undo;
	}
	return notifications;
undo:
	notifications_stop(notifications);
	return NULL;
}

void notifications_stop(struct notifications *notifications)
{
	if (!notifications)
		return;
	if (notifications->readable)
		event_free(notifications->readable);
	if (notifications->socket)
		mnl_socket_close(notifications->socket);
	free(notifications);
}
