/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/request.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* The kernel answers at once; this limit only keeps a defect from stopping the event loop for good. */
enum { ANSWER_TIMEOUT_S = 2 };

/* A dump that the kernel calls inconsistent (the table changed meanwhile) is asked again, so often at most. */
enum { DUMP_TRIES = 8 };

struct request {
	struct mnl_socket *socket;
	uint32_t sequence;
	char buffer[REQUEST_BUFFER_SIZE];
};

struct request *request_open(int bus, struct error *error)
{
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct request *request;

	request = calloc(1, sizeof(*request));
	if (!request) {
		error_set(error, ENOMEM, NULL, "netlink: out of memory");
		return NULL;
	}
	request->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!request->socket) {
		error_set(error, errno, NULL, "netlink: cannot open a socket: %s", strerror(errno));
		goto out_free;
	}
	if (mnl_socket_bind(request->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
		setsockopt(mnl_socket_get_fd(request->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) <
			0) {
		error_set(error, errno, NULL, "netlink: cannot prepare the socket: %s", strerror(errno));
		goto out_close;
	}
	return request;

out_close:
	mnl_socket_close(request->socket);
out_free:
	free(request);
	return NULL;
}

void request_close(struct request *request)
{
	if (!request)
		return;
	mnl_socket_close(request->socket);
	free(request);
}

/* What one datagram of answers came to. */
struct reading {
	uint32_t sequence;
	mnl_cb_t visit;
	void *data;
	int code;          /* errno value the kernel ended with, 0 for success */
	bool ended;        /* acknowledgement, error or end of dump seen */
	bool inconsistent; /* dump overtaken by a change */
};

/* The status that an error, an acknowledgement and the end of a dump all begin with: 0 or a negative errno value. */
static int status_code(const struct nlmsghdr *message)
{
	int status;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(status))
		return message->nlmsg_type == NLMSG_DONE ? 0 : EBADMSG;
	memcpy(&status, mnl_nlmsg_get_payload(message), sizeof(status));
	return -status;
}

/*
 * Not mnl_cb_run(): at a dump's mark of inconsistency that one gives up without reading the rest, which would then
 * stand in the way of the next answer.
 */
static void read_datagram(const char *buffer, int length, struct reading *reading)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)buffer;

	for (; mnl_nlmsg_ok(message, length); message = mnl_nlmsg_next(message, &length)) {
		/* A late answer to a question that was given up. */
		if (message->nlmsg_seq != reading->sequence)
			continue;
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			reading->inconsistent = true;
		if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
			reading->ended = true;
			reading->code = status_code(message);
		} else if (message->nlmsg_type >= NLMSG_MIN_TYPE && reading->visit) {
			(void)reading->visit(message, reading->data);
		}
	}
}

/* Reads answers up to the acknowledgement or the end of the dump. Returns an errno value, EINTR: ask again. */
static int read_answers(struct request *request, struct reading *reading)
{
	while (!reading->ended) {
		ssize_t length = mnl_socket_recvfrom(request->socket, request->buffer, sizeof(request->buffer));

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return errno == EAGAIN ? ETIMEDOUT : errno;
		read_datagram(request->buffer, (int)length, reading);
	}
	return reading->code ? reading->code : reading->inconsistent ? EINTR : 0;
}

int request_run(struct request *request, struct nlmsghdr *message, mnl_cb_t visit, void *data, struct error *error)
{
	int code = 0;

	message->nlmsg_flags |= NLM_F_REQUEST;
	/* The bits of NLM_F_DUMP mean other things in orders: NLM_F_REPLACE is one of them. */
	if ((message->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		message->nlmsg_flags |= NLM_F_ACK;
	for (int tries = 0; tries < DUMP_TRIES; tries++) {
		struct reading reading = {.sequence = ++request->sequence, .visit = visit, .data = data};

		message->nlmsg_seq = reading.sequence;
		if (mnl_socket_sendto(request->socket, message, message->nlmsg_len) < 0)
			code = errno;
		else
			code = read_answers(request, &reading);
		if (code != EINTR)
			break;
	}
	if (code)
		return error_set(error, code, NULL, "netlink: request %u: %s", message->nlmsg_type, strerror(code));
	return 0;
}

int request_run_batch(struct request *request, void *messages, size_t size, struct error *error)
{
	struct reading reading = {.sequence = ++request->sequence};
	struct nlmsghdr *message, *last = NULL;
	int length = (int)size, code;

	/* The answer that comes first has the news: a complaint, or that the last order was carried out. */
	for (message = messages; mnl_nlmsg_ok(message, length); message = mnl_nlmsg_next(message, &length)) {
		message->nlmsg_seq = reading.sequence;
		if (message->nlmsg_type != NFNL_MSG_BATCH_END)
			last = message;
	}
	if (last)
		last->nlmsg_flags |= NLM_F_ACK;
	code = mnl_socket_sendto(request->socket, messages, size) < 0 ? errno : read_answers(request, &reading);
	if (code)
		return error_set(error, code, NULL, "netlink: batch: %s", strerror(code));
	return 0;
}

uint32_t request_port(const struct request *request)
{
	return mnl_socket_get_portid(request->socket);
}

bool request_failed(const struct error *error)
{
	return error->code == ETIMEDOUT || error->code == ENOMEM || error->code == ENOBUFS || error->code == EINTR ||
	       error->code == EPERM;
}

uint8_t request_family(const struct pont_address *address)
{
	switch (address->family) {
	case PONT_FAMILY_IPV4:
		return AF_INET;
	case PONT_FAMILY_IPV6:
		return AF_INET6;
	default:
		return AF_UNSPEC;
	}
}

void request_put_address(struct nlmsghdr *message, uint16_t type, const struct pont_address *address)
{
	if (address->family == PONT_FAMILY_IPV4)
		mnl_attr_put(message, type, 4, address->bytes);
	else if (address->family == PONT_FAMILY_IPV6)
		mnl_attr_put(message, type, 16, address->bytes);
}

int request_get_address(uint8_t family, const void *bytes, size_t length, struct pont_address *out)
{
	memset(out, 0, sizeof(*out));
	if (family == AF_INET && length == 4)
		out->family = PONT_FAMILY_IPV4;
	else if (family == AF_INET6 && length == 16)
		out->family = PONT_FAMILY_IPV6;
	else
		return -1;
	memcpy(out->bytes, bytes, length);
	return 0;
}

bool request_same_address(const struct pont_address *a, const struct pont_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
