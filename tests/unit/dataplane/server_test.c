/* SPDX-License-Identifier: BSD-3-Clause */
/* The dataplane's end of the link, spoken to over its socket as control does. */
#include "dataplane/link/server.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "site.h"

static struct server server;
static char directory[] = "/tmp/pontlevis-link-XXXXXX";
static char path[64];
static int control = -1;

/* Everything that the dataplane may send. */
union any {
	struct pont_link_header header;
	struct pont_link_hello hello;
	struct pont_link_ack ack;
	struct pont_link_error error;
	struct pont_link_tenant_stats tenant;
	struct pont_link_worker_stats worker;
	struct pont_link_port_stats port;
	struct pont_link_sa_stats sa;
	struct pont_link_fdb_entry fdb;
	struct pont_link_request end;
	struct pont_link_denied denied;
	struct pont_link_source_port source_port;
};

static int connect_to(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", where);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0, "%s", strerror(errno));
	return fd;
}

/* Lets the server work until nothing comes any more. */
static void serve(void)
{
	for (unsigned int i = 0; i < 3; i++)
		(void)server_poll(&server, -1, 5);
}

/* The next message from the dataplane; false: there is none. */
static bool hear_from(int fd, union any *message)
{
	ssize_t got = recv(fd, message, sizeof(*message), MSG_DONTWAIT);

	if (got <= 0)
		return false;
	cr_assert_geq(got, (ssize_t)sizeof(message->header));
	cr_assert_eq(message->header.magic, PONT_LINK_MAGIC);
	cr_assert_eq(message->header.length, got);
	return true;
}

static bool hear(union any *message)
{
	return hear_from(control, message);
}

static void expect_silence(void)
{
	union any message;

	cr_expect_not(hear(&message), "it says %u", message.header.type);
}

static void tell_bytes(const void *bytes, size_t size)
{
	cr_assert_eq(send(control, bytes, size, 0), (ssize_t)size);
}

#define tell(message_type, message)                                                                                    \
	do {                                                                                                           \
		(message).header =                                                                                     \
			(struct pont_link_header){PONT_LINK_MAGIC, message_type, (uint16_t)sizeof(message)};           \
		tell_bytes(&(message), sizeof(message));                                                               \
	} while (0)

static void tell_begin(uint64_t revision, uint32_t flags)
{
	struct pont_link_begin begin = {.revision = revision, .flags = flags};

	tell(PONT_LINK_BEGIN, begin);
}

static void tell_commit(uint64_t revision)
{
	struct pont_link_commit commit = {.revision = revision};

	tell(PONT_LINK_COMMIT, commit);
}

static void tell_tenant(uint32_t vni)
{
	struct pont_link_tenant tenant = rig_tenant(vni);

	tell(PONT_LINK_TENANT_SET, tenant);
}

static void expect_ack(uint64_t revision)
{
	union any message;

	serve();
	cr_assert(hear(&message), "no answer");
	cr_assert_eq(message.header.type, PONT_LINK_ACK, "it says %u, %s", message.header.type, message.error.text);
	cr_expect_eq(message.ack.revision, revision);
	expect_silence();
}

static void expect_error(uint64_t revision, uint32_t number, uint16_t type, uint16_t code)
{
	union any message;

	serve();
	cr_assert(hear(&message), "no answer");
	cr_assert_eq(message.header.type, PONT_LINK_ERROR, "it says %u", message.header.type);
	cr_expect_eq(message.error.revision, revision, "revision %lu", (unsigned long)message.error.revision);
	cr_expect_eq(message.error.message, number, "message %u", message.error.message);
	cr_expect_eq(message.error.type, type, "type %u", message.error.type);
	cr_expect_eq(message.error.code, code, "code %u: %s", message.error.code, message.error.text);
	cr_expect_gt(strlen(message.error.text), 10);
	expect_silence();
}

static void set_up(void)
{
	union any message;

	site_up();
	cr_assert_not_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/link.sock", directory);
	cr_assert_eq(server_start(&server, path, &site.configuration), 0);
	control = connect_to(path);
	serve();
	cr_assert(hear(&message));
	cr_assert_eq(message.header.type, PONT_LINK_HELLO);
}

static void tear_down(void)
{
	char lock[80];

	server_stop(&server);
	(void)close(control);
	(void)snprintf(lock, sizeof(lock), "%s.lock", path);
	(void)unlink(lock);
	(void)rmdir(directory);
	site_down();
}

