/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/link/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "dataplane/link/records.h"

static int fail(const char *path, const char *what)
{
	fprintf(stderr, "pontlevis-dataplane: link socket %s: %s: %s\n", path, what, strerror(errno));
	return -1;
}

static int take_lock(struct server *server)
{
	char lock[sizeof(server->path) + 8];

	(void)snprintf(lock, sizeof(lock), "%s.lock", server->path);
	server->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (server->lock_fd < 0)
		return fail(server->path, "cannot create the lock file beside it");
	if (flock(server->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		fprintf(stderr, "pontlevis-dataplane: link socket %s: another instance is running\n", server->path);
		return -1;
	}
	return 0;
}

int server_start(struct server *server, const char *path, struct configuration *configuration)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;

	memset(server, 0, sizeof(*server));
	server->lock_fd = server->listen_fd = server->client_fd = -1;
	server->configuration = configuration;
	if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path) - 8) {
		fprintf(stderr, "pontlevis-dataplane: link socket '%s': path is %s\n", path,
			path[0] == '\0' ? "empty" : "too long");
		return -1;
	}
	(void)snprintf(server->path, sizeof(server->path), "%s", path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	while (server->boot_id == 0)
		if (getrandom(&server->boot_id, sizeof(server->boot_id), 0) != sizeof(server->boot_id))
			return fail(path, "no random numbers");
	if (take_lock(server) != 0)
		return -1;
	(void)unlink(path);
	server->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listen_fd < 0)
		return fail(path, "socket");
	mask = umask(0177);
	if (bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		(void)umask(mask);
		return fail(path, "bind");
	}
	(void)umask(mask);
	if (listen(server->listen_fd, 4) != 0)
		return fail(path, "listen");
	return 0;
}

static void hang_up(struct server *server)
{
	if (server->client_fd >= 0)
		close(server->client_fd);
	server->client_fd = -1;
	server->skipping = false;
	transaction_abort(server->configuration);
}

void server_stop(struct server *server)
{
	hang_up(server);
	if (server->listen_fd >= 0) {
		close(server->listen_fd);
		(void)unlink(server->path);
	}
	if (server->lock_fd >= 0)
		close(server->lock_fd);
}

/*
 * Sends one message. Control reads while it waits for answers; if it has stopped reading for two seconds it is gone.
 */
void server_send(struct server *server, enum pont_link_type type, void *message, size_t length)
{
	struct pont_link_header *header = message;

	*header =
		(struct pont_link_header){.magic = PONT_LINK_MAGIC, .type = (uint16_t)type, .length = (uint16_t)length};
	while (server->client_fd >= 0 && send(server->client_fd, message, length, MSG_NOSIGNAL) < 0) {
		struct pollfd fd = {.fd = server->client_fd, .events = POLLOUT};

		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || poll(&fd, 1, 2000) != 1 || (fd.revents & (POLLERR | POLLHUP)))
			hang_up(server);
	}
}

static void send_error(struct server *server, const struct pont_link_header *message, const struct state_error *error)
{
	struct pont_link_error reply = {.revision = server->transaction_revision,
		.message = server->message_number,
		.type = message->type,
		.code = (uint16_t)error->code};

	(void)snprintf(reply.text, sizeof(reply.text), "%s", error->text);
	server_send(server, PONT_LINK_ERROR, &reply, sizeof(reply));
}

/* Length that a message of this type has; 0: not one that control sends. */
static size_t length_of(uint16_t type)
{
	switch (type) {
	case PONT_LINK_BEGIN:
		return sizeof(struct pont_link_begin);
	case PONT_LINK_COMMIT:
		return sizeof(struct pont_link_commit);
	case PONT_LINK_SITE_SET:
		return sizeof(struct pont_link_site);
	case PONT_LINK_FENCE_SET:
		return sizeof(struct pont_link_fence);
	case PONT_LINK_TENANT_SET:
		return sizeof(struct pont_link_tenant);
	case PONT_LINK_CIRCUIT_SET:
		return sizeof(struct pont_link_circuit);
	case PONT_LINK_PEER_SET:
		return sizeof(struct pont_link_peer);
	case PONT_LINK_MEMBER_SET:
		return sizeof(struct pont_link_member);
	case PONT_LINK_ADJACENCY_SET:
		return sizeof(struct pont_link_adjacency);
	case PONT_LINK_SA_IN_SET:
		return sizeof(struct pont_link_sa_in);
	case PONT_LINK_SA_IN_DEL:
		return sizeof(struct pont_link_sa_in_del);
	case PONT_LINK_SA_OUT_SET:
		return sizeof(struct pont_link_sa_out);
	case PONT_LINK_SA_OUT_DEL:
		return sizeof(struct pont_link_sa_out_del);
	case PONT_LINK_SWITCHES_SET:
		return sizeof(struct pont_link_switches);
	case PONT_LINK_SHADOW_SET:
		return sizeof(struct pont_link_shadow);
	case PONT_LINK_STATS_GET:
	case PONT_LINK_SAS_GET:
	case PONT_LINK_FDB_GET:
	case PONT_LINK_SHADOW_GET:
	case PONT_LINK_SNAPSHOT_GET:
		return sizeof(struct pont_link_request);
	case PONT_LINK_SOURCE_PORTS_GET:
		return sizeof(struct pont_link_source_ports_get);
	default:
		return 0;
	}
}

