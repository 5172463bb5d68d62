/* SPDX-License-Identifier: BSD-3-Clause */
/* The fence as the control process raises it, in a namespace and a cgroup of its own. Needs root. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/fence/new_links.h"
#include "control/fence/pins.h"
#include "tests/ebpf/places.h"
#include "tests/ebpf/world.h"

static struct event_base *base;

enum { EVENTS = 1024 };
static struct pont_fence_event events[EVENTS];
static size_t event_count;

static void on_denied(void *context, const struct pont_fence_event *event)
{
	cr_assert_eq(context, &events);
	if (event_count < EVENTS)
		events[event_count++] = *event;
}

static void open_world(void)
{
	world_open();
	base = event_base_new();
	cr_assert_not_null(base);
}

static void close_world(void)
{
	event_base_free(base);
	world_close();
}

TestSuite(live, .init = open_world, .fini = close_world, .timeout = 60);

static const struct fence_callbacks callbacks = {.context = events, .denied = on_denied};

static struct fence *start(void)
{
	struct error error = {0};
	struct fence *fence = fence_start(base, &world_options, &callbacks, &error);

	cr_assert_not_null(fence, "%s", error.text);
	return fence;
}

static void publish(struct fence *fence, const char *lines, uint64_t revision)
{
	struct fence_policy *policy = policy_of(lines, revision);
	struct error error = {0};

	cr_assert_eq(fence_publish(fence, policy, &error), 0, "%s", error.text);
	/* The kernel keeps what it uses. */
	fence_policy_free(policy);
}

static uint64_t counted(const struct fence *fence, enum pont_fence_place place, enum pont_verdict verdict)
{
	struct fence_counters counters;
	struct error error;

	cr_assert_eq(fence_counters_read(fence, &counters, &error), 0, "%s", error.text);
	return counters.packets[place][verdict];
}

/* Waits up to a second for a report that answers. */
static const struct pont_fence_event *find_event(enum pont_fence_place place, const char *address)
{
	uint8_t bytes[16] = {0};
	size_t i;
	int round;

	if (inet_pton(AF_INET, address, bytes) != 1)
		(void)inet_pton(AF_INET6, address, bytes);
	for (round = 0; round < 100; round++) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		for (i = 0; i < event_count; i++)
			if (events[i].place == place && !memcmp(events[i].destination, bytes, 16))
				return &events[i];
		(void)usleep(10000);
	}
	cr_assert_fail("no report of %s at %s", address, fence_place_name(place));
	return NULL;
}

static const char sovereign[] = "10.1.0.0/16,FR,Sovereign,FR\n10.9.0.0/24,FR,Sovereign,FR\n"
				"10.1.2.0/24,FR,Hyperscaler,US\n2001:db8:1::/48,FR,Sovereign,FR\n";

Test(live, before_the_first_policy_nothing_leaves)
{
	struct fence *fence = start();

	cr_expect_eq(try_connect("10.1.0.1", 443), EPERM);
	cr_expect_eq(try_connect("2001:db8:1::1", 443), EPERM);
	cr_expect_eq(try_sendto("10.1.0.1", 443), EPERM);
	(void)try_raw("near", "10.1.0.1", 443);
	cr_expect_eq(world_arrived("10.1.0.1"), 0);
	cr_expect_eq(counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_NO_POLICY), 3);
	cr_expect_eq(counted(fence, PONT_PLACE_TC, PONT_VERDICT_DENY_NO_POLICY), 1);
	/* The machine itself stays reachable for itself. */
	cr_expect_eq(try_connect("127.0.0.1", 53), 0);
	cr_expect_eq(try_sendto("127.0.0.1", 53), 0);
	cr_expect_eq(try_connect("0.0.0.0", 53), 0);
	cr_expect_eq(try_connect("::1", 53), 0);
	cr_expect_eq(try_connect("::ffff:127.0.0.1", 53), 0);
	fence_stop(fence);
}

