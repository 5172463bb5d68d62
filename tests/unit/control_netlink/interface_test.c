/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/interface.h"

#include <criterion/criterion.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink/request.h"
#include "namespace.h"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

struct notice {
	uint16_t type;
	uint8_t family;
	unsigned short hardware;
	int number;
	unsigned int flags;
	const char *name;
	uint32_t mtu;
};

static int update(struct interfaces *interfaces, const struct notice *notice)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	message->nlmsg_type = notice->type;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_family = notice->family;
	info->ifi_type = notice->hardware;
	info->ifi_index = notice->number;
	info->ifi_flags = notice->flags;
	mnl_attr_put_strz(message, IFLA_IFNAME, notice->name);
	mnl_attr_put_u32(message, IFLA_MTU, notice->mtu);
	mnl_attr_put(message, IFLA_ADDRESS, sizeof(mac), mac);
	return interfaces_update(interfaces, message);
}

Test(interface, says_what_each_notification_changed)
{
	static const struct {
		struct notice notice;
		int change;
	} steps[] = {
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 7, 0, "wan0", 1500}, INTERFACE_NAMED | INTERFACE_CHANGED},
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 7, 0, "wan0", 1500}, 0},
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 7, IFF_UP, "wan0", 1500}, 0},
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 7, IFF_UP | IFF_RUNNING, "wan0", 1500}, INTERFACE_CHANGED},
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 7, IFF_UP | IFF_RUNNING, "wan0", 9000}, INTERFACE_CHANGED},
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 7, IFF_UP | IFF_RUNNING, "wan1", 9000}, INTERFACE_NAMED},
		{{RTM_NEWLINK, AF_BRIDGE, ARPHRD_ETHER, 7, 0, "wan1", 9000}, 0},
		{{RTM_DELLINK, AF_BRIDGE, ARPHRD_ETHER, 7, 0, "wan1", 9000}, 0},
		{{RTM_DELLINK, AF_UNSPEC, ARPHRD_ETHER, 8, 0, "wan2", 9000}, 0},
		{{RTM_DELLINK, AF_UNSPEC, ARPHRD_ETHER, 7, 0, "wan1", 9000}, INTERFACE_CHANGED},
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 7, 0, "wan1", 9000}, INTERFACE_NAMED | INTERFACE_CHANGED},
		{{RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 0, 0, "none", 9000}, 0},
	};
	struct interfaces interfaces = {0};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		cr_expect_eq(update(&interfaces, &steps[i].notice), steps[i].change, "step %zu", i);
	interfaces_free(&interfaces);
}

Test(interface, without_ethernet_headers_has_no_mac)
{
	static const struct notice loopback = {RTM_NEWLINK, AF_UNSPEC, ARPHRD_LOOPBACK, 1, IFF_UP, "lo", 65536};
	static const struct notice ethernet = {RTM_NEWLINK, AF_UNSPEC, ARPHRD_ETHER, 2, IFF_UP, "wan0", 1500};
	struct interfaces interfaces = {0};

	(void)update(&interfaces, &loopback);
	(void)update(&interfaces, &ethernet);
	cr_assert(interfaces_find(&interfaces, 1));
	cr_assert(interfaces_find(&interfaces, 2));
	cr_expect(!interfaces_find(&interfaces, 1)->ethernet);
	cr_expect(interfaces_find(&interfaces, 2)->ethernet);
	cr_expect_arr_eq(interfaces_find(&interfaces, 2)->mac, mac, sizeof(mac));
	cr_expect(!interfaces_find(&interfaces, 3));
	interfaces_free(&interfaces);
}

Test(interface, table_survives_a_message_cut_short)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct interfaces interfaces = {0};

	message->nlmsg_type = RTM_NEWLINK;
	cr_expect_eq(interfaces_update(&interfaces, message), 0);
	cr_expect_eq(interfaces.count, 0);
}

Test(interface, dump_holds_what_the_kernel_has)
{
	struct interfaces interfaces = {0};
	const struct interface *wan;
	struct request *request;
	struct error error;

	namespace_build();
	run("ip link set wan0 mtu 1400");
	request = request_open(NETLINK_ROUTE, &error);
	cr_assert(request);
	cr_assert_eq(interfaces_dump(&interfaces, request, &error), 0, "%s", error.text);
	wan = interfaces_find(&interfaces, ifindex("wan0"));
	cr_assert(wan);
	cr_expect_str_eq(wan->name, "wan0");
	cr_expect_eq(wan->mtu, 1400);
	cr_expect(wan->ethernet);
	cr_expect_arr_eq(wan->mac, mac, sizeof(mac));
	cr_expect_eq(interfaces.count, 2);
	interfaces_free(&interfaces);
	request_close(request);
}