TestSuite(server, .init = set_up, .fini = tear_down, .timeout = 60);

static unsigned int open_files(void)
{
	DIR *files = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(files) != NULL)
		count++;
	(void)closedir(files);
	return count;
}

Case(server, introduces_the_dataplane_to_whoever_connects)
{
	union any message;
	int other = connect_to(path);

	serve();
	cr_assert(hear_from(other, &message));
	cr_assert_eq(message.header.type, PONT_LINK_HELLO);
	cr_expect_eq(message.hello.version, PONT_LINK_VERSION);
	cr_expect_eq(message.hello.pid, (uint32_t)getpid());
	cr_expect_neq(message.hello.boot_id, 0);
	cr_expect_eq(message.hello.revision, site.configuration.full_revision);
	cr_expect_eq(message.hello.workers, 1);
	cr_expect_eq(message.hello.spi_slots, RIG_SPI_SLOTS);
	cr_assert_eq(message.hello.ports, RIG_PORTS);
	cr_expect_str_eq(message.hello.port[RIG_ACCESS0].name, "access0");
	cr_expect_eq(message.hello.port[RIG_WAN].role, PONT_PORT_WAN);
	cr_expect_gt(strlen(message.hello.build), 0);
	(void)close(other);
}

Case(server, answers_a_transaction_with_one_ack)
{
	tell_begin(77, 0);
	tell_tenant(300);
	tell_tenant(301);
	serve();
	expect_silence();
	cr_expect_eq(state_tenant(site.configuration.state, 300), 0, "not before the COMMIT");
	tell_commit(77);
	expect_ack(77);
	cr_expect_neq(state_tenant(site.configuration.state, 300), 0);
}

Case(server, answers_an_erroneous_transaction_with_one_error_and_skips_to_its_commit)
{
	struct pont_link_circuit circuit = {.port = RIG_ACCESS0, .vlan = 44, .vni = 999};

	tell_begin(78, PONT_BEGIN_FULL);
	tell_tenant(300);
	tell(PONT_LINK_CIRCUIT_SET, circuit);
	tell_tenant(0);
	tell_tenant(301);
	tell_commit(78);
	expect_error(78, 2, PONT_LINK_CIRCUIT_SET, ENOENT);
	cr_expect_eq(state_tenant(site.configuration.state, 300), 0);
	cr_expect_neq(state_tenant(site.configuration.state, RIG_HOPITAL), 0, "undone as a whole");
	tell_begin(79, 0);
	tell_tenant(302);
	tell_commit(79);
	expect_ack(79);
}

Case(server, finds_its_way_back_with_the_next_begin)
{
	tell_begin(78, 0);
	tell_tenant(0);
	expect_error(78, 1, PONT_LINK_TENANT_SET, EINVAL);
	tell_begin(79, 0);
	tell_tenant(302);
	tell_commit(79);
	expect_ack(79);
}

Case(server, answers_a_begin_inside_a_transaction_with_one_error)
{
	tell_begin(78, 0);
	tell_tenant(300);
	tell_begin(79, 0);
	tell_tenant(301);
	tell_commit(79);
	expect_error(79, 0, PONT_LINK_BEGIN, EPROTO);
	cr_expect_eq(state_tenant(site.configuration.state, 300), 0);
	cr_expect_eq(state_tenant(site.configuration.state, 301), 0);
}

Case(server, answers_a_failing_commit_with_an_error)
{
	tell_begin(78, 0);
	tell_tenant(300);
	tell_commit(80);
	expect_error(78, 2, PONT_LINK_COMMIT, EPROTO);
	tell_begin(81, 0);
	tell_commit(81);
	expect_ack(81);
}

Case(server, answers_a_malformed_begin_and_what_belongs_to_it_with_one_error)
{
	struct pont_link_begin begin = {.revision = 78};

	begin.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_BEGIN, sizeof(begin) - 4};
	tell_bytes(&begin, sizeof(begin) - 4);
	tell_tenant(300);
	tell_commit(78);
	expect_error(0, 0, PONT_LINK_BEGIN, EINVAL);
	tell_begin(79, 0);
	tell_commit(79);
	expect_ack(79);
}

Case(server, says_revision_0_outside_of_a_transaction)
{
	tell_begin(78, 0);
	tell_commit(78);
	expect_ack(78);
	tell_tenant(300);
	serve();
	{
		union any message;

		cr_assert(hear(&message));
		cr_expect_eq(message.header.type, PONT_LINK_ERROR);
		cr_expect_eq(message.error.code, EPROTO);
		cr_expect_eq(message.error.revision, 0);
	}
}

