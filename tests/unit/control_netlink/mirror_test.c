/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/mirror.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "control/netlink/neighbour.h"
#include "control/netlink/request.h"
#include "namespace.h"

enum { LIMIT_S = 15 };

static struct event_base *base;
static struct mirror *mirror;
static unsigned int changes;
static char links[512];   /* names as they were told, each followed by a blank */
static char removed[512]; /* numbers of interfaces that are gone, likewise */

static void on_link(void *context, uint32_t number, const char *name)
{
	(void)context;
	cr_assert_gt(number, 0);
	(void)snprintf(links + strlen(links), sizeof(links) - strlen(links), "%s ", name);
}

static void on_removed(void *context, uint32_t number)
{
	(void)context;
	(void)snprintf(removed + strlen(removed), sizeof(removed) - strlen(removed), "%u ", number);
}

static void on_changed(void *context)
{
	(void)context;
	changes++;
}

static void on_trouble(void *context, const struct error *error)
{
	(void)context;
	cr_expect_fail("trouble: %s", error->text);
}

static void start(void)
{
	static const struct mirror_callbacks callbacks = {
		.link_added = on_link, .link_removed = on_removed, .changed = on_changed, .trouble = on_trouble};
	struct error error = {0};

	mirror = mirror_start(base, &callbacks, &error);
	cr_assert(mirror, "%s", error.text);
}

static void build(void)
{
	namespace_build();
	base = event_base_new();
	cr_assert(base);
	start();
}

static void tear_down(void)
{
	mirror_stop(mirror);
	if (base)
		event_base_free(base);
}

static void turn(void)
{
	struct timeval pause = {.tv_usec = 5000};

	(void)event_base_loopexit(base, &pause);
	(void)event_base_dispatch(base);
}

static void turn_for(unsigned int milliseconds)
{
	for (unsigned int i = 0; i < milliseconds; i += 5)
		turn();
}

static void follow(const char *source, const char *destination)
{
	struct pont_address from = address(source), to = address(destination);
	struct error error = {0};

	cr_assert_eq(mirror_follow(mirror, &from, &to, 1, &error), 0, "%s", error.text);
}

static struct mirror_next_hop hop(size_t i)
{
	struct mirror_next_hop out;

	mirror_next_hop(mirror, i, &out);
	return out;
}

/* Runs the loop until next hop 0 is in the state, its neighbour's MAC ends in last (resolved only) and changed came. */
static void await(enum mirror_state state, uint8_t last)
{
	time_t limit = time(NULL) + LIMIT_S;

	for (;;) {
		struct mirror_next_hop now = hop(0);

		if (now.state == state && (state != MIRROR_RESOLVED || now.destination_mac[5] == last) && changes)
			break;
		cr_assert(time(NULL) < limit, "state %d, MAC ..:%02x, %u changes; expected state %d, MAC ..:%02x",
			now.state, now.destination_mac[5], changes, state, last);
		turn();
	}
	changes = 0;
}

static bool via_is(const char *text)
{
	struct mirror_next_hop now = hop(0);
	struct pont_address expected = address(text);

	return request_same_address(&now.via, &expected);
}

TestSuite(mirror, .init = build, .fini = tear_down, .timeout = 60);

Test(mirror, tells_the_interfaces_present_and_each_one_that_appears_or_is_renamed)
{
	cr_expect_str_eq(links, "lo wan0 ");
	links[0] = '\0';
	run("ip link add d0 type veth peer name e0");
	turn_for(100);
	cr_expect_str_eq(links, "e0 d0 ");
	run("ip link set d0 up");
	run("ip link set d0 mtu 1400");
	turn_for(100);
	cr_expect_str_eq(links, "e0 d0 ");
	run("ip link set d0 down");
	run("ip link set d0 name d1");
	turn_for(100);
	cr_expect_str_eq(links, "e0 d0 d1 ");
	run("ip link delete d1");
	run("ip link add d1 type veth peer name e0");
	turn_for(100);
	cr_expect_str_eq(links, "e0 d0 d1 e0 d1 ");
}

