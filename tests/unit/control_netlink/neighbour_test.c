/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/neighbour.h"

#include <criterion/criterion.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

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

static struct neighbour ask(const char *text)
{
	struct pont_address one = address(text);
	struct neighbour now;
	struct error error = {0};

	cr_assert_eq(neighbour_ask(request, ifindex("wan0"), &one, &now, &error), 0, "%s", error.text);
	return now;
}

TestSuite(neighbour_live, .init = build, .fini = tear_down);

Test(neighbour_live, that_does_not_exist_is_no_error)
{
	struct pont_address one = address("192.0.2.9");
	struct error error = {0};
	struct neighbour now;

	cr_expect(!ask("192.0.2.9").present);
	cr_expect(!ask("2001:db8::9").present);
	cr_expect_eq(neighbour_ask(request, 9999, &one, &now, &error), 0);
	cr_expect(!now.present);
}

Test(neighbour_live, managed_is_marked_as_ours_and_removed_again)
{
	static const char *const addresses[] = {"192.0.2.2", "2001:db8::2"};

	for (size_t i = 0; i < 2; i++) {
		struct pont_address one = address(addresses[i]);
		struct error error = {0};
		struct neighbour now;

		cr_assert_eq(neighbour_manage(request, ifindex("wan0"), &one, &error), 0, "%s", error.text);
		now = ask(addresses[i]);
		cr_expect(now.present);
		cr_expect(now.managed);
		cr_expect(!now.permanent);
		cr_expect_eq(now.protocol, NEIGHBOUR_PROTOCOL);
		cr_expect_eq(neighbour_remove(request, ifindex("wan0"), &one, &error), 0);
		cr_expect(!ask(addresses[i]).present, "%s", addresses[i]);
		cr_expect_eq(neighbour_remove(request, ifindex("wan0"), &one, &error), 0, "removing twice");
	}
}

Test(neighbour_live, of_an_operator_is_not_removed)
{
	struct pont_address permanent = address("192.0.2.2"), managed = address("192.0.2.3");
	struct error error = {0};

	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	run("ip neigh add 192.0.2.3 dev wan0 managed");
	cr_expect(ask("192.0.2.2").permanent);
	cr_expect(ask("192.0.2.2").resolved);
	cr_expect_eq(ask("192.0.2.2").mac[5], 0x0a);
	cr_expect(ask("192.0.2.3").managed);
	cr_expect_eq(neighbour_remove(request, ifindex("wan0"), &permanent, &error), 0);
	cr_expect_eq(neighbour_remove(request, ifindex("wan0"), &managed, &error), 0);
	cr_expect(ask("192.0.2.2").present);
	cr_expect(ask("192.0.2.3").present);
}

Test(neighbour_live, once_ours_but_made_permanent_since_is_not_removed)
{
	struct pont_address one = address("192.0.2.2");
	struct error error = {0};

	cr_assert_eq(neighbour_manage(request, ifindex("wan0"), &one, &error), 0, "%s", error.text);
	run("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	cr_expect_eq(neighbour_remove(request, ifindex("wan0"), &one, &error), 0);
	cr_expect(ask("192.0.2.2").permanent);
}

Test(neighbour_live, used_without_management_is_ours_as_well)
{
	struct pont_address one = address("192.0.2.2");
	struct error error = {0};

	cr_assert_eq(neighbour_use(request, ifindex("wan0"), &one, &error), 0, "%s", error.text);
	cr_expect(ask("192.0.2.2").present);
	cr_expect(!ask("192.0.2.2").managed);
	cr_expect_eq(ask("192.0.2.2").protocol, NEIGHBOUR_PROTOCOL);
}

static void count_ours(void *context, const struct neighbour *neighbour)
{
	int *count = context;

	if (neighbour->protocol == NEIGHBOUR_PROTOCOL)
		(*count)++;
}

Test(neighbour_live, dump_holds_both_families)
{
	struct pont_address ipv4 = address("192.0.2.2"), ipv6 = address("2001:db8::2");
	struct error error = {0};
	int count = 0;

	cr_assert_eq(neighbour_manage(request, ifindex("wan0"), &ipv4, &error), 0, "%s", error.text);
	cr_assert_eq(neighbour_manage(request, ifindex("wan0"), &ipv6, &error), 0, "%s", error.text);
	cr_assert_eq(neighbour_dump(request, count_ours, &count, &error), 0, "%s", error.text);
	cr_expect_eq(count, 2);
}

Test(neighbour, is_resolved_in_the_states_the_kernel_would_use)
{
	static const struct {
		uint16_t state;
		bool resolved, permanent, failed;
	} cases[] = {
		{NUD_INCOMPLETE, false, false, false},
		{NUD_REACHABLE, true, false, false},
		{NUD_STALE, true, false, false},
		{NUD_DELAY, true, false, false},
		{NUD_PROBE, true, false, false},
		{NUD_FAILED, false, false, true},
		{NUD_NOARP, true, true, false},
		{NUD_PERMANENT, true, true, false},
		{NUD_NONE, false, false, false},
	};
	struct pont_address one = address("192.0.2.2");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t mac_size = 0; mac_size <= 8; mac_size += 2) {
			_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
			struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
			struct neighbour neighbour;
			struct ndmsg *info;

			message->nlmsg_type = RTM_NEWNEIGH;
			info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
			info->ndm_family = AF_INET;
			info->ndm_ifindex = 3;
			info->ndm_state = cases[i].state;
			request_put_address(message, NDA_DST, &one);
			if (mac_size)
				mnl_attr_put(message, NDA_LLADDR, mac_size, "\2\0\0\0\0\1\0\0");
			cr_assert(neighbour_parse(message, &neighbour));
			cr_expect_eq(neighbour.resolved, cases[i].resolved && mac_size == 6, "state %u, MAC of %zu",
				cases[i].state, mac_size);
			cr_expect_eq(neighbour.permanent, cases[i].permanent, "state %u", cases[i].state);
			cr_expect_eq(neighbour.failed, cases[i].failed, "state %u", cases[i].state);
		}
	}
}

Test(neighbour, of_a_bridge_or_cut_short_is_none)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct neighbour neighbour;
	struct ndmsg *info;

	message->nlmsg_type = RTM_NEWNEIGH;
	cr_expect(!neighbour_parse(message, &neighbour));
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ndm_family = AF_BRIDGE;
	info->ndm_ifindex = 3;
	mnl_attr_put(message, NDA_LLADDR, 6, "\2\0\0\0\0\1");
	cr_expect(!neighbour_parse(message, &neighbour));
}