Test(live, a_process_gets_eperm_for_what_is_denied_and_reaches_what_is_allowed)
{
	struct fence *fence = start();
	const struct pont_fence_event *event;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(443)};
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	uint64_t before;
	int fd;

	publish(fence, sovereign, 5);
	cr_expect_eq(try_connect("10.1.0.1", 443), 0);
	cr_expect_eq(try_connect("2001:db8:1::1", 443), 0);
	cr_expect_eq(try_connect("::ffff:10.1.0.1", 443), 0);
	cr_expect_eq(try_sendto("10.1.0.1", 443), 0);
	cr_expect_eq(try_sendto("2001:db8:1::1", 443), 0);
	cr_expect_eq(try_sendto("::ffff:10.1.0.1", 443), 0);
	cr_expect_eq(world_arrived("10.1.0.1"), 2);
	cr_expect_eq(world_arrived("2001:db8:1::1"), 1);

	cr_expect_eq(try_connect("10.1.2.1", 443), EPERM);
	cr_expect_eq(try_connect("8.8.8.8", 53), EPERM);
	cr_expect_eq(try_connect("2001:db8:2::1", 443), EPERM);
	cr_expect_eq(try_connect("::ffff:8.8.8.8", 53), EPERM);
	cr_expect_eq(try_sendto("8.8.8.8", 53), EPERM);
	cr_expect_eq(try_sendto("::ffff:8.8.4.4", 53), EPERM);
	cr_expect_eq(try_sendto("2001:db8:2::1", 53), EPERM);
	cr_expect_eq(try_sendto("224.0.0.1", 53), EPERM);
	cr_expect_eq(world_arrived("8.8.8.8"), 0);

	event = find_event(PONT_PLACE_CONNECT, "10.1.2.1");
	cr_expect_eq(event->verdict, PONT_VERDICT_DENY);
	cr_expect_eq(event->revision, 5);
	cr_expect_eq(event->port, 443);
	cr_expect_eq(event->protocol, IPPROTO_UDP);
	cr_expect_eq(event->pid, (uint64_t)getpid());
	cr_expect_neq(event->command[0], 0);

	/* An association is dissolved, whatever the fence says of anyone. */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)inet_pton(AF_INET, "10.1.0.1", &to.sin_addr);
	cr_expect_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	cr_expect_eq(connect(fd, &nowhere, sizeof(nowhere)), 0);
	/* AF_UNSPEC in sendto() means AF_INET to the kernel, so it must to the fence. */
	(void)inet_pton(AF_INET, "8.8.8.8", &to.sin_addr);
	to.sin_family = AF_UNSPEC;
	before = counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_UNLISTED);
	cr_expect_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_UNLISTED), before + 1);
	(void)close(fd);
	fence_stop(fence);
}

Test(live, a_raw_frame_to_a_denied_host_dies_at_tc)
{
	struct fence *fence = start();
	const struct pont_fence_event *event;

	publish(fence, sovereign, 5);
	(void)try_raw("near", "10.1.0.1", 9);
	(void)try_raw("near", "2001:db8:1::1", 9);
	(void)try_raw("near", "8.8.8.8", 4500);
	(void)try_raw("near", "10.1.2.1", 9);
	(void)try_raw("near", "2001:db8:2::1", 9);
	cr_expect_eq(world_arrived("10.1.0.1"), 1);
	cr_expect_eq(world_arrived("2001:db8:1::1"), 1);
	cr_expect_eq(world_arrived("8.8.8.8"), 0);
	cr_expect_eq(world_arrived("10.1.2.1"), 0);
	cr_expect_eq(world_arrived("2001:db8:2::1"), 0);
	cr_expect_eq(counted(fence, PONT_PLACE_TC, PONT_VERDICT_DENY), 1);
	cr_expect_geq(counted(fence, PONT_PLACE_TC, PONT_VERDICT_DENY_UNLISTED), 2);
	event = find_event(PONT_PLACE_TC, "8.8.8.8");
	cr_expect_eq(event->verdict, PONT_VERDICT_DENY_UNLISTED);
	cr_expect_eq(event->ifindex, if_nametoindex("near"));
	cr_expect_eq(event->port, 4500);
	cr_expect_eq(event->length, 98);
	fence_stop(fence);
}

