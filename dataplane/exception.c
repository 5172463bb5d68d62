/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic of the appliance itself on a WAN port: ARP and ND, the control process' TCP, BGP, SSH. With bifurcated
 * drivers the kernel keeps it and it never comes here; otherwise a kernel twin (a tap interface made at start) takes
 * and gives it. What the kernel gives passes the fence like everything else.
 */
#include <rte_ethdev.h>

#include "dataplane/path.h"

void exception_to_kernel(struct worker *worker, struct rte_mbuf *mbuf, enum pont_drop reason)
{
	const struct port *port = worker->in_port;
	struct pont_traffic *received = &worker->traffic[0].wan_rx, *sent = &worker->rare[0].kernel_tx;
	uint64_t bytes = mbuf->pkt_len;

	if (port->twin == PORT_NO_TWIN) {
		worker_drop_stranger(worker, mbuf, true, reason);
		return;
	}
	received->packets++;
	received->bytes += bytes;
	if (unlikely(rte_eth_tx_burst(port->twin, (uint16_t)worker->number, &mbuf, 1) != 1)) {
		worker_drop(worker, mbuf, 0, PONT_DROP_exception_queue_full);
		return;
	}
	sent->packets++;
	sent->bytes += bytes;
}

void stage_exception(struct worker *worker, struct lane *lane)
{
	unsigned int number = (unsigned int)(worker->in_port - worker->plane->ports.port);

	for (uint16_t i = 0; i < lane->count; i++) {
		struct rte_mbuf *mbuf = lane->packet[i].mbuf;
		struct pont_traffic *received = &worker->traffic[0].access_rx;
		enum pont_drop reason;

		received->packets++;
		received->bytes += mbuf->pkt_len;
		if (!fence_lets_pass(worker, mbuf, &reason))
			worker_drop(worker, mbuf, 0, reason);
		else
			tx_wan(worker, number, mbuf, 0);
	}
	lane->count = 0;
}
