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

/* packet->tenant is set; frame starts with the two MAC addresses. Sets packet->hash. */
static inline void forward_ahead(const struct worker *worker, struct packet *packet, const uint8_t *frame)
{
	const struct fdb *fdb = &worker->plane->fdb;

	packet->hash.destination = fdb_hash(fdb, fdb_key(packet->tenant, frame));
	packet->hash.source = fdb_hash(fdb, fdb_key(packet->tenant, frame + RTE_ETHER_ADDR_LEN));
	rte_prefetch0(fdb_first(fdb, packet->hash.destination));
	rte_prefetch0(fdb_first(fdb, packet->hash.source));
}

#endif
