/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/route.h"

#include <criterion/criterion.h>

#include "control/netlink/request.h"
#include "namespace.h"

static struct request *request;

static void build(void)
{
	struct error error;

	namespace_build();
	request = request_open(NETLINK_ROUTE, &error);
	cr_assert(request, "%s", error.text);
}

static void tear_down(void)
{
	request_close(request);
}

static struct route ask(const char *source, const char *destination)
{
	struct pont_address from = address(source), to = address(destination);
	struct route route;
	struct error error = {0};

	cr_assert_eq(route_ask(request, &from, &to, &route, &error), 0, "%s", error.text);
	return route;
}

TestSuite(route, .init = build, .fini = tear_down);

Test(route, leads_where_the_kernel_would_send_the_packet)
{
	static const struct {
		const char *source, *destination, *via; /* via NULL: unreachable */
		uint32_t mtu;
	} cases[] = {
		{"192.0.2.1", "192.0.2.2", "192.0.2.2", 0},
		{"", "192.0.2.2", "192.0.2.2", 0},
		{"192.0.2.1", "198.51.100.9", "192.0.2.3", 0},
		{"192.0.2.1", "198.51.100.77", "192.0.2.2", 1300},
		{"192.0.2.1", "203.0.113.5", "2001:db8::3", 0},
		{"2001:db8::1", "2001:db8::2", "2001:db8::2", 0},
		{"2001:db8::1", "2001:db8:1::9", "2001:db8::3", 0},
		{"2001:db8::1", "2001:db8:2::9", "fe80::2", 0},
		{"2001:db8::1", "2001:db8:9::1", NULL, 0},
		{"192.0.2.1", "10.9.9.9", NULL, 0},
		{"192.0.2.99", "192.0.2.2", NULL, 0},
		{"192.0.2.1", "192.0.2.1", NULL, 0},
		{"192.0.2.1", "192.0.2.255", NULL, 0},
		{"192.0.2.1", "224.0.0.5", NULL, 0},
		{"192.0.2.1", "10.1.0.1", NULL, 0},
		{"192.0.2.1", "10.2.0.1", NULL, 0},
		{"2001:db8::1", "2001:db8:6::1", NULL, 0},
		{"", "", NULL, 0},
	};

	run("ip route add 198.51.100.0/24 via 192.0.2.3");
	run("ip route add 198.51.100.77 via 192.0.2.2 mtu 1300");
	run("ip route add 203.0.113.0/24 via inet6 2001:db8::3 dev wan0");
	run("ip route add blackhole 10.1.0.0/16");
	run("ip route add unreachable 10.2.0.0/16");
	run("ip route add 2001:db8:1::/48 via 2001:db8::3");
	run("ip route add 2001:db8:2::/48 via fe80::2 dev wan0");
	run("ip route add blackhole 2001:db8:6::/48");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route route = ask(cases[i].source, cases[i].destination);
		struct pont_address via = address(cases[i].via ? cases[i].via : "");

		cr_expect_eq(route.reachable, cases[i].via != NULL, "%s", cases[i].destination);
		if (!route.reachable)
			continue;
		cr_expect(request_same_address(&route.via, &via), "via of %s", cases[i].destination);
		cr_expect_eq(route.mtu, cases[i].mtu, "mtu of %s", cases[i].destination);
		cr_expect_eq(route.ifindex, ifindex("wan0"), "interface of %s", cases[i].destination);
	}
}

Test(route, follows_an_operators_rule_for_our_packets_alone)
{
	struct pont_address via = address("192.0.2.3");
	struct route route;

	run("ip route add default via 192.0.2.2");
	run("ip route add default via 192.0.2.3 table 7");
	run("ip rule add ipproto udp dport 4500 lookup 7");
	route = ask("192.0.2.1", "198.51.100.1");
	cr_expect(route.reachable);
	cr_expect(request_same_address(&route.via, &via));
}

Test(route, local_addresses_are_those_on_an_interface)
{
	static const struct {
		const char *text;
		bool local;
	} cases[] = {
		{"192.0.2.1", true},
		{"2001:db8::1", true},
		{"127.0.0.1", true},
		{"127.0.0.2", false},
		{"192.0.2.2", false},
		{"192.0.2.0", false},
		{"10.0.0.1", true},
		{"10.0.0.2", false},
		{"2001:db8:5::1", true},
		{"2001:db8:5::2", false},
		{"", false},
	};

	run("ip address add 10.0.0.1 peer 10.0.0.2 dev wan0");
	run("ip address add 2001:db8:5::1 peer 2001:db8:5::2 dev wan0 nodad");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pont_address one = address(cases[i].text);

		cr_expect_eq(route_is_local(request, &one), cases[i].local, "%s", cases[i].text);
	}
}
