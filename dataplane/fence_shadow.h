/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A candidate policy beside the one in force: asked about the same packets, it changes no verdict and only counts where
 * it thinks otherwise. Its counters live as long as it does; each worker writes its own.
 */
#ifndef DATAPLANE_FENCE_SHADOW_H
#define DATAPLANE_FENCE_SHADOW_H

#include <stdint.h>

#include "dataplane/fence_program.h"
#include "pontlevis/limits.h"

/* Pairs of tenant and peer that a worker tells apart, a power of two. */
enum { SHADOW_KINDS = 4096 };

#define SHADOW_KEY(tenant, peer) ((uint32_t)(tenant) << 16 | (peer))
#define SHADOW_TENANT(key)       ((uint16_t)((key) >> 16))
#define SHADOW_PEER(key)         ((uint16_t)(key))

struct shadow_count {
	uint32_t key; /* SHADOW_KEY() of tenant index and peer; 0: not used, and in the last one what found no room */
	uint64_t packets[PONT_WOULD_COUNT];
	uint64_t bytes[PONT_WOULD_COUNT];
};

struct fence_shadow {
	struct fence_table *table;
	struct shadow_count *count[PONT_WORKERS_MAX]; /* [SHADOW_KINDS + 1], open addressing */
};

/* Takes the table over, also on failure: NULL if memory is short. */
struct fence_shadow *fence_shadow_create(struct fence_table *table, unsigned int workers);
/* No lcore may use it any more. NULL is allowed. */
void fence_shadow_free(struct fence_shadow *shadow);

/* Asks the candidate about a frame that the policy in force has judged, and counts if it thinks otherwise. */
void fence_shadow_ask(const struct fence_shadow *shadow, unsigned int worker, uint16_t tenant, uint16_t peer,
	const uint8_t *frame, uint32_t length, enum pont_verdict verdict);

#endif