Test(live, a_flood_of_denials_is_counted_in_full_and_reported_in_part)
{
	enum { FLOOD = 5000 };
	struct fence *fence = start();
	const int fd = raw_open();
	int i;

	publish(fence, sovereign, 5);
	for (i = 0; i < FLOOD; i++)
		(void)raw_send(fd, "near", "8.8.8.8", 53, 0);
	cr_expect_eq(counted(fence, PONT_PLACE_TC, PONT_VERDICT_DENY_UNLISTED), FLOOD);
	(void)find_event(PONT_PLACE_TC, "8.8.8.8");
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	/* 50 at once and 100 a second on each CPU. */
	cr_expect_geq(event_count, 50);
	cr_expect_lt(event_count, 1000, "%zu reports", event_count);
	(void)close(fd);
	fence_stop(fence);
}

Test(live, a_frame_cut_short_is_malformed)
{
	struct fence *fence = start();
	const int fd = raw_open();
	uint64_t wanted = 0;
	uint16_t length;

	publish(fence, sovereign, 5);
	for (length = 14; length < 14 + 20; length++, wanted++)
		(void)raw_send(fd, "near", "10.1.0.1", 9, length);
	for (length = 14; length < 14 + 40; length++, wanted++)
		(void)raw_send(fd, "near", "2001:db8:1::1", 9, length);
	cr_expect_eq(counted(fence, PONT_PLACE_TC, PONT_VERDICT_DENY_MALFORMED), wanted);
	cr_expect_eq(world_arrived("10.1.0.1") + world_arrived("2001:db8:1::1"), 0);
	(void)raw_send(fd, "near", "10.1.0.1", 9, 14 + 20);
	(void)raw_send(fd, "near", "2001:db8:1::1", 9, 14 + 40);
	cr_expect_eq(world_arrived("10.1.0.1") + world_arrived("2001:db8:1::1"), 2);
	(void)close(fd);
	fence_stop(fence);
}

Test(live, a_raw_socket_cannot_ask_for_the_way_around_tc)
{
	struct fence *fence = start();
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;
	static char large[8192];

	publish(fence, sovereign, 5);
	cr_expect_eq(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_PROTOCOL), 1);
	/* Nothing else is different, also for values larger than the kernel shows to programs. */
	cr_expect_eq(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)), 0);
	memcpy(large, &one, sizeof(one));
	cr_expect_eq(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, large, sizeof(large)), 0);
	(void)close(fd);
	fence_stop(fence);
}

static void in_child(void (*function)(void))
{
	int status;
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (!child) {
		function();
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0, "child ended with %x", status);
}

static void raise_and_die(void)
{
	struct fence *fence = start();

	publish(fence, sovereign, 5);
	(void)try_connect("8.8.8.8", 53);
	fence_stop(fence);
}

static void raise_and_crash(void)
{
	struct fence *fence = start();

	publish(fence, sovereign, 6);
	_exit(0);
}

static void expect_standing(void)
{
	cr_expect_eq(try_connect("8.8.8.8", 53), EPERM);
	cr_expect_eq(try_connect("10.1.0.1", 53), 0);
	(void)try_raw("near", "8.8.8.8", 53);
	(void)try_raw("near", "10.1.0.1", 53);
	cr_expect_eq(world_arrived("8.8.8.8"), 0);
	cr_expect_eq(world_arrived("10.1.0.1"), 1);
}

Test(live, the_fence_stands_when_its_process_is_gone_and_is_taken_over_as_it_is)
{
	struct error error = {0};
	struct fence *fence;
	uint64_t denied;

	in_child(raise_and_die);
	expect_standing();
	in_child(raise_and_crash);
	expect_standing();

	/* A new process finds policy and counters as they were, and changes nothing by coming. */
	fence = start();
	denied = counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_UNLISTED);
	cr_expect_eq(denied, 3);
	expect_standing();
	cr_expect_eq(counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_UNLISTED), denied + 1);
	publish(fence, "8.8.8.8/32,FR,Sovereign,FR\n", 7);
	cr_expect_eq(try_connect("8.8.8.8", 53), 0);
	cr_expect_eq(try_connect("10.1.0.1", 53), EPERM);
	fence_stop(fence);

	/* Only the uninstall path opens it. */
	cr_assert_eq(fence_remove(&world_options, &error), 0, "%s", error.text);
	cr_expect_eq(try_connect("10.1.0.1", 53), 0);
	(void)try_raw("near", "198.51.100.1", 53);
	cr_expect_eq(world_arrived("198.51.100.1"), 1);
	cr_expect_eq(access(world_options.pin_directory, F_OK), -1);
	cr_expect_eq(fence_remove(&world_options, &error), 0, "removing twice: %s", error.text);
}

