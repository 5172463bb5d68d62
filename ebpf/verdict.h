/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the fence says of a packet: the one rule book, compiled into the kernel programs and into the dataplane's.
 * Whoever includes it declares before it, over a type fence_table of its own choice,
 *
 *	static __always_inline int fence_table_present(fence_table table);
 *	static __always_inline __u32 fence_entry_ipv4(fence_table table, __u32 address);
 *	static __always_inline __u32 fence_entry_ipv6(fence_table table, __u64 high, __u64 low);
 *	static __always_inline int fence_on_link(__u32 ifindex, __u64 high, __u64 low);
 *
 * Tunnels of any kind are judged by their outer destination: what is inside is the business of whoever ends them.
 */
#ifndef EBPF_VERDICT_H
#define EBPF_VERDICT_H

#include <linux/types.h>

#include "ebpf/parse.h"
#include "pontlevis/fence_map.h"

struct fence_result {
	__u32 verdict; /* enum pont_verdict */
	__u32 entry;   /* of the table, 0 where it was not asked */
};

static __always_inline struct fence_result fence_say(__u32 verdict, __u32 entry)
{
	struct fence_result result = {.verdict = verdict, .entry = entry};

	return result;
}

static __always_inline struct fence_result fence_say_entry(__u32 entry)
{
	if (entry & PONT_FENCE_ALLOWED)
		return fence_say(PONT_VERDICT_ALLOW, entry);
	return fence_say(entry & PONT_FENCE_LABEL_MASK ? PONT_VERDICT_DENY : PONT_VERDICT_DENY_UNLISTED, entry);
}

/* The places inside the machine, where a loopback destination cannot leave it. */
static __always_inline int fence_is_inside(__u32 place)
{
	return place == PONT_PLACE_CGROUP || place == PONT_PLACE_CONNECT;
}

static __always_inline struct fence_result fence_judge_ipv4(
	__u32 destination, __u32 routed, __u32 place, fence_table table)
{
	if (fence_is_inside(place) && destination >> 24 == 127)
		return fence_say(PONT_VERDICT_LOOPBACK, 0);
	/* connect() to 0.0.0.0 is connect() to the own machine. */
	if (place == PONT_PLACE_CONNECT && destination == 0)
		return fence_say(PONT_VERDICT_LOOPBACK, 0);
	if (destination >> 28 == 14 || destination == 0xffffffff)
		return fence_say(PONT_VERDICT_DENY_MULTICAST, 0);
	if (routed)
		return fence_say(PONT_VERDICT_DENY_ROUTED, 0);
	if (!fence_table_present(table))
		return fence_say(PONT_VERDICT_DENY_NO_POLICY, 0);
	return fence_say_entry(fence_entry_ipv4(table, destination));
}

/*
 * Neighbour Discovery that stays on the link by its destination: link-local unicast, or multicast of link-local scope.
 * Hop limit 255 alone does not hold a packet on the link: it makes receivers refuse one that has been routed, but a
 * router still routes it. So unicast solicitations and advertisements to other addresses (reachability probes of a
 * neighbour, and the answers) pass only where the kernel's own addresses say that the destination is on link.
 */
static __always_inline int fence_is_housekeeping(const struct fence_packet *packet, __u32 ifindex)
{
	if (!packet->discovery)
		return 0;
	if (packet->high >> 54 == 0xfe80 >> 6 || packet->high >> 48 == 0xff02)
		return 1;
	if (packet->high >> 56 == 0xff)
		return 0;
	if (packet->discovery != FENCE_ND_NEIGHBOUR_SOLICITATION &&
		packet->discovery != FENCE_ND_NEIGHBOUR_ADVERTISEMENT)
		return 0;
	return fence_on_link(ifindex, packet->high, packet->low);
}

static __always_inline struct fence_result fence_judge_ipv6(
	const struct fence_packet *packet, __u32 place, __u32 ifindex, fence_table table)
{
	if (fence_is_inside(place) && !packet->high && packet->low == 1)
		return fence_say(PONT_VERDICT_LOOPBACK, 0);
	if (place == PONT_PLACE_CONNECT && !packet->high && !packet->low)
		return fence_say(PONT_VERDICT_LOOPBACK, 0);
	/* IPv4-mapped (RFC 4291 section 2.5.5.2): the packet will be, or stands for, an IPv4 one. */
	if (!packet->high && packet->low >> 32 == 0xffff)
		return fence_judge_ipv4((__u32)packet->low, packet->routed, place, table);
	if (fence_is_housekeeping(packet, ifindex))
		return fence_say(PONT_VERDICT_HOUSEKEEPING, 0);
	if (packet->high >> 56 == 0xff)
		return fence_say(PONT_VERDICT_DENY_MULTICAST, 0);
	if (packet->routed)
		return fence_say(PONT_VERDICT_DENY_ROUTED, 0);
	if (!fence_table_present(table))
		return fence_say(PONT_VERDICT_DENY_NO_POLICY, 0);
	return fence_say_entry(fence_entry_ipv6(table, packet->high, packet->low));
}

/* ifindex: interface the packet is about to leave by, 0 if unknown; only for the on-link question. */
static __always_inline struct fence_result fence_judge(
	const struct fence_packet *packet, __u32 place, __u32 ifindex, fence_table table)
{
	switch (packet->kind) {
	case FENCE_KIND_IPV4:
		return fence_judge_ipv4(packet->ipv4, packet->routed, place, table);
	case FENCE_KIND_IPV6:
		return fence_judge_ipv6(packet, place, ifindex, table);
	case FENCE_KIND_ARP:
		return fence_say(PONT_VERDICT_HOUSEKEEPING, 0);
	case FENCE_KIND_UNKNOWN:
		return fence_say(PONT_VERDICT_DENY_PROTOCOL, 0);
	default:
		return fence_say(PONT_VERDICT_DENY_MALFORMED, 0);
	}
}

#endif