/* What is not a message of the contract: an error each time, and the conversation goes on. */
Case(server, refuses_what_is_not_a_message)
{
	static uint8_t bytes[PONT_LINK_MESSAGE_MAX + 100];
	struct pont_link_tenant tenant = rig_tenant(300);
	union any message;
	static const uint16_t unknown[] = {0, 1, PONT_LINK_HELLO, PONT_LINK_END, 63, PONT_LINK_SHADOW_SET + 1, 127,
		PONT_LINK_SNAPSHOT_GET + 1, 0xffff};

	/* Cut short at every byte, and too long. */
	for (size_t size = 1; size <= sizeof(tenant) + 8; size++) {
		if (size == sizeof(tenant))
			continue;
		memset(bytes, 0, sizeof(bytes));
		tenant.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_TENANT_SET, (uint16_t)size};
		memcpy(bytes, &tenant, sizeof(tenant));
		tell_bytes(bytes, size);
		serve();
		cr_assert(hear(&message), "%zu bytes", size);
		cr_expect_eq(message.header.type, PONT_LINK_ERROR);
		cr_expect_eq(message.error.code, EINVAL, "%zu bytes: %u", size, message.error.code);
		expect_silence();
	}
	/* Unknown types, a wrong magic, a length that lies, a message longer than any. */
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		tell(unknown[i], tenant);
		serve();
		cr_assert(hear(&message), "type %u", unknown[i]);
		cr_expect_eq(message.error.code, EINVAL, "type %u", unknown[i]);
		cr_expect_eq(message.error.type, unknown[i]);
	}
	tenant.header = (struct pont_link_header){0x504f4e55, PONT_LINK_TENANT_SET, sizeof(tenant)};
	tell_bytes(&tenant, sizeof(tenant));
	serve();
	cr_assert(hear(&message));
	cr_expect_eq(message.error.code, EINVAL);
	tenant.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_TENANT_SET, sizeof(tenant) + 4};
	tell_bytes(&tenant, sizeof(tenant));
	serve();
	cr_assert(hear(&message));
	cr_expect_eq(message.error.code, EINVAL);
	tell_bytes(bytes, sizeof(bytes));
	serve();
	cr_assert(hear(&message));
	cr_expect_eq(message.error.code, EINVAL);
	tell_begin(79, 0);
	tell_commit(79);
	expect_ack(79);
}

Case(server, undoes_a_transaction_in_which_something_is_not_a_message)
{
	tell_begin(78, 0);
	tell_tenant(300);
	tell_bytes("nonsense", 8);
	tell_tenant(301);
	tell_commit(78);
	serve();
	{
		union any message;

		cr_assert(hear(&message));
		cr_expect_eq(message.header.type, PONT_LINK_ERROR);
		cr_expect_eq(message.error.code, EINVAL);
		cr_expect_eq(message.error.message, 2);
		cr_expect_eq(message.error.revision, 78);
		expect_silence();
	}
	cr_expect_eq(state_tenant(site.configuration.state, 300), 0);
}

Case(server, answers_requests_outside_of_transactions_only)
{
	struct pont_link_request request = {.tag = 5};

	tell_begin(78, 0);
	tell_tenant(300);
	tell(PONT_LINK_STATS_GET, request);
	tell_commit(78);
	expect_error(78, 2, PONT_LINK_STATS_GET, EPROTO);
	cr_expect_eq(state_tenant(site.configuration.state, 300), 0);
}

/* Sends a request; counts its records by type, up to END. */
static unsigned int ask(uint16_t type, uint16_t record, union any *records, unsigned int max)
{
	struct pont_link_request request = {.tag = 0x1122334455667788};
	unsigned int count = 0;
	union any message;

	tell(type, request);
	serve();
	for (;;) {
		cr_assert(hear(&message), "no END after %u records", count);
		cr_assert_eq(message.end.tag, request.tag);
		if (message.header.type == PONT_LINK_END)
			break;
		if (message.header.type != record)
			continue;
		cr_assert_lt(count, max);
		records[count++] = message;
	}
	expect_silence();
	return count;
}

