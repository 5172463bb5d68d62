/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The kernel programs' maps. All are pinned by the control process and outlive it. */
#ifndef EBPF_MAPS_H
#define EBPF_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "pontlevis/fence_map.h"

typedef __u8 fence_page_bytes[PONT_FENCE_PAGE];

/* A policy table: see pontlevis/fence_map.h. Only the prototype of the outer map's slot; real ones are larger. */
struct fence_pages_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, fence_page_bytes);
};

/*
 * The policy in force, and the candidate that is asked beside it while switches.shadow is on; both slots are empty at
 * first. Writing a slot is the swap. A program reads it once per packet, so that every packet is judged by one policy.
 */
enum fence_slot { FENCE_SLOT_IN_FORCE, FENCE_SLOT_CANDIDATE, FENCE_SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FENCE_SLOTS);
	__type(key, __u32);
	__array(values, struct fence_pages_map);
} policy SEC(".maps");

/* What is switched at all places at once. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pont_fence_switches);
} switches SEC(".maps");

/* Where the candidate differs: index place * PONT_WOULD_COUNT + difference. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PONT_PLACE_COUNT *PONT_WOULD_COUNT);
	__type(key, __u32);
	__type(value, struct pont_fence_shadow_total);
} shadow_totals SEC(".maps");

/* The same by process or cgroup and by label. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct pont_fence_shadow_key);
	__type(value, struct pont_fence_shadow_value);
} shadow_differences SEC(".maps");

/* Packets by place and verdict: index place * PONT_VERDICT_COUNT + verdict. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PONT_PLACE_COUNT *PONT_VERDICT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* The control process' own: how many of these it has told as events. Here so that it is pinned with them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PONT_PLACE_COUNT *PONT_VERDICT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} told SEC(".maps");

/* Denials, struct pont_fence_event. Half a second of a full bucket on many CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Per CPU: the time (CLOCK_MONOTONIC, ns) up to which the allowance of events is used up. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} event_allowance SEC(".maps");

/*
 * IPv6 prefixes that are on link at an interface: those of its addresses. Few, so that a kernel trie does no harm.
 */
struct fence_link_key {
	__u32 prefix_length; /* bits: 32 of the interface number and those of the address */
	__u32 ifindex;
	__u8 address[16]; /* network byte order */
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct fence_link_key);
	__type(value, __u8);
} on_link SEC(".maps");

#endif