/* Number of the program behind the pinned link, and of the link. */
static void link_numbers(const char *name, uint32_t *link, uint32_t *program)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	struct error error;
	int fd = pins_get(world_options.pin_directory, name, &error);

	cr_assert_geq(fd, 0, "%s", error.text);
	cr_assert_eq(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	*link = info.id;
	*program = info.prog_id;
	(void)close(fd);
}

Test(live, a_restart_puts_its_programs_into_the_standing_links)
{
	uint32_t link, program, link_after, program_after;

	in_child(raise_and_die);
	link_numbers("cgroup_connect4", &link, &program);
	in_child(raise_and_die);
	link_numbers("cgroup_connect4", &link_after, &program_after);
	cr_expect_eq(link_after, link, "the link was not kept");
	cr_expect_neq(program_after, program, "the program was not replaced");
}

Test(live, a_pinned_map_of_another_build_is_replaced_and_the_policy_stays)
{
	struct error error = {0};
	struct fence *fence;
	int fd;

	in_child(raise_and_die);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "older", 4, 8, 3, NULL);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pins_set(world_options.pin_directory, "counters", fd, &error), 0, "%s", error.text);
	(void)close(fd);
	fence = start();
	cr_expect_eq(counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_UNLISTED), 0);
	expect_standing();
	cr_expect_eq(counted(fence, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_UNLISTED), 1);
	fence_stop(fence);
}

static void note_interface(void *context, uint32_t ifindex, const char *name)
{
	char *names = context;

	cr_expect_eq(ifindex, if_nametoindex(name));
	strcat(strcat(names, name), " ");
}

Test(live, an_interface_that_appears_is_guarded_too)
{
	struct fence *fence = start();
	struct error error = {0};
	char names[256] = "";

	publish(fence, sovereign, 5);
	world_run("ip link add new type veth peer name newer && ip link set new up && ip link set newer up");
	cr_assert_eq(fence_interface_attach(fence, if_nametoindex("new"), "new", &error), 0, "%s", error.text);
	cr_assert_eq(fence_interface_attach(fence, if_nametoindex("new"), "new", &error), 0, "%s", error.text);
	cr_assert_eq(fence_interface_attach(fence, if_nametoindex("lo"), "lo", &error), 0, "%s", error.text);
	fence_interfaces(fence, note_interface, names);
	cr_expect_not_null(strstr(names, "near "));
	cr_expect_not_null(strstr(names, "new "));
	cr_expect_null(strstr(names, "lo "));
	cr_expect_str_eq(fence_cgroup(fence), world_options.cgroup);
	(void)try_raw("new", "8.8.8.8", 53);
	cr_expect_eq(counted(fence, PONT_PLACE_TC, PONT_VERDICT_DENY_UNLISTED), 1);
	cr_expect_eq(fence_interface_attach(fence, 9999, "gone", &error), -1);
	cr_expect_eq(error.code, ENODEV);
	fence_stop(fence);
}

/* A new wire, up, with this number if it is not 0, and nobody is told of it. Returns a tap at its far end. */
static int wire(const char *name, unsigned int ifindex)
{
	char number[32] = "", far[32];
	int tap;

	if (ifindex)
		(void)snprintf(number, sizeof(number), "index %u", ifindex);
	(void)snprintf(far, sizeof(far), "%s-far", name);
	world_run("ip link add %s %s type veth peer name %s", name, number, far);
	world_run("sysctl -qw net.ipv6.conf.%s.disable_ipv6=1 && ip link set %s up", far, far);
	/* Before it is up: the kernel itself has something to say then. */
	tap = tap_open(far);
	world_run("ip link set %s up", name);
	return tap;
}

/* An allowed neighbour, 10.1.7.2, on the wire "new". */
static void address_new(void)
{
	world_run("ip addr add 10.1.7.1/24 dev new && ip neigh add 10.1.7.2 lladdr 02:00:00:00:00:02 dev new");
}

static void attach(struct fence *fence, const char *name)
{
	struct error error = {0};

	cr_assert_eq(fence_interface_attach(fence, if_nametoindex(name), name, &error), 0, "%s", error.text);
}