Case(server, tells_the_counters)
{
	struct frame frame = broadcast_from(1), unknown = tagged(&frame, 99);
	union any records[16];

	arrive(RIG_ACCESS0, &frame);
	arrive(RIG_ACCESS0, &unknown);
	(void)rig_drain(&site);
	cr_assert_eq(ask(PONT_LINK_STATS_GET, PONT_LINK_TENANT_STATS, records, 16), 3);
	cr_expect_eq(records[0].tenant.vni, 0);
	cr_expect_eq(records[0].tenant.counters.drop[PONT_DROP_classify_unknown_vlan], 1);
	cr_expect_eq(records[1].tenant.vni, RIG_HOPITAL);
	cr_expect_eq(records[1].tenant.counters.access_rx.packets, 1);
	cr_expect_eq(records[1].tenant.counters.wan_tx.packets, 2);
	cr_expect_eq(records[1].tenant.counters.copies, 2);
	cr_expect_eq(records[1].tenant.macs, 1);
	cr_expect_eq(records[2].tenant.vni, RIG_MINISTERE);
	cr_expect_eq(records[2].tenant.counters.access_rx.packets, 0);
	cr_assert_eq(ask(PONT_LINK_STATS_GET, PONT_LINK_WORKER_STATS, records, 16), 1);
	cr_expect_eq(records[0].worker.counters.fence_asked, 2);
	cr_assert_eq(ask(PONT_LINK_STATS_GET, PONT_LINK_PORT_STATS, records, 16), RIG_PORTS);
	cr_expect_eq(records[RIG_ACCESS0].port.rx.packets, 2);
	cr_expect_eq(records[RIG_WAN].port.tx.packets, 2);
}

Case(server, tells_the_sas_without_their_keys)
{
	struct frame frame = broadcast_from(1);
	struct wire_sa wire = rig_wire_out(RIG_HOPITAL, RIG_PEER4, 0);
	union any records[16];
	unsigned int found = 0;

	arrive(RIG_ACCESS0, &frame);
	(void)rig_drain(&site);
	cr_assert_eq(ask(PONT_LINK_SAS_GET, PONT_LINK_SA_STATS, records, 16), 8);
	for (unsigned int i = 0; i < 8; i++) {
		const struct pont_link_sa_stats *sa = &records[i].sa;

		cr_expect_null(memmem(sa, sizeof(*sa), wire.key, 8));
		if (sa->spi != wire.spi)
			continue;
		found++;
		cr_expect_eq(sa->vni, RIG_HOPITAL);
		cr_expect_eq(sa->peer, RIG_PEER4);
		cr_expect_eq(sa->direction, PONT_SA_OUT);
		cr_expect_eq(sa->counters.packets, 1);
		cr_expect_eq(sa->counters.sequence, 1);
		cr_expect_lt(sa->age_ms, 60000);
	}
	cr_expect_eq(found, 1);
}

Case(server, tells_the_addresses_it_has_learnt)
{
	struct frame frame = broadcast_from(1), with_tag = tagged(&frame, 20), other = broadcast_from(2);
	struct frame sealed = sealed_by(RIG_PEER6, RIG_HOPITAL, 1, &other);
	union any records[16];
	unsigned int found = 0;

	arrive(RIG_ACCESS1, &with_tag);
	arrive(RIG_WAN, &sealed);
	(void)rig_drain(&site);
	cr_assert_eq(ask(PONT_LINK_FDB_GET, PONT_LINK_FDB_ENTRY, records, 16), 2);
	for (unsigned int i = 0; i < 2; i++) {
		const struct pont_link_fdb_entry *entry = &records[i].fdb;

		if (entry->vni == RIG_MINISTERE) {
			cr_expect_arr_eq(entry->mac, frame.bytes + 6, 6);
			cr_expect_eq(entry->peer, 0);
			cr_expect_eq(entry->port, RIG_ACCESS1);
			cr_expect_eq(entry->vlan, 20);
			found |= 1;
		} else {
			cr_expect_eq(entry->vni, RIG_HOPITAL);
			cr_expect_arr_eq(entry->mac, other.bytes + 6, 6);
			cr_expect_eq(entry->peer, RIG_PEER6);
			found |= 2;
		}
		cr_expect_lt(entry->age_s, 60);
	}
	cr_expect_eq(found, 3);
}