static int check_message(const struct pont_link_header *message, size_t received, struct state_error *error)
{
	error->code = EINVAL;
	if (received < sizeof(*message) || message->magic != PONT_LINK_MAGIC)
		(void)snprintf(error->text, sizeof(error->text), "message of %zu bytes has no header", received);
	else if (length_of(message->type) == 0)
		(void)snprintf(error->text, sizeof(error->text), "message type %u is unknown", message->type);
	else if (message->length != received || length_of(message->type) != received)
		(void)snprintf(error->text, sizeof(error->text),
			"message type %u has %zu bytes, its header says %u, its contract %zu", message->type, received,
			message->length, length_of(message->type));
	else
		error->code = 0;
	return error->code;
}

/* One message. Changes go to the transaction; after an error everything up to COMMIT is skipped. */
static void take_message(struct server *server, const struct pont_link_header *message, size_t received, int fd)
{
	struct state_error error = {0};
	bool committed = false;

	if (received >= sizeof(*message) && message->type == PONT_LINK_BEGIN) {
		server->skipping = false;
		server->message_number = 0;
		server->transaction_revision = received == sizeof(struct pont_link_begin)
						       ? ((const struct pont_link_begin *)message)->revision
						       : 0;
	} else if (server->skipping || server->configuration->transaction != NULL) {
		server->message_number++;
	} else {
		server->message_number = 0;
		server->transaction_revision = 0;
	}
	if (server->skipping) {
		if (fd >= 0)
			close(fd);
		if (received >= sizeof(*message) && message->type == PONT_LINK_COMMIT)
			server->skipping = false;
		return;
	}
	if (check_message(message, received, &error) != 0) {
		if (fd >= 0)
			close(fd);
		server->skipping = server->configuration->transaction != NULL ||
				   (received >= sizeof(*message) && message->type == PONT_LINK_BEGIN);
		transaction_abort(server->configuration);
	} else if (message->type >= PONT_LINK_STATS_GET) {
		if (fd >= 0)
			close(fd);
		if (server->configuration->transaction == NULL) {
			records_send(server, (const struct pont_link_request *)message);
			return;
		}
		error = (struct state_error){EPROTO, "requests stand outside of transactions"};
		server->skipping = true;
		transaction_abort(server->configuration);
	} else {
		bool open = server->configuration->transaction != NULL || message->type == PONT_LINK_BEGIN;

		if (transaction_message(server->configuration, message, fd, &committed, &error) != 0)
			server->skipping = open && message->type != PONT_LINK_COMMIT;
	}
	if (error.code != 0) {
		send_error(server, message, &error);
	} else if (committed) {
		struct pont_link_ack ack = {.revision = server->transaction_revision};

		server_send(server, PONT_LINK_ACK, &ack, sizeof(ack));
	}
}

/* Reads one message and the file descriptor it may carry; false if there is none. */
static bool receive(struct server *server)
{
	union {
		struct pont_link_header header;
		uint8_t bytes[PONT_LINK_MESSAGE_MAX];
		uint64_t align;
	} buffer;
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec vector = {.iov_base = &buffer, .iov_len = sizeof(buffer)};
	struct msghdr message = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t received = recvmsg(server->client_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd = -1;

	if (received < (ssize_t)sizeof(buffer.header))
		memset(&buffer.header, 0, sizeof(buffer.header));
	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (received <= 0) {
		hang_up(server);
		return false;
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int carried;

			memcpy(&carried, CMSG_DATA(c) + i * sizeof(int), sizeof(carried));
			if (fd < 0)
				fd = carried;
			else
				close(carried);
		}
	}
	/* A message that did not fit is as wrong as one of the wrong length. */
	take_message(server, &buffer.header, message.msg_flags & MSG_TRUNC ? 0 : (size_t)received, fd);
	explicit_bzero(&buffer, sizeof(buffer));
	return server->client_fd >= 0;
}