enum { IP, BRIDGE, FRAMES };

static uint64_t kept_back(const struct fence *fence, int kind)
{
	struct fence_new_interfaces all[FENCE_NEW_INTERFACES_KINDS];
	struct error error = {0};

	cr_assert_eq(fence_new_interfaces(fence, all, &error), 0, "%s", error.text);
	cr_expect(!all[kind].missing, "%s: %s", all[kind].kind, all[kind].missing);
	return all[kind].dropped;
}

Test(live, not_one_frame_leaves_by_an_interface_before_the_fence_stands_on_it)
{
	struct fence_options options = world_options;
	struct error error = {0};
	struct fence *fence;
	uint64_t dropped;
	int tap, later;

	options.close_new_interfaces = true;
	fence = fence_start(base, &options, &callbacks, &error);
	cr_assert_not_null(fence, "%s", error.text);
	publish(fence, sovereign, 5);
	tap = wire("new", 0);
	(void)try_raw("new", "10.1.0.1", 53);
	address_new();
	(void)try_sendto("10.1.7.2", 53);
	/* As long as the kernel takes to report its multicast groups, which passes by every socket. */
	(void)usleep(1500000);
	cr_expect_eq(tap_count(tap, NULL), 0);
	dropped = kept_back(fence, FRAMES);
	cr_expect_gt(dropped, 0);
	cr_expect_gt(kept_back(fence, IP), 0);
	attach(fence, "new");
	cr_expect_eq(try_raw("new", "10.1.0.1", 53), 0);
	cr_expect_eq(tap_count(tap, "10.1.0.1"), 1);
	cr_expect_eq(try_sendto("10.1.7.2", 53), 0);
	cr_expect_eq(tap_count(tap, "10.1.7.2"), 1);
	fence_stop(fence);

	/* While nobody runs, and after that. */
	cr_expect_eq(try_raw("new", "10.1.0.1", 53), 0);
	cr_expect_eq(tap_count(tap, "10.1.0.1"), 1, "what was open stays open");
	later = wire("later", 0);
	(void)try_raw("later", "10.1.0.1", 53);
	cr_expect_eq(tap_count(later, NULL), 0);
	fence = fence_start(base, &options, &callbacks, &error);
	cr_assert_not_null(fence, "%s", error.text);
	cr_expect_gt(kept_back(fence, FRAMES), dropped, "counted over a restart");
	cr_expect_eq(try_raw("later", "10.1.0.1", 53), 0);
	cr_expect_eq(tap_count(later, "10.1.0.1"), 1);
	cr_expect_eq(try_raw("near", "10.1.0.1", 53), 0);
	cr_expect_eq(world_arrived("10.1.0.1"), 1);
	fence_stop(fence);
	(void)close(tap);
	(void)close(later);
}

Test(live, what_nobody_demands_closes_new_interfaces_to_ip_and_bridges)
{
	struct fence *fence = start();
	struct fence_new_interfaces all[FENCE_NEW_INTERFACES_KINDS];
	struct error error = {0};
	int tap, bridged;

	publish(fence, sovereign, 5);
	tap = wire("new", 0);
	address_new();
	(void)try_sendto("10.1.7.2", 53);
	(void)usleep(1500000);
	cr_expect_eq(tap_count(tap, NULL), 0);
	attach(fence, "new");
	cr_expect_eq(try_sendto("10.1.7.2", 53), 0);
	cr_expect_eq(tap_count(tap, "10.1.7.2"), 1);

	world_run("ip link add bridge type bridge && ip link set bridge up");
	/* Where the kernel can also take bridged packets for IP's, it is told not to. */
	world_run("sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>&1 || true");
	(void)close(wire("in", 0));
	bridged = wire("out", 0);
	world_run("ip link set in master bridge && ip link set out master bridge");
	attach(fence, "bridge");
	attach(fence, "in");
	attach(fence, "in-far");
	(void)tap_count(bridged, NULL); /* what "out" said before it was the bridge's is the first test's matter */
	cr_expect_eq(try_raw("in-far", "10.1.0.1", 53), 0);
	cr_expect_eq(tap_count(bridged, NULL), 0);
	cr_expect_gt(kept_back(fence, BRIDGE), 0);
	attach(fence, "out");
	cr_expect_eq(try_raw("in-far", "10.1.0.1", 53), 0);
	cr_expect_eq(tap_count(bridged, "10.1.0.1"), 1);

	/* All frames too where "nft list" of this machine can stand it, else it says why not. */
	cr_assert_eq(fence_new_interfaces(fence, all, &error), 0, "%s", error.text);
	cr_expect(!all[FRAMES].missing || strstr(all[FRAMES].missing, "--close-new-interfaces"), "%s",
		all[FRAMES].missing);
	fence_stop(fence);
	(void)close(tap);
	(void)close(bridged);
}

