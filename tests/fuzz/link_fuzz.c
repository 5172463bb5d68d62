/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any row of messages into the dataplane's end of the link. The first byte of the input says whether a small site is
 * configured first; then messages follow, each with a head of three bytes:
 *
 *	type (its number in types[]; a large one makes BEGIN a full one), manner, length, then so many bytes
 *
 * With a small manner the message is a good one of its type, of that small site, or one over which the bytes are laid
 * by exclusive or: so the fuzzer reaches what lies behind all checks. With bits set, the bytes are the message, length
 * or magic are wrong, a file goes along, traffic passes between two messages, or the connection is lost. Each input
 * ends with nothing lost: no file, no buffer, no hugepage memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_malloc.h>

#include "rig.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Below GOOD nothing is laid over; below BITS only that; the bits count from there on. */
enum manner {
	AS_IT_IS = 1,
	WRONG_LENGTH = 2,
	WRONG_MAGIC = 4,
	WITH_FILE = 8,
	WITH_FILES = 16,
	TRAFFIC = 32,
	LOSS = 64,
	GOOD = 64,
	BITS = 128,
};
enum { HEAD = 3, MESSAGES_MAX = 200 };

static const uint8_t types[] = {PONT_LINK_BEGIN, PONT_LINK_COMMIT, PONT_LINK_SITE_SET, PONT_LINK_FENCE_SET,
	PONT_LINK_TENANT_SET, PONT_LINK_CIRCUIT_SET, PONT_LINK_PEER_SET, PONT_LINK_MEMBER_SET, PONT_LINK_ADJACENCY_SET,
	PONT_LINK_SA_IN_SET, PONT_LINK_SA_IN_DEL, PONT_LINK_SA_OUT_SET, PONT_LINK_SA_OUT_DEL, PONT_LINK_STATS_GET,
	PONT_LINK_SAS_GET, PONT_LINK_FDB_GET, PONT_LINK_SNAPSHOT_GET, PONT_LINK_SOURCE_PORTS_GET, PONT_LINK_HELLO, 0,
	255};

static struct rig site;
static struct server server;
static int control = -1, good_table = -1;
static uint64_t good_size;
static bool full;           /* the next BEGIN is a full one */
static unsigned int tables; /* good ones given away to this input: to check one takes a while */

/* What hugepages point to would look lost. */
static void take_down(void)
{
	rig_stop(&site);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	rig_start(&site, &(struct rig_options){.buffers = 256, .ring = 64});
	good_table = rig_fence_file(7, 0x40000001, &good_size);
	(void)atexit(take_down);
	return 0;
}

static void reach(void)
{
	int pair[2];

	RIG_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
	server.client_fd = pair[0];
	control = pair[1];
}

