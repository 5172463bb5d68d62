/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/seen.h"

#include <stdlib.h>

enum { SIZE_FIRST = 64 };

/* Where the value is, or the free entry where it belongs. SPIs are the peer's choice, so they are mixed first. */
static uint64_t *place(uint64_t *entry, size_t size, uint64_t value)
{
	uint64_t mixed = value * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(mixed >> 32) & (size - 1);

	while (entry[i] != 0 && entry[i] != value)
		i = (i + 1) & (size - 1);
	return &entry[i];
}

static bool grow(struct seen *seen)
{
	size_t size = seen->size > 0 ? 2 * seen->size : SIZE_FIRST;
	uint64_t *entry = calloc(size, sizeof(*entry));

	if (!entry)
		return false;
	for (size_t i = 0; i < seen->size; i++)
		if (seen->entry[i] != 0)
			*place(entry, size, seen->entry[i]) = seen->entry[i];
	free(seen->entry);
	seen->entry = entry;
	seen->size = size;
	return true;
}

enum seen_answer seen_add(struct seen *seen, uint32_t vni, uint16_t worker, uint32_t spi)
{
	uint64_t value = (uint64_t)vni << 40 | (uint64_t)worker << 32 | spi;
	uint64_t *entry;

	if (seen->count * 2 >= seen->size && (seen->count >= SEEN_MAX || !grow(seen)))
		return SEEN_FULL;
	entry = place(seen->entry, seen->size, value);
	if (*entry == value)
		return SEEN_BEFORE;
	*entry = value;
	seen->count++;
	return SEEN_NEW;
}

void seen_clear(struct seen *seen)
{
	free(seen->entry);
	*seen = (struct seen){0};
}
