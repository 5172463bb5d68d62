/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mirror of the kernel's interfaces, routes and neighbours (rtnetlink), asked for the next hop towards each peer. An
 * operator's own routing daemon on the appliance therefore just works. Next hops that are needed are entered as
 * managed neighbours (NTF_EXT_MANAGED), so that the kernel keeps them resolved although it never sees our packets.
 */
#ifndef CONTROL_NETLINK_MIRROR_H
#define CONTROL_NETLINK_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/address.h"

struct event_base;
struct mirror;

struct mirror_callbacks {
	void *context;
	/* An interface appeared or was renamed (called for the present ones from mirror_start() too). */
	void (*link_added)(void *context, uint32_t ifindex, const char *name);
	/* An interface is gone; its number may come again. */
	void (*link_removed)(void *context, uint32_t ifindex);
	/* A next hop of a target may have changed; bursts of notifications are folded into one call. */
	void (*changed)(void *context);
	/*
	 * The kernel cannot be asked or refuses (no CAP_NET_ADMIN, no memory). Tried again every second, told once.
	 * NULL: told on standard error.
	 */
	void (*trouble)(void *context, const struct error *error);
};

enum mirror_state {
	MIRROR_UNREACHABLE, /* no route, or the interface is down */
	MIRROR_UNRESOLVED,  /* route known, neighbour not (yet) */
	MIRROR_RESOLVED,
};

struct mirror_next_hop {
	enum mirror_state state;
	uint32_t ifindex;           /* outgoing interface */
	uint32_t mtu;               /* of the route or interface, bytes */
	struct pont_address via;    /* neighbour asked for: gateway, or the destination itself on link */
	uint8_t source_mac[6];      /* of the interface */
	uint8_t destination_mac[6]; /* of the neighbour, valid when RESOLVED */
};

/* Sees the network namespace of the caller. NULL with the error set. */
struct mirror *mirror_start(struct event_base *base, const struct mirror_callbacks *callbacks, struct error *error);
/* Neighbours that we added are removed. mirror may be NULL. */
void mirror_stop(struct mirror *mirror);

/*
 * Sets the destinations to follow (copied); earlier ones that are not in the list are let go, and their managed
 * neighbours removed again if we added them. sources[i] (family NONE: kernel's choice) is the local address used.
 * The answers are there on return; after a list that differs from the one before, "changed" is called once as well.
 */
int mirror_follow(struct mirror *mirror, const struct pont_address *sources, const struct pont_address *destinations,
	size_t count, struct error *error);

/* Current answer for destination number i of the list above; beyond its end everything is UNREACHABLE. */
void mirror_next_hop(const struct mirror *mirror, size_t i, struct mirror_next_hop *out);

/* Whether the address is configured on one of the interfaces. */
bool mirror_is_local(const struct mirror *mirror, const struct pont_address *address);

#endif
