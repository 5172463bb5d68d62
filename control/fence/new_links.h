/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Default-deny on new links. k1 stands on an interface a moment after it has appeared, and later than that if no
 * control process runs. Until it stands, nothing leaves there: nftables rules, which belong to the network namespace
 * and not to an interface, drop what goes out by one whose number has not been admitted. A process' own traffic has k2
 * besides; this is for what has no socket of a cgroup (forwarded packets, the kernel's own) or goes round IP (bridges,
 * packet sockets).
 */
#ifndef CONTROL_FENCE_NEW_LINKS_H
#define CONTROL_FENCE_NEW_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"

struct event_base;
struct new_links;

/* What an unadmitted interface is closed to. */
enum new_links_kind {
	NEW_LINKS_IP,     /* IP packets, forwarded or from here: inet postrouting */
	NEW_LINKS_BRIDGE, /* frames that a bridge forwards: bridge postrouting */
	NEW_LINKS_FRAMES, /* every frame, whoever sends it: netdev egress of all interfaces by prefix, Linux 6.16 */
	NEW_LINKS_KINDS,
};

struct new_links_callbacks {
	void *context;
	/* Somebody else has touched the rules (nft flush ruleset): they are to be made again. From the event loop. */
	void (*touched)(void *context);
};

/*
 * Opens what is needed and looks for what others do to the rules; nothing is made yet. demand_all: any kind that cannot
 * be made is an error; else only IP, the others are left out then, and FRAMES also where the installed libnftnl could
 * not read the rules, as an "nft list" of the same age never ends there.
 */
struct new_links *new_links_start(
	struct event_base *base, bool demand_all, const struct new_links_callbacks *callbacks, struct error *error);
/* Lets go; the rules stay. NULL is allowed. */
void new_links_stop(struct new_links *links);

/* Makes the rules anew, each kind in one step, with these interfaces and the loopback admitted. */
int new_links_make(struct new_links *links, const uint32_t *admitted, size_t count, struct error *error);

/* k1 stands on the interface, or it is gone. */
int new_links_admit(struct new_links *links, uint32_t ifindex, struct error *error);
int new_links_dismiss(struct new_links *links, uint32_t ifindex, struct error *error);

/* Why this kind does not stand, in words; NULL: it does. Valid until the rules are made again. */
const char *new_links_missing(const struct new_links *links, enum new_links_kind kind);
/* Packets dropped, since the rules were first made; also over restarts. 0 for what does not stand. */
int new_links_dropped(struct new_links *links, enum new_links_kind kind, uint64_t *packets, struct error *error);

/* Removes the rules of all kinds. */
int new_links_remove(struct error *error);

#endif