Test(mirror, resolves_a_neighbour_on_link_in_both_families)
{
	struct mirror_next_hop now;

	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	now = hop(0);
	cr_expect_eq(now.ifindex, ifindex("wan0"));
	cr_expect_eq(now.mtu, 1500);
	cr_expect_eq(now.source_mac[5], 1);
	cr_expect(via_is("192.0.2.2"));
	follow("2001:db8::1", "2001:db8::2");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect(via_is("2001:db8::2"));
}

Test(mirror, announces_a_new_list_once_and_the_same_list_not_again)
{
	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	follow("192.0.2.1", "192.0.2.2");
	cr_expect_eq(hop(0).state, MIRROR_RESOLVED);
	await(MIRROR_RESOLVED, 0x0a);
	follow("192.0.2.1", "192.0.2.2");
	turn_for(200);
	cr_expect_eq(changes, 0);
}

Test(mirror, follows_routes_as_they_come_change_and_go)
{
	follow("192.0.2.1", "198.51.100.1");
	await(MIRROR_UNREACHABLE, 0);
	run("ip route add 198.51.100.0/24 via 192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect(via_is("192.0.2.2"));
	run("ip neigh add 192.0.2.3 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	run("ip route replace 198.51.100.0/24 via 192.0.2.3");
	await(MIRROR_RESOLVED, 0x0a);
	cr_expect(via_is("192.0.2.3"));
	cr_expect(!succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"), "the old gateway is let go");
	run("ip route replace 198.51.100.0/24 via 192.0.2.3 mtu 1200");
	await(MIRROR_RESOLVED, 0x0a);
	cr_expect_eq(hop(0).mtu, 1200);
	run("ip route replace 198.51.100.0/24 via inet6 2001:db8::3 dev wan0");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect(via_is("2001:db8::3"));
	run("ip route delete 198.51.100.0/24");
	await(MIRROR_UNREACHABLE, 0);
}

Test(mirror, follows_ipv6_routes_over_link_local_gateways)
{
	run("ip neigh add fe80::2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	follow("2001:db8::1", "2001:db8:1::1");
	await(MIRROR_UNREACHABLE, 0);
	run("ip route add 2001:db8:1::/48 via fe80::2 dev wan0");
	await(MIRROR_RESOLVED, 0x0a);
	run("ip route replace 2001:db8:1::/48 via 2001:db8::2");
	await(MIRROR_RESOLVED, 0xf0);
}

Test(mirror, notices_a_neighbour_with_a_new_mac)
{
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	run_far("ip link set far0 address 02:00:00:00:00:f1");
	run_far("ping -q -c 1 -W 1 192.0.2.1 >/dev/null 2>&1 || true");
	run("ip neigh flush dev wan0 192.0.2.2");
	await(MIRROR_RESOLVED, 0xf1);
}

Test(mirror, notices_the_link_going_down_and_up_at_either_end)
{
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	run_far("ip link set far0 down");
	await(MIRROR_UNREACHABLE, 0);
	run_far("ip link set far0 up");
	await(MIRROR_RESOLVED, 0xf0);
	run("ip link set wan0 down");
	await(MIRROR_UNREACHABLE, 0);
	run("ip link set wan0 up");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"));
}

Test(mirror, tries_a_silent_neighbour_again_until_it_answers)
{
	run_far("ip address del 192.0.2.2/24 dev far0");
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_UNRESOLVED, 0);
	turn_for(4000);
	cr_expect_eq(hop(0).state, MIRROR_UNRESOLVED);
	run_far("ip address add 192.0.2.2/24 dev far0");
	await(MIRROR_RESOLVED, 0xf0);
}

Test(mirror, interface_mtu_and_mac_are_followed)
{
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	run("ip link set wan0 mtu 1400");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect_eq(hop(0).mtu, 1400);
	run("ip link set wan0 address 02:00:00:00:00:02");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect_eq(hop(0).source_mac[5], 2);
}

Test(mirror, interfaces_without_ethernet_lead_nowhere)
{
	follow("127.0.0.1", "127.0.0.2");
	turn_for(100);
	cr_expect_eq(hop(0).state, MIRROR_UNREACHABLE);
	run("ip tuntap add tun0 mode tun");
	run("ip address add 10.0.0.1/24 dev tun0");
	run("ip link set tun0 up");
	follow("", "10.0.0.2");
	turn_for(100);
	cr_expect_eq(hop(0).state, MIRROR_UNREACHABLE);
}

Test(mirror, lets_go_of_neighbours_it_added_and_of_no_others)
{
	run("ip neigh add 192.0.2.3 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"));
	follow("192.0.2.1", "192.0.2.3");
	await(MIRROR_RESOLVED, 0x0a);
	cr_expect(!succeeds("ip neigh show | grep -q 192.0.2.2"));
	cr_expect(succeeds("ip neigh show nud permanent | grep -q 192.0.2.3"), "permanent before, permanent after");
	cr_expect_eq(mirror_follow(mirror, NULL, NULL, 0, &(struct error){0}), 0);
	cr_expect(succeeds("ip neigh show nud permanent | grep -q 192.0.2.3"));
	cr_expect_eq(hop(0).state, MIRROR_UNREACHABLE, "no list, no answer");
}

Test(mirror, stop_removes_what_it_added)
{
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	mirror_stop(mirror);
	mirror = NULL;
	cr_expect(!succeeds("ip neigh show | grep -q 192.0.2.2"));
}

Test(mirror, removes_what_a_process_that_was_killed_left_behind)
{
	struct request *request;
	struct pont_address left = address("192.0.2.3");
	struct error error = {0};

	request = request_open(NETLINK_ROUTE, &error);
	cr_assert(request);
	cr_assert_eq(neighbour_manage(request, ifindex("wan0"), &left, &error), 0);
	request_close(request);
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.3.*managed'"));
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect(!succeeds("ip neigh show | grep -q 192.0.2.3"));
}

Test(mirror, recovers_after_more_notifications_than_it_can_hold)
{
	follow("192.0.2.1", "192.0.2.2");
	await(MIRROR_RESOLVED, 0xf0);
	links[0] = '\0';
	run("ip link add gone index 4711 type veth peer name away index 4712");
	turn_for(100);
	/* Without a turn of the loop in between: far more than the socket's buffer takes. */
	run("for i in $(seq 20000); do echo route add 10.$((i / 256)).$((i %% 256)).0/24 via 192.0.2.2; done | "
	    "ip -batch -");
	run("ip link delete gone");
	run("ip link add d0 type veth peer name e0");
	run("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	await(MIRROR_RESOLVED, 0x0a);
	cr_expect(strstr(links, "wan0 "), "all interfaces are told again after a loss: %s", links);
	cr_expect(strstr(links, "d0 "));
	cr_expect(strstr(removed, "4711 ") && strstr(removed, "4712 "), "what has gone unseen is told: %s", removed);
}

Test(mirror, tells_interfaces_that_are_gone)
{
	run("ip link add gone index 4711 type veth peer name away index 4712");
	turn_for(100);
	cr_expect_str_empty(removed);
	run("ip link delete gone");
	turn_for(100);
	cr_expect(strstr(removed, "4711 ") && strstr(removed, "4712 "), "%s", removed);
	cr_expect_eq(strlen(removed), strlen("4711 4712 "), "each once: %s", removed);
}

Test(mirror, answers_two_destinations_behind_one_gateway)
{
	struct pont_address sources[2] = {address("192.0.2.1"), address("192.0.2.1")};
	struct pont_address destinations[2] = {address("198.51.100.1"), address("198.51.100.2")};
	struct error error = {0};

	run("ip route add 198.51.100.0/24 via 192.0.2.2");
	cr_assert_eq(mirror_follow(mirror, sources, destinations, 2, &error), 0);
	await(MIRROR_RESOLVED, 0xf0);
	cr_expect_eq(hop(1).state, MIRROR_RESOLVED);
	cr_expect_eq(hop(1).destination_mac[5], 0xf0);
	cr_assert_eq(mirror_follow(mirror, sources, destinations, 1, &error), 0);
	cr_expect_eq(hop(0).state, MIRROR_RESOLVED);
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"), "still needed by the other");
	cr_expect_eq(hop(1).state, MIRROR_UNREACHABLE);
}

Test(mirror, knows_local_addresses)
{
	struct pont_address ours = address("192.0.2.1"), theirs = address("192.0.2.2");

	cr_expect(mirror_is_local(mirror, &ours));
	cr_expect(!mirror_is_local(mirror, &theirs));
}