Case(server, answers_about_source_ports)
{
	struct pont_link_source_ports_get request = {.tag = 9, .peer = RIG_PEER4};
	union any message;

	tell(PONT_LINK_SOURCE_PORTS_GET, request);
	serve();
	cr_assert(hear(&message));
	cr_expect_eq(message.header.type, PONT_LINK_SOURCE_PORT);
	cr_expect_eq(message.source_port.tag, 9);
	cr_expect_eq(message.source_port.worker, 0);
	cr_assert(hear(&message));
	cr_expect_eq(message.header.type, PONT_LINK_END);
	/* Peers that are not there, in range or not. */
	for (uint32_t peer = 0; peer <= UINT16_MAX; peer += peer < 300 ? 1 : 4001) {
		if (peer == RIG_PEER4 || peer == RIG_PEER6)
			continue;
		request.peer = (uint16_t)peer;
		tell(PONT_LINK_SOURCE_PORTS_GET, request);
		serve();
		cr_assert(hear(&message));
		cr_assert(message.header.type == PONT_LINK_END || message.header.type == PONT_LINK_ERROR, "peer %u: %u",
			peer, message.header.type);
		expect_silence();
	}
}

/* Sends a message with file descriptors. */
static void tell_with_files(const struct pont_link_header *message, size_t size, unsigned int files)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(8 * sizeof(int))];
	} ancillary = {0};
	struct iovec vector = {.iov_base = (void *)(uintptr_t)message, .iov_len = size};
	struct msghdr out = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = CMSG_SPACE(files * sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&out);
	int fds[8];

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(files * sizeof(int));
	for (unsigned int i = 0; i < files; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	memcpy(CMSG_DATA(header), fds, files * sizeof(int));
	cr_assert_eq(sendmsg(control, &out, 0), (ssize_t)size);
	for (unsigned int i = 0; i < files; i++)
		(void)close(fds[i]);
}

Case(server, closes_every_file_it_did_not_ask_for)
{
	struct pont_link_tenant tenant = rig_tenant(300);
	struct pont_link_request request = {.tag = 5};
	struct pont_link_fence fence = {.policy_revision = 1, .size = 4096};
	unsigned int files = open_files();
	union any message;

	for (unsigned int count = 1; count <= 8; count++) {
		tenant.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_TENANT_SET, sizeof(tenant)};
		request.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_FDB_GET, sizeof(request)};
		fence.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_FENCE_SET, sizeof(fence)};
		tell_with_files(&tenant.header, sizeof(tenant), count); /* outside of a transaction */
		tell_with_files(&request.header, sizeof(request), count);
		tell_begin(78, 0);
		tell_with_files(&tenant.header, sizeof(tenant), count);
		tell_with_files(&fence.header, sizeof(fence), count); /* /dev/null is no table */
		tell_with_files(&fence.header, sizeof(fence), count); /* skipped */
		tell_with_files(&request.header, sizeof(request), count);
		tell_with_files(&tenant.header, sizeof(tenant) - 1, count);
		tell_commit(78);
		serve();
		while (hear(&message))
			;
		cr_expect_eq(
			open_files(), files, "%u files each: %d are left open", count, (int)open_files() - (int)files);
	}
}

Case(server, takes_a_fence_table_over_the_socket)
{
	struct pont_link_fence fence = {.policy_revision = 2};
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} ancillary = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec vector = {.iov_base = &fence, .iov_len = sizeof(fence)};
	struct msghdr out = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)};
	struct frame frame = broadcast_from(1);
	int fd = rig_fence_file(2, 5, &fence.size);

	fence.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_FENCE_SET, sizeof(fence)};
	memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
	tell_begin(78, 0);
	cr_assert_eq(sendmsg(control, &out, 0), (ssize_t)sizeof(fence));
	(void)close(fd);
	tell_commit(78);
	expect_ack(78);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_fence_denied, 2);
	(void)rig_drain(&site);
}

Case(server, lets_a_newer_connection_replace_the_older_one)
{
	union any message;
	int other;

	tell_begin(78, 0);
	tell_tenant(300);
	serve();
	other = connect_to(path);
	serve();
	cr_assert(hear_from(other, &message));
	cr_expect_eq(message.header.type, PONT_LINK_HELLO);
	cr_expect_eq(recv(control, &message, sizeof(message), MSG_DONTWAIT), 0, "the older one is closed");
	cr_expect_null(site.configuration.transaction, "and its transaction is undone");
	(void)close(control);
	control = other;
	tell_begin(79, 0);
	tell_commit(79);
	expect_ack(79);
}

