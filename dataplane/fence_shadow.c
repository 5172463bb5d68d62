/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/fence_shadow.h"

#include <stdlib.h>

#include <rte_malloc.h>

struct fence_shadow *fence_shadow_create(struct fence_table *table, unsigned int workers)
{
	struct fence_shadow *shadow = calloc(1, sizeof(*shadow));

	if (shadow == NULL) {
		fence_table_unmap(table);
		return NULL;
	}
	shadow->table = table;
	for (unsigned int w = 0; w < workers; w++) {
		shadow->count[w] =
			rte_zmalloc("shadow", (SHADOW_KINDS + 1) * sizeof(struct shadow_count), RTE_CACHE_LINE_SIZE);
		if (shadow->count[w] == NULL) {
			fence_shadow_free(shadow);
			return NULL;
		}
	}
	return shadow;
}

void fence_shadow_free(struct fence_shadow *shadow)
{
	if (shadow == NULL)
		return;
	for (unsigned int w = 0; w < PONT_WORKERS_MAX; w++)
		rte_free(shadow->count[w]);
	fence_table_unmap(shadow->table);
	free(shadow);
}

static struct shadow_count *find(struct shadow_count *counts, uint32_t key)
{
	uint32_t at = key * UINT32_C(0x9e3779b1) >> 20;

	_Static_assert(SHADOW_KINDS == 1 << (32 - 20), "the hash has as many values as there are places");
	for (unsigned int tried = 0; tried < SHADOW_KINDS; tried++) {
		struct shadow_count *count = &counts[(at + tried) & (SHADOW_KINDS - 1)];

		if (count->key == key)
			return count;
		if (count->key == 0) {
			count->key = key;
			return count;
		}
	}
	return &counts[SHADOW_KINDS];
}

void fence_shadow_ask(const struct fence_shadow *shadow, unsigned int worker, uint16_t tenant, uint16_t peer,
	const uint8_t *frame, uint32_t length, enum pont_verdict verdict)
{
	enum pont_verdict candidate = fence_program_run(shadow->table, frame, length);
	enum pont_fence_difference difference = verdict < PONT_VERDICT_DENY ? PONT_WOULD_BLOCK : PONT_WOULD_LET_OUT;
	struct shadow_count *count;

	if ((verdict < PONT_VERDICT_DENY) == (candidate < PONT_VERDICT_DENY))
		return;
	/* The appliance's own traffic has neither tenant nor peer. */
	count = tenant == 0 ? &shadow->count[worker][SHADOW_KINDS]
			    : find(shadow->count[worker], SHADOW_KEY(tenant, peer));
	count->packets[difference]++;
	count->bytes[difference] += length;
}