static void accept_client(struct server *server)
{
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct pont_link_hello hello;

	if (fd < 0)
		return;
	/* The newer one wins: after a crash of control its old connection may linger. */
	hang_up(server);
	server->client_fd = fd;
	lifetimes_tell_again(&server->configuration->lifetimes);
	records_hello(server, &hello);
	server_send(server, PONT_LINK_HELLO, &hello, sizeof(hello));
}

bool server_poll(struct server *server, int signal_fd, int timeout_ms)
{
	struct pollfd fds[3] = {{.fd = signal_fd, .events = POLLIN}, {.fd = server->listen_fd, .events = POLLIN},
		{.fd = server->client_fd, .events = POLLIN}};

	if (poll(fds, 3, timeout_ms) <= 0)
		return false;
	if (fds[2].revents != 0)
		while (receive(server))
			;
	if (fds[1].revents != 0)
		accept_client(server);
	return fds[0].revents != 0;
}

/*
 * What the fence has denied a tenant since the last time, on all workers. What was told stands beside the counters: a
 * place that passes to another tenant, or to the same one anew, starts with both at zero.
 */
static uint64_t denied_of(const struct plane *plane, uint32_t tenant)
{
	uint64_t sum = 0;

	for (unsigned int w = 0; w < plane->worker_count; w++) {
		struct tenant_rare *rare = &plane->worker[w]->rare[tenant];
		uint64_t denied = rare->drop[PONT_DROP_fence_denied] + rare->drop[PONT_DROP_fence_no_policy] +
				  rare->drop[PONT_DROP_fence_locked];

		sum += denied - rare->denials_told;
		rare->denials_told = denied;
	}
	return sum;
}

/* The trace that the tenant's last denial has left, if there still is one. */
static void trace_denial(const struct plane *plane, uint16_t tenant, struct pont_link_denied *denied)
{
	for (unsigned int w = 0; w < plane->worker_count; w++) {
		const struct denial *denial = &plane->worker[w]->denial[tenant % DENIALS];

		if (__atomic_load_n(&denial->count, __ATOMIC_ACQUIRE) == 0 || denial->tenant != tenant)
			continue;
		denied->destination = denial->destination;
		denied->reason = denial->verdict;
		denied->peer = denial->peer;
	}
}

/* Whether a worker has denied anything since the last time. */
static bool denials_are_new(struct server *server)
{
	const struct plane *plane = server->configuration->plane;
	bool found = false;

	for (unsigned int w = 0; w < plane->worker_count; w++) {
		uint64_t sum = 0;

		for (unsigned int i = 0; i < DENIALS; i++)
			sum += __atomic_load_n(&plane->worker[w]->denial[i].count, __ATOMIC_ACQUIRE);
		found = found || sum != server->denials_seen[w];
		server->denials_seen[w] = sum;
	}
	return found;
}

void server_tell_denials(struct server *server)
{
	const struct plane *plane = server->configuration->plane;
	const struct state *state = server->configuration->state;

	if (!denials_are_new(server))
		return;
	for (uint32_t tenant = 0; tenant <= PONT_TENANTS_MAX; tenant++) {
		struct pont_link_denied message = {.vni = state->tenant[tenant].vni,
			.policy_revision = records_policy_revision(server),
			.packets = denied_of(plane, tenant)};

		if (message.packets == 0)
			continue;
		trace_denial(plane, (uint16_t)tenant, &message);
		server_send(server, PONT_LINK_DENIED, &message, sizeof(message));
	}
}

void server_tell_notices(struct server *server)
{
	struct lifetimes *lifetimes = &server->configuration->lifetimes;
	uint64_t now = rte_get_tsc_cycles();
	struct pont_link_sa_notices message;
	uint32_t first = 1, next = 1;

	while (server->client_fd >= 0 && lifetimes_notices(lifetimes, &message, &next, now)) {
		message.header = (struct pont_link_header){
			.magic = PONT_LINK_MAGIC, .type = PONT_LINK_SA_NOTICES, .length = sizeof(message)};
		if (send(server->client_fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break; /* no room: next time; lost: found out by reading */
		lifetimes_told(lifetimes, first, next, now);
		first = next;
	}
}