Case(server, undoes_an_open_transaction_when_the_connection_is_lost_and_changes_nothing_else)
{
	struct frame frame = broadcast_from(1);
	union any message;

	tell_begin(78, PONT_BEGIN_FULL);
	tell_tenant(300);
	serve();
	cr_expect_not_null(site.configuration.transaction);
	(void)close(control);
	serve();
	cr_expect_null(site.configuration.transaction);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)rig_drain(&site);
	control = connect_to(path);
	serve();
	cr_assert(hear(&message));
	cr_expect_eq(message.header.type, PONT_LINK_HELLO);
}

Case(server, hangs_up_on_a_control_process_that_does_not_read)
{
	struct pont_link_request request = {.tag = 5};
	struct timespec start, end;

	cr_assert_eq(fcntl(control, F_SETFL, O_NONBLOCK), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned int i = 0; i < 10000 && server.client_fd >= 0; i++) {
		request.header = (struct pont_link_header){PONT_LINK_MAGIC, PONT_LINK_STATS_GET, sizeof(request)};
		(void)send(control, &request, sizeof(request), MSG_NOSIGNAL);
		(void)server_poll(&server, -1, 0);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	cr_expect_lt(server.client_fd, 0);
	cr_expect_leq(end.tv_sec - start.tv_sec, 5);
}

Case(server, tells_of_denials_at_the_fence)
{
	struct frame frame = broadcast_from(1);
	struct pont_address peer6 = rig_address(PONT_FAMILY_IPV6, RIG_PEER6);
	union any message;

	server_tell_denials(&server);
	expect_silence();
	rig_begin(&site, false);
	rig_set_fence(&site, 9, false);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	arrive(RIG_ACCESS0, &frame);
	(void)rig_drain(&site);
	server_tell_denials(&server);
	cr_assert(hear(&message));
	cr_expect_eq(message.header.type, PONT_LINK_DENIED);
	cr_expect_eq(message.denied.policy_revision, 9);
	cr_expect_eq(message.denied.packets, 4);
	cr_expect_eq(message.denied.vni, RIG_HOPITAL);
	cr_expect_eq(message.denied.peer, RIG_PEER6);
	cr_expect_eq(message.denied.reason, 16); /* PONT_VERDICT_DENY */
	cr_expect_arr_eq(&message.denied.destination, &peer6, sizeof(peer6));
	server_tell_denials(&server);
	expect_silence();
	/* Every tenant's are told, whoever was last. */
	frame = tagged(&frame, 10);
	arrive(RIG_ACCESS0, &frame);
	frame = broadcast_from(1);
	arrive(RIG_ACCESS0, &frame);
	(void)rig_drain(&site);
	server_tell_denials(&server);
	for (unsigned int vni = RIG_HOPITAL;; vni = RIG_MINISTERE) {
		cr_assert(hear(&message));
		cr_expect_eq(message.denied.vni, vni);
		cr_expect_eq(message.denied.packets, 2);
		if (vni == RIG_MINISTERE)
			break;
	}
	expect_silence();
}

Case(server, guards_its_socket)
{
	struct stat status;
	struct server second;
	union any message;
	int other;

	cr_redirect_stderr();
	cr_assert_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	cr_expect_eq(server_start(&second, path, &site.configuration), -1, "a second one of the same path");
	server_stop(&second);
	cr_expect_eq(stat(path, &status), 0, "the live socket is still there");
	other = connect_to(path);
	serve();
	cr_expect(hear_from(other, &message));
	(void)close(other);
}

Case(server, replaces_a_stale_socket)
{
	union any message;

	server_stop(&server);
	(void)close(control);
	control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	{
		struct sockaddr_un address = {.sun_family = AF_UNIX};

		(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
		cr_assert_eq(bind(control, (struct sockaddr *)&address, sizeof(address)), 0);
	}
	(void)close(control);
	cr_assert_eq(server_start(&server, path, &site.configuration), 0);
	control = connect_to(path);
	serve();
	cr_assert(hear(&message));
	cr_expect_eq(message.header.type, PONT_LINK_HELLO);
}

Case(server, says_why_it_cannot_listen)
{
	struct server other;
	char name[300];

	cr_redirect_stderr();
	(void)snprintf(name, sizeof(name), "%s/nowhere/link.sock", directory);
	cr_expect_eq(server_start(&other, name, &site.configuration), -1);
	server_stop(&other);
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	cr_expect_eq(server_start(&other, name, &site.configuration), -1);
	server_stop(&other);
	cr_expect_eq(server_start(&other, "", &site.configuration), -1);
	server_stop(&other);
}
