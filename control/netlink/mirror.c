/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/mirror.h"

#include <event2/event.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "control/netlink/hop.h"
#include "control/netlink/interface.h"
#include "control/netlink/notifications.h"
#include "control/netlink/request.h"
#include "control/netlink/route.h"

enum {
	/* Notifications come in bursts (an interface down is dozens of them): the first waits so long for the rest. */
	FOLD_US = 20000,
	/* Neighbours that do not answer are asked again so often, */
	RETRY_S = 1,
	/* and everything is looked at, whatever the notifications said, every so many retries. */
	RENEW_EVERY = 10,
};

struct mirror {
	struct mirror_callbacks callbacks;
	struct request *request;
	struct notifications *notifications;
	struct event *fold;
	struct event *tick;
	struct interfaces interfaces;
	struct hops hops;
	unsigned int ticks;
	bool lost;     /* notifications were lost: the interfaces must be read again */
	bool announce; /* the destinations are new: say "changed" even if the answers look the same */
	bool swept;    /* neighbours left by an earlier process are gone */
	int trouble;   /* code of the error last told, so that each is told once */
};

/* A failure that no caller waits for: told once until things work again. */
static void tell_trouble(struct mirror *mirror, const struct error *error)
{
	if (mirror->trouble == error->code)
		return;
	mirror->trouble = error->code;
	if (mirror->callbacks.trouble)
		mirror->callbacks.trouble(mirror->callbacks.context, error);
	else
		(void)fprintf(stderr, "%s\n", error->text);
}

static void fold(struct mirror *mirror)
{
	struct timeval delay = {.tv_usec = FOLD_US};

	/* Not pushed back while it waits: a routing daemon that never rests must not keep us from looking. */
	if (!event_pending(mirror->fold, EV_TIMEOUT, NULL))
		(void)event_add(mirror->fold, &delay);
}

static void tell_link(struct mirror *mirror, const struct interface *interface)
{
	if (mirror->callbacks.link_added)
		mirror->callbacks.link_added(mirror->callbacks.context, interface->ifindex, interface->name);
}

static void tell_gone(struct mirror *mirror, uint32_t ifindex)
{
	if (mirror->callbacks.link_removed)
		mirror->callbacks.link_removed(mirror->callbacks.context, ifindex);
}

/* Reads all interfaces, and tells all of them: one that was replaced unseen may have kept number and name. */
static int read_interfaces(struct mirror *mirror, struct error *error)
{
	struct interfaces fresh = {0};

	if (interfaces_dump(&fresh, mirror->request, error) < 0) {
		interfaces_free(&fresh);
		return -1;
	}
	for (size_t i = 0; i < mirror->interfaces.count; i++)
		if (!interfaces_find(&fresh, mirror->interfaces.all[i].ifindex))
			tell_gone(mirror, mirror->interfaces.all[i].ifindex);
	interfaces_free(&mirror->interfaces);
	mirror->interfaces = fresh;
	mirror->lost = false;
	for (size_t i = 0; i < mirror->interfaces.count; i++)
		tell_link(mirror, &mirror->interfaces.all[i]);
	return 0;
}

static void refresh(struct mirror *mirror, enum hop_effort effort)
{
	struct error error;
	bool changed = false, announce = mirror->announce;
	int result = 0;

	if (mirror->lost)
		result = read_interfaces(mirror, &error);
	if (result == 0)
		result = hops_refresh(&mirror->hops, mirror->request, &mirror->interfaces, effort, &changed, &error);
	if (result == 0 && !mirror->swept) {
		result = hops_sweep(&mirror->hops, mirror->request, &error);
		mirror->swept = result == 0;
	}
	if (result < 0)
		tell_trouble(mirror, &error);
	else
		mirror->trouble = 0;
	mirror->announce = false;
	if ((changed || announce) && mirror->callbacks.changed)
		mirror->callbacks.changed(mirror->callbacks.context);
}

static void on_fold(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	refresh(data, HOP_LOOK);
}

static void on_tick(evutil_socket_t fd, short what, void *data)
{
	struct mirror *mirror = data;

	(void)fd;
	(void)what;
	mirror->ticks++;
	if (mirror->hops.count == 0 && !mirror->lost)
		return;
	if (mirror->ticks % RENEW_EVERY == 0)
		refresh(mirror, HOP_RENEW);
	else if (mirror->hops.unsettled || mirror->lost)
		refresh(mirror, HOP_RETRY);
}

static void on_lost(void *context)
{
	struct mirror *mirror = context;

	mirror->lost = true;
	fold(mirror);
}

