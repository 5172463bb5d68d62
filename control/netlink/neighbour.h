/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours of the kernel (ARP, RFC 4861), and how ours are kept resolved. The kernel never sees the dataplane's
 * packets, so it would let their next hops go stale; a managed neighbour (NTF_EXT_MANAGED, Linux 5.16) it keeps fresh
 * by itself. Entries that we made carry a protocol number of ours, by which also a later process knows them.
 */
#ifndef CONTROL_NETLINK_NEIGHBOUR_H
#define CONTROL_NETLINK_NEIGHBOUR_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/address.h"

struct request;

/* Who made the entry, as in rt_protos; none of the numbers that routing daemons have registered. */
enum { NEIGHBOUR_PROTOCOL = 178 };

struct neighbour {
	uint32_t ifindex;
	struct pont_address address;
	bool present;   /* in the kernel's table; the fields below are valid only then */
	bool managed;   /* the kernel keeps it resolved */
	bool permanent; /* set by an operator or a routing daemon: not ours to touch */
	bool failed;    /* the kernel asked and nobody answered */
	bool resolved;  /* mac may be used */
	uint8_t protocol;
	uint8_t mac[6];
};

/* Reads an RTM_NEWNEIGH or RTM_DELNEIGH. False for what is no IP neighbour. */
bool neighbour_parse(const struct nlmsghdr *message, struct neighbour *out);

/* Asks the kernel for one neighbour; not being present is no error. */
int neighbour_ask(struct request *request, uint32_t ifindex, const struct pont_address *address, struct neighbour *out,
	struct error *error);

/* Makes the neighbour a managed one of ours, new or not, and starts its resolution. */
int neighbour_manage(
	struct request *request, uint32_t ifindex, const struct pont_address *address, struct error *error);
/* For kernels without managed neighbours: behaves as if a packet were sent there now; to be repeated. */
int neighbour_use(struct request *request, uint32_t ifindex, const struct pont_address *address, struct error *error);
/* Removes the neighbour if it is (still) one of ours. */
int neighbour_remove(
	struct request *request, uint32_t ifindex, const struct pont_address *address, struct error *error);
/* Calls visit for every neighbour in the kernel's table. */
int neighbour_dump(struct request *request, void (*visit)(void *context, const struct neighbour *neighbour),
	void *context, struct error *error);

#endif
