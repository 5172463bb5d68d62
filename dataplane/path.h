/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stages of both directions. Each is one function over a burst, in the file of its name; path.c holds the order.
 * A stage takes a lane, lets survivors stand at its front in their order, and drops the others by a named reason.
 */
#ifndef DATAPLANE_PATH_H
#define DATAPLANE_PATH_H

#include <stdio.h>

#include "dataplane/worker.h"

/* Carries worker->in, received on worker->in_port, to its ends; which way is the port's role. */
void path_outbound(struct worker *worker);
void path_inbound(struct worker *worker);
/* Carries packets that other workers handed over; they enter at `open`. */
void path_handed_over(struct worker *worker);
/* Carries what the kernel twin of a WAN port sent, through fence and tx. */
void path_kernel(struct worker *worker);
/*
 * Carries what forward has laid out to its ends: sealed to the WAN, plain to the tenant's own access ports. forward
 * itself calls it when a flood in the middle of a burst fills a lane, so that the order is kept.
 */
void path_forwarded(struct worker *worker);
/* Prints the order of the stages, as the documentation quotes it. */
void path_print(FILE *file);

/* Stages by number, for whoever measures them; rx is measured with the port it reads. */
enum stage {
	STAGE_CLASSIFY,
	STAGE_FORWARD,
	STAGE_ENCAP,
	STAGE_SEAL,
	STAGE_FENCE,
	STAGE_TX_WAN,
	STAGE_TX_ACCESS,
	STAGE_STEER,
	STAGE_OPEN,
	STAGE_DECAP,
	STAGE_EXCEPTION,
	STAGE_COUNT
};
const char *path_stage_name(enum stage stage);

/* Where cycles go, stage by stage, if worker->clock is set: a tool of perf/, not of the running appliance. */
struct stage_clock {
	uint64_t cycles[STAGE_COUNT];  /* TSC, without the stages called from within */
	uint64_t packets[STAGE_COUNT]; /* that entered */
};

/* rx: fills worker->in from a queue; returns the packets found. */
unsigned int stage_rx(struct worker *worker, uint16_t ethdev, bool wan);

/* classify: access port and VLAN give circuit and tenant; the tag is taken off. */
void stage_classify(struct worker *worker, struct lane *lane);
/* forward: learns the source, finds the destination. Frames leave `lane` for worker->wan and worker->local. */
void stage_forward(struct worker *worker, struct lane *lane);
/* encap: puts the outer header before, the ESP trailer behind the frame. */
void stage_encap(struct worker *worker, struct lane *lane);
/* seal: takes a sequence number, encrypts and authenticates in place. */
void stage_seal(struct worker *worker, struct lane *lane);
/* fence: asks the eBPF program whether the outer destination may be reached. */
void stage_fence(struct worker *worker, struct lane *lane);
/* fence: the same question for one frame; false gives the reason to drop it. */
bool fence_lets_pass(struct worker *worker, struct rte_mbuf *mbuf, enum pont_drop *reason);
/* tx: towards the WAN. */
void stage_tx_wan(struct worker *worker, struct lane *lane);
/* tx: one frame that passed the fence. */
void tx_wan(struct worker *worker, unsigned int port, struct rte_mbuf *mbuf, uint16_t tenant);
/* tx: towards access ports, putting the circuit's tag on. */
void stage_tx_access(struct worker *worker, struct lane *lane);
/* Sends what waits for any port. */
void tx_flush(struct worker *worker);

/* steer: finds the SA of ESP-in-UDP for us; the rest goes the exception path, other workers' packets by ring. */
void stage_steer(struct worker *worker, struct lane *lane);
/* open: anti-replay check, decryption, authentication, anti-replay update. */
void stage_open(struct worker *worker, struct lane *lane);
/* decap: the VXLAN inside must be of the tenant whose SA opened it. */
void stage_decap(struct worker *worker, struct lane *lane);

/* handover: gives a packet to the worker that owns its SA. */
void handover_give(struct worker *worker, struct rte_mbuf *mbuf, unsigned int owner);
/* handover: fills worker->in with packets given to this worker. */
unsigned int handover_take(struct worker *worker);

/* exception: traffic of the appliance itself, to the kernel twin of the port; drops by `reason` without one. */
void exception_to_kernel(struct worker *worker, struct rte_mbuf *mbuf, enum pont_drop reason);
/* exception: frames from the kernel twin of worker->in_port; past the fence, to the wire. */
void stage_exception(struct worker *worker, struct lane *lane);

#endif
