/* SPDX-License-Identifier: BSD-3-Clause */
/* The other end here is a child process that speaks the contract as each test tells it to. */
#include "control/link/link.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

static struct event_base *base;
static unsigned int ups, downs, denials;

static void init(void)
{
	scratch_make();
	cr_redirect_stderr();
	base = event_base_new();
}

static void fini(void)
{
	scratch_remove();
}

TestSuite(link, .init = init, .fini = fini, .timeout = 30);

static void on_up(void *context, const struct pont_link_hello *hello)
{
	(void)context;
	(void)hello;
	ups++;
	(void)event_base_loopbreak(base);
}

static void on_down(void *context)
{
	(void)context;
	downs++;
	(void)event_base_loopbreak(base);
}

static void on_denied(void *context, const struct pont_link_denied *denied)
{
	(void)context;
	denials += (unsigned int)denied->packets;
}

static const struct link_callbacks callbacks = {.up = on_up, .down = on_down, .denied = on_denied};

/* --- the other end --- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	return fd;
}

static void say(int fd, enum pont_link_type type, void *message, size_t length)
{
	struct pont_link_header header = {.magic = PONT_LINK_MAGIC, .type = (uint16_t)type, .length = (uint16_t)length};

	memcpy(message, &header, sizeof(header));
	if (send(fd, message, length, MSG_NOSIGNAL) != (ssize_t)length)
		_exit(3);
}

static struct pont_link_hello good_hello(void)
{
	struct pont_link_hello hello = {.version = PONT_LINK_VERSION,
		.pid = 1,
		.boot_id = 99,
		.revision = 40,
		.workers = 1,
		.ports = 1,
		.spi_slots = 1024,
		.port = {{.name = "wan0", .role = PONT_PORT_WAN}}};

	return hello;
}

/* Reads a message; its type, 0 at the end. Received descriptors are counted. */
static int hear(int fd, uint8_t buffer[PONT_LINK_MESSAGE_MAX], unsigned int *descriptors)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = buffer, .iov_len = PONT_LINK_MESSAGE_MAX};
	struct msghdr envelope = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	ssize_t length = recvmsg(fd, &envelope, 0);
	struct pont_link_header header;

	if (length < (ssize_t)sizeof(header))
		return 0;
	memcpy(&header, buffer, sizeof(header));
	if (CMSG_FIRSTHDR(&envelope) != NULL)
		(*descriptors)++;
	return header.magic == PONT_LINK_MAGIC && header.length == length ? header.type : 0;
}

typedef void peer_fn(int fd);

/* Starts a process that accepts one connection and does as told. */
static pid_t start_peer(peer_fn *behave)
{
	int listening = listen_at(scratch_path("link"));
	pid_t child = fork();

	if (child == 0) {
		int fd = accept(listening, NULL, NULL);

		behave(fd);
		_exit(0);
	}
	(void)close(listening);
	return child;
}

static struct link *start_link(void)
{
	struct error error = {0};
	struct link *link = link_start(base, scratch_path("link"), &callbacks, &error);

	cr_assert_not_null(link, "%s", error.text);
	return link;
}

static void wait_up(void)
{
	while (ups == 0)
		cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0);
}

static void wait_down(void)
{
	while (downs == 0)
		cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0);
}

static void finish(struct link *link, pid_t peer)
{
	int status = 0;

	link_stop(link);
	cr_assert_eq(waitpid(peer, &status, 0), peer);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other end is unhappy: %d", status);
}

/* --- tests --- */

static void hello_only(int fd)
{
	struct pont_link_hello hello = good_hello();
	uint8_t buffer[PONT_LINK_MESSAGE_MAX];
	unsigned int descriptors = 0;

	say(fd, PONT_LINK_HELLO, &hello, sizeof(hello));
	while (hear(fd, buffer, &descriptors) != 0)
		;
}

Test(link, hello_brings_it_up)
{
	pid_t peer = start_peer(hello_only);
	struct link *link = start_link();

	cr_assert_null(link_hello(link));
	wait_up();
	cr_assert_not_null(link_hello(link));
	cr_assert_eq(link_hello(link)->boot_id, 99);
	cr_assert_str_eq(link_hello(link)->port[0].name, "wan0");
	finish(link, peer);
}

