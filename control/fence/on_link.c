/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/on_link.h"

#include <bpf/bpf.h>
#include <event2/event.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* As struct fence_link_key of ebpf/maps.h. */
struct link_key {
	uint32_t prefix_length;
	uint32_t ifindex;
	uint8_t address[16];
};
_Static_assert(sizeof(struct link_key) == 24, "key of the map on_link");

/* More addresses than that are not followed; their neighbours then need to be in the dataset. */
enum { PREFIXES_MAX = 4096, BUFFER_SIZE = 32768, LIST_ATTEMPTS = 16 };

struct on_link {
	int map;
	struct mnl_socket *notifications;
	struct event *event;
};

struct prefixes {
	struct link_key *keys;
	size_t count;
};

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
	struct link_key *key;
	unsigned int bit;

	if (message->nlmsg_type != RTM_NEWADDR || address->ifa_family != AF_INET6)
		return MNL_CB_OK;
	/* Link-local needs no entry, and a prefix of length 0 would be the whole world. */
	if (address->ifa_scope != RT_SCOPE_UNIVERSE || !address->ifa_prefixlen || address->ifa_prefixlen > 128)
		return MNL_CB_OK;
	(void)mnl_attr_parse(message, sizeof(*address), take_prefix, &prefix);
	if (!prefix || prefixes->count == PREFIXES_MAX)
		return MNL_CB_OK;
	key = &prefixes->keys[prefixes->count++];
	memset(key, 0, sizeof(*key));
	key->prefix_length = 32u + address->ifa_prefixlen;
	key->ifindex = address->ifa_index;
	memcpy(key->address, prefix, 16);
	for (bit = address->ifa_prefixlen; bit < 128; bit++)
		key->address[bit / 8] &= (uint8_t) ~(0x80u >> (bit & 7));
	return MNL_CB_OK;
}

/* Asks the kernel for all IPv6 addresses. */
static int collect(struct prefixes *prefixes, struct error *error)
{
	uint8_t buffer[BUFFER_SIZE];
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *address;
	ssize_t got;
	int more = MNL_CB_OK;

	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = 1;
	address = mnl_nlmsg_put_extra_header(request, sizeof(*address));
	address->ifa_family = AF_INET6;
	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
		mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		more = MNL_CB_ERROR;
	while (more == MNL_CB_OK) {
		got = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		more = got < 0 ? MNL_CB_ERROR
			       : mnl_cb_run(buffer, (size_t)got, 1, mnl_socket_get_portid(socket), collect_address,
					 prefixes);
	}
	if (more == MNL_CB_ERROR)
		(void)error_set(error, errno, NULL, "fence: IPv6 addresses of the interfaces: %s", strerror(errno));
	if (socket)
		(void)mnl_socket_close(socket);
	return more == MNL_CB_ERROR ? -1 : 0;
}

static bool prefixes_have(const struct prefixes *prefixes, const struct link_key *key)
{
	size_t i;

	for (i = 0; i < prefixes->count; i++)
		if (!memcmp(&prefixes->keys[i], key, sizeof(*key)))
			return true;
	return false;
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
	struct prefixes prefixes = {.keys = calloc(PREFIXES_MAX, sizeof(*prefixes.keys))};
	const uint8_t present = 1;
	int result = -1;
	int attempt;
	size_t i;

	if (!prefixes.keys)
		return error_set(error, ENOMEM, NULL, "fence: out of memory");
	/* EINTR: addresses changed while they were listed. */
	for (attempt = 0; attempt < LIST_ATTEMPTS; attempt++) {
		prefixes.count = 0;
		result = collect(&prefixes, error);
		if (!result || error->code != EINTR)
			break;
	}
	if (result)
		goto out;
	map_prune(on_link->map, &prefixes);
	for (i = 0; i < prefixes.count; i++)
		(void)bpf_map_update_elem(on_link->map, &prefixes.keys[i], &present, BPF_ANY);
out:
	free(prefixes.keys);
	return result;
}

static void on_notification(evutil_socket_t fd, short what, void *context)
{
	struct on_link *on_link = context;
	struct error error;
	uint8_t buffer[BUFFER_SIZE];

	(void)fd, (void)what;
	/* What changed does not matter, nor whether a notification was lost (ENOBUFS): the whole is read again. */
	while (recv(mnl_socket_get_fd(on_link->notifications), buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
	(void)synchronise(on_link, &error);
}

struct on_link *on_link_start(struct event_base *base, int map, struct error *error)
{
	struct on_link *on_link = calloc(1, sizeof(*on_link));

	if (!on_link) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		return NULL;
	}
	on_link->map = map;
	on_link->notifications = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!on_link->notifications ||
		mnl_socket_bind(on_link->notifications, RTMGRP_IPV6_IFADDR, MNL_SOCKET_AUTOPID) < 0) {
		(void)error_set(error, errno, NULL, "fence: netlink: %s", strerror(errno));
		goto undo;
	}
	on_link->event = event_new(
		base, mnl_socket_get_fd(on_link->notifications), EV_READ | EV_PERSIST, on_notification, on_link);
	if (!on_link->event || event_add(on_link->event, NULL)) {
		(void)error_set(error, ENOMEM, NULL, "fence: netlink event");
		goto undo;
	}
	/* After the subscription, so that no change falls between the two. */
	if (synchronise(on_link, error))
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
	if (on_link->event)
		event_free(on_link->event);
	if (on_link->notifications)
		(void)mnl_socket_close(on_link->notifications);
	free(on_link);
}
