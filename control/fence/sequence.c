/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/sequence.h"

#include <stdlib.h>
#include <string.h>

void sequence_init(struct sequence *sequence, bool is_ipv6)
{
	memset(sequence, 0, sizeof(*sequence));
	sequence->is_ipv6 = is_ipv6;
}

void sequence_free(struct sequence *sequence)
{
	free(sequence->firsts);
	free(sequence->values);
	sequence_init(sequence, sequence->is_ipv6);
}

static int grow(struct sequence *sequence)
{
	const size_t room = sequence->room ? sequence->room * 2 : 64;
	uint32_t *values;
	void *firsts;

	if (sequence->count < sequence->room)
		return 0;
	firsts = reallocarray(sequence->firsts, room, sequence->is_ipv6 ? 2 * sizeof(uint64_t) : sizeof(uint32_t));
	if (!firsts)
		return -1;
	sequence->firsts = firsts;
	values = reallocarray(sequence->values, room, sizeof(*values));
	if (!values)
		return -1;
	sequence->values = values;
	sequence->room = room;
	return 0;
}

fence_address sequence_first(const struct sequence *sequence, size_t i)
{
	const uint64_t *halves = (const uint64_t *)sequence->firsts + 2 * i;

	if (!sequence->is_ipv6)
		return ((const uint32_t *)sequence->firsts)[i];
	return fence_address_of(halves[0], halves[1]);
}

fence_address sequence_last(const struct sequence *sequence, size_t i)
{
	return i + 1 < sequence->count ? sequence_first(sequence, i + 1) - 1 : fence_address_last(sequence->is_ipv6);
}

static void store(struct sequence *sequence, size_t i, fence_address first)
{
	uint64_t *halves = (uint64_t *)sequence->firsts + 2 * i;

	if (!sequence->is_ipv6) {
		((uint32_t *)sequence->firsts)[i] = (uint32_t)first;
		return;
	}
	halves[0] = (uint64_t)(first >> 64);
	halves[1] = (uint64_t)first;
}

int sequence_put(struct sequence *sequence, fence_address first, uint32_t value)
{
	/* What was put for this very address counts no more. */
	if (sequence->count && sequence_first(sequence, sequence->count - 1) == first)
		sequence->count--;
	if (sequence->count && sequence->values[sequence->count - 1] == value)
		return 0;
	if (grow(sequence))
		return -1;
	store(sequence, sequence->count, first);
	sequence->values[sequence->count++] = value;
	return 0;
}

size_t sequence_find(const struct sequence *sequence, fence_address address)
{
	size_t from = 0, to = sequence->count;

	while (to - from > 1) {
		size_t middle = from + (to - from) / 2;

		if (sequence_first(sequence, middle) <= address)
			from = middle;
		else
			to = middle;
	}
	return from;
}
