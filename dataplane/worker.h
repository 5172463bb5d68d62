/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one forwarding lcore and everything it owns. Nothing in here is written by another worker; the main lcore
 * reads the counters and empties the ring of lessons.
 */
#ifndef DATAPLANE_WORKER_H
#define DATAPLANE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "dataplane/esp/gcm.h"
#include "dataplane/packet.h"
#include "dataplane/port/port.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/table/fdb.h"
#include "pontlevis/counters.h"
#include "pontlevis/fence_map.h"

/* Of one tenant on one worker: what every packet touches is one cache line, copies and drops stand apart. */
struct tenant_traffic {
	struct pont_traffic access_rx;
	struct pont_traffic wan_tx;
	struct pont_traffic wan_rx;
	struct pont_traffic access_tx;
} __rte_cache_aligned;

struct tenant_rare {
	uint64_t copies;
	struct pont_traffic kernel_tx;
	uint64_t drop[PONT_DROP_COUNT];
	uint64_t denials_told; /* of what the fence dropped, as far as control has heard: a note of the main lcore */
};

/* Packets waiting for a port, sent when full and at the end of each round; mbuf->vlan_tci_outer is their tenant. */
enum { TX_BURST = 64 };
struct tx_buffer {
	uint16_t count;
	struct rte_mbuf *mbuf[TX_BURST];
};

/*
 * The last denial of one of the tenants that share this place, to be reported by the main lcore: written by the worker,
 * count last.
 */
enum { DENIALS = 16 };
struct denial {
	uint64_t count;
	struct pont_address destination;
	uint32_t verdict;
	uint16_t tenant; /* index, 0: the appliance itself */
	uint16_t peer;
};

/* What the fence said of a peer, in one round. */
struct fence_answer {
	uint64_t round;
	enum pont_verdict verdict;
};

enum idle_mode { IDLE_BACKOFF, IDLE_POLL };

struct plane;
struct stage_clock;

struct worker {
	/* Set at start, read by this worker only. */
	unsigned int number;
	unsigned int lcore;
	struct plane *plane;
	IMB_MGR *gcm;
	struct gcm_reach gcm_reach;
	struct rte_ring *inbox;   /* handed over by other workers; any producer, this consumer */
	struct rte_ring *lessons; /* struct fdb_lesson; this producer, the main lcore consumes */

	/* Of the round under way. */
	const struct snapshot *snapshot;
	uint32_t now_s; /* coarse clock, for the FDB */
	uint64_t next_second_tsc;
	uint64_t now_tsc; /* at the start of the round, for lifetimes */
	uint64_t round;   /* number of the fence's memory below, never 0 */

	const struct port *in_port; /* where `in` was received */
	struct lane in;             /* burst as received */
	struct lane wan;            /* towards the WAN */
	struct lane local;          /* towards access ports */
	struct gcm_input gcm_input[LANE_MAX];
	uint8_t tag[LANE_MAX][PONT_ESP_ICV_SIZE];
	struct tx_buffer tx[PONT_PORTS_MAX];
	uint16_t dead_count;
	struct rte_mbuf *dead[LANE_MAX]; /* dropped, freed in bulk */

	/* The fence's answer per peer, valid for the round in which it was asked. */
	struct fence_answer fence_memory[PONT_PEERS_MAX + 1];

	/* Addresses offered for learning a moment ago, so that a burst from one source offers it once. */
	uint64_t offered[256];
	uint32_t offered_round;

	/* Set by perf/ only. */
	struct stage_clock *clock;
	uint64_t clock_inner;

	struct denial denial[DENIALS];
	struct pont_worker_counters counters;
	struct tenant_traffic *traffic; /* [PONT_TENANTS_MAX + 1] */
	struct tenant_rare *rare;       /* [PONT_TENANTS_MAX + 1] */
} __rte_cache_aligned;

/* What all workers share; written before they start or by the main lcore only. */
struct plane {
	struct port_set ports;
	unsigned int worker_count;
	struct worker *worker[PONT_WORKERS_MAX];
	struct fdb fdb;
	struct sa_in *sa_in; /* [spi_slots], indexed by the low bits of the SPI */
	uint32_t spi_slots;
	enum idle_mode idle;
	struct rte_rcu_qsbr *qsbr;
	const struct snapshot *snapshot; /* current; stored with release, loaded with acquire */
	bool stop;
};

/* Allocates a worker on the NUMA node of its lcore. NULL, with the reason on stderr, on failure. */
struct worker *worker_create(struct plane *plane, unsigned int number, unsigned int lcore);
void worker_free(struct worker *worker);

/* The life of a worker, as an lcore function: returns when plane->stop is set. */
int worker_run(void *worker);

/* One round over all queues: receives, carries through the path, sends. Returns the packets found. */
unsigned int worker_round(struct worker *worker);

/*
 * Returns once every worker has passed a quiescent state, and holds nothing any more that was withdrawn before. As
 * rte_rcu_qsbr_synchronize(), but inline: so ThreadSanitizer, to which the library is a stranger, sees what orders the
 * workers and the main lcore.
 */
static inline void workers_pass(struct rte_rcu_qsbr *qsbr)
{
	(void)rte_rcu_qsbr_check(qsbr, rte_rcu_qsbr_start(qsbr), true);
}

/* Discards a packet for a named reason. */
static inline void worker_drop(struct worker *worker, struct rte_mbuf *mbuf, uint16_t tenant, enum pont_drop reason)
{
	worker->rare[tenant].drop[reason]++;
	worker->dead[worker->dead_count++] = mbuf;
	if (unlikely(worker->dead_count == LANE_MAX)) {
		rte_pktmbuf_free_bulk(worker->dead, worker->dead_count);
		worker->dead_count = 0;
	}
}

/* As above for a packet that was received but not yet in any tenant's books: enters and leaves those of tenant 0. */
static inline void worker_drop_stranger(struct worker *worker, struct rte_mbuf *mbuf, bool wan, enum pont_drop reason)
{
	struct pont_traffic *received = wan ? &worker->traffic[0].wan_rx : &worker->traffic[0].access_rx;

	received->packets++;
	received->bytes += mbuf->pkt_len;
	worker_drop(worker, mbuf, 0, reason);
}

/* As above for one that steer has reduced to its ESP packet, whose SA is not there or cannot be reached. */
static inline void worker_drop_unopened(struct worker *worker, struct rte_mbuf *mbuf, enum pont_drop reason)
{
	worker->traffic[0].wan_rx.packets++;
	worker->traffic[0].wan_rx.bytes += mbuf->hash.usr;
	worker_drop(worker, mbuf, 0, reason);
}

#endif
