/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The compiled fence policy: one flat table of 4 KiB pages in one memory-mappable BPF array map (value = one page).
 * The control process writes it, the kernel programs look it up page by page, and the dataplane maps the same bytes
 * read-only. A table is never changed after publication: a new policy is a new map.
 *
 * Layout, in pages:
 *
 *	0		struct pont_fence_header
 *	v4_root		2^24 entries of 32 bit, indexed by the upper 24 bits of the IPv4 address (16,384 pages)
 *	v4_groups	groups of 256 entries, indexed by the last 8 bits, for prefixes longer than /24
 *	v6_starts	first address of each range, ascending, two host-order 64-bit halves {high, low}; the first is
 *:: v6_entries	the entry of each range; a range ends where the next one starts
 *
 * DIR-24-8 for IPv4: P. Gupta, S. Lin, N. McKeown, "Routing Lookups in Hardware at Memory Access Speeds", 1998.
 * Integers are in host byte order: the table never leaves the machine.
 */
#ifndef PONTLEVIS_FENCE_MAP_H
#define PONTLEVIS_FENCE_MAP_H

#ifndef __bpf__
#include <stdint.h>
#define PONT_U8  uint8_t
#define PONT_U16 uint16_t
#define PONT_U32 uint32_t
#define PONT_U64 uint64_t
#else
#define PONT_U8  __u8
#define PONT_U16 __u16
#define PONT_U32 __u32
#define PONT_U64 __u64
#endif

#define PONT_FENCE_MAGIC 0x504f4e4645434531ULL /* "PONFECE1" */
#define PONT_FENCE_PAGE  4096u

/*
 * An entry. GROUP (only in v4_root): the low bits are the number of a group in v4_groups. Otherwise the low bits are
 * the label (number of a {location, operator, AS, jurisdiction, rule} known to the control process; 0 = in no source
 * and no rule) and ALLOWED carries the verdict, so that one lookup answers.
 */
#define PONT_FENCE_GROUP      0x80000000u
#define PONT_FENCE_ALLOWED    0x40000000u
#define PONT_FENCE_LABEL_MASK 0x3fffffffu

/* Most binary search steps over the IPv6 ranges, so that loops are bounded for the verifier: 2^22 ranges. */
#define PONT_FENCE_V6_STEPS 22

struct pont_fence_header {
	PONT_U64 magic;    /* PONT_FENCE_MAGIC */
	PONT_U64 revision; /* policy revision, > 0 */
	PONT_U32 pages;    /* of the whole table */
	PONT_U32 v4_root;  /* page numbers, see above */
	PONT_U32 v4_groups;
	PONT_U32 v6_starts;
	PONT_U32 v6_entries;
	PONT_U32 v4_group_count;
	PONT_U32 v6_count; /* ranges, at least 1 */
	PONT_U32 reserved;
};

/* What the fence says of a packet, the same at every place. Values below PONT_VERDICT_DENY let it pass. */
enum pont_verdict {
	PONT_VERDICT_ALLOW = 0,      /* destination allowed by its label */
	PONT_VERDICT_HOUSEKEEPING,   /* ARP, or Neighbour Discovery with hop limit 255, link-local by nature */
	PONT_VERDICT_LOOPBACK,       /* stays inside the machine (only asked at the cgroup) */
	PONT_VERDICT_DENY = 16,      /* label is not allowed by the policy */
	PONT_VERDICT_DENY_UNLISTED,  /* destination is in no prefix of the dataset */
	PONT_VERDICT_DENY_NO_POLICY, /* no policy yet */
	PONT_VERDICT_DENY_MULTICAST, /* group address that is not housekeeping */
	PONT_VERDICT_DENY_PROTOCOL,  /* neither IPv4, IPv6 nor ARP */
	PONT_VERDICT_DENY_MALFORMED, /* header cut short */
	PONT_VERDICT_DENY_ROUTED,    /* IPv4 options or IPv6 extension headers that can send it on to elsewhere */
	PONT_VERDICT_DENY_LOCKED,    /* the fence is locked: nothing leaves, whatever the policy says */
	PONT_VERDICT_COUNT
};