static void transaction(int fd)
{
	struct pont_link_hello hello = good_hello();
	uint8_t buffer[PONT_LINK_MESSAGE_MAX];
	unsigned int descriptors = 0;
	struct pont_link_denied denied = {.packets = 5};
	struct pont_link_begin begin;
	struct pont_link_commit commit;
	struct pont_link_ack ack = {0};

	say(fd, PONT_LINK_HELLO, &hello, sizeof(hello));
	if (hear(fd, buffer, &descriptors) != PONT_LINK_BEGIN)
		_exit(4);
	memcpy(&begin, buffer, sizeof(begin));
	if (hear(fd, buffer, &descriptors) != PONT_LINK_FENCE_SET || descriptors != 1)
		_exit(5);
	if (hear(fd, buffer, &descriptors) != PONT_LINK_COMMIT || descriptors != 1)
		_exit(6);
	memcpy(&commit, buffer, sizeof(commit));
	if (begin.revision != 41 || commit.revision != 41 || begin.flags != PONT_BEGIN_FULL)
		_exit(7);
	ack.revision = 40; /* a late one of another transaction must not count */
	say(fd, PONT_LINK_ACK, &ack, sizeof(ack));
	say(fd, PONT_LINK_DENIED, &denied, sizeof(denied));
	ack.revision = 41;
	say(fd, PONT_LINK_ACK, &ack, sizeof(ack));
	(void)hear(fd, buffer, &descriptors);
}

Test(link, transaction_is_acknowledged_and_carries_a_descriptor)
{
	pid_t peer = start_peer(transaction);
	struct link *link = start_link();
	struct pont_link_fence fence = {.policy_revision = 1};
	struct error error = {0};

	wait_up();
	link_begin(link, PONT_BEGIN_FULL);
	link_send(link, PONT_LINK_FENCE_SET, &fence, sizeof(fence), STDIN_FILENO);
	cr_assert_eq(link_commit(link, &error), 0, "%s", error.text);
	cr_assert_eq(denials, 5);
	cr_assert_eq(link_refused_message(link), UINT32_MAX);
	finish(link, peer);
}

static void refuse(int fd)
{
	struct pont_link_hello hello = good_hello();
	uint8_t buffer[PONT_LINK_MESSAGE_MAX];
	unsigned int descriptors = 0;
	struct pont_link_error error = {
		.revision = 41, .message = 1, .type = PONT_LINK_TENANT_SET, .code = ENOSPC, .text = "no room"};

	say(fd, PONT_LINK_HELLO, &hello, sizeof(hello));
	while (hear(fd, buffer, &descriptors) != PONT_LINK_COMMIT)
		;
	say(fd, PONT_LINK_ERROR, &error, sizeof(error));
	(void)hear(fd, buffer, &descriptors);
}

Test(link, refusal_comes_with_the_words_of_the_dataplane)
{
	pid_t peer = start_peer(refuse);
	struct link *link = start_link();
	struct pont_link_tenant tenant = {.vni = 1};
	struct error error = {0};

	wait_up();
	link_begin(link, 0);
	link_send(link, PONT_LINK_TENANT_SET, &tenant, sizeof(tenant), -1);
	cr_assert_eq(link_commit(link, &error), -1);
	cr_assert_eq(error.code, ENOSPC);
	cr_assert_str_eq(error.text, "dataplane: no room");
	cr_assert_eq(link_refused_message(link), 1);
	cr_assert_not_null(link_hello(link), "a refusal is no reason to part");
	finish(link, peer);
}

static void records(int fd)
{
	struct pont_link_hello hello = good_hello();
	uint8_t buffer[PONT_LINK_MESSAGE_MAX];
	unsigned int descriptors = 0;
	struct pont_link_fdb_entry entry = {.vni = 7};
	struct pont_link_request request;

	say(fd, PONT_LINK_HELLO, &hello, sizeof(hello));
	if (hear(fd, buffer, &descriptors) != PONT_LINK_FDB_GET)
		_exit(4);
	memcpy(&request, buffer, sizeof(request));
	entry.tag = request.tag + 1; /* belongs to something else */
	say(fd, PONT_LINK_FDB_ENTRY, &entry, sizeof(entry));
	for (entry.tag = request.tag; entry.vni < 10; entry.vni++)
		say(fd, PONT_LINK_FDB_ENTRY, &entry, sizeof(entry));
	say(fd, PONT_LINK_SA_STATS, &entry, sizeof(entry)); /* not what was asked for */
	say(fd, PONT_LINK_END, &request, sizeof(request));
	(void)hear(fd, buffer, &descriptors);
}

static void sum_vnis(void *context, const struct pont_link_header *record)
{
	const struct pont_link_fdb_entry *entry = (const void *)record;

	*(unsigned int *)context += entry->vni;
}

Test(link, query_visits_the_records_of_its_own_tag)
{
	pid_t peer = start_peer(records);
	struct link *link = start_link();
	struct error error = {0};
	unsigned int sum = 0;

	wait_up();
	cr_assert_eq(link_query(link, PONT_LINK_FDB_GET, sum_vnis, &sum, &error), 0, "%s", error.text);
	cr_assert_eq(sum, 7 + 8 + 9);
	finish(link, peer);
}

