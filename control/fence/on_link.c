/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/on_link.h"

#include <bpf/bpf.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink/notifications.h"
#include "control/netlink/request.h"

/* As struct fence_link_key of ebpf/maps.h. */
struct link_key {
	uint32_t prefix_length;
	uint32_t ifindex;
	uint8_t address[16];
};
_Static_assert(sizeof(struct link_key) == 24, "key of the map on_link");

/* More addresses than that are not followed; their neighbours then need to be in the dataset. */
enum { PREFIXES_MAX = 4096 };

struct on_link {
	int map;
	struct request *request;
	struct notifications *notifications;
};

struct prefixes {
	struct link_key *keys;
	size_t count;
};

static bool prefixes_have(const struct prefixes *prefixes, const struct link_key *key)
{
	size_t i;

	for (i = 0; i < prefixes->count; i++)
		if (!memcmp(&prefixes->keys[i], key, sizeof(*key)))
			return true;
	return false;
}

/* With a peer address this is the peer's: that one is on link. */
static int take_prefix(const struct nlattr *attribute, void *context)
{
	const uint8_t **prefix = context;

	if (mnl_attr_get_type(attribute) == IFA_ADDRESS && mnl_attr_get_payload_len(attribute) == 16)
		*prefix = mnl_attr_get_payload(attribute);
	return MNL_CB_OK;
}

static int collect_address(const struct nlmsghdr *message, void *context)
{
	struct prefixes *prefixes = context;
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
	const uint8_t *prefix = NULL;
	struct link_key key = {0};
	unsigned int bit;

	if (message->nlmsg_type != RTM_NEWADDR || address->ifa_family != AF_INET6)
		return MNL_CB_OK;
	/* Link-local needs no entry, and a prefix of length 0 would be the whole world. */
	if (address->ifa_scope != RT_SCOPE_UNIVERSE || !address->ifa_prefixlen || address->ifa_prefixlen > 128)
		return MNL_CB_OK;
	(void)mnl_attr_parse(message, sizeof(*address), take_prefix, &prefix);
	if (!prefix)
		return MNL_CB_OK;
	key.prefix_length = 32u + address->ifa_prefixlen;
	key.ifindex = address->ifa_index;
	memcpy(key.address, prefix, 16);
	for (bit = address->ifa_prefixlen; bit < 128; bit++)
		key.address[bit / 8] &= (uint8_t) ~(0x80u >> (bit & 7));
	/* An interface may have many addresses of one prefix, and a list that changes meanwhile is asked for again. */
	if (prefixes->count < PREFIXES_MAX && !prefixes_have(prefixes, &key))
		prefixes->keys[prefixes->count++] = key;
	return MNL_CB_OK;
}

/* Takes out of the map what is not on link any more. */
static void map_prune(int map, const struct prefixes *prefixes)
{
	struct link_key *present = calloc(PREFIXES_MAX, sizeof(*present));
	struct link_key *previous = NULL, key;
	size_t count = 0, i;

	if (!present)
		return;
	while (count < PREFIXES_MAX && !bpf_map_get_next_key(map, previous, &key)) {
		present[count] = key;
		previous = &present[count++];
	}
	for (i = 0; i < count; i++)
		if (!prefixes_have(prefixes, &present[i]))
			(void)bpf_map_delete_elem(map, &present[i]);
	free(present);
}

/* Brings the map in line with the kernel's addresses. */
static int synchronise(const struct on_link *on_link, struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct prefixes prefixes = {.keys = calloc(PREFIXES_MAX, sizeof(*prefixes.keys))};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(message, sizeof(*address));
	const uint8_t present = 1;
	int result;
	size_t i;

	if (!prefixes.keys)
		return error_set(error, ENOMEM, NULL, "fence: out of memory");
	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_DUMP;
	address->ifa_family = AF_INET6;
	result = request_run(on_link->request, message, collect_address, &prefixes, error);
	if (!result) {
		map_prune(on_link->map, &prefixes);
		for (i = 0; i < prefixes.count; i++)
			(void)bpf_map_update_elem(on_link->map, &prefixes.keys[i], &present, BPF_ANY);
	}
	free(prefixes.keys);
	return result;
}

/* What changed does not matter, nor whether a notification was lost: the whole is read again. */
static void on_taken(void *context)
{
	struct error error;

	(void)synchronise(context, &error);
}

struct on_link *on_link_start(struct event_base *base, int map, struct error *error)
{
	static const int groups[] = {RTNLGRP_IPV6_IFADDR};
	struct on_link *on_link = calloc(1, sizeof(*on_link));
	const struct notifications_callbacks notified = {.context = on_link, .taken = on_taken};

	if (!on_link) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		return NULL;
	}
	on_link->map = map;
	on_link->request = request_open(NETLINK_ROUTE, error);
	if (!on_link->request)
		goto undo;
	on_link->notifications = notifications_start(base, NETLINK_ROUTE, groups, 1, &notified, error);
	if (!on_link->notifications || synchronise(on_link, error))
		goto undo;
	return on_link;
undo:
	on_link_stop(on_link);
	return NULL;
}

void on_link_stop(struct on_link *on_link)
{
	if (!on_link)
		return;
	notifications_stop(on_link->notifications);
	request_close(on_link->request);
	free(on_link);
}