/* Where it was asked. */
enum pont_fence_place {
	PONT_PLACE_TC = 0,    /* k1: tc egress of a kernel interface */
	PONT_PLACE_CGROUP,    /* k2: cgroup v2, egress of packets */
	PONT_PLACE_CONNECT,   /* k2: cgroup v2, connect() and sendmsg() */
	PONT_PLACE_DATAPLANE, /* d: WAN transmit of the dataplane */
	PONT_PLACE_COUNT
};

/*
 * What the control process switches at all places at once: one record in a memory-mappable array map of one entry,
 * which the kernel programs look up for every packet and the dataplane maps read-only and reads for every burst.
 * Written by the control process with single stores; it outlives it.
 */
struct pont_fence_switches {
	PONT_U32 locked; /* not 0: nothing leaves but what stays inside the machine */
	PONT_U32 shadow; /* not 0: the candidate policy is asked too, in the kernel; its answer changes nothing */
	PONT_U32 reserved[14];
};

/* What a candidate policy would do otherwise than the one in force. */
enum pont_fence_difference {
	PONT_WOULD_BLOCK = 0, /* passes, the candidate would deny it */
	PONT_WOULD_LET_OUT,   /* is denied, the candidate would let it pass */
	PONT_WOULD_COUNT
};

/*
 * Packets that differ, of one kind: key and value of the kernel's map of differences. Counts are exact as long as the
 * map has room; what finds no room is in the totals by place only.
 */
struct pont_fence_shadow_key {
	PONT_U64 who;             /* connect: process (thread group); else the cgroup's id, 0 without a socket */
	PONT_U32 entry;           /* of the table in force */
	PONT_U32 candidate_entry; /* of the candidate's table */
	PONT_U8 place;            /* enum pont_fence_place */
	PONT_U8 difference;       /* enum pont_fence_difference */
	PONT_U8 verdict;          /* of the policy in force, enum pont_verdict */
	PONT_U8 candidate;        /* of the candidate */
	PONT_U32 reserved;
};

struct pont_fence_shadow_value {
	PONT_U64 packets;
	PONT_U64 bytes;          /* 0 for connect() */
	PONT_U8 destination[16]; /* of the first of them, network byte order, IPv4 in the first four */
	PONT_U8 family;          /* enum pont_family */
	PONT_U8 protocol;        /* IP protocol number */
	PONT_U8 reserved[2];
	PONT_U32 ifindex;    /* interface, 0 where there is none yet */
	PONT_U8 command[16]; /* name of the process (comm), empty if unknown */
};

/* Totals of one place and difference, one for each CPU. */
struct pont_fence_shadow_total {
	PONT_U64 packets;
	PONT_U64 bytes;
};

/* A denial in the kernel, as it stands in the ring buffer; rate-limited there, counted in any case. */
struct pont_fence_event {
	PONT_U64 time_ns;        /* CLOCK_MONOTONIC */
	PONT_U64 revision;       /* of the policy that denied, 0 if none */
	PONT_U64 pid;            /* process (thread group), 0 where the place does not know it */
	PONT_U64 cgroup;         /* id of the cgroup of process or socket, 0 if there is none */
	PONT_U32 ifindex;        /* interface, 0 where there is none yet */
	PONT_U32 entry;          /* the table's entry: label of the destination */
	PONT_U8 place;           /* enum pont_fence_place */
	PONT_U8 verdict;         /* enum pont_verdict */
	PONT_U8 family;          /* enum pont_family, 0 if not IP */
	PONT_U8 protocol;        /* IP protocol number */
	PONT_U16 source_port;    /* host byte order, 0 if unknown */
	PONT_U16 port;           /* destination port, host byte order, 0 if unknown */
	PONT_U8 source[16];      /* network byte order, IPv4 in the first four; zero if unknown */
	PONT_U8 destination[16]; /* likewise */
	PONT_U32 length;         /* of the packet in bytes, 0 for connect() */
	PONT_U32 reserved;
	PONT_U8 command[16]; /* name of the process (comm), empty if unknown */
};

_Static_assert(sizeof(struct pont_fence_header) == 48, "read by kernel programs and workers");
_Static_assert(sizeof(struct pont_fence_switches) == 64, "one cache line");
_Static_assert(sizeof(struct pont_fence_shadow_key) == 24, "no padding in a key");
_Static_assert(sizeof(struct pont_fence_shadow_value) == 56, "no padding in a value");
_Static_assert(sizeof(struct pont_fence_event) == 104, "no padding in the ring buffer's records");

#endif
