/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/interface.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink/request.h"

/* The message being read. */
struct parsing {
	struct interface *out;
	unsigned short type; /* ARPHRD_* */
};

static int parse_attribute(const struct nlattr *attribute, void *data)
{
	const struct parsing *parsing = data;
	struct interface *out = parsing->out;

	switch (mnl_attr_get_type(attribute)) {
	case IFLA_IFNAME:
		if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
			(void)snprintf(out->name, sizeof(out->name), "%s", mnl_attr_get_str(attribute));
		break;
	case IFLA_MTU:
		if (mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
			out->mtu = mnl_attr_get_u32(attribute);
		break;
	case IFLA_ADDRESS:
		/* The loopback has an all-zero address of the same length, but another type. */
		if (parsing->type == ARPHRD_ETHER && mnl_attr_get_payload_len(attribute) == sizeof(out->mac)) {
			memcpy(out->mac, mnl_attr_get_payload(attribute), sizeof(out->mac));
			out->ethernet = true;
		}
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* Returns false for messages that are not about an interface as such (bridge ports send some of their own). */
static bool parse(const struct nlmsghdr *message, struct interface *out)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct parsing parsing = {.out = out};

	memset(out, 0, sizeof(*out));
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->ifi_family != AF_UNSPEC || info->ifi_index <= 0)
		return false;
	out->ifindex = (uint32_t)info->ifi_index;
	out->up = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
	parsing.type = info->ifi_type;
	(void)mnl_attr_parse(message, sizeof(*info), parse_attribute, &parsing);
	return true;
}

static struct interface *find(const struct interfaces *interfaces, uint32_t ifindex)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->all[i].ifindex == ifindex)
			return &interfaces->all[i];
	return NULL;
}

const struct interface *interfaces_find(const struct interfaces *interfaces, uint32_t ifindex)
{
	return find(interfaces, ifindex);
}

static int append(struct interfaces *interfaces, const struct interface *interface)
{
	if (interfaces->count == interfaces->capacity) {
		size_t capacity = interfaces->capacity ? 2 * interfaces->capacity : 16;
		struct interface *all = reallocarray(interfaces->all, capacity, sizeof(*all));

		if (!all)
			return -1;
		interfaces->all = all;
		interfaces->capacity = capacity;
	}
	interfaces->all[interfaces->count++] = *interface;
	return 0;
}

int interfaces_update(struct interfaces *interfaces, const struct nlmsghdr *message)
{
	struct interface interface, *known;
	int change = 0;

	if (!parse(message, &interface))
		return 0;
	known = find(interfaces, interface.ifindex);
	if (message->nlmsg_type == RTM_DELLINK) {
		if (!known)
			return 0;
		*known = interfaces->all[--interfaces->count];
		return INTERFACE_CHANGED;
	}
	if (!known)
		return append(interfaces, &interface) < 0 ? -1 : INTERFACE_NAMED | INTERFACE_CHANGED;
	if (strcmp(known->name, interface.name) != 0)
		change |= INTERFACE_NAMED;
	if (known->up != interface.up || known->mtu != interface.mtu || known->ethernet != interface.ethernet ||
		memcmp(known->mac, interface.mac, sizeof(interface.mac)) != 0)
		change |= INTERFACE_CHANGED;
	*known = interface;
	return change;
}

struct dump {
	struct interfaces *interfaces;
	bool out_of_memory;
};

static int visit(const struct nlmsghdr *message, void *data)
{
	struct dump *dump = data;

	if (message->nlmsg_type == RTM_NEWLINK && interfaces_update(dump->interfaces, message) < 0)
		dump->out_of_memory = true;
	return MNL_CB_OK;
}

int interfaces_dump(struct interfaces *interfaces, struct request *request, struct error *error)
{
	struct dump dump = {.interfaces = interfaces};
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	if (request_run(request, message, visit, &dump, error) < 0)
		return -1;
	if (dump.out_of_memory)
		return error_set(error, ENOMEM, NULL, "netlink: out of memory for the table of interfaces");
	return 0;
}

void interfaces_free(struct interfaces *interfaces)
{
	free(interfaces->all);
	memset(interfaces, 0, sizeof(*interfaces));
}
