/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/route.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "control/netlink/request.h"
#include "pontlevis/limits.h"

/* Bits in an address of that family. */
static uint8_t address_bits(const struct pont_address *address)
{
	return address->family == PONT_FAMILY_IPV4 ? 32 : 128;
}

static int parse_metric(const struct nlattr *attribute, void *data)
{
	struct route *route = data;

	if (mnl_attr_get_type(attribute) == RTAX_MTU && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
		route->mtu = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

/* The gateway of another family than the route's. */
static int get_via(const struct nlattr *attribute, struct pont_address *out)
{
	const struct rtvia *via = mnl_attr_get_payload(attribute);
	size_t length = mnl_attr_get_payload_len(attribute);

	if (length < sizeof(*via))
		return -1;
	return request_get_address((uint8_t)via->rtvia_family, via->rtvia_addr, length - sizeof(*via), out);
}

/* The message being read. */
struct parsing {
	struct route *route;
	uint8_t family; /* AF_* */
	bool usable;
};

static int parse_attribute(const struct nlattr *attribute, void *data)
{
	struct parsing *parsing = data;
	struct route *route = parsing->route;

	switch (mnl_attr_get_type(attribute)) {
	case RTA_OIF:
		if (mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
			route->ifindex = mnl_attr_get_u32(attribute);
		break;
	case RTA_GATEWAY:
		if (request_get_address(parsing->family, mnl_attr_get_payload(attribute),
			    mnl_attr_get_payload_len(attribute), &route->via) < 0)
			parsing->usable = false;
		break;
	case RTA_VIA:
		if (get_via(attribute, &route->via) < 0)
			parsing->usable = false;
		break;
	case RTA_METRICS:
		(void)mnl_attr_parse_nested(attribute, parse_metric, route);
		break;
	case RTA_ENCAP_TYPE:
		/* MPLS, SRv6 and the like: headers that the dataplane does not write. */
		parsing->usable = false;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int visit_route(const struct nlmsghdr *message, void *data)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	struct parsing parsing = {.route = data};

	if (message->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return MNL_CB_OK;
	parsing.family = info->rtm_family;
	parsing.usable = info->rtm_type == RTN_UNICAST;
	(void)mnl_attr_parse(message, sizeof(*info), parse_attribute, &parsing);
	parsing.route->reachable = parsing.usable && parsing.route->ifindex;
	return MNL_CB_OK;
}

int route_ask(struct request *request, const struct pont_address *source, const struct pont_address *destination,
	struct route *out, struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtmsg *info;

	memset(out, 0, sizeof(*out));
	out->via = *destination;
	if (!request_family(destination))
		return 0;
	message->nlmsg_type = RTM_GETROUTE;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->rtm_family = request_family(destination);
	info->rtm_dst_len = address_bits(destination);
	request_put_address(message, RTA_DST, destination);
	if (source->family == destination->family) {
		info->rtm_src_len = address_bits(source);
		request_put_address(message, RTA_SRC, source);
	}
	/* An operator's rules may tell ESP-in-UDP from the rest. */
	mnl_attr_put_u8(message, RTA_IP_PROTO, IPPROTO_UDP);
	mnl_attr_put_u16(message, RTA_DPORT, htons(PONT_UDP_PORT_ESP));
	if (request_run(request, message, visit_route, out, error) == 0)
		return 0;
	/* "No route", "prohibited", "not your address", ... all say the same to us. */
	out->reachable = false;
	return request_failed(error) ? -1 : 0;
}

struct local {
	const struct pont_address *address;
	uint8_t family; /* AF_* of the message being read */
	bool found;
};

static int parse_local(const struct nlattr *attribute, void *data)
{
	uint16_t type = mnl_attr_get_type(attribute);
	struct pont_address address;
	struct local *local = data;

	/* On a point-to-point interface IFA_ADDRESS is the other end; IPv6 gives IFA_LOCAL only there. */
	if (type != IFA_LOCAL && !(type == IFA_ADDRESS && local->family == AF_INET6))
		return MNL_CB_OK;
	if (request_get_address(local->family, mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute),
		    &address) == 0 &&
		request_same_address(&address, local->address))
		local->found = true;
	/* IPv6 puts the local address first: what follows is the other end. */
	return type == IFA_LOCAL ? MNL_CB_STOP : MNL_CB_OK;
}

static int visit_address(const struct nlmsghdr *message, void *data)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	struct local *local = data;

	if (message->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return MNL_CB_OK;
	local->family = info->ifa_family;
	(void)mnl_attr_parse(message, sizeof(*info), parse_local, local);
	return MNL_CB_OK;
}

bool route_is_local(struct request *request, const struct pont_address *address)
{
	struct local local = {.address = address};
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *info;
	struct error error;

	if (!request_family(address))
		return false;
	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifa_family = request_family(address);
	return request_run(request, message, visit_address, &local, &error) == 0 && local.found;
}
