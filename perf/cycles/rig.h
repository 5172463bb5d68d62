/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole dataplane on in-memory ports: the appliance's own code, configured through the link's messages, with rings
 * where the wires would be. Site A seals; site B, if there is one, opens what A sealed.
 */
#ifndef PERF_CYCLES_RIG_H
#define PERF_CYCLES_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>
#include <rte_ring.h>

#include "dataplane/snapshot/transaction.h"
#include "dataplane/worker.h"

struct rig_options {
	unsigned int tenants;  /* 1 to PONT_TENANTS_MAX */
	unsigned int peers;    /* 1 to PONT_PEERS_MAX */
	unsigned int macs;     /* remote addresses of each tenant */
	unsigned int prefixes; /* in the fence's policy */
	unsigned int workers;
	unsigned int buffers; /* packets in flight, per worker */
	bool tagged;          /* circuits have VLANs even where one untagged circuit would do */
	bool ipv6;            /* underlay */
	bool misdirected;     /* B receives every packet on another worker than its SA's owner */
};

struct site {
	struct plane plane;
	struct configuration configuration;
	/* Rings of each port and worker, as the driver sees them. Access ports come first, the WAN port last. */
	struct rte_ring *rx[PONT_PORTS_MAX][PONT_WORKERS_MAX];
	struct rte_ring *tx[PONT_PORTS_MAX][PONT_WORKERS_MAX];
	unsigned int wan;
};

struct rig {
	struct rig_options options;
	struct rte_mempool *pool;
	struct site a, b;
	uint64_t tsc_hz; /* ticks of rte_rdtsc() in a second */
};

/* Builds both sites; exits with a message if that fails. */
void rig_create(struct rig *rig, const struct rig_options *options);

/* What a frame says of itself: which SA it travels under, and a number that only grows. */
struct stamp {
	uint64_t number;
	uint32_t sa; /* among those of its worker */
};

/*
 * One frame of a tenant at A towards address number mac of its own at the peers; size in bytes without tag. number: for
 * its stamp.
 */
void rig_frame(const struct rig *rig, struct rte_mbuf *mbuf, unsigned int tenant, unsigned int mac, uint16_t size,
	uint64_t number);
struct stamp rig_stamp(const struct rte_mbuf *mbuf);
/* The expanded key of one of A's outbound SAs, any number standing for one of them. */
const struct gcm_key_data *rig_key(const struct rig *rig, unsigned int number);
/* Access port (number in the site) that carries the tenant. */
unsigned int rig_access_port(const struct rig *rig, unsigned int tenant);

#endif
