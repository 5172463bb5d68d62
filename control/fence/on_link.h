/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IPv6 prefixes of the interfaces' own addresses, kept in the programs' map on_link: unicast Neighbour Discovery
 * may go there (see ebpf/verdict.h). Follows the kernel's address notifications; without this process the last state
 * stays in force.
 */
#ifndef CONTROL_FENCE_ON_LINK_H
#define CONTROL_FENCE_ON_LINK_H

#include "control/error.h"

struct event_base;
struct on_link;

/* map: file descriptor of the map, stays with the caller and outlives the result. NULL on error. */
struct on_link *on_link_start(struct event_base *base, int map, struct error *error);
void on_link_stop(struct on_link *on_link);

#endif
