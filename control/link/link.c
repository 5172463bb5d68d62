/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/link/link.h"

#include <event2/event.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/audit.h"

enum {
	/* Once lost, the dataplane is looked for at once, then every second. */
	RETRY_FIRST_MS = 100,
	RETRY_MS = 1000,
	/* It says HELLO as soon as it has accepted. */
	HELLO_TIMEOUT_MS = 5000,
	/* It takes messages and answers within milliseconds; a large snapshot or a stalled machine may take longer. */
	ANSWER_TIMEOUT_MS = 10000,
};

struct link {
	struct event_base *base;
	struct sockaddr_un address;
	struct link_callbacks callbacks;
	int fd; /* -1: not connected */
	struct event *readable;
	struct event *timer; /* next attempt, or the end of patience for HELLO */
	struct event *gone;  /* tells of a loss from the event loop */
	bool announced;      /* up() was called and down() was not */
	bool open;           /* hello is valid */
	struct pont_link_hello hello;
	char complaint[160]; /* last reason for not connecting, so that it is logged once */
	uint64_t revision;   /* of the last transaction begun */
	uint64_t tag;
	int transaction_code; /* errno of the first failure in the transaction, 0: none */
	uint32_t refused;
	_Alignas(8) uint8_t message[PONT_LINK_MESSAGE_MAX];
};

static void schedule(struct link *link, int ms)
{
	struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	(void)evtimer_add(link->timer, &delay);
}

__attribute__((format(printf, 2, 3))) static void complain(struct link *link, const char *format, ...)
{
	char text[sizeof(link->complaint)];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (strcmp(text, link->complaint) != 0)
		audit_log("dataplane at %s: %s", link->address.sun_path, text);
	(void)memcpy(link->complaint, text, sizeof(text));
}

static void close_connection(struct link *link)
{
	if (link->fd < 0)
		return;
	(void)event_del(link->readable);
	(void)close(link->fd);
	link->fd = -1;
	link->open = false;
}

/* The connection cannot be used any more. What follows happens in the event loop, not under our caller's feet. */
static void lose(struct link *link)
{
	close_connection(link);
	event_active(link->gone, EV_TIMEOUT, 0);
}

static void on_gone(evutil_socket_t fd, short what, void *context)
{
	struct link *link = context;

	(void)fd;
	(void)what;
	if (link->announced) {
		link->announced = false;
		link->callbacks.down(link->callbacks.context);
		schedule(link, RETRY_FIRST_MS);
	} else {
		schedule(link, RETRY_MS);
	}
}

/* Waits for events on the socket; false when the time is over. deadline: CLOCK_MONOTONIC in ms. */
static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool wait_for(const struct link *link, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd pollfd = {.fd = link->fd, .events = events};
		int64_t left = deadline - now_ms();
		int ready = left > 0 ? poll(&pollfd, 1, (int)left) : 0;

		if (ready > 0)
			return true;
		if (ready == 0 || errno != EINTR)
			return false;
	}
}

/*
 * Takes one message into link->message. Returns its type, 0 if there is none now, -1 if the connection is of no more
 * use (it is lost then).
 */
static int take(struct link *link)
{
	const struct pont_link_header *header = (const struct pont_link_header *)(const void *)link->message;
	ssize_t length;

	do
		length = recv(link->fd, link->message, sizeof(link->message), MSG_DONTWAIT | MSG_TRUNC);
	while (length < 0 && errno == EINTR);
	if (length < 0 && errno == EAGAIN)
		return 0;
	if (length <= 0) {
		complain(link, "connection closed%s%s", length < 0 ? ": " : "", length < 0 ? strerror(errno) : "");
	} else if ((size_t)length < sizeof(*header) || (size_t)length > sizeof(link->message) ||
		   header->magic != PONT_LINK_MAGIC || header->length != (size_t)length || header->type == 0) {
		complain(link, "malformed message of %zd bytes", length);
	} else {
		return header->type;
	}
	lose(link);
	return -1;
}

/* Passes a message on that came unasked; false if it is not of that kind. */
static bool pass_on(struct link *link, int type)
{
	const struct pont_link_denied *denied = (const void *)link->message;
	const struct pont_link_sa_notices *notices = (const void *)link->message;

	switch (type) {
	case PONT_LINK_DENIED:
		if (denied->header.length == sizeof(*denied))
			link->callbacks.denied(link->callbacks.context, denied);
		return true;
	case PONT_LINK_SA_NOTICES:
		if (notices->header.length == sizeof(*notices) && notices->count <= PONT_LINK_NOTICES_MAX &&
			link->callbacks.notices != NULL)
			link->callbacks.notices(link->callbacks.context, notices);
		return true;
	default:
		return false;
	}
}

