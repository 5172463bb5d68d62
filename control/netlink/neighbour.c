/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/neighbour.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "control/netlink/request.h"

/* States in which the kernel itself would use the address it has. */
enum { RESOLVED_STATES = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP };

/* The message being read. */
struct parsing {
	struct neighbour *out;
	uint8_t family; /* AF_* */
	bool has_mac;
};

static int parse_attribute(const struct nlattr *attribute, void *data)
{
	struct parsing *parsing = data;
	struct neighbour *out = parsing->out;

	switch (mnl_attr_get_type(attribute)) {
	case NDA_DST:
		(void)request_get_address(parsing->family, mnl_attr_get_payload(attribute),
			mnl_attr_get_payload_len(attribute), &out->address);
		break;
	case NDA_LLADDR:
		if (mnl_attr_get_payload_len(attribute) == sizeof(out->mac)) {
			memcpy(out->mac, mnl_attr_get_payload(attribute), sizeof(out->mac));
			parsing->has_mac = true;
		}
		break;
	case NDA_FLAGS_EXT:
		if (mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
			out->managed = mnl_attr_get_u32(attribute) & NTF_EXT_MANAGED;
		break;
	case NDA_PROTOCOL:
		if (mnl_attr_validate(attribute, MNL_TYPE_U8) >= 0)
			out->protocol = mnl_attr_get_u8(attribute);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

bool neighbour_parse(const struct nlmsghdr *message, struct neighbour *out)
{
	const struct ndmsg *info = mnl_nlmsg_get_payload(message);
	struct parsing parsing = {.out = out};

	memset(out, 0, sizeof(*out));
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->ndm_ifindex <= 0)
		return false;
	out->ifindex = (uint32_t)info->ndm_ifindex;
	parsing.family = info->ndm_family;
	(void)mnl_attr_parse(message, sizeof(*info), parse_attribute, &parsing);
	out->present = message->nlmsg_type == RTM_NEWNEIGH;
	out->permanent = (info->ndm_state & (NUD_PERMANENT | NUD_NOARP)) || (info->ndm_flags & NTF_EXT_LEARNED);
	out->failed = info->ndm_state & NUD_FAILED;
	out->resolved = parsing.has_mac && (info->ndm_state & RESOLVED_STATES);
	return out->address.family != PONT_FAMILY_NONE;
}

static struct nlmsghdr *put_neighbour(
	char buffer[REQUEST_MESSAGE_SIZE], uint16_t type, uint32_t ifindex, const struct pont_address *address)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *info;

	message->nlmsg_type = type;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ndm_family = request_family(address);
	info->ndm_ifindex = (int)ifindex;
	info->ndm_state = NUD_NONE;
	request_put_address(message, NDA_DST, address);
	return message;
}

static int visit_one(const struct nlmsghdr *message, void *data)
{
	struct neighbour neighbour, *out = data;

	if (message->nlmsg_type == RTM_NEWNEIGH && neighbour_parse(message, &neighbour))
		*out = neighbour;
	return MNL_CB_OK;
}

int neighbour_ask(struct request *request, uint32_t ifindex, const struct pont_address *address, struct neighbour *out,
	struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];

	memset(out, 0, sizeof(*out));
	out->ifindex = ifindex;
	out->address = *address;
	if (request_run(request, put_neighbour(buffer, RTM_GETNEIGH, ifindex, address), visit_one, out, error) == 0)
		return 0;
	return error->code == ENOENT || error->code == ENODEV ? 0 : -1;
}

int neighbour_manage(struct request *request, uint32_t ifindex, const struct pont_address *address, struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = put_neighbour(buffer, RTM_NEWNEIGH, ifindex, address);

	message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	mnl_attr_put_u8(message, NDA_PROTOCOL, NEIGHBOUR_PROTOCOL);
	mnl_attr_put_u32(message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	return request_run(request, message, NULL, NULL, error);
}

int neighbour_use(struct request *request, uint32_t ifindex, const struct pont_address *address, struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = put_neighbour(buffer, RTM_NEWNEIGH, ifindex, address);
	struct ndmsg *info = mnl_nlmsg_get_payload(message);

	message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	info->ndm_flags = NTF_USE;
	mnl_attr_put_u8(message, NDA_PROTOCOL, NEIGHBOUR_PROTOCOL);
	return request_run(request, message, NULL, NULL, error);
}

int neighbour_remove(struct request *request, uint32_t ifindex, const struct pont_address *address, struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct neighbour now;

	if (neighbour_ask(request, ifindex, address, &now, error) < 0)
		return -1;
	if (!now.present || now.permanent || now.protocol != NEIGHBOUR_PROTOCOL)
		return 0;
	if (request_run(request, put_neighbour(buffer, RTM_DELNEIGH, ifindex, address), NULL, NULL, error) == 0)
		return 0;
	return error->code == ENOENT || error->code == ENODEV ? 0 : -1;
}

struct dump {
	void (*visit)(void *context, const struct neighbour *neighbour);
	void *context;
};

static int visit_each(const struct nlmsghdr *message, void *data)
{
	const struct dump *dump = data;
	struct neighbour neighbour;

	if (message->nlmsg_type == RTM_NEWNEIGH && neighbour_parse(message, &neighbour))
		dump->visit(dump->context, &neighbour);
	return MNL_CB_OK;
}

int neighbour_dump(struct request *request, void (*visit)(void *context, const struct neighbour *neighbour),
	void *context, struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct dump dump = {.visit = visit, .context = context};
	struct ndmsg *info;

	message->nlmsg_type = RTM_GETNEIGH;
	message->nlmsg_flags = NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ndm_family = AF_UNSPEC;
	return request_run(request, message, visit_each, &dump, error);
}