static unsigned int touched;

static void on_touched(void *context, const struct error *error)
{
	(void)context;
	cr_expect_eq(error->code, 0, "%s", error->text);
	touched++;
}

Test(live, rules_that_somebody_else_flushes_are_made_again)
{
	const struct fence_callbacks telling = {.context = events, .denied = on_denied, .touched = on_touched};
	struct error error = {0};
	struct fence *fence = fence_start(base, &world_options, &telling, &error);
	int tap;

	cr_assert_not_null(fence, "%s", error.text);
	publish(fence, sovereign, 5);
	tap = wire("new", 0);
	address_new();
	cr_assert_eq(new_links_remove(&error), 0, "%s", error.text);
	cr_expect_eq(try_sendto("10.1.7.2", 53), 0);
	cr_expect_gt(tap_count(tap, "10.1.7.2"), 0, "the rules are what closes it");
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	cr_expect_eq(touched, 1);
	(void)try_sendto("10.1.7.2", 53);
	cr_expect_eq(tap_count(tap, NULL), 0);
	(void)try_sendto("10.1.0.1", 53);
	cr_expect_eq(world_arrived("10.1.0.1"), 1, "what was open is open again");
	/* What the fence does to them itself is nothing to tell. */
	attach(fence, "new");
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	cr_expect_eq(touched, 1);
	fence_stop(fence);
	(void)close(tap);
}

Test(live, a_number_that_comes_again_is_a_new_interface)
{
	struct fence *fence = start();
	struct error error = {0};
	int tap = wire("new", 777);

	publish(fence, sovereign, 5);
	attach(fence, "new");
	(void)close(tap);
	world_run("ip link delete new");
	cr_expect_eq(fence_interface_gone(fence, 777, &error), 0, "%s", error.text);
	cr_expect_eq(fence_interface_gone(fence, 777, &error), 0, "%s", error.text);
	tap = wire("new", 777);
	address_new();
	(void)try_sendto("10.1.7.2", 53);
	cr_expect_eq(tap_count(tap, NULL), 0);
	fence_stop(fence);
	(void)close(tap);
}

Test(live, a_fence_that_is_removed_closes_nothing)
{
	struct fence *fence = start();
	struct error error = {0};
	int tap;

	fence_stop(fence);
	cr_assert_eq(fence_remove(&world_options, &error), 0, "%s", error.text);
	tap = wire("new", 0);
	address_new();
	cr_expect_eq(try_sendto("10.1.7.2", 53), 0);
	cr_expect_gt(tap_count(tap, "10.1.7.2"), 0);
	(void)close(tap);
}

Test(live, many_interfaces_are_admitted_in_one_step)
{
	struct fence *fence;
	int tap;

	world_run("for i in $(seq 300); do echo link add d$i type veth peer name e$i; done | ip -batch -");
	tap = wire("new", 0);
	address_new();
	fence = start();
	publish(fence, sovereign, 5);
	cr_expect_eq(try_sendto("10.1.7.2", 53), 0);
	cr_expect_eq(tap_count(tap, "10.1.7.2"), 1);
	cr_expect_eq(kept_back(fence, IP), 0);
	fence_stop(fence);
	(void)close(tap);
}

/* Sends an IP packet out of the tun interface by a packet socket, past the cgroup. */
static void tun_send(const char *address)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	uint8_t packet[48] = {0x45, 0, 0, 48, 0, 0, 0, 0, 64, IPPROTO_UDP};
	const int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sll_ifindex = (int)if_nametoindex("tun");
	(void)inet_pton(AF_INET, address, packet + 16);
	(void)sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to));
	(void)close(fd);
}