/* Whatever it says is a whole message. */
static void hear(void)
{
	struct pont_link_header *message;
	static uint64_t buffer[PONT_LINK_MESSAGE_MAX / 8];
	ssize_t got;

	message = (void *)buffer;
	while ((got = recv(control, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		RIG_CHECK(
			got >= (ssize_t)sizeof(*message) && message->magic == PONT_LINK_MAGIC && message->length == got,
			"a message of %zd bytes", got);
}

static size_t length_of(uint8_t type)
{
	static const uint16_t lengths[256] = {[PONT_LINK_BEGIN] = sizeof(struct pont_link_begin),
		[PONT_LINK_COMMIT] = sizeof(struct pont_link_commit),
		[PONT_LINK_SITE_SET] = sizeof(struct pont_link_site),
		[PONT_LINK_FENCE_SET] = sizeof(struct pont_link_fence),
		[PONT_LINK_TENANT_SET] = sizeof(struct pont_link_tenant),
		[PONT_LINK_CIRCUIT_SET] = sizeof(struct pont_link_circuit),
		[PONT_LINK_PEER_SET] = sizeof(struct pont_link_peer),
		[PONT_LINK_MEMBER_SET] = sizeof(struct pont_link_member),
		[PONT_LINK_ADJACENCY_SET] = sizeof(struct pont_link_adjacency),
		[PONT_LINK_SA_IN_SET] = sizeof(struct pont_link_sa_in),
		[PONT_LINK_SA_IN_DEL] = sizeof(struct pont_link_sa_in_del),
		[PONT_LINK_SA_OUT_SET] = sizeof(struct pont_link_sa_out),
		[PONT_LINK_SA_OUT_DEL] = sizeof(struct pont_link_sa_out_del),
		[PONT_LINK_STATS_GET] = sizeof(struct pont_link_request),
		[PONT_LINK_SAS_GET] = sizeof(struct pont_link_request),
		[PONT_LINK_FDB_GET] = sizeof(struct pont_link_request),
		[PONT_LINK_SNAPSHOT_GET] = sizeof(struct pont_link_request),
		[PONT_LINK_SOURCE_PORTS_GET] = sizeof(struct pont_link_source_ports_get)};

	return lengths[type];
}

/* A table that is good, or a file with these bytes. */
static int file_for(uint8_t manner, const void *bytes, size_t size)
{
	int fd;

	if (manner & WITH_FILE && ++tables <= 4)
		return fcntl(good_table, F_DUPFD_CLOEXEC, 0);
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	RIG_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "memfd");
	return fd;
}

union message {
	struct pont_link_header header;
	struct pont_link_begin begin;
	struct pont_link_commit commit;
	struct pont_link_site site;
	struct pont_link_fence fence;
	struct pont_link_tenant tenant;
	struct pont_link_circuit circuit;
	struct pont_link_peer peer;
	struct pont_link_member member;
	struct pont_link_adjacency adjacency;
	struct pont_link_sa_in sa_in;
	struct pont_link_sa_out sa_out;
	struct pont_link_sa_in_del sa_in_del;
	struct pont_link_sa_out_del sa_out_del;
	struct pont_link_source_ports_get source_ports_get;
	uint8_t bytes[PONT_LINK_MESSAGE_MAX + 64];
};

static void good_message(union message *message, uint8_t type)
{
	enum { VNI = RIG_HOPITAL, PEER = RIG_PEER4 };

	switch (type) {
	case PONT_LINK_BEGIN:
		message->begin.revision = 1;
		message->begin.flags = full ? PONT_BEGIN_FULL : 0;
		break;
	case PONT_LINK_COMMIT:
		message->commit.revision = 1;
		break;
	case PONT_LINK_SITE_SET:
		message->site.vtep4 = rig_address(PONT_FAMILY_IPV4, 0);
		message->site.vtep6 = rig_address(PONT_FAMILY_IPV6, 0);
		break;
	case PONT_LINK_FENCE_SET:
		message->fence.policy_revision = 7;
		message->fence.size = good_size;
		break;
	case PONT_LINK_TENANT_SET:
		message->tenant = rig_tenant(VNI);
		break;
	case PONT_LINK_CIRCUIT_SET:
		message->circuit.vni = VNI;
		break;
	case PONT_LINK_PEER_SET:
		message->peer.peer = PEER;
		break;
	case PONT_LINK_MEMBER_SET:
		message->member.vni = VNI;
		message->member.peer = PEER;
		break;
	case PONT_LINK_ADJACENCY_SET:
		message->adjacency = rig_adjacency(PEER, PONT_FAMILY_IPV4, 1500);
		break;
	case PONT_LINK_SA_IN_SET:
		message->sa_in = rig_sa_in(VNI, PEER, 0);
		break;
	case PONT_LINK_SA_IN_DEL:
		message->sa_in_del.spi = rig_sa_in(VNI, PEER, 0).spi;
		break;
	case PONT_LINK_SA_OUT_SET:
		message->sa_out = rig_sa_out(VNI, PEER, 0);
		break;
	case PONT_LINK_SA_OUT_DEL:
		message->sa_out_del.vni = VNI;
		message->sa_out_del.peer = PEER;
		message->sa_out_del.spi = rig_sa_out(VNI, PEER, 0).spi;
		break;
	case PONT_LINK_SOURCE_PORTS_GET:
		message->source_ports_get.peer = PEER;
		break;
	default:
		break;
	}
}

static void send_message(uint8_t type, uint8_t manner, const uint8_t *bytes, size_t size)
{
	union message message = {0};
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(2 * sizeof(int))];
	} ancillary = {0};
	struct iovec vector = {.iov_base = &message, .iov_len = length_of(type)};
	struct msghdr out = {.msg_iov = &vector, .msg_iovlen = 1};
	int fds[2];

	if (size > PONT_LINK_MESSAGE_MAX)
		size = PONT_LINK_MESSAGE_MAX;
	if (!(manner & AS_IT_IS))
		good_message(&message, type);
	for (size_t i = 0; i < size; i++)
		message.bytes[sizeof(message.header) + i] ^= bytes[i];
	message.header = (struct pont_link_header){PONT_LINK_MAGIC, type, (uint16_t)vector.iov_len};
	if (manner & AS_IT_IS || vector.iov_len == 0)
		message.header.length = (uint16_t)(vector.iov_len = sizeof(message.header) + size);
	if (manner & WRONG_LENGTH)
		message.header.length ^= bytes != NULL && size != 0 ? bytes[0] : 1;
	if (manner & WRONG_MAGIC)
		message.header.magic ^= 1;
	if (manner & (WITH_FILE | WITH_FILES)) {
		unsigned int files = manner & WITH_FILES ? 2 : 1;

		fds[0] = file_for(manner, bytes, size);
		fds[1] = file_for(manner, bytes, size);
		out.msg_control = &ancillary;
		out.msg_controllen = CMSG_SPACE(files * sizeof(int));
		ancillary.header = (struct cmsghdr){CMSG_LEN(files * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&ancillary.header), fds, files * sizeof(int));
	}
	(void)sendmsg(control, &out, MSG_NOSIGNAL);
	if (manner & (WITH_FILE | WITH_FILES)) {
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
}

/* Frames that meet whatever is configured now. */
static void pass_traffic(const uint8_t *bytes, size_t size)
{
	uint8_t frame[200];

	wire_frame(frame, sizeof(frame), size > 0 ? bytes[0] : 0, size > 1 ? bytes[1] : 1, 0x0800);
	if (size > 2)
		frame[0] = bytes[2];
	rig_give(&site, RIG_ACCESS0, frame, sizeof(frame));
	rig_give(&site, RIG_WAN, frame, sizeof(frame));
	rig_round(&site);
	configuration_age(&site.configuration);
	(void)rig_drain(&site);
}

static unsigned int open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return count;
}