static void take_link(struct mirror *mirror, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	int change = interfaces_update(&mirror->interfaces, message);

	if (change < 0) {
		on_lost(mirror);
		return;
	}
	if (message->nlmsg_type == RTM_DELLINK && change)
		tell_gone(mirror, (uint32_t)info->ifi_index);
	if (change & INTERFACE_NAMED) {
		const struct interface *interface = interfaces_find(&mirror->interfaces, (uint32_t)info->ifi_index);

		if (interface)
			tell_link(mirror, interface);
	}
	if (change & INTERFACE_CHANGED)
		fold(mirror);
}

static void on_message(void *context, const struct nlmsghdr *message)
{
	struct mirror *mirror = context;
	struct neighbour neighbour;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (mnl_nlmsg_get_payload_len(message) >= sizeof(struct ifinfomsg))
			take_link(mirror, message);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (neighbour_parse(message, &neighbour) && hops_need(&mirror->hops, &neighbour))
			fold(mirror);
		break;
	default:
		/* Addresses, routes, rules, next hop objects: what they mean for a destination the kernel knows. */
		if (message->nlmsg_type >= NLMSG_MIN_TYPE && mirror->hops.count)
			fold(mirror);
		break;
	}
}

static int add_events(struct mirror *mirror, struct event_base *base, struct error *error)
{
	struct timeval retry = {.tv_sec = RETRY_S};

	mirror->fold = event_new(base, -1, 0, on_fold, mirror);
	mirror->tick = event_new(base, -1, EV_PERSIST, on_tick, mirror);
	if (!mirror->fold || !mirror->tick || event_add(mirror->tick, &retry) < 0)
		return error_set(error, ENOMEM, NULL, "netlink: cannot add events");
	return 0;
}

struct mirror *mirror_start(struct event_base *base, const struct mirror_callbacks *callbacks, struct error *error)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP};
	struct mirror *mirror = calloc(1, sizeof(*mirror));
	const struct notifications_callbacks notified = {.context = mirror, .message = on_message, .lost = on_lost};

	if (!mirror) {
		error_set(error, ENOMEM, NULL, "netlink: out of memory");
		return NULL;
	}
	mirror->callbacks = *callbacks;
	mirror->request = request_open(NETLINK_ROUTE, error);
	if (!mirror->request || add_events(mirror, base, error) < 0)
		goto undo;
	mirror->notifications =
		notifications_start(base, NETLINK_ROUTE, groups, sizeof(groups) / sizeof(groups[0]), &notified, error);
	if (!mirror->notifications || read_interfaces(mirror, error) < 0)
		goto undo;
	return mirror;
undo:
	mirror_stop(mirror);
	return NULL;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void mirror_stop(struct mirror *mirror)
{
	if (!mirror)
		return;
	if (mirror->request)
		hops_release(&mirror->hops, mirror->request);
	interfaces_free(&mirror->interfaces);
	free_event(mirror->tick);
	free_event(mirror->fold);
	notifications_stop(mirror->notifications);
	request_close(mirror->request);
	free(mirror);
}

static bool follows_already(const struct mirror *mirror, const struct pont_address *sources,
	const struct pont_address *destinations, size_t count)
{
	if (mirror->hops.count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!request_same_address(&mirror->hops.targets[i].source, &sources[i]) ||
			!request_same_address(&mirror->hops.targets[i].destination, &destinations[i]))
			return false;
	return true;
}

int mirror_follow(struct mirror *mirror, const struct pont_address *sources, const struct pont_address *destinations,
	size_t count, struct error *error)
{
	bool changed;

	if (!follows_already(mirror, sources, destinations, count)) {
		if (hops_follow(&mirror->hops, sources, destinations, count, error) < 0)
			return -1;
		mirror->announce = true;
	}
	if (hops_refresh(&mirror->hops, mirror->request, &mirror->interfaces, HOP_LOOK, &changed, error) < 0)
		tell_trouble(mirror, error);
	/* What was found here is not found again by the next look, so that one has to be told to say it. */
	mirror->announce |= changed;
	if (mirror->announce)
		fold(mirror);
	return 0;
}

void mirror_next_hop(const struct mirror *mirror, size_t i, struct mirror_next_hop *out)
{
	memset(out, 0, sizeof(*out));
	out->state = MIRROR_UNREACHABLE;
	if (i < mirror->hops.count)
		*out = mirror->hops.targets[i].next;
}

bool mirror_is_local(const struct mirror *mirror, const struct pont_address *address)
{
	return route_is_local(mirror->request, address);
}