static void vanish(int fd)
{
	struct pont_link_hello hello = good_hello();
	uint8_t buffer[PONT_LINK_MESSAGE_MAX];
	unsigned int descriptors = 0;

	say(fd, PONT_LINK_HELLO, &hello, sizeof(hello));
	(void)hear(fd, buffer, &descriptors);
	(void)close(fd);
}

Test(link, loss_in_a_transaction_is_an_error_and_told_later_from_the_loop)
{
	pid_t peer = start_peer(vanish);
	struct link *link = start_link();
	struct error error = {0};

	wait_up();
	link_begin(link, 0);
	cr_assert_eq(link_commit(link, &error), -1);
	cr_assert_null(link_hello(link));
	cr_assert_eq(downs, 0, "not under the caller's feet");
	wait_down();
	cr_assert_eq(downs, 1);
	link_begin(link, 0);
	cr_assert_eq(link_commit(link, &error), -1);
	cr_assert_eq(error.code, ENOTCONN);
	cr_assert_eq(link_query(link, PONT_LINK_FDB_GET, sum_vnis, NULL, &error), -1);
	cr_assert_eq(error.code, ENOTCONN);
	finish(link, peer);
}

static void garbage(int fd)
{
	struct pont_link_hello hello = good_hello();
	uint8_t buffer[PONT_LINK_MESSAGE_MAX];
	unsigned int descriptors = 0;

	say(fd, PONT_LINK_HELLO, &hello, sizeof(hello));
	(void)hear(fd, buffer, &descriptors);
	(void)send(fd, "garbage", 7, MSG_NOSIGNAL);
	while (hear(fd, buffer, &descriptors) != 0)
		;
}

Test(link, malformed_message_ends_the_connection)
{
	pid_t peer = start_peer(garbage);
	struct link *link = start_link();
	struct error error = {0};

	wait_up();
	link_begin(link, 0);
	cr_assert_eq(link_commit(link, &error), -1);
	cr_assert_null(link_hello(link));
	finish(link, peer);
}

static void expect_closed(int fd)
{
	char byte;

	if (recv(fd, &byte, 1, 0) != 0)
		_exit(9);
}

#define BAD_HELLO(behaviour, change)                                                                                   \
	static void behaviour(int fd)                                                                                  \
	{                                                                                                              \
		struct pont_link_hello hello = good_hello();                                                           \
                                                                                                                       \
		change;                                                                                                \
		say(fd, PONT_LINK_HELLO, &hello, sizeof(hello));                                                       \
		expect_closed(fd);                                                                                     \
	}

BAD_HELLO(other_version, hello.version = PONT_LINK_VERSION + 1)
BAD_HELLO(no_worker, hello.workers = 0)
BAD_HELLO(too_many_ports, hello.ports = PONT_PORTS_MAX + 1)
BAD_HELLO(odd_slots, hello.spi_slots = 1000)
BAD_HELLO(endless_name, memset(hello.port[0].name, 'x', PONT_NAME_SIZE))
BAD_HELLO(no_role, hello.port[0].role = 0)

static void ack_first(int fd)
{
	struct pont_link_ack ack = {0};

	say(fd, PONT_LINK_ACK, &ack, sizeof(ack));
	expect_closed(fd);
}

Test(link, hello_that_cannot_be_trusted_is_refused)
{
	static peer_fn *const peers[] = {
		other_version, no_worker, too_many_ports, odd_slots, endless_name, no_role, ack_first};

	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		pid_t peer = start_peer(peers[i]);
		struct link *link = start_link();
		int status;

		while (waitpid(peer, &status, WNOHANG) == 0)
			cr_assert_eq(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
		cr_assert_eq(status, 0, "row %zu", i);
		cr_assert_eq(ups, 0, "row %zu", i);
		link_stop(link);
		(void)unlink(scratch_path("link"));
	}
}

Test(link, it_comes_back_by_itself)
{
	pid_t peer = start_peer(vanish), second;
	struct link *link = start_link();
	struct error error = {0};

	wait_up();
	link_begin(link, 0);
	(void)link_commit(link, &error);
	cr_assert_eq(waitpid(peer, NULL, 0), peer);
	(void)unlink(scratch_path("link"));
	second = start_peer(hello_only);
	ups = 0;
	wait_up();
	cr_assert_eq(downs, 1);
	finish(link, second);
}

Test(link, name_that_is_too_long_is_refused)
{
	struct error error = {0};
	char path[200];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	cr_assert_null(link_start(base, path, &callbacks, &error));
	cr_assert_eq(error.code, ENAMETOOLONG);
}