static uint64_t heap_in_use(void)
{
	struct rte_malloc_socket_stats stats;

	RIG_CHECK(rte_malloc_get_socket_stats(0, &stats) == 0, "heap");
	return stats.alloc_count;
}

/* As after the start, but for the counters. */
static void forget(void)
{
	struct configuration *configuration = &site.configuration;

	configuration_stop(configuration);
	memset(site.plane.fdb.bucket, 0, (site.plane.fdb.mask + 1) * sizeof(*site.plane.fdb.bucket));
	RIG_CHECK(configuration_start(configuration, &site.plane) == 0, "configuration");
}

/* Sends one message and lets the server answer it. */
static void converse(uint8_t type, uint8_t manner, const uint8_t *bytes, size_t size)
{
	uint8_t bits = manner >= BITS ? manner & (BITS - 1) : 0;

	if (manner < GOOD)
		size = 0;
	send_message(type, bits, bytes, size);
	(void)server_poll(&server, -1, 0);
	hear();
	server_tell_denials(&server);
	if (bits & TRAFFIC)
		pass_traffic(bytes, size);
	if (bits & LOSS || server.client_fd < 0) {
		(void)close(control);
		(void)server_poll(&server, -1, 0);
		RIG_CHECK(server.client_fd < 0 && site.configuration.transaction == NULL, "not hung up");
		reach();
	}
}

static void configure(void)
{
	static const uint8_t order[] = {PONT_LINK_BEGIN, PONT_LINK_SITE_SET, PONT_LINK_TENANT_SET,
		PONT_LINK_CIRCUIT_SET, PONT_LINK_PEER_SET, PONT_LINK_MEMBER_SET, PONT_LINK_ADJACENCY_SET,
		PONT_LINK_SA_IN_SET, PONT_LINK_SA_OUT_SET, PONT_LINK_COMMIT};

	for (unsigned int i = 0; i < sizeof(order); i++)
		converse(order[i], 0, NULL, 0);
	RIG_CHECK(rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0) != NULL, "the small site is not configured");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int files, messages = 0;
	uint64_t heap = heap_in_use();

	tables = 0;
	full = false;
	memset(&server, 0, sizeof(server));
	server.configuration = &site.configuration;
	server.lock_fd = server.listen_fd = -1;
	server.boot_id = 1;
	files = open_files();
	reach();
	if (size != 0 && data[0] & 1)
		configure();
	for (; size > HEAD && messages < MESSAGES_MAX; messages++) {
		const uint8_t *head = data + 1;
		size_t length = head[2] < size - 1 - HEAD ? head[2] : size - 1 - HEAD;

		full = head[0] >= 128;
		converse(types[head[0] % sizeof(types)], head[1], head + HEAD, length);
		data += HEAD + length;
		size -= HEAD + length;
	}
	(void)close(control);
	server_stop(&server);
	forget();
	RIG_CHECK(open_files() == files, "%u files are left open", open_files() - files);
	RIG_CHECK(heap_in_use() == heap, "%ld blocks of hugepage memory lost", (long)(heap_in_use() - heap));
	RIG_CHECK(rig_lost_buffers(&site) == 0, "%u buffers are lost", rig_lost_buffers(&site));
	return 0;
}