Test(live, an_interface_without_link_header_is_read_from_its_ip_header)
{
	struct ifreq request = {.ifr_name = "tun"};
	struct fence *fence;
	uint8_t packet[2048];
	unsigned int allowed = 0, denied = 0;
	int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	cr_assert_geq(tun, 0, "/dev/net/tun: %s", strerror(errno));
	request.ifr_flags = IFF_TUN | IFF_NO_PI;
	cr_assert_eq(ioctl(tun, TUNSETIFF, &request), 0, "%s", strerror(errno));
	world_run("ip link set tun up");
	fence = start();
	publish(fence, sovereign, 5);
	tun_send("10.1.0.1");
	tun_send("8.8.8.8");
	(void)usleep(20000);
	while (read(tun, packet, sizeof(packet)) > 0) {
		allowed += packet[0] == 0x45 && packet[16] == 10;
		denied += packet[0] == 0x45 && packet[16] == 8;
	}
	cr_expect_eq(allowed, 1);
	cr_expect_eq(denied, 0);
	(void)close(tun);
	fence_stop(fence);
}

/* Sends a unicast Neighbour Solicitation by a packet socket. */
static void solicit(const char *address)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6, .sll_addr = {2, 0, 0, 0, 0, 2}};
	uint8_t packet[64] = {0x60, 0, 0, 0, 0, 24, IPPROTO_ICMPV6, 255, [40] = 135};
	const int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sll_protocol = htons(ETH_P_IPV6);
	to.sll_ifindex = (int)if_nametoindex("near");
	(void)inet_pton(AF_INET6, address, packet + 24);
	(void)sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to));
	(void)close(fd);
}

/* Whether a solicitation passes; waits up to two seconds until it does as wanted, for the kernel tells in its time. */
static unsigned int solicits(const char *address, unsigned int wanted)
{
	unsigned int passed = !wanted;
	int round;

	for (round = 0; round < 100 && passed != wanted; round++) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		solicit(address);
		passed = world_arrived(address);
	}
	return passed;
}

Test(live, neighbours_on_link_are_probed_and_nobody_else)
{
	struct fence *fence = start();

	cr_expect_eq(solicits("2001:db8:9::77", 1), 1);
	cr_expect_eq(solicits("2001:db8:77::77", 0), 0);
	/* A new address makes a new link; its end ends it. */
	world_run("ip addr add 2001:db8:77::1/64 dev near nodad");
	cr_expect_eq(solicits("2001:db8:77::77", 1), 1);
	world_run("ip addr del 2001:db8:77::1/64 dev near");
	cr_expect_eq(solicits("2001:db8:77::77", 0), 0);
	cr_expect_eq(solicits("2001:db8:9::77", 1), 1);
	fence_stop(fence);
}

/* Policy 1 allows A and C, policy 2 allows B and C, neither allows D. */
static const char policy_one[] = "10.1.0.1/32,FR,Sovereign,FR\n10.1.0.3/32,FR,Sovereign,FR\n10.9.0.0/24,FR,S,FR\n";
static const char policy_two[] = "10.1.0.2/32,FR,Sovereign,FR\n10.1.0.3/32,FR,Sovereign,FR\n10.9.0.0/24,FR,S,FR\n";

enum { SWAPS = 100 };

static struct fence *swapped;
static struct fence_policy *policies[2];
static atomic_int swapping;

static void *swap(void *unused)
{
	struct error error;
	int i;

	(void)unused;
	for (i = 0; i < SWAPS; i++)
		if (fence_publish(swapped, policies[i & 1], &error))
			break;
	swapping = 0;
	return i == SWAPS ? NULL : swapped;
}

/* connect() of a UDP socket that is kept, as closing sockets would pace the test. */
static int connect_again(int fd, const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};

	(void)inet_pton(AF_INET, address, &to.sin_addr);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) ? errno : 0;
}

