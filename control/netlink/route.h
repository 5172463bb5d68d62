/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the kernel would send a packet. The routes themselves are not mirrored: the kernel's own answer takes rules,
 * metrics, multipath and exceptions into account, and a router may hold a million of them.
 */
#ifndef CONTROL_NETLINK_ROUTE_H
#define CONTROL_NETLINK_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/address.h"

struct request;

struct route {
	bool reachable; /* a unicast route without encapsulation; the other fields are valid only then */
	uint32_t ifindex;
	uint32_t mtu;            /* bytes, 0: the route names none */
	struct pont_address via; /* gateway (of either family), or the destination itself on link */
};

/* Asks for the route of our ESP-in-UDP packets. source: a local address, or family NONE. -1 only if asking failed. */
int route_ask(struct request *request, const struct pont_address *source, const struct pont_address *destination,
	struct route *out, struct error *error);

/* Whether the address is configured on an interface; false also when asking failed. */
bool route_is_local(struct request *request, const struct pont_address *address);

#endif
