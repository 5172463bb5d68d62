/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's interfaces: a table filled by a dump and kept by notifications. */
#ifndef CONTROL_NETLINK_INTERFACE_H
#define CONTROL_NETLINK_INTERFACE_H

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"

struct request;

struct interface {
	uint32_t ifindex;
	uint32_t mtu; /* bytes */
	char name[IF_NAMESIZE];
	bool up;       /* administratively, and its carrier is there */
	bool ethernet; /* its frames have Ethernet headers, and mac is valid */
	uint8_t mac[6];
};

/* Zero-initialised is empty. */
struct interfaces {
	struct interface *all;
	size_t count;
	size_t capacity;
};

/* What a notification did to the table; bits. */
enum interface_change {
	INTERFACE_NAMED = 1,   /* appeared or was renamed */
	INTERFACE_CHANGED = 2, /* anything that a next hop over it depends on, also: disappeared */
};

/* Takes over an RTM_NEWLINK or RTM_DELLINK. Returns bits of enum interface_change, or -1 when out of memory. */
int interfaces_update(struct interfaces *interfaces, const struct nlmsghdr *message);
/* Fills an empty table from the kernel. */
int interfaces_dump(struct interfaces *interfaces, struct request *request, struct error *error);
/* NULL if there is none. Valid until the next update. */
const struct interface *interfaces_find(const struct interfaces *interfaces, uint32_t ifindex);
void interfaces_free(struct interfaces *interfaces);

#endif
