/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/told.h"

#include <bpf/bpf.h>

int fence_told_read(const struct fence *fence, struct fence_counters *out)
{
	const int map = fence_map(fence, "told");

	for (uint32_t i = 0; i < PONT_PLACE_COUNT * PONT_VERDICT_COUNT; i++)
		if (bpf_map_lookup_elem(map, &i, &out->packets[i / PONT_VERDICT_COUNT][i % PONT_VERDICT_COUNT]))
			return -1;
	return 0;
}

void fence_told_add(const struct fence *fence, unsigned int place, unsigned int verdict, uint64_t packets)
{
	const int map = fence_map(fence, "told");
	const uint32_t index = place * PONT_VERDICT_COUNT + verdict;
	uint64_t told;

	/* One process writes it, and only this one. */
	if (bpf_map_lookup_elem(map, &index, &told))
		return;
	told += packets;
	(void)bpf_map_update_elem(map, &index, &told, BPF_ANY);
}
