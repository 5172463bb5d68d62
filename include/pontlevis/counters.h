/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of the dataplane as they travel over the link (link.h). All are 64 bit, start at zero with the dataplane
 * process and never decrease; "packets" counts frames, "bytes" counts frame bytes as on that port, without FCS.
 *
 * The books balance, per tenant and over all workers, whenever no packet is in flight:
 *
 *	access_rx + wan_rx + copies = access_tx + wan_tx + kernel_tx + sum of drop[]
 *
 * Tenant index 0 (VNI 0) keeps the books of packets that belong to no tenant: unknown VLANs, unknown SPIs, traffic
 * of the appliance itself on the exception path.
 */
#ifndef PONTLEVIS_COUNTERS_H
#define PONTLEVIS_COUNTERS_H

#include <stdint.h>

#include "pontlevis/drops.h"

struct pont_traffic {
	uint64_t packets;
	uint64_t bytes;
};

/* Tenant index 0 is the appliance itself: access_rx is what the kernel twin gave, wan_tx what of it left, as it was. */
struct pont_tenant_counters {
	struct pont_traffic access_rx; /* accepted by an attachment circuit of the tenant */
	struct pont_traffic wan_rx;    /* arrived on a WAN port for an SA of the tenant (outer frame bytes) */
	struct pont_traffic access_tx; /* handed to an access port */
	struct pont_traffic wan_tx;    /* handed to a WAN port, sealed (outer frame bytes) */
	struct pont_traffic kernel_tx; /* handed to the kernel twin (tenant index 0 only) */
	uint64_t copies;               /* additional frames made by flooding */
	uint64_t drop[PONT_DROP_COUNT];
};

/* One forwarding lcore. */
struct pont_worker_counters {
	uint64_t loops;        /* rounds over all its queues */
	uint64_t busy_loops;   /* rounds that found at least one packet */
	uint64_t sleeps;       /* times the idle worker slept (0 in mode "poll") */
	uint64_t handover_in;  /* packets received from other workers */
	uint64_t handover_out; /* packets passed on to the worker that owns their SA */
	uint64_t fence_asked;  /* runs of the fence program (one per run of equal destinations) */
	uint64_t learn_lost;   /* MAC addresses not offered for learning because the ring was full */
};

/* One SA. */
struct pont_sa_counters {
	uint64_t packets;
	uint64_t bytes;    /* of tenant frames */
	uint64_t sequence; /* outbound: last one used; inbound: highest one received (64 bit ESN) */
};

#endif