Test(live, a_swap_under_traffic_is_never_neither_nor_both)
{
	static const char *const hosts[] = {"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"};
	uint64_t allowed[4] = {0}, refused[4] = {0}, rounds = 0;
	unsigned int leaked = 0;
	void *failed;
	pthread_t swapper;
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), raw = raw_open();
	size_t i;

	swapped = start();
	policies[0] = policy_of(policy_one, 1);
	policies[1] = policy_of(policy_two, 2);
	publish(swapped, policy_one, 1);
	swapping = 1;
	cr_assert_eq(pthread_create(&swapper, NULL, swap, NULL), 0);
	for (; swapping; rounds++) {
		for (i = 0; i < 4; i++) {
			const int code = connect_again(udp, hosts[i]);

			cr_assert(code == 0 || code == EPERM, "%s", strerror(code));
			allowed[i] += !code;
			refused[i] += code == EPERM;
			(void)raw_send(raw, "near", hosts[i], 9, 0);
		}
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		if (rounds % 500 == 0) {
			leaked += world_arrived(hosts[3]);
			(void)world_arrived(hosts[0]), (void)world_arrived(hosts[1]), (void)world_arrived(hosts[2]);
		}
	}
	(void)pthread_join(swapper, &failed);
	cr_assert_null(failed, "a publication failed");
	cr_log_info("%lu rounds over %d swaps: A %lu, B %lu, C %lu, D %lu allowed", rounds, SWAPS, allowed[0],
		allowed[1], allowed[2], allowed[3]);
	/* The test saw both policies in force, */
	for (i = 0; i < 2; i++)
		cr_expect(allowed[i] && refused[i], "%s: %lu allowed, %lu refused", hosts[i], allowed[i], refused[i]);
	/* never neither: C always passes and the policy is never missing, */
	cr_expect_eq(refused[2], 0);
	cr_expect_eq(counted(swapped, PONT_PLACE_TC, PONT_VERDICT_DENY_NO_POLICY), 0);
	cr_expect_eq(counted(swapped, PONT_PLACE_CONNECT, PONT_VERDICT_DENY_NO_POLICY), 0);
	cr_expect_geq(counted(swapped, PONT_PLACE_TC, PONT_VERDICT_ALLOW), rounds);
	cr_expect_eq(counted(swapped, PONT_PLACE_TC, PONT_VERDICT_ALLOW) +
			     counted(swapped, PONT_PLACE_TC, PONT_VERDICT_DENY_UNLISTED),
		4 * rounds);
	/* never both: who denies A is policy 2, who denies B is policy 1, nobody denies C, */
	for (i = 0; i < event_count; i++) {
		static const uint64_t denier[5] = {[1] = 2, [2] = 1};

		if (events[i].destination[0] != 10 || events[i].destination[3] == 4)
			continue;
		cr_expect_eq(events[i].revision, denier[events[i].destination[3]], "host %u denied by revision %lu",
			events[i].destination[3], events[i].revision);
	}
	cr_expect_gt(event_count, 0);
	/* and D never leaves. */
	leaked += world_arrived(hosts[3]);
	cr_expect_eq(leaked, 0);
	cr_expect_eq(allowed[3], 0);
	(void)close(udp);
	(void)close(raw);
	fence_policy_free(policies[0]);
	fence_policy_free(policies[1]);
	fence_stop(swapped);
}

Test(live, what_is_missing_is_named)
{
	struct fence_options options = world_options;
	struct error error = {0};
	char above[4096];

	options.pin_directory = "/tmp/pont-not-a-bpffs";
	cr_expect_null(fence_start(base, &options, &callbacks, &error));
	cr_expect_eq(error.code, ENODEV);
	cr_expect_not_null(strstr(error.text, "/tmp/pont-not-a-bpffs is not on a BPF file system"), "%s", error.text);
	cr_expect_eq(access(options.pin_directory, F_OK), -1, "left something behind");

	options = world_options;
	options.cgroup = "/tmp";
	cr_expect_null(fence_start(base, &options, &callbacks, &error));
	cr_expect_not_null(strstr(error.text, "/tmp is not a cgroup v2 directory"), "%s", error.text);

	(void)snprintf(above, sizeof(above), "%s/no-such-group", world_options.cgroup);
	options.cgroup = above;
	cr_expect_null(fence_start(base, &options, &callbacks, &error));
	cr_expect_eq(error.code, ENOENT);

	options = world_options;
	options.pin_directory = "relative";
	cr_expect_null(fence_start(base, &options, &callbacks, &error));
	cr_expect_not_null(strstr(error.text, "absolute"), "%s", error.text);
	/* Nothing of that raised anything. */
	cr_expect_eq(try_connect("8.8.8.8", 53), 0);
}
