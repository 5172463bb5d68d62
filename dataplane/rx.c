/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_ethdev.h>

#include "dataplane/path.h"

unsigned int stage_rx(struct worker *worker, uint16_t ethdev, bool wan)
{
	struct rte_mbuf *mbuf[BURST_MAX];
	struct lane *lane = &worker->in;
	uint16_t received;

	received = rte_eth_rx_burst(ethdev, (uint16_t)worker->number, mbuf, BURST_MAX);
	lane->count = 0;
	for (uint16_t i = 0; i < received; i++) {
		if (unlikely(mbuf[i]->nb_segs != 1)) {
			worker_drop_stranger(worker, mbuf[i], wan, PONT_DROP_rx_oversized);
			continue;
		}
		rte_prefetch0(rte_pktmbuf_mtod(mbuf[i], void *));
		lane->packet[lane->count++].mbuf = mbuf[i];
	}
	return received;
}
