/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The address space of one family, cut into intervals that each have a value: interval i goes from its first address
 * to the one before the next interval's. The first interval starts at address 0; value 0 means "nothing". Neighbours
 * have different values, so that equal divisions are equal sequences. IPv4 takes 8 bytes an interval, IPv6 20.
 */
#ifndef CONTROL_FENCE_SEQUENCE_H
#define CONTROL_FENCE_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address of either family in host byte order; IPv4 in the low 32 bits. */
__extension__ typedef unsigned __int128 fence_address;

struct sequence {
	bool is_ipv6;
	void *firsts; /* uint32_t, or fence_address in two uint64_t halves {high, low} */
	uint32_t *values;
	size_t count, room;
};

static inline fence_address fence_address_of(uint64_t high, uint64_t low)
{
	return (fence_address)high << 64 | low;
}

/* The family's last address. */
static inline fence_address fence_address_last(bool is_ipv6)
{
	return is_ipv6 ? ~(fence_address)0 : UINT32_MAX;
}

/* An empty sequence: call sequence_put() with address 0 first. */
void sequence_init(struct sequence *sequence, bool is_ipv6);
void sequence_free(struct sequence *sequence);

/*
 * From this address on, up to the next call's, the value holds. Addresses never descend; of two calls with the same
 * address the second one counts. -1: out of memory.
 */
int sequence_put(struct sequence *sequence, fence_address first, uint32_t value);

fence_address sequence_first(const struct sequence *sequence, size_t i);
fence_address sequence_last(const struct sequence *sequence, size_t i);
/* Index of the interval that contains the address. The sequence is not empty. */
size_t sequence_find(const struct sequence *sequence, fence_address address);

#endif
