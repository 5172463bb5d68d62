/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Longest-prefix match in the policy table of pontlevis/fence_map.h, the same code for the kernel programs and for
 * native code. Whoever includes it declares before it how to reach a page:
 *
 *	static __always_inline const void *fence_page(fence_pages pages, __u32 page);
 *
 * with fence_pages a type of its own choice. It returns the 4,096 bytes of the page, or NULL if there is no such page;
 * that can only happen to a broken table, and then the answer is entry 0: listed nowhere, denied.
 */
#ifndef EBPF_LOOKUP_H
#define EBPF_LOOKUP_H

#include <linux/types.h>

#include "pontlevis/fence_map.h"

enum {
	FENCE_ENTRIES_PER_PAGE = PONT_FENCE_PAGE / 4,
	FENCE_STARTS_PER_PAGE = PONT_FENCE_PAGE / 16,
};

/* address: host byte order. Returns the entry, never one with PONT_FENCE_GROUP. */
static __always_inline __u32 fence_find_ipv4(fence_pages pages, const struct pont_fence_header *header, __u32 address)
{
	const __u32 *entries = (const __u32 *)fence_page(pages, header->v4_root + (address >> 18));
	__u32 entry, group;

	if (!entries)
		return 0;
	entry = entries[address >> 8 & (FENCE_ENTRIES_PER_PAGE - 1)];
	if (!(entry & PONT_FENCE_GROUP))
		return entry;
	group = entry & ~PONT_FENCE_GROUP;
	entries = (const __u32 *)fence_page(pages, header->v4_groups + (group >> 2));
	if (!entries)
		return 0;
	return entries[(group & 3) << 8 | (address & 0xff)] & ~PONT_FENCE_GROUP;
}

/* a < b as 0 or 1 without a branch: of H. S. Warren, "Hacker's Delight", 2nd edition, section 2-12. */
static __always_inline __u64 fence_less(__u64 a, __u64 b)
{
	return ((~a & b) | (~(a ^ b) & (a - b))) >> 63;
}

/*
 * high, low: halves of the address in host byte order. Binary search for the last range that starts at or below.
 * The step has no branch that depends on the data: the verifier would follow both ways of each step, 2^22 in all, and
 * a processor would guess every second one wrong.
 */
static __always_inline __u32 fence_find_ipv6(
	fence_pages pages, const struct pont_fence_header *header, __u64 high, __u64 low)
{
	__u32 starts_page = header->v6_starts, found = 0, count = header->v6_count;
	const __u32 *entries;
	int step;

	for (step = 0; step < PONT_FENCE_V6_STEPS; step++) {
		__u32 half = count >> 1, probe = found + half;
		const __u64 *starts;
		__u64 above;

		if (!half)
			break;
		starts = (const __u64 *)fence_page(pages, starts_page + probe / FENCE_STARTS_PER_PAGE);
		if (!starts)
			return 0;
		starts += (__u64)(probe & (FENCE_STARTS_PER_PAGE - 1)) * 2;
		/* The borrow of the 128-bit subtraction address - start. */
		above = fence_less(low, starts[1]);
		above = fence_less(high, starts[0]) | (above & ~fence_less(starts[0], high));
		found += half & ((__u32)above - 1);
		count -= half;
	}
	entries = (const __u32 *)fence_page(pages, header->v6_entries + found / FENCE_ENTRIES_PER_PAGE);
	if (!entries)
		return 0;
	return entries[found & (FENCE_ENTRIES_PER_PAGE - 1)] & ~PONT_FENCE_GROUP;
}

#endif
