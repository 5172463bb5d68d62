/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/ebpf/world.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/fence/cgroup.h"
#include "tests/ebpf/frame.h"

struct fence_options world_options;

static char bpffs[] = "/tmp/pont-fence-XXXXXX";
static char pins[64], cgroup[512], cgroup_root[256];
static int far_end = -1;

/* Frames that arrived and were not asked for yet. */
static struct frame arrived[4096];
static size_t arrived_count;

void world_run(const char *format, ...)
{
	char command[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	cr_assert_eq(system(command), 0, "%s", command);
}

static void cgroup_join(const char *directory)
{
	char path[600];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(write(fd, "0", 1), 1, "%s: %s", path, strerror(errno));
	(void)close(fd);
}

int tap_open(const char *interface)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	const int room = 8 << 20, tap = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));

	cr_assert_geq(tap, 0);
	address.sll_ifindex = (int)if_nametoindex(interface);
	(void)setsockopt(tap, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	cr_assert_eq(bind(tap, (struct sockaddr *)&address, sizeof(address)), 0);
	return tap;
}

void world_open(void)
{
	char *root = cgroup_mount_point("/proc/self/mountinfo");

	cr_assert_not_null(root, "no cgroup v2");
	(void)snprintf(cgroup_root, sizeof(cgroup_root), "%s", root);
	free(root);
	(void)snprintf(cgroup, sizeof(cgroup), "%s/pont-fence-test-%d", cgroup_root, (int)getpid());
	cr_assert_eq(mkdir(cgroup, 0755), 0, "%s: %s", cgroup, strerror(errno));
	cgroup_join(cgroup);

	cr_assert_eq(unshare(CLONE_NEWNET | CLONE_NEWNS), 0, "%s", strerror(errno));
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0, "%s", strerror(errno));
	cr_assert_not_null(mkdtemp(bpffs));
	cr_assert_eq(mount("bpf", bpffs, "bpf", 0, NULL), 0, "bpffs: %s", strerror(errno));
	(void)snprintf(pins, sizeof(pins), "%s/pontlevis/site", bpffs);
	world_options.pin_directory = pins;
	world_options.cgroup = cgroup;

	world_run("ip link set lo up");
	world_run("ip link add near address 02:00:00:00:00:01 type veth peer name far address 02:00:00:00:00:02");
	world_run("sysctl -qw net.ipv6.conf.near.accept_dad=0 net.ipv6.conf.far.disable_ipv6=1");
	world_run("ip link set near up && ip link set far up");
	world_run("ip addr add 10.9.0.1/24 dev near && ip addr add 2001:db8:9::1/64 dev near nodad");
	world_run("ip neigh add 10.9.0.254 lladdr 02:00:00:00:00:02 dev near");
	world_run("ip neigh add 2001:db8:9::fe lladdr 02:00:00:00:00:02 dev near");
	world_run("ip route add default via 10.9.0.254 && ip -6 route add default via 2001:db8:9::fe");
	far_end = tap_open("far");
}

void world_close(void)
{
	(void)close(far_end);
	(void)umount2(bpffs, MNT_DETACH);
	(void)rmdir(bpffs);
	cgroup_join(cgroup_root);
	(void)rmdir(cgroup);
}

static socklen_t address_of(const char *text, uint16_t port, struct sockaddr_storage *storage)
{
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)storage;

	memset(storage, 0, sizeof(*storage));
	if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		return sizeof(*ipv4);
	}
	cr_assert_eq(inet_pton(AF_INET6, text, &ipv6->sin6_addr), 1, "%s", text);
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons(port);
	return sizeof(*ipv6);
}

int try_connect(const char *address, uint16_t port)
{
	struct sockaddr_storage storage;
	const socklen_t length = address_of(address, port, &storage);
	const int fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int result = connect(fd, (struct sockaddr *)&storage, length) ? errno : 0;

	(void)close(fd);
	return result;
}

int try_sendto(const char *address, uint16_t port)
{
	struct sockaddr_storage storage;
	const socklen_t length = address_of(address, port, &storage);
	const int fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int result = sendto(fd, "x", 1, 0, (struct sockaddr *)&storage, length) == 1 ? 0 : errno;

	(void)close(fd);
	return result;
}

int raw_open(void)
{
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	return fd;
}

int raw_send(int fd, const char *interface, const char *address, uint16_t port, uint16_t cut)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6, .sll_addr = {2, 0, 0, 0, 0, 2}};
	struct frame frame;

	frame_build(&(struct frame_description){{strchr(address, ':') ? ETHERTYPE_IPV6 : ETHERTYPE_IP}, address,
			    IPPROTO_UDP, 64, .destination_port = port, .cut = cut},
		&frame);
	to.sll_ifindex = (int)if_nametoindex(interface);
	/* A lie, which must not help. */
	to.sll_protocol = htons(ETH_P_ARP);
	return sendto(fd, frame.bytes, frame.length, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
}

int try_raw(const char *interface, const char *address, uint16_t port)
{
	const int fd = raw_open(), result = raw_send(fd, interface, address, port, 0);

	(void)close(fd);
	return result;
}

/* Takes in what has arrived; a veth delivers within the sending system call or soon after. */
static void collect(void)
{
	ssize_t got;

	(void)usleep(20000);
	while (arrived_count < sizeof(arrived) / sizeof(arrived[0]) &&
		(got = recv(far_end, arrived[arrived_count].bytes, FRAME_ROOM, MSG_TRUNC)) > 0)
		arrived[arrived_count++].length = (uint32_t)got;
}

static int goes_to(const struct frame *frame, const struct sockaddr_storage *to)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)to;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)to;

	if (to->ss_family == AF_INET)
		return frame->bytes[12] == 0x08 && frame->bytes[13] == 0x00 &&
		       !memcmp(frame->bytes + 30, &ipv4->sin_addr, 4);
	return frame->bytes[12] == 0x86 && frame->bytes[13] == 0xdd && !memcmp(frame->bytes + 38, &ipv6->sin6_addr, 16);
}

unsigned int tap_count(int tap, const char *address)
{
	struct sockaddr_storage to;
	struct sockaddr_ll from;
	struct frame frame;
	socklen_t length = sizeof(from);
	unsigned int count = 0;

	if (address)
		(void)address_of(address, 0, &to);
	(void)usleep(20000);
	while (recvfrom(tap, frame.bytes, FRAME_ROOM, 0, (struct sockaddr *)&from, &length) > 0) {
		count += from.sll_pkttype != PACKET_OUTGOING && (!address || goes_to(&frame, &to));
		length = sizeof(from);
	}
	return count;
}

unsigned int world_arrived(const char *address)
{
	struct sockaddr_storage to;
	unsigned int count = 0;
	size_t i, kept = 0;

	(void)address_of(address, 0, &to);
	collect();
	for (i = 0; i < arrived_count; i++) {
		if (goes_to(&arrived[i], &to))
			count++;
		else
			arrived[kept++] = arrived[i];
	}
	arrived_count = kept;
	return count;
}