/* Takes messages until one comes that was asked for. As take(), but waits; 0: time is over. */
static int await(struct link *link, int64_t deadline)
{
	for (;;) {
		int type = take(link);

		if (type > 0 && pass_on(link, type))
			continue;
		if (type != 0)
			return type;
		if (!wait_for(link, POLLIN, deadline))
			return 0;
	}
}

static int put(struct link *link, enum pont_link_type type, void *message, uint16_t length, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = message, .iov_len = length};
	struct msghdr envelope = {.msg_iov = &part, .msg_iovlen = 1};
	struct pont_link_header header = {.magic = PONT_LINK_MAGIC, .type = (uint16_t)type, .length = length};
	int64_t deadline = now_ms() + ANSWER_TIMEOUT_MS;

	memcpy(message, &header, sizeof(header));
	if (fd >= 0) {
		envelope.msg_control = control.bytes;
		envelope.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	for (;;) {
		if (sendmsg(link->fd, &envelope, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -1;
		if (!wait_for(link, POLLOUT, deadline)) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
}

/* Why a HELLO cannot be accepted, NULL if it can. */
static const char *refuse_hello(const struct pont_link_hello *hello)
{
	if (hello->header.length < offsetof(struct pont_link_hello, pid))
		return "HELLO is cut short";
	if (hello->version != PONT_LINK_VERSION)
		return "another version of the link";
	if (hello->header.length != sizeof(*hello))
		return "HELLO has a wrong length";
	if (hello->workers < 1 || hello->workers > PONT_WORKERS_MAX || hello->ports > PONT_PORTS_MAX)
		return "HELLO has an impossible number of workers or ports";
	if (hello->spi_slots == 0 || (hello->spi_slots & (hello->spi_slots - 1)) != 0 ||
		hello->spi_slots > 1u << PONT_SPI_INDEX_BITS)
		return "HELLO has an impossible number of SPI slots";
	if (memchr(hello->build, '\0', sizeof(hello->build)) == NULL)
		return "HELLO has a name that is not terminated";
	for (size_t i = 0; i < hello->ports; i++) {
		if (memchr(hello->port[i].name, '\0', sizeof(hello->port[i].name)) == NULL)
			return "HELLO has a name that is not terminated";
		if (hello->port[i].role != PONT_PORT_ACCESS && hello->port[i].role != PONT_PORT_WAN)
			return "HELLO has a port without a role";
	}
	return NULL;
}

static void greet(struct link *link)
{
	const struct pont_link_hello *hello = (const void *)link->message;
	const char *refused = refuse_hello(hello);

	if (refused != NULL && hello->header.length >= offsetof(struct pont_link_hello, pid)) {
		complain(link, "%s (its version is %u, this program's is %u)", refused, hello->version,
			PONT_LINK_VERSION);
		lose(link);
		return;
	}
	if (refused != NULL) {
		complain(link, "%s", refused);
		lose(link);
		return;
	}
	(void)evtimer_del(link->timer);
	memcpy(&link->hello, hello, sizeof(link->hello));
	if (link->hello.revision > link->revision)
		link->revision = link->hello.revision;
	link->open = link->announced = true;
	link->complaint[0] = '\0';
	link->callbacks.up(link->callbacks.context, &link->hello);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct link *link = context;
	int type;

	(void)fd;
	(void)what;
	while (link->fd >= 0 && (type = take(link)) > 0) {
		if (link->open) {
			/* Else a late answer to a question given up; nobody waits for it. */
			(void)pass_on(link, type);
		} else if (type == PONT_LINK_HELLO) {
			greet(link);
		} else {
			complain(link, "first message is not HELLO");
			lose(link);
		}
	}
}

static void connect_now(struct link *link)
{
	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0 || connect(link->fd, (const struct sockaddr *)&link->address, sizeof(link->address)) != 0) {
		complain(link, "%s", strerror(errno));
		if (link->fd >= 0)
			(void)close(link->fd);
		link->fd = -1;
		schedule(link, RETRY_MS);
		return;
	}
	if (event_assign(link->readable, link->base, link->fd, EV_READ | EV_PERSIST, on_readable, link) != 0 ||
		event_add(link->readable, NULL) != 0) {
		lose(link);
		return;
	}
	schedule(link, HELLO_TIMEOUT_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct link *link = context;

	(void)fd;
	(void)what;
	if (link->fd < 0) {
		connect_now(link);
	} else if (!link->open) {
		complain(link, "no HELLO within %d ms", HELLO_TIMEOUT_MS);
		lose(link);
	}
}

struct link *link_start(
	struct event_base *base, const char *path, const struct link_callbacks *callbacks, struct error *error)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	link->fd = -1;
	link->base = base;
	link->callbacks = *callbacks;
	link->address.sun_family = AF_UNIX;
	link->refused = UINT32_MAX;
	if (strlen(path) >= sizeof(link->address.sun_path)) {
		(void)error_set(error, ENAMETOOLONG, NULL, "%s: longer than a Unix socket's name may be", path);
		goto undo;
	}
	memcpy(link->address.sun_path, path, strlen(path) + 1);
	link->readable = event_new(base, -1, 0, on_readable, link);
	link->timer = evtimer_new(base, on_timer, link);
	link->gone = evtimer_new(base, on_gone, link);
	if (link->readable == NULL || link->timer == NULL || link->gone == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		goto undo;
	}
	schedule(link, 0);
	return link;
undo:
	link_stop(link);
	return NULL;
}

void link_stop(struct link *link)
{
	if (link == NULL)
		return;
	close_connection(link);
	if (link->readable != NULL)
		event_free(link->readable);
	if (link->timer != NULL)
		event_free(link->timer);
	if (link->gone != NULL)
		event_free(link->gone);
	free(link);
}

const struct pont_link_hello *link_hello(const struct link *link)
{
	return link->open ? &link->hello : NULL;
}

uint32_t link_refused_message(const struct link *link)
{
	return link->refused;
}

void link_begin(struct link *link, uint32_t flags)
{
	struct pont_link_begin begin = {.revision = ++link->revision, .flags = flags};

	link->transaction_code = 0;
	link->refused = UINT32_MAX;
	link_send(link, PONT_LINK_BEGIN, &begin, sizeof(begin), -1);
}

void link_send(struct link *link, enum pont_link_type type, void *message, uint16_t length, int fd)
{
	if (link->transaction_code != 0)
		return;
	if (!link->open) {
		link->transaction_code = ENOTCONN;
	} else if (put(link, type, message, length, fd) != 0) {
		link->transaction_code = errno;
		complain(link, "sending failed: %s", strerror(errno));
		lose(link);
	}
}

/* Reads the ACK or ERROR of the transaction. */
static int answer(struct link *link, struct error *error)
{
	int64_t deadline = now_ms() + ANSWER_TIMEOUT_MS;
	int type;

	while ((type = await(link, deadline)) > 0) {
		const struct pont_link_ack *ack = (const void *)link->message;
		struct pont_link_error *refusal = (void *)link->message;

		if (type == PONT_LINK_ACK && ack->header.length == sizeof(*ack) && ack->revision == link->revision)
			return 0;
		if (type == PONT_LINK_ERROR && refusal->header.length == sizeof(*refusal) &&
			(refusal->revision == link->revision || refusal->revision == 0)) {
			refusal->text[sizeof(refusal->text) - 1] = '\0';
			link->refused = refusal->message;
			return error_set(error, refusal->code != 0 ? refusal->code : EPROTO, NULL, "dataplane: %s",
				refusal->text);
		}
	}
	if (type < 0)
		return error_set(error, ECONNRESET, NULL, "the dataplane went away");
	/* Nobody knows what it did: the next HELLO starts with everything again. */
	complain(link, "no answer within %d ms", ANSWER_TIMEOUT_MS);
	lose(link);
	return error_set(error, ETIMEDOUT, NULL, "the dataplane did not answer within %d ms", ANSWER_TIMEOUT_MS);
}

int link_commit(struct link *link, struct error *error)
{
	struct pont_link_commit commit = {.revision = link->revision};

	link_send(link, PONT_LINK_COMMIT, &commit, sizeof(commit), -1);
	if (link->transaction_code == ENOTCONN)
		return error_set(error, ENOTCONN, NULL, "the dataplane is not connected");
	if (link->transaction_code != 0)
		return error_set(error, link->transaction_code, NULL, "the dataplane cannot be reached: %s",
			strerror(link->transaction_code));
	return answer(link, error);
}

/* Whether a message is a record of the kind that the request asks for, of the right length. */
static bool is_record(enum pont_link_type request, const struct pont_link_header *header)
{
	switch (header->type) {
	case PONT_LINK_TENANT_STATS:
		return request == PONT_LINK_STATS_GET && header->length == sizeof(struct pont_link_tenant_stats);
	case PONT_LINK_WORKER_STATS:
		return request == PONT_LINK_STATS_GET && header->length == sizeof(struct pont_link_worker_stats);
	case PONT_LINK_PORT_STATS:
		return request == PONT_LINK_STATS_GET && header->length == sizeof(struct pont_link_port_stats);
	case PONT_LINK_SA_STATS:
		return request == PONT_LINK_SAS_GET && header->length == sizeof(struct pont_link_sa_stats);
	case PONT_LINK_FDB_ENTRY:
		return request == PONT_LINK_FDB_GET && header->length == sizeof(struct pont_link_fdb_entry);
	case PONT_LINK_SNAPSHOT:
		return request == PONT_LINK_SNAPSHOT_GET && header->length == sizeof(struct pont_link_snapshot);
	case PONT_LINK_SNAPSHOT_CIRCUIT:
		return request == PONT_LINK_SNAPSHOT_GET && header->length == sizeof(struct pont_link_snapshot_circuit);
	case PONT_LINK_SNAPSHOT_EDGE:
		return request == PONT_LINK_SNAPSHOT_GET && header->length == sizeof(struct pont_link_snapshot_edge);
	case PONT_LINK_SOURCE_PORT:
		return request == PONT_LINK_SOURCE_PORTS_GET && header->length == sizeof(struct pont_link_source_port);
	default:
		return false;
	}
}

/* Reads the records up to END. */
static int records(struct link *link, enum pont_link_type request,
	void (*visit)(void *context, const struct pont_link_header *record), void *context, struct error *error)
{
	int type;

	/* Patience is for each message: there may be a million of them. */
	while ((type = await(link, now_ms() + ANSWER_TIMEOUT_MS)) > 0) {
		const struct pont_link_request *message = (const void *)link->message;
		struct pont_link_error *refusal = (void *)link->message;

		if (type == PONT_LINK_ERROR && refusal->header.length == sizeof(*refusal)) {
			refusal->text[sizeof(refusal->text) - 1] = '\0';
			return error_set(error, refusal->code != 0 ? refusal->code : EPROTO, NULL, "dataplane: %s",
				refusal->text);
		}
		if (message->header.length < sizeof(*message) || message->tag != link->tag)
			continue; /* belongs to a question given up */
		if (type == PONT_LINK_END)
			return 0;
		if (is_record(request, &message->header))
			visit(context, &message->header);
	}
	if (type < 0)
		return error_set(error, ECONNRESET, NULL, "the dataplane went away");
	complain(link, "no answer within %d ms", ANSWER_TIMEOUT_MS);
	lose(link);
	return error_set(error, ETIMEDOUT, NULL, "the dataplane did not answer within %d ms", ANSWER_TIMEOUT_MS);
}

/* Sends a request, whose tag is set, and reads its answer. */
static int ask(struct link *link, enum pont_link_type request, void *message, uint16_t length,
	void (*visit)(void *context, const struct pont_link_header *record), void *context, struct error *error)
{
	if (!link->open)
		return error_set(error, ENOTCONN, NULL, "the dataplane is not connected");
	if (put(link, request, message, length, -1) != 0) {
		int code = errno;

		complain(link, "sending failed: %s", strerror(code));
		lose(link);
		return error_set(error, code, NULL, "the dataplane cannot be reached: %s", strerror(code));
	}
	return records(link, request, visit, context, error);
}

int link_query(struct link *link, enum pont_link_type request,
	void (*visit)(void *context, const struct pont_link_header *record), void *context, struct error *error)
{
	struct pont_link_request message = {.tag = ++link->tag};

	return ask(link, request, &message, sizeof(message), visit, context, error);
}

static void note_source_port(void *context, const struct pont_link_header *header)
{
	const struct pont_link_source_port *record = (const void *)header;
	uint16_t *ports = context;

	if (record->worker < PONT_WORKERS_MAX &&
		(record->source_port == 0 || record->source_port >= PONT_UDP_SOURCE_PORT_MIN))
		ports[record->worker] = record->source_port;
}

int link_source_ports(struct link *link, uint16_t peer, uint16_t *ports, struct error *error)
{
	struct pont_link_source_ports_get message = {.tag = ++link->tag, .peer = peer};

	memset(ports, 0, PONT_WORKERS_MAX * sizeof(*ports));
	return ask(link, PONT_LINK_SOURCE_PORTS_GET, &message, sizeof(message), note_source_port, ports, error);
}
