/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notifications of the kernel on a netlink bus, read in the event loop. What is asked of the kernel goes elsewhere
 * (request.h): an answer must not wait behind a burst of news.
 */
#ifndef CONTROL_NETLINK_NOTIFICATIONS_H
#define CONTROL_NETLINK_NOTIFICATIONS_H

#include <linux/netlink.h>
#include <stddef.h>

#include "control/error.h"

struct event_base;
struct notifications;

struct notifications_callbacks {
	void *context;
	/* A message, header checked; it is the callee's only during the call. NULL: none is looked at. */
	void (*message)(void *context, const struct nlmsghdr *message);
	/* There were more at once than there was room for: anything may have been among what is lost. NULL: not told.
	 */
	void (*lost)(void *context);
	/* After what could be read was handed over, all in one turn of the event loop. NULL: not told. */
	void (*taken)(void *context);
};

/*
 * bus: NETLINK_ROUTE or NETLINK_NETFILTER; groups: numbers as in RTNLGRP_*, NFNLGRP_*, in the network namespace of the
 * caller. The subscription stands on return, so that no change falls between it and what is read afterwards. NULL with
 * the error set.
 */
struct notifications *notifications_start(struct event_base *base, int bus, const int *groups, size_t group_count,
	const struct notifications_callbacks *callbacks, struct error *error);
/* May be NULL. */
void notifications_stop(struct notifications *notifications);

#endif
