/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the stages before forward do for it: as soon as tenant and frame are known, the FDB's lines are asked for, so
 * that they are near when the burst arrives there.
 */
#ifndef DATAPLANE_FORWARD_H
#define DATAPLANE_FORWARD_H

#include <rte_ether.h>

#include "dataplane/table/fdb.h"
#include "dataplane/worker.h"

static inline struct source_memory *source_memory(struct worker *worker, uint64_t key)
{
	return &worker->source[(key >> 56 ^ key >> 48 ^ key >> 16 ^ key) % SOURCE_MEMORY];
}

/*
 * Whether this source was found in its place a moment ago: then there is nothing to learn or to refresh. The memory is
 * forgotten every second and with every snapshot, so a move is noticed within that.
 */
static inline bool is_known(const struct worker *worker, const struct source_memory *memory, uint64_t key, place_t from)
{
	return memory->key == key && memory->from == from && memory->stamp == worker->source_stamp;
}

/* packet has tenant and from; its buffer starts with the tenant's frame. Sets packet->hash. */
static inline void forward_ahead(struct worker *worker, struct packet *packet)
{
	const struct fdb *fdb = &worker->plane->fdb;
	const uint8_t *macs = rte_pktmbuf_mtod(packet->mbuf, const uint8_t *);
	uint64_t source = fdb_key(packet->tenant, macs + RTE_ETHER_ADDR_LEN);

	packet->hash = fdb_hash(fdb, fdb_key(packet->tenant, macs));
	rte_prefetch0(fdb_first(fdb, packet->hash));
	if (unlikely(!is_known(worker, source_memory(worker, source), source, packet->from)))
		rte_prefetch0(fdb_first(fdb, fdb_hash(fdb, source)));
}

#endif
