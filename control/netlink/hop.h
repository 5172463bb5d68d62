/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Next hops of the destinations followed: each is a question to the kernel for its route, then for the neighbour.
 * Nothing here is remembered from notifications, so nothing can be missed; mirror.c decides when to ask again.
 */
#ifndef CONTROL_NETLINK_HOP_H
#define CONTROL_NETLINK_HOP_H

#include <stdbool.h>
#include <stddef.h>

#include "control/error.h"
#include "control/netlink/interface.h"
#include "control/netlink/mirror.h"
#include "control/netlink/neighbour.h"

struct request;

/* A neighbour that at least one destination needs; several may share it. */
struct hop_neighbour {
	struct neighbour now;
	bool unmanaged; /* this kernel has no managed neighbours: it is used again and again instead */
};

struct hop_target {
	struct pont_address source;
	struct pont_address destination;
	struct mirror_next_hop next;
};

/* Zero-initialised follows nothing. */
struct hops {
	struct hop_target *targets;
	size_t count;
	struct hop_neighbour *neighbours; /* as many places as targets */
	size_t neighbour_count;
	bool unsettled; /* a neighbour has not answered, or asking failed: to be asked again soon */
};

/* How hard to try. */
enum hop_effort {
	HOP_LOOK,  /* something may have changed */
	HOP_RETRY, /* also: neighbours that failed are asked again */
	HOP_RENEW, /* also: neighbours that the kernel does not manage are used again */
};

/* Replaces the destinations. Equal ones keep their answers until the next hops_refresh(). */
int hops_follow(struct hops *hops, const struct pont_address *sources, const struct pont_address *destinations,
	size_t count, struct error *error);
/*
 * Asks for everything anew and lets go of neighbours that are needed no more. *changed says whether an answer differs.
 * When asking fails (-1, the first error) the answers concerned stay as they were.
 */
int hops_refresh(struct hops *hops, struct request *request, const struct interfaces *interfaces,
	enum hop_effort effort, bool *changed, struct error *error);
/* Whether a neighbour is one of those needed. */
bool hops_need(const struct hops *hops, const struct neighbour *neighbour);
/* Removes neighbours of ours that an earlier process left and nobody needs. */
int hops_sweep(const struct hops *hops, struct request *request, struct error *error);
/* Lets go of everything. */
void hops_release(struct hops *hops, struct request *request);

#endif
